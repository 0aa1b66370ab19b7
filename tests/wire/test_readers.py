"""Each reader on replies as the Runtime API sends them, and on some it should never send."""

from __future__ import annotations

from typing import Any

import pytest

from lmi_fast.wire.reply import MAX_BODY, MAX_FAST_HEAD

from .readers import SCRATCH, cut, read, reader_class, unfinished

# As the emulator of aws-sam-cli 1.170 writes it.
NEXT = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/json\r\n"
    b"Lambda-Runtime-Aws-Request-Id: 8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11\r\n"
    b"Lambda-Runtime-Deadline-Ms: 1795330471000\r\n"
    b"Lambda-Runtime-Invocation-Id: 5d1c8f3e\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:012345678912:function:test_function\r\n"
    b"Lambda-Runtime-Trace-Id: Root=1-5b9c2d3e-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1\r\n"
    b"Date: Sat, 21 Nov 2026 07:00:00 GMT\r\n"
)
HEADERS = {
    "content-type": "application/json",
    "lambda-runtime-aws-request-id": "8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11",
    "lambda-runtime-deadline-ms": "1795330471000",
    "lambda-runtime-invocation-id": "5d1c8f3e",
    "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:012345678912:function:test_function",
    "lambda-runtime-trace-id": "Root=1-5b9c2d3e-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1",
}
WITH_LENGTH = NEXT + b'Content-Length: 9\r\n\r\n{"a": 17}'
CHUNKED = NEXT + b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n5\r\n: 17}\r\n0\r\n\r\n'
EVENT = (200, HEADERS, b'{"a": 17}', True)
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
OK = (202, {"content-type": "application/json"}, b'{"status":"OK"}\n', True)


@pytest.mark.parametrize("reply", [WITH_LENGTH, CHUNKED])
def test_event_whole_and_byte_by_byte(kind: str, reply: bytes) -> None:
    assert read(kind, [reply]) == [EVENT, "end"]
    assert read(kind, [reply], scratch_size=1 << 16) == [EVENT, "end"]
    assert read(kind, cut(reply, range(len(reply)))) == [EVENT, "end"]
    for place in range(len(reply)):
        assert read(kind, cut(reply, [place]), scratch_size=1 << 16) == [EVENT, "end"]


@pytest.mark.parametrize("scratch", [3, 64, 1 << 16])
def test_several_replies_in_one_piece(kind: str, scratch: int) -> None:
    stream = ACCEPTED + CHUNKED + ACCEPTED + WITH_LENGTH + CHUNKED
    assert read(kind, [stream], scratch) == [OK, EVENT, OK, EVENT, EVENT, "end"]


def test_header_names_in_any_case(kind: str) -> None:
    head, _, body = WITH_LENGTH.partition(b"\r\n\r\n")
    upper = b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(
        name.upper() + b":" + value for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    )
    assert read(kind, [upper + b"\r\n\r\n" + body]) == [EVENT, "end"]
    lower = upper.replace(b"LAMBDA", b"lambda").replace(b"CONTENT", b"conTenT")
    assert read(kind, [lower + b"\r\n\r\n" + body]) == [EVENT, "end"]


@pytest.mark.parametrize("size", [0, 1, SCRATCH - 1, SCRATCH, 10 * SCRATCH + 1, 300_000])
def test_bodies_of_every_size(kind: str, size: int) -> None:
    body = bytes(i * 7 % 256 for i in range(size))
    with_length = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
    assert read(kind, [with_length]) == [(200, {}, body, True), "end"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[i : i + 2048]), body[i : i + 2048]) for i in range(0, size, 2048))
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    assert read(kind, [chunked]) == [(200, {}, body, True), "end"]
    assert read(kind, cut(chunked, range(0, len(chunked), 1000))) == [(200, {}, body, True), "end"]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 5, 5", b"hello"),
        (b"Content-Length: 5\r\nContent-Length: 5", b"hello"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"5;name=value\r\nhello\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"2\r\nhe\r\n000000000003\r\nllo\r\n0\r\n\r\n"),
        (b"X: folded\r\n onto this line\r\nContent-Length: 5", b"hello"),
        (b"X: caf\xc3\xa9\r\nContent-Length: 5", b"hello"),
        (b"X:\tvalue\t\r\nContent-Length: 5", b"hello"),
    ],
)
def test_h11_accepts_what_the_fast_readers_leave_to_it(kind: str, head: bytes, body: bytes) -> None:
    reply = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body
    expected = [(200, {}, b"hello", True), OK, "end"]
    assert read(kind, [reply + ACCEPTED]) == expected
    assert read(kind, cut(reply + ACCEPTED, range(len(reply)))) == expected


def test_bare_line_feeds_and_informational_replies(kind: str) -> None:
    bare = b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    for stream in (bare, early + early + bare):
        assert read(kind, [stream]) == [(200, {}, b"hello", True), "end"]
        assert read(kind, cut(stream, range(len(stream)))) == [(200, {}, b"hello", True), "end"]


def test_a_body_that_ends_with_the_connection(kind: str) -> None:
    for start in (b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"):
        assert read(kind, [start + b"hel", b"lo"]) == [(200, {}, b"hello", False), "end"]


@pytest.mark.parametrize(
    ("connection", "keep_alive"), [(b"close", False), (b"CLOSE", False), (b"keep-alive", True), (b"x, close", False)]
)
def test_connection_header(kind: str, connection: bytes, keep_alive: bool) -> None:
    reply = b"HTTP/1.1 202 OK\r\nConnection: " + connection + b"\r\nContent-Length: 0\r\n\r\n"
    assert read(kind, [reply]) == [(202, {}, b"", keep_alive), "end"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(kind: str, status: int) -> None:
    reply = b"HTTP/1.1 %d X\r\nContent-Length: 16\r\n\r\n" % status
    assert read(kind, [reply + ACCEPTED]) == [(status, {}, b"", True), OK, "end"]


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhello" % (MAX_BODY + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\rX",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ng\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nhello" % (MAX_BODY + 1),
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : value\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: first\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: nul\x00\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/11 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
def test_refused(kind: str, stream: bytes) -> None:
    assert read(kind, [stream]) == ["error"]
    assert read(kind, [stream], scratch_size=1 << 21) == ["error"]
    if len(stream) < 1000:
        assert read(kind, cut(stream, range(len(stream)))) == ["error"]


def test_a_head_beyond_the_fast_readers_limit_is_still_read(kind: str) -> None:
    reply = b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_FAST_HEAD + b"\r\nContent-Length: 5\r\n\r\nhello"
    assert read(kind, [reply], scratch_size=1 << 20) == [(200, {}, b"hello", True), "end"]
    assert read(kind, [reply], scratch_size=1 << 12) == [(200, {}, b"hello", True), "end"]


def test_idle(kind: str) -> None:
    scratch = bytearray(1 << 12)
    reader = reader_class(kind)(scratch)
    assert reader.is_idle()
    for part in cut(CHUNKED, range(1, len(CHUNKED))):
        reader.buffer()[: len(part)] = part
        reply = reader.received(len(part))
        assert reader.is_idle() == (reply is not None)
    assert reply is not None


def test_one_scratch_buffer_serves_many_readers(kind: str) -> None:
    scratch = bytearray(1 << 12)
    readers = [reader_class(kind)(scratch) for _ in range(3)]
    replies: list[Any] = [None] * 3
    for part in cut(CHUNKED, range(0, len(CHUNKED), 7)):
        for i, reader in enumerate(readers):
            assert replies[i] is None
            reader.buffer()[: len(part)] = part
            replies[i] = reader.received(len(part))
    assert [reply.body for reply in replies if reply is not None] == [b'{"a": 17}'] * 3


@pytest.mark.parametrize("reply", [WITH_LENGTH, CHUNKED])
def test_what_is_known_of_a_reply_that_breaks_off(kind: str, reply: bytes) -> None:
    head = reply.index(b"\r\n\r\n") + 4
    for place in range(len(reply) + 1):
        expected = (200, HEADERS) if head <= place < len(reply) else None
        assert unfinished(kind, [reply[:place]]) == expected, place
        assert unfinished(kind, [ACCEPTED + reply[:place]]) == expected, place
        assert unfinished(kind, cut(reply[:place], range(place))) == expected, place
    assert unfinished(kind, [CHUNKED[: head + 4], b"no chunk"]) == ((200, HEADERS) if reply is CHUNKED else None)
