"""Memory of the runtime's process tree against the number of slots: PSS, so that what processes share counts once."""

from __future__ import annotations

from bench import processes, rivals
from bench.results import Progress, Sample, Session
from bench.rivals import Runtime, Work
from bench.server import BenchError, Bout

_OURS = (1, 4, 16, 64, 128, 256, 512)
_THEIRS = (1, 4, 16, 64)


def measure(session: Session) -> list[Sample]:
    """PSS at rest, when every slot has served several invocations."""
    chosen: list[tuple[Runtime, int, Work]] = []
    for runtime in rivals.available([rivals.ASYNC, rivals.SYNC], session.left_out):
        chosen += [(runtime, slots, "boto") for slots in ((16, 64) if session.quick else _OURS)]
    for runtime in rivals.available([rivals.AWSLAMBDARIC], session.left_out):
        chosen += [(runtime, slots, "boto") for slots in ((16,) if session.quick else _THEIRS)]
    if not session.quick:
        for runtime in rivals.available([rivals.RUST, rivals.GO, rivals.NODE], session.left_out):
            chosen += [(runtime, slots, "plain") for slots in _THEIRS]
        chosen += [(rivals.ASYNC, slots, "plain") for slots in _OURS]
    # Memory hardly varies from run to run; two rounds show that it does not.
    rounds = min(session.rounds, 2)
    bar = Progress("memory", rounds * len(chosen))
    samples: list[Sample] = []
    for round_number in range(rounds):
        for runtime, slots, work in chosen:
            bar.step(f"{runtime.name}, {slots} slots, {work}")
            try:
                with Bout(runtime, slots, work=work) as bout:
                    bout.run(20 * slots)
                    pids = processes.tree(bout.process.pid)
                    pss = processes.pss_bytes(pids)
            except BenchError as error:
                session.failed.append(str(error))
                continue
            sample = {"runtime": runtime.name, "slots": slots, "work": work, "round": round_number}
            samples.append({"kind": "memory", **sample, "pss_bytes": pss, "processes": len(pids)})
    bar.end()
    return samples
