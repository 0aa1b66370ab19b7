"""An async handler: while one invocation waits, the others of the process run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import lmi_fast

log = logging.getLogger(__name__)


@lmi_fast.lifespan
async def resources() -> AsyncIterator[dict[str, int]]:
    """Runs once per process: the place for connection pools and HTTP clients."""
    yield {"served": 0}


async def handler(event: dict[str, Any], context: lmi_fast.Context) -> dict[str, Any]:
    """Waits as a call to a database would, and answers."""
    await asyncio.sleep(event["seconds"])
    context.state["served"] += 1
    log.info("served %s", event["number"])
    return {"number": event["number"], "requestId": context.aws_request_id}
