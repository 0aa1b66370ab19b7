"""Calls the hooks that were added: imported where there are some."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from ..context import CURRENT, Context
from ..hooks import Hooks
from ..wire.invocation import Invocation
from ..wire.requests import Post
from .invoker import Invoker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .reports import Report

_log = logging.getLogger("lmi_fast")


class HookedInvoker(Invoker):
    """An Invoker that tells `hooks` of each invocation."""

    def __init__(self, hooks: list[Hooks], *args: Any) -> None:
        super().__init__(*args)
        self._hooks = hooks
        self._running: dict[Invocation, tuple[Context, float]] = {}

    def begin(self, invocation: Invocation) -> tuple[Any, Context]:
        """See Invoker."""
        began = time.monotonic()
        event = None
        try:
            event, context = super().begin(invocation)
            return event, context
        finally:
            started = CURRENT.get(None)
            if started is not None:  # else there is no context: its headers could not be decoded
                self._running[invocation] = (started, began)
                tell(self._hooks, "invocation_start", started, event)

    def succeed(self, invocation: Invocation, result: Any) -> Post:
        """See Invoker."""
        post = super().succeed(invocation, result)
        self._tell_end("invocation_end", invocation, result)
        return post

    def streamed(self, invocation: Invocation) -> None:
        """See Invoker."""
        self._tell_end("invocation_end", invocation, None)

    def describe(self, invocation: Invocation, error: BaseException) -> Report:
        """See Invoker."""
        report = super().describe(invocation, error)
        self._tell_end("invocation_error", invocation, error)
        return report

    def _tell_end(self, what: str, invocation: Invocation, outcome: object) -> None:
        started = self._running.pop(invocation, None)
        if started is not None:
            context, began = started
            tell(self._hooks, what, context, outcome, time.monotonic() - began)


def seconds_since_start() -> float:
    """How old this process is (proc_pid_stat(5)); 0.0 where that cannot be told."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return 0.0


def tell(hooks: Iterable[Hooks], what: str, *args: Any) -> None:
    """Calls the method `what` of all of them; what one raises is logged."""
    for one in hooks:
        try:
            getattr(one, what)(*args)
        except BaseException:  # SystemExit too: the invocation is to be answered
            _log.exception("the hook %s.%s() failed", type(one).__name__, what)
