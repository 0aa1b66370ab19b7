"""What a user wants done once per process: before the first invocation, and after the last.

@lmi_fast.lifespan
async def resources():
    async with httpx.AsyncClient() as client:
        yield client                # handlers find it as context.state
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context as Variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[[], Any])
    import asyncio


_CO_GENERATOR = 0x20  # inspect.CO_GENERATOR and CO_ASYNC_GENERATOR, without importing inspect
_CO_ASYNC_GENERATOR = 0x200

_registered: Callable[[], Any] | None = None


def lifespan(function: F) -> F:
    """Registers `function`, without arguments, as the lifespan of this process; a decorator.

    It is an (async) generator function that yields once, or returns an (async) context manager. What it yields is
    `context.state` of every invocation. It is entered before the first poll, and closed on shutdown. If it raises, the
    init phase has failed. Raises ValueError when another one is registered.
    """
    global _registered
    if _registered is not None and _registered is not function:
        raise ValueError(
            f"a lifespan is registered already: {_registered!r}; call both from one function to have two of them"
        )
    _registered = function
    return function


def surround(outer: Callable[[Callable[[], Any] | None], Callable[[], Any]]) -> None:
    """Has `outer(function)` be the lifespan of this process, where `function` is what is registered, or None."""
    global _registered
    _registered = outer(_registered)


def manager_of(function: Callable[[], Any]) -> Any:
    """The context manager of a lifespan. Raises TypeError when that returned none."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & _CO_ASYNC_GENERATOR:
        return asynccontextmanager(function)()
    if flags & _CO_GENERATOR:
        return contextmanager(function)()
    manager = function()
    if not hasattr(manager, "__aenter__") and not hasattr(manager, "__enter__"):
        raise TypeError(
            f"the lifespan {function!r} returned {type(manager).__name__}: "
            "it should yield once, or return a context manager"
        )
    return manager


class Lifespan:
    """The lifespan of this process, entered and closed once; without one, both do nothing."""

    def __init__(self) -> None:
        """Calls the registered function. Raises TypeError when it returns no context manager."""
        self._manager: Any = None if _registered is None else manager_of(_registered)

    @property
    def is_async(self) -> bool:
        """True where start() and finish() are the ones to use; they are for a manager that is both."""
        return hasattr(self._manager, "__aenter__")

    def enter(self) -> Any:
        """What the lifespan yields."""
        return None if self._manager is None else self._manager.__enter__()

    def exit(self) -> None:
        """Closes the lifespan."""
        if self._manager is not None:
            self._manager.__exit__(None, None, None)

    def start(self, loop: asyncio.AbstractEventLoop, variables: Variables) -> Any:
        """What an async lifespan yields, entered on `loop` in `variables`."""
        from asyncio import Event  # a plain handler without an async lifespan never needs it

        started: asyncio.Future[Any] = loop.create_future()
        self._closing = Event()
        # One task from beginning to end: task groups and cancel scopes are closed by the task that opened them.
        self._task = loop.create_task(self._live(started), context=variables)
        self._task.add_done_callback(self._ended)
        return loop.run_until_complete(started)

    async def _live(self, started: asyncio.Future[Any]) -> None:
        try:
            async with self._manager as state:
                started.set_result(state)
                await self._closing.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._closing.is_set() and not task.cancelled() and task.exception() is not None:
            import logging

            # A task group in it, for instance, of which a child has failed. finish() raises it.
            logging.getLogger("lmi_fast").error("the lifespan ended early", exc_info=task.exception())

    def finish(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes an async lifespan. Raises what it raised, if that was before this call as well."""
        self._closing.set()
        loop.run_until_complete(self._task)
