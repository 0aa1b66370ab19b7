"""Handlers that do what they should not, on purpose or not: the damage stays theirs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmi_fast.emulator import Gate, Raw, RuntimeApi, Status

from .serving import ROOT, TIMEOUT, Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])

EXCEPTIONS = {
    "KeyboardInterrupt in str()": "class B(Exception):\n    def __str__(self): raise KeyboardInterrupt\n",
    "SystemExit in str()": "class B(Exception):\n    def __str__(self): raise SystemExit(3)\n",
    "name is a property": "class M(type):\n    @property\n    def __name__(cls): raise ValueError\n"
    "class B(Exception, metaclass=M): pass\n",
    "traceback is a property": "class B(Exception):\n    @property\n    def __traceback__(self): raise SystemExit\n",
    "class is a property": "class B(Exception):\n    @property\n    def __class__(self): raise SystemExit\n",
}


@both
@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_that_resist_description(tmp_path: Path, a: str, name: str) -> None:
    source = EXCEPTIONS[name] + f"{a}def handler(event, context):\n    if event: raise B()\n    return 'fine'\n"
    with serving(tmp_path, source, slots=2) as served:
        for _ in range(4):
            report, _ = served.error(True)
            assert report["errorType"] == "B"
        assert served.result(False) == "fine"
        served.ready()
        served.wait_for_output('"level":"ERROR"', 4)
        assert len([record for record in served.records() if record["level"] == "ERROR"]) == 4


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_the_same_at_import(tmp_path: Path, name: str) -> None:
    with Served(tmp_path, EXCEPTIONS[name] + "raise B()\n") as served:
        assert served.exit_code() == 1
        assert served.api.init_errors[0].error_type == "Function.Unknown"


@pytest.mark.parametrize(
    "act", ["asyncio.get_running_loop().stop()", "[task.cancel() for task in asyncio.all_tasks()]"]
)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_handler_that_stops_the_loop_or_cancels_everything(tmp_path: Path, act: str, loop: str) -> None:
    source = f"""
        import asyncio
        async def handler(event, context):
            if event: {act}
            await asyncio.sleep(0.01)
            return "fine"
    """
    with serving(tmp_path, source, slots=2, LMI_FAST_LOOP=loop) as served:
        for _ in range(3):
            served.invoke(True)
        assert served.result(False) == "fine"
        served.ready()


def test_a_wrapper_that_runs_its_coroutine_itself(tmp_path: Path) -> None:
    """How async functions are served by the official runtime."""
    source = """
        import asyncio, functools
        def sync(function):
            @functools.wraps(function)
            def wrapper(event, context):
                return asyncio.run(function(event, context))
            return wrapper
        @sync
        async def handler(event, context):
            await asyncio.sleep(0)
            return event
    """
    with serving(tmp_path, source) as served:
        assert served.result(5) == 5


def test_a_wrapper_that_returns_the_coroutine_of_an_async_handler(tmp_path: Path) -> None:
    source = """
        import functools
        def logged(function):
            @functools.wraps(function)
            def wrapper(event, context):
                return function(event, context)
            return wrapper
        @logged
        async def handler(event, context): return event
        async def inner(event, context): return event
        hidden = lambda event, context: inner(event, context)
    """
    with serving(tmp_path, source) as served:
        assert served.result(5) == 5
    with serving(tmp_path, "", handler="app.hidden") as served:
        report, _ = served.error(5)
        assert report["errorMessage"].startswith(
            "Unable to marshal response: Object of type coroutine is not JSON serializable ("
        )
        assert "LMI_FAST_DRIVER=async" in report["errorMessage"]
        assert "never awaited" not in served.output
    with serving(tmp_path, "", handler="app.hidden", LMI_FAST_DRIVER="async") as served:
        assert served.result(5) == 5


@both
@pytest.mark.parametrize("end", ["import sys; sys.exit(3)", "raise ValueError('child')", "return 'from child'"])
def test_a_forked_child_that_comes_back_out_of_the_handler(tmp_path: Path, a: str, end: str) -> None:
    source = f"""
        import os, warnings
        warnings.simplefilter("ignore")
        {a}def handler(event, context):
            pid = os.fork()
            if pid == 0:
                {end}
            return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "from parent"]
    """
    code = 3 if "exit" in end else 1 if "raise" in end else 0
    with serving(tmp_path, source, slots=2) as served:
        for _ in range(3):
            assert served.result({}) == [code, "from parent"]


LEFT = {
    "thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n",
    "executor": "import time, concurrent.futures\n"
    "executor = concurrent.futures.ThreadPoolExecutor()\nexecutor.submit(time.sleep, 600)\n",
}


@pytest.mark.parametrize("name", LEFT)
def test_threads_that_are_left_hold_up_neither_an_init_error_nor_the_end(tmp_path: Path, name: str) -> None:
    with Served(tmp_path, LEFT[name] + "raise ValueError('boom')\n") as served:
        assert served.exit_code() == 1
        assert len(served.api.init_errors) == 1
    at_exit = "import atexit\natexit.register(print, 'exit handlers ran')\n"
    with serving(tmp_path, LEFT[name] + at_exit + "def handler(event, context): return 5\n") as served:
        assert served.result({}) == 5
        assert served.stop() == 0
        assert "exit handlers ran" in served.output


@both
def test_a_log_that_nobody_reads(tmp_path: Path, a: str) -> None:
    (tmp_path / "app.py").write_text(f"{a}def handler(event, context): raise ValueError('my message')\n")
    (tmp_path / "bad.py").write_text("raise ValueError('my message')\n")
    for handler in ("app.handler", "bad.handler"):
        with RuntimeApi() as api:
            read_end, write_end = os.pipe()
            os.close(read_end)
            environ = {**os.environ, **api.environ(max_concurrency=1, handler=handler), "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(
                [sys.executable, "-m", "lmi_fast"], cwd=tmp_path, env=environ, stdout=write_end, stderr=write_end
            )
            os.close(write_end)
            try:
                if handler == "bad.handler":
                    body = api.wait_for_init_error(TIMEOUT).body
                    assert process.wait(TIMEOUT) == 1
                else:
                    body = api.invoke({}).result(TIMEOUT).body
                assert json.loads(body)["errorMessage"] == "my message"
            finally:
                process.kill()
                process.wait()


@both
def test_a_handler_that_closes_standard_output(tmp_path: Path, a: str) -> None:
    source = f"""
        import logging, os
        {a}def handler(event, context):
            if event == "close":
                os.close(1)
                return "closed"
            logging.warning("still logged")
            raise ValueError("my message")
    """
    with serving(tmp_path, source, slots=1) as served:
        assert served.result("close") == "closed"
        for _ in range(3):
            report, _ = served.error("raise")
            assert report["errorMessage"] == "my message"
        served.wait_for_output("still logged", 3)


def test_records_of_the_runtime_itself_carry_no_invocations_id(tmp_path: Path) -> None:
    """Connections are dialled while handlers run; what is said of them later belongs to none of these."""
    with serving(tmp_path, "async def handler(event, context): return event\n", slots=2) as served:
        for number in range(3):
            served.result(number, request_id=f"first-{number}")
        served.api.on("response", Status(410, b"{}"))
        served.api.invoke("late", request_id="second")
        served.wait_for_output("of invocation second")
        warning = next(record for record in served.records() if record["level"] == "WARNING")
        assert warning["requestId"] in ("", "second")


@both
def test_slow_callers_keep_no_slot_from_serving(tmp_path: Path, a: str) -> None:
    """One slot, and callers that take their time with every answer: it goes on serving others."""
    with serving(tmp_path, f"{a}def handler(event, context): return event\n", slots=1) as served:
        gate = Gate()
        served.api.on("response", lambda request, reply: Raw([gate, reply]), when="reply", times=4)
        pending = [served.api.invoke(number) for number in range(4)]
        # All four have been answered, as far as the runtime is concerned, before any reply to an answer.
        served.api.wait_for(lambda stats: stats.requests["response"] == 4 and stats.parked == 1, TIMEOUT)
        gate.open()
        assert [one.result(TIMEOUT).body for one in pending] == [b"0", b"1", b"2", b"3"]
        assert served.result("after") == "after"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_LAMBDA_RUNTIME_API", "http://127.0.0.1:9001"),
        ("AWS_LAMBDA_RUNTIME_API", "no-such-host.invalid:9001"),
        ("_LAMBDA_TELEMETRY_LOG_FD", "99"),
        ("LMI_FAST_DRIVER", "processes"),
    ],
)
def test_variables_that_look_right_and_are_not(tmp_path: Path, variable: str, value: str) -> None:
    with Served(tmp_path, "def handler(event, context): pass\n", variables={variable: value}) as served:
        assert served.exit_code() == 1
        assert f"{variable} is '{value}'; allowed: " in served.output


def test_a_lifespan_is_one_task(tmp_path: Path) -> None:
    """Task groups want to be closed by the task that opened them, and cancel it when a child fails."""
    source = """
        import asyncio, lmi_fast
        async def child(ticks):
            while True:
                ticks.append(1)
                await asyncio.sleep(0)
        @lmi_fast.lifespan
        async def life():
            ticks = []
            async with asyncio.TaskGroup() as group:
                task = group.create_task(child(ticks))
                yield ticks
                task.cancel()
            print("closed", flush=True)
        async def handler(event, context):
            return len(context.state) > 0
    """
    with serving(tmp_path, source) as served:
        assert served.result({}) is True
        assert served.stop() == 0
        assert "closed" in served.output


@both
@pytest.mark.parametrize("life", ["async ", ""], ids=["async lifespan", "plain lifespan"])
def test_a_lifespan_that_fails_to_close(tmp_path: Path, a: str, life: str) -> None:
    source = f"""
        import lmi_fast
        @lmi_fast.lifespan
        {life}def resources():
            yield 1
            raise OSError("cannot close")
        {a}def handler(event, context): return context.state
    """
    with Served(tmp_path, source) as served:
        assert served.ready().result({}) == 1
        assert served.stop() == 1
        assert [record["errorMessage"] for record in served.records()] == ["cannot close"]


@both
def test_a_logging_call_that_is_wrong(tmp_path: Path, a: str) -> None:
    source = f"""
        import logging
        {a}def handler(event, context):
            logging.warning("bad %d", "text")
            context.log("no newline")
            logging.warning("good")
            return 5
    """
    with serving(tmp_path, source) as served:
        outcome = served.invoke({})
        assert outcome.body == b"5"
        served.wait_for_output('"good"')
        bad, good = served.records()
        assert "could not be formatted: TypeError; it is 'bad %d'" in bad["message"]
        assert bad["level"] == "ERROR"
        assert good["message"] == "good"
        assert bad["requestId"] == good["requestId"] == outcome.request_id
        assert "no newline\n" in served.output


@both
def test_a_finalizer_that_logs_while_its_thread_writes_a_line(tmp_path: Path, a: str) -> None:
    source = f"""
        import gc, logging
        class Leaky:
            def __init__(self): self.ring = self
            def __del__(self): logging.warning("finalized")
        gc.set_threshold(50)
        {a}def handler(event, context):
            for number in range(2000):
                Leaky()
                logging.warning("line %d", number)
            return "logged"
    """
    with serving(tmp_path, source, slots=2) as served:
        assert served.result({}) == "logged"


FAULTS = ["Runtime.Ung\u00fcltig", "Runtime.X\r\nX-Injected: 1", "", "Function.9", None, "Other.Name"]


@both
@pytest.mark.parametrize("error_type", FAULTS)
def test_an_error_type_of_the_users_own_making(tmp_path: Path, a: str, error_type: str | None) -> None:
    source = f"""
        import lmi_fast
        {a}def handler(event, context):
            if event: raise lmi_fast.FaultError({error_type!r}, "said")
            return "fine"
    """
    with serving(tmp_path, source, slots=1) as served:
        for _ in range(2):
            report, outcome = served.error(True)
            assert report["errorMessage"] == "said"
            assert outcome.error_type == "Runtime.Unknown"
            assert "x-injected" not in outcome.headers
        assert served.result(False) == "fine"
    with Served(tmp_path, f"import lmi_fast\nraise lmi_fast.FaultError({error_type!r}, 'said')\n") as served:
        assert served.exit_code() == 1
        assert served.api.init_errors[0].error_type == "Runtime.Unknown"


def test_two_signals_at_once_are_not_lost(tmp_path: Path) -> None:
    """The kernel may give the second to a thread that is not the one to wake."""
    for _ in range(10):
        with Served(tmp_path, "def handler(event, context): pass\n", slots=8) as served:
            served.ready()
            served.process.send_signal(signal.SIGTERM)
            served.process.send_signal(signal.SIGINT)
            assert served.exit_code() == 0


@both
def test_a_record_with_an_object_that_cannot_be_shown(tmp_path: Path, a: str) -> None:
    source = f"""
        import logging
        class Mute:
            def __str__(self): raise ValueError("no words")
            __repr__ = __str__
        {a}def handler(event, context):
            logging.warning(Mute())
            return "fine"
    """
    with serving(tmp_path, source) as served:
        assert served.result({}) == "fine"
        served.wait_for_output("it is a Mute")


@both
def test_a_parked_slot_holds_neither_event_nor_answer(tmp_path: Path, a: str) -> None:
    source = f"""
        import gc, lmi_fast
        from lmi_fast.wire.invocation import Invocation
        from lmi_fast.wire.requests import Post
        {a}def handler(event, context):
            gc.collect()
            return [sum(isinstance(o, kind) for o in gc.get_objects()) for kind in (Invocation, Post)]
    """
    with serving(tmp_path, source, slots=4) as served:
        for _ in range(12):
            served.result("x" * 100_000)
        served.ready()
        # Its own invocation; and no answer but those the runtime still waits to have acknowledged: none.
        assert served.result({}) == [1, 0]


@both
def test_stopping_leaves_an_answer_that_is_under_way_with_its_poll(tmp_path: Path, a: str) -> None:
    with Served(tmp_path, f"{a}def handler(event, context): return event\n", slots=4) as served:
        served.ready()
        gate = Gate()
        served.api.on("response", lambda request, reply: Raw([gate, reply]), when="reply")
        pending = served.api.invoke("under way")
        gate.wait_reached(TIMEOUT)
        served.process.send_signal(signal.SIGTERM)
        served.api.wait_for(lambda stats: stats.connections_open <= 2, TIMEOUT)
        gate.open()
        assert pending.result(TIMEOUT).body == b'"under way"'
        assert served.exit_code() == 0
        assert served.api.stats.requests["response"] == 1
        assert "not taken" not in served.output


def test_the_end_comes_within_what_the_platform_gives(tmp_path: Path) -> None:
    """600 ms after SIGTERM comes SIGKILL; by then the lifespan is closed, whatever handlers and tasks do."""
    source = """
        import asyncio, lmi_fast
        @lmi_fast.lifespan
        async def life():
            yield
            print("closed", flush=True)
        async def background():
            try:
                await asyncio.sleep(600)
            finally:
                print("background cleaned up", flush=True)
        tasks = []
        async def handler(event, context):
            tasks.append(asyncio.create_task(background()))
            while True:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    pass
    """
    with Served(tmp_path, source, slots=2) as served:
        served.ready()
        served.api.invoke({})
        served.api.wait_for(lambda stats: stats.in_flight == 1, TIMEOUT)
        began = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - began < 0.6
        assert served.output.count("closed") == 1
        assert "background cleaned up" in served.output


def test_a_lifespan_that_dies_while_serving_says_so(tmp_path: Path) -> None:
    source = """
        import asyncio, lmi_fast
        async def child():
            await asyncio.sleep(0.01)
            raise OSError("gone")
        @lmi_fast.lifespan
        async def life():
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                yield
        async def handler(event, context): return 5
    """
    with Served(tmp_path, source) as served:
        served.ready()
        served.wait_for_output("the lifespan ended early")
        assert served.result({}) == 5
        assert served.stop() == 1


def test_a_wrapper_that_runs_something_else(tmp_path: Path) -> None:
    source = """
        import contextvars, functools
        def isolated(function):
            @functools.wraps(function)
            def wrapper(event, context):
                return contextvars.copy_context().run(function, event, context)
            return wrapper
        @isolated
        async def handler(event, context): return event
    """
    with serving(tmp_path, source) as served:
        assert served.result(5) == 5
