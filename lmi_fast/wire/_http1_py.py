"""Reads HTTP/1.1 replies: the pure twin, a fast reader of what the Runtime API really sends.

That is: a status line of HTTP/1.1, headers in printable ASCII, and a body with a Content-Length or in plain chunks.
Everything else goes to the Arbiter, bytes and all. `_http1_c.pyx` follows the same steps under the same names.
"""

from __future__ import annotations

import string

from ..errors import ApiProtocolError
from .reply import KEPT_HEADERS, MAX_BODY, MAX_FAST_HEAD, Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._http1_h11 import Arbiter

_KEPT = {name.encode(): attribute for name, attribute in KEPT_HEADERS.items()}
_CONTENT_LENGTH = b"content-length"
_TRANSFER_ENCODING = b"transfer-encoding"
_CONNECTION = b"connection"
_KNOWN = {*_KEPT, _CONTENT_LENGTH, _TRANSFER_ENCODING, _CONNECTION}
_PRINTABLE = bytes(range(0x20, 0x7F))
_TOKEN = b"-!#$%&'*+.^_`|~" + (string.digits + string.ascii_letters).encode()  # RFC 9110, 5.6.2
_HEX = string.hexdigits.encode()
# 8 hex digits are more than MAX_BODY; h11 allows 20.
_MAX_CHUNK_LINE = 8 + 2
_START = b"HTTP/1.1 "


class _NotRecognised(Exception):
    """Not what the Runtime API sends: the Arbiter decides."""


class Reader:
    """Reads the replies of one connection."""

    __slots__ = ("_arbiter", "_body", "_chunked", "_filled", "_head", "_left", "_pending", "_reply", "_view")

    def __init__(self, scratch: bytearray | memoryview) -> None:
        # Per connection.
        self._view = memoryview(scratch)
        self._pending = b""  # bytes received and not understood yet
        # Per reply, between the head and the end of the body.
        self._arbiter: Arbiter | None = None
        self._reply: Reply | None = None
        self._head = b""  # kept while a chunked body is read: the Arbiter may need it
        self._body = bytearray()
        self._filled = 0  # of a body with a length
        self._chunked = False
        self._left = 0  # of the chunk being read, its line end included

    def is_idle(self) -> bool:
        """True between replies: nothing of the next one has come."""
        return self._arbiter is None and self._reply is None and not self._pending

    def buffer(self) -> memoryview:
        """Where the next received bytes belong: the shared scratch buffer, or the rest of a body with a length."""
        if self._reply is not None and not self._chunked:
            return memoryview(self._body)[self._filled :]
        return self._view

    def received(self, count: int) -> Reply | None:
        """`count` bytes came into buffer(): the reply they make whole, or None. Raises ApiProtocolError."""
        if self._reply is not None and not self._chunked:
            self._filled += count
            return self._finish(b"") if self._filled == len(self._body) else None
        data = bytes(self._view[:count])
        if self._pending:
            data = self._pending + data
            self._pending = b""
        return self._read(data)

    def again(self) -> Reply | None:
        """A further reply among the bytes received already, or None. Raises ApiProtocolError."""
        data, self._pending = self._pending, b""
        return self._read(data) if data else None

    def end(self) -> Reply | None:
        """The stream ended: a reply that ends with it, or None between replies. Raises ApiProtocolError within one."""
        if self._arbiter is not None:
            return self._arbitrate(b"")
        if self.is_idle():
            return None
        raise ApiProtocolError("the connection ended within a reply")

    def unfinished(self) -> Reply | None:
        """The reply whose head has come, and not all of its body; without that. None where there is none."""
        return self._reply if self._arbiter is None else self._arbiter.unfinished()

    def _read(self, data: bytes) -> Reply | None:
        if self._arbiter is not None:
            return self._arbitrate(data)
        if self._reply is not None:
            return self._read_chunks(data)
        try:
            return self._read_head(data)
        except _NotRecognised:
            return self._arbitrate(data)

    def _arbitrate(self, data: bytes) -> Reply | None:
        if self._arbiter is None:
            from ._http1_h11 import Arbiter  # h11 costs start-up time; most processes never need it

            self._arbiter = Arbiter()
        reply = self._arbiter.feed(data)
        if reply is not None:
            self._pending = self._arbiter.leftover
            self._arbiter = None
        return reply

    def _read_head(self, data: bytes) -> Reply | None:
        end = data.find(b"\r\n\r\n", 0, MAX_FAST_HEAD)
        if end < 0:
            # Wait for the rest only of what still may become a head we know.
            if not data.startswith(_START[: len(data)]) or len(data) >= MAX_FAST_HEAD:
                raise _NotRecognised
            if data.count(b"\n") != data.count(b"\r\n"):
                raise _NotRecognised
            self._pending = data
            return None
        head = data[:end]
        lines = head.split(b"\r\n")
        if head.translate(None, _PRINTABLE) != b"\r\n" * (len(lines) - 1):
            raise _NotRecognised
        status = self._status(lines[0])
        reply = Reply(status, True)
        length: int | None = None
        chunked = False
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            key = name.lower()
            value = value.strip(b" ")
            if key in _KEPT:
                reply.keep(_KEPT[key], value.decode("ascii"))
            elif key not in _KNOWN:
                if not name or name.translate(None, _TOKEN):
                    raise _NotRecognised
            elif key == _CONNECTION:
                option = value.lower()
                if option == b"close":
                    reply.keep_alive = False
                elif option != b"keep-alive":
                    raise _NotRecognised
            elif length is not None or chunked:
                raise _NotRecognised
            elif key == _CONTENT_LENGTH:
                if not value.isdigit() or len(value) > 8 or int(value) > MAX_BODY:
                    raise _NotRecognised
                length = int(value)
            elif value.lower() == b"chunked":
                chunked = True
            else:
                raise _NotRecognised
            if not colon:
                raise _NotRecognised
        begin = end + 4
        self._reply = reply
        if length is not None:
            return self._read_body(reply, data, begin, length)
        if chunked:
            self._chunked = True
            self._head = data[:begin]
            return self._read_chunks(data[begin:])
        self._reply = None  # ends with the connection
        raise _NotRecognised

    @staticmethod
    def _status(line: bytes) -> int:
        code = line[9:12]
        if not line.startswith(_START) or not code.isdigit() or len(code) < 3 or line[12:13] not in (b"", b" "):
            raise _NotRecognised
        status = int(code)
        # 1xx come before the reply; 204 and 304 have no body whatever their headers say (RFC 9112, 6.3).
        if not 200 <= status <= 599 or status in (204, 304):
            raise _NotRecognised
        return status

    def _read_body(self, reply: Reply, data: bytes, begin: int, length: int) -> Reply | None:
        stop = begin + length
        if len(data) >= stop:
            reply.body = data[begin:stop]
            self._reply = None
            self._pending = data[stop:]
            return reply
        # The rest is received in place: no copy, however many reads it takes.
        self._filled = len(data) - begin
        self._body = bytearray(length)
        self._body[: self._filled] = data[begin:]
        return None

    def _read_chunks(self, data: bytes) -> Reply | None:
        at = 0
        while True:
            if self._left > 2:
                part = data[at : at + self._left - 2]
                self._body += part
                self._left -= len(part)
                at += len(part)
                if self._left > 2:
                    return None
            if self._left:
                line_end = data[at : at + self._left]
                if line_end != b"\r\n"[-self._left :][: len(line_end)]:
                    return self._give_up_chunks(data[at:])
                self._left -= len(line_end)
                at += len(line_end)
                if self._left:
                    return None
            found = data.find(b"\r\n", at, at + _MAX_CHUNK_LINE)
            if found < 0:
                if len(data) - at >= _MAX_CHUNK_LINE:
                    return self._give_up_chunks(data[at:])
                self._pending = data[at:]
                return None
            digits = data[at:found]
            if not digits or digits.translate(None, _HEX):
                return self._give_up_chunks(data[at:])
            size = int(digits, 16)
            if size == 0:
                last = data[found + 2 : found + 4]
                if last == b"\r\n":
                    return self._finish(data[found + 4 :])
                if not b"\r\n".startswith(last):  # trailers
                    return self._give_up_chunks(data[at:])
                self._pending = data[at:]
                return None
            if len(self._body) + size > MAX_BODY:
                return self._give_up_chunks(data[at:])
            self._left = size + 2
            at = found + 2

    def _give_up_chunks(self, rest: bytes) -> Reply | None:
        # The chunks read so far are valid, and one chunk means the same to the Arbiter as many.
        body = bytes(self._body)
        so_far = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        if self._left:
            so_far = so_far[: -self._left]
        head = self._head
        self._reset()
        return self._arbitrate(head + so_far + rest)

    def _finish(self, leftover: bytes) -> Reply:
        reply = self._reply
        assert reply is not None
        reply.body = self._body
        self._pending = leftover
        self._reset()
        return reply

    def _reset(self) -> None:
        self._reply = None
        self._head = b""
        self._body = bytearray()
        self._chunked = False
        self._left = 0
