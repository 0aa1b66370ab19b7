"""Partial batch responses in async handlers, with the processors of Powertools for AWS Lambda."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor
from aws_lambda_powertools.utilities.batch.decorators import _get_records_from_event


async def process_partial_response(
    event: dict[str, Any],
    record_handler: Callable[..., Awaitable[Any]],
    processor: AsyncBatchProcessor,
    context: Any = None,
) -> dict[str, Any]:
    """What Powertools' async_process_partial_response() does, on the event loop that runs: to be awaited.

    All records are handled at once. Raises BatchProcessingError when every one of them fails, unless the processor has
    `raise_on_entire_batch_failure=False`.
    """
    records = _get_records_from_event(event, processor)
    with processor(records, record_handler, context):
        await asyncio.gather(*[processor._async_process_record(record) for record in processor.records])
    return dict(processor.response())
