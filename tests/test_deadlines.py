"""What becomes of an invocation that is not over at its deadline."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from .serving import TIMEOUT, Served, serving

both = pytest.mark.parametrize("kind", ["async", "plain"])
twins = pytest.mark.parametrize("twins", ["auto", "pure"])
SOON = 0.4  # seconds until the deadline of those that shall meet it
TIMED_OUT = "Function.TimedOut"

# Each kind waits for a file to appear, in a function of its own.
LATE = {
    "async": """
        import asyncio, pathlib
        async def stands_here():
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.005)
        async def handler(event, context):
            if event == "late":
                try:
                    await stands_here()
                finally:
                    print("left", flush=True)
            return event
    """,
    "plain": """
        import pathlib, time
        def stands_here():
            while not pathlib.Path("go").exists():
                time.sleep(0.005)
        def handler(event, context):
            if event == "late":
                stands_here()
                print("left", flush=True)
            return event
    """,
}


def posts(served: Served) -> list[str]:
    """The paths of all posts so far."""
    return [request.path for request in served.api.requests if request.method == "POST"]


@both
@twins
def test_it_is_reported_with_the_place_where_it_stood(tmp_path: Path, kind: str, twins: str) -> None:
    with serving(tmp_path, LATE[kind], slots=1, LMI_FAST_TWINS=twins) as served:
        began = time.monotonic()
        report, outcome = served.error("late", timeout_s=SOON)
        took = time.monotonic() - began
        assert SOON - 0.1 <= took < SOON + 0.1
        assert outcome.error_type == report["errorType"] == TIMED_OUT
        assert "50 ms before its deadline" in report["errorMessage"]
        assert any("stands_here" in frame for frame in report["stackTrace"])
        assert "in handler" in report["stackTrace"][0], "the stack is not the handler's"
        # The only slot serves again, although a thread cannot be stopped.
        assert served.result("next") == "next"
        logged = [record for record in served.records() if record.get("errorType") == TIMED_OUT]
        assert [record["requestId"] for record in logged] == [outcome.request_id]
        (tmp_path / "go").touch()
        served.wait_for_output("left")
        assert served.result("last") == "last"
        assert sum(outcome.request_id in path for path in posts(served)) == 1, "it was answered twice"


@both
def test_each_by_its_own_deadline(tmp_path: Path, kind: str) -> None:
    """Deadlines that come in any order: those and only those that are late are reported, in time."""
    waits = "await asyncio.sleep" if kind == "async" else "time.sleep"
    source = f"""
        import asyncio, time
        {"async " if kind == "async" else ""}def handler(event, context):
            {waits}(event)
            return event
    """
    with serving(tmp_path, source, slots=12) as served:
        # Seconds of sleep, and until the deadline.
        pairs = [(0.05, 9), (1.2, 0.9), (0.3, 0.9), (1.5, 0.6), (0.7, 5), (1.0, 0.3), (0.1, 0.3), (1.1, 30)]
        calls = [(sleep, deadline, served.api.invoke(sleep, timeout_s=deadline)) for sleep, deadline in pairs]
        for sleep, deadline, call in calls:
            outcome = call.result(TIMEOUT)
            if sleep < deadline:
                assert outcome.kind == "response", (sleep, deadline, outcome)
            else:
                assert outcome.error_type == TIMED_OUT, (sleep, deadline, outcome)


@both
def test_the_margin_can_be_chosen(tmp_path: Path, kind: str) -> None:
    with serving(tmp_path, LATE[kind], slots=1, LMI_FAST_DEADLINE_MARGIN_MS="700") as served:
        began = time.monotonic()
        report, _ = served.error("late", timeout_s=1.0)
        assert 0.2 < time.monotonic() - began < 0.6
        assert "700 ms before" in report["errorMessage"]
        (tmp_path / "go").touch()


def test_a_cancelled_handler_cleans_up(tmp_path: Path) -> None:
    with serving(tmp_path, LATE["async"], slots=1) as served:
        served.error("late", timeout_s=SOON)
        served.wait_for_output("left")  # its `finally`, without "go"


STUBBORN = """
    import asyncio, contextlib, pathlib
    async def handler(event, context):
        if event == "shielded":
            await asyncio.shield(asyncio.sleep(60))
        if event == "swallows":
            while not pathlib.Path("go").exists():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
        if event == "returns":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return "saved"
        if event == "raises":
            try:
                await asyncio.sleep(60)
            finally:
                raise ValueError("from the clean-up")
        if event == "exits":
            try:
                await asyncio.sleep(60)
            finally:
                raise SystemExit(3)
        return event
"""


def test_a_handler_that_will_not_be_cancelled_wedges_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, STUBBORN, slots=2) as served:
        for event in ("shielded", "swallows", "returns", "raises", "exits", "swallows"):
            _, outcome = served.error(event, timeout_s=SOON)
            assert outcome.error_type == TIMED_OUT
            assert [served.result(n) for n in range(3)] == [0, 1, 2]
        served.api.wait_for_polls(2)
        assert "from the clean-up" not in served.output
        (tmp_path / "go").touch()


@both
@twins
def test_slots_stay_empty_beyond_as_many_overdue_as_there_are_slots(tmp_path: Path, kind: str, twins: str) -> None:
    source = STUBBORN.replace("swallows", "late") if kind == "async" else LATE["plain"]
    with serving(tmp_path, source, slots=2, LMI_FAST_TWINS=twins) as served:
        for _ in range(2):
            served.error("late", timeout_s=SOON)
            served.api.wait_for_polls(2)
        served.error("late", timeout_s=SOON)
        assert served.result("still one") == "still one"
        served.api.wait_for_polls(1)
        assert served.api.stats.parked == 1
        (tmp_path / "go").touch()  # they end
        served.api.wait_for_polls(2)
        assert served.result("two again") == "two again"


@both
def test_a_process_without_a_slot_left_ends(tmp_path: Path, kind: str) -> None:
    source = STUBBORN.replace("swallows", "late") if kind == "async" else LATE["plain"]
    with Served(tmp_path, source, slots=1) as served:
        served.ready()
        for _ in range(2):
            _, outcome = served.error("late", timeout_s=SOON)
            assert outcome.error_type == TIMED_OUT
        served.wait_for_output("hold every slot")
        if served.processes == "0":
            assert served.exit_code() == 1


@both
def test_the_context_tells_the_deadline(tmp_path: Path, kind: str) -> None:
    source = f"""
        import asyncio, time
        {"async " if kind == "async" else ""}def handler(event, context):
            assert context.deadline == context.deadline
            left = context.deadline - time.monotonic()
            return [left, context.get_remaining_time_in_millis() / 1000]
    """
    with serving(tmp_path, source) as served:
        left, official = served.result(timeout_s=7.0)
        assert 6.5 < left <= 7.0
        assert abs(left - official) < 0.1


def test_a_timeout_of_asyncio_at_the_deadline(tmp_path: Path) -> None:
    source = """
        import asyncio
        async def handler(event, context):
            try:
                async with asyncio.timeout_at(context.deadline - 0.2):
                    await asyncio.sleep(60)
            except TimeoutError:
                return "in time"
    """
    with serving(tmp_path, source) as served:
        assert served.result(timeout_s=0.6) == "in time"


@both
def test_without_deadlines_nothing_is_armed(tmp_path: Path, kind: str) -> None:
    with serving(tmp_path, LATE[kind], slots=1, LMI_FAST_DEADLINE="off") as served:
        late = served.api.invoke("late", timeout_s=SOON)
        assert late.result(TIMEOUT).kind == "timeout"
        assert not served.records()
        (tmp_path / "go").touch()
        assert served.result("next") == "next"


@pytest.mark.parametrize("deadline", [None, "", "0", "-5", "9" * 400, "soon", str(10**19)])
def test_a_deadline_that_means_nothing(tmp_path: Path, deadline: Any) -> None:
    source = """
        import math
        async def handler(event, context):
            return [context.get_remaining_time_in_millis() >= 0, math.isnan(context.deadline)]
    """
    with serving(tmp_path, source, slots=1) as served:
        assert served.result(headers={"Lambda-Runtime-Deadline-Ms": deadline}) == [True, False]
