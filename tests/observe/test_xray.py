"""The AWS X-Ray SDK by itself: whose subsegment is whose, when invocations overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .overlapping import COUNT, XRayDaemon, both, overlapping, traced, trees

SOURCE = """
    from concurrent.futures import ThreadPoolExecutor
    from aws_xray_sdk.core import xray_recorder
    executor = ThreadPoolExecutor(16)

    @xray_recorder.capture("captured")
    def captured(n):
        xray_recorder.put_annotation("n", n)

    @xray_recorder.capture("work")
    def work(n):
        xray_recorder.put_annotation("n", n)
        captured(n)

    @xray_recorder.capture_async("task")
    async def task(n):
        xray_recorder.put_annotation("n", n)
        await asyncio.sleep(0)
        async with xray_recorder.in_subsegment_async("within the task") as subsegment:
            subsegment.put_metadata("n", n)
            await asyncio.sleep(0)
        captured(n)

    @(xray_recorder.capture_async if IS_ASYNC else xray_recorder.capture)("handler")
    ASYNC def handler(event, context):
        n = event["n"]
        xray_recorder.put_annotation("n", n)
        AWAIT meet()
        with xray_recorder.in_subsegment("one"):
            AWAIT meet()
            xray_recorder.put_annotation("n", n)
            with xray_recorder.in_subsegment("two"):
                AWAIT meet()
                xray_recorder.put_annotation("n", n)
                captured(n)
            if n % 4 == 0:
                raise ValueError(f"number {n}")
        if IS_ASYNC:
            AWAIT asyncio.gather(task(n), task(n), asyncio.to_thread(work, n))
        with xray_recorder.in_subsegment("threads"):
            thread = threading.Thread(target=work, args=(n,))
            thread.start()
            futures = [executor.submit(work, n) for _ in range(2)]
            if IS_ASYNC:
                AWAIT asyncio.gather(*map(asyncio.wrap_future, futures))
            thread.join()
            for future in futures:
                future.result()
        xray_recorder.put_annotation("ended", n)
"""


def expected(n: int, a: str) -> list[tuple[str, str]]:
    tree = [("handler", ""), ("one", "handler"), ("two", "one"), ("captured", "two")]
    if n % 4:
        tree += [("threads", "handler"), *[("work", "threads"), ("captured", "work")] * 3]
        if a:
            tree += [("task", "handler"), ("within the task", "task"), ("captured", "task")] * 2
            tree += [("work", "handler"), ("captured", "work")]
    return sorted(tree)


@both
def test_subsegments_have_the_parents_they_were_begun_in(tmp_path: Path, a: str) -> None:
    with XRayDaemon() as daemon, overlapping(tmp_path, SOURCE, a, variables=daemon.environ) as served:
        found = traced(served)
        assert [outcome.kind == "error" for outcome in found] == [n % 4 == 0 for n in range(COUNT)]
        subsegments = daemon.subsegments()
    assert trees(subsegments) == [expected(n, a) for n in range(COUNT)]
    for each in subsegments:
        n = int(each["trace_id"].rpartition("-")[2], 16) - 1
        told: dict[str, Any] = {**each.get("metadata", {}).get("default", {}), **each.get("annotations", {})}
        assert told.get("n", n if each["name"] == "threads" else None) == n
        assert told.get("ended", n) == n
        fails = n % 4 == 0 and each["name"] in ("handler", "one")
        assert each.get("fault", False) == fails
        if fails:
            # The outer ones refer to the exception of the inner one.
            assert each["name"] == "handler" or each["cause"]["exceptions"][0]["message"] == f"number {n}"


def test_without_the_adapter_tasks_have_the_subsegments_of_others(tmp_path: Path) -> None:
    """The test before can fail."""
    source = """
        from aws_xray_sdk.core import xray_recorder
        async def handler(event, context):
            await meet()
            xray_recorder.begin_subsegment("one")
            await meet()
            xray_recorder.put_annotation("n", event["n"])
            xray_recorder.end_subsegment()
    """
    with XRayDaemon() as daemon:
        with overlapping(tmp_path, source, "async ", variables=daemon.environ, LMI_FAST_ADAPT="off") as served:
            traced(served)
        assert trees(daemon.subsegments()) != [[("one", "")]] * COUNT
    with XRayDaemon() as daemon, overlapping(tmp_path, source, "async ", variables=daemon.environ) as served:
        traced(served)
        assert trees(daemon.subsegments()) == [[("one", "")]] * COUNT


@both
def test_a_trace_that_is_not_sampled_is_not_sent(tmp_path: Path, a: str) -> None:
    source = """
        from aws_xray_sdk.core import xray_recorder
        ASYNC def handler(event, context):
            with xray_recorder.in_subsegment("one"):
                AWAIT meet()
    """
    with XRayDaemon() as daemon, overlapping(tmp_path, source, a, variables=daemon.environ) as served:
        pending = [
            served.api.invoke(n, trace_id=f"Root=1-5759e988-{n + 1:024x};Parent={n + 1:016x};Sampled={n % 2}")
            for n in range(COUNT)
        ]
        assert all(each.result(20).kind == "response" for each in pending)
        subsegments = daemon.subsegments()
    assert sorted(int(each["parent_id"], 16) - 1 for each in subsegments) == list(range(1, COUNT, 2))
