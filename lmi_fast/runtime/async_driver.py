"""Runs `async def` handlers: invocations overlap on one event loop, each a task with context variables of its own."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from contextvars import Context as Variables
from types import CoroutineType
from typing import Any

from ..client.pool import Slot
from ..wire.invocation import Invocation
from .logs import log_stray_exit
from .service import Service

if sys.version_info >= (3, 12):

    def _start(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, variables: Variables
    ) -> asyncio.Task[None]:
        # A handler that does not wait is done before the loop turns once.
        return asyncio.Task(coroutine, loop=loop, context=variables, eager_start=True)

else:

    def _start(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, variables: Variables
    ) -> asyncio.Task[None]:
        return loop.create_task(coroutine, context=variables)


# Seconds for the first polls to go out, before anything else is done.
DIAL = 0.001


class AsyncDriver:
    """`run()` serves until `stop()` is called on the loop."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._invoker = service.invoker
        self._loop = loop
        self._variables = service.variables
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._ended = False
        self._failed: Exception | None = None
        self._pool = service.new_pool(loop, self._received, service.trouble)

    def run(self, drain: float) -> None:
        """Serves; once stopped, waits up to `drain` seconds for running handlers and then cancels them."""
        self._loop.call_soon(self._pool.start)
        self._loop.call_later(DIAL, self._load)
        # Not a task of ours that the loop runs until it is done: a handler that cancels all tasks would end it.
        while not self._stopping:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                log_stray_exit(error)
        if self._failed is not None:
            raise self._failed
        self._pool.stop()
        run_until_complete(self._loop, self._loop.create_task(self._drain(drain)))
        self._ended = True
        self._pool.close()

    def _load(self) -> None:
        try:
            self._invoker.load()
        except Exception as error:  # without it nothing can be served
            self._failed = error
            self.stop()

    def stop(self) -> None:
        """No poll is parked from now on, and those that are end. The answers of running handlers still go out."""
        self._stopping = True
        self._loop.stop()

    async def end_background_tasks(self, seconds: float) -> None:
        """Cancels the tasks that handlers have left running, and gives them `seconds` for their clean-up."""
        left = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=seconds)

    async def _drain(self, seconds: float) -> None:
        # A third of the time is for what is late: to be cancelled, and to have its answers taken.
        end = self._loop.time() + seconds
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds * 2 / 3)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=seconds / 6)
        settled = asyncio.Event()
        self._pool.when_settled(settled.set)
        with contextlib.suppress(TimeoutError):  # nobody takes the answers any more
            await asyncio.wait_for(settled.wait(), max(0.0, end - self._loop.time()))

    def _received(self, slot: Slot, invocation: Invocation) -> None:
        task = _start(self._serve(slot, invocation), self._loop, self._variables.copy())
        if not task.done():
            # The loop keeps only weak references to tasks.
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _serve(self, slot: Slot, invocation: Invocation) -> None:
        invoker = self._invoker
        try:
            event, context = invoker.begin(invocation)
            result = invoker.handler(event, context)
            del event, context
            if type(result) is CoroutineType or hasattr(result, "__await__"):
                result = await result
            post = invoker.succeed(invocation, result)
            del result  # a large one is not kept while its bytes are sent
        except BaseException as error:
            # SystemExit, KeyboardInterrupt and CancelledError too: they are the handler's, and end its invocation only.
            if self._ended:
                raise  # the coroutine is being thrown away
            post = invoker.fail(invocation, error)
        self._pool.answer(slot, post)


def run_until_complete(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """Runs `loop` until `task` is done. A task of the user's that raises SystemExit stops the loop, but not us."""
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            log_stray_exit(error)
        except (RuntimeError, asyncio.CancelledError):  # loop.stop() or task.cancel() by somebody else
            pass
    if not task.cancelled():
        task.result()
