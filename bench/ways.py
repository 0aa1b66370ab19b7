"""The ways lmi_fast can be run: what each feature costs, and one process against several."""

from __future__ import annotations

import time

from bench import processes, rivals
from bench.results import Sample, Session, interleaved
from bench.rivals import Runtime
from bench.server import Bout

SLOTS = 16
_IDLE = 1.0  # seconds

_HANDLERS = {"async": "handler_async", "sync": "handler"}
HOOKED = "one process, with a hook"
_OFF = {
    "LMI_FAST_DEADLINE": "off",
    "LMI_FAST_BLOCKED_MS": "0",
    "LMI_FAST_STRAY_MS": "0",
    "LMI_FAST_EXTENSION": "off",
}
# What observing costs: of which only hooks are about single invocations, and records of the metrics about time.
_UNOBSERVED = {"LMI_FAST_PRINT": "raw", "LMI_FAST_INHERIT": "off", "LMI_FAST_ADAPT": "off"}
_WAYS: dict[str, dict[str, str]] = {
    "one process": {},
    "one process, without deadlines": {"LMI_FAST_DEADLINE": "off"},
    "one process, without the watchdog": {"LMI_FAST_BLOCKED_MS": "0"},
    "one process, without deadlines, watchdog, strays, extension": _OFF,
    "one process, without records of prints, inheriting, adapters": _UNOBSERVED,
    "one process, with metrics every second": {"LMI_FAST_METRICS_S": "1"},
    HOOKED: {},
    "one worker, supervised": {"LMI_FAST_PROCESSES": "1"},
    "two workers": {"LMI_FAST_PROCESSES": "2"},
    "two workers, preloaded": {"LMI_FAST_PROCESSES": "2", "LMI_FAST_PRELOAD": "on"},
}


def ways(kind: str) -> list[Runtime]:
    """Those of handlers that are "async" or "sync"; without what these do not have."""
    chosen = {name: env for name, env in _WAYS.items() if kind == "async" or "the watchdog" not in name}
    return [rivals.lmi_fast(f"{kind}, {name}", _HANDLERS[kind], **env) for name, env in chosen.items()]


def measure(session: Session) -> list[Sample]:
    """Saturated, idle, and at the start with boto3; rounds interleaved."""
    chosen = rivals.available([way for kind in _HANDLERS for way in ways(kind)], session.left_out)
    return interleaved(session, "ways", chosen, lambda runtime, _: _sample(session, runtime))


def _sample(session: Session, runtime: Runtime) -> Sample:
    with Bout(runtime, SLOTS, work="hooked" if runtime.name.endswith(HOOKED) else "plain") as bout:
        rate = bout.warm(session.seconds / 2)
        run = bout.run(max(4 * SLOTS, int(rate * session.seconds)))
        before = bout.cpu_ns()
        time.sleep(_IDLE)
        idle = bout.cpu_ns() - before
    with Bout(runtime, SLOTS, work="boto") as bout:
        all_polls = bout.all_polls
        bout.run(20 * SLOTS)
        pss = processes.pss_bytes(processes.tree(bout.process.pid))
    return {
        "slots": SLOTS,
        "runtime": runtime.name,
        "cpu_us": round(run.cpu_us_each, 3),
        "per_second": round(run.per_second, 1),
        "idle_cpu_ms_per_s": round(idle / 1e6 / _IDLE, 3),
        "all_polls_s": round(all_polls, 6),
        "pss_bytes": pss,
        "others": run.others,
    }
