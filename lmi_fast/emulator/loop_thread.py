"""An event loop on a thread of its own: what the servers of this package run on, and how other threads reach them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ..errors import ApiUnavailable
from .stats import Watchers

S = TypeVar("S")
T = TypeVar("T")


class LoopThread:
    """Runs from the constructor until `close`. Its methods may be called from any other thread."""

    def __init__(self, name: str, finish: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`finish` is run on the loop in the end; what is left on the loop then is cancelled."""
        self.loop = asyncio.new_event_loop()
        self._name = name
        self._finish = finish
        self._stop = asyncio.Event()
        self._failures: list[BaseException] = []
        self.loop.set_exception_handler(self._failed)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the loop. Raises what a callback has raised meanwhile."""
        if self.alive:
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        if self._failures:
            raise self._failures.pop(0)

    @property
    def alive(self) -> bool:
        """It was not closed."""
        return self._thread.is_alive()

    def send(self, function: Callable[..., object], *arguments: object) -> None:
        """Has the loop call `function`. Raises ApiUnavailable when that has ended."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError as error:
            raise self.closed() from error

    def call(self, function: Callable[[], T]) -> T:
        """The result of a call on the loop; here and now on the loop's own thread, and once that has ended."""
        if not self.alive or self._thread is threading.current_thread():
            return function()
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(function())
            except BaseException as error:
                result.set_exception(error)

        self.send(run)
        return result.result()

    def run(self, coroutine: Coroutine[object, object, T]) -> T:
        """The result of `coroutine`, run on the loop. Raises ApiUnavailable when that has ended."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()
        except RuntimeError as error:
            coroutine.close()
            raise self.closed() from error

    def wait_for(self, watchers: Watchers[S], condition: Callable[[S], bool], timeout: float) -> None:
        """Returns once `condition` holds, which is called on the loop whenever the watchers are told of a change.

        TimeoutError, with what they watch, after `timeout` seconds.
        """
        met: Future[None] = Future()
        self.send(watchers.add, condition, met)
        with contextlib.suppress(TimeoutError):
            met.result(timeout)
        if met.cancel():
            raise TimeoutError(f"not within {timeout} s: {self.call(lambda: repr(watchers.subject))}")
        met.result()  # raises what the condition raised

    def closed(self) -> ApiUnavailable:
        """The error of whoever comes too late."""
        return ApiUnavailable(f"{self._name} is closed")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._stop.wait()
        await self._finish()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if error := context.get("exception"):
            self._failures.append(error)
