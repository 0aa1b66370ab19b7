"""Powertools' Logger: the keys that are appended, and the records that are buffered, are those of one invocation.

They are in the formatter and in a cache of the logger, of which there is one for all.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from ..runtime.handler import is_async
from .per_invocation import keep_per_invocation


def adapt_formatter(module: ModuleType) -> None:
    """Of aws_lambda_powertools.logging.formatter."""
    keep_per_invocation(module.LambdaPowertoolsFormatter, ["log_format"])


def adapt_logger(module: ModuleType) -> None:
    """Of aws_lambda_powertools.logging.logger."""
    keep_per_invocation(module.LoggerBufferCache, ["cache"])
    inject = module.Logger.inject_lambda_context

    @functools.wraps(inject)
    def inject_lambda_context(self: Any, lambda_handler: Any = None, *args: Any, **kwargs: Any) -> Any:
        if lambda_handler is None:
            return functools.partial(inject_lambda_context, self, *args, **kwargs)
        if not is_async(lambda_handler):
            return inject(self, lambda_handler, *args, **kwargs)
        # What comes before the handler is the decorator's own; what comes behind it would come before it has run.
        begin = inject(self, _nothing, *args, **kwargs)
        flush = _argument("flush_buffer_on_uncaught_error", 3, args, kwargs)

        @functools.wraps(lambda_handler)
        async def decorate(event: Any, context: Any, *more: Any, **named: Any) -> Any:
            begin(event, context)
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

    module.Logger.inject_lambda_context = inject_lambda_context


def _nothing(event: Any, context: Any) -> None:
    pass


def _argument(name: str, position: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)
