"""Answers invocations piece by piece: takes what the handler yields, as fast as the platform takes it from us.

Nothing is sent before there is a first piece, so what fails before it is reported as ever. What fails later goes into
the trailers of the body. When the caller goes away the handler's generator is closed.

Both ways to `send` return the post with the head of the answer when all of it went out, or an error behind what did.
They raise what is raised before the first piece, and whatever is when somebody else has answered the invocation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from threading import Lock

from ..client.address import Address
from ..client.async_stream import AsyncStream
from ..client.blocking_stream import BlockingStream
from ..client.open_stream import OpenStream, StreamGone
from ..client.pool import Pool
from ..errors import ErrorType, FaultError
from ..streaming import StreamingResponse, as_bytes, may_wait, pieces_of
from ..wire.chunks import last_with_error
from ..wire.invocation import Invocation
from ..wire.requests import Post
from .invoker import Invoker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_log = logging.getLogger("lmi_fast")
_END = object()


class _Streams:
    # A stream is the invocation's once it is connected: until then an error report can answer it, from then on an error
    # is the end of the stream.
    def __init__(self, address: Address, invoker: Invoker, pool: Pool) -> None:
        self._address = address
        self._invoker = invoker
        self._pool = pool

    def _head(self, invocation: Invocation, response: StreamingResponse, first: Any) -> Post:
        return self._invoker.requests.stream(invocation, response.type_of(first))

    def _last(self, stream: OpenStream, invocation: Invocation, error: BaseException) -> bytes | None:
        """The end of an answer whose handler has ended with `error`; None when nobody takes it."""
        if stream.gone:
            _log.info("the caller went away after %d bytes of %s", stream.sent, stream.post.about)
            self._invoker.streamed(invocation)
            return None
        report = self._invoker.describe(invocation, error)
        return last_with_error(report.error_type, report.body)


class AsyncStreams(_Streams):
    """Those of async handlers, in their tasks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, invoker: Invoker, pool: Pool) -> None:
        super().__init__(address, invoker, pool)
        self._loop = loop

    async def send(self, response: StreamingResponse, invocation: Invocation) -> Post:
        """See the module."""
        stream: AsyncStream | None = None
        pieces = _pieces(response.body)
        try:
            try:
                async for piece in pieces:
                    if stream is None:
                        stream = await self._open(response, piece, invocation)
                    else:
                        await stream.write(as_bytes(piece))
                if stream is None:
                    stream = await self._open(response, b"", invocation)
                await stream.end()
            finally:
                await pieces.aclose()
                await _close(response.body)
        except BaseException as error:
            if stream is None or invocation.answered:
                raise
            last = self._last(stream, invocation, error)
            if last is not None:
                with contextlib.suppress(StreamGone):
                    await stream.end(last)
        else:
            self._invoker.streamed(invocation)
        return stream.post

    async def _open(self, response: StreamingResponse, piece: Any, invocation: Invocation) -> AsyncStream:
        first = response.prelude() + as_bytes(piece)
        post = self._head(invocation, response, piece)
        stream = AsyncStream(self._loop, self._address, post)
        try:
            await stream.connect()
        except BaseException:
            stream.abandon()
            raise
        task = asyncio.current_task()
        assert task is not None
        invocation.stream = stream
        self._pool.owe(1)
        try:
            await stream.begin(first, when_gone=task.cancel, settled=lambda error: self._pool.settled(post, error))
        except BaseException:
            stream.abandon()
            self._pool.owe(-1)
            if not invocation.answered:
                invocation.stream = None  # it has not begun: an error report can be posted
            raise
        return stream


async def _pieces(body: Any) -> AsyncGenerator[Any]:
    if hasattr(body, "__aiter__"):
        async for piece in body:
            yield piece
        return
    pieces = pieces_of(body)
    if not may_wait(body):
        for piece in pieces:
            yield piece
        return
    iterator = iter(pieces)
    while (piece := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield piece


async def _close(body: Any) -> None:
    close = getattr(body, "aclose", None) or getattr(body, "close", None)
    if close is not None:
        closed = close()
        if hasattr(closed, "__await__"):
            await closed


class BlockingStreams(_Streams):
    """Those of plain handlers, on their threads. The pool and its loop are used under `lock`; whoever ends an answer
    from outside holds it.
    """

    def __init__(self, address: Address, invoker: Invoker, pool: Pool, lock: Lock) -> None:
        super().__init__(address, invoker, pool)
        self._lock = lock

    def send(self, response: StreamingResponse, invocation: Invocation) -> Post:
        """See the module."""
        if hasattr(response.body, "__aiter__"):
            raise FaultError(
                ErrorType.MARSHAL, "a plain handler returned an asynchronous iterable to stream: make it `async def`"
            )
        stream: BlockingStream | None = None
        try:
            try:
                for piece in pieces_of(response.body):
                    if stream is None:
                        stream = self._open(response, piece, invocation)
                    else:
                        stream.write(as_bytes(piece))
                if stream is None:
                    stream = self._open(response, b"", invocation)
                stream.end()
            finally:
                if (close := getattr(response.body, "close", None)) is not None:
                    close()
        except BaseException as error:
            if stream is None or invocation.answered:
                raise
            last = self._last(stream, invocation, error)
            if last is not None:
                with contextlib.suppress(StreamGone):
                    stream.end(last)
        else:
            self._invoker.streamed(invocation)
        return stream.post

    def _open(self, response: StreamingResponse, piece: Any, invocation: Invocation) -> BlockingStream:
        first = response.prelude() + as_bytes(piece)
        stream = BlockingStream(self._address, self._head(invocation, response, piece))
        try:
            stream.connect()
        except BaseException:
            stream.close()
            raise
        stream.when_broken_off = lambda: stream.settle_in(self._pool)
        with self._lock:
            if invocation.answered:  # by somebody else, while it connected
                stream.close()
                raise StreamGone
            invocation.stream = stream
            self._pool.owe(1)
        try:
            stream.begin(first)
        except BaseException:
            stream.close()
            with self._lock:
                self._pool.owe(-1)
            if not invocation.answered:
                invocation.stream = None
            raise
        return stream
