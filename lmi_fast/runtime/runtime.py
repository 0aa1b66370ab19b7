"""The life of the process: init phase, invocations, shutdown.

Init errors are logged, posted to the Runtime API and end the process with exit code 1 at once: "call the initialization
error API and exit immediately" (Building a custom runtime, AWS Lambda developer guide).
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

from .._lifespan import Lifespan
from .._twins import twin, twins
from ..config import Config, likely_log_format, put_task_root_on_path, read_config, runtime_api_host
from ..errors import ConfigError, ErrorType, FaultError, LmiFastError
from . import logs
from .handler import check_handler, is_async, load_handler
from .strays import note_owners_of_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..client.extension import Extension
    from .handler import Handler
    from .service import Service
    from .thread_driver import ThreadDriver

# Seconds for the tasks that handlers have left running, once all else is done.
BACKGROUND = 0.05
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(handler: Handler | str | None = None) -> None:
    """Serves invocations with `handler` until the platform ends the process. Returns after SIGTERM or SIGINT.

    `handler` is a function, a string such as "module.function", or None for the value of _HANDLER. An init phase that
    fails ends the process with exit code 1, at once.
    """
    with _InitPhase() as init:
        config = init.config = read_config(None if callable(handler) else handler)
        logs.set_up(config)
        note_owners_of_threads()
        if callable(handler):
            function = check_handler(handler, repr(handler))
        elif config.handler is None:
            raise ConfigError("_HANDLER", None, "the handler as module.function, unless it is given as an argument")
        else:
            put_task_root_on_path(config)
            function = load_handler(config.handler)
        use_loop = is_async(function) if config.driver == "auto" else config.driver == "async"
        serve = (_prepare_async if use_loop else _prepare_threads)(config, function)
        if config.extension:
            _register_extension(config)
    try:
        serve()
    except BaseException as error:
        from .reports import make_report

        logs.log_report(make_report(error).fields, config.log_format)
        _exit_at_once(1)


class _InitPhase:
    """Turns whatever is raised within into an init error. It ends with the first poll."""

    def __init__(self) -> None:
        self.config: Config | None = None

    def __enter__(self) -> _InitPhase:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        if kind is ConfigError:
            error = FaultError(ErrorType.CONFIG, str(error))
        from .reports import make_report  # it costs start-up time

        report = make_report(error)
        log_format = self.config.log_format if self.config is not None else likely_log_format()
        logs.log_report(report.fields, log_format)
        host = runtime_api_host()
        if host is not None:
            from ..client.init_error import post_init_error

            try:
                post_init_error(host, report.body, report.error_type)
            except LmiFastError as failure:
                logs.log_report(make_report(failure).fields, log_format)
        _exit_at_once(1)


def _exit_at_once(code: int) -> NoReturn:
    """Ends the process without waiting for the threads the user's code has left.

    An interpreter that ends by itself joins them: the environment would hang in its init phase, or be killed at last.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _new_service(config: Config, handler: Handler) -> Service:
    from ..client.address import Address
    from ..wire.requests import Requests
    from .invoker import Invoker
    from .service import Service
    from .trouble import TroubleLog

    log_format = config.log_format
    return Service(
        config,
        Invoker(handler, config, Requests(config.runtime_api), lambda fields: logs.log_report(fields, log_format)),
        Address(config.runtime_api),
        variables=copy_context(),
        trouble=TroubleLog(),
    )


_extensions: list[Extension] = []  # open for as long as the process lives


def _register_extension(config: Config) -> None:
    from ..client.address import Address
    from ..client.extension import Extension

    try:
        _extensions.append(Extension(Address(config.runtime_api)))
    except LmiFastError as error:  # it is a courtesy: what serves can do without
        logging.getLogger("lmi_fast").info("shutdown will come without SIGTERM: %s", error)


def _prepare_threads(config: Config, handler: Handler) -> Callable[[], None]:
    """Returns what serves on threads."""
    from .thread_driver import ThreadDriver

    service = _new_service(config, handler)
    lifespan = Lifespan()
    if lifespan.is_async:
        import asyncio  # for this lifespan; a plain handler never needs it

        loop = asyncio.new_event_loop()
        service.invoker.state = lifespan.start(loop, service.variables)
    else:
        service.invoker.state = service.variables.run(lifespan.enter)
    if config.managed and not config.malloc_is_tuned:
        twin("runtime._malloc").use_one_arena()
    driver = ThreadDriver(service)
    driver.start()
    wait: Callable[[], object] = driver.stopping.wait
    if _on_main_thread():
        if config.managed:
            wait = _watch_signals()
        else:
            for number in STOP_SIGNALS:
                signal.signal(number, lambda *_: _stop_on_main_thread(driver, config.drain))
            # The kernel may give a signal to a thread of the user's: the main thread has to wake up all the same.
            signal.set_wakeup_fd(driver.waker, warn_on_full_buffer=False)
    logs.log_start(config, "threads", twins())

    def serve() -> None:
        driver.run(wait)
        if lifespan.is_async:
            lifespan.finish(loop)
        else:
            service.variables.run(lifespan.exit)

    return serve


def _stop_on_main_thread(driver: ThreadDriver, drain: float) -> None:
    """Stops a driver whose handler may be running below this very signal handler, in Lambda (default) mode."""
    from .thread_driver import LAST

    def give_up() -> None:
        if not driver.ended.wait(drain * (1 - LAST)):
            driver.give_up()
            _exit_at_once(0)

    driver.stop()
    # Not threading.Thread: it takes locks that the main thread may hold.
    _thread.start_new_thread(give_up, ())


def _watch_signals() -> Callable[[], None]:
    """Returns what waits for SIGTERM or SIGINT.

    By a pipe: a handler in Python runs when the main thread gets to it, which it does not while it waits for a lock and
    the kernel has given the signal to another thread; and it must not touch the locks that the main thread may hold.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def wait() -> None:
        while not set(os.read(read_end, 64)) & set(STOP_SIGNALS):
            pass

    return wait


def _prepare_async(config: Config, handler: Handler) -> Callable[[], None]:
    """Returns what serves on an event loop."""
    from .async_driver import AsyncDriver
    from .loop import new_event_loop

    service = _new_service(config, handler)
    loop = new_event_loop(config.loop)
    lifespan = Lifespan()
    if lifespan.is_async:
        service.invoker.state = lifespan.start(loop, service.variables)
    else:
        service.invoker.state = service.variables.run(lifespan.enter)
    driver = AsyncDriver(service, loop)
    if _on_main_thread():
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, driver.stop)
    logs.log_start(config, type(loop).__module__.partition(".")[0], twins())

    def serve() -> None:
        driver.run()
        if lifespan.is_async:
            lifespan.finish(loop)
        else:
            service.variables.run(lifespan.exit)
        loop.run_until_complete(driver.end_background_tasks(BACKGROUND))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    return serve


def _on_main_thread() -> bool:
    # Signal handlers can be set there only. Elsewhere somebody has embedded us, and ends the process himself.
    return threading.current_thread() is threading.main_thread()


def main(arguments: list[str]) -> None:
    """The command `python -m lmi_fast`."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(HELP)
    elif arguments == ["--version"]:
        from .._version import __version__

        print(__version__)
    elif len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(f"lmi_fast: expected one handler, not {' '.join(arguments)!r}; see --help", file=sys.stderr)
        raise SystemExit(2)
    else:
        run(arguments[0] if arguments else None)
        _exit_at_once(0)


HELP = """\
usage: python -m lmi_fast [HANDLER]

Serves the invocations of an AWS Lambda function: many at once on Managed Instances, one at a time elsewhere.

  HANDLER     module.function or package/module.function; default: the variable _HANDLER

Lambda, and its emulator, set these:
  AWS_LAMBDA_RUNTIME_API      host:port of the Runtime API
  AWS_LAMBDA_MAX_CONCURRENCY  how many invocations at once; present on Managed Instances only
  AWS_LAMBDA_LOG_FORMAT       JSON or TEXT; default: JSON on Managed Instances, TEXT elsewhere
  AWS_LAMBDA_LOG_LEVEL        TRACE, DEBUG, INFO, WARN, ERROR or FATAL

and you may set these:
  LMI_FAST_DRIVER  auto, async or threads: what runs the handler; default: by whether it returns a coroutine
  LMI_FAST_TWINS   auto, pure, compiled or h11: which reader of HTTP; default: compiled where it was built
  LMI_FAST_LOOP    auto, uvloop or asyncio: the event loop of async handlers; default: uvloop where it is installed
  LMI_FAST_DEADLINE            on or off: at its deadline, answer an invocation with an error and cancel it; default: on
  LMI_FAST_DEADLINE_MARGIN_MS  how long before it; default: 50
  LMI_FAST_BLOCKED_MS          log what keeps the event loop of async handlers for so long; 0: never; default: 100
  LMI_FAST_STRAY_MS            log tasks and threads that go on so long after their invocation; 0: never; default: 5000
  LMI_FAST_EXTENSION           on or off: register an extension, or there will be no SIGTERM at all; default: on
  LMI_FAST_DRAIN_MS            how long running handlers may go on after SIGTERM; default: 300
  LMI_FAST_PYTHON  the interpreter that the bootstrap script starts; default: python3
"""
