"""Powertools' Logger: the keys that are appended, the records that are buffered, and the level that is sampled, are
those of one invocation.

They are in the formatter, in a cache of the logger and in the logger, of which there is one for all.
"""

from __future__ import annotations

import functools
import logging
from types import ModuleType
from typing import Any

from ..runtime.handler import returns_coroutine
from .per_invocation import keep_per_invocation, outside


def adapt_formatter(module: Any) -> None:
    """Of aws_lambda_powertools.logging.formatter."""
    formatter = module.LambdaPowertoolsFormatter
    keep_per_invocation(formatter, ["log_format"])
    formatter.__init__ = outside(formatter.__init__)

    def remove_context_keys(keys: Any) -> None:
        # Powertools removes them from the dict itself, which is that of all contexts that began with it.
        gone = set(keys)
        module.THREAD_LOCAL_KEYS.set({k: v for k, v in module.THREAD_LOCAL_KEYS.get().items() if k not in gone})

    module.remove_context_keys = remove_context_keys


def adapt_logger(module: ModuleType) -> None:
    """Of aws_lambda_powertools.logging.logger."""
    keep_per_invocation(module.LoggerBufferCache, ["cache"])
    kind = module.Logger
    kind._init_logger = outside(kind._init_logger)
    kind.inject_lambda_context = _inject_into_async_too(kind.inject_lambda_context)
    sample = kind._configure_sampling

    @functools.wraps(sample)
    def configure_sampling(self: Any) -> None:
        if self.sampling_rate and type(self._logger) is logging.Logger:
            self._logger.__class__ = SampledLogger
        sample(self)

    kind._configure_sampling = configure_sampling


class SampledLogger(logging.Logger):
    """A logger with a level of its own in each invocation: one that is sampled is logged at DEBUG, and no other."""

    def isEnabledFor(self, level: int) -> bool:
        # The one of logging remembers the answer.
        return not self.disabled and level > self.manager.disable and level >= self.getEffectiveLevel()


keep_per_invocation(SampledLogger, ["level"])


def _inject_into_async_too(inject: Any) -> Any:
    @functools.wraps(inject)
    def inject_lambda_context(self: Any, lambda_handler: Any = None, *args: Any, **kwargs: Any) -> Any:
        if lambda_handler is None:
            return functools.partial(inject_lambda_context, self, *args, **kwargs)
        if not returns_coroutine(lambda_handler):
            return inject(self, lambda_handler, *args, **kwargs)

        def begun(event: Any, context: Any) -> dict[str, Any]:
            return dict(self._buffer_cache.cache) if self._buffer_config else {}

        # What comes before the handler is the decorator's own; what comes behind it would come before it has run.
        begin = inject(self, begun, *args, **kwargs)
        flush = _argument("flush_buffer_on_uncaught_error", 3, args, kwargs)

        @functools.wraps(lambda_handler)
        async def decorate(event: Any, context: Any, *more: Any, **named: Any) -> Any:
            buffered = begin(event, context)
            if buffered:  # the event, if it is logged; the decorator has cleared the buffer
                self._buffer_cache.cache.update(buffered)
            try:
                return await lambda_handler(event, context, *more, **named)
            except BaseException:
                if flush:
                    self.flush_buffer()
                raise
            finally:
                if self._buffer_config:
                    self._buffer_cache.clear()

        return decorate

    return inject_lambda_context


def _argument(name: str, position: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)
