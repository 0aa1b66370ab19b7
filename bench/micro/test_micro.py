"""The steps of the hot path, as pytest-benchmark cases on the twins that are live in this process.

LMI_FAST_TWINS decides which those are, and a process has but one kind; `python -m bench.micro` runs both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import lmi_fast
from bench.events import event
from bench.places import Unavailable
from lmi_fast.config import Config
from lmi_fast.context import Context
from lmi_fast.runtime.invoker import Invoker
from lmi_fast.wire.codec import JSON, decode_event, encode_result
from lmi_fast.wire.http1 import Reader
from lmi_fast.wire.invocation import Invocation
from lmi_fast.wire.reply import Reply
from lmi_fast.wire.requests import Requests

EVENTS = ("200 B", "API Gateway HTTP", "100 KB of records")
RESULT = {"statusCode": 200, "body": "ok"}
KIND = "compiled" if lmi_fast.COMPILED else "pure"
CONFIG = Config(
    "app.handler",
    {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_LAMBDA_MAX_CONCURRENCY": "16",
        "AWS_LAMBDA_FUNCTION_NAME": "test_function",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/test_function",
        "AWS_LAMBDA_LOG_STREAM_NAME": "$LATEST",
    },
)
# What the Runtime API sends in front of an event: its headers, and Go's own.
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Lambda-Runtime-Aws-Request-Id: 8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11\r\n"
    b"Lambda-Runtime-Deadline-Ms: 1800000000000\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:test_function\r\n"
    b"Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n"
    b"Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
)
ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
    b'Content-Length: 16\r\n\r\n{"status":"OK"}\n'
)
CHUNK = 4096  # what a Go server writes at once


@pytest.fixture
def timed(benchmark: BenchmarkFixture) -> BenchmarkFixture:
    """A benchmark that says which twins it is of. The comparison of saved runs goes by the name of the test, and each
    kind is saved under a name of its own.
    """
    benchmark.group = KIND
    benchmark.extra_info["twins"] = KIND
    return benchmark


def whole(body: bytes) -> bytes:
    """The reply that brings an event, with its length."""
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes) -> bytes:
    """The reply that brings an event, in chunks."""
    parts = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in [*parts, b""])


def receive(reader: Reader, data: memoryview) -> Reply | None:
    """Hands `data` to the reader as recv_into() would: as much as there is room for, again and again."""
    reply = None
    while data:
        room = reader.buffer()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        reply = reader.received(count)
        data = data[count:]
    return reply


def sample(name: str) -> bytes:
    try:
        return event(name)
    except Unavailable as error:
        pytest.skip(str(error))


def an_event() -> Reply:
    reply = receive(Reader(bytearray(1 << 16)), memoryview(whole(event("200 B"))))
    assert reply is not None
    return reply


REPLIES: dict[str, Callable[[], bytes]] = {
    "event-200B": lambda: whole(event("200 B")),
    "202": lambda: ACCEPTED,
    "event-100KB-chunked": lambda: chunked(event("100 KB of records")),
}


@pytest.mark.parametrize("name", REPLIES)
def test_read_reply(timed: BenchmarkFixture, name: str) -> None:
    data = memoryview(REPLIES[name]())
    reader = Reader(bytearray(1 << 16))
    reply = cast("Reply | None", timed(receive, reader, data))
    assert reply is not None
    assert reply.status in (200, 202)
    assert reader.is_idle()


def test_make_invocation(timed: BenchmarkFixture) -> None:
    assert timed(Invocation, an_event()).event == event("200 B")


def test_build_request(timed: BenchmarkFixture) -> None:
    requests, one = Requests(CONFIG.runtime_api), Invocation(an_event())
    assert timed(requests.response, one, b"{}", JSON).head.endswith(b"Content-Length: 2\r\n\r\n")


@pytest.mark.parametrize("name", EVENTS)
def test_decode_event(timed: BenchmarkFixture, name: str) -> None:
    assert isinstance(timed(decode_event, sample(name), JSON), dict)


@pytest.mark.parametrize("name", EVENTS)
def test_encode_result(timed: BenchmarkFixture, name: str) -> None:
    value = decode_event(sample(name), JSON)
    body, content_type = timed(encode_result, value)
    assert content_type == JSON
    assert decode_event(body, JSON) == value


def test_make_context(timed: BenchmarkFixture) -> None:
    assert timed(Context, Invocation(an_event()), CONFIG).aws_request_id == "8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11"


def test_invocation(timed: BenchmarkFixture) -> None:
    """From the reply of a poll to the answer to be sent; no sockets, no event loop."""

    def handler(event: Any, context: Any) -> Any:
        return RESULT

    invoker = Invoker(handler, CONFIG, Requests(CONFIG.runtime_api), lambda fields: None)
    reply = an_event()

    def serve() -> bytes:
        one = Invocation(reply)  # has its event taken out of it when it begins
        given, context = invoker.begin(one)
        return invoker.succeed(one, invoker.handler(given, context)).body

    assert timed(serve) == b'{"statusCode":200,"body":"ok"}'
