"""Reads HTTP/1.1 replies with h11: the arbiter behind the fast readers, and a reader in its own right.

Slow (about 50 us a reply) and right: obsolete folding, lists of equal lengths, 1xx replies, trailers, chunk extensions,
bare line feeds, HTTP/1.0 and bodies that end with the connection are h11's to accept or refuse.
"""

from __future__ import annotations

import h11

from ..errors import ApiProtocolError
from .reply import KEPT_HEADERS, MAX_BODY, MAX_HEAD, Reply

_KEPT = {name.encode(): attribute for name, attribute in KEPT_HEADERS.items()}
# What h11 needs to have seen before it reads a reply. GET and POST replies are framed alike (RFC 9112, 6.3).
_REQUEST = h11.Request(method="GET", target="/", headers=[("Host", "runtime")])


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


class Arbiter:
    """Reads exactly one reply; `leftover` is what came behind it."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._h11.send(_REQUEST)
        self._h11.send(h11.EndOfMessage())
        self._response: h11.Response | None = None
        self._body = bytearray()
        self._ended = False
        self.leftover = b""

    def feed(self, data: bytes) -> Reply | None:
        """The reply when `data`, b"" for the end of the stream, makes it whole. Raises ApiProtocolError."""
        self._ended = not data
        try:
            self._h11.receive_data(data)
            return self._read()
        except h11.RemoteProtocolError as error:
            raise ApiProtocolError(str(error)) from None

    def unfinished(self) -> Reply | None:
        """The reply whose head has come, without its body. None where there is none."""
        if self._response is None:
            return None
        reply = Reply(self._response.status_code, False)
        for name, value in self._response.headers:
            if name in _KEPT:
                reply.keep(_KEPT[name], _text(value))
        return reply

    def _read(self) -> Reply | None:
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Response):
                self._response = event
                length = next((value for name, value in event.headers if name == b"content-length"), b"0")
                self._check_size(int(length))
            elif isinstance(event, h11.Data):
                self._check_size(len(self._body) + len(event.data))
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return self._finish()
            elif not isinstance(event, h11.InformationalResponse):
                return None

    @staticmethod
    def _check_size(size: int) -> None:
        if size > MAX_BODY:
            raise ApiProtocolError(f"a body of {size} bytes is above the limit of {MAX_BODY}")

    def _finish(self) -> Reply:
        reply = self.unfinished()
        assert reply is not None
        self.leftover = self._h11.trailing_data[0]
        reply.keep_alive = self._h11.their_state is h11.DONE and not self._ended
        reply.body = bytes(self._body)
        return reply


class Reader:
    """Reads the replies of one connection, each with an Arbiter of its own."""

    def __init__(self, scratch: bytearray | memoryview) -> None:
        self._view = memoryview(scratch)
        self._pending = b""
        self._arbiter: Arbiter | None = None

    def is_idle(self) -> bool:
        """True between replies: nothing of the next one has come."""
        return self._arbiter is None and not self._pending

    def buffer(self) -> memoryview:
        """Where the next received bytes belong."""
        return self._view

    def received(self, count: int) -> Reply | None:
        """`count` bytes came into buffer(): the reply they make whole, or None. Raises ApiProtocolError."""
        return self._feed(bytes(self._view[:count]))

    def again(self) -> Reply | None:
        """A further reply among the bytes received already, or None. Raises ApiProtocolError."""
        data, self._pending = self._pending, b""
        return self._feed(data) if data else None

    def end(self) -> Reply | None:
        """The stream ended: a reply that ends with it, or None between replies. Raises ApiProtocolError within one."""
        if self._arbiter is None:
            return None
        return self._feed(b"")

    def unfinished(self) -> Reply | None:
        """The reply whose head has come, and not all of its body; without that. None where there is none."""
        return None if self._arbiter is None else self._arbiter.unfinished()

    def _feed(self, data: bytes) -> Reply | None:
        if self._arbiter is None:
            self._arbiter = Arbiter()
        reply = self._arbiter.feed(data)
        if reply is not None:
            self._pending = self._arbiter.leftover
            self._arbiter = None
        return reply
