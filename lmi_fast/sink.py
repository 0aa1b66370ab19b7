"""Where log lines go: the process's standard output, or the platform's framed log descriptor.

One write per record, under a lock, so that records of many threads never mix within a line. Knows bytes and
descriptors; what a record looks like is the business of `runtime/logs.py`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

# Frame types of the telemetry log descriptor, by level: awslambdaric, lambda_runtime_log_utils.py.
_TEXT_FRAMES = {0: 0x03, 10: 0x0B, 20: 0x0F, 30: 0x13, 40: 0x17, 50: 0x1B}
_JSON_FRAMES = {0: 0x02, 10: 0x0A, 20: 0x0E, 30: 0x12, 40: 0x16, 50: 0x1A}
_FRAME_PREFIX = 0xA55A0000
# Of a line, in bytes. The emulator reads with a bufio.Scanner: a line of 64 KiB ends it, and whoever writes then blocks
# for ever once the pipe is full.
MAX_LINE = 64_000
_CUT = b" ... (cut)"


class Sink:
    """Writes lines to a descriptor."""

    max_line: int | None = MAX_LINE

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lock_others: Callable[[bool], object] | None = None
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        # Re-entrant: a finalizer or a signal handler may log while its own thread writes. Renewed after a fork: a child
        # that was forked while another thread wrote would find it taken for ever.
        self._lock = threading.RLock()

    def share(self) -> None:
        """From now on other processes, forked from this one, write to the same place.

        Only what is shorter than 4 KiB goes into a pipe in one piece (pipe(7)). The kernel takes this lock away from a
        process that dies.
        """
        from fcntl import LOCK_EX, LOCK_UN, lockf

        file = os.memfd_create("lmi_fast-log")
        self._lock_others = lambda on: lockf(file, LOCK_EX if on else LOCK_UN)

    def write(self, text: str, level: int = 0, is_json: bool = False) -> None:
        """Writes `text` as a line, or as the lines it has; those above MAX_LINE are cut. `level`: 0 to 50, in tens.

        Raises nothing: when nobody reads the log any more, work goes on without it.
        """
        line = text if text.endswith("\n") else text + "\n"
        data = line.encode("utf-8", "backslashreplace")
        self._write_all(data if len(data) <= MAX_LINE else b"".join(map(_short, data.splitlines(keepends=True))))

    def _write_all(self, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._lock_others is not None:
                self._lock_others(True)
            try:
                view = memoryview(data)
                while view:
                    view = view[self._write_some(view) :]
            finally:
                if self._lock_others is not None:
                    self._lock_others(False)

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

    max_line = None  # a frame knows its length

    def write(self, text: str, level: int = 0, is_json: bool = False) -> None:
        """Writes `text` as one frame; newlines within are kept."""
        message = text.encode("utf-8", "backslashreplace")
        frame_type = _FRAME_PREFIX | (_JSON_FRAMES if is_json else _TEXT_FRAMES).get(level, 0x03)
        microseconds = time.time_ns() // 1000
        self._write_all(
            frame_type.to_bytes(4, "big") + len(message).to_bytes(4, "big") + microseconds.to_bytes(8, "big") + message
        )


def _short(line: bytes) -> bytes:
    if len(line) <= MAX_LINE:
        return line
    return line[: MAX_LINE - len(_CUT) - 1].decode("utf-8", "ignore").encode() + _CUT + b"\n"


def provided(path: str) -> Sink:
    """A sink of this process's own, from the platform: each connection to the unix socket at `path` is a log stream.

    Standard output and standard error become one each as well, for what writes there directly, as awslambdaric 4.2.2
    does it in each of its processes. Raises OSError.
    """
    import socket

    for descriptor in (1, 2):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(path)
            os.dup2(stream.fileno(), descriptor)
    return Sink(_own_stdout())


_current: Sink | None = None


def current() -> Sink:
    """The sink of this process; standard output unless another is used."""
    if _current is None:
        use(Sink(_own_stdout()))
        assert _current is not None
    return _current


def use(sink: Sink) -> None:
    """Makes `sink` the sink of this process."""
    global _current
    _current = sink


def _own_stdout() -> int:
    # A descriptor of our own: a handler may close number 1, and the next connection to the Runtime API would get it.
    try:
        return os.dup(1)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
