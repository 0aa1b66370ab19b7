"""A web application: within lmi_fast, behind a server on localhost, and in Mangum on AWS's runtime.

The application is one JSON endpoint of FastAPI, the event AWS's sample of an API Gateway HTTP API.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path

from bench import processes, rivals
from bench.results import Sample, Session, interleaved
from bench.rivals import Runtime, build_rust
from bench.server import Bout

SLOTS = 32
EVENT = "API Gateway HTTP"


@functools.cache
def _hop() -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("hop.py")), str(build_rust("hop", "hop"))]


OURS = replace(rivals.lmi_fast("async, FastAPI", "app"), works=("web",))
# What is left when nothing is translated, and no target: FastAPI gets a request that is ready, its response is dropped.
LEAST = replace(rivals.lmi_fast("async, FastAPI, nothing translated", "untranslated"), works=("web",))
# Its handler is the application that uvicorn serves; the adapter has no use for it.
HOP = Runtime("adapter and uvicorn, FastAPI", _hop, "app", works=("web",))
MANGUM = replace(rivals.awslambdaric("awslambdaric, Mangum, FastAPI", "mangum_handler"), works=("web",))
ALL = [OURS, LEAST, HOP, MANGUM]


def measure(session: Session) -> list[Sample]:
    """Saturated; rounds interleaved. Of the hop also its two halves, the adapter and the server."""
    chosen = rivals.available(ALL, session.left_out)
    return interleaved(session, "web", chosen, lambda runtime, _: _sample(session, runtime))


def _sample(session: Session, runtime: Runtime) -> Sample:
    with Bout(runtime, SLOTS, event=EVENT, work="web") as bout:
        rate = bout.warm(session.seconds / 2)
        first = bout.process.pid
        before = processes.cpu_ns([first])
        count = max(4 * SLOTS, int(rate * session.seconds))
        run = bout.run(count)
        return {
            "slots": SLOTS,
            "runtime": runtime.name,
            "cpu_us": round(run.cpu_us_each, 3),
            "first_process_us": round((processes.cpu_ns([first]) - before) / 1e3 / count, 3),
            "per_second": round(run.per_second, 1),
            "pss_bytes": processes.pss_bytes(processes.tree(first)),
            "others": run.others,
        }
