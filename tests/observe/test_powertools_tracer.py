"""Powertools' Tracer when invocations overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .overlapping import COUNT, XRayDaemon, both, overlapping, traced, trees

SOURCE = """
    import contextlib
    from concurrent.futures import ThreadPoolExecutor
    from aws_lambda_powertools import Tracer
    tracer = Tracer(service="payment")
    executor = ThreadPoolExecutor(16)

    @tracer.capture_method
    def work(n):
        tracer.put_annotation("n", n)
        return {"worked": n}

    @tracer.capture_method
    async def task(n):
        await asyncio.sleep(0)
        tracer.put_annotation("n", n)
        tracer.put_metadata("n", n)
        await asyncio.to_thread(work, n)
        return {"tasked": n}

    @tracer.capture_method
    def generated(n):
        for part in range(2):
            tracer.put_annotation("n", n)
            yield part

    @tracer.capture_method
    @contextlib.contextmanager
    def managed(n):
        tracer.put_annotation("n", n)
        yield n

    @tracer.capture_method
    ASYNC def fails(n):
        AWAIT meet()
        raise ValueError(f"number {n}")

    @tracer.capture_lambda_handler
    ASYNC def handler(event, context):
        n = event["n"]
        tracer.put_annotation("n", n)
        AWAIT meet()
        for _ in generated(n):
            AWAIT meet()
        with managed(n):
            AWAIT meet()
            work(n)
        if IS_ASYNC:
            AWAIT asyncio.gather(task(n), task(n))
        thread = threading.Thread(target=work, args=(n,))
        thread.start()
        executor.submit(work, n).result()
        thread.join()
        tracer.put_metadata("ended", n)
        AWAIT meet()
        if n % 4 == 0:
            AWAIT fails(n)
        AWAIT meet()
        return {"result": n}
"""


def expected(n: int, a: str) -> list[tuple[str, str]]:
    handler, work = "## handler", "## app.work"
    tree = [(handler, ""), ("## app.generated", handler), ("## app.managed", handler), (work, "## app.managed")]
    tree += [(work, handler)] * 2
    if a:
        tree += [("## app.task", handler), (work, "## app.task")] * 2
    if n % 4 == 0:
        tree += [("## app.fails", handler)]
    return sorted(tree)


@both
def test_subsegments_are_those_of_their_invocation(tmp_path: Path, a: str) -> None:
    with XRayDaemon() as daemon, overlapping(tmp_path, SOURCE, a, variables=daemon.environ) as served:
        found = traced(served)
        assert [outcome.kind == "error" for outcome in found] == [n % 4 == 0 for n in range(COUNT)]
        subsegments = daemon.subsegments()
    assert trees(subsegments) == [expected(n, a) for n in range(COUNT)]
    cold = 0
    for each in subsegments:
        n = int(each["trace_id"].rpartition("-")[2], 16) - 1
        annotations: dict[str, Any] = each.get("annotations", {})
        metadata: dict[str, Any] = each.get("metadata", {}).get("payment", {})
        assert annotations.get("n") == (None if each["name"] == "## app.fails" else n)
        assert each.get("fault", False) == (n % 4 == 0 and each["name"] in ("## handler", "## app.fails"))
        if each["name"] == "## handler":
            cold += annotations["ColdStart"]
            assert annotations["Service"] == "payment"
            assert metadata["ended"] == n
            assert metadata.get("handler response") == (None if n % 4 == 0 else {"result": n})
            assert ("handler error" in metadata) == (n % 4 == 0)
        elif each["name"] == "## app.task":
            assert metadata == {"n": n, "app.task response": {"tasked": n}}
        elif each["name"] == "## app.work":
            assert metadata == {"app.work response": {"worked": n}}
    assert cold == 1


HANDLER = """
    from aws_lambda_powertools import Tracer
    tracer = Tracer(service="payment", auto_patch=False)
    @tracer.capture_lambda_handler(capture_response=False)
    ASYNC def handler(event, context):
        AWAIT meet()
        tracer.put_annotation("n", event["n"])
        AWAIT meet()
        return {"secret": event["n"]}
"""


@both
def test_the_subsegment_of_a_handler_is_as_long_as_the_handler(tmp_path: Path, a: str) -> None:
    with XRayDaemon() as daemon, overlapping(tmp_path, HANDLER, a, variables=daemon.environ) as served:
        traced(served)
        subsegments = daemon.subsegments()
    assert trees(subsegments) == [[("## handler", "")]] * COUNT
    assert sorted(each["annotations"]["n"] for each in subsegments) == list(range(COUNT))
    assert all("metadata" not in each for each in subsegments)


def test_without_the_adapter_it_ends_before_an_async_handler_has_run(tmp_path: Path) -> None:
    """The tests before can fail."""
    source = HANDLER.replace('tracer.put_annotation("n", event["n"])', "pass")
    with XRayDaemon() as daemon:
        with overlapping(tmp_path, source, "async ", variables=daemon.environ, LMI_FAST_ADAPT="off") as served:
            traced(served)
        ends = [each["end_time"] - each["start_time"] for each in daemon.subsegments()]
    assert sum(end < 0.001 for end in ends) > COUNT * 3 // 4


@both
def test_where_tracing_is_off_nothing_is_sent(tmp_path: Path, a: str) -> None:
    with XRayDaemon() as daemon:
        variables = {**daemon.environ, "POWERTOOLS_TRACE_DISABLED": "true"}
        with overlapping(tmp_path, HANDLER, a, variables=variables) as served:
            assert all(outcome.kind == "response" for outcome in traced(served))
        assert daemon.subsegments() == []
