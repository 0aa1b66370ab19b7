"""A handler that keeps the event loop to itself is told of, with its name and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .serving import Served, serving

SOURCE = """
    import asyncio, pathlib, re, time
    def blocks(seconds):
        time.sleep(seconds)
    def computes(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
    async def child(seconds):
        blocks(seconds)
    async def handler(event, context):
        kind, seconds = event
        if kind == "awaits":
            await asyncio.sleep(seconds)
        elif kind == "task":
            await asyncio.create_task(child(seconds))
        elif kind == "later":
            await asyncio.sleep(0.01)
            blocks(seconds)
        elif kind == "lock":
            # The engine of regular expressions keeps the interpreter lock.
            end = time.monotonic() + seconds
            size = 18
            while time.monotonic() < end:
                began = time.monotonic()
                re.match("(a+)+$", "a" * size + "b")
                if time.monotonic() - began < 0.3:
                    size += 1
        elif kind != "nothing":
            globals()[kind](seconds)
        return context.aws_request_id
"""
loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def told(served: Served) -> list[dict[str, Any]]:
    return [record for record in served.records() if "the event loop has been blocked" in str(record.get("message"))]


@loops
@pytest.mark.parametrize("kind", ["blocks", "computes", "later", "task"])
def test_the_culprit_is_named_once(tmp_path: Path, loop: str, kind: str) -> None:
    with serving(tmp_path, SOURCE, slots=4, LMI_FAST_LOOP=loop) as served:
        others = [served.api.invoke(["awaits", 0.3]) for _ in range(3)]
        request_id = served.result([kind, 0.7])
        for other in others:
            other.result(20)
        served.wait_for_output("event loop has been blocked")
        assert served.stop() == 0
    (record,) = told(served)
    function = "computes" if kind == "computes" else "blocks"
    assert f"in {function}\n" in record["message"]
    assert record["level"] == "WARNING"
    if kind != "task" or "get_context" in dir(__import__("asyncio").Task):
        assert record["requestId"] == request_id


def test_one_that_keeps_the_interpreter_lock_is_told_of_too(tmp_path: Path) -> None:
    with serving(tmp_path, SOURCE, slots=1) as served:
        served.result(["lock", 0.9])
        served.wait_for_output("event loop has been blocked")


def test_handlers_that_wait_are_not_told_of(tmp_path: Path) -> None:
    with serving(tmp_path, SOURCE, slots=8, LMI_FAST_BLOCKED_MS="200") as served:
        for call in [served.api.invoke([kind, 0.5]) for kind in ("awaits", "nothing") * 8]:
            call.result(20)
        assert not told(served)


def test_many_episodes_make_few_lines(tmp_path: Path) -> None:
    with serving(tmp_path, SOURCE, slots=1, LMI_FAST_BLOCKED_MS="20") as served:
        for _ in range(16):
            served.result(["blocks", 0.1])
        served.wait_for_output("times since this was last said")
        assert served.stop() == 0
    assert 2 <= len(told(served)) <= 4


@pytest.mark.parametrize(
    "variables", [{"LMI_FAST_BLOCKED_MS": "0"}, {"LMI_FAST_DRIVER": "async"}], ids=["off", "default mode"]
)
def test_where_nobody_watches(tmp_path: Path, variables: dict[str, str]) -> None:
    slots = None if "LMI_FAST_DRIVER" in variables else 1
    with serving(tmp_path, SOURCE, slots=slots, **variables) as served:
        served.result(["blocks", 0.4])
        assert served.stop() == 0
    assert "blocked" not in served.output
