"""What the environment says: read once, checked, frozen.

The only reader of the environment (but for LMI_FAST_TWINS, which chooses code and is read by `_twins`). A value that is
not allowed is a ConfigError that names the variable, the value and what is allowed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping

from .errors import ConfigError

# The service allows 1 to 1,600 (PerExecutionEnvironmentMaxConcurrency, API reference); the emulator holds 10,000 polls.
MAX_SLOTS = 10_000
# AWS_LAMBDA_LOG_LEVEL has the platform's names; the official Python runtime passes Python's own on as well.
LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL")
INTERFACES = ("auto", "lambda", "asgi", "wsgi")
RESPONSES = ("auto", "stream", "buffer")
DRIVERS = ("auto", "async", "threads")
LOOPS = ("auto", "uvloop", "asyncio")
# The platform kills 500 ms after SIGTERM (with an internal extension; Lambda execution environment, developer guide).
# What is left of them is for the last answers, the lifespan and the end of the interpreter.
DRAIN_MS = 300
DEADLINE_MARGIN_MS = 50
BLOCKED_MS = 100
STRAY_MS = 5000


class Function:
    """What the context of every invocation says of the function."""

    __slots__ = ("log_group_name", "log_stream_name", "memory_limit_in_mb", "name", "version")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")  # text, as the official context has it
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")


class Config:
    """The configuration of one process. Names follow the variables."""

    # No dataclass or NamedTuple: making such a class takes longer at start-up than all else that is done here.
    __slots__ = (
        "adapt",
        "blocked_after",
        "deadline_margin",
        "drain",
        "driver",
        "extension",
        "function",
        "handler",
        "inherit",
        "interface",
        "log_format",
        "log_level",
        "log_socket",
        "loop",
        "malloc_is_tuned",
        "max_concurrency",
        "metrics_every",
        "preload",
        "print_records",
        "processes",
        "runtime_api",
        "slots",
        "stray_after",
        "task_root",
        "telemetry_log_fd",
    )

    def __init__(self, handler: str | None = None, environ: MutableMapping[str, str] = os.environ) -> None:
        """From `environ`; `handler`, when given, goes before _HANDLER. Raises ConfigError.

        _LAMBDA_TELEMETRY_LOG_FD is removed from `environ`, as the official runtime does: the descriptor is its own.
        """
        runtime_api = environ.get("AWS_LAMBDA_RUNTIME_API")
        if not runtime_api:
            raise ConfigError(
                "AWS_LAMBDA_RUNTIME_API",
                runtime_api,
                "host:port of the Runtime API; Lambda and its emulator set it, so run lmi_fast inside one of them",
            )
        self.runtime_api = runtime_api  # "host:port"
        self.handler = handler or environ.get("_HANDLER") or None
        # None: Lambda (default) mode. Its presence is what marks Managed Instances.
        self.max_concurrency = _whole_number(environ, "AWS_LAMBDA_MAX_CONCURRENCY", 1, MAX_SLOTS)
        level = _one_of(environ, "AWS_LAMBDA_LOG_LEVEL", LOG_LEVELS)
        self.log_level = "DEBUG" if level == "TRACE" else level  # a name of the logging module
        # Managed Instances log JSON only (Building a custom runtime for Lambda); elsewhere text is the default.
        log_format = _one_of(environ, "AWS_LAMBDA_LOG_FORMAT", ("JSON", "TEXT"))
        self.log_format = log_format or ("JSON" if self.max_concurrency is not None else "TEXT")
        self.telemetry_log_fd = _telemetry_log_fd(environ)
        # A unix socket, each connection to which is a log stream.
        self.log_socket = environ.get("_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET") or None
        # Whether what is printed becomes log records.
        printed = _one_of(environ, "LMI_FAST_PRINT", ("json", "raw")) or "json"
        self.print_records = printed == "json" and self.managed and self.log_format == "JSON"
        # Whether threads carry the context variables of the invocation that started them.
        self.inherit = _switch(environ, "LMI_FAST_INHERIT")
        # Whether to adapt libraries that do not know of overlapping invocations.
        self.adapt = _switch(environ, "LMI_FAST_ADAPT") and self.managed
        # Seconds between records of the runtime's own numbers; 0: none.
        self.metrics_every = float(_whole_number(environ, "LMI_FAST_METRICS_S", 0, 86_400) or 0)
        self.task_root = environ.get("LAMBDA_TASK_ROOT") or None
        self.driver = _one_of(environ, "LMI_FAST_DRIVER", DRIVERS) or "auto"
        # What the handler is; auto: seen from its parameters.
        self.interface = _one_of(environ, "LMI_FAST_INTERFACE", INTERFACES) or "auto"
        self.loop = _one_of(environ, "LMI_FAST_LOOP", LOOPS) or "auto"
        # Seconds before its deadline at which an invocation is answered; None: the platform deals with late ones, as it
        # does in Lambda (default) mode.
        margin = _milliseconds(environ, "LMI_FAST_DEADLINE_MARGIN_MS", DEADLINE_MARGIN_MS)
        cancels = _switch(environ, "LMI_FAST_DEADLINE") and self.managed
        self.deadline_margin = margin if cancels else None
        # Seconds for which an async handler may keep the event loop to itself before that is logged; 0: for ever.
        self.blocked_after = _milliseconds(environ, "LMI_FAST_BLOCKED_MS", BLOCKED_MS)
        # Seconds for which what an invocation has started may go on after it before that is logged; 0: for ever.
        self.stray_after = _milliseconds(environ, "LMI_FAST_STRAY_MS", STRAY_MS)
        # How many invocations may run at once in this process.
        self.slots = self.max_concurrency or 1
        # None: one for each CPU. 0: no worker processes, and no supervisor.
        self.processes = _processes(environ) if self.managed else 0
        self.preload = _switch(environ, "LMI_FAST_PRELOAD", "off")
        # Whether to have SIGTERM sent before the end. Lambda (default) mode is left as the official runtime has it.
        self.extension = _switch(environ, "LMI_FAST_EXTENSION") and self.managed
        # Seconds from SIGTERM until what still runs is answered with an error.
        self.drain = _milliseconds(environ, "LMI_FAST_DRAIN_MS", DRAIN_MS)
        self.malloc_is_tuned = "MALLOC_ARENA_MAX" in environ or "GLIBC_TUNABLES" in environ
        self.function = Function(environ)

    @property
    def managed(self) -> bool:
        """True under Managed Instances: many invocations at once."""
        return self.max_concurrency is not None


class WebConfig:
    """What only web applications need."""

    __slots__ = ("base_path", "events_path", "response")

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """From `environ`. Raises ConfigError."""
        # Where the application is mounted beyond the stage, such as the base path of a custom domain; or "".
        self.base_path = _path(environ, "LMI_FAST_HTTP_BASE_PATH").rstrip("/")
        # Where events go that are no HTTP requests; "": nowhere.
        self.events_path = _path(environ, "LMI_FAST_HTTP_EVENTS_PATH")
        self.response = _one_of(environ, "LMI_FAST_HTTP_RESPONSE", RESPONSES) or "auto"


def _path(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable) or ""
    if value and not value.startswith("/"):
        raise ConfigError(variable, value, "a path that begins with /")
    return value


def _whole_number(environ: Mapping[str, str], variable: str, low: int, high: int) -> int | None:
    value = environ.get(variable)
    if value is None:
        return None
    # Nine digits bound the conversion; high is below that.
    if not (value.isascii() and value.isdecimal() and len(value) <= 9 and low <= int(value) <= high):
        raise ConfigError(variable, value, f"a whole number from {low} to {high}")
    return int(value)


def _milliseconds(environ: Mapping[str, str], variable: str, default: int) -> float:
    """In seconds."""
    value = _whole_number(environ, variable, 0, 900_000)
    return (default if value is None else value) / 1000


def _switch(environ: Mapping[str, str], variable: str, default: str = "on") -> bool:
    return (_one_of(environ, variable, ("on", "off")) or default) == "on"


def _processes(environ: Mapping[str, str]) -> int | None:
    value = environ.get("LMI_FAST_PROCESSES") or "auto"
    if value.lower() == "auto":
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 9 and int(value) <= MAX_SLOTS):
        raise ConfigError("LMI_FAST_PROCESSES", value, f"auto, or a whole number from 0 to {MAX_SLOTS}")
    return int(value)


def _one_of(environ: Mapping[str, str], variable: str, allowed: tuple[str, ...]) -> str | None:
    value = environ.get(variable)
    if not value:
        return None
    for name in allowed:
        if value.upper() == name.upper():
            return name
    raise ConfigError(variable, value, ", ".join(allowed))


def _telemetry_log_fd(environ: MutableMapping[str, str]) -> int | None:
    value = environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 9):
        raise ConfigError("_LAMBDA_TELEMETRY_LOG_FD", value, "an open file descriptor")
    try:
        os.fstat(int(value))
    except OSError:
        raise ConfigError("_LAMBDA_TELEMETRY_LOG_FD", value, "an open file descriptor") from None
    return int(value)


def runtime_api_host() -> str | None:
    """AWS_LAMBDA_RUNTIME_API unchecked, to report a configuration that is wrong."""
    return os.environ.get("AWS_LAMBDA_RUNTIME_API") or None


def likely_log_format() -> str:
    """The log format, as far as a configuration that is wrong tells."""
    if "AWS_LAMBDA_MAX_CONCURRENCY" in os.environ:
        return "JSON"
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "TEXT").upper()


def put_task_root_on_path(config: Config) -> None:
    """Makes the modules of the deployment package importable, wherever the process was started."""
    if config.task_root and config.task_root not in sys.path:
        sys.path.insert(0, config.task_root)


def set_trace_id(trace_id: str | None) -> None:
    """Shows the trace header of the one running invocation to the AWS SDK; in Lambda (default) mode only."""
    if trace_id is not None:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
