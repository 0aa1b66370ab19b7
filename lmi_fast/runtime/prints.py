"""sys.stdout and sys.stderr under Managed Instances: what is printed becomes log records, one for each line.

Many invocations print at the same time, and a line as it stands does not say whose it is. So it becomes the message of
a JSON record with the request id. A line that is a JSON object already, as Powertools, structlog and the embedded
metric format print them, stays what it is and is given the request id if it has none.

What a child process or C code writes to the descriptors goes out as it is.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
import weakref

from .. import sink
from ..context import CURRENT
from .logs import encode_line, encode_text, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..context import Context

# A line without an end is as long as this at most, in characters.
LONGEST = 60_000


def print_records() -> None:
    """Replaces sys.stdout and sys.stderr. What they were stays at sys.__stdout__ and sys.__stderr__."""
    sys.stdout = PrintStream("stdout", 1, "INFO")
    # Above the INFO of other lines, which many functions do not have logged; but a progress bar is no error.
    sys.stderr = PrintStream("stderr", 2, "WARNING")


class _Line:
    """What has been printed of a line so far, and who by. It outlives the context it is of, to be ended then."""

    def __init__(self, context: Context | None) -> None:
        self.text = ""
        self.owner = {}
        if context is not None:
            self.owner["requestId"] = context.aws_request_id
            if context.tenant_id is not None:
                self.owner["tenantId"] = context.tenant_id


class PrintStream(io.TextIOBase):
    """A text stream that writes records. Each invocation has a line of its own."""

    def __init__(self, name: str, descriptor: int, level: str) -> None:
        self.name = f"<{name}>"
        self.mode = "w"
        self.buffer = _Bytes(self)
        self._logger = name
        self._descriptor = descriptor
        self._level = level
        self._outside = threading.local()
        # By invocation, and by thread: print() writes a line and its end one after the other.
        self._lines: weakref.WeakKeyDictionary[Context, dict[int, _Line]] = weakref.WeakKeyDictionary()
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()  # a finalizer or a signal handler may print while its own thread does

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def reconfigure(self, **options: Any) -> None:
        """Nothing: it is as it has to be."""

    def close(self) -> None:
        """Nothing but a flush, so that nobody can close it for the others."""
        self.flush()

    def flush(self) -> None:
        """Ends the line of whoever is no invocation. One that an invocation has begun ends with it, at the latest."""
        if CURRENT.get(None) is None:
            self._end(self._line_here())

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            line = self._line_here()
            if line.text and _is_a_record(text):
                self._end(line)
            *whole, line.text = (line.text + text).split("\n")
            if "\r" in line.text:  # a progress bar: a terminal would show the last of it
                line.text = line.text[line.text.rstrip("\r").rfind("\r") + 1 :]
            self._write(whole, line.owner)
            if len(line.text) > LONGEST:
                self._end(line)
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        self.write("".join(lines))

    def _line_here(self) -> _Line:
        context = CURRENT.get(None)
        if context is None:
            line: _Line | None = getattr(self._outside, "line", None)
            if line is None:
                line = self._outside.line = _Line(None)
            return line
        lines = self._lines.get(context)
        if lines is None:
            lines = self._lines[context] = {}
            # Invocations that print nothing pay nothing; and tasks that outlive their handler may go on printing.
            weakref.finalize(context, self._end_all, lines)
        ident = threading.get_ident()
        if ident not in lines:
            lines[ident] = _Line(context)
        return lines[ident]

    def _end_all(self, lines: dict[int, _Line]) -> None:
        for line in list(lines.values()):
            self._end(line)

    def _end(self, line: _Line) -> None:
        with self._lock:
            text, line.text = line.text, ""
            self._write([text], line.owner)

    def _write(self, lines: list[str], owner: dict[str, str]) -> None:
        for text in lines:
            text = text.rstrip("\r")
            if text and not text.isspace():
                sink.current().write(_with_owner(text, owner) or self._record(text, owner), is_json=True)

    def _record(self, text: str, owner: dict[str, str]) -> str:
        now = timestamp(time.time())
        return encode_line({"timestamp": now, "level": self._level, "message": text, "logger": self._logger, **owner})


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, stream: PrintStream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: Any, /) -> int:
        self._stream.write(bytes(data).decode("utf-8", "backslashreplace"))
        return memoryview(data).nbytes

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()


def _is_a_record(text: str) -> bool:
    """Whether it is one of somebody else's, that must not become the end of a line that was begun before: a handler of
    logging writes it with its end, Powertools' metrics do not. print("got", {}) writes its parts one by one.
    """
    return text.startswith("{") and (text.endswith("}\n") or text.startswith('{"_aws"'))


def _with_owner(text: str, owner: dict[str, str]) -> str | None:
    """A line that is a JSON object, with the fields of `owner` that it has not; None for any other line."""
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")) or len(stripped) > LONGEST:
        return None
    import json  # encoding needs it as well

    try:
        fields = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    missing = {name: value for name, value in owner.items() if name not in fields}
    if not missing:
        return stripped
    # As text: what the line has stays as it was written, to the digit.
    return f"{stripped[:-1].rstrip()}{',' if fields else ''}{encode_text(missing)[1:]}"
