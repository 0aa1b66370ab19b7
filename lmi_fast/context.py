# cython: auto_pickle=True, binding=True
"""The second argument of every handler: what the official LambdaContext has, typed, and `current()` to find it.

What handlers get behaves as it would uncompiled: it can be copied and pickled, and asked for its parameters.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from . import sink
from .config import Config
from .errors import NoInvocationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, overload

    from .caller import ClientContext, CognitoIdentity
    from .wire.invocation import Invocation

    T = TypeVar("T")
else:

    def overload(function: object) -> object:
        """Nothing, at run time."""
        return function


class Context:
    """One invocation, as its handler sees it.

    `state` is what the lifespan yielded, or None. `get_remaining_time_in_millis()` counts down to the deadline.
    """

    def __init__(self, invocation: Invocation, config: Config, state: Any = None) -> None:
        """Raises FaultError (Runtime.LambdaContextUnmarshalError) for a client context or identity that is not JSON."""
        self.aws_request_id: str = invocation.request_id
        self.invoked_function_arn: str | None = invocation.function_arn
        self.tenant_id: str | None = invocation.tenant_id
        function = config.function
        self.function_name: str | None = function.name
        self.function_version: str | None = function.version
        self.memory_limit_in_mb: str | None = function.memory_limit_in_mb
        self.log_group_name: str | None = function.log_group_name
        self.log_stream_name: str | None = function.log_stream_name
        self.state: Any = state
        # The X-Ray header of this invocation: never in the environment under Managed Instances, where many run at once.
        self.trace_id: str | None = invocation.trace_id
        self.client_context: ClientContext | None = None
        self._identity: CognitoIdentity | None = None
        self._w3c: dict[str, str] | None = None
        self._deadline: float | None = None
        self._epoch_deadline_time_in_ms: int = invocation.deadline_ms
        if invocation.client_context is not None:
            from .caller import read_client_context

            self.client_context, self._w3c = read_client_context(invocation.client_context)
        if invocation.cognito_identity is not None:
            from .caller import read_identity

            self._identity = read_identity(invocation.cognito_identity)

    @property
    def identity(self) -> CognitoIdentity:
        """The Cognito identity of the caller; there always is one, most often without ids."""
        if self._identity is None:
            from .caller import CognitoIdentity

            self._identity = CognitoIdentity({})
        return self._identity

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the deadline; 0 when it has passed."""
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    @property
    def deadline(self) -> float:
        """The deadline on the clock of time.monotonic(), which is that of event loops:
        `async with asyncio.timeout_at(context.deadline)`. Infinite where there is none.
        """
        if self._deadline is None:
            milliseconds = self._epoch_deadline_time_in_ms
            left = milliseconds / 1000 - time.time() if milliseconds > 0 else float("inf")
            self._deadline = time.monotonic() + left
        return self._deadline

    def w3c(self) -> dict[str, str]:
        """The W3C trace context of the invocation: of `traceparent`, `tracestate` and `baggage` those that came."""
        return dict(self._w3c or {})

    def log(self, message: object) -> None:
        """Writes `message` to the log, as it is."""
        sink.current().write(str(message))

    def __repr__(self) -> str:
        fields = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        from .caller import show

        return show(self, fields)


CURRENT: ContextVar[Context] = ContextVar("lmi_fast.current")


class _Missing:
    pass


_MISSING = _Missing()


@overload
def current() -> Context: ...
@overload
def current(default: T) -> Context | T: ...  # noqa: F811 (ruff does not see that this is typing's overload)
def current(default: object = _MISSING) -> object:  # noqa: F811
    """The context of the invocation that is running here: in its handler, or in a task or thread that carries its
    contextvars. Outside of one: `default`, or NoInvocationError where none is given.
    """
    context = CURRENT.get(None)
    if context is not None:
        return context
    if default is _MISSING:
        raise NoInvocationError("lmi_fast.current() was called outside of an invocation")
    return default
