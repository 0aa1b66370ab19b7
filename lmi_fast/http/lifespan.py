"""The lifespan protocol of ASGI: the application's startup before the first invocation, its shutdown after the last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from .._lifespan import manager_of, surround
from ..errors import ErrorType, FaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

_log = logging.getLogger("lmi_fast.http")
_STARTUP = ("lifespan.startup.complete", "lifespan.startup.failed")
# Seconds for an application to return once it has said that it is done.
LINGER = 0.5
_SHUTDOWN = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


class AppLifespan:
    """Startup and shutdown of `app`. `state` is what it has put there, for every request's scope."""

    def __init__(self, app: Any) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._failure: str | None = None  # what a "failed" message said

    async def start(self) -> None:
        """Raises what the startup raised, or FaultError if it just said that it failed.

        An application that raises without having said so does not know the protocol, as far as can be told: uvicorn
        goes on without it too.
        """
        loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[bool] = loop.create_future()
        self._stopped: asyncio.Future[bool] = loop.create_future()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run())
        if await self._started:
            return
        error = await self._ended()
        self._task = None
        if self._failure is not None:
            raise error or FaultError(ErrorType.STARTUP, f"the application's startup failed: {self._failure}")
        if error is not None:
            _log.info("the application has no lifespan: %r", error)

    async def stop(self) -> None:
        """What the shutdown raises is logged."""
        if self._task is None:
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        await self._stopped
        error = await self._ended()
        if error is not None or self._failure is not None:
            _log.error("the application's shutdown failed: %s", self._failure or repr(error), exc_info=error)

    async def _ended(self) -> BaseException | None:
        """What the task raised, which should be about to end."""
        assert self._task is not None
        await asyncio.wait([self._task], timeout=LINGER)
        if not self._task.done():
            self._task.cancel()
            return None
        return None if self._task.cancelled() else self._task.exception()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._inbox.get, self._send)
        finally:
            for future in (self._started, self._stopped):
                if not future.done():
                    future.set_result(future is self._stopped)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        for kinds, future in ((_STARTUP, self._started), (_SHUTDOWN, self._stopped)):
            if kind in kinds:
                if future.done() or (future is self._stopped and not self._started.done()):
                    raise RuntimeError(f"Unexpected ASGI message '{kind}'.")
                if kind == kinds[1]:
                    self._failure = message.get("message") or ""
                future.set_result(kind == kinds[0])
                return
        raise RuntimeError(f"Unexpected ASGI message '{kind}'.")


def live_with(app: AppLifespan, before_shutdown: Callable[[], Awaitable[object]]) -> None:
    """Makes `app` a part of this process's lifespan, within the user's own if he has registered one."""

    def surrounding(own: Callable[[], Any] | None) -> Callable[[], Any]:
        @asynccontextmanager
        async def both() -> AsyncIterator[Any]:
            async with AsyncExitStack() as stack:
                state = None
                if own is not None:
                    manager = manager_of(own)
                    is_async = hasattr(manager, "__aenter__")
                    state = await stack.enter_async_context(manager) if is_async else stack.enter_context(manager)
                await app.start()
                stack.push_async_callback(app.stop)
                stack.push_async_callback(before_shutdown)
                yield state

        return both

    surround(surrounding)
