"""Events of API Gateway, function URLs and load balancers -> requests.

What each of them has decoded was captured from the real services by others (github.com/hotsock/voker,
vokerhttp/testdata): HTTP APIs decode the path, in both payload formats; REST APIs, function URLs and load balancers
leave it as it came. REST APIs, and HTTP APIs with payload format 1.0, decode the query string; load balancers do not
(Lambda functions as targets for Application Load Balancers); payload format 2.0 has it as it came.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from urllib.parse import quote, unquote, urlencode

from ..errors import ErrorType, FaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import WebConfig

    Headers = list[tuple[bytes, bytes]]

# How a response has to look. A WebSocket API's own connections have one that is smaller.
V1, V2, ALB, ALB_MULTI, SOCKET, EVENT = "v1", "v2", "alb", "alb-multi", "socket", "event"

# What a path may hold (pchar and "/" of RFC 3986), and a query string besides, which browsers send with more than that.
_PATH = "/-._~!$&'()*+,;=:@"
_QUERY = _PATH + '?%[]{}|\\^`"<>'
_is_plain_path = re.compile(rf"[A-Za-z0-9{re.escape(_PATH)}]*").fullmatch
_PORTS = {"https": 443, "http": 80}


class Request:
    """An HTTP request. `answer` says how its response has to look, `streams` whether it may be sent as it is made."""

    __slots__ = (
        "answer",
        "body",
        "client",
        "headers",
        "http_version",
        "method",
        "path",
        "query_string",
        "raw_path",
        "root_path",
        "scheme",
        "server",
        "streams",
    )

    def __init__(self, answer: str, method: str, headers: Headers, body: bytes) -> None:
        self.answer = answer
        self.method = method
        self.headers = headers
        self.body = body
        self.streams = False
        self.http_version = "1.1"
        self.path = self.root_path = ""
        self.raw_path = self.query_string = b""
        self.client: tuple[str, int] | None = None
        self.scheme, self.server = _scheme_and_server(headers)

    def set_path(self, text: str, encoded: bool, prefix: str, base_path: str) -> None:
        """`text` is the path with `prefix`, where the application is mounted as far as the event tells; `base_path` is
        how much more of it there is by configuration.
        """
        text = text or "/"
        if _is_plain_path(text) is not None:
            path, raw_path = text, text.encode("ascii")
        elif encoded:
            path, raw_path = unquote(text), quote(text, _PATH + "%").encode("ascii")
        else:
            path, raw_path = text, quote(text, _PATH).encode("ascii")
        if base_path and _is_below(path[len(prefix) :], base_path):
            prefix += base_path
        self.path, self.raw_path, self.root_path = path, raw_path, prefix


def read_event(event: Any, web: WebConfig) -> Request:
    """The request that `event` is. Raises FaultError for an event that is none, unless there is a path for those."""
    about = event.get("requestContext") if type(event) is dict else None
    if type(about) is dict:
        if "http" in about:
            return _read_v2(event, about, web)
        if "httpMethod" in event:
            return _read_alb(event, web) if "elb" in about else _read_v1(event, about, web)
    is_socket = type(about) is dict and "connectionId" in about
    if not web.events_path:
        what = "a message of a WebSocket API" if is_socket else "no HTTP request"
        raise FaultError(
            ErrorType.NOT_HTTP,
            f"the event is {what}; LMI_FAST_HTTP_EVENTS_PATH makes POST requests of such events",
        )
    return _wrap(event, SOCKET if is_socket else EVENT, web.events_path)


def _read_v2(event: dict[str, Any], about: dict[str, Any], web: WebConfig) -> Request:
    """HTTP APIs with payload format 2.0, and function URLs."""
    http = about["http"]
    headers = [(_bytes(name.lower()), _bytes(value)) for name, value in (event.get("headers") or {}).items()]
    if cookies := event.get("cookies"):
        headers = [pair for pair in headers if pair[0] != b"cookie"]  # function URLs have them twice
        headers.append((b"cookie", _bytes("; ".join(cookies))))
    request = Request(V2, http["method"], *_body(event, headers))
    is_url = ".lambda-url." in (about.get("domainName") or "")
    path = event.get("rawPath") or http.get("path") or "/"
    stage = f"/{about.get('stage')}"
    prefix = stage if stage != "/$default" and not is_url and _is_below(path, stage) else ""
    request.set_path(path, is_url, prefix, web.base_path)
    query = event.get("rawQueryString") or ""
    request.query_string = quote(query, _QUERY).encode("ascii")
    request.streams = is_url  # HTTP APIs cannot
    request.client = _client(http.get("sourceIp"))
    request.http_version = _version(http.get("protocol"))
    _name_server(request, about)
    return request


def _read_v1(event: dict[str, Any], about: dict[str, Any], web: WebConfig) -> Request:
    """REST APIs, and HTTP APIs with payload format 1.0."""
    request = Request(V1, event["httpMethod"], *_body(event, _headers(event)))
    # Only HTTP APIs tell a version; and the stage is in `path` there, as it is with payload format 2.0.
    is_rest = "version" not in event
    path = event.get("path") or "/"
    stage = f"/{about.get('stage')}"
    prefix = ""
    if is_rest:
        # Behind a custom domain neither has the stage, and both have the base path.
        if about.get("path") == stage + path:
            path, prefix = stage + path, stage
    elif stage != "/$default" and _is_below(path, stage):
        prefix = stage
    request.set_path(path, is_rest, prefix, web.base_path)
    request.query_string = urlencode(_query(event)).encode("ascii")
    request.streams = is_rest
    request.client = _client((about.get("identity") or {}).get("sourceIp"))
    request.http_version = _version(about.get("protocol"))
    _name_server(request, about)
    return request


def _read_alb(event: dict[str, Any], web: WebConfig) -> Request:
    """Application Load Balancers, with multi-value headers or without."""
    answer = ALB_MULTI if "multiValueHeaders" in event else ALB
    request = Request(answer, event["httpMethod"], *_body(event, _headers(event)))
    request.set_path(event.get("path") or "/", True, "", web.base_path)
    request.query_string = quote("&".join(f"{name}={value}" for name, value in _query(event)), _QUERY).encode("ascii")
    for name, value in request.headers:
        if name == b"x-forwarded-for":  # the load balancer appends the peer it sees to what the caller may have made up
            request.client = _client(value.decode("latin-1").rpartition(",")[2].strip())
    return request


def _wrap(event: Any, answer: str, path: str) -> Request:
    """Any other event as the body of a POST."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    content_type = b"application/octet-stream" if isinstance(event, bytes) else b"application/json"
    headers = [
        (b"host", b"localhost"),
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
    ]
    request = Request(answer, "POST", headers, body)
    request.set_path(path, True, "", "")
    return request


def _headers(event: dict[str, Any]) -> Headers:
    many = event.get("multiValueHeaders")
    if many:
        return [(_bytes(name.lower()), _bytes(value)) for name, values in many.items() for value in values]
    return [(_bytes(name.lower()), _bytes(value)) for name, value in (event.get("headers") or {}).items()]


def _query(event: dict[str, Any]) -> list[tuple[str, str]]:
    many = event.get("multiValueQueryStringParameters")
    if many:
        return [(name, value) for name, values in many.items() for value in values]
    return list((event.get("queryStringParameters") or {}).items())


def _body(event: dict[str, Any], headers: Headers) -> tuple[Headers, bytes]:
    """The body, and the headers with its true length: REST APIs leave that out, and chunks are put together already."""
    text = event.get("body")
    if not text:
        return headers, b""
    body = b64decode(text) if event.get("isBase64Encoded") else text.encode("utf-8", "surrogatepass")
    headers = [pair for pair in headers if pair[0] not in (b"content-length", b"transfer-encoding")]
    headers.append((b"content-length", b"%d" % len(body)))
    return headers, body


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _scheme_and_server(headers: Headers) -> tuple[str, tuple[str, int | None] | None]:
    scheme, host, port = "https", "", ""
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"x-forwarded-proto":
            scheme = value.decode("latin-1").partition(",")[0].strip() or scheme
        elif name == b"x-forwarded-port":
            port = value.decode("latin-1")
    if not host:
        return scheme, None
    name_, colon, own_port = host.rpartition(":")
    if colon and own_port.isdecimal():
        host, port = name_, own_port
    return scheme, (host, int(port[:5]) if port.isdecimal() else _PORTS.get(scheme, 443))


def _name_server(request: Request, about: dict[str, Any]) -> None:
    """For callers that send no Host, such as the test button of the console."""
    if request.server is None and about.get("domainName"):
        request.server = (about["domainName"], _PORTS.get(request.scheme, 443))


def _client(address: str | None) -> tuple[str, int] | None:
    """The caller, whose port only load balancers can be made to tell: else it is 0."""
    if not address:
        return None
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port[:5])
    return address, 0


def _version(protocol: str | None) -> str:
    version = (protocol or "").partition("/")[2] or "1.1"
    return "2" if version == "2.0" else version


def _is_below(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")
