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

from collections.abc import Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from .._version import __version__
from ..context import Context
from ..hooks import Hooks, add_hooks

# Of the shutdown, in milliseconds; the platform gives the whole process 500.
FLUSH_MS = 100


def instrument(tracer_provider: trace.TracerProvider | None = None, *, flush_ms: int = FLUSH_MS) -> None:
    """Makes a span for each invocation, of `tracer_provider` or of the global one. To be called at import."""
    add_hooks(InvocationSpans(tracer_provider, flush_ms=flush_ms))


class InvocationSpans(Hooks):
    """The hooks that `instrument` adds. Attributes are those of the semantic conventions for FaaS and AWS Lambda
    (https://opentelemetry.io/docs/specs/semconv/faas/aws-lambda/).
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None, *, flush_ms: int = FLUSH_MS) -> None:
        self._provider = tracer_provider or trace.get_tracer_provider()
        self._tracer = trace.get_tracer("lmi_fast", __version__, self._provider)
        self._flush_ms = flush_ms
        self._cold = True
        self._open: dict[Context, Span] = {}

    def invocation_start(self, context: Context, event: object) -> None:
        """Begins the span, as the current one of the invocation."""
        parent = parent_of(context, event)
        span = self._tracer.start_span(
            context.function_name or "invocation", parent, SpanKind.SERVER, self._attributes(context, event)
        )
        self._cold = False
        self._open[context] = span
        otel_context.attach(trace.set_span_in_context(span, parent))  # these context variables end with the invocation

    def invocation_end(self, context: Context, result: object, seconds: float) -> None:
        """Ends the span."""
        span = self._open.pop(context, None)
        if span is not None:
            status = result.get("statusCode") if isinstance(result, dict) else None
            if isinstance(status, int):
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(Status(StatusCode.ERROR))
            span.end()

    def invocation_error(self, context: Context, error: BaseException, seconds: float) -> None:
        """Ends the span, with the error."""
        span = self._open.pop(context, None)
        if span is not None:
            span.record_exception(error)
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            span.end()

    def shutdown(self) -> None:
        """Has exported what was not yet."""
        flush = getattr(self._provider, "force_flush", None)
        if flush is not None:
            flush(self._flush_ms)

    def _attributes(self, context: Context, event: object) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "faas.invocation_id": context.aws_request_id,
            "faas.trigger": trigger_of(event),
            "faas.coldstart": self._cold,
        }
        arn = context.invoked_function_arn
        if arn:
            attributes["cloud.resource_id"] = attributes["aws.lambda.invoked_arn"] = arn
            parts = arn.split(":")
            if len(parts) > 4:
                attributes["cloud.region"], attributes["cloud.account.id"] = parts[3], parts[4]
        if context.tenant_id:
            attributes["aws.lambda.tenant_id"] = context.tenant_id
        return attributes


def parent_of(context: Context, event: object) -> otel_context.Context:
    """Where the span of an invocation belongs: by the trace context the caller has sent, in its client context or in
    the headers of its HTTP request; else by the X-Ray header of the platform.
    """
    carriers: list[Mapping[str, str]] = [context.w3c()]
    headers = event.get("headers") if isinstance(event, dict) else None
    if isinstance(headers, dict):
        carriers.append({str(name).lower(): value for name, value in headers.items() if isinstance(value, str)})
    for carrier in carriers:
        found = propagate.extract(carrier, otel_context.Context())
        if trace.get_current_span(found).get_span_context().is_valid:
            return found
    remote = xray_parent(context.trace_id)
    if remote is None:
        return otel_context.Context()
    return trace.set_span_in_context(NonRecordingSpan(remote), otel_context.Context())


def xray_parent(header: str | None) -> SpanContext | None:
    """The span that an X-Ray header names: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
    None for any other text.
    """
    fields = dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))
    _, _, rest = fields.get("Root", "").partition("-")
    epoch, _, unique = rest.partition("-")
    try:
        trace_id, span_id = int(epoch + unique, 16), int(fields.get("Parent", ""), 16)
    except ValueError:
        return None
    if len(epoch) != 8 or len(unique) != 24 or not trace_id or not span_id:
        return None
    sampled = TraceFlags.SAMPLED if fields.get("Sampled") == "1" else TraceFlags.DEFAULT
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(sampled))


def trigger_of(event: object) -> str:
    """One of the values of faas.trigger."""
    if not isinstance(event, dict):
        return "other"
    if "requestContext" in event and ("httpMethod" in event or "http" in (event["requestContext"] or {})):
        return "http"
    records = event.get("Records")
    first = records[0] if isinstance(records, list) and records and isinstance(records[0], dict) else {}
    source = str(first.get("eventSource") or first.get("EventSource") or event.get("source") or "")
    if source in ("aws:sqs", "aws:sns", "aws:kinesis", "aws:kafka", "SelfManagedKafka"):
        return "pubsub"
    if source in ("aws:s3", "aws:dynamodb"):
        return "datasource"
    return "timer" if source == "aws.events" and event.get("detail-type") == "Scheduled Event" else "other"
