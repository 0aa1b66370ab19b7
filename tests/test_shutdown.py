"""The end of the environment: what runs may end or is answered for, what was opened is closed, the exit code is 0."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from lmi_fast.emulator import Raw

from .rie import Rie, python_bootstrap, require_rie
from .serving import ROOT, TIMEOUT, Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])

SOURCE = """
    import asyncio, pathlib, time
    import lmi_fast
    @lmi_fast.lifespan
    def resources():
        yield
        pathlib.Path("closed").write_text("in order")
    {a}def handler(event, context):
        print("started", flush=True)
        {wait}(event)
        return event
"""


def source(a: str) -> str:
    return SOURCE.format(a=a, wait="await asyncio.sleep" if a else "time.sleep")


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_handlers_may_end(tmp_path: Path, a: str, number: int) -> None:
    with Served(tmp_path, source(a), slots=4, LMI_FAST_DRAIN_MS="5000") as served:
        served.ready()
        calls = [served.api.invoke(0.4) for _ in range(3)]
        served.wait_for_output("started", 3)
        began = time.monotonic()
        served.process.send_signal(number)
        assert [call.result(TIMEOUT).body for call in calls] == [b"0.4"] * 3
        assert served.exit_code() == 0
        assert time.monotonic() - began < 2.0
        assert (tmp_path / "closed").read_text() == "in order"
        assert served.api.stats.parked == 0


@both
@pytest.mark.parametrize("twins", ["auto", "pure"])
def test_what_does_not_end_in_time_is_answered_for(tmp_path: Path, a: str, twins: str) -> None:
    with Served(tmp_path, source(a), slots=4, LMI_FAST_DRAIN_MS="600", LMI_FAST_TWINS=twins) as served:
        served.ready()
        calls = [served.api.invoke(20) for _ in range(3)]
        quick = served.api.invoke(0.2)
        served.wait_for_output("started", 4)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert quick.result(TIMEOUT).body == b"0.2"
        for call in calls:
            outcome = call.result(TIMEOUT)
            assert outcome.error_type == "Runtime.Shutdown", outcome
            assert b"in handler" in outcome.body
        assert 0.3 < time.monotonic() - began < 0.7
        assert served.exit_code() == 0
        assert time.monotonic() - began < 1.0
        assert (tmp_path / "closed").read_text() == "in order"


@both
def test_by_default_all_is_over_before_the_platform_kills(tmp_path: Path, a: str) -> None:
    with Served(tmp_path, source(a), slots=4) as served:
        served.ready()
        calls = [served.api.invoke(20) for _ in range(4)]
        served.wait_for_output("started", 4)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert served.exit_code() == 0
        assert time.monotonic() - began < 0.5
        assert {call.result(TIMEOUT).error_type for call in calls} == {"Runtime.Shutdown"}


def test_in_default_mode_a_plain_handler_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """It runs on the main thread, which the signal interrupts."""
    with Served(tmp_path, source(""), slots=None) as served:
        served.ready()
        call = served.api.invoke(20)
        served.wait_for_output("started")
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        outcome = call.result(TIMEOUT)
        assert outcome.error_type == "Runtime.Shutdown"
        assert "in handler" in json.loads(outcome.body)["stackTrace"][0]
        assert served.exit_code() == 0
        assert time.monotonic() - began < 0.6


@both
def test_an_extension_is_registered_before_the_first_poll(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=2) as served:
        kinds = [request.kind for request in served.api.requests]
        assert kinds.index("extension_register") < kinds.index("next")
        assert "extension_next" in kinds
        (register,) = [request for request in served.api.requests if request.kind == "extension_register"]
        assert register.headers["lambda-extension-name"] == "lmi_fast"


@pytest.mark.parametrize("slots", [None, 2])
def test_no_extension_where_none_is_wanted(tmp_path: Path, slots: int | None) -> None:
    with serving(tmp_path, source(""), slots=slots, LMI_FAST_EXTENSION="off" if slots else "on") as served:
        served.result(0)
        assert not [request for request in served.api.requests if request.kind.startswith("extension")]


REPLIES = {
    "refused": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}",
    "nothing": b"",
    "garbage": b"\x00\xff nonsense\r\n\r\n",
    "no identifier": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "absurd length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nLambda-Extension-Identifier: x\r\n\r\n{",
}


@pytest.mark.parametrize("reply", REPLIES)
def test_it_serves_without_the_extension(tmp_path: Path, reply: str) -> None:
    with Served(tmp_path, source("async "), slots=2, AWS_LAMBDA_LOG_LEVEL="INFO") as served:
        served.api.on("extension_register", Raw((REPLIES[reply],), close=True))
        served.ready()
        assert served.result(0) == 0
        served.wait_for_output("shutdown will come without SIGTERM")
        assert served.stop() == 0


@both
def test_the_emulator_sends_sigterm_thanks_to_the_extension(a: str, tmp_path: Path) -> None:
    """And the polls it closes meanwhile are no reason to complain, or to poll again."""
    require_rie()
    made = f"""
import lmi_fast
@lmi_fast.lifespan
def resources():
    yield
    print("closed in order", flush=True)
{a}def handler(event, context): return event
"""
    bootstrap = python_bootstrap("-m", "lmi_fast", path=[ROOT, "/var/task"])
    with Rie({"app.py": made}, bootstrap=bootstrap, max_concurrency=8) as emulator:
        assert emulator.invoke(b"5", patience=TIMEOUT).body == b"5"
        began = time.monotonic()
        emulator.stop()
        assert time.monotonic() - began < 2.0
        logs = emulator.runtime_logs()
        assert any('"message":"closed in order"' in line for line in logs)
        assert not [line for line in logs if "WARNING" in line or "ERROR" in line]


@both
@pytest.mark.parametrize("busy", [False, True])
def test_a_process_pool_does_not_hold_up_the_end(tmp_path: Path, a: str, busy: bool) -> None:
    """multiprocessing joins its children at exit, and these wait for work, or work. None is left."""
    source = f"""
        import concurrent.futures, multiprocessing, time
        pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        {a}def handler(event, context):
            if event:
                pool.submit(time.sleep, 60)
                return 7
            return pool.submit(abs, -7).result()
    """
    with serving(tmp_path, source, slots=2, LMI_FAST_BLOCKED_MS="0") as served:
        assert served.result(busy) == 7
        assert served.stop() == 0  # and standard output, which the children have, is at its end
