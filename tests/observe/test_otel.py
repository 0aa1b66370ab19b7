"""Spans of the stock OpenTelemetry SDK: exported over HTTP, by real runtime processes, to a collector in this one."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.semconv._incubating.attributes import aws_attributes, cloud_attributes, faas_attributes
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes import error_attributes, exception_attributes, http_attributes, url_attributes
from opentelemetry.semconv.attributes import user_agent_attributes as user_agent

from ..serving import PACKAGE, ROOT, TIMEOUT, Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
N = 200
ARN = "arn:aws:lambda:us-east-1:012345678912:function:test_function"
# opentelemetry/proto/trace/v1/trace.proto
SERVER, CONSUMER = 2, 5
UNSET, ERROR = 0, 2


class Span:
    """One that has arrived."""

    def __init__(self, span: Any) -> None:
        self.name: str = span.name
        self.kind: int = span.kind
        self.trace_id: str = span.trace_id.hex()
        self.id: str = span.span_id.hex()
        self.parent: str = span.parent_span_id.hex()
        self.start: int = span.start_time_unix_nano
        self.end: int = span.end_time_unix_nano
        self.status: int = span.status.code
        self.message: str = span.status.message
        self.attributes = _values(span.attributes)
        self.events = [(event.name, _values(event.attributes)) for event in span.events]
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]

    @property
    def invocation(self) -> Any:
        """Its request id; None for a span of the handler's own."""
        return self.attributes.get("faas.invocation_id")


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}


class Collector:
    """Takes OTLP over HTTP. `answers` is set unless it hangs."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self._spans: list[Span] = []
        self._more = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked.set()
                collector.answers.wait(TIMEOUT)
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Nothing: the process on the other side was stopped."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._more:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self._spans += map(Span, scope.spans)
            self._more.notify_all()

    def wait_for(self, count: int) -> list[Span]:
        """The spans so far, once there are `count` of them."""
        with self._more:
            assert self._more.wait_for(lambda: len(self._spans) >= count, TIMEOUT), f"{len(self._spans)} of {count}"
            return list(self._spans)

    def spans(self) -> list[Span]:
        return self.wait_for(0)

    def close(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


APP = """
import asyncio, os, threading, time
from concurrent.futures import ThreadPoolExecutor
from opentelemetry import baggage, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
import lmi_fast
from lmi_fast.observe.otel import instrument
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
instrument(provider, **OPTIONS)
tracer = provider.get_tracer("app")
"""


def app(handler: str, **options: Any) -> str:
    return APP.replace("**OPTIONS", f"**{options!r}") + handler


def environ(collector: Collector, delay_ms: int = 20) -> dict[str, Any]:
    """Of a process that exports its spans there, as often as that."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": str(delay_ms)}


def traceparent(n: int) -> str:
    return f"00-{0xA000 + n:032x}-{0xB000 + n:016x}-01"


def xray(n: int, sampled: str = "1") -> str:
    return f"Root=1-{0xC000:08x}-{0xD000 + n:024x};Parent={0xE000 + n:016x};Sampled={sampled};Lineage=1:a1b2c3d4:0"


W3C = [(f"{0xA000 + n:032x}", f"{0xB000 + n:016x}") for n in range(N)]
XRAY = [(f"{0xC000:08x}{0xD000 + n:024x}", f"{0xE000 + n:016x}") for n in range(N)]


def rest_event(**headers: str) -> dict[str, Any]:
    """As API Gateway sends it for a REST API."""
    return {
        "resource": "/pets/{id}",
        "path": "/pets/7",
        "httpMethod": "GET",
        "headers": headers,
        "requestContext": {"stage": "prod", "resourcePath": "/pets/{id}"},
    }


CHILDREN = """
executor = ThreadPoolExecutor(8)
barrier = asyncio.Barrier({n}) if {a!r} else threading.Barrier({n})
def child(name):
    with tracer.start_as_current_span(name, attributes={{"of": lmi_fast.current().aws_request_id}}):
        pass
async def child_task(name):
    await asyncio.sleep(0)
    child(name)
def children():
    thread = threading.Thread(target=child, args=("thread",))
    thread.start()
    executor.submit(child, "executor").result()
    thread.join()
"""
ASYNC_CHILDREN = """
async def handler(event, context):
    began = time.time_ns()
    await barrier.wait()
    child("handler")
    async with asyncio.TaskGroup() as group:
        group.create_task(child_task("task"))
        group.create_task(asyncio.to_thread(child, "to_thread"))
    await asyncio.to_thread(children)
    await asyncio.sleep(0.05)
    return [context.aws_request_id, began, time.time_ns(), dict(baggage.get_all())]
"""
PLAIN_CHILDREN = """
def handler(event, context):
    began = time.time_ns()
    barrier.wait()
    child("handler")
    asyncio.run(child_task("task"))
    asyncio.run(asyncio.to_thread(child, "to_thread"))
    children()
    time.sleep(0.05)
    return [context.aws_request_id, began, time.time_ns(), dict(baggage.get_all())]
"""
NAMES = ["handler", "task", "to_thread", "thread", "executor"]


@both
def test_one_span_for_each_of_many_invocations_at_once(tmp_path: Path, collector: Collector, a: str) -> None:
    """With the right parent, the right children, and as long as its handler takes; nothing is lost at the end."""
    source = app(CHILDREN.format(a=a, n=N) + (ASYNC_CHILDREN if a else PLAIN_CHILDREN), flush_ms=5000)
    # Nothing is exported before the end, unless a batch is full.
    with serving(tmp_path, source, slots=N, LMI_FAST_BLOCKED_MS="0", **environ(collector, 60_000)) as served:
        pendings, parents = [], []
        for n in range(N):
            cases: list[tuple[Any, dict[str, Any]]] = [
                ({}, {"client_context": {"w3c": {"traceparent": traceparent(n), "baggage": f"n={n}"}}}),
                (rest_event(TraceParent=traceparent(n)), {}),
                ({}, {"trace_id": xray(n)}),
                ({}, {"trace_id": ""}),
            ]
            event, more = cases[n % 4]
            parents.append([W3C[n], W3C[n], XRAY[n], None][n % 4])
            pendings.append(served.api.invoke(event, **more))
        results = [json.loads(pending.result(TIMEOUT).body) for pending in pendings]
    spans = collector.spans()
    by_invocation = {span.invocation: span for span in spans if span.invocation}
    by_parent: dict[str, list[Span]] = {}
    for span in spans:
        by_parent.setdefault(span.parent, []).append(span)
    assert len(spans) == N * (1 + len(NAMES))
    assert len({span.id for span in spans}) == len(spans)
    for n, (request_id, began, ended, carried) in enumerate(results):
        span, parent = by_invocation[request_id], parents[n]
        if parent is None:
            assert span.parent == ""
        else:
            assert (span.trace_id, span.parent) == parent
        assert carried == ({"n": str(n)} if n % 4 == 0 else {})
        assert ended - began >= 50_000_000
        assert span.start <= began
        assert span.end >= ended
        assert span.kind == SERVER
        assert span.status == UNSET
        assert [name for name, _ in span.events] == []
        own = by_parent[span.id]
        assert sorted(one.name for one in own) == sorted(NAMES)
        assert {one.attributes["of"] for one in own} == {request_id}
        assert {one.trace_id for one in own} == {span.trace_id}
    assert len({span.trace_id for span in by_invocation.values()}) == N
    assert [span.attributes["faas.coldstart"] for span in by_invocation.values()].count(True) == 1


@pytest.mark.parametrize("mode", ["sampled", "always", "never"])
def test_which_parent_goes_first(tmp_path: Path, collector: Collector, mode: str) -> None:
    source = app("async def handler(event, context): pass\n", xray=mode)
    w3c = {"client_context": {"w3c": {"traceparent": traceparent(0)}}}
    bad = {"client_context": {"w3c": {"traceparent": "00-nonsense"}}}
    http, multi = rest_event(traceparent=traceparent(1)), rest_event()
    multi["multiValueHeaders"] = {"Traceparent": [traceparent(3)], "x": []}
    by_xray = XRAY[2] if mode != "never" else None
    cases: list[tuple[Any, dict[str, Any], tuple[str, str] | None]] = [
        (http, {**w3c, "trace_id": xray(2)}, W3C[0]),
        (http, {"trace_id": xray(2)}, W3C[1]),
        (http, {**bad, "trace_id": xray(2)}, W3C[1]),
        (multi, {"trace_id": xray(2)}, W3C[3]),
        (rest_event(traceparent="nonsense"), {"trace_id": xray(2)}, by_xray),
        (rest_event(), {**bad, "trace_id": xray(2)}, by_xray),
        ({"headers": "none"}, {"trace_id": xray(2)}, by_xray),
        ([], {"trace_id": "Root=1-5759e988-bd862e3fe1be46a994272793"}, None),
        ([], {"trace_id": xray(2).replace("Parent=0", "Parent=")}, None),
        ([], {"trace_id": "Root=;Parent;Sampled=1;;=;"}, None),
        ([], {"trace_id": ""}, None),
    ]
    with serving(tmp_path, source, slots=2, **environ(collector)) as served:
        ids = [served.invoke(event, **more).request_id for event, more, _ in cases]
        unsampled = served.invoke(trace_id=xray(4, "0")).request_id
    found = {span.invocation: span for span in collector.spans()}
    for request_id, (event, more, parent) in zip(ids, cases, strict=True):
        span = found[request_id]
        assert span.parent == (parent[1] if parent else ""), (event, more)
        assert parent is None or span.trace_id == parent[0]
    # The platform's word that X-Ray does not record is not the function's own sampling decision.
    assert (unsampled in found) == (mode != "always")
    if unsampled in found:
        assert found[unsampled].parent == ""


HOSTILE = "class Hostile(Exception):\n    def __str__(self): raise SystemExit(3)\n"


@both
def test_errors(tmp_path: Path, collector: Collector, a: str) -> None:
    source = app(f"""
{HOSTILE}
class Sold(Exception): pass
{a}def handler(event, context):
    if event == "raises":
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise Sold("out") from error
    if event == "built in": raise ValueError("no good")
    if event == "exits": raise SystemExit(3)
    if event == "hostile": raise Hostile
    if event == "no result": return object()
    if event == "late": {"await asyncio.Event().wait()" if a else "threading.Event().wait(20)"}
    return "fine"
""")
    expected = {
        "raises": ("app.Sold", "out"),
        "built in": ("ValueError", "no good"),
        "exits": ("SystemExit", "3"),
        "hostile": ("Runtime.Unknown", "an error that cannot be described"),
        "no result": ("Runtime.MarshalError", None),
        "no event": ("Runtime.UnmarshalError", None),
        "late": ("Function.TimedOut", "Task timed out: it was not done 50 ms before its deadline"),
    }
    with serving(tmp_path, source, slots=4, **environ(collector)) as served:
        ids = {}
        for what in expected:
            outcome = served.invoke(b"{" if what == "no event" else what, timeout_s=0.5 if what == "late" else 20)
            assert outcome.kind == "error"
            ids[outcome.request_id] = what
        fine = served.invoke().request_id
        found = {span.invocation: span for span in collector.wait_for(len(expected) + 1)}
    assert found.keys() == {*ids, fine}
    for request_id, what in ids.items():
        span, (kind, message) = found[request_id], expected[what]
        [(name, event)] = span.events
        assert (span.status, name) == (ERROR, "exception")
        assert span.attributes[error_attributes.ERROR_TYPE] == event[exception_attributes.EXCEPTION_TYPE] == kind
        assert span.message == event[exception_attributes.EXCEPTION_MESSAGE]
        assert message is None or span.message == message
        stack = event[exception_attributes.EXCEPTION_STACKTRACE]
        if what == "raises":
            assert 0 < stack.index("in handler") < stack.index("KeyError: 'inner'") < stack.index("app.Sold: out")
        if what == "late":
            assert "in handler" in stack
            assert 400_000_000 < span.end - span.start < 5_000_000_000
    assert (found[fine].status, found[fine].events) == (UNSET, [])


def sqs_record(**more: Any) -> dict[str, Any]:
    return {"messageId": "m", "body": "", "eventSource": "aws:sqs", "attributes": {}, **more}


QUEUE = "arn:aws:sqs:us-east-1:012345678912:orders"
V2 = {
    "version": "2.0",
    "routeKey": "POST /pets/{id}",
    "rawPath": "/pets/8",
    "headers": {"user-agent": "curl/8", "x-forwarded-proto": "https"},
    "requestContext": {"http": {"method": "POST", "path": "/pets/8", "userAgent": "curl/8"}},
}
LOAD_BALANCER = {
    "httpMethod": "GET",
    "path": "/health",
    "multiValueHeaders": {"User-Agent": ["probe/1", "probe/2"]},
    "requestContext": {"elb": {"targetGroupArn": "x"}},
}
TRIGGERS: dict[str, tuple[Any, str, str, int, dict[str, Any]]] = {
    # event, faas.trigger, name and kind of the span, more attributes
    "rest": (
        rest_event(**{"User-Agent": "okhttp 3.0", "X-Forwarded-Proto": "https"}),
        "http",
        "/pets/{id}",
        SERVER,
        {
            http_attributes.HTTP_REQUEST_METHOD: "GET",
            http_attributes.HTTP_ROUTE: "/pets/{id}",
            http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
            url_attributes.URL_PATH: "/pets/7",
            url_attributes.URL_SCHEME: "https",
            user_agent.USER_AGENT_ORIGINAL: "okhttp 3.0",
        },
    ),
    "http api": (
        V2,
        "http",
        "/pets/{id}",
        SERVER,
        {
            http_attributes.HTTP_REQUEST_METHOD: "POST",
            http_attributes.HTTP_ROUTE: "/pets/{id}",
            http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
            url_attributes.URL_PATH: "/pets/8",
            url_attributes.URL_SCHEME: "https",
            user_agent.USER_AGENT_ORIGINAL: "curl/8",
        },
    ),
    "load balancer": (
        LOAD_BALANCER,
        "http",
        "test_function",
        SERVER,
        {
            http_attributes.HTTP_REQUEST_METHOD: "GET",
            http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
            url_attributes.URL_PATH: "/health",
            user_agent.USER_AGENT_ORIGINAL: "probe/1",
        },
    ),
    "sqs": (
        {"Records": [sqs_record(eventSourceARN=QUEUE, attributes={"AWSTraceHeader": xray(n)}) for n in range(2)]},
        "pubsub",
        "aws:sqs process",
        CONSUMER,
        {
            messaging.MESSAGING_SYSTEM: messaging.MessagingSystemValues.AWS_SQS.value,
            messaging.MESSAGING_OPERATION_TYPE: messaging.MessagingOperationTypeValues.PROCESS.value,
            messaging.MESSAGING_DESTINATION_NAME: "orders",
        },
    ),
    "sns": ({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}, "pubsub", "test_function", SERVER, {}),
    "kafka": ({"eventSource": "aws:kafka", "records": {"t-0": []}}, "pubsub", "test_function", SERVER, {}),
    "s3": ({"Records": [{"eventSource": "aws:s3", "s3": {}}]}, "datasource", "test_function", SERVER, {}),
    "timer": (
        {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
        "timer",
        "test_function",
        SERVER,
        {},
    ),
    "other": ({"Records": 5, "requestContext": [], "eventSource": []}, "other", "test_function", SERVER, {}),
    "odd records": ({"Records": [7, {"eventSource": {}}]}, "other", "test_function", SERVER, {}),
    "list": ([1], "other", "test_function", SERVER, {}),
}


def test_names_and_values_of_the_semantic_conventions(tmp_path: Path, collector: Collector) -> None:
    source = app('async def handler(event, context): return {"statusCode": 200, "n": context.aws_request_id}\n')
    with serving(tmp_path, source, slots=2, **environ(collector)) as served:
        ids = [served.invoke(event, tenant_id="blue").request_id for event, *_ in TRIGGERS.values()]
    found = {span.invocation: span for span in collector.spans()}
    assert len(found) == len(TRIGGERS)
    for first, (request_id, what) in enumerate(zip(ids, TRIGGERS, strict=True)):
        _, trigger, name, kind, more = TRIGGERS[what]
        span = found[request_id]
        assert (span.name, span.kind) == (name, kind), what
        assert span.attributes == {
            faas_attributes.FAAS_INVOCATION_ID: request_id,
            faas_attributes.FAAS_TRIGGER: trigger,
            faas_attributes.FAAS_COLDSTART: first == 0,
            cloud_attributes.CLOUD_RESOURCE_ID: ARN,
            cloud_attributes.CLOUD_REGION: "us-east-1",
            cloud_attributes.CLOUD_ACCOUNT_ID: "012345678912",
            aws_attributes.AWS_LAMBDA_INVOKED_ARN: ARN,
            "lmi_fast.tenant_id": "blue",
            **more,
        }, what
        assert faas_attributes.FaasTriggerValues(trigger)
        assert span.links == (XRAY[:2] if what == "sqs" else [])


def test_http_statuses(tmp_path: Path, collector: Collector) -> None:
    source = app("async def handler(event, context): return {'statusCode': event['status']}\n")
    statuses: list[Any] = [200, 404, 500, 503, "500", True, None]
    with serving(tmp_path, source, slots=2, **environ(collector)) as served:
        ids = [served.invoke({**rest_event(), "status": status}).request_id for status in statuses]
        plain = served.invoke({"status": 500}).request_id
    found = {span.invocation: span for span in collector.spans()}
    for request_id, status in zip(ids, statuses, strict=True):
        span, failed = found[request_id], status in (500, 503)
        assert span.attributes.get("http.response.status_code") == (status if type(status) is int else None)
        assert span.status == (ERROR if failed else UNSET)
        assert span.attributes.get("error.type") == (str(status) if failed else None)
    assert "http.response.status_code" not in found[plain].attributes  # whatever that is, it is no HTTP
    assert found[plain].status == UNSET


def test_of_an_alias_the_version_that_runs(tmp_path: Path, collector: Collector) -> None:
    source = app("async def handler(event, context): pass\n")
    variables = {"AWS_LAMBDA_FUNCTION_VERSION": "42"}
    with serving(tmp_path, source, slots=2, variables=variables, **environ(collector)) as served:
        served.result(headers={"Lambda-Runtime-Invoked-Function-Arn": f"{ARN}:live"})
        served.result(headers={"Lambda-Runtime-Invoked-Function-Arn": None})
        served.result(headers={"Lambda-Runtime-Invoked-Function-Arn": "odd"})
    live, none, odd = sorted(collector.spans(), key=lambda span: span.start)
    assert live.attributes["aws.lambda.invoked_arn"] == f"{ARN}:live"
    assert live.attributes["cloud.resource_id"] == f"{ARN}:42"
    assert "cloud.resource_id" not in none.attributes
    assert odd.attributes["cloud.resource_id"] == "odd"


@both
def test_another_thread_exports(tmp_path: Path, collector: Collector, a: str) -> None:
    source = app(f"""
threads = set()
class Noting(OTLPSpanExporter):
    def export(self, spans):
        threads.add(threading.current_thread().name)
        return super().export(spans)
    def force_flush(self, *_):
        raise AssertionError("at the end only")
provider.add_span_processor(BatchSpanProcessor(Noting()))
{a}def handler(event, context):
    return [sorted(threads), threading.current_thread().name]
""")
    with serving(tmp_path, source, slots=2, **environ(collector, 10)) as served:
        served.result()
        collector.wait_for(2)  # of both processors
        exporting, serving_one = served.result()
    assert exporting == ["OtelBatchSpanRecordProcessor"]
    assert serving_one not in exporting


@pytest.mark.parametrize("processes", ["0", "1"])
@both
def test_an_exporter_that_hangs_delays_nobody(tmp_path: Path, collector: Collector, a: str, processes: str) -> None:
    """Neither the invocations nor the end: the platform kills 500 ms after SIGTERM."""
    collector.answers.clear()
    wait = "await asyncio.Event().wait()" if a else "threading.Event().wait(20)"
    source = app(f"""
{a}def handler(event, context):
    if event == "stuck":
        print(event)
        {wait}
    return event
""")
    if processes == "1":
        source = with_global_provider(source)
    variables = {**environ(collector, 10), "LMI_FAST_PROCESSES": processes}
    with Served(tmp_path, source, slots=16, variables=variables) as served:
        served.ready()
        served.result(0)
        assert collector.asked.wait(TIMEOUT)
        # More than fit into the queue of the BatchSpanProcessor, 2048.
        pendings = [served.api.invoke(n) for n in range(3000)]
        assert [json.loads(pending.result(TIMEOUT).body) for pending in pendings] == list(range(3000))
        assert collector.spans() == []
        served.api.invoke("stuck")
        served.wait_for_output("stuck")
        began = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - began < 0.5
        assert "Queue full" in served.output


@both
def test_what_ends_with_the_environment_is_exported_too(tmp_path: Path, collector: Collector, a: str) -> None:
    wait = "await asyncio.Event().wait()" if a else "threading.Event().wait(20)"
    source = app(f"{a}def handler(event, context):\n    print('started')\n    {wait}\n", flush_ms=3000)
    with Served(tmp_path, source, slots=4, LMI_FAST_DRAIN_MS="300", **environ(collector, 60_000)) as served:
        served.ready()
        pending = served.api.invoke()
        served.wait_for_output("started")
        assert served.stop() == 0
        assert pending.result(TIMEOUT).error_type == "Runtime.Shutdown"
    [span] = collector.spans()
    assert span.attributes["error.type"] == "Runtime.Shutdown"
    assert "in handler" in span.events[0][1]["exception.stacktrace"]


@pytest.mark.parametrize("preload", ["on", "off"])
def test_several_processes(tmp_path: Path, collector: Collector, preload: str) -> None:
    """Each has a cold start of its own, and a thread of its own that exports, after the fork as well."""
    source = app(
        "async def handler(event, context):\n    await asyncio.sleep(0.05)\n    return os.getpid()\n", flush_ms=3000
    )
    variables = {**environ(collector, 60_000), "LMI_FAST_PROCESSES": "2", "LMI_FAST_PRELOAD": preload}
    with serving(tmp_path, source, slots=8, variables=variables) as served:
        pids = {json.loads(one.result(TIMEOUT).body) for one in [served.api.invoke() for _ in range(100)]}
    spans = collector.spans()
    assert len(pids) == 2
    assert Counter(span.attributes["faas.coldstart"] for span in spans) == {True: 2, False: 98}


def with_global_provider(source: str) -> str:
    assert "instrument(provider, **{" in source
    return source.replace("instrument(provider, ", "instrument(") + "trace.set_tracer_provider(provider)\n"


def test_the_global_provider_may_be_set_later(tmp_path: Path, collector: Collector) -> None:
    handler = "async def handler(event, context): return trace.get_current_span().get_span_context().is_valid\n"
    with serving(tmp_path, with_global_provider(app(handler)), slots=2, **environ(collector)) as served:
        assert served.result() is True
        assert len(collector.wait_for(1)) == 1


def test_a_propagator_that_looks_elsewhere(tmp_path: Path, collector: Collector) -> None:
    """As xray-lambda does, in the environment: it is asked where a caller has sent something, and not before."""
    source = app("""
from opentelemetry import propagate
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from lmi_fast.observe.otel import xray_parent
class Elsewhere(TextMapPropagator):
    fields = set()
    def inject(self, *args): pass
    def extract(self, carrier, context=None, getter=None):
        if trace.get_current_span(context).get_span_context().is_valid:
            return context
        found = xray_parent(os.environ["_X_AMZN_TRACE_ID"])
        return trace.set_span_in_context(trace.NonRecordingSpan(found), context)
propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), Elsewhere()]))
async def handler(event, context): pass
""")
    with serving(tmp_path, source, slots=2, **environ(collector)) as served:
        by_header = served.invoke(rest_event(traceparent=traceparent(1)), trace_id=xray(2)).request_id
        without = served.invoke(rest_event(accept="*/*"), trace_id=xray(2)).request_id
    found = {span.invocation: span for span in collector.spans()}
    assert found[by_header].parent == W3C[1][1]
    assert found[without].parent == XRAY[2][1]


def test_without_opentelemetry_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "lmi_fast").symlink_to(PACKAGE)
    made = subprocess.run(
        # Without site-packages.
        [sys.executable, "-S", "-c", "import lmi_fast.observe.otel"],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert made.returncode == 1
    last = made.stderr.splitlines()[-1]
    assert last.startswith("ImportError: lmi_fast.observe.otel needs OpenTelemetry: pip install opentelemetry-sdk")


DOCUMENT = (ROOT / "docs/opentelemetry.md").read_text()


def test_the_example_of_the_document(tmp_path: Path, collector: Collector) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    with Served(tmp_path, source, slots=4, **environ(collector, 60_000)) as served:
        served.ready()
        assert served.result({"order": 7}) == {"paid": 7}
        assert served.stop(signal.SIGTERM) == 0
    spans = {span.name: span for span in collector.wait_for(2)}
    assert spans["pay"].parent == spans["test_function"].id


def test_the_document_names_every_attribute() -> None:
    named = set(re.findall(r"`([a-z_.]+\.[a-z_.]+)`", DOCUMENT))
    used = set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', (PACKAGE / "observe/otel.py").read_text()))
    assert not {name for name in used if not name.startswith(("exception.", "aws.events", "aws.scheduler"))} - named
