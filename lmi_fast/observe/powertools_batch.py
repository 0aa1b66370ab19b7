"""Powertools' batch processors: the records of one invocation, and what became of them, are its own.

A processor is made once, at import, and keeps them all in itself.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from types import ModuleType
from typing import Any

from ..runtime.handler import returns_coroutine
from .per_invocation import OfInvocation, keep_per_invocation, same

RESULTS = (
    "success_messages",
    "fail_messages",
    "exceptions",
    "batch_response",
    "_current_group_id",
    "_failed_group_ids",
)
ARGUMENTS = ("records", "handler", "lambda_context", "_handler_accepts_lambda_context")
INSTEAD = "await lmi_fast.observe.batch.process_partial_response(event, record_handler, processor, context)"


def adapt(module: ModuleType) -> None:
    """Of aws_lambda_powertools.utilities.batch.base."""
    keep_per_invocation(module.BasePartialProcessor, RESULTS)
    keep_per_invocation(module.BasePartialProcessor, ARGUMENTS, same, OfInvocation)
    process = module.BasePartialProcessor.async_process

    @functools.wraps(process)
    def async_process(self: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return process(self)
        raise RuntimeError(
            "async_process_partial_response() runs an event loop of its own, which cannot be done within an async "
            f"handler; there: {INSTEAD}"
        )

    module.BasePartialProcessor.async_process = async_process


def warn_about(handler: Any, module: Any) -> None:
    """Tells, before anybody has to find out, of an async handler whose module has imported from `module`, which is
    aws_lambda_powertools.utilities.batch.decorators, what cannot be called there.
    """
    call = module.async_process_partial_response
    of_handler = sys.modules.get(getattr(handler, "__module__", None) or "")
    if returns_coroutine(handler) and any(value is call for value in list(vars(of_handler or object).values())):
        logging.getLogger("lmi_fast").warning(
            "%s imports async_process_partial_response, which runs an event loop of its own and cannot be called "
            "within an async handler; there: %s",
            getattr(of_handler, "__name__", ""),
            INSTEAD,
        )
