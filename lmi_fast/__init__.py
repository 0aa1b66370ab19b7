"""lmi_fast: a Python runtime for AWS Lambda Managed Instances. Many invocations at once in one process.

python -m lmi_fast module.handler      serve, with the handler AWS's own runtime would have served
run(handler)                           the same from a main program of yours
@lifespan                              what to do before the first invocation and after the last
current()                              the context of the invocation that is running here
Context                                the second argument of a handler
StreamingResponse                      an answer that is sent while it is made
Hooks, add_hooks()                     be told of invocations, and of the life of the process
Stats, stats()                         how this process serves, in numbers
COMPILED, twins()                      which implementation is live
"""

from __future__ import annotations

from collections.abc import Callable

from ._lifespan import lifespan
from ._twins import twins as _live_twins
from ._version import __version__
from .context import Context, current
from .errors import (
    ApiProtocolError,
    ApiRefused,
    ApiUnavailable,
    CannotServe,
    ConfigError,
    FaultError,
    InternalError,
    LmiFastError,
    NoInvocationError,
    RuntimeApiError,
)
from .hooks import Hooks, add_hooks
from .streaming import StreamingResponse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._stats import Stats
    from .caller import Client, ClientContext, CognitoIdentity

__all__ = [
    "COMPILED",
    "ApiProtocolError",
    "ApiRefused",
    "ApiUnavailable",
    "CannotServe",
    "Client",
    "ClientContext",
    "CognitoIdentity",
    "ConfigError",
    "Context",
    "FaultError",
    "Hooks",
    "InternalError",
    "LmiFastError",
    "NoInvocationError",
    "RuntimeApiError",
    "Stats",
    "StreamingResponse",
    "__version__",
    "add_hooks",
    "current",
    "lifespan",
    "run",
    "stats",
    "twins",
]

COMPILED: bool


def run(handler: Callable[..., object] | str | None = None) -> None:
    """Serves invocations with `handler` until the platform ends the process. Returns after SIGTERM or SIGINT.

    `handler` is a function, a string such as "module.function", or None for the value of _HANDLER. An init phase that
    fails is logged, reported to the platform and ends in SystemExit(1).
    """
    from .runtime.runtime import run as run_runtime

    run_runtime(handler)


def stats() -> Stats:
    """How this process serves, in numbers: see Stats. Raises RuntimeError before it polls."""
    from .runtime.gauges import stats as read

    return read()


def twins() -> dict[str, str]:
    """Each part that has twins, and the kind that is live: "pure", "compiled" or "h11"."""
    from .wire import http1  # noqa: F401  # importing it makes the choice

    return _live_twins()


def __getattr__(name: str) -> object:
    # Not decided at import: LMI_FAST_TWINS may be wrong, and that is for the init phase to report.
    if name == "COMPILED":
        return set(twins().values()) == {"compiled"}
    if name == "Stats":
        from ._stats import Stats  # typing takes 2 ms, and few need it

        return Stats
    if name in ("Client", "ClientContext", "CognitoIdentity"):
        from . import caller  # few invocations have such a thing

        return getattr(caller, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
