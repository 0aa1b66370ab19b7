# cython: annotation_typing=False
"""One invocation's way through the user's handler, but for the call itself: what both drivers share.

event, context = invoker.begin(invocation)
post = invoker.succeed(invocation, handler(event, context))     # or invoker.fail(invocation, error)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from types import CoroutineType
from typing import Any, NoReturn

from ..config import Config, set_trace_id
from ..context import CURRENT, Context
from ..errors import ErrorType, FaultError
from ..wire.codec import encode_result, event_decoder
from ..wire.invocation import Invocation
from ..wire.requests import Post, Requests
from .handler import Handler
from .reports import make_report

# interop.MaxPayloadSize of the Runtime API server: 6 MiB and 100 bytes. Above it the answer is lost, so it is not sent.
MAX_RESPONSE = 6 * 1024 * 1024 + 100

COROUTINE_HINT = (
    "the handler looks like a plain function and returned a coroutine: decorate with functools.wraps, "
    "or set LMI_FAST_DRIVER=async"
)


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
        self._managed = config.managed
        self._log_report = log_report
        self._decode = event_decoder(handler)
        self._forked = False
        os.register_at_fork(after_in_child=self._note_fork)

    def begin(self, invocation: Invocation) -> tuple[Any, Context]:
        """The handler's arguments; from here on the invocation is the current one of this contextvars.Context.

        Raises FaultError for an event or a client context that cannot be decoded.
        """
        if not self._managed:
            set_trace_id(invocation.trace_id)
        context = Context(invocation, self._config, self.state)
        CURRENT.set(context)
        return self._decode(invocation.event, invocation.content_type), context

    def succeed(self, invocation: Invocation, result: Any) -> Post:
        """The answer of a handler that returned `result`. Raises FaultError for a result that cannot be sent."""
        if self._forked:
            _end_child(None)
        try:
            body, content_type = encode_result(result)
        except FaultError as error:
            if type(result) is not CoroutineType:
                raise
            result.close()
            raise FaultError(ErrorType.MARSHAL, f"{error} ({COROUTINE_HINT})") from None
        if len(body) > MAX_RESPONSE:
            raise FaultError(
                ErrorType.RESPONSE_TOO_LARGE,
                f"Response payload size ({len(body)} bytes) exceeded maximum allowed payload size "
                f"({MAX_RESPONSE} bytes).",
            )
        return self.requests.response(invocation, body, content_type)

    def fail(self, invocation: Invocation, error: BaseException) -> Post:
        """The answer of an invocation that failed; logs it. Never raises."""
        if self._forked:
            _end_child(error)
        try:
            report = make_report(error, invocation.request_id)
        except BaseException as second:  # an exception that cannot be described; the caller is answered all the same
            unknown = FaultError("Runtime.Unknown", f"an error that cannot be reported: {type(second)}")
            report = make_report(unknown, invocation.request_id)
        with contextlib.suppress(Exception):  # no log is no reason not to answer
            self._log_report(report.fields)
        return self.requests.error(invocation, report.body, report.error_type, report.xray_cause)

    def _note_fork(self) -> None:
        self._forked = True


def _end_child(error: BaseException | None) -> NoReturn:
    """Ends a process that a handler forked and that came back out of it: the invocation is its parent's to answer."""
    code = getattr(error, "code", 1) if isinstance(error, SystemExit) else 1
    if error is None or code is None:
        code = 0
    elif not isinstance(error, SystemExit):
        import traceback

        traceback.print_exception(error)
    os._exit(code if isinstance(code, int) else 1)
