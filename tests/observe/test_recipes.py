"""What docs/logging.md says, with the real libraries: its blocks are run as they stand there."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ..serving import ROOT, Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
N = 200

DOCUMENT = (ROOT / "docs/logging.md").read_text()
BLOCKS: dict[str, str] = {}  # by the heading each is under
for section in re.split(r"^##+ ", DOCUMENT, flags=re.MULTILINE)[1:]:
    found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    if found:
        (BLOCKS[section.splitlines()[0]],) = found

ASYNC = """
async def in_a_task(order):
    await asyncio.sleep(0)
    pay(order)
async def handler(event, context):
    n = event["n"]
    begin(f"{n} bound")
    await barrier.wait()
    thread = threading.Thread(target=pay, args=(f"{n} thread",))
    thread.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(in_a_task(f"{n} task"))
        group.create_task(in_a_task(f"{n} second task"))
        group.create_task(asyncio.to_thread(pay, f"{n} to_thread"))
        group.create_task(asyncio.to_thread(thread.join))
    pay(f"{n} handler")
    return context.aws_request_id
"""
PLAIN = """
async def in_tasks(n):
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(pay, f"{n} to_thread"))
        group.create_task(in_a_task(f"{n} task"))
async def in_a_task(order):
    pay(order)
def handler(event, context):
    n = event["n"]
    begin(f"{n} bound")
    barrier.wait()
    thread = threading.Thread(target=pay, args=(f"{n} thread",))
    thread.start()
    asyncio.run(in_tasks(n))
    executor.submit(pay, f"{n} second task").result()
    thread.join()
    pay(f"{n} handler")
    return context.aws_request_id
"""
PLACES = ("handler", "task", "second task", "to_thread", "thread")


def source_of(block: str, a: str, n: int = N) -> str:
    """An app whose handler calls `pay` from everywhere."""
    barrier = f"{'asyncio' if a else 'threading'}.Barrier({n})"
    begin = "" if "def begin" in block else "def begin(order): pass\n"
    return f"""
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
executor, barrier = ThreadPoolExecutor(8), {barrier}
{block}{begin}{ASYNC if a else PLAIN}"""


def run(served: Served, n: int = N) -> list[str]:
    """The request ids of `n` invocations at once."""
    pendings = [served.api.invoke({"n": number}) for number in range(n)]
    return [json.loads(pending.result(30).body) for pending in pendings]


def records_of(output: str) -> list[dict[str, Any]]:
    """Of all lines, each of which is a JSON object, those that are not the runtime's own."""
    records = [json.loads(line) for line in output.splitlines()]
    assert all(type(record) is dict for record in records)
    return [record for record in records if record.get("logger") != "lmi_fast"]


def by_request_id(records: list[dict[str, Any]], *path: str) -> dict[str, Counter[str]]:
    """What the records have at `path`, by their request ids."""
    grouped: dict[str, Counter[str]] = {}
    for record in records:
        value: Any = record
        for name in path:
            value = value[name]
        grouped.setdefault(record["requestId"], Counter())[value] += 1
    return grouped


def expected(ids: list[str]) -> dict[str, Counter[str]]:
    return {request_id: Counter(f"{n} {place}" for place in PLACES) for n, request_id in enumerate(ids)}


# Where each recipe has the order, its level and its message.
RECIPES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "logging": (("order",), ("level",), ("message",)),
    "print()": (("order",), ("level",), ("message",)),
    "structlog, printing JSON": (("order",), ("level",), ("message",)),
    "structlog, through logging": (("order",), ("level",), ("message",)),
    "structlog, with bound values": (("order",), (), ("event",)),
    "loguru, as it is": (("record", "extra", "order"), ("record", "level", "name"), ("record", "message")),
    "loguru, through logging": (("extra", "order"), ("level",), ("message",)),
    "loguru, with enqueue": (("order",), ("level",), ("message",)),
    "A main program of yours": (("record", "extra", "order"), ("record", "level", "name"), ("record", "message")),
}


def at(record: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = record
    for name in path:
        value = value[name]
    return value


def test_every_block_is_tested() -> None:
    assert BLOCKS.keys() == RECIPES.keys()


@both
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe(tmp_path: Path, name: str, a: str) -> None:
    """Each line is one JSON object with the request id of whoever logged it."""
    order, level, message = RECIPES[name]
    with serving(tmp_path, source_of(BLOCKS[name], a), slots=N, LMI_FAST_BLOCKED_MS="0") as served:
        ids = run(served)
    records = records_of(served.output)
    assert by_request_id(records, *order) == expected(ids)
    assert {at(record, message) for record in records} == {"paid"}
    if level:
        assert {at(record, level).upper() for record in records} == {"INFO"}
    if name == "structlog, with bound values":
        for record in records:
            assert record["bound"].split()[0] == record["order"].split()[0]
    for record in records:
        if "timestamp" in record:
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", record["timestamp"])


def test_the_fields_of_the_table(tmp_path: Path) -> None:
    source = """
import logging
log = logging.getLogger(__name__)
log.error("at import")
async def handler(event, context):
    try:
        raise ValueError("no good")
    except ValueError:
        log.exception("failed", extra={"order": 7})
    log.warning({"order": 8})
"""
    with serving(tmp_path, source, slots=2) as served:
        request_id = served.invoke(tenant_id="blue").request_id
    at_import, failed, plain = served.records()
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE)))
    assert set(named) == failed.keys() - {"order"}
    assert at_import["requestId"] == ""
    assert (failed["requestId"], failed["tenantId"], failed["order"]) == (request_id, "blue", 7)
    assert plain["message"] == {"order": 8}


TEXT_LOGGERS = {
    "structlog": "import structlog\nlog = structlog.get_logger()\n"
    "def pay(order): log.info('paid', order=f'<{order}>')\n",
    "loguru": "from loguru import logger\ndef pay(order): logger.info('paid <{}>', order)\n",
}


@both
@pytest.mark.parametrize("library", TEXT_LOGGERS)
def test_as_they_come_they_print_records(tmp_path: Path, library: str, a: str) -> None:
    with serving(tmp_path, source_of(TEXT_LOGGERS[library], a), slots=N, LMI_FAST_BLOCKED_MS="0") as served:
        ids = run(served)
    records = records_of(served.output)
    for record in records:
        match = re.search(r"<(.*)>", record["message"])
        assert match is not None
        record["order"] = match[1]
    assert by_request_id(records, "order") == expected(ids)
    kind = ("stdout", "INFO") if library == "structlog" else ("stderr", "WARNING")
    assert {(record["logger"], record["level"]) for record in records} == {kind}


def test_bytes_of_structlog(tmp_path: Path) -> None:
    block = """
import json, structlog
def encode(fields, **more): return json.dumps(fields).encode()
structlog.configure(
    processors=[structlog.processors.JSONRenderer(serializer=encode)], logger_factory=structlog.BytesLoggerFactory())
log = structlog.get_logger()
def pay(order): log.info("paid", order=order)
"""
    with serving(tmp_path, source_of(block, "async "), slots=N, LMI_FAST_BLOCKED_MS="0") as served:
        ids = run(served)
    assert by_request_id(records_of(served.output), "order") == expected(ids)


def test_what_structlog_binds_in_a_thread_stays_there(tmp_path: Path) -> None:
    source = BLOCKS["structlog, with bound values"] + (
        """
import asyncio
async def handler(event, context):
    begin("handler")
    await asyncio.to_thread(begin, "thread")
    await asyncio.create_task(in_a_task())
    pay(1)
async def in_a_task():
    begin("task")
"""
    )
    with serving(tmp_path, source, slots=2) as served:
        served.result()
        served.result()
    assert [record["bound"] for record in served.records()] == ["handler", "handler"]


def test_what_structlog_keeps_by_thread_is_shared(tmp_path: Path) -> None:
    """The document advises against it."""
    source = """
import asyncio, warnings, structlog
with warnings.catch_warnings(action="ignore"):
    from structlog.threadlocal import bind_threadlocal, merge_threadlocal
structlog.configure(processors=[merge_threadlocal, structlog.processors.JSONRenderer()])
barrier = asyncio.Barrier(2)
async def handler(event, context):
    with warnings.catch_warnings(action="ignore"):
        bind_threadlocal(bound=event)
        await barrier.wait()
        structlog.get_logger().info("paid", order=event)
"""
    with serving(tmp_path, source, slots=2) as served:
        first = served.api.invoke(1)
        served.result(2)
        first.result(20)
    assert len({record["bound"] for record in served.records()}) == 1
    assert len({record["requestId"] for record in served.records()}) == 2


def test_handlers_of_ones_own_on_the_root_logger(tmp_path: Path) -> None:
    source = """
import logging, sys
logging.basicConfig(level="INFO", format="basic %(message)s")
before = len(logging.getLogger().handlers)
logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
async def handler(event, context):
    logging.warning("paid")
    return before
"""
    with serving(tmp_path, source, slots=2) as served:
        assert served.result() == 1
    records = [(record["logger"], record["level"], record["message"]) for record in served.records()]
    assert records == [("root", "WARNING", "paid"), ("stdout", "INFO", "paid")]
    assert len({record["requestId"] for record in served.records()}) == 1


def test_json_of_structlog_through_logging_is_a_text(tmp_path: Path) -> None:
    source = """
import structlog
structlog.configure(
    processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.stdlib.LoggerFactory())
async def handler(event, context):
    structlog.get_logger().error("paid", order=7)
"""
    with serving(tmp_path, source, slots=2) as served:
        served.result()
    [record] = served.records()
    assert json.loads(record["message"]) == {"order": 7, "event": "paid"}


@both
def test_queues_of_loguru_know_no_invocation(tmp_path: Path, a: str) -> None:
    """Which is why the document has a recipe."""
    block = BLOCKS["loguru, as it is"].replace("serialize=True", "serialize=True, enqueue=True")
    with serving(tmp_path, source_of(block, a, 8), slots=8) as served:
        run(served, 8)
    records = records_of(served.output)
    assert len(records) == 8 * len(PLACES)
    assert not any("requestId" in record for record in records)


@pytest.mark.parametrize("inherit", ["on", "off"])
def test_threads_that_inherit_nothing(tmp_path: Path, inherit: str) -> None:
    source = source_of(BLOCKS["logging"], "", 8)
    with serving(tmp_path, source, slots=8, LMI_FAST_INHERIT=inherit) as served:
        ids = run(served, 8)
    without = {record["order"].split(maxsplit=1)[1] for record in served.records() if not record["requestId"]}
    # From 3.14 on Python may have threads inherit by itself.
    python_does = getattr(sys.flags, "thread_inherit_context", 0)
    assert without == (set() if inherit == "on" else {"second task"} if python_does else {"thread", "second task"})
    assert {record["requestId"] for record in served.records()} == {*ids} | ({""} if without else set())


MAIN = """
import lmi_fast
{block}
async def handler(event, context):
    pay(7)
lmi_fast.run(handler)
"""


@pytest.mark.parametrize("name", ["A main program of yours", "loguru, as it is"])
def test_a_main_program(tmp_path: Path, name: str) -> None:
    (tmp_path / "main.py").write_text(MAIN.format(block=BLOCKS[name]))
    command = [sys.executable, str(tmp_path / "main.py")]
    with serving(tmp_path, "", command=command, handler=None, slots=2) as served:
        request_id = served.invoke().request_id
    [record] = served.records()
    # What has taken the streams before is beyond reach.
    assert record.get("requestId") == (request_id if name == "A main program of yours" else None)
    assert record["record"]["extra"] == {"order": 7}


def test_one_traceback_is_one_record_or_many(tmp_path: Path) -> None:
    source = f"""
import traceback
{BLOCKS["loguru, through logging"]}
async def handler(event, context):
    try:
        raise ValueError("no good")
    except ValueError:
        logger.exception("failed")
        traceback.print_exc()
"""
    with serving(tmp_path, source, slots=2) as served:
        request_id = served.invoke().request_id
    failed, *printed = served.records()
    assert (failed["message"], failed["errorMessage"], failed["level"]) == ("failed", "no good", "ERROR")
    assert "in handler" in failed["stackTrace"][0]
    assert printed[-1]["message"] == "ValueError: no good"
    assert len(printed) > 2
    assert {record["requestId"] for record in [failed, *printed]} == {request_id}
