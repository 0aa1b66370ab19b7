"""Responses -> what each integration takes for one."""

from __future__ import annotations

import base64

import pytest

from lmi_fast.errors import FaultError
from lmi_fast.http.answers import encode_body, make_answer, split_cookies
from lmi_fast.http.events import ALB, ALB_MULTI, EVENT, SOCKET, V1, V2

HEADERS = [
    ("content-type", "text/plain"),
    ("set-cookie", "a=1; Path=/, x"),
    ("vary", "accept"),
    ("set-cookie", "b=2"),
    ("vary", "cookie"),
]


def test_payload_format_2() -> None:
    assert make_answer(V2, 201, HEADERS, b"hi") == {
        "statusCode": 201,
        "headers": {"content-type": "text/plain", "vary": "accept, cookie"},
        "cookies": ["a=1; Path=/, x", "b=2"],
        "body": "hi",
        "isBase64Encoded": False,
    }
    assert "cookies" not in make_answer(V2, 200, [], b"")


def test_payload_format_1() -> None:
    assert make_answer(V1, 201, HEADERS, b"hi") == {
        "statusCode": 201,
        "headers": {"content-type": "text/plain"},
        "multiValueHeaders": {"set-cookie": ["a=1; Path=/, x", "b=2"], "vary": ["accept", "cookie"]},
        "body": "hi",
        "isBase64Encoded": False,
    }


def test_load_balancers() -> None:
    """Without multi-value headers, cookies are told apart by the spelling of their header."""
    assert make_answer(ALB, 201, HEADERS, b"hi") == {
        "statusCode": 201,
        "headers": {
            "content-type": "text/plain",
            "set-cookie": "a=1; Path=/, x",
            "Set-cookie": "b=2",
            "vary": "accept, cookie",
        },
        "body": "hi",
        "isBase64Encoded": False,
    }
    assert make_answer(ALB_MULTI, 201, HEADERS, b"hi") == {
        "statusCode": 201,
        "multiValueHeaders": {
            "content-type": ["text/plain"],
            "set-cookie": ["a=1; Path=/, x", "b=2"],
            "vary": ["accept", "cookie"],
        },
        "body": "hi",
        "isBase64Encoded": False,
    }
    many = make_answer(ALB, 200, [("set-cookie", str(number)) for number in range(100)], b"")["headers"]
    assert sorted(map(int, many.values())) == list(range(100))
    assert {name.lower() for name in many} == {"set-cookie"}


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("content_type", "encoding", "body", "is_base64"),
    [
        ("text/plain", None, b"hi", False),
        ("Text/HTML; charset=utf-8", None, "\u00fc".encode(), False),
        ("application/json", None, b"{}", False),
        ("application/problem+json; charset=x", None, b"{}", False),
        ("image/svg+xml", None, b"<svg/>", False),
        ("application/x-ndjson", None, b"{}\n", False),
        ("text/event-stream", None, b"data: 1\n\n", False),
        (None, None, b"hi", False),
        (None, None, PNG, True),
        ("text/plain; charset=latin-1", None, "\u00fc".encode("latin-1"), True),
        ("image/png", None, PNG, True),
        ("image/png", None, b"ascii", True),
        ("application/octet-stream", None, b"ascii", True),
        ("application/json", "gzip", b"\x1f\x8b", True),
        ("text/plain", "br", b"ascii", True),
        ("text/plain", "identity", b"hi", False),
        ("image/png", None, b"", False),
    ],
)
def test_base64(content_type: str | None, encoding: str | None, body: bytes, is_base64: bool) -> None:
    headers = [("content-type", content_type)] if content_type else []
    headers += [("content-encoding", encoding)] if encoding else []
    text, said = encode_body(headers, body)
    assert said == is_base64
    assert (base64.b64decode(text) if said else text.encode()) == body


def test_other_events() -> None:
    json = [("content-type", "application/json")]
    assert make_answer(EVENT, 200, json, b'{"batchItemFailures": []}') == {"batchItemFailures": []}
    assert make_answer(EVENT, 204, [], b"") is None
    assert make_answer(EVENT, 200, [("content-type", "text/plain")], b"done") == "done"
    for status in (199, 302, 404, 500):
        with pytest.raises(FaultError, match=f"answered the event with {status}: no such thing") as caught:
            make_answer(EVENT, status, json, b"no such thing")
        assert caught.value.error_type == "Function.EventFailed"


def test_messages_of_web_socket_apis() -> None:
    """Their status decides, on $connect, whether there is a connection."""
    assert make_answer(SOCKET, 403, HEADERS, b"no") == {"statusCode": 403, "body": "no", "isBase64Encoded": False}


def test_what_a_stream_is_told() -> None:
    headers, cookies = split_cookies(HEADERS)
    assert cookies == ["a=1; Path=/, x", "b=2"]
    assert headers == [("content-type", "text/plain"), ("vary", "accept"), ("vary", "cookie")]
    assert split_cookies(headers) == (headers, [])
