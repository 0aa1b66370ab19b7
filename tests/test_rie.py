"""Under AWS's own runtime interface emulator, the referee."""

from __future__ import annotations

import json
from typing import Any

import pytest

from . import sam_wheel
from .conftest import HAVE_COMPILED
from .rie import Rie, python_bootstrap, require_rie
from .serving import ROOT, TIMEOUT

KINDS = ["pure", *(["compiled"] if HAVE_COMPILED else [])]
both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
twins = pytest.mark.parametrize("kind", KINDS)
BOOTSTRAP = python_bootstrap("-m", "lmi_fast", path=[ROOT, "/var/task"])


@pytest.fixture(autouse=True)
def _needs_the_emulator() -> None:
    require_rie()


def rie(source: str, slots: int | None, **more: Any) -> Rie:
    return Rie({"app.py": source}, bootstrap=BOOTSTRAP, max_concurrency=slots, **more)


def canonical(text: bytes) -> str:
    """The same for texts that are equal as JSON, order of keys included."""
    return json.dumps(json.loads(text))


@both
@twins
def test_every_sample_event_of_aws_comes_back(a: str, kind: str) -> None:
    """Sixteen at a time on sixteen slots. The platform has no queue: what comes while no poll is parked it refuses, and
    is sent again.
    """
    events = sam_wheel.sample_events()
    assert len(events) > 50
    source = f"{a}def handler(event, context): return event\n"
    with rie(source, 16, env={"LMI_FAST_TWINS": kind}) as emulator:
        emulator.wait_for_polls(16, TIMEOUT)
        left = dict(events)
        while left:
            replies = dict(zip(left, emulator.invoke_many(left.values(), 16), strict=True))
            left = {name: events[name] for name, reply in replies.items() if reply.error_type == "Runtime.Unavailable"}
            assert len(left) < len(replies)
            for name in replies.keys() - left.keys():
                assert replies[name].status == 200, (name, replies[name])
                assert replies[name].error_type is None, (name, replies[name])
                assert canonical(replies[name].body) == canonical(events[name]), name


def test_a_handler_that_waits_is_served_many_at_once() -> None:
    """50 ms of waiting, 64 slots, 32 clients: 640 invocations a second is all there can be; over 500 must be."""
    source = "import asyncio\nasync def handler(event, context):\n    await asyncio.sleep(0.05)\n    return event\n"
    with rie(source, 64, log_level="info") as emulator:
        emulator.invoke_many([b"{}"] * 64, 32)  # warm
        replies = emulator.invoke_many([b'{"a": 1}'] * 2000, 32)
    assert [reply.error_type for reply in replies if reply.status != 200 or reply.error_type] == []
    assert {reply.body for reply in replies} == {b'{"a":1}'}
    # Each of the 32 clients waits for its own replies only, so the sum of these is 32 times the wall time.
    per_second = len(replies) / (sum(reply.seconds for reply in replies) / 32)
    assert per_second > 500


@both
def test_six_megabytes_in_both_directions(a: str) -> None:
    with rie(f"{a}def handler(event, context): return event\n", 2) as emulator:
        text = json.dumps("x" * 6_000_000).encode()
        assert emulator.invoke(text).body == text
        # The limit of a response counts its quotes.
        source_size = 6 * 1024 * 1024 + 100
        assert len(emulator.invoke(json.dumps("x" * (source_size - 2)).encode()).body) == source_size
        refused = emulator.invoke(json.dumps("x" * (source_size - 1)).encode(), patience=TIMEOUT)
        assert refused.error_type == "Function.ResponseSizeTooLarge"
        assert "exceeded maximum allowed payload size" in refused.json()["errorMessage"]
        assert emulator.invoke(b"5", patience=TIMEOUT).body == b"5"


@both
def test_errors_have_a_type_the_platform_keeps(a: str) -> None:
    source = f"{a}def handler(event, context):\n    raise (ValueError if event else SystemExit)('no such user')\n"
    with rie(source, 2) as emulator:
        for event, name in ((b"1", "ValueError"), (b"0", "SystemExit")):
            for _ in range(3):
                reply = emulator.invoke(event, patience=TIMEOUT)
                assert reply.error_type == f"Function.{name}"
                report = reply.json()
                assert (report["errorType"], report["errorMessage"]) == (name, "no such user")
                assert 'File "/var/task/app.py", line 2, in handler' in report["stackTrace"][0]


@both
def test_context_under_the_emulator(a: str) -> None:
    source = f"""
{a}def handler(event, context):
    return [context.aws_request_id, context.client_context and context.client_context.custom, context.function_version,
            context.identity.cognito_identity_id, context.get_remaining_time_in_millis() > 0]
"""
    with rie(source, 2) as emulator:
        got = emulator.invoke(b"{}", {"X-Amzn-RequestId": "f7b0c9d4-1111-2222-3333-444455556666"}).json()
        assert got == ["f7b0c9d4-1111-2222-3333-444455556666", None, "$LATEST", None, True]


@both
def test_lambda_default_mode(a: str) -> None:
    source = f"import os\n{a}def handler(event, context): return [event, 'AWS_LAMBDA_MAX_CONCURRENCY' in os.environ]\n"
    with rie(source, None) as emulator:
        for number in range(5):
            assert emulator.invoke(str(number).encode()).json() == [number, False]


def test_an_init_error_reaches_the_platform() -> None:
    with rie("1 / 0\n", 2, ready=False) as emulator:
        assert emulator.wait(TIMEOUT) == 1
        assert "ZeroDivisionError" in emulator.logs()


@both
def test_logs_go_through_the_emulator(a: str) -> None:
    source = f"""
import logging
{a}def handler(event, context):
    logging.warning("number %s", event)
"""
    with rie(source, 4) as emulator:
        for number in range(10):
            assert emulator.invoke(str(number).encode(), patience=TIMEOUT).body == b"null"
        emulator.wait_for_log("number 9", TIMEOUT)
        records = [json.loads(line) for line in emulator.runtime_logs() if '"number ' in line]
        assert [record["message"] for record in records] == [f"number {number}" for number in range(10)]
        assert len({record["requestId"] for record in records}) == 10


@both
def test_a_long_log_line_wedges_nothing(a: str) -> None:
    """The emulator stops reading the output of a process that has written a line of 64 KiB."""
    source = f"""
import logging
{a}def handler(event, context):
    logging.warning("long " + "x" * event)
    context.log("text " + "y" * event)
    for _ in range(50):
        logging.warning("z" * 20_000)
    if event > 1000:
        raise ValueError("w" * event)
"""
    with rie(source, 4) as emulator:
        for size in (10, 64_000, 65_535, 65_536, 70_000, 1_000_000):
            reply = emulator.invoke(str(size).encode(), patience=TIMEOUT)
            assert reply.error_type == ("Function.ValueError" if size > 1000 else None)
        assert emulator.invoke(b"1", patience=TIMEOUT).body == b"null"
        emulator.wait_for_log("text y", TIMEOUT)
