"""CPU per invocation and throughput: saturated by a server that answers at once, and under AWS's emulator.

Rounds are interleaved (A B C A B C ...) so that what disturbs the machine disturbs all. Each run is a process of its
own.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench import processes, rivals
from bench.events import event
from bench.places import Unavailable
from bench.results import Progress, Sample, Session
from bench.rivals import Runtime, Work
from bench.server import BenchError, Bout
from tests import rie


class Case(NamedTuple):
    """One column of a table: who is measured with what."""

    runtimes: list[Runtime]
    slots: int
    event: str
    work: Work = "plain"
    coalesce: bool = False


FEW = [rivals.ASYNC, rivals.SYNC, rivals.RUST, rivals.AWSLAMBDARIC]
ALL = [
    rivals.FLOOR_PIPELINED,
    rivals.FLOOR,
    rivals.ASYNC,
    rivals.SYNC,
    rivals.PURE,
    rivals.PURE_SYNC,
    rivals.ASYNCIO,
    rivals.RUST,
    rivals.GO,
    rivals.NODE,
    rivals.NODE_ONE,
    rivals.AWSLAMBDARIC,
    rivals.AWSLAMBDARIC_IMAGE,
]
QUICK = [rivals.FLOOR_PIPELINED, rivals.FLOOR, *FEW]


def measure(session: Session, only_saturated: bool = False) -> list[Sample]:
    """Every sample of both halves."""
    samples = saturated(session)
    return samples if only_saturated else samples + emulated(session)


def cases(session: Session) -> list[Case]:
    """What is run against the server that answers at once."""
    if session.quick:
        return [Case(QUICK, 16, "200 B")]
    some = [rivals.ASYNC, rivals.SYNC, rivals.PURE, rivals.RUST, rivals.GO, rivals.NODE, rivals.AWSLAMBDARIC]
    joined = [rivals.FLOOR_PIPELINED, rivals.FLOOR, rivals.ASYNC, rivals.SYNC, rivals.RUST]
    return [
        Case(ALL, 16, "200 B"),
        Case(ALL, 64, "200 B"),
        Case(joined, 16, "200 B", coalesce=True),
        Case([rivals.FLOOR_PIPELINED, *some], 16, "100 KB"),
        Case(some, 16, "100 KB of records"),
        Case(some, 16, "API Gateway HTTP", "echo"),
        *(Case(FEW, 1, name, "echo") for name in ("6 MB", "6 MB of records")),
        *(Case([rivals.FLOOR, rivals.ASYNC, rivals.SYNC], slots, "200 B") for slots in (1, 4, 128, 256, 512)),
    ]


def saturated(session: Session) -> list[Sample]:
    """CPU of the runtime's process tree per invocation while the server keeps every slot busy."""
    chosen = [case._replace(runtimes=rivals.available(case.runtimes, session.left_out)) for case in _possible(session)]
    bar = Progress("load", session.rounds * sum(len(case.runtimes) for case in chosen))
    samples: list[Sample] = []
    for case in chosen:
        for round_number in range(session.rounds):
            for runtime in case.runtimes:
                bar.step(f"{runtime.name}, {case.slots} slots, {case.event}")
                try:
                    sample = _saturated(session, case, runtime)
                except BenchError as error:
                    session.failed.append(str(error))
                    continue
                samples.append({"kind": "saturated", "round": round_number, **sample})
    bar.end()
    return samples


def _possible(session: Session) -> Iterator[Case]:
    for case in cases(session):
        try:
            event(case.event)
        except Unavailable as error:
            session.left_out[case.event] = str(error)
        else:
            yield case


def _saturated(session: Session, case: Case, runtime: Runtime) -> Sample:
    with Bout(runtime, case.slots, event=case.event, work=case.work, coalesce=case.coalesce) as bout:
        resting = processes.peak_bytes(bout.pids)
        rate = bout.warm(session.seconds / 2)
        run = bout.run(max(4 * case.slots, int(rate * session.seconds)))
        return {
            "runtime": runtime.name,
            "slots": case.slots,
            "event": case.event,
            "work": case.work,
            "coalesce": case.coalesce,
            "cpu_us": round(run.cpu_us_each, 3),
            "per_second": round(run.per_second, 1),
            "count": run.invocations,
            "others": run.others,
            "response_bytes": run.response_bytes,
            "peak_growth_bytes": processes.peak_bytes(bout.pids) - resting,
        }


def emulated(session: Session) -> list[Sample]:
    """The same under AWS's emulator, with as many closed-loop clients as slots, and half as many."""
    reason = rie.why_not()
    if reason is not None:
        session.left_out["the emulator"] = reason
        return []
    wanted = FEW if session.quick else [*FEW, rivals.GO]
    chosen = rivals.available(wanted, session.left_out)
    settings = [(slots, clients) for slots in ((16,) if session.quick else (16, 64)) for clients in (slots, slots // 2)]
    bar = Progress("emulator", session.rounds * len(settings) * len(chosen))
    samples: list[Sample] = []
    for slots, clients in settings:
        for round_number in range(session.rounds):
            for runtime in chosen:
                bar.step(f"{runtime.name}, {slots} slots, {clients} clients")
                try:
                    sample = _emulated(session, runtime, slots, clients)
                except (rie.RieError, BenchError, OSError) as error:
                    session.failed.append(f"{runtime.name}, emulator, {slots} slots: {error}"[:2000])
                    continue
                samples.append({"kind": "emulated", "round": round_number, **sample})
    bar.end()
    return samples


def _emulated(session: Session, runtime: Runtime, slots: int, clients: int) -> Sample:
    added = runtime.additions("plain")
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in added.items())
    bootstrap = f"#!/bin/sh\n{exports}exec {shlex.join(runtime.command('plain'))}\n"
    payload = event("200 B")
    with rie.Rie({}, bootstrap=bootstrap, max_concurrency=slots, log_level="info", timeout_s=120) as emulator:
        _settle(emulator)
        emulator.invoke_many([payload] * (20 * slots), clients)
        seconds = 2 * session.seconds
        before = _emulated_cpu(emulator)
        started = time.monotonic()
        replies = emulator.invoke_many(_until(payload, started + seconds), clients)
        took = time.monotonic() - started
        cpu = _emulated_cpu(emulator) - before
    refused = sum(reply.error_type == "Runtime.Unavailable" for reply in replies)
    wrong = [reply for reply in replies if reply.error_type not in (None, "Runtime.Unavailable")]
    served = len(replies) - refused
    if wrong or not served or any(json.loads(r.body).get("body") != "ok" for r in replies[-100:] if not r.error_type):
        raise BenchError(f"{len(wrong)} wrong answers of {len(replies)}: {(wrong or replies)[-1]}")
    return {
        "runtime": runtime.name,
        "slots": slots,
        "clients": clients,
        "event": "200 B",
        "cpu_us": round(cpu / served / 1e3, 3),
        "per_second": round(served / took, 1),
        "served": served,
        "refused": refused,
    }


def _settle(emulator: rie.Rie) -> None:
    """Waits until no process of the runtime uses the CPU: all slots poll. (Polls are logged at debug level only.)"""
    before, still = -1, 0
    deadline = time.monotonic() + 60
    while still < 4:
        if time.monotonic() > deadline:
            raise BenchError("the runtime does not come to rest")
        time.sleep(0.05)
        now = _emulated_cpu(emulator)
        still = still + 1 if now - before < 1_000_000 else 0
        before = now


def _emulated_cpu(emulator: rie.Rie) -> int:
    return processes.cpu_ns(emulator.runtime_pids())


def _until(payload: bytes, deadline: float) -> Iterator[bytes]:
    while time.monotonic() < deadline:
        yield payload
