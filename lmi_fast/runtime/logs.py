"""Log records in the platform's formats, each with the request id of the invocation it belongs to.

JSON (Managed Instances, and where AWS_LAMBDA_LOG_FORMAT=JSON) has the fields and the order of awslambdaric 4.2.2's
JsonFormatter, with milliseconds. Text is the official runtime's as well.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from functools import cache

from .. import sink
from ..config import Config
from ..context import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a LogRecord has without `extra=`, and what the filter adds.
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"aws_request_id", "tenant_id", "message", "asctime"}


def timestamp(seconds: float) -> str:
    """`seconds` since the epoch as RFC 3339 in UTC, with milliseconds."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{milliseconds:03d}Z"


def _level(record: logging.LogRecord) -> int:
    """0 to 50, in tens, as the platform knows levels."""
    return min(50, max(0, record.levelno)) // 10 * 10


class InvocationFilter(logging.Filter):
    """Gives each record the request id and the tenant of the invocation it was made in."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "aws_request_id", None):
            return True  # it comes out of a queue, and was through a filter like this before
        context = CURRENT.get(None)
        record.aws_request_id = context.aws_request_id if context is not None else ""
        record.tenant_id = context.tenant_id if context is not None else None
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        plain_dict = isinstance(record.msg, dict) and not record.args
        fields: dict[str, Any] = {
            "timestamp": timestamp(record.created),
            "level": logging.getLevelName(_level(record)),
            "message": record.msg if plain_dict else record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            import traceback

            kind, error, trace = record.exc_info
            fields["stackTrace"] = traceback.format_tb(trace)
            fields["errorType"] = kind.__name__
            fields["errorMessage"] = str(error)
        fields["requestId"] = getattr(record, "aws_request_id", None)
        if record.exc_info:
            fields["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        fields["tenantId"] = getattr(record, "tenant_id", None)
        for key, value in record.__dict__.items():
            if key not in _OWN_FIELDS and key not in fields:
                fields[key] = value
        return encode_line({key: value for key, value in fields.items() if value is not None})


def encode_line(fields: dict[str, Any]) -> str:
    """`fields` as one line of JSON and a newline. What cannot be encoded becomes its str(), what is too long is cut."""
    line = encode_text(fields)
    limit = sink.current().max_line
    for longest in (16_000, 4_000, 1_000, 250):
        # A character is four bytes at most.
        if limit is None or len(line) * 4 <= limit or len(line.encode("utf-8", "backslashreplace")) <= limit:
            break
        line = encode_text({key[:longest]: _cut(value, longest) for key, value in list(fields.items())[:100]})
    return line + "\n"


def encode_text(fields: dict[str, Any]) -> str:
    """`fields` as JSON. What cannot be encoded becomes its str()."""
    encode = _encoder()
    try:
        return encode(fields)
    except (ValueError, TypeError, RecursionError):  # circular, or with keys that are no keys in JSON
        return encode({str(key): str(value) for key, value in fields.items()})


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, list):  # of a stack, the innermost says most
        return [_cut(entry, longest // 25) for entry in value[-25:]]
    text = value if isinstance(value, str) else encode_text(value) if isinstance(value, dict) else str(value)
    if len(text) <= longest:
        return value
    return f"{text[:longest]} ... (cut; it has {len(text)} characters)"


@cache
def _encoder() -> Callable[[object], str]:
    import json  # with the first record: it costs start-up time

    return json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":")).encode


class TextFormatter(logging.Formatter):
    """`[LEVEL]`, time, request id and message, between tabs."""

    def __init__(self) -> None:
        super().__init__("[%(levelname)s]\t%(asctime)s\t%(aws_request_id)s\t%(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return timestamp(record.created)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record) + "\n"


class SinkHandler(logging.Handler):
    """Writes each record to the sink of the process, in one write."""

    def __init__(self, is_json: bool) -> None:
        super().__init__()
        self._is_json = is_json
        self.setFormatter(JsonFormatter() if is_json else TextFormatter())
        self.addFilter(InvocationFilter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # "%d" with a text; an object whose str() fails
            line = self.format(_about_a_bad_record(record, error))
        sink.current().write(line, _level(record), self._is_json)


def set_up(config: Config) -> None:
    """Gives the root logger its handler and level, before the user's modules are imported."""
    if config.telemetry_log_fd is not None:
        sink.use(sink.FramedSink(config.telemetry_log_fd))
    else:
        sink.current()  # takes its descriptor now, while standard output is what it was
    # A pipe is block-buffered otherwise: print() would show up much later, or not at all.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
    # As records they carry the request id: "coroutine 'f' was never awaited", for one.
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.addHandler(SinkHandler(config.log_format == "JSON"))
    if config.log_level is not None:
        root.setLevel(config.log_level)


def use_provider_socket(config: Config) -> None:
    """In a process that serves: its log goes to a stream of its own, where the platform has such."""
    if config.log_socket is None or config.telemetry_log_fd is not None:
        return
    try:
        sink.use(sink.provided(config.log_socket))
    except OSError as error:
        logging.getLogger("lmi_fast").warning("the log goes to standard output: %s: %s", config.log_socket, error)


def _about_a_bad_record(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """The record that is written in place of one that cannot be formatted: logging goes wrong, the invocation not."""
    try:
        message = repr(str(record.msg)[:1000])
    except Exception:
        message = f"a {type(record.msg).__name__}"
    text = f"a log record could not be formatted: {type(error).__name__}; it is {message}"
    made = logging.LogRecord(
        record.name, logging.ERROR, record.pathname, record.lineno, text, (), None, record.funcName
    )
    InvocationFilter().filter(made)
    return made


def log_report(fields: dict[str, Any], log_format: str) -> None:
    """Logs the fields of an error report as the official runtime logs an unhandled exception."""
    if log_format == "JSON":
        line = encode_line({"timestamp": timestamp(time.time()), "level": "ERROR", **fields})
        sink.current().write(line, logging.ERROR, is_json=True)
        return
    lines = [": ".join(part for part in (f"[ERROR] {fields['errorType']}", fields["errorMessage"]) if part)]
    if fields["stackTrace"]:
        lines.append("Traceback (most recent call last):")
    for entry in fields["stackTrace"]:
        # No-break spaces: the console of the platform swallows plain ones at the start of a line.
        lines += [line.replace("    ", "\u00a0" * 4).replace("  ", "\u00a0" * 2) for line in entry.splitlines()]
    # One event for the platform: within it, lines are separated by carriage returns.
    framed = isinstance(sink.current(), sink.FramedSink)
    sink.current().write("\n".join(lines) if framed else "\r".join(lines) + "\n", logging.ERROR)


def log_pool(config: Config, processes: int) -> None:
    """Logs, for those who have lowered the level, how many are to be served by how many processes."""
    if config.managed:
        # awslambdaric and the .NET runtime emit this record too, under this name.
        logging.debug(
            {
                "event": "runtime_worker_pool_initializing",
                "workerCount": max(1, processes),
                "executionEnvironmentMaxConcurrency": config.slots,
            }
        )


def log_start(slots: int, driver: str, twins: dict[str, str]) -> None:
    """Logs, for those who have lowered the level, how this process serves."""
    live = " and ".join(dict.fromkeys(twins.values()))
    logging.getLogger("lmi_fast").info("serving %d at once on %s; %s", slots, driver, live)


def log_stray_exit(error: BaseException) -> None:
    """Logs a SystemExit or KeyboardInterrupt that came out of a task a handler had started."""
    logging.getLogger("lmi_fast").error(
        "a task raised %s; it ends that task only",
        type(error).__name__,
        exc_info=(type(error), error, error.__traceback__),
    )
