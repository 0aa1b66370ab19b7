"""The runtime's own numbers are right."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import lmi_fast
from lmi_fast import Stats
from lmi_fast.observe import emf

from ..serving import Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
SLOTS = 4
HELD = 0.1  # seconds


def source(a: str) -> str:
    return f"""
import asyncio, os, time
import lmi_fast
class Keep(lmi_fast.Hooks):
    last = None
    def stats(self, stats):
        Keep.last = stats._asdict()
lmi_fast.add_hooks(Keep())
{a}def handler(event, context):
    if event.get("last"):
        return Keep.last
    if event.get("hold"):
        {"await asyncio.sleep" if a else "time.sleep"}(event["hold"])
    if event.get("block"):
        time.sleep(event["block"])
    if event.get("raise"):
        raise ValueError
    return lmi_fast.stats()._asdict() | {{"pid": os.getpid()}}
"""


def settled(served: Served) -> dict[str, Any]:
    """The numbers when every other slot polls."""
    served.ready()
    stats: dict[str, Any] = served.result({})
    return stats


@both
def test_they_count_what_happens(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=SLOTS) as served:
        first = settled(served)
        assert (first["slots"], first["in_flight"], first["parked"]) == (SLOTS, 1, SLOTS - 1)
        assert (first["invocations"], first["answered"], first["errors"], first["saturated"]) == (1, 0, 0, 0.0)
        assert (first["bytes_received"], first["bytes_sent"]) == (len("{}"), 0)

        # As many as there are slots: for so long no poll is parked.
        served.ready()
        events = [{"hold": HELD, "raise": n == 0} for n in range(SLOTS)]
        held = [served.api.invoke(event) for event in events]
        bodies = [pending.result(20).body for pending in held]
        after = settled(served)
        assert (after["in_flight"], after["parked"]) == (1, SLOTS - 1)
        assert after["invocations"] == SLOTS + 2
        assert after["answered"] == SLOTS + 1
        assert (after["errors"], after["timed_out"], after["overdue"]) == (1, 0, 0)
        assert after["bytes_received"] == 2 * len("{}") + sum(len(pending.event) for pending in held)
        assert after["bytes_sent"] > sum(map(len, bodies))
        assert 0.5 * HELD < after["saturated"] < after["uptime"]
        assert after["refused_risk"] == pytest.approx(after["saturated"] / after["uptime"], rel=0.2)
        assert after["handler_max"] >= HELD
        assert HELD * SLOTS / (SLOTS + 1) <= after["handler_mean"] <= after["handler_max"]
        assert 0 < after["repark_mean"] <= after["repark_max"] < 5

        # Late ones are answered, and go on.
        deadline = round(time.time() * 1000) + 200
        late = served.api.invoke({"hold": 1.5}, deadline_ms=deadline)
        assert late.result(20).kind == "error"
        after = settled(served)
        assert (after["timed_out"], after["overdue"], after["errors"]) == (1, 0 if a else 1, 2)  # a task is cancelled
        assert after["in_flight"] == 1


def test_the_lag_of_the_loop(tmp_path: Path) -> None:
    with serving(tmp_path, source("async "), slots=2, LMI_FAST_METRICS_S="1", LMI_FAST_BLOCKED_MS="0") as served:
        served.wait_for_output('"_aws"')
        assert served.result({})["loop_lag_max"] < 0.5
        served.result({"block": 1.3})
        served.wait_for_output('"_aws"', 2)
        assert served.result({})["loop_lag_max"] > 0.2


@both
def test_they_become_metrics_and_the_hooks_are_told(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=SLOTS, LMI_FAST_METRICS_S="1", AWS_LAMBDA_FUNCTION_NAME="orders") as served:
        for _ in range(5):
            served.result({})
        served.wait_for_output('"_aws"')
        served.result({"hold": 0.05})
        served.error({"raise": True})
        served.wait_for_output('"_aws"', 2)
        served.wait_for_output('"_aws"', 3)
        last = served.result({"last": True})
        records = [record for record in served.records() if "_aws" in record]
    first, second, third = records[:3]
    [directive] = first["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "lmi_fast"
    assert directive["Dimensions"] == [["FunctionName"]]
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == emf.UNITS
    assert all(isinstance(first[name], int | float) for name in emf.UNITS)
    assert first["FunctionName"] == "orders"
    assert abs(first["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    # Each tells of its interval.
    assert first["Invocations"] + second["Invocations"] + third["Invocations"] == 7
    assert first["Errors"] + second["Errors"] + third["Errors"] == 1
    assert last["slots"] == SLOTS
    assert Stats(**last).invocations >= 7


def test_worker_restarts(tmp_path: Path) -> None:
    with serving(tmp_path, source(""), slots=SLOTS, LMI_FAST_PROCESSES="2") as served:
        victim = served.result({})["pid"]
        for expected in (1, 2):
            os.kill(victim, signal.SIGKILL)
            served.wait_for_output("died and is started again", expected)
            served.ready()
            stats = [json.loads(pending.result(20).body) for pending in [served.api.invoke({"hold": 0.05})] * 1]
            while stats[-1]["pid"] == victim:
                stats.append(served.result({}))
            assert stats[-1]["worker_restarts"] == expected
            victim = stats[-1]["pid"]


def test_before_anything_is_served() -> None:
    with pytest.raises(RuntimeError, match="before this process served anything"):
        lmi_fast.stats()


def test_every_number_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    for name in Stats._fields:
        assert f"`{name}`" in text, name
    for name, unit in emf.UNITS.items():
        assert f"| `{name}` | {unit} |" in text, name
