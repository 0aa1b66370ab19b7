"""Powertools' parser, and middlewares made with lambda_handler_decorator, when invocations overlap."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from ..serving import serving
from .overlapping import COUNT, both, numbers, outcomes, overlapping, results

PARSER = """
    from pydantic import BaseModel
    from aws_lambda_powertools.utilities.parser import event_parser, envelopes
    class Order(BaseModel):
        n: int
    @event_parser(OPTIONS)
    ASYNC def handler(event: TYPE, context):
        assert context.aws_request_id == lmi_fast.current().aws_request_id
        AWAIT meet()
        return RESULT
"""


@both
def test_events_are_parsed(tmp_path: Path, a: str) -> None:
    for options in ("model=Order", ""):
        source = PARSER.replace("OPTIONS", options).replace("TYPE", "Order").replace("RESULT", "[event.n]")
        with overlapping(tmp_path, source, a) as served:
            # An event that does not fit fails, and nobody waits for it.
            events = [{"n": n if n < COUNT else "none"} for n in range(COUNT + 20)]
            found = outcomes(served, events)
        assert [json.loads(each.body) for each in found[:COUNT]] == [[n] for n in range(COUNT)]
        assert all(b"ValidationError" in each.body for each in found[COUNT:])


@both
def test_events_are_taken_out_of_envelopes(tmp_path: Path, a: str) -> None:
    source = PARSER.replace("OPTIONS", "model=Order, envelope=envelopes.EventBridgeEnvelope").replace("TYPE", "Order")
    events = [
        {
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": "order",
            "source": "shop",
            "account": "111122223333",
            "time": "2020-10-22T18:43:48Z",
            "region": "us-west-1",
            "resources": [],
            "detail": {"n": n},
        }
        for n in range(COUNT)
    ]
    with overlapping(tmp_path, source.replace("RESULT", "event.n"), a) as served:
        assert results(served, events) == [*range(COUNT)]


@both
def test_data_classes(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
        @event_source(data_class=EventBridgeEvent)
        ASYNC def handler(event, context):
            AWAIT meet()
            return event.detail["n"]
    """
    with overlapping(tmp_path, source, a) as served:
        assert results(served, [{"detail": {"n": n}} for n in range(COUNT)]) == [*range(COUNT)]


MIDDLEWARE = """
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.middleware_factory import lambda_handler_decorator
    logger = Logger()
    @lambda_handler_decorator
    def around(handler, event, context, name="around"):
        assert context is lmi_fast.current()
        logger.append_keys(n=event["n"])
        try:
            answer = handler(event, context)
        except ValueError as error:
            answer = [str(error)]
        logger.info(name)
        return [name, *answer]
    @lambda_handler_decorator
    def before(handler, event, context):
        return handler({**event, "before": event["n"]}, context)
    @around(name="outer")
    @before
    @around
    ASYNC def handler(event, context):
        AWAIT meet()
        assert context is lmi_fast.current()
        assert logger.get_current_keys()["n"] == event["before"] == event["n"]
        if IS_ASYNC:
            AWAIT asyncio.to_thread(logger.info, "within")
        if event["n"] % 4 == 0:
            raise ValueError(f"number {event['n']}")
        return [event["n"]]
"""


@both
def test_middlewares_have_the_result_of_the_handler(tmp_path: Path, a: str) -> None:
    with overlapping(tmp_path, MIDDLEWARE, a) as served:
        for n, found in enumerate(results(served, numbers())):
            assert found == ["outer", "around", n if n % 4 else f"number {n}"]
        logged = Counter((record["message"], record["n"]) for record in served.records() if "n" in record)
        for message in ["outer", "around", *(["within"] if a else [])]:
            assert [logged[message, n] for n in range(COUNT)] == [1] * COUNT


def test_without_the_adapter_they_have_a_coroutine(tmp_path: Path) -> None:
    """The test before can fail."""
    with overlapping(tmp_path, MIDDLEWARE, "async ", LMI_FAST_ADAPT="off") as served:
        assert all(each.kind == "error" for each in outcomes(served, numbers(50)))


def test_async_middlewares(tmp_path: Path) -> None:
    source = """
        from aws_lambda_powertools.middleware_factory import lambda_handler_decorator
        @lambda_handler_decorator
        async def around(handler, event, context):
            assert threading.current_thread() is threading.main_thread()
            return ["around", *(await handler(event, context))]
        @around
        async def handler(event, context):
            await meet()
            return [event["n"]]
    """
    with overlapping(tmp_path, source, "async ") as served:
        assert results(served, numbers()) == [["around", n] for n in range(COUNT)]


def test_a_handler_that_is_late_is_cancelled_within_its_middlewares(tmp_path: Path) -> None:
    source = """
        from aws_lambda_powertools.middleware_factory import lambda_handler_decorator
        cancelled = asyncio.Event()
        @lambda_handler_decorator
        def around(handler, event, context):
            return handler(event, context)
        @around
        async def handler(event, context):
            if event == "was it?":
                return await asyncio.wait_for(cancelled.wait(), 10)
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
    """
    with overlapping(tmp_path, source, "async ", 2) as served:
        assert b"Function.TimedOut" in served.invoke("wait", timeout_s=0.3).body
        assert served.result("was it?") is True


@both
def test_an_invocation_is_gone_when_it_has_ended(tmp_path: Path, a: str) -> None:
    """With all that it has kept: nothing waits for the garbage collector."""
    source = """
        import gc, weakref
        from aws_lambda_powertools import Logger, Metrics, Tracer
        from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
        from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
        logger, metrics, tracer = Logger(), Metrics(namespace="test", service="payment"), Tracer()
        app = APIGatewayHttpResolver()
        processor = BatchProcessor(event_type=EventType.SQS)
        ended = weakref.WeakSet()
        def record_handler(record, lambda_context):
            pass
        @app.post("/orders/<n>")
        ASYNC def order(n):
            return app.lambda_context.aws_request_id
        @logger.inject_lambda_context
        @metrics.log_metrics
        @tracer.capture_lambda_handler
        ASYNC def handler(event, context):
            gc.disable()
            metrics.add_metric(name="Number", unit="Count", value=1)
            process_partial_response({"Records": [{"messageId": "1"}]}, record_handler, processor, context)
            answer = AWAIT RESOLVE(event, context)
            assert context.aws_request_id in answer["body"]
            assert processor.lambda_context is app.lambda_context is context
            ended.add(context)
            return len(ended)
    """.replace("RESOLVE", "app.resolve_async" if a else "app.resolve")
    event = {
        "rawPath": "/orders/1",
        "version": "2.0",
        "requestContext": {"stage": "$default", "http": {"method": "POST", "path": "/orders/1"}},
    }
    with overlapping(tmp_path, source, a, slots=1) as served:
        assert [served.result(event) for _ in range(20)] == [1] * 20


def test_a_version_that_is_not_known_is_left_as_it_is(tmp_path: Path) -> None:
    package = tmp_path / "aws_lambda_powertools" / "middleware_factory"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "factory.py").write_text("def middleware(handler):\n    return handler\n")
    source = """
        from aws_lambda_powertools.middleware_factory.factory import middleware
        @middleware
        async def handler(event, context):
            return event
    """
    with serving(tmp_path, source) as served:
        assert served.result(1) == 1
        (warning,) = [record for record in served.records() if record.get("level") == "WARNING"]
        assert "aws_lambda_powertools.middleware_factory.factory is of a version that" in warning["message"]
