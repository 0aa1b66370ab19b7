"""Powertools' Logger when invocations overlap."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from ..serving import Served
from .overlapping import COUNT, both, numbers, outcomes, overlapping, results


def lines(served: Served, message: str) -> list[dict[str, Any]]:
    return [record for record in served.records() if record.get("message") == message]


KEYS = """
    from aws_lambda_powertools import Logger
    logger = Logger(service="payment")
    logger.append_keys(region="here")
    child = Logger(service="payment", child=True)
    @logger.inject_lambda_context(correlation_id_path="id", log_event=True)
    ASYNC def handler(event, context):
        n = event["n"]
        AWAIT meet()
        logger.append_keys(n=n, **{f"only_{n}": True})
        AWAIT meet()
        logger.info("first")
        child.info("of the child")
        logger.remove_keys([f"only_{n}"])
        AWAIT meet()
        with logger.append_context_keys(inner=n):
            AWAIT meet()
            logger.info("within", extra={"also": n})
        AWAIT meet()
        logger.info("last")
        return context.aws_request_id
"""


@both
def test_keys_are_those_of_one_invocation(tmp_path: Path, a: str) -> None:
    events = [{**event, "id": f"correlation-{event['n']}"} for event in numbers()]
    with overlapping(tmp_path, KEYS, a) as served:
        request_ids = results(served, events)
        for message in ("first", "within", "last", "of the child"):
            found = lines(served, message)
            assert sorted(record["n"] for record in found) == list(range(COUNT))
            for record in found:
                n = record["n"]
                assert record["function_request_id"] == record["requestId"] == request_ids[n]
                assert record["correlation_id"] == f"correlation-{n}"
                assert record["region"] == "here"
                assert record["service"] == "payment"
                assert record.get("inner") == (n if message == "within" else None)
                assert record.get("also") == (n if message == "within" else None)
                only = {f"only_{n}"} if message in ("first", "of the child") else set()
                assert {key for key in record if key.startswith("only_")} == only
        logged = [record for record in served.records() if isinstance(record.get("message"), dict)]
        assert sorted(record["message"]["n"] for record in logged) == list(range(COUNT))
        assert all(record["correlation_id"] == f"correlation-{record['message']['n']}" for record in logged)
        assert sum(record["cold_start"] for record in logged) == 1


@both
def test_without_the_adapter_keys_are_those_of_all(tmp_path: Path, a: str) -> None:
    """The tests here can fail."""
    with overlapping(tmp_path, KEYS, a, LMI_FAST_ADAPT="off") as served:
        results(served, [{**event, "id": str(event["n"])} for event in numbers()])
        assert any(record["function_request_id"] != record["requestId"] for record in lines(served, "first"))


@both
def test_keys_are_gone_with_their_invocation(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools import Logger
        logger = Logger()
        logger.append_keys(region="here")
        logger.thread_safe_append_keys(zone="there")
        @logger.inject_lambda_context(clear_state=CLEAR)
        ASYNC def handler(event, context):
            AWAIT meet()
            if event["n"] % 2:
                logger.append_keys(odd=event["n"])
                logger.thread_safe_append_keys(odd_too=event["n"])
                logger.thread_safe_remove_keys(["zone"])
            AWAIT meet()
            logger.info("done", n=event["n"])
    """
    for clear in ("False", "True"):
        with overlapping(tmp_path, source.replace("CLEAR", clear), a) as served:
            results(served, numbers())
            found = lines(served, "done")
            assert len(found) == COUNT
            for record in found:
                n = record["n"]
                assert record.get("odd") == record.get("odd_too") == (n if n % 2 else None)
                # clear_state is Powertools' own: it leaves the keys of the constructor only.
                assert record.get("region") == ("here" if clear == "False" else None)
                assert record.get("zone") == ("there" if clear == "False" and not n % 2 else None)
                assert record["function_request_id"] == record["requestId"]


BUFFER = """
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.logging.buffer import LoggerBufferConfig
    logger = Logger(buffer_config=LoggerBufferConfig(buffer_at_verbosity="INFO"))
    child = Logger(child=True)
    @logger.inject_lambda_context(flush_buffer_on_uncaught_error=True, log_event=True)
    ASYNC def handler(event, context):
        n = event["n"]
        AWAIT meet()
        logger.debug("detail", n=n)
        AWAIT meet()
        logger.info("more", n=n)
        AWAIT meet()
        if n % 4 == 1:
            logger.error("wrong", n=n)
        if n % 4 == 2:
            raise ValueError(f"number {n}")
        if n % 4 == 3:
            logger.flush_buffer()
"""


@both
def test_buffered_records_are_flushed_with_their_invocation(tmp_path: Path, a: str) -> None:
    with overlapping(tmp_path, BUFFER, a) as served:
        found = outcomes(served, numbers())
        assert [outcome.kind == "error" for outcome in found] == [n % 4 == 2 for n in range(COUNT)]
        owners = {outcome.request_id: n for n, outcome in enumerate(found)}
        for message in ("detail", "more"):
            logged = lines(served, message)
            assert sorted(record["n"] for record in logged) == [n for n in range(COUNT) if n % 4]
            assert all(owners[record["requestId"]] == record["n"] for record in logged)
            assert all(record["function_request_id"] == record["requestId"] for record in logged)
        events = [record for record in served.records() if isinstance(record.get("message"), dict)]
        assert sorted(record["message"]["n"] for record in events) == [n for n in range(COUNT) if n % 4]
        assert sorted(record["n"] for record in lines(served, "wrong")) == list(range(1, COUNT, 4))


@both
def test_without_the_adapter_buffers_are_thrown_away(tmp_path: Path, a: str) -> None:
    """The test before can fail."""
    with overlapping(tmp_path, BUFFER, a, LMI_FAST_ADAPT="off") as served:
        outcomes(served, numbers())
        assert len(lines(served, "detail")) < COUNT * 3 // 4


@both
def test_a_sampled_invocation_is_the_only_one_that_is_logged_at_debug(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools import Logger
        logger = Logger(sampling_rate=0.5)
        @logger.inject_lambda_context
        ASYNC def handler(event, context):
            AWAIT meet()
            for _ in range(3):
                logger.debug("detail")
                AWAIT meet()
            logger.info("whole")
    """
    with overlapping(tmp_path, source, a) as served:
        results(served, numbers())
        details: defaultdict[str, int] = defaultdict(int)
        for record in lines(served, "detail"):
            details[record["requestId"]] += 1
        assert len(lines(served, "whole")) == COUNT
        assert set(details.values()) == {3}
        assert COUNT // 4 < len(details) < COUNT * 3 // 4


@both
def test_a_logger_that_is_made_within_an_invocation_is_right_in_all(tmp_path: Path, a: str) -> None:
    """Modules are imported within handlers, too."""
    (tmp_path / "late.py").write_text(
        "from aws_lambda_powertools import Logger\nlogger = Logger(service='late')\nlogger.info('imported')\n"
    )
    source = """
        ASYNC def handler(event, context):
            AWAIT meet()
            from late import logger
            logger.append_keys(n=event["n"])
            AWAIT meet()
            logger.info("done")
            return context.aws_request_id
    """
    with overlapping(tmp_path, source, a) as served:
        request_ids = results(served, numbers())
        found = lines(served, "done")
        assert sorted(record["n"] for record in found) == list(range(COUNT))
        for record in found:
            assert record["requestId"] == request_ids[record["n"]]
            assert record["service"] == "late"
            assert record["level"] == "INFO"


@both
def test_tasks_and_threads_log_with_the_keys_of_their_invocation(tmp_path: Path, a: str) -> None:
    source = """
        from concurrent.futures import ThreadPoolExecutor
        from aws_lambda_powertools import Logger
        logger = Logger()
        executor = ThreadPoolExecutor(8)
        def work(n):
            logger.info("worked", n=n)
        async def task(n):
            await asyncio.sleep(0)
            work(n)
        @logger.inject_lambda_context
        ASYNC def handler(event, context):
            n = event["n"]
            logger.append_keys(mine=n)
            AWAIT meet()
            if IS_ASYNC:
                AWAIT asyncio.gather(task(n), task(n), asyncio.to_thread(work, n))
            else:
                thread = threading.Thread(target=work, args=(n,))
                thread.start()
                list(executor.map(work, [n, n]))
                thread.join()
    """
    with overlapping(tmp_path, source, a) as served:
        results(served, numbers())
        found = lines(served, "worked")
        assert sorted(record["n"] for record in found) == sorted([*range(COUNT)] * 3)
        assert all(record["mine"] == record["n"] for record in found)
        assert all(record["function_request_id"] == record["requestId"] for record in found)


@both
def test_loggers_that_were_given_the_configuration_of_another(tmp_path: Path, a: str) -> None:
    source = """
        import logging
        from aws_lambda_powertools import Logger
        from aws_lambda_powertools.logging import utils
        logger = Logger(service="payment")
        other = logging.getLogger("other")
        utils.copy_config_to_registered_loggers(source_logger=logger, include={"other"})
        @logger.inject_lambda_context
        ASYNC def handler(event, context):
            logger.append_keys(mine=event["n"])
            AWAIT meet()
            other.info("from the other", extra={"n": event["n"]})
    """
    with overlapping(tmp_path, source, a) as served:
        results(served, numbers())
        found = lines(served, "from the other")
        assert sorted(record["n"] for record in found) == list(range(COUNT))
        assert all(record["mine"] == record["n"] and record["name"] == "other" for record in found)
        assert all(record["function_request_id"] == record["requestId"] for record in found)
