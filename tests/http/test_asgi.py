"""ASGI as its specification has it, one behaviour a test."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from ..serving import TIMEOUT, Served, serving
from .gateways import Sent, delivered, http_api

GET = http_api(Sent(path="/"))
# An application that does what the path says, each a function of that name.
DISPATCH = """
import asyncio, contextvars, json, logging, sys
OK = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/plain")]}
def body(text, more=False): return {"type": "http.response.body", "body": text, "more_body": more}
async def answer(send, value):
    await send(OK)
    await send(body(json.dumps(value).encode()))
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await globals()[scope["path"].strip("/") or "root"](scope, receive, send)
"""


def at(path: str, **more: Any) -> dict[str, Any]:
    return http_api(Sent(path=f"/{path}", **more))


def app(folder: Path, source: str, **more: Any) -> Any:
    (folder / "app.py").write_text(DISPATCH + source)
    return serving(folder, "", handler="app:app", **more)


def text(served: Served, event: dict[str, Any]) -> str:
    return delivered(served.result(event), "http-api").body.decode()


def value(served: Served, event: dict[str, Any]) -> Any:
    return json.loads(text(served, event))


def test_the_scope(tmp_path: Path) -> None:
    source = """
async def show(scope, receive, send):
    context = scope.pop("aws.context")
    shown = {name: value for name, value in scope.items() if name not in ("headers", "aws.event")}
    await answer(send, json.loads(json.dumps(shown, default=bytes.decode)) | {
        "id": context.aws_request_id, "event": scope["aws.event"]["version"],
        "headers": sorted([name.decode(), value.decode()] for name, value in scope["headers"]),
    })
"""
    event = at("show", query="a=1&a=2", headers=[("x-a", "b")])
    with app(tmp_path, source) as served:
        outcome = served.invoke(event)
        shown = json.loads(json.loads(outcome.body)["body"])
    assert shown.pop("id") == outcome.request_id
    assert shown.pop("headers") == sorted([
        ["host", "api.example.test"], ["x-a", "b"], ["x-forwarded-for", "203.0.113.9"],
        ["x-forwarded-port", "443"], ["x-forwarded-proto", "https"],
    ])  # fmt: skip
    assert shown == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/show",
        "raw_path": "/show",
        "query_string": "a=1&a=2",
        "root_path": "",
        "client": ["203.0.113.9", 0],
        "server": ["api.example.test", 443],
        "state": {},
        "extensions": {},
        "event": "2.0",
    }


def test_receive(tmp_path: Path) -> None:
    """The request once; then nothing, until the response is complete."""
    source = """
async def root(scope, receive, send):
    first = await receive()
    second = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    early = second.done()
    await send(OK)
    await send(body(json.dumps([first["type"], first["body"].decode(), first["more_body"], early]).encode()))
    print("then", (await second)["type"], (await receive())["type"])
"""
    with app(tmp_path, source) as served:
        assert value(served, http_api(Sent("POST", body="caf\u00e9".encode()))) == [
            "http.request",
            "caf\u00e9",
            False,
            False,
        ]
        served.wait_for_output("then http.disconnect http.disconnect")


def test_a_response_in_pieces(tmp_path: Path) -> None:
    source = """
async def root(scope, receive, send):
    await send(OK)
    await send(body(b"a", True))
    await asyncio.sleep(0)
    await send(body(b"", True))
    await send({"type": "http.response.body", "more_body": True})
    await send(body(bytearray(b"b")))
async def least(scope, receive, send):
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})
async def rest(scope, receive, send): await answer(send, "not for HEAD")
"""
    with app(tmp_path, source) as served:
        assert text(served, GET) == "ab"
        assert served.result(at("least")) == {"statusCode": 204, "body": "", "isBase64Encoded": False, "headers": {}}
        head = served.result(at("rest", method="HEAD"))
        assert (head["body"], head["headers"]) == ("", {"content-type": "text/plain"})


WRONG = {
    "body_first": (
        'await send(body(b"x"))',
        "Expected ASGI message 'http.response.start', but got 'http.response.body'.",
    ),
    "two_starts": (
        "await send(OK); await send(OK)",
        "Expected ASGI message 'http.response.body', but got 'http.response.start'.",
    ),
    "unknown": (
        'await send({"type": "websocket.send"})',
        "Expected ASGI message 'http.response.start', but got 'websocket.send'.",
    ),
    "no_start": ("return", "ASGI callable returned without starting response."),
    "no_end": ("await send(OK)", "ASGI callable returned without completing response."),
    "half": ('await send(OK); await send(body(b"half", True))', "ASGI callable returned without completing response."),
    "raises": ("raise LookupError('mine')", "LookupError: mine"),
    "raises_later": ("await send(OK); raise LookupError('mine')", "LookupError: mine"),
    "raises_last": (
        'await send(OK); await send(body(b"half", True)); await asyncio.sleep(0); 1 / 0',
        "ZeroDivisionError",
    ),
    "exits": ("sys.exit(3)", "SystemExit: 3"),
    "cancels": ("asyncio.current_task().cancel(); await asyncio.sleep(0)", "CancelledError"),
    "odd_status": ('await send(OK | {"status": 600})', "600 is no HTTP status"),
    "splits": ('await send(OK | {"headers": [(b"x-a", b"b\\r\\nset-cookie: c=d")]})', "Invalid HTTP header"),
    "splits_name": ('await send(OK | {"headers": [(b"x-a\\n", b"b")]})', "Invalid HTTP header"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_fails_before_its_response_is_complete(tmp_path: Path, name: str) -> None:
    """As uvicorn: 500, and the log tells why. Nothing of the response is sent, and the next request is served."""
    what, why = WRONG[name]
    source = f"""
async def wrong(scope, receive, send):
    {what}
async def fine(scope, receive, send): await answer(send, 1)
"""
    with app(tmp_path, source) as served:
        outcome = served.invoke(at("wrong"))
        assert json.loads(outcome.body) == {
            "statusCode": 500,
            "headers": {"content-type": "text/plain; charset=utf-8"},
            "body": "Internal Server Error",
            "isBase64Encoded": False,
        }
        assert value(served, at("fine")) == 1
        [record] = [one for one in served.records() if one["level"] == "ERROR"]
    assert record["message"] == "Exception in ASGI application"
    assert record["requestId"] == outcome.request_id
    assert why in f"{record['errorType']}: {record['errorMessage']}"


def test_a_message_behind_the_last(tmp_path: Path) -> None:
    source = """
async def root(scope, receive, send):
    await answer(send, "complete")
    await send(body(b"more"))
"""
    with app(tmp_path, source) as served:
        outcome = served.invoke(GET)
        assert json.loads(outcome.body)["body"] == '"complete"'
        served.wait_for_output("Unexpected ASGI message 'http.response.body' sent, after response already completed.")
        [record] = [one for one in served.records() if one["level"] == "ERROR"]
        assert record["requestId"] == outcome.request_id


def test_the_answer_does_not_wait_for_what_comes_behind_it(tmp_path: Path) -> None:
    source = """
done, go = [], asyncio.Event()
async def work(scope, receive, send):
    await answer(send, "answered")
    await go.wait()
    import lmi_fast
    done.append(lmi_fast.current().aws_request_id)
    print("behind it", lmi_fast.current().aws_request_id)
async def let(scope, receive, send):
    before = list(done)
    go.set()
    await answer(send, before)
"""
    with app(tmp_path, source) as served:
        outcome = served.invoke(at("work"))
        assert json.loads(outcome.body)["body"] == '"answered"'
        assert value(served, at("let")) == []
        served.wait_for_output(f"behind it {outcome.request_id}")


def test_starlettes_background_tasks(tmp_path: Path) -> None:
    source = """
        import asyncio
        from starlette.applications import Starlette
        from starlette.background import BackgroundTask
        from starlette.middleware import Middleware
        from starlette.middleware.base import BaseHTTPMiddleware
        from starlette.responses import JSONResponse
        from starlette.routing import Route
        go = asyncio.Event()
        async def work():
            await go.wait()
            print("worked")
        async def start(request): return JSONResponse("started", background=BackgroundTask(work))
        async def let(request):
            go.set()
            return JSONResponse("go")
        async def through(request, call_next): return await call_next(request)
        app = Starlette(routes=[Route("/start", start), Route("/let", let)],
                        middleware=[Middleware(BaseHTTPMiddleware, dispatch=through)])
    """
    with serving(tmp_path, source, handler="app:app") as served:
        assert value(served, at("start")) == "started"
        assert "worked" not in served.output
        assert value(served, at("let")) == "go"
        served.wait_for_output("worked")
        assert "ERROR" not in served.output


def test_at_the_deadline_the_application_is_told(tmp_path: Path) -> None:
    source = """
async def root(scope, receive, send):
    await receive()
    print("waits")
    kind = (await receive())["type"]
    try:
        await send(OK)
    except OSError as error:
        print("told", kind, type(error).__name__)
"""
    with app(tmp_path, source) as served:
        report, _ = served.error(GET, timeout_s=0.4)
        assert report["errorType"] == "Function.TimedOut"
        assert "kind = (await receive())" in "".join(report["stackTrace"])
        served.wait_for_output("told http.disconnect OSError")
        served.ready()
        assert "Exception in ASGI" not in served.output


def test_an_application_that_does_not_listen_is_cancelled(tmp_path: Path) -> None:
    source = """
async def root(scope, receive, send):
    try:
        await asyncio.Event().wait()
    finally:
        print("over with it")
"""
    with app(tmp_path, source) as served:
        report, _ = served.error(GET, timeout_s=0.4)
        assert report["errorType"] == "Function.TimedOut"
        served.wait_for_output("over with it")
        assert "Exception in ASGI" not in served.output


def test_context_variables_are_each_requests_own(tmp_path: Path) -> None:
    source = """
variable = contextvars.ContextVar("variable", default=0)
async def root(scope, receive, send):
    before = variable.get()
    variable.set(before + 1)
    await answer(send, before)
"""
    with app(tmp_path, source) as served:
        assert [value(served, GET) for _ in range(3)] == [0, 0, 0]


def test_every_loop_and_twin(tmp_path: Path) -> None:
    source = """
async def root(scope, receive, send):
    await asyncio.sleep(0)
    await answer(send, len((await receive())["body"]))
"""
    for more in (
        {"LMI_FAST_LOOP": "asyncio"},
        {"LMI_FAST_TWINS": "pure"},
        {"slots": None},
        {"LMI_FAST_PROCESSES": "2"},
    ):
        with app(tmp_path, source, **more) as served:
            assert value(served, http_api(Sent("POST", body=b"x" * 300_000))) == 300_000


def test_at_the_shutdown_requests_are_answered(tmp_path: Path) -> None:
    source = """
async def root(scope, receive, send):
    print("began")
    await asyncio.sleep(0.05)
    await answer(send, "answered")
"""
    with app(tmp_path, source) as served:
        pending = served.api.invoke(GET)
        served.wait_for_output("began")
        served.process.send_signal(signal.SIGTERM)
        assert json.loads(pending.result(TIMEOUT).body)["body"] == '"answered"'
        assert served.exit_code() == 0
