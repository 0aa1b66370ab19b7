"""Powertools' idempotency when invocations overlap."""

from __future__ import annotations

import collections
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .overlapping import COUNT, both, outcomes, overlapping, results

STORE = """
    from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent, idempotent_function
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyAlreadyInProgressError, IdempotencyItemAlreadyExistsError, IdempotencyItemNotFoundError)
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer

    class Store(BasePersistenceLayer):
        def __init__(self):
            super().__init__()
            self.records = {}
            self.asked = 0
            self.lock = threading.Lock()
            self.used = threading.Event()
        def _get_record(self, idempotency_key):
            try:
                return self.records[idempotency_key]
            except KeyError:
                raise IdempotencyItemNotFoundError from None
        def _put_record(self, data_record):
            # The time that is left is the one of the invocation that is running here.
            left = data_record.in_progress_expiry_timestamp / 1000 - time.time()
            assert abs(left - lmi_fast.current().get_remaining_time_in_millis() / 1000) < 1, left
            self.used.set()
            with self.lock:
                self.asked += 1
                if data_record.idempotency_key in self.records:
                    raise IdempotencyItemAlreadyExistsError()
                self.records[data_record.idempotency_key] = data_record
        def _update_record(self, data_record):
            assert data_record.idempotency_key in self.records, (data_record.idempotency_key, list(self.records))
            self.records[data_record.idempotency_key] = data_record
        def _delete_record(self, data_record):
            del self.records[data_record.idempotency_key]

    store = Store()
    config = IdempotencyConfig(event_key_jmespath="id", use_local_cache=True, local_cache_max_items=20)
"""


@both
def test_a_handler_runs_once_for_each_key(tmp_path: Path, a: str) -> None:
    source = (
        STORE
        + """
    runs = []
    @idempotent(persistence_store=store, config=config)
    ASYNC def handler(event, context):
        if event["n"] == "counts":
            return [len(runs), store.asked, sorted({key.split("#")[0] for key in store.records})]
        assert context.aws_request_id == lmi_fast.current().aws_request_id
        runs.append(event["n"])
        AWAIT meet()
        if event["n"] % 4 == 0:
            raise ValueError(f"number {event['n']}")
        return {"n": event["n"], "request_id": context.aws_request_id}
    """
    )
    with overlapping(tmp_path, source, a) as served:
        pending = [served.api.invoke({"id": f"id-{n}", "n": n}, timeout_s=20 + 2 * n) for n in range(COUNT)]
        first = [each.result(20) for each in pending]
        assert [each.kind == "error" for each in first] == [n % 4 == 0 for n in range(COUNT)]
        again = results(served, [{"id": f"id-{n}", "n": n} for n in range(COUNT) if n % 4])
        # Of what failed nothing is stored, so it runs again.
        assert again == [json.loads(first[n].body) for n in range(COUNT) if n % 4]
        assert all(answer["request_id"] == first[answer["n"]].request_id for answer in again)
        failed = outcomes(served, [{"id": f"id-{n}", "n": n} for n in range(0, COUNT, 4)])
        assert all(f"number {n * 4}" in each.body.decode() for n, each in enumerate(failed))
        ran, asked, names = served.result({"id": "counts", "n": "counts"})
        assert ran == COUNT + COUNT // 4
        assert asked <= 2 * COUNT + 1
        assert names == [f"{served.api.function_name}.app.handler"]


@both
def test_the_same_key_at_the_same_time_runs_once(tmp_path: Path, a: str) -> None:
    """The store is configured by the first invocation; meanwhile the others must not use it."""
    source = (
        STORE
        + """
    class SlowConfig(IdempotencyConfig):
        @property
        def event_key_jmespath(self):
            store.used.wait(0.2)  # which it will not be
            return "id"
        @event_key_jmespath.setter
        def event_key_jmespath(self, value):
            pass
    config = SlowConfig()
    others = threading.Semaphore(0)
    done = asyncio.Event() if IS_ASYNC else threading.Event()
    @idempotent(persistence_store=store, config=config)
    ASYNC def handler(event, context):
        AWAIT done.wait()
        return event["n"]
    ASYNC def counting(event, context):
        try:
            return AWAIT handler(event, context)
        except IdempotencyAlreadyInProgressError:
            others.release()
            if others._value == 49:
                done.set()
            return "in progress"
    """
    )
    with overlapping(tmp_path, source, a, handler="app.counting") as served:
        found = results(served, [{"id": "one", "n": n} for n in range(50)])
    assert found.count("in progress") == 49
    assert len(set(found)) == 2


@both
def test_functions_that_share_a_store(tmp_path: Path, a: str) -> None:
    """Several of them in one invocation, one within the other, and side by side; each invocation has its own time."""
    source = (
        STORE
        + """
    calls = []
    @idempotent_function(data_keyword_argument="data", persistence_store=store, config=config)
    ASYNC def inner(data):
        calls.append("inner")
        return {"inner": data["id"]}
    @idempotent_function(data_keyword_argument="data", persistence_store=store, config=config)
    ASYNC def outer(data):
        AWAIT meet()
        calls.append("outer")
        return {"outer": data["id"], **(AWAIT inner(data=data))}
    @idempotent_function(data_keyword_argument="data", persistence_store=store, config=config)
    ASYNC def beside(data):
        calls.append("beside")
        return {"beside": data["id"]}
    ASYNC def handler(event, context):
        if event["id"] == "calls":
            return [*map(calls.count, ("inner", "outer", "beside"))]
        config.register_lambda_context(context)
        AWAIT meet()
        if IS_ASYNC:
            one, two = AWAIT asyncio.gather(outer(data=event), beside(data=event))
        else:
            one, two = outer(data=event), beside(data=event)
        return {**one, **two, "again": (AWAIT outer(data=event)), "twice": (AWAIT beside(data=event))}
    """
    )
    with overlapping(tmp_path, source, a) as served:
        pending = [served.api.invoke({"id": f"id-{n}"}, timeout_s=20 + 2 * n) for n in range(COUNT)]
        found = [json.loads(each.result(20).body) for each in pending]
        for n, answer in enumerate(found):
            id = f"id-{n}"
            assert answer["again"] == {"outer": id, "inner": id}
            assert answer["twice"] == {"beside": id}
            assert (answer["outer"], answer["inner"], answer["beside"]) == (id, id, id)
        assert served.result({"id": "calls"}) == [COUNT, COUNT, COUNT]


@both
def test_without_the_adapter_handlers_are_not_idempotent(tmp_path: Path, a: str) -> None:
    """The tests here can fail: what an async handler returns cannot be stored, and names get mixed up."""
    source = (
        STORE.replace("assert data_record.idempotency_key in", "data_record.idempotency_key in")
        + """
    ASYNC def named(name, data):
        AWAIT meet()
        AWAIT meet()
        return name
    def make(name):
        @idempotent_function(data_keyword_argument="data", persistence_store=store, config=config)
        ASYNC def function(data):
            return AWAIT named(name, data)
        function.__wrapped__.__qualname__ = name
        return function
    functions = [make(f"function-{n}") for n in range(50)]
    ASYNC def handler(event, context):
        config.register_lambda_context(context)
        return AWAIT functions[event["n"]](data=event)
    """
    )
    events = [{"id": "same", "n": n} for n in range(50)]
    with overlapping(tmp_path, source, a) as served:
        for _ in range(2):
            assert results(served, events) == [f"function-{n}" for n in range(50)]
    with overlapping(tmp_path, source, a, LMI_FAST_ADAPT="off") as served:
        first = [each.kind for each in outcomes(served, events)]
        if a:
            assert "error" in first
        else:
            second = outcomes(served, events[:1] * 1)
            assert [json.loads(each.body) for each in second] != ["function-0"]


def test_async_handlers_that_need_threads_too(tmp_path: Path) -> None:
    """While a handler runs it holds none of the few that asyncio.to_thread() has."""
    source = (
        STORE
        + """
    @idempotent(persistence_store=store, config=config)
    async def handler(event, context):
        await meet()
        return await asyncio.to_thread(lambda: event["n"])
    """
    )
    with overlapping(tmp_path, source, "async ") as served:
        assert results(served, [{"id": n, "n": n} for n in range(COUNT)]) == [*range(COUNT)]


@both
def test_idempotency_can_be_switched_off(tmp_path: Path, a: str) -> None:
    source = (
        STORE
        + """
    import warnings
    warnings.simplefilter("ignore")
    @idempotent(persistence_store=store, config=config)
    ASYNC def handler(event, context):
        AWAIT meet()
        return event["n"]
    """
    )
    with overlapping(tmp_path, source, a, variables={"POWERTOOLS_IDEMPOTENCY_DISABLED": "true"}) as served:
        assert results(served, [{"id": "same", "n": n} for n in range(COUNT)]) == [*range(COUNT)]


class Table(ThreadingHTTPServer):
    """As much of DynamoDB as the persistence layer asks for: one table, whose conditions say that there is no item."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.items: dict[str, Any] = {}
        self.lock = threading.Lock()
        self.calls: collections.Counter[str] = collections.Counter()

    def call(self, action: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.calls[action] += 1
            key = (asked.get("Item") or asked["Key"])["id"]["S"]
            found = self.items.get(key)
            if action == "PutItem":
                assert "attribute_not_exists(#id)" in asked["ConditionExpression"]
                if found is not None:
                    return 400, {"__type": "com.amazonaws.dynamodb#ConditionalCheckFailedException", "Item": found}
                self.items[key] = asked["Item"]
            elif action == "UpdateItem":
                assert found is not None, key
                values, names = asked["ExpressionAttributeValues"], asked["ExpressionAttributeNames"]
                for change in asked["UpdateExpression"].removeprefix("SET ").split(", "):
                    name, _, value = change.partition(" = ")
                    found[names[name]] = values[value]
            elif action == "DeleteItem":
                self.items.pop(key, None)
            else:
                return 200, {"Item": found} if found else {}
        return 200, {}


class Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece
    server: Table

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.server.call(self.headers["X-Amz-Target"].partition(".")[2], asked)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def table() -> Iterator[Table]:
    with Table() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@both
def test_with_dynamodb(tmp_path: Path, a: str, table: Table) -> None:
    source = """
        from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
        runs = []
        config = IdempotencyConfig(event_key_jmespath="id", payload_validation_jmespath="n")
        @idempotent(persistence_store=DynamoDBPersistenceLayer(table_name="table"), config=config)
        ASYNC def handler(event, context):
            AWAIT meet()
            if event["n"] % 4 == 0:
                raise ValueError(f"number {event['n']}")
            return {"n": event["n"], "request_id": context.aws_request_id}
    """
    variables = {
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{table.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with overlapping(tmp_path, source, a, variables=variables) as served:
        events = [{"id": f"id-{n}", "n": n} for n in range(COUNT)]
        first = outcomes(served, events)
        assert [each.kind == "error" for each in first] == [n % 4 == 0 for n in range(COUNT)]
        again = results(served, [event for event in events if int(str(event["n"])) % 4])
        assert again == [json.loads(first[n].body) for n in range(COUNT) if n % 4]
        assert [answer["request_id"] for answer in again] == [first[n].request_id for n in range(COUNT) if n % 4]
        other = outcomes(served, [{"id": "id-1", "n": 2}])[0]
        assert b"IdempotencyValidationError" in other.body
    stored = COUNT * 3 // 4
    assert table.calls == {"PutItem": COUNT + stored + 1, "UpdateItem": stored, "DeleteItem": COUNT - stored}
    assert len(table.items) == stored
