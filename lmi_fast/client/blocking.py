"""One keep-alive connection to the Runtime API that blocks its thread: no event loop, no asyncio."""

from __future__ import annotations

import contextlib
import socket

from ..errors import ApiProtocolError, ApiUnavailable
from ..wire.http1 import Reader
from ..wire.reply import Reply
from .address import JOIN_BELOW, Address


class BlockingConnection:
    """send() and receive() in turn; after an error the connection is closed, and the next send() dials again."""

    def __init__(self, address: Address, scratch: bytearray) -> None:
        """`scratch` may be shared with the other connections of the thread."""
        self._address = address
        self._scratch = scratch
        self._sock: socket.socket | None = None
        self._reader = Reader(scratch)
        self.awaited = 0  # replies that are to come; none when the connection is closed

    def send(self, head: bytes, body: bytes = b"", replies: int = 1) -> None:
        """Sends the bytes of as many requests as `replies` says, dialling first where there is no connection.

        Raises ApiUnavailable.
        """
        try:
            if self._sock is None:
                self._dial()
            assert self._sock is not None
            self.awaited = replies
            if len(body) < JOIN_BELOW:
                self._sock.sendall(head + body)
            else:
                self._sock.sendall(head)
                self._sock.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the reply may be there all the same (413 closes early): receive() finds that, or the error
        except OSError as error:
            self.close()
            raise ApiUnavailable(f"cannot send to {self._address.host}: {error}") from None

    def _dial(self) -> None:
        sock, where = self._address.new_socket()
        try:
            sock.connect(where)
        except OSError:
            sock.close()
            raise
        self._reader = Reader(self._scratch)
        self._sock = sock

    def receive(self) -> Reply:
        """Waits for the next reply that is awaited. Raises ApiUnavailable or ApiProtocolError."""
        sock = self._sock
        if sock is None:
            raise ApiUnavailable(f"the connection to {self._address.host} is closed")
        reader = self._reader
        try:
            # The reply to the second of two requests often comes with the first, whole or in part.
            reply = None if reader.idle else reader.again()
            while reply is None:
                count = sock.recv_into(reader.buffer())
                reply = reader.received(count) if count else reader.end()
                if reply is None and not count:
                    raise ApiUnavailable(f"{self._address.host} closed the connection")
        except OSError as error:
            self.close()
            raise ApiUnavailable(f"the connection to {self._address.host} broke: {error}") from None
        except (ApiUnavailable, ApiProtocolError):
            self.close()
            raise
        self.awaited -= 1
        # Bytes behind the last reply belong to no request: whatever they are, this connection is not in step any more.
        if not reply.keep_alive or not (self.awaited or reader.idle):
            self.close()
        return reply

    def fileno(self) -> int:
        """The descriptor, to wait for; -1 when closed."""
        return -1 if self._sock is None else self._sock.fileno()

    def shut(self) -> None:
        """For another thread: makes a receive() that waits raise ApiUnavailable."""
        sock = self._sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the socket."""
        self.awaited = 0
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
