"""Serves overlapping invocations of the example handlers on an embedded Runtime API, and prints what came of them."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from lmi_fast.emulator import Outcome, RuntimeApi

ROOT = Path(__file__).resolve().parent.parent
HANDLERS = {"async def": "examples.async_app.handler", "def": "examples.sync_app.handler"}
SECONDS = 0.05  # what each invocation waits for, as for a database
LIVE = "import lmi_fast; print(*sorted(set(lmi_fast.twins().values())), 'twins')"


class Row(NamedTuple):
    """What came of one handler."""

    handler: str
    invocations: int
    peak: int
    errors: int
    wall_s: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    cpu_us: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=16, help="AWS_LAMBDA_MAX_CONCURRENCY (default: %(default)s)")
    parser.add_argument("--invocations", type=int, default=200, help="per handler (default: %(default)s)")
    chosen = parser.parse_args()
    live = subprocess.run([sys.executable, "-c", LIVE], cwd=ROOT, capture_output=True, text=True, check=True)
    print(f"{chosen.invocations} invocations of {SECONDS * 1000:.0f} ms each, {chosen.slots} slots")
    print(f"Python {sys.version.split()[0]}; live: {live.stdout.strip()}\n")
    rows = [serve(kind, spec, chosen.slots, chosen.invocations) for kind, spec in HANDLERS.items()]
    print_table(rows)
    failed = sum(row.errors for row in rows)
    if failed:
        print(f"\n{failed} invocations failed", file=sys.stderr)
    return 1 if failed else 0


def serve(kind: str, spec: str, slots: int, invocations: int) -> Row:
    """Starts a runtime with `slots`, keeps all of them busy for `invocations`, and stops it."""
    with RuntimeApi() as api, running(api, spec, slots) as runtime:
        api.wait_for_polls(slots, timeout=30)
        idle_cpu = cpu_seconds(runtime.pid)
        began = time.perf_counter()
        with ThreadPoolExecutor(slots) as clients:
            outcomes = list(clients.map(lambda number: invoke(api, number), range(invocations)))
        wall = time.perf_counter() - began
        cpu = cpu_seconds(runtime.pid) - idle_cpu
        memory = memory_mb(runtime.pid)
        peak = api.stats.peak_in_flight
    latencies = sorted(outcome.latency_s * 1000 for outcome in outcomes)
    cuts = quantiles(latencies, n=100)
    errors = sum(outcome.kind != "response" for outcome in outcomes)
    return Row(kind, invocations, peak, errors, wall, cuts[49], cuts[98], memory, cpu * 1e6 / invocations)


def invoke(api: RuntimeApi, number: int) -> Outcome:
    return api.invoke({"number": number, "seconds": SECONDS}).result(timeout=30)


@contextmanager
def running(api: RuntimeApi, spec: str, slots: int) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, **api.environ(max_concurrency=slots, handler=spec, AWS_LAMBDA_LOG_LEVEL="WARN")}
    runtime = subprocess.Popen([sys.executable, "-m", "lmi_fast"], cwd=ROOT, env=environ)
    try:
        yield runtime
    finally:
        runtime.terminate()
        runtime.wait(10)


def processes(pid: int) -> list[int]:
    """The supervisor and its workers."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def cpu_seconds(pid: int) -> float:
    """CPU time of these processes so far; the scheduler's nanoseconds, not the coarse ticks of `stat`."""
    tasks = [task for each in processes(pid) for task in Path(f"/proc/{each}/task").glob("*/schedstat")]
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def memory_mb(pid: int) -> float:
    """The resident memory of these processes; pages that they share count once."""
    texts = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in processes(pid)]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("Pss:")) / 1024


def print_table(rows: list[Row]) -> None:
    titles = [
        "handler",
        "invocations",
        "peak in flight",
        "errors",
        "wall s",
        "p50 ms",
        "p99 ms",
        "memory MB",
        "CPU us/invocation",
    ]
    lines = [
        [
            row.handler,
            str(row.invocations),
            str(row.peak),
            str(row.errors),
            f"{row.wall_s:.2f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.memory_mb:.1f}",
            f"{row.cpu_us:.0f}",
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(titles, *lines, strict=True)]
    for line in [titles, ["-" * width for width in widths], *lines]:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


if __name__ == "__main__":
    raise SystemExit(main())
