"""An answer that is under way, on an event loop: whoever writes waits until the kernel has taken it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context as Variables

from ..errors import RuntimeApiError
from ..wire.chunks import LAST, chunk
from ..wire.requests import Post
from .address import Address
from .backoff import Backoff
from .open_stream import OpenStream, StreamGone


class AsyncStream(OpenStream):
    """`await connect()` and `begin(...)` it, then `write` and `end` it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, post: Post) -> None:
        super().__init__(address, post)
        self._loop = loop
        self._writing = False
        self._when_gone: Callable[[], object] | None = None
        self._settled: Callable[[RuntimeApiError | None], object] | None = None

    async def connect(self) -> None:
        """Nothing is sent yet. Raises ApiUnavailable when the Runtime API cannot be reached for a while."""
        backoff = Backoff()
        while True:
            self._sock.setblocking(False)
            try:
                await self._loop.sock_connect(self._sock, self._where)
                break
            except OSError as error:
                await asyncio.sleep(self._cannot_connect(error, backoff))

    async def begin(
        self,
        first: bytes,
        *,
        when_gone: Callable[[], object],
        settled: Callable[[RuntimeApiError | None], object],
    ) -> None:
        """Sends the head and `first`. `when_gone` is called when the caller has gone before the end, `settled` once,
        when the platform has taken all of it or will not.
        """
        self._settled = settled
        self._when_gone = when_gone
        # Of no invocation: the callback may come after this one.
        Variables().run(self._loop.add_reader, self._sock.fileno(), self._readable)
        await self._send(self.post.head + (chunk(first) if first else b""))
        self.sent = len(first)

    async def write(self, data: bytes) -> None:
        """Sends a piece of the body. Raises StreamGone when nobody takes it."""
        if self.over or self.gone:
            raise StreamGone
        if data:
            self.sent += len(data)
            await self._send(chunk(data))

    async def end(self, last: bytes = LAST) -> None:
        """Ends it; does nothing where that was done."""
        if not self.over:
            self.over = True
            await self._send(last)

    async def _send(self, data: bytes) -> None:
        self._writing = True
        try:
            await self._loop.sock_sendall(self._sock, data)
        except asyncio.CancelledError:
            self.over = True  # part of it may be on its way
            self._hang_up()
            raise
        except OSError as error:
            self.gone = True
            raise StreamGone from error
        finally:
            self._writing = False

    def _claim(self) -> bool:
        return not self._writing  # all of it is on one thread

    def _release(self) -> None:
        pass

    def _readable(self) -> None:
        is_settled, error = self.read()
        if is_settled:
            self.close(error)

    def abandon(self) -> None:
        """Closes the connection, whatever was sent on it; nobody is told."""
        self._settled = None
        self.over = self.gone = True
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def close(self, error: RuntimeApiError | None) -> None:
        """Closes the connection: it was settled with `error`."""
        settled, self._settled = self._settled, None
        if settled is None:
            return
        self.gone = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        settled(error)
        if not self.over and self._when_gone is not None:
            self._when_gone()
