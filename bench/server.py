"""The other end of the Runtime API: bench/server.c as an object, and a runtime that is run against it.

A Bout gives no number of a runtime that ended, stalled or answered wrongly: it raises.
"""

from __future__ import annotations

import array
import json
import os
import selectors
import subprocess
import tempfile
import time
from types import TracebackType
from typing import IO, Any, NamedTuple, cast

from bench import processes
from bench.events import event_file
from bench.places import CACHE, compiled
from bench.rivals import Runtime, Work


class BenchError(RuntimeError):
    """A measurement that cannot be believed: a runtime that ended, stalled, or answered wrongly."""


class Silence(BenchError):
    """Nothing was reported in time."""


class Run(NamedTuple):
    """One closed-loop run. CPU is that of the runtime's whole process tree."""

    invocations: int
    seconds: float
    cpu_us: float
    response_bytes: int
    others: float
    """The share of the machine's CPU that others took meanwhile."""

    @property
    def per_second(self) -> float:
        return self.invocations / self.seconds

    @property
    def cpu_us_each(self) -> float:
        return self.cpu_us / self.invocations


class Server:
    """A started bench/server.c for one event. `address` is host:port. Raises Unavailable without a C compiler."""

    def __init__(self, event: str, slots: int, *, coalesce: bool = False) -> None:
        command = [str(compiled("server")), "--event", str(event_file(event)), "--slots", str(slots)]
        self._process = subprocess.Popen(
            command + ["--coalesce"] * coalesce, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(cast(IO[bytes], self._process.stdout), selectors.EVENT_READ)
        self._received = b""
        self.address = f"127.0.0.1:{self.line(10)['port']}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self, timeout: float) -> dict[str, Any]:
        """The next thing it reports. Raises BenchError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._received:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise Silence(f"nothing from the server for {timeout:.0f} s")
            data = os.read(cast(IO[bytes], self._process.stdout).fileno(), 65536)
            if not data:
                raise BenchError(f"the server ended with code {self._process.wait()}")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        if "init_error" in found:
            raise BenchError("the runtime reported an error of its init phase")
        return found

    def order(self, line: str) -> None:
        stream = cast(IO[bytes], self._process.stdin)
        stream.write(f"{line}\n".encode())
        stream.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout):
            cast(IO[bytes], stream).close()


class Bout:
    """A runtime against a server of its own, from exec until leaving the context.

    `first_poll` and `all_polls` are seconds from just before exec. Raises BenchError when it does not get that far.
    """

    def __init__(
        self,
        runtime: Runtime,
        slots: int,
        *,
        event: str = "200 B",
        work: Work = "plain",
        coalesce: bool = False,
        env: dict[str, str] | None = None,
        timeout: float = 120.0,
    ) -> None:
        self.slots = slots
        self._name = f"{runtime.name}, {slots} slots, {event}"
        self._server = Server(event, slots if runtime.polls is None else runtime.polls, coalesce=coalesce)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        started = time.monotonic_ns()
        self.process = subprocess.Popen(
            runtime.command(work),
            env=runtime.environment(work, self._server.address, slots) | (env or {}),
            cwd=runtime.folder(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self.first_poll = (int(self._line(timeout)["ns"]) - started) / 1e9
            self.all_polls = (int(self._line(timeout)["ns"]) - started) / 1e9
            self.pids = processes.tree(self.process.pid)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Bout:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def run(self, count: int, timeout: float = 120.0) -> Run:
        """`count` invocations as fast as they are answered. Raises BenchError unless each is, once, without error."""
        started, busy, ours, before = time.monotonic_ns(), processes.machine_busy_ns(), self._both(), self.cpu_ns()
        self._server.order(f"run {count}")
        report = self._line(timeout)
        cpu = self.cpu_ns() - before
        others = processes.machine_busy_ns() - busy - (self._both() - ours)
        capacity = (time.monotonic_ns() - started) * len(os.sched_getaffinity(0))
        self._check(report)
        share = round(max(0.0, others / capacity), 3)
        return Run(count, report["ns"] / 1e9, cpu / 1e3, report["bytes"] // count, share)

    def warm(self, seconds: float = 0.5) -> float:
        """Runs until the rate is known and caches are warm; returns invocations a second."""
        rate = self.run(2 * self.slots).per_second
        for _ in range(2):
            rate = self.run(max(2 * self.slots, min(200_000, int(rate * seconds / 2)))).per_second
        return rate

    def open_loop(self, rate: float, count: int, *, seed: int = 1) -> tuple[list[float], dict[str, Any]]:
        """`count` Poisson arrivals at `rate` a second, queued while no poll is parked.

        Returns the latencies in seconds, from the scheduled arrival (so that a stall counts for all it delayed), and
        the server's report.
        """
        path = CACHE / f"latencies-{os.getpid()}"
        self._server.order(f"open {rate} {count} {seed} poisson queue {path}")
        report = self._line(30 + 3 * count / rate)
        self._check(report)
        values = array.array("Q")
        values.frombytes(path.read_bytes())
        path.unlink()
        return [value / 1e9 for value in values], report

    def cpu_ns(self) -> int:
        """CPU the tree has used so far."""
        pids = processes.tree(self.process.pid)
        try:
            return processes.cpu_ns(pids)
        except OSError as error:
            raise BenchError(f"{self._name}: a process ended\n{self.log()}") from error

    def _both(self) -> int:
        return self.cpu_ns() + processes.cpu_ns([self._server.pid])

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def _line(self, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._server.line(1.0)
            except Silence:
                code = self.process.poll()
                if code is not None:
                    raise BenchError(f"{self._name}: ended with code {code}\n{self.log()}") from None
                if time.monotonic() > deadline:
                    raise BenchError(f"{self._name}: nothing for {timeout:.0f} s\n{self.log()}") from None
            except BenchError as error:
                raise BenchError(f"{self._name}: {error}\n{self.log()}") from error

    def _check(self, report: dict[str, Any]) -> None:
        if report["faults"] or report["unknown"]:
            raise BenchError(f"{self._name}: {report}\n{self.log()}")

    def _close(self) -> None:
        processes.end(self.process)
        self._server.close()
        self._log.close()
