"""Powertools' Metrics: what is added in an invocation is flushed with that invocation, and at its end.

All Metrics() of a process share their dicts, on purpose; here they do so within each invocation. And log_metrics
flushed when an async handler had only been called.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from ..context import CURRENT
from ..runtime.handler import is_async
from .per_invocation import InvocationDict, keep_per_invocation


def adapt_provider(module: ModuleType) -> None:
    """Of aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch."""
    provider = module.AmazonCloudWatchEMFProvider
    keep_per_invocation(provider, ["timestamp", "dimension_sets"])
    init = provider.__init__

    @functools.wraps(init)
    def init_per_invocation(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if CURRENT.get(None) is None:  # else it is this invocation's alone
            for name in ("metric_set", "dimension_set", "metadata_set"):
                values = getattr(self, name)
                if not isinstance(values, InvocationDict):
                    setattr(self, name, InvocationDict(values, take=name != "dimension_set"))

    provider.__init__ = init_per_invocation


def adapt_metrics(module: ModuleType) -> None:
    """Of aws_lambda_powertools.metrics.metrics: what all Metrics() share."""
    metrics = module.Metrics
    metrics._metrics = InvocationDict(metrics._metrics, take=True)
    metrics._metadata = InvocationDict(metrics._metadata, take=True)
    metrics._dimensions = InvocationDict(metrics._dimensions)


def adapt_decorator(module: ModuleType) -> None:
    """Of aws_lambda_powertools.metrics.provider.base."""
    log = module.BaseProvider.log_metrics

    @functools.wraps(log)
    def log_metrics(self: Any, lambda_handler: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not is_async(lambda_handler):
            return log(self, lambda_handler, *args, **kwargs)

        @functools.wraps(lambda_handler)
        async def decorate(event: Any, context: Any, *more: Any, **named: Any) -> Any:
            # All of the decorator comes behind the handler: round one that has ended it does what it is there for.
            try:
                result = await lambda_handler(event, context, *more, **named)
            except BaseException as error:
                return log(self, _raises(error), *args, **kwargs)(event, context)
            return log(self, lambda event, context: result, *args, **kwargs)(event, context)

        return decorate

    module.BaseProvider.log_metrics = log_metrics


def _raises(error: BaseException) -> Any:
    def handler(event: Any, context: Any) -> None:
        raise error

    return handler
