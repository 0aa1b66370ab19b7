"""The three kinds of gates: what is measured for each, and how its subjects are slowed down on purpose."""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass, field

from bench import rivals
from bench.gates import callgrind, cpu
from bench.gates.gate import (
    COUNTED,
    WIDE,
    Gate,
    Round,
    build_key,
    counting_gates,
    minor,
    promise,
    read_counts,
    slowed,
    updated,
    write_counts,
)
from bench.places import Unavailable
from bench.results import Progress
from bench.rivals import Runtime

KINDS = ("instructions", "CPU", "start")
SUBJECTS = {"async": rivals.ASYNC, "sync": rivals.SYNC, "pure": rivals.PURE}


class CannotGate(RuntimeError):
    """CI lacks what a gate needs: an error there, because nobody reads what was left out."""


@dataclass
class Taken:
    """What was measured, and the gates it is for."""

    rounds: list[Round] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Gates that cannot be had here, and why."""


def take(kind: str, slow: tuple[str, ...] = (), share: float | None = None) -> Taken:
    """Measures for the gates of a kind. The subjects in `slow` are also measured slowed down, by `share` of what they
    take, or by what their gates promise to see. Raises CannotGate.
    """
    if kind == "instructions":
        return _instructions(tuple(name for name in slow if name in COUNTED), share)
    if kind == "start":
        subjects = {name: SUBJECTS[name] for name in ("async", "sync")}
        if "start" in slow:
            [once] = cpu.starts(subjects, rounds=1)
            spin_us = cpu.spin_us()
            for name in tuple(subjects):
                rounds = round((share or promise(kind, name)) * once[name] * 1000 / spin_us)
                subjects[slowed(name)] = slower(SUBJECTS[name], start=rounds)
        return Taken(cpu.starts(subjects), [gate for gate in WIDE if gate.kind == kind])
    return _invocations(tuple(name for name in slow if name in SUBJECTS), share)


def slower(runtime: Runtime, *, each: int = 0, start: int = 0) -> Runtime:
    """The same runtime with that many rounds of the busy loop in each invocation, or before it starts."""
    runtime.argv()  # raises Unavailable for what is not built
    command = [sys.executable, "-m", "bench.gates.slowed", str(each), str(start)]
    return dataclasses.replace(runtime, name=slowed(runtime.name), argv=lambda: command)


def update_counts() -> Round:
    """Counts, and writes it into counts.json as what is right from now on. Raises Unavailable without valgrind."""
    callgrind.need()
    measured = _count((), None)
    write_counts(updated(read_counts(), measured, minor(), build_key()))
    return measured


def _instructions(slow: tuple[str, ...], share: float | None) -> Taken:
    try:
        callgrind.need()
    except Unavailable as error:
        return Taken(left_out=_allowed({"instructions": str(error)}))
    measured = _count(slow, share)
    gates, left_out = counting_gates(read_counts(), measured, minor(), build_key())
    if not gates:
        _allowed(left_out)
    return Taken([measured], gates, left_out)


def _count(slow: tuple[str, ...], share: float | None) -> Round:
    bar = Progress("callgrind", 1 + len(SUBJECTS) + 2 * len(slow) + bool(slow))
    bar.step("reference")
    measured = {"reference": callgrind.reference()}
    for name, runtime in SUBJECTS.items():
        bar.step(name)
        measured[name] = callgrind.per_invocation(runtime)
    if slow:
        bar.step("busy loop")
        spin = callgrind.spin_round()
        for name in slow:
            bar.step(f"{name}, the wrapper")
            # The wrapper itself costs a twentieth of an invocation, and is part of what is added.
            least = callgrind.per_invocation(slower(SUBJECTS[name], each=1)) - measured[name]
            added = (share or promise("instructions", name)) * measured[name]
            bar.step(slowed(name))
            rounds = max(1, round((added - least) / spin))
            measured[slowed(name)] = callgrind.per_invocation(slower(SUBJECTS[name], each=rounds))
    bar.end()
    return measured


def _invocations(slow: tuple[str, ...], share: float | None) -> Taken:
    left_out: dict[str, str] = {}
    runtimes = dict(SUBJECTS)
    if sys.version_info < (3, 13):
        # There it takes a third of what it takes on 3.13, and nobody meets it there.
        left_out["CPU: against awslambdaric"] = "Managed Instances have no Python below 3.13"
    elif rivals.available([rivals.AWSLAMBDARIC], left_out):
        runtimes["awslambdaric"] = rivals.AWSLAMBDARIC
    else:
        _allowed(left_out)
    if slow:
        [once] = cpu.invocations({name: SUBJECTS[name] for name in slow}, rounds=1)
        spin_us = cpu.spin_us()
        for name in slow:
            rounds = round((share or promise("CPU", name)) * once[name] / spin_us)
            runtimes[slowed(name)] = slower(SUBJECTS[name], each=rounds)
    gates = [gate for gate in WIDE if gate.kind == "CPU" and gate.below in runtimes]
    return Taken(cpu.invocations(runtimes), gates, left_out)


def _allowed(left_out: dict[str, str]) -> dict[str, str]:
    if left_out and os.environ.get("CI", "").lower() == "true":
        raise CannotGate("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
    return left_out
