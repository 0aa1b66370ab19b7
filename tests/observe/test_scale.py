"""Ten thousand invocations in one process: no record and no call of one of them bears the id of another."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..serving import Served, serving

REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}"
PLACES = ("first task", "second task", "thread")


class DynamoDB:
    """As much of it as botocore needs, and what each request had: its trace header, and the key it asked for."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self.requests), "127.0.0.1", 0)
        )
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Connection(asyncio.Protocol):
    def __init__(self, requests: list[tuple[str, str]]) -> None:
        self._requests = requests
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            lines = self._data[:end].decode().split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            whole = end + 4 + int(headers["content-length"])
            if len(self._data) < whole:
                return
            key = json.loads(self._data[end + 4 : whole])["Key"]["id"]["S"]
            self._data = self._data[whole:]
            self._requests.append((headers.get("x-amzn-trace-id", ""), key))
            self._transport.write(REPLY)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport.close()


@pytest.fixture
def dynamodb() -> Iterator[DynamoDB]:
    made = DynamoDB()
    yield made
    made.close()


SOURCE = """
import asyncio, logging, sys, threading
import boto3, structlog
from botocore.config import Config

client = boto3.client("dynamodb", config=Config(max_pool_connections={slots}, retries={{"total_max_attempts": 1}}))
log = logging.getLogger("app")
log.setLevel("INFO")
structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
    cache_logger_on_first_use=True,
)
struct = structlog.get_logger()
{third}

def call(n):
    client.get_item(TableName="orders", Key={{"id": {{"S": str(n)}}}})

def log_from(n, place):
    log.info("logging", extra={{"n": n, "place": place}})
    struct.info("structlog", n=n, place=place)
    log_third(n, place)

async def task(n, place):
    log.info("logging", extra={{"n": n, "place": place}})
    await asyncio.sleep(0)
    struct.info("structlog", n=n, place=place)
    await asyncio.sleep(0)
    log_third(n, place)

running = most = 0
lock = threading.Lock()
def count(change):
    global running, most
    with lock:
        running += change
        most = max(most, running)
"""
LOGURU = """
from loguru import logger
logger.remove()
logger.add(sys.stdout, serialize=True)
def log_third(n, place):
    logger.bind(n=n, place=place).info("loguru")
"""
POWERTOOLS = """
from aws_lambda_powertools import Logger
logger = Logger(service="orders", level="INFO")
def log_third(n, place):
    logger.info("powertools", n=n, place=place)
"""
ASYNC = """
async def handler(event, context):
    n = event["n"]
    count(1)
    structlog.contextvars.bind_contextvars(bound=n)
    thread = threading.Thread(target=log_from, args=(n, "thread"))
    thread.start()
    def call_and_join():
        call(n)
        thread.join()
    async with asyncio.TaskGroup() as group:
        group.create_task(task(n, "first task"))
        group.create_task(task(n, "second task"))
        group.create_task(asyncio.to_thread(call_and_join))
    count(-1)
    return [context.aws_request_id, most]
"""
PLAIN = """
async def tasks(n):
    await asyncio.gather(task(n, "first task"), task(n, "second task"))

def handler(event, context):
    n = event["n"]
    count(1)
    structlog.contextvars.bind_contextvars(bound=n)
    thread = threading.Thread(target=log_from, args=(n, "thread"))
    thread.start()
    asyncio.run(tasks(n))
    call(n)
    thread.join()
    count(-1)
    return [context.aws_request_id, most]
"""


def trace_id(n: int) -> str:
    return f"Root=1-5759e988-{n:024x};Parent=53995c3f42cd8ad8;Sampled=1"


def run(served: Served, count: int) -> dict[str, int]:
    """The numbers of `count` invocations by their request ids. As many as there are slots ran at once."""
    pendings = [served.api.invoke({"n": n}, trace_id=trace_id(n)) for n in range(count)]
    results = [json.loads(pending.result(60).body) for pending in pendings]
    assert results[-1][1] >= served.slots * 3 // 4
    numbers = {request_id: n for n, (request_id, _) in enumerate(results)}
    assert len(numbers) == count
    return numbers


def told(record: dict[str, Any]) -> tuple[str, Any]:
    """By which library a record was made, and what it was given."""
    if "record" in record:
        return record["record"]["message"], record["record"]["extra"]
    return record.get("event") or record["message"], record


def check(served: Served, dynamodb: DynamoDB, numbers: dict[str, int], libraries: set[str]) -> None:
    """Each record and each call is there once, and belongs to the invocation that made it."""
    crossed = 0
    seen: Counter[tuple[int, str, str]] = Counter()
    for line in served.output.splitlines():
        record = json.loads(line)  # every line is one
        library, fields = told(record)
        n = fields["n"]
        crossed += numbers[record["requestId"]] != n or record.get("bound", n) != n
        seen[n, library, fields["place"]] += 1
    assert crossed == 0
    assert seen == {(n, library, place): 1 for n in numbers.values() for library in libraries for place in PLACES}
    expected = Counter((trace_id(n), str(n)) for n in numbers.values())
    assert Counter(dynamodb.requests) == expected


def environ(dynamodb: DynamoDB) -> dict[str, Any]:
    return {
        "AWS_ENDPOINT_URL": dynamodb.endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "LMI_FAST_BLOCKED_MS": "0",  # nothing but the records that are counted
    }


def test_ten_thousand_async_invocations(tmp_path: Path, dynamodb: DynamoDB) -> None:
    source = SOURCE.format(slots=256, third=LOGURU) + ASYNC
    with serving(tmp_path, source, slots=256, **environ(dynamodb)) as served:
        numbers = run(served, 10_000)
    check(served, dynamodb, numbers, {"logging", "structlog", "loguru"})


def test_two_thousand_plain_invocations(tmp_path: Path, dynamodb: DynamoDB) -> None:
    source = SOURCE.format(slots=64, third=POWERTOOLS) + PLAIN
    with serving(tmp_path, source, slots=64, **environ(dynamodb)) as served:
        numbers = run(served, 2_000)
    check(served, dynamodb, numbers, {"logging", "structlog", "powertools"})
