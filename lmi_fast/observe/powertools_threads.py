"""Plain functions that wait for something async: Powertools' middlewares, round async handlers and routes."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from ..runtime.handler import returns_coroutine

# It starts one only when none is idle.
_threads = ThreadPoolExecutor(100_000, thread_name_prefix="lmi_fast-middleware")


async def in_own_thread(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """asyncio.to_thread(), but there always is a thread: `function` may wait for what the event loop has to do."""
    call = functools.partial(copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads, call)


def adapt(module: Any) -> None:
    """Of aws_lambda_powertools.middleware_factory.factory.

    A middleware has the result of `handler(event, context)`; of an async handler it had a coroutine. Here it has a
    thread, and waits in it.
    """
    make = module.lambda_handler_decorator

    @functools.wraps(make)
    def lambda_handler_decorator(decorator: Any = None, trace_execution: Any = None) -> Any:
        if decorator is None:
            return functools.partial(lambda_handler_decorator, trace_execution=trace_execution)
        made = make(decorator, trace_execution)
        return made if _does_without(decorator) else _round_async_too(made)

    module.lambda_handler_decorator = lambda_handler_decorator


def _does_without(middleware: Any) -> bool:
    """Whether it is async itself, or one of Powertools' own that are done when they have called the handler."""
    own = middleware.__module__.startswith("aws_lambda_powertools.") and middleware.__name__ != "validator"
    return own or inspect.iscoroutinefunction(middleware)


def _round_async_too(made: Any) -> Any:
    @functools.wraps(made)
    def decorate(func: Any = None, **options: Any) -> Any:
        if func is None:
            return functools.partial(decorate, **options)
        if not returns_coroutine(func):
            return made(func, **options)

        @functools.wraps(func)
        async def wrapper(event: Any, context: Any, **more: Any) -> Any:
            loop = asyncio.get_running_loop()
            running: list[Any] = []

            @functools.wraps(func)
            def wait_for_it(*args: Any, **kwargs: Any) -> Any:
                running.append(asyncio.run_coroutine_threadsafe(func(*args, **kwargs), loop))
                return running[-1].result()

            try:
                return await in_own_thread(made(wait_for_it, **options), event, context, **more)
            except asyncio.CancelledError:
                for future in running:
                    future.cancel()
                raise

        return wrapper

    return decorate
