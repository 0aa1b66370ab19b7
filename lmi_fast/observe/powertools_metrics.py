"""Powertools' Metrics: what is added in an invocation is flushed with that invocation, and at its end.

All Metrics() of a process share their dicts, on purpose; here they do so within each invocation. And log_metrics
flushed when an async handler had only been called.
"""

from __future__ import annotations

import functools
import threading
from types import ModuleType
from typing import Any

from ..runtime.handler import returns_coroutine
from .per_invocation import keep_per_invocation, outside, taken

# Dimensions that are set at import are in every invocation; metrics that are added there are flushed once.
LASTING = ("dimension_set", "default_dimensions")
COLLECTED = ("metric_set", "metadata_set")


def adapt_provider(module: ModuleType) -> None:
    """Of aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch."""
    provider = module.AmazonCloudWatchEMFProvider
    keep_per_invocation(provider, ["timestamp", "dimension_sets", *LASTING])
    keep_per_invocation(provider, COLLECTED, taken)
    provider.__init__ = outside(provider.__init__)


def adapt_metrics(module: ModuleType) -> None:
    """Of aws_lambda_powertools.metrics.metrics: each has the dicts of its provider, which are those of all."""
    keep_per_invocation(module.Metrics, LASTING)
    keep_per_invocation(module.Metrics, COLLECTED, taken)
    # One that is made within an invocation hands on the dicts of all, not those of this invocation.
    module.Metrics.__init__ = outside(module.Metrics.__init__)


def adapt_datadog(module: ModuleType) -> None:
    """Of aws_lambda_powertools.metrics.provider.datadog.datadog."""
    keep_per_invocation(module.DatadogProvider, ["metric_set"], taken)
    keep_per_invocation(module.DatadogProvider, ["default_tags"])


def adapt_decorator(module: ModuleType) -> None:
    """Of aws_lambda_powertools.metrics.provider.base."""
    log, add_cold_start = module.BaseProvider.log_metrics, module.BaseProvider._add_cold_start_metric
    lock = threading.Lock()

    @functools.wraps(log)
    def log_metrics(self: Any, lambda_handler: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not returns_coroutine(lambda_handler):
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

    @functools.wraps(add_cold_start)
    def add_cold_start_once(self: Any, context: Any) -> None:
        with lock:  # it asks whether it is the first, prints, and notes that it was
            add_cold_start(self, context)

    module.BaseProvider.log_metrics = log_metrics
    module.BaseProvider._add_cold_start_metric = add_cold_start_once


def _raises(error: BaseException) -> Any:
    def handler(event: Any, context: Any) -> None:
        raise error

    return handler
