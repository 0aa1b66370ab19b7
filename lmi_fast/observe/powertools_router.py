"""Powertools' event handlers: `app.current_event`, `app.lambda_context` and `app.context` are those of one invocation.

They are attributes of a class, one for all resolvers and all invocations.
"""

from __future__ import annotations

import functools
import threading
from types import ModuleType
from typing import Any

from .per_invocation import class_attributes_per_invocation, keep_per_invocation


def adapt(module: ModuleType) -> None:
    """Of aws_lambda_powertools.event_handler.api_gateway."""
    class_attributes_per_invocation(module.BaseRouter, ["current_event", "lambda_context"])
    keep_per_invocation(module.ApiGatewayResolver, ["context", "processed_stack_frames"])
    keep_per_invocation(module.Router, ["_context"])
    build = module.Route._build_middleware_stack
    lock = threading.Lock()

    @functools.wraps(build)
    def build_once(self: Any, *args: Any, **kwargs: Any) -> Any:
        # On first use, which may be several at the same time: each would put its own round the others'.
        with lock:
            if not self._middleware_stack_built:
                build(self, *args, **kwargs)

    module.Route._build_middleware_stack = build_once


def adapt_appsync(module: ModuleType) -> None:
    """Of aws_lambda_powertools.event_handler.graphql_appsync.router, and of events_appsync.router."""
    names = [
        name for name in ("current_batch_event", "current_event", "lambda_context") if hasattr(module.Router, name)
    ]
    class_attributes_per_invocation(module.Router, names)
    keep_per_invocation(module.Router, ["context"])
