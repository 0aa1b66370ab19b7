"""How a process of ours ends when it cannot serve: with a report to whoever can be told, and at once.

Init errors are logged, posted to the Runtime API and end the process with exit code 1: "call the initialization error
API and exit immediately" (Building a custom runtime, AWS Lambda developer guide).
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import sys
import time
from types import TracebackType

from ..config import Config, likely_log_format, runtime_api_host
from ..errors import ConfigError, ErrorType, FaultError, LmiFastError
from . import logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


# Seconds that one process may take to report; more than posting it does.
REPORTING = 3.0
# Seconds for what is registered with atexit.
EXITING = 1.0


class InitPhase:
    """Turns whatever is raised within into an init error. It ends with the first poll."""

    def __init__(self, config: Config | None = None, report: bool | Callable[[], bool] = True) -> None:
        """`report`: whether it is to be reported to the platform. A callable says who of several processes does so, all
        of which are likely to have the same error.
        """
        self.config = config
        self._report = report

    def __enter__(self) -> InitPhase:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        if callable(self._report) and not self._report():
            time.sleep(REPORTING)  # the first to end says that the init phase is over
            exit_at_once(1)
        if kind is ConfigError:
            error = FaultError(ErrorType.CONFIG, str(error))
        from .reports import make_report  # it costs start-up time

        report = make_report(error)
        log_format = self.config.log_format if self.config is not None else likely_log_format()
        logs.log_report(report.fields, log_format)
        host = runtime_api_host()
        if host is not None and self._report:
            from ..client.init_error import post_init_error

            try:
                post_init_error(host, report.body, report.error_type)
            except LmiFastError as failure:
                logs.log_report(make_report(failure).fields, log_format)
        exit_at_once(1)


def end_with(error: BaseException, config: Config) -> NoReturn:
    """Logs an error that cannot be dealt with, and ends the process."""
    from .reports import make_report

    logs.log_report(make_report(error).fields, config.log_format)
    exit_at_once(1)


def exit_at_once(code: int) -> NoReturn:
    """Ends the process without waiting for the threads the user's code has left.

    An interpreter that ends by itself joins them: the environment would hang in its init phase, or be killed at last.
    What is registered with atexit may wait for others too, as multiprocessing does for its children: not for long.
    """
    _thread.start_new_thread(_exit_later, (code,))
    if (pools := sys.modules.get("concurrent.futures.process")) is not None:
        pools._python_exit()  # or multiprocessing waits for children that wait for work
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def end_child(error: BaseException | None) -> NoReturn:
    """Ends a process that a handler forked and that came back out of it: the invocation is its parent's to answer."""
    code = getattr(error, "code", 1) if isinstance(error, SystemExit) else 1
    if error is None or code is None:
        code = 0
    elif not isinstance(error, SystemExit):
        import traceback

        traceback.print_exception(error)
    os._exit(code if isinstance(code, int) else 1)


def _exit_later(code: int) -> None:
    time.sleep(EXITING)
    if (multiprocessing := sys.modules.get("multiprocessing")) is not None:
        for child in multiprocessing.active_children():
            child.kill()
    os._exit(code)
