"""One invocation's way through the user's handler, but for the call itself: what both drivers share.

event, context = invoker.begin(invocation)
post = invoker.succeed(invocation, handler(event, context))     # or invoker.fail(invocation, error)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..config import Config, set_trace_id
from ..context import CURRENT, Context
from ..errors import ErrorType, FaultError
from ..wire.codec import encode_result, event_decoder
from ..wire.invocation import Invocation
from ..wire.requests import Post, Requests
from .handler import Handler

# interop.MaxPayloadSize of the Runtime API server: 6 MiB and 100 bytes. Above it the answer is lost, so it is not sent.
MAX_RESPONSE = 6 * 1024 * 1024 + 100


class Invoker:
    """The handler and what surrounds it. `log_report(fields)` logs the error report of a failed invocation."""

    def __init__(
        self,
        handler: Handler,
        config: Config,
        requests: Requests,
        log_report: Callable[[dict[str, Any]], None],
    ) -> None:
        self.handler = handler
        self.requests = requests
        self.state: Any = None  # what the lifespan yielded
        self._config = config
        self._log_report = log_report
        self._decode = event_decoder(handler)

    def begin(self, invocation: Invocation) -> tuple[Any, Context]:
        """The handler's arguments; from here on the invocation is the current one of this contextvars.Context.

        Raises FaultError for an event or a client context that cannot be decoded.
        """
        if not self._config.managed:
            set_trace_id(invocation.trace_id)
        context = Context(invocation, self._config, self.state)
        CURRENT.set(context)
        return self._decode(invocation.event, invocation.content_type), context

    def succeed(self, invocation: Invocation, result: Any) -> Post:
        """The answer of a handler that returned `result`. Raises FaultError for a result that cannot be sent."""
        body, content_type = encode_result(result)
        if len(body) > MAX_RESPONSE:
            raise FaultError(
                ErrorType.RESPONSE_TOO_LARGE,
                f"Response payload size ({len(body)} bytes) exceeded maximum allowed payload size "
                f"({MAX_RESPONSE} bytes).",
            )
        return self.requests.response(invocation, body, content_type)

    def fail(self, invocation: Invocation, error: BaseException) -> Post:
        """The answer of an invocation that failed; logs it. Never raises."""
        from .reports import make_report  # `traceback` and `json` cost start-up time, and only errors need them

        try:
            report = make_report(error, invocation.request_id)
            self._log_report(report.fields)
        except Exception as second:  # an exception that cannot be described; the caller is answered all the same
            message = f"{type(error).__name__} could not be reported: {type(second).__name__}"
            report = make_report(FaultError("Runtime.Unknown", message), invocation.request_id)
        return self.requests.error(invocation, report.body, report.error_type, report.xray_cause)
