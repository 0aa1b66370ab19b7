"""What the standard library does not pass on: context variables to the threads of executors, and the trace id of an
invocation to child processes.
"""

from __future__ import annotations

import functools
from contextvars import copy_context
from types import ModuleType
from typing import Any

from ..context import CURRENT
from ..runtime.trace_environ import environ_for_child

_ENV = 10  # the position of `env` among the arguments of subprocess.Popen


def inherit_in_executors(module: ModuleType) -> None:
    """Of concurrent.futures.thread: what an invocation submits runs in a copy of its context variables."""
    submit = module.ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def submit_in_context(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if CURRENT.get(None) is None:
            return submit(self, fn, *args, **kwargs)
        return submit(self, copy_context().run, fn, *args, **kwargs)

    module.ThreadPoolExecutor.submit = submit_in_context


def give_trace_id_to_children(module: ModuleType) -> None:
    """Of subprocess: a child that is to inherit the environment has _X_AMZN_TRACE_ID in it, as os.environ shows it."""
    start = module.Popen.__init__

    @functools.wraps(start)
    def start_with_trace_id(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > _ENV:
            args = (*args[:_ENV], environ_for_child(args[_ENV]), *args[_ENV + 1 :])
        else:
            kwargs["env"] = environ_for_child(kwargs.get("env"))
        start(self, *args, **kwargs)

    module.Popen.__init__ = start_with_trace_id
