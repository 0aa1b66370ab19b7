"""What a user wants done once per process: before the first invocation, and after the last.

    @lmi_fast.lifespan
    async def resources():
        async with httpx.AsyncClient() as client:
            yield client                # handlers find it as context.state
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[[], Any])
Manager = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]

_CO_GENERATOR = 0x20  # inspect.CO_GENERATOR and CO_ASYNC_GENERATOR; importing inspect costs start-up time
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


def registered_manager() -> Manager | None:
    """A new context manager of the registered lifespan, not entered yet; None where there is none.

    Raises TypeError for a function that returns something else.
    """
    function = _registered
    if function is None:
        return None
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    manager: Any
    if flags & _CO_ASYNC_GENERATOR:
        manager = asynccontextmanager(function)()
    elif flags & _CO_GENERATOR:
        manager = contextmanager(function)()
    else:
        manager = function()
    if not hasattr(manager, "__aenter__") and not hasattr(manager, "__enter__"):
        raise TypeError(
            f"the lifespan {function!r} returned {type(manager).__name__}: it should yield once, or return a context manager"
        )
    return manager  # type: ignore[no-any-return]  # checked by its methods


def is_async_manager(manager: Manager) -> bool:
    """True for one to be entered with `async with`; one that is both is."""
    return hasattr(manager, "__aenter__")


async def enter_async(manager: AbstractAsyncContextManager[Any]) -> Any:
    """What `manager` yields."""
    return await manager.__aenter__()


async def exit_async(manager: AbstractAsyncContextManager[Any]) -> None:
    """Closes `manager`."""
    await manager.__aexit__(None, None, None)
