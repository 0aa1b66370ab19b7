"""CPU time, as ratios within rounds that take a second or two: what disturbs the machine disturbs both sides alike."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from bench import coldstart
from bench.gates.gate import Round
from bench.gates.spin import spin
from bench.results import Progress
from bench.rivals import Runtime
from bench.server import Bout

SLOTS = 16
_SECONDS = 0.2  # of one run
# What each driver cannot do without.
BARE = {
    "import asyncio, uvloop, msgspec": "python, import asyncio, uvloop, msgspec",
    "import msgspec": "python, import msgspec",
}


def invocations(runtimes: dict[str, Runtime], rounds: int = 9) -> list[Round]:
    """Microseconds of CPU per invocation, by name: all are started at once, and then take turns."""
    bar = Progress("CPU", len(runtimes) * (rounds + 1))
    with contextlib.ExitStack() as stack:
        started: dict[str, tuple[Bout, int]] = {}
        for name, runtime in runtimes.items():
            bar.step(f"{name}: start")
            bout = stack.enter_context(Bout(runtime, SLOTS))
            started[name] = bout, max(100, int(_SECONDS * bout.warm(_SECONDS)))
        taken: list[Round] = []
        for number in range(rounds):
            taken.append({})
            for name, (bout, count) in started.items():
                bar.step(f"{name}: round {number + 1}")
                taken[-1][name] = bout.run(count).cpu_us_each
    bar.end()
    return taken


def starts(runtimes: dict[str, Runtime], rounds: int = 7) -> list[Round]:
    """Milliseconds of CPU from exec until the first poll is parked, by name; and of the interpreter alone, by BARE."""
    takes: dict[str, Callable[[], float]] = {
        name: lambda runtime=runtime: coldstart.start(runtime, 1, "plain")["cpu_s"]  # type: ignore[misc]
        for name, runtime in runtimes.items()
    }
    for short, name in BARE.items():
        takes[short] = lambda name=name: coldstart.bare(name)["cpu_s"]  # type: ignore[misc]
    bar = Progress("start", len(takes) * (rounds + 1))
    taken: list[Round] = []
    for number in range(rounds + 1):
        taken.append({})
        for name, take in takes.items():
            bar.step(f"{name}: round {number}")
            taken[-1][name] = 1000 * take()
    bar.end()
    return taken[1:]  # the first one writes bytecode, and reads what is not in memory yet


def spin_us() -> float:
    """Microseconds of CPU of one round of the busy loop: the least of a few tries."""
    tries = []
    for _ in range(5):
        started = time.thread_time_ns()
        spin(200_000)
        tries.append(time.thread_time_ns() - started)
    return min(tries) / 1e3 / 200_000
