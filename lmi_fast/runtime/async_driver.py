"""Runs `async def` handlers: invocations overlap on one event loop, each a task with context variables of its own."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from contextvars import Context as Variables
from types import CoroutineType
from typing import Any

from ..errors import ErrorType
from ..streaming import Streamed, StreamingResponse
from ..wire.invocation import Invocation
from ..wire.requests import Post
from .gauges import Gauges
from .logs import log_stray_exit
from .owners import note_variables
from .running import Running
from .service import Service
from .stacks import stack_of_task
from .stray_tasks import StrayTasks, log_as_its_task
from .strays import StrayThreads
from .ticks import Ticks
from .watchdog import Watchdog

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
        task = loop.create_task(coroutine, context=variables)
        note_variables(task, variables)
        return task


# Seconds for the first polls to go out, before anything else is done.
DIAL = 0.001


class AsyncDriver:
    """`run()` serves until `stop()` is called on the loop."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._invoker = service.invoker
        self._loop = loop
        self._variables = service.variables
        self._service = service
        self._stopping = False
        self._ended = False
        self._failed: Exception | None = None
        self._stray_tasks = StrayTasks(loop)
        self._stray_threads = StrayThreads()
        self._watchdog = Watchdog(loop, service.config.blocked_after)
        self._pool = service.new_pool(loop, self._received, service.trouble)
        self._running = Running(
            self._pool,
            service.invoker,
            service.config.deadline_margin,
            where=stack_of_task,
            late=asyncio.Task.cancel,
            worn_out=self._worn_out,
        )
        self._ticks = Ticks(loop.call_later)

    def run(self) -> None:
        """Serves; once stopped, waits for running handlers, and answers in their place when that takes too long."""
        config = self._service.config
        self._loop.call_soon(self._pool.start)
        if config.managed and config.blocked_after:
            self._loop.call_soon(self._watchdog.start)
        gauges = Gauges(self._service, self._pool, self._running, self._ticks)
        self._ticks.every(config.stray_after, self._look_for_strays)
        self._ticks.every(config.metrics_every, gauges.report)
        self._loop.set_exception_handler(log_as_its_task)
        self._loop.call_later(DIAL, self._load)
        # Not a task of ours that the loop runs until it is done: a handler that cancels all tasks would end it.
        while not self._stopping:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                log_stray_exit(error)
        self._watchdog.stop()
        self._pool.stop()
        run_until_complete(self._loop, self._loop.create_task(self._drain(config.drain)))
        self._ended = True
        self._pool.close()
        if self._failed is not None:
            raise self._failed

    def _load(self) -> None:
        try:
            self._invoker.load()
        except Exception as error:  # without it nothing can be served
            self._failed = error
            self.stop()

    def _look_for_strays(self) -> None:
        running = self._running.request_ids()
        self._stray_tasks.look(running, self._running.handles())
        self._stray_threads.look(running)

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
        if running := self._running.handles():
            await asyncio.wait(running, timeout=seconds * 2 / 3)
        self._running.give_all_up(ErrorType.SHUTDOWN, "the environment was shut down before the handler had ended")
        if late := self._running.handles():
            await asyncio.wait(late, timeout=seconds / 6)
        settled = asyncio.Event()
        self._pool.when_settled(settled.set)
        with contextlib.suppress(TimeoutError):  # nobody takes the answers any more
            await asyncio.wait_for(settled.wait(), max(0.0, end - self._loop.time()))

    def _received(self, invocation: Invocation) -> None:
        task = _start(self._serve(invocation), self._loop, self._variables.copy())
        if not task.done():
            # The loop keeps only weak references to tasks.
            self._running.add(invocation, task)

    async def _serve(self, invocation: Invocation) -> None:
        invoker = self._invoker
        post = None
        try:
            event, context = invoker.begin(invocation)
            result = invoker.handler(event, context)
            del event, context
            if type(result) is CoroutineType or hasattr(result, "__await__"):
                result = await result
            if not invocation.answered:
                post = invoker.succeed(invocation, result)
            del result  # a large one is not kept while its bytes are sent
        except BaseException as error:
            # SystemExit, KeyboardInterrupt and CancelledError too: they are the handler's, and end its invocation only.
            if self._ended:
                raise  # the coroutine is being thrown away
            if type(error) is Streamed:
                post = await self._stream(invocation, error.response)
            elif not invocation.answered:
                post = invoker.fail(invocation, error)
        self._running.end(invocation, post)

    async def _stream(self, invocation: Invocation, response: StreamingResponse) -> Post | None:
        from .streams import AsyncStreams

        try:
            streams = AsyncStreams(self._loop, self._service.address, self._invoker, self._pool)
            return await streams.send(response, invocation)
        except BaseException as error:
            if self._ended:
                raise
            return None if invocation.answered else self._invoker.fail(invocation, error)

    def _worn_out(self) -> None:
        self._failed = self._running.no_slot_left()
        self.stop()


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
