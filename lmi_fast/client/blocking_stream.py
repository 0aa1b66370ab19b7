"""An answer that is under way, on a thread of its own: writing blocks until the kernel has taken it."""

from __future__ import annotations

import select
import threading
import time

from ..errors import RuntimeApiError
from ..wire.chunks import LAST, chunk
from ..wire.requests import Post
from .address import Address
from .backoff import Backoff
from .open_stream import OpenStream, StreamGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .pool import Pool


class BlockingStream(OpenStream):
    """`connect`, `begin`, `write` and `end` it on one thread; another one may break it off."""

    def __init__(self, address: Address, post: Post) -> None:
        super().__init__(address, post)
        self._writing = threading.Lock()
        self._is_watched = False  # for the reply
        self._early: tuple[bool, RuntimeApiError | None] | None = None
        self._readable = select.poll()  # descriptors may be above what select() can do

    def connect(self) -> None:
        """Nothing is sent yet. Raises ApiUnavailable when the Runtime API cannot be reached for a while."""
        backoff = Backoff()
        while True:
            try:
                self._sock.connect(self._where)
                break
            except OSError as error:
                time.sleep(self._cannot_connect(error, backoff))
        self._readable.register(self._sock, select.POLLIN)

    def begin(self, first: bytes) -> None:
        """Sends the head and `first`."""
        self._send(self.post.head + (chunk(first) if first else b""))
        self.sent = len(first)

    def write(self, data: bytes) -> None:
        """Sends a piece of the body. Raises StreamGone when nobody takes it."""
        if not self.over and not self.gone and self._readable.poll(0):
            is_settled, error = self.read()
            if is_settled:
                self._early, self.gone = (is_settled, error), True
        if self.over or self.gone:
            raise StreamGone
        if data:
            self.sent += len(data)
            self._send(chunk(data))

    def end(self, last: bytes = LAST) -> None:
        """Ends it; does nothing where that was done."""
        if not self.over and not self.gone:
            self._send(last, is_last=True)
        self.over = True

    def _send(self, data: bytes, is_last: bool = False) -> None:
        with self._writing:
            if self.over:
                raise StreamGone
            try:
                self._sock.sendall(data)
            except OSError as error:
                self.gone = True
                raise StreamGone from error
            if is_last:
                self.over = True

    def _claim(self) -> bool:
        return self._writing.acquire(blocking=False)

    def _release(self) -> None:
        self._writing.release()

    def settle_in(self, pool: Pool) -> None:
        """When it is over: has the pool's loop read the reply, tells the pool of it, and closes the connection then."""
        if self._is_watched:
            return
        self._is_watched = True

        def read() -> None:
            is_settled, error = self._early or self.read()
            if is_settled:
                pool.loop.remove_reader(descriptor)
                self.when_broken_off = None  # it refers to the stream, which would wait for the garbage collector
                self.close()
                pool.settled(self.post, error)

        self._sock.setblocking(False)
        descriptor = self._sock.fileno()
        pool.loop.add_reader(descriptor, read)
        read()

    def close(self) -> None:
        """Closes the connection."""
        self._sock.close()
