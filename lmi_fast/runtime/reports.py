"""From an exception to the error report the platform keeps: body, error type and X-Ray cause.

The body is the official runtime's (awslambdaric, bootstrap.make_error). The error type is better: the official runtime
sends none, and the platform counts each of its errors as Runtime.Unknown.
"""

from __future__ import annotations

import importlib
import os
import traceback
from types import FrameType, TracebackType
from typing import Any, NamedTuple, cast

from ..errors import FaultError
from ..wire.codec import encode_json

# What a class calls itself, and where an error came from, even where the user's class has made properties of these.
_class_name = type.__dict__["__name__"].__get__
_traceback = vars(BaseException)["__traceback__"].__get__
_OURS = __name__.partition(".")[0]
# Between our call of import_module() and the user's module.
_IMPORTING = ("<frozen importlib", os.path.dirname(importlib.__file__) + os.sep)
# POST .../error takes 1 MiB (requestBodyLimitBytes of the Runtime API server); a report above it would be lost.
MAX_BODY = 1 << 20
# The platform crops the X-Ray cause at 64 KiB, and drops what does not parse then.
MAX_XRAY_CAUSE = (1 << 16) - 1
_MAX_MESSAGE = 1 << 16  # characters, of a report that is too large
_MAX_FRAMES = 50  # of a report that is too large


class Report(NamedTuple):
    """One error report. `fields` is the body before encoding, for the log."""

    fields: dict[str, Any]
    body: bytes
    error_type: str
    xray_cause: str


class _Frame(NamedTuple):
    path: str
    line: int
    label: str
    source: str


def make_report(error: BaseException, request_id: str | None = None) -> Report:
    """The report of `error`; its stack trace starts at the first frame that is not lmi_fast's own."""
    # Not isinstance(): it would ask `error.__class__`, which may be anything too.
    fault = cast(FaultError, error) if issubclass(type(error), FaultError) else None
    if fault is not None:
        name, message, error_type = str(fault.error_type), str(fault.message), kept_error_type(str(fault.error_type))
        frames: list[_Frame] = []
        stack_trace = fault.stack_trace
        xray_type = "LambdaValidationError"
    else:
        name = xray_type = _class_name(type(error))
        message = _message(error)
        error_type = function_error_type(name)
        frames = _user_frames(_traceback(error))
        stack_trace = _format(frames)
    fields = {"errorMessage": message, "errorType": name, "requestId": request_id or "", "stackTrace": stack_trace}
    body = encode_json(fields)
    if len(body) > MAX_BODY:
        fields["errorMessage"] = message[:_MAX_MESSAGE]
        fields["stackTrace"] = [line[: _MAX_MESSAGE // _MAX_FRAMES] for line in stack_trace[-_MAX_FRAMES:]]
        body = encode_json(fields)
    return Report(fields, body, error_type, _xray_cause(xray_type, message, frames))


def kept_error_type(error_type: str) -> str:
    """`error_type` if the platform keeps it, which it does if it is `(Runtime|Function).[A-Z][a-zA-Z]+`."""
    family, _, name = error_type.partition(".")
    letters = 2 <= len(name) <= 256 and name.isascii() and name.isalpha() and name[0].isupper()
    return error_type if letters and family in ("Runtime", "Function") else "Runtime.Unknown"


def function_error_type(name: str) -> str:
    """The name of an exception class in the form the platform keeps."""
    kept = kept_error_type("Function." + name)
    return kept if kept.startswith("Function.") else "Function.Unknown"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # it runs code of the user's, which must not end more than its invocation
        return f"<{_class_name(type(error))} whose str() fails>"


def _user_frames(trace: TracebackType | None) -> list[_Frame]:
    while trace is not None and _is_ours(trace.tb_frame):
        trace = trace.tb_next
    return [_Frame(f.filename, f.lineno or 0, f.name, f.line or "") for f in traceback.extract_tb(trace)]


def _is_ours(frame: FrameType) -> bool:
    # By the module: a compiled frame has another path than its source.
    name = str(frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] == _OURS or frame.f_code.co_filename.startswith(_IMPORTING)


def _format(frames: list[_Frame]) -> list[str]:
    # Plain tuples: with FrameSummary objects Python 3.11 and later would add lines of carets.
    return traceback.format_list([(frame.path, frame.line, frame.label, frame.source) for frame in frames])


def _xray_cause(error_type: str, message: str, frames: list[_Frame]) -> str:
    import json  # only with errors; the header must be one line of ASCII, which msgspec does not write

    error_type = error_type[:256]
    message = message[: _MAX_MESSAGE // 8]  # a character is 6 at most in ASCII JSON, 12 beyond the BMP
    while True:
        stack = [{"label": frame.label, "path": frame.path, "line": frame.line} for frame in frames]
        cause = {
            "working_directory": _working_directory(),
            "exceptions": [{"message": message, "type": error_type, "stack": stack}],
            "paths": sorted({frame.path for frame in frames}),
        }
        text = json.dumps(cause)
        if len(text) <= MAX_XRAY_CAUSE:
            return text
        if not frames:
            message = message[: len(message) // 2]
        frames = frames[len(frames) // 2 + 1 :]  # the innermost say most


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
