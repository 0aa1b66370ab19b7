"""A runtime process on the embedded Runtime API: every twin, both loops, async and plain handlers, both modes."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from lmi_fast.emulator import MAX_PAYLOAD

from .conftest import HAVE_COMPILED
from .serving import PACKAGE, TIMEOUT, Served, serving

KINDS = ["pure", "h11", *(["compiled"] if HAVE_COMPILED else [])]
# Every way invocations can run: the handler's `async`, and the variables that choose how.
WAYS = [
    *[pytest.param("async ", {"LMI_FAST_TWINS": kind, "LMI_FAST_LOOP": loop}, id=f"async-{kind}-{loop}")
      for kind in KINDS for loop in ("asyncio", "uvloop")],
    *[pytest.param("", {"LMI_FAST_TWINS": kind}, id=f"plain-{kind}") for kind in KINDS],
]  # fmt: skip
ways = pytest.mark.parametrize(("a", "environ"), WAYS)
both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])

ECHO = "{a}def handler(event, context): return event\n"


@ways
def test_echo_of_everything_json_has(tmp_path: Path, a: str, environ: dict[str, str]) -> None:
    event = {"s": "caf\u00e9 \U0001f600", "n": [1, -2.5, 10**30, 1e300, True, None], "o": {"": {}}, "long": "x" * 5000}
    with serving(tmp_path, ECHO.format(a=a), **environ) as served:
        assert served.result(event) == event
        assert served.result([]) == []
        assert served.result("x" * 3_000_000) == "x" * 3_000_000


@ways
def test_many_at_once(tmp_path: Path, a: str, environ: dict[str, str]) -> None:
    """All slots run at once and never more of them, and every answer goes to its own caller."""
    source = f"""
        import asyncio, threading, time
        lock = threading.Lock()
        running = peak = 0
        {a}def handler(event, context):
            global running, peak
            with lock:
                running += 1
                peak = max(peak, running)
            while event["waits"] and peak < 8:
                {"await asyncio.sleep(0.005)" if a else "time.sleep(0.005)"}
            with lock:
                running -= 1
            return [event["number"], context.aws_request_id, peak]
    """
    with serving(tmp_path, source, slots=8, **environ) as served:
        slow = [served.api.invoke({"waits": True, "number": number}) for number in range(8)]
        quick = [served.api.invoke({"waits": False, "number": number}) for number in range(400)]
        for number, pending in [*enumerate(slow), *enumerate(quick)]:
            outcome = pending.result(TIMEOUT)
            assert outcome.kind == "response"
            body = json.loads(outcome.body)
            assert body[:2] == [number, outcome.request_id]
            assert body[2] <= 8
        assert json.loads(slow[0].result(TIMEOUT).body)[2] == 8
        stats = served.api.stats
        assert stats.peak_parked == 8
        assert stats.outcomes == {"response": 408}
        served.api.wait_for_polls(8, TIMEOUT)


@both
def test_a_slot_parks_before_it_answers(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, ECHO.format(a=a), slots=1, LMI_FAST_EXTENSION="off") as served:
        for _ in range(20):
            served.result({})
        kinds = [request.kind for request in served.api.requests]
        assert kinds[:1] == ["next"]
        assert kinds[1:] == ["next", "response"] * 20
        connections = {request.kind: request.connection for request in served.api.requests}
        assert connections["next"] != connections["response"]
        # A third one where an event was quicker than the reply to the answer before it.
        assert served.api.stats.connections_opened <= 3


@both
def test_lambda_default_mode_answers_before_it_asks_again(tmp_path: Path, a: str) -> None:
    source = f"""
        import os, threading
        {a}def handler(event, context):
            return [os.environ.get("_X_AMZN_TRACE_ID"), threading.current_thread() is threading.main_thread()]
    """
    with serving(tmp_path, source, slots=None) as served:
        assert served.result({}, trace_id="Root=1-a-b;Sampled=1") == ["Root=1-a-b;Sampled=1", True]
        assert served.result({}, trace_id="Root=1-c-d") == ["Root=1-c-d", True]
        assert served.result({}, headers={"Lambda-Runtime-Trace-Id": None}) == [None, True]
        served.ready()
        kinds = [request.kind for request in served.api.requests]
        assert kinds == ["next", "response"] * 3 + ["next"]
        assert served.api.stats.peak_slots == 1


@both
def test_no_trace_id_in_the_environment_where_invocations_overlap(tmp_path: Path, a: str) -> None:
    """os.environ shows it, as tests/observe/test_trace_id.py has it; it is not there for anybody else."""
    source = f"""
        from pathlib import Path
        {a}def handler(event, context):
            return ["_X_AMZN_TRACE_ID" in Path("/proc/self/environ").read_text(), context.trace_id]
    """
    with serving(tmp_path, source) as served:
        assert served.result({}, trace_id="Root=1-a-b") == [False, "Root=1-a-b"]


@ways
def test_the_context(tmp_path: Path, a: str, environ: dict[str, str]) -> None:
    source = f"""
        import asyncio, lmi_fast
        {a}def handler(event, context):
            assert lmi_fast.current() is context
            {"assert await asyncio.to_thread(lmi_fast.current) is context" if a else ""}
            return {{
                "id": context.aws_request_id, "arn": context.invoked_function_arn, "tenant": context.tenant_id,
                "name": context.function_name, "memory": context.memory_limit_in_mb, "w3c": context.w3c(),
                "left": context.get_remaining_time_in_millis(), "custom": context.client_context.custom,
                "identity": context.identity.cognito_identity_id,
            }}
    """
    with serving(tmp_path, source, **environ) as served:
        got = served.result(
            {},
            request_id="odd id/\u00e9?",
            tenant_id="blue",
            client_context={"custom": {"k": "v"}, "w3c": {"traceparent": "00-1-2-01"}},
            cognito_identity={"cognitoIdentityId": "cid", "cognitoIdentityPoolId": "pid"},
            timeout_s=60,
        )
        assert 0 < got.pop("left") <= 60_000
        assert got == {
            "id": "odd id/\u00e9?",
            "arn": served.api.function_arn,
            "tenant": "blue",
            "name": "test_function",
            "memory": "2048",
            "w3c": {"traceparent": "00-1-2-01"},
            "custom": {"k": "v"},
            "identity": "cid",
        }


@both
def test_the_invocation_id_is_echoed_on_answers_and_errors(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, f"{a}def handler(event, context): return 1 / event\n") as served:
        # The emulator answers 410 to a post with another one; here it is seen to arrive.
        for event in (1, 0):
            served.invoke(event)
        posts = [request for request in served.api.requests if request.kind in ("response", "error")]
        assert len(posts) == 2
        assert all(post.headers["lambda-runtime-invocation-id"] for post in posts)


@both
def test_bytes_in_and_out(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, f"{a}def handler(event, context): return bytes(reversed(event))\n") as served:
        outcome = served.invoke(b"\x00\xff\x01", content_type="application/octet-stream")
        assert (outcome.body, outcome.content_type) == (b"\x01\xff\x00", "application/unknown")


@both
def test_responses_up_to_the_limit_and_above(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, f"{a}def handler(event, context): return b'x' * event\n", slots=2) as served:
        assert len(served.invoke(MAX_PAYLOAD).body) == MAX_PAYLOAD
        report, outcome = served.error(MAX_PAYLOAD + 1)
        assert outcome.error_type == report["errorType"] == "Function.ResponseSizeTooLarge"
        assert str(MAX_PAYLOAD + 1) in report["errorMessage"]
        assert served.invoke(5).body == b"xxxxx"


RAISES = {
    "ValueError": ("raise ValueError('no such user')", "no such user", "Function.ValueError"),
    "SystemExit": ("import sys; sys.exit(3)", "3", "Function.SystemExit"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "", "Function.KeyboardInterrupt"),
    "CancelledError": ("import asyncio; raise asyncio.CancelledError('x')", "x", "Function.CancelledError"),
    "GeneratorExit": ("raise GeneratorExit", "", "Function.GeneratorExit"),
    "RecursionError": ("f = lambda: f(); f()", None, "Function.RecursionError"),
    "ExceptionGroup": ("raise ExceptionGroup('g', [ValueError(1)])", "g (1 sub-exception)", "Function.ExceptionGroup"),
    "BaseExceptionGroup": (
        "raise BaseExceptionGroup('g', [SystemExit(1), KeyboardInterrupt()])",
        "g (2 sub-exceptions)",
        "Function.BaseExceptionGroup",
    ),
    "MemoryError": ("raise MemoryError", "", "Function.MemoryError"),
    "Runtime.MarshalError": (
        "return object()",
        "Unable to marshal response: Object of type object is not JSON serializable",
        "Runtime.MarshalError",
    ),
}


@ways
def test_whatever_a_handler_raises_fails_its_own_invocation_only(
    tmp_path: Path, a: str, environ: dict[str, str]
) -> None:
    branches = "".join(f"    if event == {name!r}:\n        {raise_}\n" for name, (raise_, _, _) in RAISES.items())
    with serving(
        tmp_path, f"{a}def handler(event, context):\n{branches}    return event\n", slots=3, **environ
    ) as served:
        for name, (_, message, error_type) in RAISES.items():
            for _ in range(4):  # more often than there are slots
                report, outcome = served.error(name)
                assert list(report) == ["errorMessage", "errorType", "requestId", "stackTrace"]
                assert (report["errorType"], report["requestId"]) == (name, outcome.request_id)
                assert message is None or report["errorMessage"] == message
                assert outcome.error_type == error_type
                cause = json.loads(outcome.headers["lambda-runtime-function-xray-error-cause"])
                if error_type.startswith("Function."):
                    assert "app.py" in report["stackTrace"][0]
                    assert cause["exceptions"][0]["stack"][-1]["label"] in ("handler", "<lambda>")
                else:
                    assert report["stackTrace"] == []
        assert served.result("fine") == "fine"
        served.api.wait_for_polls(3, TIMEOUT)
        logged = [record for record in served.records() if record["level"] == "ERROR"]
        assert [record["errorType"] for record in logged[::4]] == list(RAISES)
        assert logged[0]["requestId"]
        assert logged[0]["stackTrace"]


@both
def test_events_that_cannot_be_decoded(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, ECHO.format(a=a)) as served:
        report, outcome = served.error(b"{nonsense")
        assert report["errorType"] == outcome.error_type == "Runtime.UnmarshalError"
        assert report["errorMessage"].startswith("Unable to unmarshal input: ")
        report, outcome = served.error({}, client_context="{")
        assert report["errorType"] == outcome.error_type == "Runtime.LambdaContextUnmarshalError"
        assert served.result({}, client_context="", tenant_id="") == {}
        report, outcome = served.error(b"[" * 6_000_000)
        assert report["errorType"] == "Runtime.UnmarshalError"


def test_typed_events(tmp_path: Path) -> None:
    source = """
        import msgspec
        class Order(msgspec.Struct):
            id: int
            items: list[str] = []
        async def handler(order: Order, context):
            return {"id": order.id, "count": len(order.items)}
    """
    with serving(tmp_path, source) as served:
        assert served.result({"id": 7, "items": ["a", "b"], "more": 1}) == {"id": 7, "count": 2}
        report, _ = served.error({"id": "seven"})
        assert report["errorType"] == "Runtime.UnmarshalError"
        assert "$.id" in report["errorMessage"]


@ways
def test_context_variables_do_not_cross(tmp_path: Path, a: str, environ: dict[str, str]) -> None:
    source = f"""
        import contextvars
        seen = contextvars.ContextVar("seen", default="unset")
        imported = contextvars.ContextVar("imported")
        imported.set("at import")
        {a}def handler(event, context):
            before = seen.get()
            seen.set(context.aws_request_id)
            return [before, imported.get()]
    """
    with serving(tmp_path, source, slots=2, **environ) as served:
        for _ in range(6):
            assert served.result({}) == ["unset", "at import"]


@both
def test_logs_carry_the_request_id_of_their_invocation(tmp_path: Path, a: str) -> None:
    source = f"""
        import asyncio, logging, time
        log = logging.getLogger("mine")
        {a}def handler(event, context):
            for i in range(3):
                log.info("%s", context.aws_request_id, extra={{"i": i}})
                {"await asyncio.sleep(0.001)" if a else "time.sleep(0.001)"}
            log.debug("not seen")
            print("printed")
    """
    with serving(tmp_path, source, slots=16, AWS_LAMBDA_LOG_LEVEL="INFO") as served:
        pending = [served.api.invoke({}, tenant_id=f"tenant-{i}") for i in range(100)]
        outcomes = [one.result(TIMEOUT) for one in pending]
        assert {outcome.kind for outcome in outcomes} == {"response"}
        assert served.stop() == 0
        records = [record for record in served.records() if record["logger"] == "mine"]
        assert len(records) == 300
        for record in records:
            assert record["message"] == record["requestId"]
            assert record["tenantId"].startswith("tenant-")
        assert {record["requestId"] for record in records} == {outcome.request_id for outcome in outcomes}
        assert [record["message"] for record in served.records()].count("printed") == 100
        start = next(record for record in served.records() if record["logger"] == "lmi_fast")
        assert start["message"].startswith("serving 16 at once on ")


def test_text_logs_in_lambda_default_mode(tmp_path: Path) -> None:
    source = """
        import logging
        def handler(event, context):
            logging.warning("low on %s", event)
            context.log("raw line\\n")
            raise ValueError("no such user")
    """
    with serving(tmp_path, source, slots=None) as served:
        _, outcome = served.error("milk")
        assert served.stop() == 0
        lines = served.output.splitlines()
        assert lines[0].startswith("[WARNING]\t")
        assert lines[0].endswith(f"Z\t{outcome.request_id}\tlow on milk")
        assert lines[1] == "raw line"
        assert served.output.split("\n")[2].startswith("[ERROR] ValueError: no such user\rTraceback (most recent call")


def test_the_framed_log_descriptor(tmp_path: Path) -> None:
    source = """
        import logging, os
        def handler(event, context):
            logging.warning("framed")
            return os.environ.get("_LAMBDA_TELEMETRY_LOG_FD")
    """
    with serving(tmp_path, source, slots=None, _LAMBDA_TELEMETRY_LOG_FD="1") as served:
        assert served.result({}) is None
        assert served.stop() == 0
        frame = b"".join(served._out)
        assert frame[:4].hex() == "a55a0013"
        assert len(frame) == 16 + int.from_bytes(frame[4:8], "big")
        assert frame.endswith(b"\tframed\n")


LIFESPANS = {
    "async generator": """
        @lmi_fast.lifespan
        async def resources():
            await asyncio.sleep(0)
            variable.set("set in lifespan")
            yield {"made": "here"}
            print("closed", flush=True)
    """,
    "generator": """
        @lmi_fast.lifespan
        def resources():
            variable.set("set in lifespan")
            yield {"made": "here"}
            print("closed", flush=True)
    """,
    "async context manager": """
        class Resources:
            async def __aenter__(self):
                variable.set("set in lifespan")
                return {"made": "here"}
            async def __aexit__(self, *error):
                print("closed", flush=True)
        lmi_fast.lifespan(Resources)
    """,
    "context manager": """
        class Resources:
            def __enter__(self):
                variable.set("set in lifespan")
                return {"made": "here"}
            def __exit__(self, *error):
                print("closed", flush=True)
        lmi_fast.lifespan(Resources)
    """,
}


@both
@pytest.mark.parametrize("name", LIFESPANS)
def test_lifespan(tmp_path: Path, a: str, name: str) -> None:
    source = "import asyncio, contextvars, lmi_fast\nvariable = contextvars.ContextVar('variable', default='unset')\n"
    source += textwrap.dedent(LIFESPANS[name])
    source += f"{a}def handler(event, context): return [context.state, variable.get()]\n"
    with serving(tmp_path, source) as served:
        for _ in range(5):
            assert served.result({}) == [{"made": "here"}, "set in lifespan"]
        assert "closed" not in served.output
        assert served.stop() == 0
        assert [record["message"] for record in served.records()] == ["closed"]


@ways
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_handlers_answer_and_ends_with_0(
    tmp_path: Path, a: str, environ: dict[str, str], number: int
) -> None:
    source = f"""
        import asyncio, time
        {a}def handler(event, context):
            print("begun", flush=True)
            {"await asyncio.sleep(0.1)" if a else "time.sleep(0.1)"}
            return "answered"
    """
    with Served(tmp_path, source, slots=3, variables=environ) as served:
        served.ready()
        pending = served.api.invoke({})
        served.api.wait_for(lambda stats: stats.in_flight == 1 and stats.parked == 2, TIMEOUT)
        served.process.send_signal(number)
        outcome = pending.result(TIMEOUT)
        assert (outcome.kind, outcome.body) == ("response", b'"answered"')
        assert served.exit_code() == 0
        assert "Traceback" not in served.output


def test_a_stray_task_that_exits_does_not_end_the_process(tmp_path: Path) -> None:
    source = """
        import asyncio, sys
        async def stray():
            sys.exit(3)
        async def handler(event, context):
            event and asyncio.ensure_future(stray())
            await asyncio.sleep(0.01)
            return "fine"
    """
    for loop in ("asyncio", "uvloop"):
        with serving(tmp_path, source, LMI_FAST_LOOP=loop) as served:
            for _ in range(3):
                assert served.result(True) == "fine"
            assert served.result(False) == "fine"
            assert any("a task raised SystemExit" in str(record["message"]) for record in served.records())


def test_a_plain_handler_never_imports_asyncio(tmp_path: Path) -> None:
    source = "import sys\ndef handler(event, context): return [name for name in event if name in sys.modules]\n"
    for slots in (None, 4):
        with serving(tmp_path, source, slots=slots) as served:
            assert served.result(["asyncio", "uvloop", "h11", "http.client", "lmi_fast.emulator"]) == []


def test_run_from_a_main_program(tmp_path: Path) -> None:
    for a in ("async ", ""):
        source = f"""
            import lmi_fast
            {a}def handle(event, context): return [event, __name__]
            if __name__ == "__main__":
                lmi_fast.run(handle)
                print("run() returned")
        """
        with serving(tmp_path, source, handler=None, command=[sys.executable, "app.py"]) as served:
            assert served.result(5) == [5, "__main__"]
            assert served.stop() == 0
            assert "run() returned" in served.output


def test_the_handler_as_an_argument_goes_first(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lmi_fast", "app.other"]
    source = "def handler(event, context): return 1\ndef other(event, context): return 2\n"
    with serving(tmp_path, source, command=command) as served:
        assert served.result({}) == 2


@pytest.mark.parametrize("wrapped", [False, True], ids=["bootstrap", "exec wrapper"])
def test_the_bootstrap(tmp_path: Path, wrapped: bool) -> None:
    """As /var/task/bootstrap of an OS-only runtime, and as AWS_LAMBDA_EXEC_WRAPPER of a managed one."""
    script = str(PACKAGE / "bootstrap")
    command = [script, sys.executable, "/var/runtime/bootstrap.py"] if wrapped else [script]
    environ: dict[str, Any] = {"LAMBDA_TASK_ROOT": str(tmp_path)} | (
        {} if wrapped else {"LMI_FAST_PYTHON": sys.executable}
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "app.py").write_text("def handler(event, context): return __file__\n")
    with serving(elsewhere, "", command=command, **environ) as served:
        assert served.result({}) == str(tmp_path / "app.py")


def test_twins_are_chosen_and_told(tmp_path: Path) -> None:
    source = """
        import lmi_fast
        def handler(event, context): return [lmi_fast.COMPILED, lmi_fast.twins()]
    """
    for kind in KINDS:
        with serving(tmp_path, source, LMI_FAST_TWINS=kind) as served:
            compiled, twins = served.result({})
            assert compiled == (kind == "compiled")
            assert twins["lmi_fast.wire._http1"] == kind


def test_help_and_version(tmp_path: Path) -> None:
    for arguments, code, text in [
        (["--help"], 0, "usage: python -m lmi_fast [HANDLER]"),
        (["--version"], 0, "0."),
        (["a.b", "c.d"], 2, "expected one handler"),
        (["--hlep"], 2, "see --help"),
    ]:
        with Served(tmp_path, command=[sys.executable, "-m", "lmi_fast", *arguments]) as served:
            assert served.exit_code() == code
            assert text in served.output


def test_environment_is_left_alone(tmp_path: Path) -> None:
    source = "import os\ndef handler(event, context): return dict(os.environ)\n"
    with serving(tmp_path, source) as served:
        seen = served.result({})
        assert seen.pop("AWS_LAMBDA_RUNTIME_API") == served.api.address
        assert seen.pop("_X_AMZN_TRACE_ID").startswith("Root=")  # of the invocation, not of the process
        assert {name for name in seen if name not in served._environ} <= {"LC_CTYPE", "PWD", "SHLVL", "_"}
        assert os.environ.get("_X_AMZN_TRACE_ID") is None
