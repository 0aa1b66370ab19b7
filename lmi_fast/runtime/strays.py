"""What outlives its invocation: threads and tasks a handler has left behind, and the errors they end with.

They are told of, with the request id of the invocation that started them, and never ended: some are meant to go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextvars import Context as Variables

from ..context import CURRENT
from .inherit import owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_log = logging.getLogger("lmi_fast")


def watch_threads() -> None:
    """From now on what a thread raises is logged under the name of the invocation that started it."""
    threading.excepthook = _log_end_of_thread


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:
        return  # as threading has it
    name = "a thread" if ended.thread is None else f"the thread {ended.thread.name}"
    error = ended.exc_value or ended.exc_type()
    call_for(
        owner_of(ended.thread),
        lambda: _log.error("%s ended with an error", name, exc_info=(type(error), error, error.__traceback__)),
    )


def call_for(owner: Any, function: Callable[[], object]) -> None:
    """Calls `function` as part of the invocation `owner`, or of none."""
    variables = Variables()
    if owner is not None:
        variables.run(CURRENT.set, owner)
    variables.run(function)


class StrayThreads:
    """Tells of each thread that goes on for a while after the invocation that started it, once."""

    def __init__(self) -> None:
        self._suspected: set[threading.Thread] = set()
        self._told: set[threading.Thread] = set()

    def look(self, running: Iterable[str]) -> None:
        """To be called now and then with the request ids of what runs: threads are told of at the second look."""
        ids = set(running)
        alive = threading.enumerate()
        strays = {thread for thread in alive if _is_stray(thread, ids)}
        for thread in strays & self._suspected - self._told:
            self._tell(thread)
        self._told &= strays
        self._told |= strays & self._suspected
        self._suspected = strays

    def _tell(self, thread: threading.Thread) -> None:
        from .stacks import stack_of_thread

        stack = "".join(stack_of_thread(thread.ident or 0)).rstrip()
        call_for(
            owner_of(thread),
            lambda: _log.warning(
                "the thread %s goes on after the invocation that started it has ended\n%s", thread.name, stack
            ),
        )


def _is_stray(thread: threading.Thread, running: set[str]) -> bool:
    owner = owner_of(thread)
    return owner is not None and owner.aws_request_id not in running
