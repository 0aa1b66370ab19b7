"""Runs `python -m lmi_fast` as its own process against the embedded Runtime API, as Lambda would start it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import lmi_fast
from lmi_fast.emulator import Outcome, RuntimeApi

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(lmi_fast.__file__).parent  # which may be installed somewhere else
TIMEOUT = 20.0  # seconds, for whatever should take a moment


class Served:
    """One runtime process. `api` is its Runtime API; it is running when the context is entered."""

    def __init__(
        self,
        folder: Path,
        source: str = "",
        *,
        handler: str | None = "app.handler",
        slots: int | None = 4,
        command: list[str] | None = None,
        api: RuntimeApi | None = None,
        variables: Mapping[str, str] | None = None,
        **environ: str,
    ) -> None:
        """`source` becomes app.py in `folder`, where the process starts. `slots` None is Lambda (default) mode."""
        if source:
            (folder / "app.py").write_text(textwrap.dedent(source))
        self.folder = folder
        self.api = api or RuntimeApi()
        self.slots = slots or 1
        self._command = command or [sys.executable, "-m", "lmi_fast"]
        own = {
            name: os.environ[name] for name in ("PATH", "HOME", "LMI_FAST_TWINS", "LMI_FAST_LOOP") if name in os.environ
        }
        self._environ = {
            **own,
            **self.api.environ(max_concurrency=slots, handler=handler),
            **(variables or {}),
            **environ,
        }
        self._environ.setdefault("PYTHONPATH", str(ROOT))
        # One process, without a supervisor: the tests of that one say so (and LMI_FAST_PROCESSES can, for all).
        self._environ.setdefault("LMI_FAST_PROCESSES", os.environ.get("LMI_FAST_PROCESSES", "0"))
        self.processes = self._environ["LMI_FAST_PROCESSES"]
        self._out: list[bytes] = []
        self._more = threading.Condition()
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Served:
        self.process = subprocess.Popen(
            self._command, cwd=self.folder, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        self._reader = threading.Thread(target=self._read, args=(descriptor,))
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.api.close()
        if error is not None:
            print(self.output)

    def ready(self) -> Served:
        """Waits until every slot polls."""
        self.api.wait_for_polls(self.slots, TIMEOUT)
        return self

    def invoke(self, event: Any = None, **more: Any) -> Outcome:
        """One invocation, and what came of it."""
        return self.api.invoke(event, **more).result(TIMEOUT)

    def result(self, event: Any = None, **more: Any) -> Any:
        """What the handler returned, decoded; fails the test when it failed."""
        outcome = self.invoke(event, **more)
        assert outcome.kind == "response", (outcome, self.output)
        return json.loads(outcome.body)

    def error(self, event: Any = None, **more: Any) -> tuple[dict[str, Any], Outcome]:
        """The error report of an invocation that fails."""
        outcome = self.invoke(event, **more)
        assert outcome.kind == "error", (outcome, self.output)
        return json.loads(outcome.body), outcome

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end: the exit code."""
        self.process.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        """Waits for the end of a process that ends by itself."""
        code = self.process.wait(TIMEOUT)
        self._reader.join()
        return code

    def _read(self, descriptor: int) -> None:
        while True:
            select.select([descriptor], [], [])
            with self._more:  # taken and kept at once: see `output`
                data = os.read(descriptor, 1 << 16)
                self._out.append(data)
                self._more.notify_all()
            if not data:
                return

    def wait_for_output(self, text: str, count: int = 1) -> None:
        """Waits until `text` was written `count` times."""
        with self._more:
            assert self._more.wait_for(lambda: self._text().count(text) >= count, TIMEOUT), self._text()

    @property
    def output(self) -> str:
        """What the process has written so far, to the last byte; all of it once it has ended."""
        with self._more:
            self._more.wait_for(lambda: not self._unread(), TIMEOUT)
            return self._text()

    def _text(self) -> str:
        return b"".join(self._out).decode()

    def _unread(self) -> int:
        """Bytes in the pipe."""
        assert self.process.stdout is not None
        if self.process.stdout.closed:
            return 0
        return int.from_bytes(fcntl.ioctl(self.process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder)

    def records(self) -> list[dict[str, Any]]:
        """The JSON log records so far."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]


@contextlib.contextmanager
def serving(folder: Path, source: str, **more: Any) -> Iterator[Served]:
    """A Served that is ready, and is asked to end at the end: with exit code 0 and nothing on its conscience."""
    with Served(folder, source, **more) as served:
        yield served.ready()
        if served.process.poll() is None:
            assert served.stop() == 0, served.output
