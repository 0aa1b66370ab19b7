"""Events -> requests: as AWS documents them, and what is odd in each."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from lmi_fast.config import WebConfig
from lmi_fast.errors import FaultError
from lmi_fast.http.events import ALB, ALB_MULTI, EVENT, SOCKET, V1, V2, Request, read_event

from . import samples
from .gateways import Sent, function_url, http_api, http_api_1, load_balancer, load_balancer_multi, rest_api

PLAIN = WebConfig({})


def read(event: Any, **variables: str) -> Request:
    return read_event(copy.deepcopy(event), WebConfig(variables))


DOCUMENTED = {
    "rest-api": (samples.REST_API, V1, True, "GET", "/my/path", ("192.0.2.1", 0), "https",
                 ("id.execute-api.us-east-1.amazonaws.com", 443)),
    "http-api-1": (samples.HTTP_API_1, V1, False, "GET", "/my/path", ("192.0.2.1", 0), "https",
                   ("id.execute-api.us-east-1.amazonaws.com", 443)),
    "http-api": (samples.HTTP_API, V2, False, "POST", "/my/path", ("192.0.2.1", 0), "https",
                 ("id.execute-api.us-east-1.amazonaws.com", 443)),
    "function-url": (samples.FUNCTION_URL, V2, True, "POST", "/my/path", ("123.123.123.123", 0), "https",
                     ("<url-id>.lambda-url.us-west-2.on.aws", 443)),
    "alb": (samples.LOAD_BALANCER, ALB, False, "GET", "/lambda", ("72.12.164.125", 0), "http",
            ("lambda-alb-123578498.us-east-2.elb.amazonaws.com", 80)),
    "alb-multi": (samples.LOAD_BALANCER_MULTI, ALB_MULTI, False, "GET", "/", None, "https", None),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_events(name: str) -> None:
    event, answer, streams, *rest = DOCUMENTED[name]
    request = read(event)
    assert (request.answer, request.streams, request.http_version) == (answer, streams, "1.1")
    assert [request.method, request.path, request.client, request.scheme, request.server] == rest
    assert (request.raw_path, request.root_path) == (request.path.encode(), "")


def test_headers_and_queries_of_the_documented_events() -> None:
    rest = read(samples.REST_API)
    assert rest.headers[:3] == [(b"header1", b"value1"), (b"header2", b"value1"), (b"header2", b"value2")]
    assert rest.query_string == b"parameter1=value1&parameter1=value2&parameter2=value"
    assert rest.body == b"Hello from Lambda!"
    two = read(samples.HTTP_API)
    assert (b"header2", b"value1,value2") in two.headers
    assert (b"cookie", b"cookie1; cookie2") in two.headers
    assert two.query_string == b"parameter1=value1&parameter1=value2&parameter2=value"
    multi = read(samples.LOAD_BALANCER_MULTI)
    assert multi.headers == [(b"cookie", b"name1=value1;name2=value2"), (b"x-forwarded-proto", b"https")]
    assert multi.query_string == b"myKey=val1&myKey=val2"


# The path a client sends, and what HTTP APIs make of it: captured (hotsock/voker, ingress-paths.json).
PATHS = {
    "/plain": "/plain",
    "/space%20value": "/space value",
    "/hash%23value": "/hash#value",
    "/slash%2Fvalue": "/slash/value",
    "/%CE%BB-%E4%B8%96": "/\u03bb-\u4e16",
    "/plus+%2B": "/plus++",
    "/tilde~!$&'()*,;=:@": "/tilde~!$&'()*,;=:@",
}


@pytest.mark.parametrize("sent", PATHS)
@pytest.mark.parametrize("make", [rest_api, function_url, load_balancer, load_balancer_multi])
def test_paths_that_come_encoded(sent: str, make: Any) -> None:
    request = read(make(Sent(path=sent)))
    assert (request.path, request.raw_path) == (PATHS[sent], sent.encode())


@pytest.mark.parametrize("sent", [*PATHS, "/percent%25done", "/percent%252Fdone"])
@pytest.mark.parametrize("make", [http_api, http_api_1])
def test_paths_that_come_decoded_are_not_decoded_again(sent: str, make: Any) -> None:
    event = make(Sent(path=sent))
    request = read(event)
    assert request.path == (event.get("rawPath") or event["path"])
    assert b" " not in request.raw_path
    assert read(function_url(Sent(path=request.raw_path.decode()))).path == request.path


def test_what_no_client_should_have_sent_is_a_path_all_the_same() -> None:
    event = function_url(Sent(path="/a b\u00fc%"))
    request = read(event)
    assert (request.path, request.raw_path) == ("/a b\u00fc%", b"/a%20b%C3%BC%")
    for make in (rest_api, load_balancer):
        assert read(make(Sent()) | {"path": ""}).path == "/"


STAGES = [
    (http_api(Sent(path="/x/y"), "dev"), "/dev/x/y", "/dev"),
    (http_api(Sent(path=""), "dev"), "/dev", "/dev"),
    (http_api_1(Sent(path="/x/y"), "dev"), "/dev/x/y", "/dev"),
    (rest_api(Sent(path="/x/y"), "dev", own_domain=False), "/dev/x/y", "/dev"),
    (rest_api(Sent(path="/dev/y"), "dev", own_domain=False), "/dev/dev/y", "/dev"),
    # Behind a domain of one's own there is no stage, whatever the first segment is called.
    (http_api(Sent(path="/x/y"), "dev") | {"rawPath": "/devil/y"}, "/devil/y", ""),
    (rest_api(Sent(path="/dev/y"), "dev"), "/dev/y", ""),
    (function_url(Sent(path="/$default/y")), "/$default/y", ""),
]  # fmt: skip


@pytest.mark.parametrize(("event", "path", "root_path"), STAGES)
def test_the_stage_is_where_the_application_is_mounted(event: Any, path: str, root_path: str) -> None:
    request = read(event)
    assert (request.path, request.root_path) == (path, root_path)


def test_a_base_path_is_too() -> None:
    for make in (rest_api, http_api, http_api_1, function_url, load_balancer):
        request = read(make(Sent(path="/shop/x")), LMI_FAST_HTTP_BASE_PATH="/shop")
        assert (request.path, request.root_path) == ("/shop/x", "/shop"), make
        assert read(make(Sent(path="/shopping")), LMI_FAST_HTTP_BASE_PATH="/shop").root_path == ""
    staged = read(http_api(Sent(path="/shop/x"), "dev"), LMI_FAST_HTTP_BASE_PATH="/shop")
    assert (staged.path, staged.root_path) == ("/dev/shop/x", "/dev/shop")


def test_queries() -> None:
    query = "a=1&a=2&b=c%20d&e=f%3Dg&h=&i=j+k&l=m%2Bn&%C3%BC=%26"
    assert read(http_api(Sent(query=query))).query_string == query.encode()
    assert read(function_url(Sent(query=query))).query_string == query.encode()
    assert read(load_balancer_multi(Sent(query=query))).query_string == query.encode()
    decoded = b"a=1&a=2&b=c+d&e=f%3Dg&h=&i=j+k&l=m%2Bn&%C3%BC=%26"
    assert read(rest_api(Sent(query=query))).query_string == decoded
    assert read(http_api_1(Sent(query=query))).query_string == decoded
    single = rest_api(Sent(query="a=1&b=2"))
    del single["multiValueQueryStringParameters"]
    assert read(single).query_string == b"a=1&b=2"
    assert read(http_api(Sent(query="a=\u00fc d"))).query_string == b"a=%C3%BC%20d"


def test_bodies() -> None:
    image = bytes(range(256))
    for make in (rest_api, http_api, function_url, load_balancer):
        request = read(make(Sent("POST", body=image)))
        assert request.body == image
        assert request.headers.count((b"content-length", b"256")) == 1
        assert read(make(Sent("POST", body="\u00fc".encode()))).body == "\u00fc".encode()
        assert read(make(Sent("POST"))).body == b""
    event = http_api(Sent("POST", headers=[("transfer-encoding", "chunked")]))
    event |= {"body": base64.b64encode(b"abc").decode(), "isBase64Encoded": True}
    names = [name for name, _ in read(event).headers]
    assert (names.count(b"transfer-encoding"), names.count(b"content-length")) == (0, 1)


def test_cookies_come_once() -> None:
    sent = Sent(headers=[("cookie", "a=1; b=2")])
    for make in (rest_api, http_api, http_api_1, function_url, load_balancer, load_balancer_multi):
        assert [value for name, value in read(make(sent)).headers if name == b"cookie"] == [b"a=1; b=2"], make


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("203.0.113.9", ("203.0.113.9", 0)),
        ("1.2.3.4, 203.0.113.9", ("203.0.113.9", 0)),  # the first is what the caller says
        ("203.0.113.9:5555", ("203.0.113.9", 5555)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("", None),
    ],
)
def test_the_caller_of_a_load_balancer(value: str, client: Any) -> None:
    event = load_balancer(Sent())
    event["headers"]["x-forwarded-for"] = value
    assert read(event).client == client


@pytest.mark.parametrize(
    ("headers", "scheme", "server"),
    [
        ({"host": "a.test"}, "https", ("a.test", 443)),
        ({"Host": "a.test:8443"}, "https", ("a.test", 8443)),
        ({"host": "[::1]:80", "x-forwarded-proto": "http"}, "http", ("[::1]", 80)),
        ({"host": "a.test", "X-Forwarded-Proto": "http", "x-forwarded-port": "81"}, "http", ("a.test", 81)),
        ({"host": "a.test", "x-forwarded-port": "no number"}, "https", ("a.test", 443)),
        ({}, "https", ("api.example.test", 443)),
    ],
)
def test_the_server(headers: dict[str, str], scheme: str, server: Any) -> None:
    request = read(http_api(Sent()) | {"headers": headers})
    assert (request.scheme, request.server) == (scheme, server)


def test_http_versions() -> None:
    event = http_api(Sent())
    for protocol, version in (("HTTP/2.0", "2"), ("HTTP/1.0", "1.0"), (None, "1.1")):
        event["requestContext"]["http"]["protocol"] = protocol
        assert read(event).http_version == version


def test_the_test_button_of_the_console() -> None:
    """It sends null for whatever has not been filled in."""
    event = rest_api(Sent()) | {"headers": None, "multiValueHeaders": None}
    request = read(event)
    assert (request.headers, request.server) == ([], ("api.example.test", 443))


def test_header_values_beyond_latin() -> None:
    event = http_api(Sent()) | {"headers": {"x-a": "gr\u00fc\u00df", "x-b": "\u4e16"}}
    assert read(event).headers == [(b"x-a", b"gr\xfc\xdf"), (b"x-b", "\u4e16".encode())]


@pytest.mark.parametrize("event", [samples.QUEUE, {}, [], None, "text", b"bytes", {"requestContext": 1}])
def test_other_events_are_refused(event: Any) -> None:
    with pytest.raises(FaultError, match="no HTTP request; LMI_FAST_HTTP_EVENTS_PATH") as caught:
        read(event)
    assert caught.value.error_type == "Runtime.NotHttp"
    request = read(event, LMI_FAST_HTTP_EVENTS_PATH="/events")
    assert (request.answer, request.method, request.path, request.streams) == (EVENT, "POST", "/events", False)


@pytest.mark.parametrize("event", [samples.SOCKET_CONNECT, samples.SOCKET_MESSAGE])
def test_messages_of_web_socket_apis(event: Any) -> None:
    with pytest.raises(FaultError, match="a message of a WebSocket API"):
        read(event)
    request = read(event, LMI_FAST_HTTP_EVENTS_PATH="/events")
    assert (request.answer, request.path) == (SOCKET, "/events")
