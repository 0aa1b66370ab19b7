"""Powertools' batch processors when invocations overlap: one processor, made at import, and many batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .overlapping import COUNT, both, outcomes, overlapping, results

RECORDS = 6


def batch(n: int, fails: tuple[int, ...] = ()) -> dict[str, Any]:
    """A batch for SQS, of which those records fail."""
    return {
        "n": n,
        "Records": [
            {
                "messageId": f"{n}-{part}",
                "body": json.dumps({"n": n, "part": part, "fails": part in fails}),
                "attributes": {"MessageGroupId": f"group-{part % 3}"},
                "eventSource": "aws:sqs",
            }
            for part in range(RECORDS)
        ],
    }


def failing(n: int) -> tuple[int, ...]:
    """Of batch n: none, one or several; every seventh fails entirely."""
    return tuple(range(RECORDS)) if n % 7 == 6 else tuple(range(n % 5))


def failures(n: int, parts: tuple[int, ...]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"{n}-{part}"} for part in parts]}


PLAIN = """
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
    processor = BatchProcessor(event_type=EventType.SQS)
    def record_handler(record, lambda_context):
        meet()
        event = record.json_body
        assert lambda_context.aws_request_id == lmi_fast.current().aws_request_id
        if event["fails"]:
            raise ValueError(f"record {event['n']}-{event['part']}")
        return event["n"]
    def handler(event, context):
        answer = process_partial_response(event, record_handler, processor, context)
        assert {record["messageId"].split("-")[0] for record in processor.success_messages} <= {str(event["n"])}
        assert len(processor.success_messages) + len(processor.fail_messages) == 6
        return answer
"""


def test_partial_responses_of_plain_handlers(tmp_path: Path) -> None:
    with overlapping(tmp_path, PLAIN, "") as served:
        found = outcomes(served, [batch(n, failing(n)) for n in range(COUNT)])
    for n, outcome in enumerate(found):
        if n % 7 == 6:
            report = json.loads(outcome.body)
            assert (outcome.kind, report["errorType"]) == ("error", "BatchProcessingError")
            assert all(f"record {n}-{part}" in report["errorMessage"] for part in range(RECORDS))
        else:
            assert json.loads(outcome.body) == failures(n, failing(n))


def test_without_the_adapter_a_batch_reports_the_failures_of_another(tmp_path: Path) -> None:
    """The test before can fail."""
    with overlapping(tmp_path, PLAIN, "", LMI_FAST_ADAPT="off") as served:
        found = outcomes(served, [batch(n, (n % RECORDS,)) for n in range(50)])
    assert any(json.loads(each.body) != failures(n, (n % RECORDS,)) for n, each in enumerate(found))


@pytest.mark.parametrize("skips", [False, True])
def test_batches_of_fifo_queues(tmp_path: Path, skips: bool) -> None:
    source = f"""
        from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
        processor = SqsFifoPartialProcessor(skip_group_on_error={skips})
        def record_handler(record):
            event = record.json_body
            if event["part"] < 2:
                meet()
            if event["fails"]:
                raise ValueError(event["n"])
        def handler(event, context):
            return process_partial_response(event, record_handler, processor, context)
    """
    with overlapping(tmp_path, source, "") as served:
        found = results(served, [batch(n, (1 + n % 3,)) for n in range(COUNT)])
    for n, answer in enumerate(found):
        first = 1 + n % 3
        failed = {1: (1, 4), 2: (2, 5), 3: (3,)}[first] if skips else range(first, RECORDS)
        assert answer == failures(n, tuple(failed))


CONCURRENT = """
    from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor, EventType
    from lmi_fast.observe.batch import process_partial_response
    processor = AsyncBatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    async def record_handler(record, lambda_context):
        event = record.json_body
        if IS_ASYNC:
            await meet()
        else:
            await asyncio.sleep(0)
        assert lambda_context.aws_request_id == lmi_fast.current().aws_request_id
        if event["fails"]:
            raise ValueError(event["n"])
"""


def same_failures(answer: dict[str, Any], n: int, parts: tuple[int, ...]) -> bool:
    """They are in the order in which they failed."""
    answer["batchItemFailures"].sort(key=lambda item: item["itemIdentifier"])
    return answer == failures(n, parts)


def test_partial_responses_of_async_handlers(tmp_path: Path) -> None:
    source = (
        CONCURRENT
        + """
    async def handler(event, context):
        return await process_partial_response(event, record_handler, processor, context)
    """
    )
    with overlapping(tmp_path, source, "async ") as served:
        found = results(served, [batch(n, failing(n)) for n in range(COUNT)])
        assert "async_process_partial_response" not in served.output
    assert all(same_failures(answer, n, failing(n)) for n, answer in enumerate(found))


@pytest.mark.parametrize("task_root", ["", "."])
def test_async_records_of_plain_handlers(tmp_path: Path, task_root: str) -> None:
    """With a task root, as in Lambda, each thread keeps an event loop."""
    source = (
        CONCURRENT
        + """
    from aws_lambda_powertools.utilities.batch import async_process_partial_response
    def handler(event, context):
        meet()
        answer = async_process_partial_response(event, record_handler, processor, context)
        meet()
        return answer
    """
    )
    with overlapping(tmp_path, source, "", variables={"LAMBDA_TASK_ROOT": task_root} if task_root else {}) as served:
        found = results(served, [batch(n, failing(n)) for n in range(COUNT)])
        assert "runs an event loop of its own" not in served.output
    assert all(same_failures(answer, n, failing(n)) for n, answer in enumerate(found))


def test_what_cannot_be_called_in_an_async_handler(tmp_path: Path) -> None:
    source = (
        CONCURRENT
        + """
    from aws_lambda_powertools.utilities.batch import async_process_partial_response as renamed
    async def handler(event, context):
        return renamed(event, record_handler, processor, context)
    """
    )
    with overlapping(tmp_path, source, "async ") as served:
        (warning,) = [record for record in served.records() if record.get("level") == "WARNING"]
        assert warning["logger"] == "lmi_fast"
        for told in (warning["message"], json.loads(outcomes(served, [batch(1)])[0].body)["errorMessage"]):
            assert "async_process_partial_response" in told
            assert "await lmi_fast.observe.batch.process_partial_response(" in told


def test_in_a_thread_it_can(tmp_path: Path) -> None:
    source = (
        CONCURRENT
        + """
    from aws_lambda_powertools.utilities import batch
    async def handler(event, context):
        return await asyncio.to_thread(
            batch.async_process_partial_response, event, own_handler, processor, context
        )
    async def own_handler(record):
        await asyncio.sleep(0)
        if record.json_body["fails"]:
            raise ValueError
    """
    )
    with overlapping(tmp_path, source, "async ") as served:
        found = results(served, [batch(n, failing(n)) for n in range(COUNT)])
    assert all(same_failures(answer, n, failing(n)) for n, answer in enumerate(found))


@both
def test_a_processor_as_a_context_manager(tmp_path: Path, a: str) -> None:
    """Plain records, in an async handler too; and a processor that is made within it."""
    source = """
        from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
        processor = BatchProcessor(event_type=EventType.SQS)
        def record_handler(record):
            if record.json_body["fails"]:
                raise ValueError
            return record.json_body["n"]
        ASYNC def handler(event, context):
            AWAIT meet()
            with processor(event["Records"], record_handler):
                AWAIT meet()
                processed = processor.process()
                AWAIT meet()
            AWAIT meet()
            own = BatchProcessor(event_type=EventType.SQS)
            with own(event["Records"], record_handler, lambda_context=context):
                own.process()
            assert own.response() == processor.response()
            return [each[1] for each in processed if each[0] == "success"], processor.response()
    """
    with overlapping(tmp_path, source, a) as served:
        found = results(served, [batch(n, tuple(range(n % 5))) for n in range(COUNT)])
    for n, (values, answer) in enumerate(found):
        assert values == [n] * (RECORDS - n % 5)
        assert answer == failures(n, tuple(range(n % 5)))
