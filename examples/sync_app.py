"""A plain handler, as it runs on AWS's own runtime: here, one thread for each invocation at a time."""

from __future__ import annotations

import logging
import time
from typing import Any

import lmi_fast

log = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: lmi_fast.Context) -> dict[str, Any]:
    """Waits as a call to a database would, and answers."""
    time.sleep(event["seconds"])
    log.info("served %s", event["number"])
    return {"number": event["number"], "requestId": context.aws_request_id}
