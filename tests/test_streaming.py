"""Answers that are sent while they are made."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmi_fast.emulator import Proxy, RuntimeApi

from .conftest import HAVE_COMPILED
from .rie import Rie, python_bootstrap, require_rie
from .serving import ROOT, TIMEOUT, Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
twins = pytest.mark.parametrize("kind", ["pure", *(["compiled"] if HAVE_COMPILED else [])])
INTEGRATION = "application/vnd.awslambda.http-integration-response"

SOURCE = """
import asyncio, io, pathlib, threading, time
import lmi_fast
from lmi_fast import StreamingResponse
{kind}
gates = {{}}
def gate(name):
    return gates.setdefault(name, Event())

{a}def words(*pieces):
    for piece in pieces:
        yield piece

{a}def held(event):
    try:
        yield "first"
        print("waits", flush=True)
        {wait}gate(event["gate"]).wait()
        yield "second"
    except BaseException as error:
        print("ended by", type(error).__name__)
        raise
    finally:
        print("cleaned up")

{a}def failing(after):
    for number in range(after):
        yield f"{{number}};"
    raise KeyError("broken")

{a}def endless():
    try:
        while True:
            yield b"x" * 65536
    finally:
        print("closed")

{a}def large(count):
    for number in range(count):
        yield bytes([number % 256]) * (1 << 20)

{a}def handler(event, context):
    do = event["do"]
    if do == "open":
        gate(event["gate"]).set()
        return "opened"
    if do == "meet":
        return "met"
    if do == "held": return held(event)
    if do == "failing": return StreamingResponse(failing(event["after"]), **event.get("more", {{}}))
    if do == "endless": return endless()
    if do == "large": return large(event["count"])
    if do == "words": return words(*event["words"])
    if do == "response": return StreamingResponse(event["body"], **event.get("more", {{}}))
    if do == "file": return StreamingResponse(open(event["path"], event["mode"]))
    if do == "bytesio": return StreamingResponse(io.BytesIO(b"y" * 200_000))
    if do == "bad": return StreamingResponse(7)
    if do == "bad piece": return words("good", object())
    if do == "bad type": return StreamingResponse("x", content_type="a\\nb")
    if do == "bad status": return StreamingResponse("x", status=99)
"""


def source(a: str) -> str:
    kind = "from asyncio import Event" if a else "from threading import Event"
    return SOURCE.format(a=a, kind=kind, wait="await " if a else "")


@contextlib.contextmanager
def proxied(folder: Path, made: str) -> Iterator[tuple[Served, Proxy]]:
    """A function whose Runtime API is behind a proxy."""
    with RuntimeApi() as api, Proxy(api.address) as proxy:
        variables = {"AWS_LAMBDA_RUNTIME_API": proxy.address, "LMI_FAST_EXTENSION": "off"}
        with serving(folder, made, slots=2, api=api, variables=variables) as served:
            yield served, proxy


def streamed(served: Served, event: dict[str, Any], **more: Any) -> tuple[bytes, str]:
    """The body and content type of a streamed answer."""
    outcome = served.invoke(event, **more)
    assert outcome.kind == "response", (outcome, served.output)
    assert outcome.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert outcome.headers["transfer-encoding"] == "chunked"
    return outcome.body, outcome.content_type


@both
@twins
def test_what_can_be_streamed(tmp_path: Path, a: str, kind: str) -> None:
    (tmp_path / "text").write_text("grüße\n" * 40_000)
    with serving(tmp_path, source(a), LMI_FAST_TWINS=kind) as served:
        text, binary = "text/plain; charset=utf-8", "application/octet-stream"
        assert streamed(served, {"do": "words", "words": ["a", "ü", "", "c"]}) == ("aüc".encode(), text)
        assert streamed(served, {"do": "words", "words": [{"n": 1}, [2], None, "x"]}) == (b'{"n":1}[2]nullx', binary)
        assert streamed(served, {"do": "words", "words": []}) == (b"", binary)
        assert streamed(served, {"do": "response", "body": "whole"}) == (b"whole", text)
        assert streamed(served, {"do": "response", "body": ["a", "b"]}) == (b"ab", text)
        more = {"content_type": "text/csv"}
        assert streamed(served, {"do": "response", "body": "1,2", "more": more}) == (b"1,2", "text/csv")
        path = str(tmp_path / "text")
        whole = (tmp_path / "text").read_bytes()
        assert streamed(served, {"do": "file", "path": path, "mode": "r"}) == (whole, text)
        assert streamed(served, {"do": "file", "path": path, "mode": "rb"}) == (whole, binary)
        assert streamed(served, {"do": "bytesio"}) == (b"y" * 200_000, binary)
        # Those of the streams are closed.
        served.api.wait_for(lambda stats: stats.connections_open <= served.slots + 1, TIMEOUT)


@both
def test_status_headers_and_cookies_come_before_the_body(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a)) as served:
        for more, expected in (
            ({"status": 404}, {"statusCode": 404, "headers": {}}),
            ({"headers": {"X-A": "b"}}, {"statusCode": 200, "headers": {"X-A": "b"}}),
            (
                {"headers": [["x-a", "1"], ["x-a", "2"]], "content_type": "text/html", "cookies": ["a=1", "b=2"]},
                {
                    "statusCode": 200,
                    "headers": {"x-a": "1, 2", "content-type": "text/html"},
                    "cookies": ["a=1", "b=2"],
                },
            ),
        ):
            body, content_type = streamed(served, {"do": "response", "body": ["<p>", "é"], "more": more})
            assert content_type == INTEGRATION
            prelude, end, rest = body.partition(bytes(8))
            assert json.loads(prelude) == expected
            assert (end, rest) == (bytes(8), "<p>é".encode())


@both
def test_each_piece_is_sent_as_it_comes_and_the_slot_is_free_again(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=2) as served:
        came: list[bytes] = []
        first = threading.Event()

        def take(data: bytes) -> None:
            came.append(data)
            first.set()

        pending = served.api.invoke({"do": "held", "gate": 1}, taker=take)
        assert first.wait(TIMEOUT)
        served.wait_for_output("waits")
        assert came == [b"first"]
        assert served.result({"do": "meet"}) == "met"
        assert not pending.done()
        served.result({"do": "open", "gate": 1})
        assert pending.result(TIMEOUT).kind == "response"
        assert b"".join(came) == b"firstsecond"
        served.ready()
        assert served.output.count("cleaned up") == 1
        stats = served.api.stats
        assert (stats.parked, stats.in_flight) == (2, 0)


@both
def test_an_error_before_the_first_piece_is_reported_as_ever(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a)) as served:
        report, outcome = served.error({"do": "failing", "after": 0, "more": {"status": 200}})
        assert (report["errorType"], outcome.error_type) == ("KeyError", "Function.KeyError")
        assert "failing" in report["stackTrace"][-1]
        for do, error_type in (("bad", "TypeError"), ("bad status", "ValueError"), ("bad type", "ValueError")):
            assert served.error({"do": do})[0]["errorType"] == error_type
        served.ready()


@both
@pytest.mark.parametrize("do", ["failing", "bad piece"])
def test_an_error_later_goes_into_the_trailers(tmp_path: Path, a: str, do: str) -> None:
    with serving(tmp_path, source(a)) as served:
        outcome = served.invoke({"do": do, "after": 3})
        assert outcome.kind == "error"
        error_type, body = ("Function.KeyError", b"0;1;2;") if do == "failing" else ("Runtime.MarshalError", b"good")
        assert (outcome.error_type, outcome.body) == (error_type, body)
        report = json.loads(base64.b64decode(outcome.trailers["lambda-runtime-function-error-body"]))
        assert report["requestId"] == outcome.request_id
        assert served.api.stats.requests["error"] == 0
        served.ready()
        assert served.result({"do": "meet"}) == "met"
        [record] = [record for record in served.records() if record.get("requestId") == outcome.request_id]
        assert record["level"] == "ERROR"


@both
def test_at_the_deadline_it_breaks_off_with_an_error(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=2) as served:
        pending = served.api.invoke({"do": "held", "gate": 1}, deadline_ms=round(time.time() * 1000) + 300)
        outcome = pending.result(TIMEOUT)
        assert (outcome.kind, outcome.error_type, outcome.body) == ("error", "Function.TimedOut", b"first")
        assert served.api.stats.requests["error"] == 0
        served.ready()
        served.result({"do": "open", "gate": 1})
        served.wait_for_output("cleaned up")
        if a:
            assert "ended by CancelledError" in served.output
        assert served.result({"do": "meet"}) == "met"


@both
def test_shutdown_ends_it_with_an_error(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=2) as served:
        pending = served.api.invoke({"do": "held", "gate": 1})
        served.wait_for_output("waits")
        assert served.stop() == 0
        outcome = pending.result(TIMEOUT)
        assert (outcome.kind, outcome.error_type, outcome.body) == ("error", "Runtime.Shutdown", b"first")


@both
def test_when_the_caller_goes_away_the_generator_is_closed(tmp_path: Path, a: str) -> None:
    with proxied(tmp_path, source(a)) as (served, proxy):
        slots = list(proxy.links)
        came = threading.Event()
        pending = served.api.invoke({"do": "endless"}, taker=lambda data: came.set())
        assert came.wait(TIMEOUT)
        for link in proxy.links:
            if link not in slots:
                link.cut(reset=True)
        served.wait_for_output("closed")
        assert pending.result(TIMEOUT).kind == "truncated"
        served.ready()
        assert served.result({"do": "meet"}) == "met"
        assert served.stop() == 0
        assert "Traceback" not in served.output


def test_a_generator_that_waits_is_told_at_once_that_the_caller_has_gone(tmp_path: Path) -> None:
    """A plain one is when it yields the next time."""
    with proxied(tmp_path, source("async ")) as (served, proxy):
        slots = list(proxy.links)
        served.api.invoke({"do": "held", "gate": 1})
        served.wait_for_output("waits")
        proxy.wait_for(lambda proxy: len(proxy.links) > len(slots), TIMEOUT)  # it may have been dialled, and not more
        for link in proxy.links:
            if link not in slots:
                link.cut(reset=False)
        served.wait_for_output("cleaned up")
        assert "ended by CancelledError" in served.output
        served.ready()


@both
def test_a_slow_reader_holds_up_the_generator_and_nobody_else(tmp_path: Path, a: str) -> None:
    """Memory stays what it was, however much is to come."""
    with proxied(tmp_path, source(a)) as (served, proxy):
        slots = list(proxy.links)
        before = resident(served.process.pid)
        proxy.on_next(lambda link: link.up.stall(after=1 << 20))
        sizes: list[int] = []
        pending = served.api.invoke({"do": "large", "count": 100}, taker=lambda data: sizes.append(len(data)))
        proxy.wait_for(lambda proxy: any(link.up.stalled for link in proxy.links), TIMEOUT)
        for _ in range(20):
            assert served.result({"do": "meet"}) == "met"
        assert not pending.done()
        assert resident(served.process.pid) - before < 16 << 20
        for link in proxy.links:
            if link not in slots:
                link.release()
        assert pending.result(TIMEOUT).kind == "response"
        assert sum(sizes) == 100 << 20


@both
def test_two_hundred_megabytes_in_sixteen(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=2) as served:
        served.result({"do": "meet"})
        before = resident(served.process.pid)
        size = 0
        peak = before

        def take(data: bytes) -> None:
            nonlocal size, peak
            if size >> 24 != size + len(data) >> 24:
                peak = max(peak, resident(served.process.pid))
            size += len(data)

        outcome = served.api.invoke({"do": "large", "count": 200}, taker=take, timeout_s=100).result(100)
        assert outcome.kind == "response"
        assert size == 200 << 20
        assert peak - before < 16 << 20


@both
def test_many_at_a_time(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=32) as served:
        pendings = [
            served.api.invoke({"do": "words", "words": [f"{n} "] * 50} if n % 2 else {"do": "meet"}) for n in range(300)
        ]
        for n, pending in enumerate(pendings):
            outcome = pending.result(TIMEOUT)
            assert outcome.body == (f"{n} ".encode() * 50 if n % 2 else b'"met"')


@both
@pytest.mark.parametrize("comes_back", [True, False])
def test_the_runtime_api_cannot_be_connected_to(tmp_path: Path, a: str, comes_back: bool) -> None:
    """It is tried for a while; then the invocation is answered with an error, when that can be sent."""
    with proxied(tmp_path, source(a)) as (served, proxy):
        proxy.refuse()
        pending = served.api.invoke({"do": "words", "words": ["a", "b"]})
        if comes_back:
            served.api.wait_for(lambda stats: stats.in_flight == 1, TIMEOUT)
        else:
            served.wait_for_output("cannot connect to")
        proxy.accept_again()
        outcome = pending.result(TIMEOUT)
        if comes_back:
            assert (outcome.kind, outcome.body) == ("response", b"ab")
        else:
            assert (outcome.kind, outcome.error_type) == ("error", "Function.ApiUnavailable")
        served.ready()
        assert served.result({"do": "meet"}) == "met"


@both
def test_a_deadline_before_it_is_connected_is_reported_as_ever(tmp_path: Path, a: str) -> None:
    with proxied(tmp_path, source(a)) as (served, proxy):
        proxy.refuse()
        deadline = round(time.time() * 1000) + 250
        pending = served.api.invoke({"do": "words", "words": ["a", "b"]}, deadline_ms=deadline)
        served.wait_for_output("Function.TimedOut")
        proxy.accept_again()
        outcome = pending.result(TIMEOUT)
        assert (outcome.kind, outcome.error_type) == ("error", "Function.TimedOut")
        served.ready()
        assert served.result({"do": "meet"}) == "met"


@both
def test_nothing_is_left_of_a_stream(tmp_path: Path, a: str) -> None:
    """No descriptor, and no memory that would wait for the garbage collector."""
    with serving(tmp_path, source(a), slots=8) as served:

        def some() -> tuple[int, int]:
            pendings = [served.api.invoke({"do": "words", "words": ["a", "b"]}) for _ in range(500)]
            assert {pending.result(TIMEOUT).body for pending in pendings} == {b"ab"}
            served.api.wait_for(lambda stats: stats.connections_open <= served.slots + 2, TIMEOUT)
            pid = served.process.pid
            return resident(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))

        memory, descriptors = some()
        some()
        after = some()
        assert after[0] - memory < 4 << 20
        assert after[1] <= descriptors + 2


@both
def test_in_default_mode(tmp_path: Path, a: str) -> None:
    """The next poll says that the invocation is over: it is sent when the platform has taken all of the answer."""
    with serving(tmp_path, source(a), slots=None) as served:
        for _ in range(3):
            assert streamed(served, {"do": "words", "words": ["a", "b"]})[0] == b"ab"
        kinds = [request.kind for request in served.api.requests if request.kind in ("next", "response")]
        assert kinds[:6] == ["next", "response"] * 3


@both
def test_in_worker_processes(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=4, LMI_FAST_PROCESSES="2") as served:
        for _ in range(10):
            assert streamed(served, {"do": "words", "words": ["a", "b"]})[0] == b"ab"


def test_a_handler_that_yields_is_a_stream(tmp_path: Path) -> None:
    for a in ("async ", ""):
        made = f"{a}def handler(event, context):\n    for n in range(event):\n        yield str(n)\n"
        with serving(tmp_path, made, slots=2) as served:
            assert served.invoke(12).body == b"01234567891011"


@both
def test_what_was_streamed_is_closed(tmp_path: Path, a: str) -> None:
    """Also where somebody keeps it: a file, a generator, and a generator that did not get to its end."""
    made = f"""
        import lmi_fast
        kept = []
        {a}def generator(bad):
            yield "1"
            if bad:
                yield object()
            yield "2"
        {a}def handler(event, context):
            if event == "closed":
                return [one.closed if hasattr(one, "closed") else closed(one) for one in kept]
            kept.append(open(__file__) if event == "file" else generator(event == "bad"))
            return lmi_fast.StreamingResponse(kept[-1])
        def closed(generator):
            return (generator.ag_frame if {bool(a)} else generator.gi_frame) is None
    """
    with serving(tmp_path, made, slots=2) as served:
        for event in ("file", "good", "bad"):
            served.invoke(event)
        served.ready()  # a slot polls when its body is closed
        assert served.result("closed") == [True, True, True]


@both
def test_behind_a_decorator_that_would_await_a_coroutine(tmp_path: Path, a: str) -> None:
    made = f"""
        from aws_lambda_powertools import Logger
        logger = Logger(service="x")
        @logger.inject_lambda_context
        {a}def handler(event, context):
            yield "a"
            yield "b"
    """
    with serving(tmp_path, made, slots=2) as served:
        assert served.invoke({}).body == b"ab"


def test_what_a_plain_handler_cannot_stream(tmp_path: Path) -> None:
    made = "import lmi_fast\nasync def agen():\n    yield 1\ndef handler(event, context):\n    return agen()\n"
    with serving(tmp_path, made, slots=2) as served:
        report, _ = served.error()
        assert "make it `async def`" in report["errorMessage"]


@both
def test_under_the_emulator(a: str) -> None:
    require_rie()
    bootstrap = python_bootstrap("-m", "lmi_fast", path=[ROOT, "/var/task"])
    with Rie({"app.py": source(a)}, bootstrap=bootstrap, max_concurrency=4) as emulator:
        reply = emulator.invoke(json.dumps({"do": "words", "words": ["a", "b" * 100_000]}).encode(), patience=TIMEOUT)
        assert reply.body == b"a" + b"b" * 100_000
        reply = emulator.invoke(b'{"do": "large", "count": 6}', patience=TIMEOUT)
        assert len(reply.body) == 6 << 20
        reply = emulator.invoke(b'{"do": "failing", "after": 2}', patience=TIMEOUT)
        assert reply.error_type == "Function.KeyError"
        assert emulator.invoke(b'{"do": "meet"}', patience=TIMEOUT).json() == "met"


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
