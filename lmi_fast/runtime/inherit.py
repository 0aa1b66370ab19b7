"""Threads that an invocation starts belong to it: they begin with a copy of its context variables.

Python does that by itself from 3.14 on, where it runs without the interpreter lock (sys.flags.thread_inherit_context).
The threads of executors belong to nobody; what is submitted to them does: see observe/stdlib.py.
"""

from __future__ import annotations

import threading
from contextvars import copy_context

from ..context import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..context import Context

_OWNER = "_lmi_fast_owner"  # of a thread


def note_owners(inherit: bool) -> None:
    """From now on threads know the invocation that started them; if they `inherit`, they run as part of it."""
    start = threading.Thread.start

    def start_owned(thread: threading.Thread) -> None:
        owner = CURRENT.get(None)
        if owner is not None and not _is_of_an_executor(thread):
            setattr(thread, _OWNER, owner)
            if inherit and getattr(thread, "_context", None) is None:  # Thread(context=...), 3.14
                _run_in_copy(thread)
        start(thread)

    threading.Thread.start = start_owned  # type: ignore[method-assign, assignment]


def owner_of(thread: threading.Thread | None) -> Context | None:
    """The context of the invocation that has started `thread`."""
    owner: Context | None = getattr(thread, _OWNER, None)
    return owner


def _run_in_copy(thread: threading.Thread) -> None:
    variables = copy_context()
    run = vars(thread).get("run")

    def run_in_copy() -> None:
        if run is None:
            del thread.run  # or the thread would refer to itself for ever
        else:
            thread.run = run  # type: ignore[method-assign]
        variables.run(thread.run)

    thread.run = run_in_copy  # type: ignore[method-assign]


def _is_of_an_executor(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", "") == "concurrent.futures.thread"
