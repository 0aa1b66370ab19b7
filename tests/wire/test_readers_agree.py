"""The rule of the twins: a fast reader accepts only what h11 accepts, with equal results, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import HAVE_COMPILED
from .readers import cut, read, unfinished
from .test_readers import ACCEPTED, CHUNKED, WITH_LENGTH

FAST = ["pure", "compiled"] if HAVE_COMPILED else ["pure"]

FRAGMENTS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b"\n\r\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0",
    b"5",
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"HTTP/1.1 ",
    b"HTTP/1.0 200 OK",
    b"200",
    b"204",
    b"304",
    b"100",
    b"999",
    b"chunked",
    b"gzip",
    b"close",
    b"keep-alive",
    b"upgrade",
    b"Content-Length: 5\r\n",
    b"content-length:0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Trailer: x\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Lambda-Runtime-Aws-Request-Id: x\r\n",
    b"Lambda-Runtime-Client-Context:\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffff\r\n",
    b"fffffffff\r\n",
    b"00000000000000000005\r\n",
    b"5 \r\nhello\r\n",
    b"5;x\r\nhello\r\n",
    b" folded\r\n",
    b"X : y\r\n",
    b"X: y\r\n",
    b"X:\r\n",
    ACCEPTED,
    CHUNKED,
    WITH_LENGTH,
]
LENGTH_HEADERS = [
    b"",
    b"Content-Length: 5\r\n",
    b"CONTENT-LENGTH:   05  \r\n",
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5,5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5\r\nContent-Length: 4\r\n",
    b"Content-Length: \xd9\xa5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: CHUNKED \r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding:\r\n",
]
BODIES = [
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"A\r\n0123456789\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
    b"05\r\nhello\r\n000\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\r\r\n0\r\n\r\n",
]
STATUS_LINES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 202\r\n",
    b"HTTP/1.1 500 \r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 204 No\r\n",
    b"HTTP/1.1 304 \r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 600 x\r\n",
    b"HTTP/1.1  200 OK\r\n",
    b"HTTP/2.0 200 OK\r\n",
    b"http/1.1 200 OK\r\n",
    b"HTTP/1.1 200 caf\xe9\r\n",
    b"HTTP/1.1 200 OK\n",
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"HTTP/1.1 000 x\r\n",
]
OTHER_HEADERS = [
    b"Content-Type: application/json\r\n",
    b"Lambda-Runtime-Aws-Request-Id: a\r\nLambda-Runtime-Aws-Request-Id: b\r\n",
    b"Date: now\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, close\r\n",
    b"Connection: keep-alive\r\nConnection: close\r\n",
    b"Connection:\r\n",
    b"X:\ty\r\n",
    b"X: a\r\n b\r\n",
    b"X y\r\n",
    b"X: y\n",
    b"lambda-runtime-trace-id:    \r\n",
    b'Lambda-Runtime-Client-Context: {"a": "\xc3\xa9"}\r\n',
    b'Lambda-Runtime-Client-Context: {"a": "\xe9"}\r\n',
    b"X: \x01\r\n",
    b"(X): y\r\n",
]

replies = st.builds(
    lambda status, others, length, body: status + b"".join(others) + length + b"\r\n" + body,
    st.sampled_from(STATUS_LINES),
    st.lists(st.sampled_from(OTHER_HEADERS), max_size=3),
    st.sampled_from(LENGTH_HEADERS),
    st.sampled_from(BODIES),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Replies one after the other, with some bytes taken out and some fragments put in."""
    data = b"".join(draw(st.lists(st.sampled_from([ACCEPTED, CHUNKED, WITH_LENGTH]) | replies, min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        skip = draw(st.integers(0, 4))
        data = data[:at] + draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=3)) + data[at + skip :]
    return data


@pytest.mark.parametrize("fast", FAST)
@settings(max_examples=1500, deadline=None)
@given(data=mutated() | st.binary(max_size=60), places=st.lists(st.integers(0, 4000), max_size=6), whole=st.booleans())
def test_a_fast_reader_agrees_with_h11(fast: str, data: bytes, places: list[int], whole: bool) -> None:
    pieces = [data] if whole else cut(data, places)
    assert read(fast, pieces, scratch_size=1 << 16) == read("h11", pieces, scratch_size=1 << 16)
    assert unfinished(fast, pieces, scratch_size=1 << 16) == unfinished("h11", pieces, scratch_size=1 << 16)


@pytest.mark.parametrize("fast", FAST)
@settings(max_examples=200, deadline=None)
@given(data=mutated())
def test_a_fast_reader_agrees_with_h11_byte_by_byte(fast: str, data: bytes) -> None:
    pieces = cut(data, range(len(data)))
    assert read(fast, pieces) == read("h11", pieces)


@pytest.mark.parametrize("fast", FAST)
def test_every_combination_at_every_cut(fast: str) -> None:
    for status in STATUS_LINES:
        for length in LENGTH_HEADERS:
            for body in BODIES:
                data = status + b"Content-Type: x\r\n" + length + b"\r\n" + body
                expected = read("h11", [data])
                assert read(fast, [data]) == expected, data
                for place in range(len(status) + 17, len(data)):
                    assert read(fast, cut(data, [place])) == expected, (data, place)
