"""Powertools' idempotency: of async handlers too, and with the remaining time of the invocation it is in."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

from ..runtime.handler import is_async
from .per_invocation import keep_per_invocation


def adapt_config(module: Any) -> None:
    """Of aws_lambda_powertools.utilities.idempotency.config."""
    keep_per_invocation(module.IdempotencyConfig, ["lambda_context"])


def adapt_persistence(module: Any) -> None:
    """Of aws_lambda_powertools.utilities.idempotency.persistence.base."""
    keep_per_invocation(module.BasePersistenceLayer, ["function_name"])
    configure = module.BasePersistenceLayer.configure
    lock = threading.Lock()

    @functools.wraps(configure)
    def configure_once(self: Any, *args: Any, **kwargs: Any) -> None:
        # It calls itself configured before it is: another thread would take the whole event for the key.
        with lock:
            configure(self, *args, **kwargs)

    module.BasePersistenceLayer.configure = configure_once


def adapt_decorators(module: Any) -> None:
    """Of aws_lambda_powertools.utilities.idempotency.idempotency."""
    idempotent, idempotent_function = module.idempotent, module.idempotent_function

    @functools.wraps(idempotent)
    def idempotent_or_async(handler: Any = None, **options: Any) -> Any:
        if handler is None:
            return functools.partial(idempotent_or_async, **options)
        return _decorated(lambda function: idempotent(function, **options), handler)

    @functools.wraps(idempotent_function)
    def idempotent_function_or_async(function: Any = None, **options: Any) -> Any:
        if function is None:
            return functools.partial(idempotent_function_or_async, **options)
        return _decorated(lambda inner: idempotent_function(inner, **options), function)

    module.idempotent = module._idempotent = idempotent_or_async
    module.idempotent_function = idempotent_function_or_async


def _decorated(decorate: Callable[[Any], Any], function: Any) -> Any:
    if not is_async(function):
        return decorate(function)

    @functools.wraps(function)
    async def decorated(*args: Any, **kwargs: Any) -> Any:
        # The store is asked, and waited for, by a thread; the function itself runs here.
        loop = asyncio.get_running_loop()
        running: list[Any] = []

        @functools.wraps(function)
        def run_on_loop(*inner_args: Any, **inner_kwargs: Any) -> Any:
            running.append(asyncio.run_coroutine_threadsafe(function(*inner_args, **inner_kwargs), loop))
            return running[0].result()

        del run_on_loop.__wrapped__  # or it would be taken for an async one again
        try:
            return await asyncio.to_thread(decorate(run_on_loop), *args, **kwargs)
        except asyncio.CancelledError:
            for future in running:
                future.cancel()
            raise

    return decorated
