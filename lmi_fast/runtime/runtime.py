"""The life of the process: init phase, invocations, shutdown."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import copy_context
from importlib import import_module

from .._lifespan import Lifespan
from .._twins import twin, twins
from ..client.address import Address
from ..client.records import READY
from ..config import Config, put_task_root_on_path
from ..errors import ConfigError, LmiFastError
from ..hooks import take_hooks
from . import logs
from .endings import InitPhase, end_with, exit_at_once
from .handler import check_handler, interface_of, is_async, load_handler
from .inherit import note_owners
from .signals import STOP_SIGNALS, on_main_thread, signal_waiter, stop_beneath_handler
from .strays import watch_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..client.extension import Extension
    from .handler import Handler
    from .service import Service
    from .supervisor import Seat

# Seconds for the tasks that handlers have left running, once all else is done.
BACKGROUND = 0.05
# Bytes. By default it is 128 KiB: 100 KB events cost twice the CPU then, for pages that come and go.
HEAP = 1 << 22


def run(handler: Handler | str | None = None) -> None:
    """Serves invocations with `handler` until the platform ends the process. Returns after SIGTERM or SIGINT.

    `handler` is a function, a string such as "module.function", or None for the value of _HANDLER. An init phase that
    fails ends the process with exit code 1, at once. Under Managed Instances this process forks others that serve, and
    looks after them; they never return from here.
    """
    function: Handler | None = None
    with InitPhase() as init:
        config = init.config = Config(None if callable(handler) else handler)
        logs.set_up(config)
        _prepare_process(config)
        if config.preload:
            function = _load(handler, config)
        address = Address(config.runtime_api)
        _allow_open_files(config.slots)
        processes = _processes(config)
        logs.log_pool(config, processes)
        if config.extension:
            _register_extension(address)
    seat = None
    if processes:
        from .supervisor import supervise

        seat = supervise(config, address, processes)
        if seat is None:
            return
        config.slots = seat.slots
    logs.use_provider_socket(config)
    with InitPhase(config) if seat is None else seat.init_phase(config):
        function = function or _load(handler, config)
        use_loop = is_async(function) if config.driver == "auto" else config.driver == "async"
        serve = (_prepare_async if use_loop else _prepare_threads)(config, address, function, seat)
    try:
        serve()
    except BaseException as error:
        end_with(error, config)
    if seat is not None:
        exit_at_once(0)


def _prepare_process(config: Config) -> None:
    """What the process needs before any of the user's code, so that invocations may overlap."""
    _keep_heap()
    watch_threads()
    note_owners(config.inherit)
    if not config.managed:
        return
    if config.print_records:
        from .prints import print_records

        print_records()
    from .adapters import LIBRARIES, STANDARD, adapt_on_import
    from .trace_environ import share_trace_ids

    share_trace_ids()
    left_out = set() if config.inherit else {"concurrent.futures.thread"}
    adapt_on_import({name: STANDARD[name] for name in STANDARD.keys() - left_out} | (LIBRARIES if config.adapt else {}))


def _keep_heap() -> None:
    """Has the C library keep as much of free memory at the end of its heap, and not give it back after each event.

    glibc's thresholds follow the largest block that was freed (mallopt(3), M_MMAP_THRESHOLD): so one is, untouched.
    """
    bytes(HEAP // 2)


def _load(handler: Handler | str | None, config: Config) -> Handler:
    if callable(handler):
        return _adapted(check_handler(handler, repr(handler)), config)
    if config.handler is None:
        raise ConfigError("_HANDLER", None, "the handler as module.function, unless it is given as an argument")
    put_task_root_on_path(config)
    function = load_handler(config.handler)
    if config.adapt:
        from .adapters import warn_about

        warn_about(function)
    return _adapted(function, config)


def _adapted(function: Handler, config: Config) -> Handler:
    """What serves a web application as a handler, where `function` is one."""
    interface = interface_of(function) if config.interface == "auto" else config.interface
    if interface == "lambda":
        return function
    adapted: Handler = import_module("lmi_fast.http").serve_app(function, interface, config)
    return adapted


def _allow_open_files(slots: int) -> None:
    """Two connections for each slot, twice over while answers pile up; and the user's own, of whom he has as many."""
    if slots <= 128:
        return  # 1,024 is the least there is
    import resource

    wanted = 6 * slots + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _processes(config: Config) -> int:
    """How many worker processes there shall be; 0: none beside this one."""
    if config.processes == 0 or not on_main_thread() or not hasattr(os, "memfd_create"):
        return 0  # who embeds us on a thread looks after the process himself; elsewhere than on Linux nobody does
    from .cpus import cpu_count

    return min(config.slots, config.processes or cpu_count())


def _new_service(
    config: Config, address: Address, handler: Handler, seat: Seat | None, variables: Variables, state: object
) -> Service:
    """`variables`: each invocation runs in a copy of them; `state`: what the lifespan yielded."""
    from ..wire.requests import Requests
    from .invoker import Invoker
    from .service import Service
    from .trouble import TroubleLog

    log_format = config.log_format
    made_of = (handler, config, Requests(config.runtime_api), lambda fields: logs.log_report(fields, log_format))
    hooks = take_hooks()
    if hooks:
        from .hooked import HookedInvoker

        invoker: Invoker = HookedInvoker(hooks, *made_of)
    else:
        invoker = Invoker(*made_of)
    invoker.state = state
    return Service(
        config,
        invoker,
        address,
        variables=variables,
        trouble=TroubleLog(),
        journal=None if seat is None else seat.journal,
        hooks=hooks,
    )


_extensions: list[Extension] = []  # open for as long as the process lives


def _register_extension(address: Address) -> None:
    from ..client.extension import Extension

    try:
        _extensions.append(Extension(address))
    except LmiFastError as error:  # it is a courtesy: what serves can do without
        logging.getLogger("lmi_fast").info("shutdown will come without SIGTERM: %s", error)


def _prepare_threads(config: Config, address: Address, handler: Handler, seat: Seat | None) -> Callable[[], None]:
    """Returns what serves on threads."""
    from .thread_driver import ThreadDriver

    variables = copy_context()
    lifespan = Lifespan()
    if lifespan.is_async:
        import asyncio  # for this lifespan; a plain handler never needs it

        loop = asyncio.new_event_loop()
        state = lifespan.start(loop, variables)
    else:
        state = variables.run(lifespan.enter)
    service = _new_service(config, address, handler, seat, variables, state)
    if config.managed and not config.malloc_is_tuned:
        twin("runtime._system").use_one_arena()
    driver = ThreadDriver(service)
    driver.start()
    wait: Callable[[], object] = driver.stopping.wait
    if on_main_thread():
        if config.managed:
            wait = signal_waiter()
        else:
            stop_beneath_handler(driver, config.drain)
    logs.log_start(config.slots, "threads", twins())

    def serve() -> None:
        _begin(service)
        driver.run(wait)
        _end(service)
        if lifespan.is_async:
            lifespan.finish(loop)
        else:
            variables.run(lifespan.exit)

    return serve


def _begin(service: Service) -> None:
    """Tells who wants to know that this process is about to poll."""
    if service.hooks:
        from .hooked import seconds_since_start, tell

        service.variables.run(tell, service.hooks, "cold_start", seconds_since_start())
    if service.journal is not None:
        service.journal.mark(READY)


def _end(service: Service) -> None:
    """Tells who wants to know that this process has served."""
    if service.hooks:
        from .hooked import tell

        service.variables.run(tell, service.hooks, "shutdown")


def _prepare_async(config: Config, address: Address, handler: Handler, seat: Seat | None) -> Callable[[], None]:
    """Returns what serves on an event loop."""
    from .async_driver import AsyncDriver
    from .loop import name_of, new_event_loop

    loop = new_event_loop(config.loop)
    variables = copy_context()
    lifespan = Lifespan()
    state = lifespan.start(loop, variables) if lifespan.is_async else variables.run(lifespan.enter)
    service = _new_service(config, address, handler, seat, variables, state)
    driver = AsyncDriver(service, loop)
    if on_main_thread():
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, driver.stop)
    logs.log_start(config.slots, name_of(loop), twins())

    def serve() -> None:
        _begin(service)
        driver.run()
        _end(service)
        if lifespan.is_async:
            lifespan.finish(loop)
        else:
            variables.run(lifespan.exit)
        loop.run_until_complete(driver.end_background_tasks(BACKGROUND))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    return serve
