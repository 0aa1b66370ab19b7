"""An answer that is under way, on a connection of its own: what both kinds of it share.

It is written by whoever has the handler, and may have to be ended by somebody else: at the deadline, or at shutdown.
While it is open no error report may be posted for its invocation: the emulator holds that until the answer ends. So
errors go into its trailers.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from ..errors import ApiProtocolError, ApiUnavailable, RuntimeApiError
from ..wire.http1 import Reader
from ..wire.reply import Reply
from ..wire.requests import Post
from .address import Address
from .backoff import Backoff
from .meaning import POST_TRIES, refusal

_REPLY = 4096  # bytes; a reply has some 150


class StreamGone(Exception):
    """Nobody takes the rest of it."""


class OpenStream:
    """`sent` counts bytes of the body. `over`: nothing more may be written; `gone`: nobody would take it."""

    def __init__(self, address: Address, post: Post) -> None:
        """`post` has the head."""
        self.post = post
        self.sent = 0
        self.over = False
        self.gone = False
        self.when_broken_off: Callable[[], object] | None = None
        self._address = address
        self._sock, self._where = address.new_socket()
        self._reader = Reader(bytearray(_REPLY))
        self._host = address.host

    def break_off(self, last: bytes) -> None:
        """Ends it from outside: with `last`, or, if somebody is about to write, by hanging up."""
        if self.over:
            return
        self.over = True
        whole = False
        if self._claim():
            with contextlib.suppress(OSError):
                whole = self._sock.send(last, socket.MSG_DONTWAIT) == len(last)
            self._release()
        if not whole:
            self._hang_up()
        if self.when_broken_off is not None:
            self.when_broken_off()

    def _cannot_connect(self, error: OSError, backoff: Backoff) -> float:
        """Nothing was sent yet: seconds until the next try. Raises ApiUnavailable when there were enough."""
        delay = backoff.next_delay()
        self._sock.close()
        if backoff.failures >= POST_TRIES:
            raise ApiUnavailable(f"{self.post.about}: cannot connect to {self._host}: {error.strerror}") from error
        self._sock, self._where = self._address.new_socket()
        return delay

    def _claim(self) -> bool:
        """Whether nobody is writing; nobody begins to until it is released."""
        raise NotImplementedError

    def _release(self) -> None:
        raise NotImplementedError

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def read(self) -> tuple[bool, RuntimeApiError | None]:
        """To be called when there is something to read: whether it is settled, and what went wrong then."""
        try:
            count = self._sock.recv_into(self._reader.buffer())
            reply = self._reader.received(count) if count else self._reader.end()
        except BlockingIOError:
            return False, None
        except OSError as error:
            return True, ApiUnavailable(f"the connection to {self._host} broke: {error}")
        except ApiProtocolError as error:
            return True, error
        if reply is not None:
            return True, self._refusal(reply)
        return (False, None) if count else (True, ApiUnavailable(f"{self._host} closed the connection"))

    def _refusal(self, reply: Reply) -> RuntimeApiError | None:
        error = refusal(reply, self.post)
        if error is None and not self.over:
            return ApiProtocolError(f"{self.post.about} was taken before it was over")
        return error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.post.about}, {self.sent} bytes)"
