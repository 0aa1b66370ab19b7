"""What outlives its invocation is told of, under the name of the one that started it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from .serving import Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
knows_tasks = pytest.mark.skipif(
    not hasattr(asyncio.Task, "get_context"), reason="Python 3.11 does not tell whose a task is"
)

SOURCE = """
    import asyncio, gc, threading, time, warnings
    from concurrent.futures import ThreadPoolExecutor
    kept = []
    executor = ThreadPoolExecutor()
    done = threading.Event()
    async def waits_for_ever():
        await asyncio.Event().wait()
    async def raises():
        raise ValueError("nobody waits for me")
    async def forgotten():
        pass
    def stays():
        done.wait(30)
    def breaks():
        raise ValueError("in a thread")
    {a}def handler(event, context):
        if event == "task":
            kept.append(asyncio.create_task(waits_for_ever(), name="left behind"))
        if event == "thread":
            threading.Thread(target=stays, name="left behind", daemon=True).start()
        if event == "executor":
            executor.submit(stays)
        if event == "raises":
            kept.append(asyncio.create_task(raises()))
        if event == "collect":
            kept.clear()
            gc.collect()
        if event == "breaks":
            threading.Thread(target=breaks, name="broken").start()
        if event == "forgets":
            forgotten()
        if event == "callback":
            asyncio.get_running_loop().call_soon(breaks)
        return context.aws_request_id
"""


def the_record(served: Served, text: str) -> dict[str, Any]:
    """The one record with `text`; more of them would be an error."""
    served.wait_for_output(text)
    (record,) = [record for record in served.records() if text in str(record)]
    return record


@knows_tasks
def test_a_task_that_is_left_running(tmp_path: Path) -> None:
    with serving(tmp_path, SOURCE.format(a="async "), LMI_FAST_STRAY_MS="100") as served:
        request_id = served.result("task")
        record = the_record(served, "the task left behind (waits_for_ever) goes on")
        assert record["requestId"] == request_id
        assert "in waits_for_ever" in record["message"]
        # It is told of once, whatever else happens, and not ended.
        served.result("thread")
        served.wait_for_output("the thread left behind goes on")
        assert served.output.count("the task left behind") == 1


@both
def test_a_thread_that_is_left_running(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, SOURCE.format(a=a), LMI_FAST_STRAY_MS="100") as served:
        served.result("executor")
        request_id = served.result("thread")
        record = the_record(served, "the thread left behind goes on")
        assert record["requestId"] == request_id
        assert "in stays" in record["message"]
        assert "ThreadPoolExecutor" not in served.output


@both
def test_what_a_thread_raises(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, SOURCE.format(a=a)) as served:
        request_id = served.result("breaks")
        record = the_record(served, "the thread broken ended with an error")
        assert record["requestId"] == request_id
        assert record["errorMessage"] == "in a thread"


@both
def test_a_coroutine_that_nobody_awaits(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, SOURCE.format(a=a)) as served:
        request_id = served.result("forgets")
        record = the_record(served, "coroutine 'forgotten' was never awaited")
        assert record["requestId"] == request_id


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_error_that_nobody_waits_for_is_its_owners(tmp_path: Path, loop: str) -> None:
    """It is found by the garbage collector, in the middle of another invocation."""
    with serving(tmp_path, SOURCE.format(a="async "), LMI_FAST_LOOP=loop) as served:
        owner = served.result("raises")
        finder = served.result("collect")
        record = the_record(served, "nobody waits for me")
        assert record.get("requestId", "") == (owner if sys.version_info >= (3, 12) else "")
        assert owner != finder


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_error_in_a_callback(tmp_path: Path, loop: str) -> None:
    with serving(tmp_path, SOURCE.format(a="async "), LMI_FAST_LOOP=loop) as served:
        request_id = served.result("callback")
        record = the_record(served, "in a thread")
        # uvloop does not tell in whose variables a callback runs.
        assert record.get("requestId", "") == (request_id if loop == "asyncio" else "")
