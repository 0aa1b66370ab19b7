"""Responses -> what each integration takes for one."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator

from ..errors import ErrorType, FaultError
from .events import ALB, ALB_MULTI, EVENT, SOCKET, V2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Headers = list[tuple[str, str]]

# Content types whose bodies are text, besides text/* and all that ends so.
_TEXT = frozenset({
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/ndjson",
    "application/toml",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
})  # fmt: skip
_TEXT_ENDINGS = ("+json", "+xml", "+text", "+yaml")
_SHOWN = 500  # characters of a response that is an error


def make_answer(kind: str, status: int, headers: Headers, body: bytes) -> Any:
    """What the handler returns for a response. `headers` are in lower case.

    Raises FaultError when an event that is no HTTP request was not answered with 2xx: its invocation failed.
    """
    if kind == EVENT:
        return _result(status, body)
    text, is_base64 = encode_body(headers, body)
    answer: dict[str, Any] = {"statusCode": status, "body": text, "isBase64Encoded": is_base64}
    if kind == V2:
        cookies = [value for name, value in headers if name == "set-cookie"]
        if cookies:
            answer["cookies"] = cookies
            headers = [pair for pair in headers if pair[0] != "set-cookie"]
        answer["headers"] = _joined(headers)
    elif kind == ALB:
        answer["headers"] = _joined(headers) | dict(_cased_cookies(headers))
    elif kind == ALB_MULTI:
        answer["multiValueHeaders"] = _listed(headers)
    elif kind != SOCKET:
        listed = _listed(headers)
        answer["headers"] = {name: values[0] for name, values in listed.items() if len(values) == 1}
        answer["multiValueHeaders"] = {name: values for name, values in listed.items() if len(values) > 1}
    return answer


def split_cookies(headers: Headers) -> tuple[Headers, list[str]]:
    """The headers without cookies, and the cookies: what StreamingResponse wants."""
    cookies = [value for name, value in headers if name == "set-cookie"]
    return ([pair for pair in headers if pair[0] != "set-cookie"] if cookies else headers), cookies


def encode_body(headers: Iterable[tuple[str, str]], body: bytes) -> tuple[str, bool]:
    """The body as text, and whether that is base64: for what says that it is no text, or is none in fact."""
    if not body:
        return "", False
    if _says_text(headers):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return b64encode(body).decode("ascii"), True


def _says_text(headers: Iterable[tuple[str, str]]) -> bool:
    is_text = True  # the bytes decide where there is no content type
    for name, value in headers:
        if name == "content-type":
            kind = value.partition(";")[0].strip().lower()
            is_text = kind.startswith("text/") or kind in _TEXT or kind.endswith(_TEXT_ENDINGS)
        elif name == "content-encoding" and value.lower() != "identity":
            return False
    return is_text


def _joined(headers: Headers) -> dict[str, str]:
    """One value for each name; a list in one line means the same (RFC 9110, 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _listed(headers: Headers) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {}
    for name, value in headers:
        listed.setdefault(name, []).append(value)
    return listed


def _cased_cookies(headers: Headers) -> Iterator[tuple[str, str]]:
    """Cookies cannot be joined: each gets a spelling of its own of the name, which the load balancer passes on."""
    cookies = [value for name, value in headers if name == "set-cookie"]
    for number, value in enumerate(cookies):
        letters = [letter.upper() if number >> place & 1 else letter for place, letter in enumerate("setcookie")]
        yield f"{''.join(letters[:3])}-{''.join(letters[3:])}", value


def _result(status: int, body: bytes) -> Any:
    if not 200 <= status <= 299:
        shown = body[:_SHOWN].decode("utf-8", "replace")
        raise FaultError(ErrorType.EVENT_FAILED, f"the application answered the event with {status}: {shown}")
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
