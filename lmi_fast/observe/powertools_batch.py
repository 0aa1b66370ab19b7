"""Powertools' batch processors: the records of one invocation, and what became of them, are its own.

A processor is made once, at import, and keeps them all in itself.
"""

from __future__ import annotations

import asyncio
import functools
from types import ModuleType
from typing import Any

from .per_invocation import keep_per_invocation

STATE = (
    "success_messages",
    "fail_messages",
    "exceptions",
    "records",
    "handler",
    "lambda_context",
    "_handler_accepts_lambda_context",
    "batch_response",
    "_current_group_id",
    "_failed_group_ids",
)


def adapt(module: ModuleType) -> None:
    """Of aws_lambda_powertools.utilities.batch.base."""
    keep_per_invocation(module.BasePartialProcessor, STATE)
    process = module.BasePartialProcessor.async_process

    @functools.wraps(process)
    def async_process(self: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return process(self)
        raise RuntimeError(
            "async_process_partial_response() runs an event loop of its own, which cannot be done within an async "
            "handler; there: await lmi_fast.observe.batch.process_partial_response(event, record_handler, processor)"
        )

    module.BasePartialProcessor.async_process = async_process
