"""The event loop: uvloop where it is installed, asyncio otherwise. The only importer of uvloop.

Ours pass on what belongs to an invocation and other loops do not: its context variables to the threads of executors,
its trace id to child processes.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from ..context import CURRENT
from ..errors import ConfigError
from .trace_environ import environ_for_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Base = asyncio.AbstractEventLoop
else:
    Base = object


class _InExecutors(Base):
    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        if CURRENT.get(None) is None:
            return super().run_in_executor(executor, func, *args)
        from concurrent.futures import ThreadPoolExecutor

        if executor is not None and not isinstance(executor, ThreadPoolExecutor):
            return super().run_in_executor(executor, func, *args)  # other processes have no use for them
        return super().run_in_executor(executor, copy_context().run, func, *args)


class AsyncioLoop(_InExecutors, asyncio.SelectorEventLoop):  # type: ignore[misc]
    """asyncio's own. It starts processes with subprocess: see observe/stdlib.py."""


def _uvloop() -> type[asyncio.AbstractEventLoop]:
    import uvloop

    class UvLoop(_InExecutors, uvloop.Loop):  # type: ignore[misc] # (uvloop's stubs and typeshed's differ)
        async def subprocess_exec(self, *args: Any, env: Any = None, **kwargs: Any) -> Any:
            return await super().subprocess_exec(*args, env=environ_for_child(env), **kwargs)

        async def subprocess_shell(self, *args: Any, env: Any = None, **kwargs: Any) -> Any:
            return await super().subprocess_shell(*args, env=environ_for_child(env), **kwargs)

    return UvLoop


def new_event_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A new event loop; `kind` is LMI_FAST_LOOP: "auto", "uvloop" or "asyncio". Raises ConfigError."""
    if kind == "asyncio":
        return AsyncioLoop()
    try:
        return _uvloop()()
    except ModuleNotFoundError as error:
        if error.name != "uvloop":
            raise
        if kind == "uvloop":
            raise ConfigError("LMI_FAST_LOOP", kind, "uvloop only where it is installed: pip install uvloop") from None
        return AsyncioLoop()


def name_of(loop: asyncio.AbstractEventLoop) -> str:
    """What it is one of: "uvloop" or "asyncio"."""
    return "asyncio" if isinstance(loop, AsyncioLoop) else "uvloop"
