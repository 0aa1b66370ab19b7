"""The tasks among what outlives its invocation (strays.py), and the errors that nobody has waited for."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Iterable

from .owners import call_as, invocation_of
from .stacks import stack_of_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_log = logging.getLogger("lmi_fast")


def log_as_its_task(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler of event loops: logs what nobody has waited for under the name of whose task it was.

    Such errors are found when something is freed, which may be in the middle of another invocation.
    """
    source = context.get("task") or context.get("future")
    task = source if isinstance(source, asyncio.Task) else None
    variables = getattr(context.get("handle"), "_context", None)  # of a callback
    if task is None and variables is not None:
        variables.copy().run(loop.default_exception_handler, context)
    else:
        call_as(task, loop.default_exception_handler, context)


class StrayTasks:
    """Tells of each task that goes on for a while after the invocation that started it, once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._suspected: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._told: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def look(self, running: Iterable[str], handlers: Iterable[asyncio.Task[Any]]) -> None:
        """To be called now and then with the request ids of what runs and with the tasks of all handlers: others are
        told of at the second look.
        """
        ids = set(running)
        suspected: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        for task in asyncio.all_tasks(self._loop) - set(handlers):
            owner = invocation_of(task)
            if owner is None or owner.aws_request_id in ids or task in self._told:
                continue
            if task in self._suspected:
                self._told.add(task)
                stack = "".join(stack_of_task(task)).rstrip()
                call_as(
                    task,
                    _log.warning,
                    "%s goes on after the invocation that started it has ended\n%s",
                    _name(task),
                    stack,
                )
            else:
                suspected.add(task)
        self._suspected = suspected


def _name(task: asyncio.Task[Any]) -> str:
    name = getattr(task.get_coro(), "__qualname__", None)
    return f"the task {task.get_name()} ({name})" if name else f"the task {task.get_name()}"
