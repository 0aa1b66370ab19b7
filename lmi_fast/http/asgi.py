"""Runs an ASGI application: a task for each request, which may go on when its response is complete.

The task is not the invocation's own, because the answer is not to wait for what an application does behind it, such as
Starlette's background tasks. It has the invocation's context variables, and so its request id.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Coroutine
from contextvars import copy_context

from ..runtime.owners import note_variables
from .answers import make_answer, split_cookies
from .events import EVENT, Request, read_event
from .exchange import FAILED, Exchange
from .lifespan import AppLifespan, live_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import WebConfig
    from ..context import Context

_log = logging.getLogger("lmi_fast.http")
# Seconds for an application to end by itself once its caller is gone, before it is cancelled.
GRACE = 0.1
# Seconds at the shutdown for what runs behind its response.
BACKGROUND = 0.05
ASGI = {"version": "3.0", "spec_version": "2.4"}

if sys.version_info >= (3, 12):

    def _start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # An application that does not wait is done before the loop turns once.
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)

else:

    def _start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        variables = copy_context()
        task = asyncio.get_running_loop().create_task(coroutine, context=variables)
        note_variables(task, variables)
        return task


class AsgiHandler:
    """A handler that has an ASGI application answer."""

    def __init__(self, app: Any, web: WebConfig) -> None:
        self._app = app
        self._web = web
        self._streams = web.response == "stream"
        self._lifespan = AppLifespan(app)
        self._tasks: set[asyncio.Task[None]] = set()  # the loop keeps only weak references
        live_with(self._lifespan, self._end_tasks)

    async def __call__(self, event: Any, context: Context) -> Any:
        """The response, as the integration that `event` came from wants it."""
        request = read_event(event, self._web)
        exchange = Exchange(request.body, self._streams and request.streams)
        application = self._run(self._scope(request, event, context), exchange)
        task = _start(application)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if not exchange.ready:
                try:
                    await exchange.until_ready(application)
                except asyncio.CancelledError:
                    await _leave(exchange, task)
                    raise
        return self._answer(request, exchange, task)

    def _scope(self, request: Request, event: Any, context: Context) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": ASGI.copy(),
            "http_version": request.http_version,
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.raw_path,
            "query_string": request.query_string,
            "root_path": request.root_path,
            "headers": request.headers,
            "client": request.client,
            "server": request.server,
            "state": self._lifespan.state.copy(),
            "extensions": {},
            "aws.event": event,
            "aws.context": context,
        }

    async def _run(self, scope: dict[str, Any], exchange: Exchange) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BaseException as error:  # SystemExit too: it would end the loop
            if (exchange.gone and _means_gone(error)) or (exchange.complete and _is_cancelled(error)):
                return
            if exchange.complete or exchange.gone:
                _log.error("Exception in ASGI application, behind its response", exc_info=error)
            else:
                exchange.fail(error)
        else:
            exchange.end()

    def _answer(self, request: Request, exchange: Exchange, task: asyncio.Task[None]) -> Any:
        if exchange.complete:
            body = b"" if request.method == "HEAD" else exchange.take()
            if exchange.streams:
                return _streamed(exchange, body)
            return make_answer(request.answer, exchange.status, exchange.headers, body)
        error = exchange.error
        if error is None:
            return _streamed(exchange, _pieces(exchange, task, request.method == "HEAD"))
        if request.answer == EVENT:
            raise error
        _log.error("Exception in ASGI application", exc_info=error)
        exchange.status = 500
        exchange.headers = [("content-type", "text/plain; charset=utf-8")]
        if exchange.streams:
            return _streamed(exchange, FAILED)
        return make_answer(request.answer, 500, exchange.headers, FAILED)

    async def _end_tasks(self) -> None:
        """Before the application's shutdown: what it does behind its responses may need what is taken down there."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=BACKGROUND)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=BACKGROUND)


def _streamed(exchange: Exchange, body: Any) -> Any:
    from ..streaming import StreamingResponse

    headers, cookies = split_cookies(exchange.headers)
    return StreamingResponse(body, status=exchange.status, headers=headers, cookies=cookies)


async def _pieces(exchange: Exchange, task: asyncio.Task[None], is_head: bool) -> AsyncIterator[bytes]:
    """The body as it comes; the application is told if somebody stops reading."""
    try:
        async for piece in exchange.pieces():
            if not is_head:
                yield piece
    finally:
        if not exchange.complete:
            await _leave(exchange, task)


def _means_gone(error: BaseException) -> bool:
    """Whether it is what send() and _leave() have raised, or what a framework has made of it."""
    return _is_cancelled(error) or isinstance(error, OSError) or isinstance(error.__context__, OSError)


def _is_cancelled(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError)


async def _leave(exchange: Exchange, task: asyncio.Task[None]) -> None:
    """Tells the application that its caller is gone, and returns when it has ended. It is cancelled if it does not by
    itself.
    """
    exchange.leave()
    try:
        await asyncio.wait([task], timeout=GRACE)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        await asyncio.wait([task])
