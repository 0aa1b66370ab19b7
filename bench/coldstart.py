"""From exec to the first poll and to all of them, and the CPU that took; times are those at which the server got them.

Beside the runtimes stands the interpreter alone: until its imports are done, and until it has ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO, cast

from bench import rivals
from bench.results import Progress, Sample, Session
from bench.rivals import Runtime, Work
from bench.server import BenchError, Bout

BARE = {
    "python -c pass": "pass",
    "python, import asyncio, uvloop, msgspec": "import asyncio, uvloop, msgspec",
    "python, import msgspec": "import msgspec",
    "python, import boto3": "import boto3",
}
_AT_REST = 0.1  # s: what a runtime still does behind its last poll is part of its start


def measure(session: Session) -> list[Sample]:
    """Every sample, rounds interleaved."""
    sides = rivals.available([rivals.ASYNC, rivals.SYNC, rivals.AWSLAMBDARIC], session.left_out)
    others = [] if session.quick else rivals.available([rivals.RUST, rivals.GO, rivals.NODE], session.left_out)
    cases: list[tuple[int, str, Callable[[], Sample]]] = []

    def add(runtime: Runtime, slots: int, work: Work, bytecode: bool = True) -> None:
        # A minute and more for the largest of the rivals: a few rounds have to do.
        rounds = session.rounds if slots == 1 or runtime in (rivals.ASYNC, rivals.SYNC) else min(3, session.rounds)
        what = f"{runtime.name}, {slots} slots, {work}"
        cases.append((rounds, what, lambda: start(runtime, slots, work, bytecode)))

    for name in BARE:
        cases.append((session.rounds, name, lambda name=name: bare(name)))  # type: ignore[misc]
        if not session.quick:
            cases.append((session.rounds, name, lambda name=name: bare(name, False)))  # type: ignore[misc]
    for slots in (1, 16) if session.quick else (1, 16, 64):
        for runtime in sides:
            add(runtime, slots, "plain")
            add(runtime, slots, "boto")
            if slots == 1 and not session.quick:
                add(runtime, slots, "plain", False)
                add(runtime, slots, "boto", False)
        for runtime in others:
            add(runtime, slots, "plain")
    most = max(rounds for rounds, _, _ in cases)
    bar = Progress("coldstart", sum(rounds for rounds, _, _ in cases))
    samples: list[Sample] = []
    for round_number in range(most):
        for rounds, what, take in cases:
            if round_number >= rounds:
                continue
            bar.step(what)
            try:
                samples.append({"kind": "coldstart", "round": round_number, **take()})
            except BenchError as error:
                session.failed.append(str(error))
    bar.end()
    return samples


def start(runtime: Runtime, slots: int, work: Work, bytecode: bool = True) -> Sample:
    """One start. Without `bytecode` nothing finds any, the standard library included, and nothing writes it."""
    with tempfile.TemporaryDirectory() as empty:
        env = {} if bytecode else {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": empty}
        with Bout(runtime, slots, work=work, env=env) as bout:
            time.sleep(_AT_REST)
            cpu = bout.cpu_ns()
            return {
                "runtime": runtime.name,
                "slots": slots,
                "work": work,
                "bytecode": bytecode,
                "first_poll_s": round(bout.first_poll, 6),
                "all_polls_s": round(bout.all_polls, 6),
                "cpu_s": round(cpu / 1e9, 6),
            }


def bare(name: str, bytecode: bool = True) -> Sample:
    """The interpreter with some imports, in the environment a runtime would have."""
    program = f"{BARE[name]}; import os; os.write(1, b'.')"
    with tempfile.TemporaryDirectory() as empty:
        env = {} if bytecode else {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": empty}
        env |= rivals.ASYNC.environment("plain", "127.0.0.1:1", 1)
        started = time.monotonic_ns()
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env)
        stream = cast(IO[bytes], process.stdout)
        if stream.read(1) != b".":
            raise BenchError(f"{name} failed with code {process.wait()}")
        imported = time.monotonic_ns()
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.monotonic_ns()
        process.returncode = os.waitstatus_to_exitcode(status)
        stream.close()
    return {
        "runtime": name,
        "slots": 0,
        "work": "plain",
        "bytecode": bytecode,
        "first_poll_s": round((imported - started) / 1e9, 6),
        "ended_s": round((ended - started) / 1e9, 6),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 6),
    }
