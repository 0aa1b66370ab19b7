"""Handlers that overlap as much as they can: helpers for tests of what they share."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lmi_fast.emulator import Outcome

from ..serving import TIMEOUT, Served, serving

# Every one of these is in flight at the same time, and that four times over.
SLOTS = 50
COUNT = 200

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])

# meet() returns when as many invocations as there are slots have called it; all of them go on at once, in no order.
PRELUDE = """\
import asyncio, functools, os, random, threading, time
import lmi_fast
if IS_ASYNC:
    barrier = asyncio.Barrier(SLOTS)
else:
    barrier = threading.Barrier(SLOTS, timeout=TIMEOUT)
ASYNC def meet():
    AWAIT barrier.wait()
    for _ in range(random.randrange(3)):
        AWAIT (asyncio if IS_ASYNC else time).sleep(0)
"""


def program(source: str, a: str, slots: int = SLOTS) -> str:
    """A handler's module: `ASYNC def` is an async or a plain function, `AWAIT f()` a call of one."""
    text = PRELUDE.replace("SLOTS", str(slots)).replace("TIMEOUT", str(TIMEOUT)) + textwrap.dedent(source)
    return text.replace("IS_ASYNC", str(bool(a))).replace("ASYNC ", a).replace("AWAIT ", "await " if a else "")


@contextlib.contextmanager
def overlapping(folder: Path, source: str, a: str, slots: int = SLOTS, **environ: Any) -> Iterator[Served]:
    """Serves a `program`."""
    with serving(folder, program(source, a, slots), slots=slots, **environ) as served:
        yield served
        assert "cannot adapt" not in served.output


def outcomes(served: Served, events: Sequence[Any], **more: Any) -> list[Outcome]:
    """What came of invocations that are there all at once."""
    pending = [served.api.invoke(event, **more) for event in events]
    return [each.result(TIMEOUT) for each in pending]


def results(served: Served, events: Sequence[Any], **more: Any) -> list[Any]:
    """What they returned; fails the test when one has failed."""
    found = outcomes(served, events, **more)
    failed = [outcome for outcome in found if outcome.kind != "response"]
    assert not failed, (failed[0], served.output[-5000:])
    return [json.loads(outcome.body) for outcome in found]


def numbers(count: int = COUNT) -> list[dict[str, int]]:
    """Events that differ."""
    return [{"n": n} for n in range(count)]


# A process of its own, or its socket would overflow while the test is busy; datagrams come in order.
DAEMON = """
import socket, sys
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
receiver.bind(("127.0.0.1", 0))
print(receiver.getsockname()[1], flush=True)
received = []
while (datagram := receiver.recv(1 << 16)) != b"end":
    received.append(datagram.partition(b"\\n")[2])
sys.stdout.buffer.write(b"\\n".join(received))
"""


class XRayDaemon:
    """Takes what the X-Ray SDK sends; `environ` is for the process that sends it."""

    def __enter__(self) -> XRayDaemon:
        self._process = subprocess.Popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._address = ("127.0.0.1", int(self._process.stdout.readline()))
        # The SDK takes its being in Lambda from the task root.
        self.environ = {"AWS_XRAY_DAEMON_ADDRESS": "{}:{}".format(*self._address), "LAMBDA_TASK_ROOT": "."}
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def subsegments(self) -> list[dict[str, Any]]:
        """All there have been, each with its `trace_id` and `parent_id`; the last thing to ask for."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", self._address)
        out, _ = self._process.communicate(timeout=TIMEOUT)
        found = [json.loads(line) for line in out.splitlines()]
        for each in found:  # what is appended is looked at too
            for inner in each.get("subsegments", []):
                found.append({**inner, "trace_id": each["trace_id"], "parent_id": each["id"]})
        return found


def traced(served: Served, count: int = COUNT) -> list[Outcome]:
    """What came of invocations `{"n": n}`, each with a trace of its own: see `trace_of`."""
    pending = [
        served.api.invoke({"n": n}, trace_id="Root={};Parent={};Sampled=1".format(*trace_of(n))) for n in range(count)
    ]
    return [each.result(TIMEOUT) for each in pending]


def trace_of(n: int) -> tuple[str, str]:
    """The id of a trace, and of the segment that Lambda makes."""
    return f"1-5759e988-{n + 1:024x}", f"{n + 1:016x}"


def trees(subsegments: list[dict[str, Any]], count: int = COUNT) -> list[list[tuple[str, str]]]:
    """For each invocation the names of its subsegments, each with that of its parent ("" for Lambda's segment)."""
    numbers_of = {trace_of(n): n for n in range(count)}
    by_trace = {trace_of(n)[0]: n for n in range(count)}
    names = {(each["trace_id"], each["id"]): each["name"] for each in subsegments}
    found: list[list[tuple[str, str]]] = [[] for _ in range(count)]
    for each in subsegments:
        assert not each.get("in_progress"), each
        key = (each["trace_id"], each["parent_id"])
        assert key in names or key in numbers_of, each
        found[by_trace[each["trace_id"]]].append((each["name"], names.get(key, "")))
    return [sorted(tree) for tree in found]
