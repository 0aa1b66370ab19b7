"""Answers invocations piece by piece: takes what the handler yields, as fast as the platform takes it from us.

Nothing is sent before there is a first piece, so what fails before it is reported as ever. What fails later goes into
the trailers of the body. When the caller goes away the handler's generator is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from ..client.open_stream import OpenStream, StreamGone
from ..errors import ErrorType, FaultError, RuntimeApiError
from ..streaming import StreamingResponse, as_bytes, may_wait, pieces_of
from ..wire.chunks import last_with_error
from ..wire.invocation import Invocation
from ..wire.requests import Post
from .invoker import Invoker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..client.async_stream import AsyncStream
    from ..client.blocking_stream import BlockingStream

_log = logging.getLogger("lmi_fast")
_END = object()


async def stream_async(
    response: StreamingResponse,
    invocation: Invocation,
    invoker: Invoker,
    new_stream: Callable[[Post], AsyncStream],
    settled: Callable[[Post, RuntimeApiError | None], object],
) -> Post:
    """Sends `response`, and returns the post with its head: all of it went out, or an error behind what did.

    Raises what is raised before the first piece, and whatever is when the invocation was answered in its place.
    """
    task = asyncio.current_task()
    assert task is not None
    stream: AsyncStream | None = None
    pieces = _pieces(response.body)
    try:
        try:
            async for piece in pieces:
                if stream is None:
                    stream = await _open(response, piece, invocation, invoker, new_stream, settled, task.cancel)
                else:
                    await stream.write(as_bytes(piece))
            if stream is None:
                stream = await _open(response, b"", invocation, invoker, new_stream, settled, task.cancel)
            await stream.end()
        finally:
            await _close(pieces, response.body)
        invoker.streamed(invocation)
        return stream.post
    except BaseException as error:
        if stream is None or invocation.answered:
            raise
        if stream.gone:
            _tell_gone(stream, invocation, invoker)
            return stream.post
        report = invoker.describe(invocation, error)
        with contextlib.suppress(StreamGone):
            await stream.end(last_with_error(report.error_type, report.body))
        return stream.post


async def _open(
    response: StreamingResponse,
    piece: Any,
    invocation: Invocation,
    invoker: Invoker,
    new_stream: Callable[[Post], AsyncStream],
    settled: Callable[[Post, RuntimeApiError | None], object],
    when_gone: Callable[[], object],
) -> AsyncStream:
    first = response.prelude() + as_bytes(piece)
    post = invoker.requests.stream(invocation, response.type_of(piece))
    stream = new_stream(post)
    invocation.stream = stream
    try:
        await stream.open(first, when_gone=when_gone, settled=lambda error: settled(post, error))
    except BaseException:
        if not invocation.answered:
            invocation.stream = None  # an error report can be posted, once this one is closed
        stream.close(None)
        raise
    return stream


async def _pieces(body: Any) -> AsyncIterator[Any]:
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


async def _close(pieces: Any, body: Any) -> None:
    await pieces.aclose()
    for close in (getattr(body, "aclose", None), getattr(body, "close", None)):
        if close is not None:
            result = close()
            if hasattr(result, "__await__"):
                await result
            return


def stream_blocking(
    response: StreamingResponse,
    invocation: Invocation,
    invoker: Invoker,
    new_stream: Callable[[Post], BlockingStream],
) -> Post:
    """The same on a thread. The stream, if it was opened, is `invocation.stream`."""
    if hasattr(response.body, "__aiter__"):
        raise FaultError(
            ErrorType.MARSHAL, "a plain handler returned an asynchronous iterable to stream: make it `async def`"
        )
    stream: BlockingStream | None = None
    try:
        try:
            for piece in pieces_of(response.body):
                if stream is None:
                    stream = _open_blocking(response, piece, invocation, invoker, new_stream)
                else:
                    stream.write(as_bytes(piece))
            if stream is None:
                stream = _open_blocking(response, b"", invocation, invoker, new_stream)
            stream.end()
        finally:
            if (close := getattr(response.body, "close", None)) is not None:
                close()
        invoker.streamed(invocation)
        return stream.post
    except BaseException as error:
        if stream is None or invocation.answered:
            raise
        if stream.gone or stream.was_settled_early:
            _tell_gone(stream, invocation, invoker)
            return stream.post
        report = invoker.describe(invocation, error)
        with contextlib.suppress(StreamGone):
            stream.end(last_with_error(report.error_type, report.body))
        return stream.post


def _open_blocking(
    response: StreamingResponse,
    piece: Any,
    invocation: Invocation,
    invoker: Invoker,
    new_stream: Callable[[Post], BlockingStream],
) -> BlockingStream:
    first = response.prelude() + as_bytes(piece)
    stream = new_stream(invoker.requests.stream(invocation, response.type_of(piece)))
    invocation.stream = stream
    stream.open(first)
    return stream


def _tell_gone(stream: OpenStream, invocation: Invocation, invoker: Invoker) -> None:
    _log.info("the caller went away after %d bytes of %s", stream.sent, stream.post.about)
    invoker.streamed(invocation)
