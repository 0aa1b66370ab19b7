"""Where log lines go: the process's standard output, or the platform's framed log descriptor.

One write per record, under a lock, so that records of many threads never mix within a line. Knows bytes and
descriptors; what a record looks like is the business of `runtime/logs.py`.
"""

from __future__ import annotations

import os
import threading
import time

# Frame types of the telemetry log descriptor, by level: awslambdaric, lambda_runtime_log_utils.py.
_TEXT_FRAMES = {0: 0x03, 10: 0x0B, 20: 0x0F, 30: 0x13, 40: 0x17, 50: 0x1B}
_JSON_FRAMES = {0: 0x02, 10: 0x0A, 20: 0x0E, 30: 0x12, 40: 0x16, 50: 0x1A}
_FRAME_PREFIX = 0xA55A0000


class Sink:
    """Writes lines to a descriptor, as they are."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lock = threading.Lock()

    def write(self, text: str, level: int = 0, is_json: bool = False) -> None:
        """Writes `text`, which ends with a newline where it should. `level` is 0 to 50, in tens."""
        self._write_all(text.encode("utf-8", "backslashreplace"))

    def _write_all(self, data: bytes) -> None:
        with self._lock:
            view = memoryview(data)
            while view:
                view = view[self._write_some(view) :]

    def _write_some(self, view: memoryview) -> int:
        try:
            return os.write(self.fd, view)
        except BlockingIOError:
            # Somebody made the descriptor non-blocking (an event loop that shares it); a log line is worth a wait.
            import select

            select.select([], [self.fd], [])
            return 0


class FramedSink(Sink):
    """Writes frames to _LAMBDA_TELEMETRY_LOG_FD: type, length, microseconds since the epoch, text; big-endian."""

    def write(self, text: str, level: int = 0, is_json: bool = False) -> None:
        """Writes `text` as one frame; newlines within are kept."""
        message = text.encode("utf-8", "backslashreplace")
        frame_type = _FRAME_PREFIX | (_JSON_FRAMES if is_json else _TEXT_FRAMES).get(level, 0x03)
        microseconds = time.time_ns() // 1000
        self._write_all(
            frame_type.to_bytes(4, "big") + len(message).to_bytes(4, "big") + microseconds.to_bytes(8, "big") + message
        )


_current = Sink(1)


def current() -> Sink:
    """The sink of this process."""
    return _current


def use(sink: Sink) -> None:
    """Makes `sink` the sink of this process."""
    global _current
    _current = sink
