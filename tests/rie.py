"""The real AWS Lambda emulator (RIE) around a runtime of the caller's choice, as a context manager.

The emulator runs only files under /var, as another user, so each one gets namespaces of its own: mounts, in which
/var/task and /var/runtime exist and nowhere else, and pids, so that nothing outlives it. The network is the host's:
tests talk to it over loopback, and every emulator has an address of its own.

What the emulator of the aws-sam-cli wheel does, as far as a test must know:

LMI mode (``max_concurrency`` given)
  - The runtime is started with the emulator, before any invoke. Invokes that come meanwhile wait for the first poll.
  - The command is /var/runtime/bootstrap; it runs as uid 993, gid 990, in a process group of its own, in /var/task.
  - When the runtime's main process ends, the emulator fails what is running and exits with code 1.
  - Everything, the runtime's stderr included, comes out on the emulator's stdout.
Default mode (``max_concurrency=None``)
  - The runtime is started by the first invoke. It runs as root.
  - One invoke at a time: a second one that overlaps makes the emulator itself panic (exit code 2).
  - When the runtime ends, the invoke that runs gets an error and the next one starts the runtime again.

Lambda grants its user read access to a function's files; here interpreter and checkout may lie under directories closed
to uid 993 (/root, a 0700 temporary directory), so the runtime keeps the one capability that opens them for reading.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import os
import random
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from tests import rie_client, rie_space, sam_wheel
from tests.rie_client import Item, Reply
from tests.rie_init import Plan

_POLL = "/2018-06-01/runtime/invocation/next"
# What the emulator itself writes: slog text in LMI mode, logrus text in default mode, the platform's lines in both.
_OWN_LINE = re.compile(r"time=\d{4}-|\d\d \w{3} \d{4} [\d:,]+ \[|(START|END|REPORT) RequestId: ")


class RieError(RuntimeError):
    """The emulator or the runtime in it did not do what was waited for; the message ends with the log."""


class Rie:
    """One running emulator and the runtime under it.

    `files` are laid out under /var/task (path -> content), or `task_dir` is shown there. `bootstrap` is the text of the
    script that becomes the runtime (see python_bootstrap). `handler` arrives as ``_HANDLER``. The runtime's environment
    is what the emulator sets, a plain PATH and `env`; nothing of the test process's own. `timeout_s` is the function's
    timeout, and in LMI mode that of its initialisation too. `log_level` "debug" is needed by wait_for_polls and costs
    throughput: use "info" under load. With `ready=False` entering waits only for the emulator to listen, not for the
    runtime to be initialised. `emulator` is the command that starts the emulator, for one of another architecture.

    Entering raises RieError when the emulator ends, refuses to initialise or stays silent for `start_timeout_s`.
    """

    def __init__(
        self,
        files: Mapping[str, str | bytes] | None = None,
        *,
        bootstrap: str,
        max_concurrency: int | None,
        task_dir: Path | None = None,
        handler: str = "app.handler",
        env: Mapping[str, str] | None = None,
        timeout_s: int = 30,
        log_level: str = "debug",
        ready: bool = True,
        start_timeout_s: float = 30.0,
        emulator: Sequence[str] | None = None,
    ) -> None:
        if files and task_dir is not None:
            raise ValueError("give files or task_dir, not both")
        self.max_concurrency = max_concurrency
        self.address = ("", 0)
        self.runtime_api = ("", 0)
        self._ready = ready
        self._log_level = log_level
        self._start_timeout = start_timeout_s
        self._emulator = emulator
        self._env = {
            "PATH": rie_space.PATH,
            "_HANDLER": handler,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
            **(env or {}),
        }
        if max_concurrency is not None:
            self._env["AWS_LAMBDA_MAX_CONCURRENCY"] = str(max_concurrency)
        contents = {name: text.encode() if isinstance(text, str) else text for name, text in (files or {}).items()}
        self._plan = Plan(
            command=[],
            env=self._env,
            bootstrap=bootstrap,
            files={name: base64.b64encode(content).decode() for name, content in contents.items()},
            task_dir=None if task_dir is None else str(task_dir.resolve()),
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []
        self._news = threading.Condition()  # guards what follows; re-entrant
        self._silent = True
        self._waiting = 0
        self._hurry = threading.Event()  # set while anyone is in wait_for_log

    # -- life --------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Rie:
        reason = why_not()
        if reason is not None:
            raise RieError(reason)
        for attempt in range(5):
            try:
                self._start()
                return self
            except RieError as error:
                with contextlib.suppress(TimeoutError):
                    self.wait(0.5)  # what failed may be about to say why
                self.kill()
                if attempt == 4 or "address already in use" not in self.logs():
                    raise RieError(f"{error}\n{self._tail()}") from error.__cause__
            except BaseException:
                self.kill()
                raise
        raise AssertionError("unreachable")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            print(f"--- log of the emulator at {self.address} ---\n{self._tail()}", file=sys.stderr)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Send the emulator a signal, wait for its end and return its exit code (128 + n for death by signal n).

        Raises TimeoutError, after killing everything, if it does not end within `timeout` seconds.
        """
        self._order(0, number)
        try:
            return self.wait(timeout)
        except TimeoutError:
            self.kill()
            raise

    def kill(self) -> None:
        """End everything at once, as leaving the context does; the log so far remains."""
        if self._process is None:
            return
        process, reader = self._running()
        if cast(IO[bytes], process.stdin).closed:
            return
        # An order to process 1 of the namespace, with whose end the kernel kills all others in it; that works where
        # signals would not, across a change of user. Closing alone would do, unless a forked child holds a copy.
        self._order(0, 0)
        cast(IO[bytes], process.stdin).close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        for stream in (process.stdout, process.stderr):
            cast(IO[bytes], stream).close()

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for the emulator to end by itself and return its exit code; the log is then whole.

        Raises TimeoutError after `timeout` seconds.
        """
        process, reader = self._running()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the emulator is still running after {timeout} s") from None
        reader.join()
        return code

    def _start(self) -> None:
        host = _own_address()
        self.address, self.runtime_api = (host, _free_port(host)), (host, _free_port(host))
        self._lines = []
        options = ["--runtime-interface-emulator-address", f"{host}:{self.address[1]}"]
        options += ["--runtime-api-address", f"{host}:{self.runtime_api[1]}", "--log-level", self._log_level]
        command = [*rie_space.READ_ALL, *(self._emulator or [str(sam_wheel.rie_binary())]), *options]
        if self.max_concurrency is None:
            command.append("/var/runtime/bootstrap")  # without a command, a /var/task/bootstrap would go first
        self._process = rie_space.spawn(rie_space.way_in(), self._plan | {"command": command})
        with self._news:
            self._silent = False
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="rie-log", daemon=True)
        self._reader.start()
        deadline = time.monotonic() + self._start_timeout
        while not self._listening():
            if self._process.poll() is not None:
                raise RieError(f"the emulator ended with code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise RieError("the emulator does not listen")
            time.sleep(0.005)  # no event tells: below debug level the emulator does not say that it listens
        if self.max_concurrency is not None and self._ready:
            self._await_init(deadline)

    def _listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def _await_init(self, deadline: float) -> None:
        # An invoke first waits for initialisation and only then has its headers read, so a malformed one comes back at
        # the moment of the first poll and never reaches the runtime.
        process, _ = self._running()
        while True:
            left = deadline - time.monotonic()
            try:
                reply = rie_client.post(self.address, b"", {"X-Amz-Client-Context": "!"}, max(0.01, min(left, 1.0)))
                break
            except (OSError, http.client.HTTPException) as error:
                # Asked again every second: should a stranger have taken the port, it is he who does not answer.
                if not isinstance(error, TimeoutError) or process.poll() is not None or left <= 1.0:
                    raise RieError(f"no initialisation: {error!r}") from error
        if reply.error_type != "ErrMalformedRequest":
            raise RieError(f"initialisation failed: {reply.status} {reply.body.decode(errors='replace')}")

    def _running(self) -> tuple[subprocess.Popen[bytes], threading.Thread]:
        if self._process is None or self._reader is None:
            raise RieError("not started")
        return self._process, self._reader

    def _order(self, pid: int, number: int) -> None:
        process, _ = self._running()
        with contextlib.suppress(BrokenPipeError):  # when it has ended already
            cast(IO[bytes], process.stdin).write(f"{pid} {number}\n".encode())

    # -- invokes -----------------------------------------------------------------------------------------------------

    def invoke(
        self, payload: bytes, headers: Mapping[str, str] | None = None, *, timeout: float = 60.0, patience: float = 0.0
    ) -> Reply:
        """One invoke, on a connection of its own; call it from as many threads as you like.

        LMI has no queue: an invoke that finds no poll is refused at once, and a slot that has just answered may not be
        back yet. With `patience` a refusal is tried again for that many seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            reply = rie_client.post(self.address, payload, headers or {}, timeout)
            if reply.error_type != "Runtime.Unavailable" or time.monotonic() > deadline:
                return reply
            time.sleep(0.002)

    def invoke_many(self, items: Iterable[Item], concurrency: int, timeout: float = 60.0) -> list[Reply]:
        """A closed loop of `concurrency` clients over keep-alive connections; see rie_client.post_many."""
        return rie_client.post_many(self.address, items, concurrency, timeout)

    # -- logs --------------------------------------------------------------------------------------------------------

    def logs(self) -> str:
        """All that emulator and runtime have written so far, both streams, in whole lines."""
        with self._news:
            return "".join(f"{line}\n" for line in self._lines)

    def runtime_logs(self) -> list[str]:
        """The lines of the runtime alone, as far as they can be told from the emulator's."""
        with self._news:
            return [line for line in self._lines if not _OWN_LINE.match(line)]

    def wait_for_log(self, needle: str, timeout: float = 10.0, count: int = 1) -> str:
        """Wait until `count` lines contain `needle` and return the last of these.

        Raises RieError when the log ends or the time is up before.
        """
        deadline = time.monotonic() + timeout
        seen = scanned = 0
        with self._news:
            self._waiting += 1
            self._hurry.set()
            try:
                while True:
                    for line in self._lines[scanned:]:
                        seen += needle in line
                        if seen == count:
                            return line
                    scanned = len(self._lines)
                    left = deadline - time.monotonic()
                    if self._silent or left <= 0:
                        raise RieError(f"{seen} of {count} lines with {needle!r} in the log\n{self._tail()}")
                    self._news.wait(left)
            finally:
                self._waiting -= 1
                if not self._waiting:
                    self._hurry.clear()

    def wait_for_polls(self, total: int, timeout: float = 10.0) -> None:
        """Wait until the runtime has polled `total` times since its start. The emulator must log at "debug"."""
        if self._log_level != "debug":
            raise ValueError('polls are logged at log_level="debug" only')
        self.wait_for_log(_POLL, timeout, total)

    def _tail(self) -> str:
        with self._news:
            return "\n".join(self._lines[-200:])

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        with selectors.DefaultSelector() as selector:
            for stream in (process.stdout, process.stderr):
                selector.register(cast(IO[bytes], stream), selectors.EVENT_READ, bytearray())
            while selector.get_map():
                # Every line is a write of its own; read at once, each would cost a wake-up, together half of what a
                # load client spends. Nobody sees the difference: logs() never promised the present, and wait_for_log
                # hurries.
                self._hurry.wait(0.005)
                for key, _ in selector.select():
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    text: bytearray = key.data
                    text += data or (b"\n" if text else b"")  # a last line may lack its end
                    *lines, text[:] = text.split(b"\n")
                    if lines:
                        with self._news:
                            self._lines += [line.decode(errors="replace") for line in lines]
                            self._news.notify_all()
        with self._news:
            self._silent = True
            self._news.notify_all()

    # -- processes ---------------------------------------------------------------------------------------------------

    def runtime_pids(self) -> list[int]:
        """Host pids of the runtime, its main process first, then whatever it has started; empty when there is none."""
        process, _ = self._running()
        found = rie_space.descendants(process.pid)
        emulator = next((pid for pid in found if rie_space.status(pid).get("Name") == "aws-lambda-rie"), None)
        if emulator is None:
            return []
        main = rie_space.descendants(emulator)
        # Orphans are adopted by process 1 of the namespace, which is the emulator's parent.
        others = rie_space.descendants(int(rie_space.status(emulator).get("PPid", process.pid)))
        return main + [pid for pid in others if pid != emulator and pid not in main]

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to one of runtime_pids(), whoever owns it."""
        inside = rie_space.status(pid).get("NSpid", "").split()
        if inside:
            self._order(int(inside[-1]), number)


def python_bootstrap(*args: str, python: str = sys.executable, path: Iterable[str | Path] = ()) -> str:
    """The text of a bootstrap that becomes ``python args...`` with `path` as PYTHONPATH."""
    paths = ":".join(str(entry) for entry in path)
    export = f"export PYTHONPATH={shlex.quote(paths)}\n" if paths else ""
    return f"#!/bin/sh\n{export}exec {shlex.join([python, *args])}\n"


def require_rie() -> None:
    """Skip the test where the emulator cannot run; fail it where nothing may be skipped (CI, LMI_FAST_NO_SKIPS=1)."""
    import pytest

    reason = why_not()
    if reason is None:
        return
    if os.environ.get("CI", "").lower() == "true" or os.environ.get("LMI_FAST_NO_SKIPS") == "1":
        pytest.fail(f"the emulator cannot run here: {reason}")
    pytest.skip(reason)


@functools.cache
def why_not() -> str | None:
    """Why the emulator cannot run here, or None. Found out once, by entering a namespace as a test would."""
    if sys.platform != "linux":
        return "the emulator is a Linux program"
    try:
        sam_wheel.rie_binary()
        rie_space.way_in()
    except (sam_wheel.WheelUnavailable, rie_space.NoWayIn) as error:
        return str(error)
    return None


def _own_address() -> str:
    # The whole of 127/8 is loopback. With an address per emulator no two can want the same port, nor can a client's
    # ephemeral port, which is always on 127.0.0.1, get in between choosing one and listening on it.
    octets = random.SystemRandom()
    return f"127.{octets.randint(1, 254)}.{octets.randint(0, 255)}.{octets.randint(1, 254)}"


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
