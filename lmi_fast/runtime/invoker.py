# cython: annotation_typing=False
"""One invocation's way through the user's handler, but for the call itself: what both drivers share.

event, context = invoker.begin(invocation)
post = invoker.succeed(invocation, handler(event, context))     # or invoker.fail(invocation, error)
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from types import CoroutineType

from ..config import Config, set_trace_id
from ..context import CURRENT, Context
from ..errors import ErrorType, FaultError
from ..wire._annotation import event_class
from ..wire.invocation import Invocation
from ..wire.requests import Post, Requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .handler import Handler
    from .reports import Report

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
        self.failed = 0  # invocations so far
        self._config = config
        self._managed = config.managed
        self._log_report = log_report
        self._decode: Callable[..., Any] | None = None
        self._encode: Callable[[Any], tuple[bytes, str]] | None = None
        self._make_report: Callable[..., Report] | None = None
        # Now, if it may fail: while that still is an error of the init phase.
        self._has_typed_events = event_class(handler) is not None
        if self._has_typed_events or not _will_be_found("msgspec", "_core"):
            self.load()
        self._forked = False
        os.register_at_fork(after_in_child=self._note_fork)

    def load(self) -> None:
        """Imports what the first poll has no use for, and every invocation has: drivers call this behind that poll.

        It is a quarter of the start-up time of a bare handler.
        """
        if self._decode is None:
            from ..wire.codec import decode_event, encode_result
            from .reports import make_report

            self._encode = encode_result
            self._make_report = make_report
            if self._has_typed_events:
                from ..wire.typed_events import event_decoder

                self._decode = event_decoder(self.handler)
            else:
                self._decode = decode_event

    def begin(self, invocation: Invocation) -> tuple[Any, Context]:
        """The handler's arguments; from here on the invocation is the current one of this contextvars.Context.

        Raises FaultError for an event or a client context that cannot be decoded.
        """
        if self._decode is None:
            self.load()
            assert self._decode is not None
        if not self._managed:
            set_trace_id(invocation.trace_id)
        context = Context(invocation, self._config, self.state)
        CURRENT.set(context)
        encoded, invocation.event = invocation.event, b""  # a large one is not kept while the handler runs
        return self._decode(encoded, invocation.content_type), context

    def succeed(self, invocation: Invocation, result: Any) -> Post:
        """The answer of a handler that returned `result`. Raises FaultError for a result that cannot be sent."""
        if self._forked:
            from .endings import end_child

            end_child(None)
        assert self._encode is not None
        try:
            body, content_type = self._encode(result)
        except FaultError as error:
            from ..streaming import Streamed, as_stream  # nothing that can be encoded is streamed

            if (stream := as_stream(result)) is not None:
                raise Streamed(stream) from None
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
        report = self.describe(invocation, error)
        return self.requests.error(invocation, report.body, report.error_type, report.xray_cause)

    def streamed(self, invocation: Invocation) -> None:
        """An answer that was sent piece by piece is over."""

    def describe(self, invocation: Invocation, error: BaseException) -> Report:
        """The report of an invocation that failed; logs it. Never raises."""
        if self._forked:
            from .endings import end_child

            end_child(error)
        self.failed += 1
        make_report = self._make_report
        assert make_report is not None
        try:
            report = make_report(error, invocation.request_id)
        except BaseException as second:  # an exception that cannot be described; the caller is answered all the same
            unknown = FaultError("Runtime.Unknown", f"an error that cannot be reported: {type(second)}")
            report = make_report(unknown, invocation.request_id)
        with contextlib.suppress(Exception):  # no log is no reason not to answer
            self._log_report(report.fields)
        return report

    def _note_fork(self) -> None:
        self._forked = True


def _will_be_found(package: str, extension_module: str) -> bool:
    """Whether importing these will succeed, as far as can be seen without: they are there, for this Python and CPU."""
    if package in sys.modules:
        return True
    found = PathFinder.find_spec(package)
    if found is None or found.submodule_search_locations is None:
        return False
    return PathFinder.find_spec(f"{package}.{extension_module}", found.submodule_search_locations) is not None
