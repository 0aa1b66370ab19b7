"""_X_AMZN_TRACE_ID in os.environ, with the value of whichever invocation reads it.

botocore, the X-Ray SDK and others look for the trace header there, and nowhere else: where one invocation runs at a
time, the runtime sets it. Here many do, so the variable is not really there; reading it is answered by the context
variables of whoever reads. Outside of an invocation os.environ is what it always was.
"""

from __future__ import annotations

import os

from ..context import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Environ = os._Environ[str]
else:
    Environ = os._Environ

TRACE_ID = "_X_AMZN_TRACE_ID"


class TraceEnviron(Environ):
    """os.environ, but for one variable."""

    def __getitem__(self, key: str) -> str:
        if key == TRACE_ID and (context := CURRENT.get(None)) is not None:
            if context.trace_id is None:
                raise KeyError(key)
            return context.trace_id
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: str) -> None:
        if key == TRACE_ID and (context := CURRENT.get(None)) is not None:
            if not isinstance(value, str):
                raise TypeError(f"str expected, not {type(value).__name__}")
            context.trace_id = value
        else:
            super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        if key == TRACE_ID and (context := CURRENT.get(None)) is not None:
            if context.trace_id is None:
                raise KeyError(key)
            context.trace_id = None
        else:
            super().__delitem__(key)

    def __iter__(self) -> Iterator[str]:
        context = CURRENT.get(None)
        for key in super().__iter__():
            if key != TRACE_ID or context is None:
                yield key
        if context is not None and context.trace_id is not None:
            yield TRACE_ID

    def __len__(self) -> int:
        return sum(1 for _ in self)


def environ_for_child(env: Any = None) -> Any:
    """The environment to start a child process with: `env`, or with the trace id what it would inherit."""
    return dict(os.environ) if env is None and CURRENT.get(None) is not None else env


def share_trace_ids() -> None:
    """From now on os.environ has the trace id of the invocation that reads it, and child processes are given it.

    Those of subprocess, and so of os.popen(), are the business of observe/stdlib.py.
    """
    os.environ.__class__ = TraceEnviron
    system, execv = os.system, os.execv

    def system_with_trace_id(command: Any) -> int:
        context = CURRENT.get(None)
        if context is not None and context.trace_id is not None:
            import shlex  # re, which it imports, costs start-up time

            command = f"export {TRACE_ID}={shlex.quote(context.trace_id)}\n{os.fsdecode(command)}"
        return system(command)

    def execv_with_trace_id(path: str, argv: list[str]) -> None:
        if (env := environ_for_child()) is not None:
            os.execve(path, argv, env)
        execv(path, argv)

    os.system = system_with_trace_id
    os.execv = execv_with_trace_id  # type: ignore[assignment]
