"""A span for each invocation, with the stock OpenTelemetry SDK.

from lmi_fast.observe.otel import instrument
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
instrument(provider)

The AWS Lambda instrumentor of opentelemetry-python-contrib ends its span when an async handler has only been called,
and waits for the exporter after each invocation. Here the span is open for as long as the handler runs, spans that the
handler makes are its children, and exporting is left to the thread of the BatchSpanProcessor; what it still has is
exported when the process ends.
"""

from __future__ import annotations

import atexit
import threading
import traceback
from collections.abc import Mapping
from typing import Any, Literal

try:
    from opentelemetry import context as otel_context
    from opentelemetry import propagate, trace
    from opentelemetry.trace import (
        Link,
        NonRecordingSpan,
        Span,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
    )
except ImportError as error:
    raise ImportError(
        "lmi_fast.observe.otel needs OpenTelemetry: "
        "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
    ) from error

from .._version import __version__
from ..context import Context
from ..errors import FaultError
from ..hooks import Hooks, add_hooks

# Of the shutdown, in milliseconds; the platform gives the whole process 500.
FLUSH_MS = 100

XRay = Literal["sampled", "always", "never"]


def instrument(
    tracer_provider: trace.TracerProvider | None = None, *, xray: XRay = "sampled", flush_ms: int = FLUSH_MS
) -> None:
    """Makes a span for each invocation, of `tracer_provider` or of the global one. To be called at import.

    `xray`: whether the platform's X-Ray header is the parent where the caller has sent none. There always is one;
    without active tracing it says "not sampled", and with such a parent nothing is recorded: hence "sampled".
    `flush_ms`: how long the end of the process may wait for the exporter.
    """
    add_hooks(InvocationSpans(tracer_provider, xray=xray, flush_ms=flush_ms))


class InvocationSpans(Hooks):
    """The hooks that `instrument` adds. Attributes are those of the semantic conventions for FaaS and AWS Lambda
    (https://opentelemetry.io/docs/specs/semconv/faas/aws-lambda/).
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        xray: XRay = "sampled",
        flush_ms: int = FLUSH_MS,
    ) -> None:
        self._provider = tracer_provider
        self._tracer = trace.get_tracer("lmi_fast", __version__, tracer_provider)
        self._xray = xray
        self._flush_ms = flush_ms
        self._first = threading.Lock()  # taken by the first invocation, for good
        self._open: dict[Context, tuple[Span, str]] = {}

    def invocation_start(self, context: Context, event: object) -> None:
        """Begins the span, as the current one of the invocation."""
        parent = parent_of(context, event, self._xray)
        trigger = trigger_of(event)
        attributes = _of_the_context(context)
        attributes["faas.trigger"] = trigger
        attributes["faas.coldstart"] = self._first.acquire(blocking=False)
        name, kind, links = context.function_name or "invocation", SpanKind.SERVER, None
        if isinstance(event, dict):
            if trigger == "http":
                of_request = _of_the_request(event)
                name = of_request.get("http.route", name)
                attributes.update(of_request)
            elif trigger == "pubsub" and (messages := _sqs_messages(event)):
                name, kind, links = "aws:sqs process", SpanKind.CONSUMER, _links_to(messages)
                attributes.update(_of_messages(messages))
        span = self._tracer.start_span(name, parent, kind, attributes, links)
        self._open[context] = span, trigger
        otel_context.attach(trace.set_span_in_context(span, parent))  # these context variables end with the invocation

    def invocation_end(self, context: Context, result: object, seconds: float) -> None:
        """Ends the span."""
        span, trigger = self._open.pop(context, (None, ""))
        if span is not None:
            status = result.get("statusCode") if trigger == "http" and isinstance(result, dict) else None
            if type(status) is int:
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_attribute("error.type", str(status))
                    span.set_status(Status(StatusCode.ERROR))
            span.end()

    def invocation_error(self, context: Context, error: BaseException, seconds: float) -> None:
        """Ends the span, with the error."""
        span, _ = self._open.pop(context, (None, ""))
        if span is not None:
            kind, message, stack = _described(error)
            # Not record_exception(): it fails where str(error) does, and has no stack of a handler that is late.
            event = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
            span.add_event("exception", event)
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR, message))
            span.end()

    def shutdown(self) -> None:
        """Has exported what was not yet, as far as that is done in time.

        On a thread, because flushing takes as long as the exporter does, whatever it is told. What the SDK does at
        the exit of the process would wait for one that hangs as well.
        """
        provider = self._provider or trace.get_tracer_provider()
        flush = getattr(provider, "force_flush", None)
        if flush is None:
            return
        thread = threading.Thread(target=flush, args=(self._flush_ms,), name="lmi_fast-otel-flush", daemon=True)
        thread.start()
        thread.join(self._flush_ms / 1000)
        if thread.is_alive():
            atexit.unregister(getattr(provider, "shutdown", None))  # type: ignore[arg-type]


def parent_of(context: Context, event: object, xray: XRay = "sampled") -> otel_context.Context:
    """Where the span of an invocation belongs: by the trace context the caller has sent, in its client context or in
    the headers of its HTTP request; else by the X-Ray header of the platform.
    """
    carriers: list[Mapping[str, Any]] = [context.w3c()]
    if isinstance(event, dict):
        carriers.append(_headers_of(event))
    for carrier in carriers:
        if carrier:  # a propagator may look elsewhere than in the carrier
            found = propagate.extract(carrier, otel_context.Context())
            if trace.get_current_span(found).get_span_context().is_valid:
                return found
    remote = xray_parent(context.trace_id) if xray != "never" else None
    if remote is None or (xray == "sampled" and not remote.trace_flags.sampled):
        return otel_context.Context()
    return trace.set_span_in_context(NonRecordingSpan(remote), otel_context.Context())


def xray_parent(header: str | None) -> SpanContext | None:
    """The span that `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1` and its like name.
    None for any other text.
    """
    fields = dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))
    _, _, rest = fields.get("Root", "").partition("-")
    epoch, _, unique = rest.partition("-")
    parent = fields.get("Parent", "")
    try:
        trace_id, span_id = int(epoch + unique, 16), int(parent, 16)
    except ValueError:
        return None
    if [len(epoch), len(unique), len(parent)] != [8, 24, 16] or not trace_id or not span_id:
        return None
    sampled = TraceFlags.SAMPLED if fields.get("Sampled") == "1" else TraceFlags.DEFAULT
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(sampled))


def trigger_of(event: object) -> str:
    """One of the values of faas.trigger."""
    if not isinstance(event, dict):
        return "other"
    request = event.get("requestContext")
    if isinstance(request, dict) and ("httpMethod" in event or isinstance(request.get("http"), dict)):
        return "http"
    records = event.get("Records")
    first = records[0] if isinstance(records, list) and records and isinstance(records[0], dict) else event
    source = first.get("eventSource") or first.get("EventSource")  # the latter: SNS
    if source in ("aws:sqs", "aws:sns", "aws:kinesis", "aws:kafka", "SelfManagedKafka", "aws:mq", "aws:rmq"):
        return "pubsub"
    if source in ("aws:s3", "aws:dynamodb", "aws:docdb"):
        return "datasource"
    scheduled = event.get("source") in ("aws.events", "aws.scheduler") and event.get("detail-type") == "Scheduled Event"
    return "timer" if scheduled else "other"


def _of_the_context(context: Context) -> dict[str, Any]:
    attributes: dict[str, Any] = {"faas.invocation_id": context.aws_request_id}
    arn = context.invoked_function_arn
    if arn:
        attributes["aws.lambda.invoked_arn"] = arn
        parts = arn.split(":")
        if len(parts) > 4:
            attributes["cloud.region"], attributes["cloud.account.id"] = parts[3], parts[4]
        # Of an alias, the version that runs: one process may serve several of them.
        attributes["cloud.resource_id"] = ":".join(
            [*parts[:7], *(context.function_version or part for part in parts[7:8])]
        )
    if context.tenant_id:
        attributes["lmi_fast.tenant_id"] = context.tenant_id  # the conventions have no name for it
    return attributes


def _headers_of(event: dict[str, Any]) -> dict[str, Any]:
    """The headers of an HTTP request, by their names in lower case: texts, or lists of them."""
    for name, kind in (("headers", str), ("multiValueHeaders", list)):  # a load balancer sends one or the other
        headers = event.get(name)
        if isinstance(headers, dict) and headers:
            return {str(name).lower(): value for name, value in headers.items() if isinstance(value, kind)}
    return {}


def _of_the_request(event: dict[str, Any]) -> dict[str, str]:
    """Of API Gateway, both versions, function URLs and load balancers."""
    request = event["requestContext"].get("http")
    if not isinstance(request, dict):
        request = {}
    # Version 2 has "GET /pets/{id}" or "$default".
    route = event.get("resource") or str(event.get("routeKey", "")).partition(" ")[2]
    headers = {
        name: value[0] if isinstance(value, list) and value else value for name, value in _headers_of(event).items()
    }
    found = {
        "http.request.method": event.get("httpMethod") or request.get("method"),
        "http.route": route,
        "url.path": event.get("path") or event.get("rawPath"),
        "url.scheme": headers.get("x-forwarded-proto"),
        "user_agent.original": headers.get("user-agent"),
    }
    return {name: value for name, value in found.items() if value and isinstance(value, str)}


def _sqs_messages(event: dict[str, Any]) -> list[dict[str, Any]]:
    records = event.get("Records") or []
    return [record for record in records if isinstance(record, dict) and record.get("eventSource") == "aws:sqs"]


def _of_messages(messages: list[dict[str, Any]]) -> dict[str, str]:
    attributes = {"messaging.system": "aws_sqs", "messaging.operation.type": "process"}
    queues = {str(message.get("eventSourceARN", "")).rpartition(":")[2] for message in messages}
    if len(queues) == 1 and (queue := queues.pop()):
        attributes["messaging.destination.name"] = queue
    return attributes


def _links_to(messages: list[dict[str, Any]]) -> list[Link]:
    """The spans that have sent these messages."""
    headers = [
        attributes.get("AWSTraceHeader") for m in messages if isinstance(attributes := m.get("attributes"), dict)
    ]
    return [Link(sender) for header in headers if isinstance(header, str) and (sender := xray_parent(header))]


def _described(error: BaseException) -> tuple[str, str, str]:
    """Type, message and stack of an error."""
    try:
        if isinstance(error, FaultError):  # the platform's name, and where a handler stood that is late
            stack = "".join(error.stack_trace) or "".join(traceback.format_exception(error))
            return error.error_type, error.message, stack
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return name, str(error), "".join(traceback.format_exception(error))
    except BaseException:  # it is the user's class, and the span has to end
        return "Runtime.Unknown", "an error that cannot be described", ""
