"""Hooks are told of each invocation, once, and harm nobody."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import lmi_fast

from ..serving import Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
HOOKS = """
import asyncio, contextvars, threading, time
import lmi_fast
told, seen = [], contextvars.ContextVar("seen", default=None)
class Tell(lmi_fast.Hooks):
    def cold_start(self, seconds):
        told.append(["cold_start", 0 < seconds < 20])
    def invocation_start(self, context, event):
        seen.set(context.aws_request_id)
        told.append(["start", context.aws_request_id, event])
    def invocation_end(self, context, result, seconds):
        told.append(["end", context.aws_request_id, None if result is told else result, seconds])
    def invocation_error(self, context, error, seconds):
        told.append(["error", context.aws_request_id, type(error).__name__, seconds])
    def shutdown(self):
        print("shutdown", lmi_fast.current(None), len(told))
class Bad(lmi_fast.Hooks):
    def invocation_start(self, context, event): raise ValueError("start")
    def invocation_end(self, context, result, seconds): raise ValueError("end")
    def shutdown(self): raise ValueError("shutdown")
lmi_fast.add_hooks(Bad())
"""


@both
def test_each_invocation_is_told_of_once(tmp_path: Path, a: str) -> None:
    wait = "await asyncio.sleep(0.02)" if a else "time.sleep(0.02)"
    source = f"""{HOOKS}
@lmi_fast.lifespan
def lifespan():
    lmi_fast.add_hooks(Tell())
    yield
{a}def handler(event, context):
    if event == "told":
        return told
    assert seen.get() == context.aws_request_id
    {wait}
    if event == "raise":
        raise KeyError("x")
    if event == "bad result":
        return object()
    return event
"""
    with serving(tmp_path, source, slots=20) as served:
        good = [served.api.invoke({"n": n}) for n in range(20)]
        for n, pending in enumerate(good):
            assert json.loads(pending.result(20).body) == {"n": n}
        raised = served.api.invoke("raise")
        unencodable = served.api.invoke("bad result")
        undecodable = served.api.invoke(b"{")
        for pending in (raised, unencodable, undecodable):
            assert pending.result(20).kind == "error"
        told = served.result("told")
    assert told[0] == ["cold_start", True]
    for pending in good:
        event = json.loads(pending.event)
        start, end = [entry for entry in told if entry[1] == pending.request_id]
        assert start == ["start", pending.request_id, event]
        assert end[:3] == ["end", pending.request_id, event]
        assert 0.02 <= end[3] < 5
    for pending, event, error in (
        (raised, "raise", "KeyError"),
        (unencodable, "bad result", "FaultError"),
        (undecodable, None, "FaultError"),
    ):
        start, end = [entry for entry in told if entry[1] == pending.request_id]
        assert start == ["start", pending.request_id, event]
        assert end[:3] == ["error", pending.request_id, error]
    messages = [str(record.get("message")) for record in served.records()]
    assert sum("the hook Bad.invocation_start() failed" in message for message in messages) == 24
    assert any(message.startswith("shutdown None") for message in messages)


@both
def test_a_deadline_is_an_error_and_told_once(tmp_path: Path, a: str) -> None:
    wait = "await go.wait()" if a else "go.wait()"
    kind = "asyncio" if a else "threading"
    source = f"""{HOOKS}
lmi_fast.add_hooks(Tell())
go = {kind}.Event()
{a}def handler(event, context):
    if event:
        go.set()
        return told
    try:
        {wait}
    finally:
        print("over")
"""
    with serving(tmp_path, source, slots=3) as served:
        late = served.api.invoke(None, deadline_ms=round(time.time() * 1000) + 200)
        assert late.result(20).kind == "error"
        served.result(1)
        served.wait_for_output("over")
        told = [entry for entry in served.result(1) if entry[1] == late.request_id]
    assert [entry[0] for entry in told] == ["start", "error"]
    assert told[1][2] == "FaultError"


def test_what_is_no_hooks_and_too_late() -> None:
    with pytest.raises(TypeError, match=r"takes an instance of lmi_fast\.Hooks, not <class"):
        lmi_fast.add_hooks(lmi_fast.Hooks)  # type: ignore[arg-type]


def test_hooks_within_an_invocation_come_too_late(tmp_path: Path) -> None:
    source = "import lmi_fast\ndef handler(event, context):\n    lmi_fast.add_hooks(lmi_fast.Hooks())\n"
    with serving(tmp_path, source, slots=2) as served:
        report, _ = served.error()
    assert report["errorType"] == "RuntimeError"
    assert "hooks are added at import, or in the lifespan" in report["errorMessage"]


def test_default_mode_has_them_too(tmp_path: Path) -> None:
    source = f"{HOOKS}\nlmi_fast.add_hooks(Tell())\ndef handler(event, context):\n    return told\n"
    with Served(tmp_path, source, slots=None) as served:
        served.ready()
        first = served.result(1)
        second = served.result(2)
        assert served.stop() == 0
    assert [entry[0] for entry in first] == ["cold_start", "start"]
    assert [entry[0] for entry in second] == ["cold_start", "start", "end", "start"]
    assert "shutdown None 5" in served.output
