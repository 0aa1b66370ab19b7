"""Whose a task is: the context variables it runs in name the invocation."""

from __future__ import annotations

from asyncio import Task
from collections.abc import Callable
from contextvars import Context as Variables

from ..context import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..context import Context

# Python 3.11 does not tell the context variables of a task: there, only handlers' own tasks have an owner.
_NOTE = "_lmi_fast_variables"


def note_variables(task: Task[Any], variables: Variables) -> None:
    """For Python 3.11: remembers the context variables `task` was made with."""
    setattr(task, _NOTE, variables)


def variables_of(task: Task[Any]) -> Variables | None:
    """The context variables `task` runs in, where they can be known."""
    get_context: Callable[[], Variables] | None = getattr(task, "get_context", None)
    return getattr(task, _NOTE, None) if get_context is None else get_context()


def invocation_of(task: Task[Any]) -> Context | None:
    """The invocation that `task` belongs to."""
    variables = variables_of(task)
    return None if variables is None else variables.get(CURRENT)


def call_as(task: Task[Any] | None, function: Callable[..., object], *args: object) -> None:
    """Calls `function` with the context variables of `task`, so that what it logs carries the task's request id; with
    none where they are not known, so that it carries nobody else's.
    """
    variables = None if task is None else variables_of(task)
    # A copy: the task itself may be running in the original.
    (Variables() if variables is None else variables.copy()).run(function, *args)
