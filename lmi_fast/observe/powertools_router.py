"""Powertools' event handlers: `app.current_event`, `app.lambda_context` and `app.context` are those of one invocation.

They are attributes of a class, one for all resolvers and all invocations, or of the one resolver there is.
"""

from __future__ import annotations

import functools
import threading
from types import ModuleType
from typing import Any

from .per_invocation import class_attributes_per_invocation, keep_per_invocation
from .powertools_threads import in_own_thread


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


def adapt_middlewares(module: Any) -> None:
    """Of aws_lambda_powertools.event_handler.middlewares.async_utils.

    Under resolve_async() a plain middleware has a thread, in which it waits for the route. With asyncio.to_thread() it
    has one of a few: when all of them wait, for a second middleware or for a route that needs a thread, they do so for
    ever.
    """

    class Asyncio:
        to_thread = staticmethod(in_own_thread)

        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio, name)

    asyncio, module.asyncio = module.asyncio, Asyncio()


def adapt_appsync(module: ModuleType) -> None:
    """Of aws_lambda_powertools.event_handler.graphql_appsync.router, and of events_appsync.router."""
    names = ("current_batch_event", "current_event", "lambda_context")
    class_attributes_per_invocation(module.Router, [name for name in names if name in module.Router.__annotations__])
    keep_per_invocation(module.Router, ["context"])


def adapt_bedrock(module: ModuleType) -> None:
    """Of aws_lambda_powertools.event_handler.bedrock_agent_function."""
    keep_per_invocation(module.BedrockAgentFunctionResolver, ["current_event", "context"])
