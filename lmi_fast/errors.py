"""Every error lmi_fast raises, and the names the platform knows them by.

LmiFastError
├── ConfigError          a variable of the environment has a value that is not allowed
├── FaultError           an invocation or the init phase failed in a way the platform has a `Runtime.*` name for
├── NoInvocationError    `lmi_fast.current()` was called where no invocation is running
├── RuntimeApiError      the Runtime API could not be used
│   ├── ApiUnavailable   no connection, or one that broke before the reply was whole
│   ├── ApiRefused       a reply with another status than the one that means success
│   └── ApiProtocolError the bytes that came back are not HTTP, or not a Runtime API reply
├── CannotServe          the process ends to be replaced: no slot is left, or its workers die again and again
└── InternalError        a bug in lmi_fast: please report it

Anything else that leaves lmi_fast is a bug as well.
"""

from __future__ import annotations

from collections.abc import Sequence


class LmiFastError(Exception):
    """Base of all errors of lmi_fast."""


class ErrorType:
    """The `Runtime.*` and `Function.*` names lmi_fast reports.

    The first nine are awslambdaric's (lambda_runtime_exception.py). The platform keeps a name only when it
    has the form `Runtime.Xxx` or `Function.Xxx`, letters only.
    """

    MARSHAL = "Runtime.MarshalError"
    UNMARSHAL = "Runtime.UnmarshalError"
    USER_CODE_SYNTAX = "Runtime.UserCodeSyntaxError"
    HANDLER_NOT_FOUND = "Runtime.HandlerNotFound"
    IMPORT_MODULE = "Runtime.ImportModuleError"
    BUILT_IN_MODULE_CONFLICT = "Runtime.BuiltInModuleConflict"
    MALFORMED_HANDLER_NAME = "Runtime.MalformedHandlerName"
    CONTEXT_UNMARSHAL = "Runtime.LambdaContextUnmarshalError"
    RUNTIME_CLIENT = "Runtime.LambdaRuntimeClientError"
    # Ours: there is no official name for a bad variable, because the official runtime does not look.
    CONFIG = "Runtime.ConfigError"
    # Ours too: the connection broke within the event; the official runtime leaves the caller to the timeout.
    TRUNCATED_EVENT = "Runtime.TruncatedEvent"
    # An invocation that was not over at its deadline; the platform itself calls it Sandbox.Timedout.
    TIMED_OUT = "Function.TimedOut"
    # One that was not over when the environment was.
    SHUTDOWN = "Runtime.Shutdown"
    # One whose worker process died; the platform's own name for a runtime that ends.
    EXIT = "Runtime.ExitError"
    # Of web applications: an event that is no HTTP request, one that was not answered with 2xx, a startup that failed.
    NOT_HTTP = "Runtime.NotHttp"
    EVENT_FAILED = "Function.EventFailed"
    STARTUP = "Function.StartupFailed"
    # The platform's own name for a response above the payload limit.
    RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge"


class ConfigError(LmiFastError):
    """A variable of the environment has a value that is not allowed.

    The message names the variable, its value and what is allowed.
    """

    def __init__(self, variable: str, value: str | None, allowed: str) -> None:
        self.variable = variable
        self.value = value
        self.allowed = allowed
        found = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{variable} {found}; allowed: {allowed}")


class FaultError(LmiFastError):
    """A failure with a name of its own on the platform, such as `Runtime.ImportModuleError`."""

    def __init__(self, error_type: str, message: str, stack_trace: Sequence[str] = ()) -> None:
        self.error_type = error_type
        self.message = message
        self.stack_trace = list(stack_trace)
        super().__init__(message)


class NoInvocationError(LmiFastError, LookupError):
    """No invocation is running here: neither in a handler nor in something a handler started."""


class RuntimeApiError(LmiFastError):
    """The Runtime API could not be used."""


class ApiUnavailable(RuntimeApiError):
    """No connection to the Runtime API, or one that broke before the reply was whole."""


class ApiRefused(RuntimeApiError):
    """The Runtime API answered, with another status than the one that means success."""

    def __init__(self, request: str, status: int, body: bytes) -> None:
        self.request = request
        self.status = status
        self.body = body
        super().__init__(f"{request} was answered with {status}: {body[:500].decode('utf-8', 'replace').strip()}")


class ApiProtocolError(RuntimeApiError):
    """The bytes that came back are not HTTP/1.1, or not a reply of the Runtime API."""


class CannotServe(LmiFastError):
    """This process, or the environment, cannot serve any more, and ends to be replaced."""


class InternalError(LmiFastError):
    """A bug in lmi_fast."""
