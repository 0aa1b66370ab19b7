"""What is printed becomes records, each with the request id of whoever printed it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ..serving import serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])

MEET = """
import asyncio, json, sys, threading
import lmi_fast
N = 50
async_barrier, barrier = asyncio.Barrier(N), threading.Barrier(N)
"""


def lines_of(records: list[dict[str, Any]], request_id: str) -> list[str]:
    return [record["message"] for record in records if record.get("requestId") == request_id]


@both
def test_each_line_is_a_record_of_its_invocation(tmp_path: Path, a: str) -> None:
    """Fifty at a time print lines in pieces, in turns."""
    wait = "await async_barrier.wait()" if a else "barrier.wait()"
    source = f"""{MEET}
{a}def handler(event, context):
    n = event["n"]
    for turn in range(4):
        {wait}
        print(f"<{{n}}", end="")
        {wait}
        sys.stdout.write(f" turn {{turn}}")
        {wait}
        print(">")
    print("two", n, "\\nlines", n)
    print(f"error {{n}}", file=sys.stderr)
    print(f"left {{n}}", end="", flush=True)
    return context.aws_request_id
"""
    with serving(tmp_path, source, slots=50) as served:
        pendings = [served.api.invoke({"n": n}) for n in range(50)]
        ids = [json.loads(pending.result(20).body) for pending in pendings]
    records = [json.loads(line) for line in served.output.splitlines()]  # every line is one
    for n, request_id in enumerate(ids):
        expected = [f"<{n} turn {turn}>" for turn in range(4)] + [f"two {n} ", f"lines {n}", f"error {n}", f"left {n}"]
        assert lines_of(records, request_id) == expected
    assert {record["logger"]: record["level"] for record in records} == {"stdout": "INFO", "stderr": "WARNING"}
    assert len({record["timestamp"] for record in records if record["timestamp"].endswith("Z")}) > 1


@both
def test_records_that_are_printed_stay_what_they_are(tmp_path: Path, a: str) -> None:
    """Powertools, structlog and the embedded metric format print JSON: it gets the request id it has not."""
    source = f"""
import json, sys
{a}def handler(event, context):
    print("got", {{"a": 1}}, {{}}, sep=" ")
    print("begun ", end="")
    print('{{"_aws": {{"Timestamp": 1}}, "big": 12345678901234567890.10, "twice": 1, "twice": 2}}')
    print(' {{ "requestId": "mine" }} ')
    print("{{}}")
    print("{{'not': 'json'}}")
    print("[1, 2]")
    print(json.dumps({{"long": "x" * 70_000}}))
    sys.stdout.buffer.write(b'{{"bytes": 1}}\\n')
    return context.aws_request_id
"""
    with serving(tmp_path, source, slots=2) as served:
        request_id = served.result()
    [got, begun, first, mine, empty, no_json, array, long, binary] = served.output.splitlines()
    assert json.loads(got)["message"] == "got {'a': 1} {}"
    assert json.loads(begun)["message"] == "begun "
    own = f'"requestId":"{request_id}"}}'
    assert first == '{"_aws": {"Timestamp": 1}, "big": 12345678901234567890.10, "twice": 1, "twice": 2,' + own
    assert mine == '{ "requestId": "mine" }'
    assert empty == "{" + own
    assert json.loads(no_json)["message"] == "{'not': 'json'}"
    assert json.loads(array)["message"] == "[1, 2]"
    assert json.loads(long)["requestId"] == request_id
    assert len(long) < 64_000
    assert binary == '{"bytes": 1,' + own


def test_a_line_of_a_task_that_goes_on_after_its_handler(tmp_path: Path) -> None:
    source = """
import asyncio
tasks, go = set(), asyncio.Event()
async def rest():
    print("begun", end=" ")
    await go.wait()
    print("and ended")
async def handler(event, context):
    if event.get("go"):
        go.set()
    else:
        tasks.add(asyncio.ensure_future(rest()))
        await asyncio.sleep(0)
    return context.aws_request_id
"""
    with serving(tmp_path, source, slots=2, LMI_FAST_STRAY_MS="0") as served:
        request_id = served.result({})
        assert served.output == ""
        served.result({"go": True})
        served.wait_for_output("\n")
    [record] = served.records()
    assert (record["message"], record["requestId"]) == ("begun and ended", request_id)


def test_many_threads_of_one_invocation_never_share_a_line(tmp_path: Path) -> None:
    source = """
import sys, threading
def shout(number):
    for turn in range(200):
        print(number, turn, "x" * 50)
        print(number, turn, "x" * 50, file=sys.stderr)
def handler(event, context):
    threads = [threading.Thread(target=shout, args=(number,)) for number in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return context.aws_request_id
"""
    with serving(tmp_path, source, slots=2) as served:
        request_id = served.result()
    records = [json.loads(line) for line in served.output.splitlines()]
    assert {record["requestId"] for record in records} == {request_id}
    counts = Counter(record["message"] for record in records)
    assert counts == {f"{number} {turn} {'x' * 50}": 2 for number in range(8) for turn in range(200)}


def test_progress_bars_tenants_and_endless_lines(tmp_path: Path) -> None:
    source = """
import sys
async def handler(event, context):
    for percent in range(0, 101, 10):
        sys.stderr.write(f"\\r{percent} %")
    print(file=sys.stderr)
    print("\\r\\n\\n  \\n", end="")
    sys.stdout.write("y" * 200_000)
    print()
    sys.stdout.close()
    print("still open", sys.stdout.encoding, sys.stdout.isatty(), sys.stdout.fileno(), sys.stdout.name)
"""
    with serving(tmp_path, source, slots=2) as served:
        served.result(tenant_id="blue")
    progress, long, still = served.records()
    assert progress["message"].endswith("100 %")
    assert len(progress["message"]) < 10
    assert progress["tenantId"] == "blue"
    assert long["message"].startswith("yyy")
    assert still["message"] == "still open utf-8 False 1 <stdout>"


@pytest.mark.parametrize(
    "variables",
    [{"slots": None}, {"slots": 2, "LMI_FAST_PRINT": "raw"}, {"slots": 2, "AWS_LAMBDA_LOG_FORMAT": "TEXT"}],
    ids=["default mode", "raw", "text"],
)
def test_where_nobody_wants_records(tmp_path: Path, variables: dict[str, Any]) -> None:
    with serving(tmp_path, "def handler(event, context):\n    print('as it is')\n", **variables) as served:
        served.result()
    assert "as it is" in served.output.splitlines()


def test_what_is_printed_outside_of_invocations(tmp_path: Path) -> None:
    """At import, in the lifespan, at the end."""
    source = """
import atexit, lmi_fast
print("at import")
print("no end", end="", flush=True)
atexit.register(print, "at exit")
@lmi_fast.lifespan
async def lifespan():
    print("before")
    yield
    print("after")
async def handler(event, context):
    pass
"""
    with serving(tmp_path, source, slots=2) as served:
        served.result()
    records = served.records()
    assert [record["message"] for record in records] == ["at import", "no end", "before", "after", "at exit"]
    assert not any("requestId" in record for record in records)
