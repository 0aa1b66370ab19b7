"""Powertools' idempotency: of async handlers too, under the right name, and with the remaining time of the invocation
it is in.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from contextvars import ContextVar
from typing import Any

from ..runtime.handler import returns_coroutine
from .per_invocation import keep_per_invocation, same

# Of the function on whose behalf a store is asked; keys begin with it.
_name: ContextVar[str] = ContextVar("lmi_fast.observe.idempotency")


def adapt_config(module: Any) -> None:
    """Of aws_lambda_powertools.utilities.idempotency.config."""
    keep_per_invocation(module.IdempotencyConfig, ["lambda_context"], same)


def adapt_cache(module: Any) -> None:
    """Of aws_lambda_powertools.shared.cache_dict: it looks a key up and moves it, and another thread removes it."""
    lock = threading.RLock()
    for name in ("__getitem__", "__setitem__", "get"):
        setattr(module.LRUDict, name, _locked(getattr(module.LRUDict, name), lock))


def adapt_persistence(module: Any) -> None:
    """Of aws_lambda_powertools.utilities.idempotency.persistence.base."""
    module.BasePersistenceLayer.function_name = _FunctionName()


def adapt_handler(module: Any) -> None:
    """Of aws_lambda_powertools.utilities.idempotency.base."""
    handler = module.IdempotencyHandler
    init, run = handler.__init__, handler._get_function_response
    lock = threading.RLock()

    @functools.wraps(init)
    def init_by_itself(self: Any, *args: Any, **kwargs: Any) -> None:
        # A store takes the name of whoever asks for it last, and calls itself configured before it is.
        with lock:
            init(self, *args, **kwargs)
            self.persistence_store = _Store(self.persistence_store, self.persistence_store.function_name)

    @functools.wraps(run)
    def run_unless_async(self: Any) -> Any:
        return _ToRun(self, run) if returns_coroutine(self.function) else run(self)

    handler.__init__ = init_by_itself
    handler._get_function_response = run_unless_async


def adapt_decorators(module: Any) -> None:
    """Of aws_lambda_powertools.utilities.idempotency.idempotency."""
    idempotent, idempotent_function = module.idempotent, module.idempotent_function

    @functools.wraps(idempotent)
    def idempotent_or_async(handler: Any = None, **options: Any) -> Any:
        if handler is None:
            return functools.partial(idempotent_or_async, **options)
        return _decorated(idempotent(handler, **options), handler)

    @functools.wraps(idempotent_function)
    def idempotent_function_or_async(function: Any = None, **options: Any) -> Any:
        if function is None:
            return functools.partial(idempotent_function_or_async, **options)
        return _decorated(idempotent_function(function, **options), function)

    module.idempotent = module._idempotent = idempotent_or_async
    module.idempotent_function = idempotent_function_or_async


def _decorated(blocking: Any, function: Any) -> Any:
    if not returns_coroutine(function):
        return blocking

    @functools.wraps(function)
    async def decorated(*args: Any, **kwargs: Any) -> Any:
        # The store is asked by a thread, before and after; meanwhile none is needed.
        found = await asyncio.to_thread(blocking, *args, **kwargs)
        if isinstance(found, _ToRun):
            return await found.run()
        return await found if asyncio.iscoroutine(found) else found  # POWERTOOLS_IDEMPOTENCY_DISABLED

    return decorated


class _ToRun:
    """What an IdempotencyHandler has instead of the response of an async function: that it is to be run."""

    def __init__(self, handler: Any, finish: Any) -> None:
        self._handler = handler
        self._finish = finish  # runs the function, and tells the store what came of it

    async def run(self) -> Any:
        handler = self._handler
        try:
            result = await handler.function(*handler.fn_args, **handler.fn_kwargs)
        except Exception as error:
            handler.function = _raises(error)
        else:
            handler.function = lambda *args, **kwargs: result
        return await asyncio.to_thread(self._finish, handler)


def _raises(error: Exception) -> Any:
    def function(*args: Any, **kwargs: Any) -> None:
        raise error

    return function


class _FunctionName:
    """The attribute of a store: that of whoever asks it, not of whoever asked for it last."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return _name.get(None) or instance.__dict__.get("function_name", "")

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__["function_name"] = value


class _Store:
    """A store, as one IdempotencyHandler has it."""

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("save_inprogress", "save_success", "get_record", "delete_record"):
            return found

        @functools.wraps(found)
        def ask(*args: Any, **kwargs: Any) -> Any:
            token = _name.set(self._name)
            try:
                return found(*args, **kwargs)
            finally:
                _name.reset(token)

        return ask


def _locked(function: Any, lock: Any) -> Any:
    @functools.wraps(function)
    def run_locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return function(*args, **kwargs)

    return run_locked
