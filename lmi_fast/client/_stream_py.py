"""Sends and receives on a socket that does not block: the pure twin."""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..wire.http1 import Reader

# Below this, copying a body behind its head is cheaper than a second buffer in the system call.
_JOIN_BELOW = 1 << 14


class Stream:
    """A connected socket."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, head: bytes, body: bytes, tail: bytes) -> int:
        """Sends the three in one write: how many bytes of them were taken, 0 when none can be now. Raises OSError."""
        try:
            if len(body) < _JOIN_BELOW:
                return self._sock.send(head + body + tail if body or tail else head)
            return self._sock.sendmsg((head, body, tail))
        except BlockingIOError:
            return 0

    def receive(self, reader: Reader) -> int:
        """Receives into reader.buffer(): how many bytes, 0 at the end, -1 when none are there now. Raises OSError."""
        try:
            return self._sock.recv_into(reader.buffer())
        except BlockingIOError:
            return -1
