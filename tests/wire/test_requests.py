"""Every request lmi_fast can make, read by h11 as a server would."""

from __future__ import annotations

from urllib.parse import unquote

import h11
import pytest

from lmi_fast.wire.invocation import Invocation
from lmi_fast.wire.requests import USER_AGENT, Post, Requests

from .readers import reply

REQUESTS = Requests("127.0.0.1:9001")


def invocation(request_id: str = "8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11", invocation_id: str = "") -> Invocation:
    headers = {"lambda-runtime-aws-request-id": request_id, "lambda-runtime-invocation-id": invocation_id}
    return Invocation(reply(headers))


def read_as_server(data: bytes) -> tuple[h11.Request, bytes]:
    """The one request in `data`; fails on anything less or more."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    body = b""
    while True:
        event = server.next_event()
        if isinstance(event, h11.EndOfMessage):
            break
        assert isinstance(event, h11.Data)
        body += event.data
    assert server.trailing_data == (b"", False)
    headers = [name for name, _ in request.headers]
    assert len(headers) == len(set(headers))
    assert dict(request.headers)[b"host"] == b"127.0.0.1:9001"
    assert dict(request.headers)[b"user-agent"] == USER_AGENT.encode()
    return request, body


def test_next() -> None:
    request, body = read_as_server(REQUESTS.next)
    assert (request.method, request.target, body) == (b"GET", b"/2018-06-01/runtime/invocation/next", b"")


@pytest.mark.parametrize("body", [b"", b"{}", bytes(range(256)) * 300])
def test_response(body: bytes) -> None:
    post = REQUESTS.response(invocation(), body, "application/unknown")
    request, read_body = read_as_server(post.head + post.body)
    assert request.method == b"POST"
    assert request.target == b"/2018-06-01/runtime/invocation/8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11/response"
    assert read_body == body
    headers = dict(request.headers)
    assert headers[b"content-type"] == b"application/unknown"
    assert b"lambda-runtime-invocation-id" not in headers


def test_error() -> None:
    post = REQUESTS.error(invocation(invocation_id="n-1"), b'{"errorType": "X"}', "Function.X", '{"paths": []}')
    request, body = read_as_server(post.head + post.body)
    assert request.target == b"/2018-06-01/runtime/invocation/8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11/error"
    assert body == b'{"errorType": "X"}'
    headers = dict(request.headers)
    assert headers[b"lambda-runtime-function-error-type"] == b"Function.X"
    assert headers[b"lambda-runtime-function-xray-error-cause"] == b'{"paths": []}'
    assert headers[b"lambda-runtime-invocation-id"] == b"n-1"


def test_error_without_a_cause_has_no_empty_header() -> None:
    post = REQUESTS.error(invocation(), b"{}", "Function.X", "")
    request, _ = read_as_server(post.head + post.body)
    assert b"lambda-runtime-function-xray-error-cause" not in dict(request.headers)


@pytest.mark.parametrize(
    "odd", ["a b", "a/b", "../next", "a?b#c", "100%", "é", "\u20ac x", 'quote"', "a$&+,:;=@z", "a!'()*[]z"]
)
def test_a_request_id_is_one_segment_of_the_path(odd: str) -> None:
    posts: list[Post] = [
        REQUESTS.response(invocation(odd), b"", "application/json"),
        REQUESTS.error(invocation(odd), b"", "Function.X", ""),
    ]
    for post in posts:
        segments = read_as_server(post.head)[0].target.decode().split("/")
        assert unquote(segments[4]) == odd
        assert len(segments) == 6


def test_a_post_says_what_it_is_about() -> None:
    assert repr(REQUESTS.response(invocation("a"), b"{}", "x")) == "Post(the response of invocation a, 2 bytes)"


def test_the_release_fits_the_platforms_field() -> None:
    assert len(USER_AGENT) <= 128
    assert " " not in USER_AGENT
