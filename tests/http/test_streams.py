"""Responses that are sent while the application makes them."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from lmi_fast.emulator import Outcome, Proxy, RuntimeApi
from lmi_fast.http.exchange import Exchange

from ..serving import TIMEOUT, Served, serving
from .gateways import INTEGRATIONS, Sent, delivered, delivered_stream, function_url, http_api, rest_api
from .test_asgi import DISPATCH

STREAM = {"LMI_FAST_HTTP_RESPONSE": "stream"}
SOURCE = """
gates = {}
def gate(name): return gates.setdefault(name, asyncio.Event())
async def open_(scope, receive, send):
    gate(scope["query_string"]).set()
    await answer(send, "opened")
async def held(scope, receive, send):
    await send(OK | {"headers": [(b"x-a", b"1"), (b"set-cookie", b"a=b"), (b"x-a", b"2"), (b"set-cookie", b"c=d")]})
    await send(body(b"first", True))
    await gate(scope["query_string"]).wait()
    await send(body(b"second", True))
    await send(body(b"", False))
    print("behind it")
async def whole(scope, receive, send): await answer(send, "whole")
async def empty(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send(body(b""))
async def early(scope, receive, send):
    await send(OK)
    raise LookupError("mine")
async def late(scope, receive, send):
    await send(OK)
    await send(body(b"half", True))
    raise LookupError("mine")
async def unfinished(scope, receive, send):
    await send(OK)
    await send(body(b"half", True))
async def endless(scope, receive, send):
    await receive()
    await send(OK)
    try:
        while True:
            await send(body(b"x" * 65536, True))
    except OSError:
        print("told", (await receive())["type"])
        raise
async def waits(scope, receive, send):
    await receive()
    await send(OK)
    await send(body(b"first", True))
    print("waits")
    print("told", (await receive())["type"])
async def deaf(scope, receive, send):
    await send(OK)
    await send(body(b"first", True))
    print("waits")
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled")
"""


def at(path: str, query: str = "", method: str = "GET") -> dict[str, Any]:
    return function_url(Sent(method, f"/{path}", query))


def app(folder: Path, **more: Any) -> Any:
    (folder / "app.py").write_text(DISPATCH + SOURCE)
    return serving(folder, "", handler="app:app", **STREAM, **more)


def failure(outcome: Outcome) -> Any:
    return json.loads(base64.b64decode(outcome.trailers["lambda-runtime-function-error-body"]))


def test_each_piece_is_sent_as_it_comes(tmp_path: Path) -> None:
    with app(tmp_path) as served:
        came: list[bytes] = []
        first = threading.Event()

        def take(data: bytes) -> None:
            came.append(data)
            first.set()

        pending = served.api.invoke(at("held", "1"), taker=take)
        assert first.wait(TIMEOUT)
        prelude, _, body = b"".join(came).partition(bytes(8))
        assert json.loads(prelude) == {"statusCode": 200, "headers": {"x-a": "1, 2"}, "cookies": ["a=b", "c=d"]}
        assert body == b"first"
        assert not pending.done()
        assert delivered_stream(served.invoke(at("open_", "1"))).body == b'"opened"'
        assert pending.result(TIMEOUT).kind == "response"
        assert b"".join(came).endswith(b"\0firstsecond")
        served.wait_for_output("behind it")
        served.ready()


def test_what_is_whole_at_once(tmp_path: Path) -> None:
    with app(tmp_path) as served:
        got = delivered_stream(served.invoke(at("whole")))
        assert (got.status, got.headers, got.body) == (200, [("content-type", "text/plain")], b'"whole"')
        got = delivered_stream(served.invoke(at("empty")))
        assert (got.status, got.headers, got.body) == (204, [], b"")
        for path in ("whole", "open_", "held"):
            assert delivered_stream(served.invoke(at(path, method="HEAD"))).body == b""


def test_only_where_the_integration_can(tmp_path: Path) -> None:
    with app(tmp_path) as served:
        for name, make in INTEGRATIONS.items():
            outcome = served.invoke(make(Sent(path="/whole")))
            can = name in ("function-url", "rest-api")
            assert (delivered_stream(outcome) if can else delivered(json.loads(outcome.body), name)).body == b'"whole"'


@pytest.mark.parametrize("variables", [{}, {"LMI_FAST_HTTP_RESPONSE": "auto"}, {"LMI_FAST_HTTP_RESPONSE": "buffer"}])
def test_nowhere_unless_one_says_so(tmp_path: Path, variables: dict[str, str]) -> None:
    """An event does not tell whether its caller wants a stream."""
    source = """
        from fastapi import FastAPI
        from fastapi.responses import StreamingResponse
        app = FastAPI()
        @app.get("/")
        async def root():
            return StreamingResponse((f"data: {n}\\n\\n" for n in range(2)), media_type="text/event-stream")
    """
    with serving(tmp_path, source, handler="app:app", **variables) as served:
        for make in (function_url, rest_api, http_api):
            assert delivered(served.result(make(Sent())), "rest-api").body == b"data: 0\n\ndata: 1\n\n"


def test_a_failure_before_the_first_piece_is_a_500(tmp_path: Path) -> None:
    with app(tmp_path) as served:
        got = delivered_stream(served.invoke(at("early")))
        assert (got.status, got.body) == (500, b"Internal Server Error")
        [record] = [one for one in served.records() if one["level"] == "ERROR"]
        assert (record["message"], record["errorMessage"]) == ("Exception in ASGI application", "mine")


@pytest.mark.parametrize(
    ("path", "error_type", "message"),
    [
        ("late", "LookupError", "mine"),
        ("unfinished", "RuntimeError", "ASGI callable returned without completing response."),
    ],
)
def test_a_later_one_ends_the_stream_with_an_error(tmp_path: Path, path: str, error_type: str, message: str) -> None:
    with app(tmp_path) as served:
        outcome = served.invoke(at(path))
        # It may have been too quick for the first piece.
        if outcome.kind == "response":
            assert delivered_stream(outcome).status == 500
        else:
            assert outcome.body.endswith(b"half")
            assert (failure(outcome)["errorType"], failure(outcome)["errorMessage"]) == (error_type, message)
        [record] = [one for one in served.records() if one["level"] == "ERROR"]
        assert record["requestId"] == outcome.request_id
        served.ready()


@pytest.mark.parametrize(("path", "then"), [("waits", "told http.disconnect"), ("deaf", "cancelled")])
def test_at_the_deadline(tmp_path: Path, path: str, then: str) -> None:
    with app(tmp_path) as served:
        outcome = served.invoke(at(path), timeout_s=0.5)
        assert (outcome.kind, outcome.error_type) == ("error", "Function.TimedOut")
        assert outcome.body.endswith(b"first")
        served.wait_for_output(then)
        served.ready()
        assert "Exception in ASGI" not in served.output


@pytest.mark.parametrize(
    ("path", "then"), [("endless", "told http.disconnect"), ("waits", "told http.disconnect"), ("deaf", "cancelled")]
)
def test_when_the_caller_goes_away(tmp_path: Path, path: str, then: str) -> None:
    (tmp_path / "app.py").write_text(DISPATCH + SOURCE)
    with RuntimeApi() as api, Proxy(api.address) as proxy:
        variables = {"AWS_LAMBDA_RUNTIME_API": proxy.address, "LMI_FAST_EXTENSION": "off", **STREAM}
        with Served(tmp_path, handler="app:app", slots=2, api=api, variables=variables) as served:
            served.ready()
            slots = list(proxy.links)
            came = threading.Event()
            api.invoke(at(path), taker=lambda data: came.set())
            assert came.wait(TIMEOUT)
            if path != "endless":
                served.wait_for_output("waits")
            for link in proxy.links:
                if link not in slots:
                    link.cut(reset=False)
            served.wait_for_output(then)
            served.ready()
            assert served.stop() == 0
            assert "Traceback" not in served.output
            assert "Exception in ASGI" not in served.output


def test_starlette_is_told_that_the_caller_has_gone(tmp_path: Path) -> None:
    source = """
        import asyncio
        from starlette.applications import Starlette
        from starlette.responses import StreamingResponse
        from starlette.routing import Route
        async def pieces():
            try:
                while True:
                    yield b"x" * 65536
                    await asyncio.sleep(0)
            finally:
                print("closed")
        async def root(request): return StreamingResponse(pieces())
        app = Starlette(routes=[Route("/", root)])
    """
    with RuntimeApi() as api, Proxy(api.address) as proxy:
        variables = {"AWS_LAMBDA_RUNTIME_API": proxy.address, "LMI_FAST_EXTENSION": "off", **STREAM}
        with Served(tmp_path, source, handler="app:app", slots=2, api=api, variables=variables) as served:
            served.ready()
            slots = list(proxy.links)
            came = threading.Event()
            api.invoke(at(""), taker=lambda data: came.set())
            assert came.wait(TIMEOUT)
            for link in proxy.links:
                if link not in slots:
                    link.cut(reset=True)
            served.wait_for_output("closed")
            served.ready()
            assert served.stop() == 0
            assert "Exception in ASGI" not in served.output


def test_a_slow_reader_holds_up_the_application() -> None:
    """Its pieces do not pile up: send() returns when the last one was taken."""

    async def exchanged() -> list[str]:
        said: list[str] = []
        exchange = Exchange(b"", streams=True)

        async def application() -> None:
            await exchange.send({"type": "http.response.start", "status": 200})
            for piece in (b"a", b"b", b"c"):
                said.append(f"sends {piece!r}")
                await exchange.send({"type": "http.response.body", "body": piece, "more_body": piece != b"c"})

        task = asyncio.create_task(application())
        await asyncio.sleep(0)
        assert exchange.ready
        async for piece in exchange.pieces():
            said.append(f"takes {piece!r}")
            for _ in range(10):
                await asyncio.sleep(0)
        await task
        return said

    said = asyncio.run(exchanged())
    assert said == ["sends b'a'", "takes b'a'", "sends b'b'", "takes b'b'", "sends b'c'", "takes b'c'"]


FLASK = """
    import threading
    from flask import Flask, Response
    app = Flask(__name__)
    go = threading.Event()
    @app.get("/held")
    def held():
        def pieces():
            yield "first"
            print("waits")
            go.wait()
            yield "second"
        response = Response(pieces(), mimetype="text/plain", status=202)
        response.set_cookie("a", "b")
        response.call_on_close(lambda: print("closed"))
        return response
    @app.get("/open")
    def open_():
        go.set()
        return "opened"
    @app.get("/late")
    def late():
        def pieces():
            yield "half"
            raise LookupError("mine")
        return Response(pieces())
    @app.get("/broken")
    def broken(): raise LookupError("mine")
"""


def test_flask(tmp_path: Path) -> None:
    with serving(tmp_path, FLASK, handler="app:app", **STREAM) as served:
        came: list[bytes] = []
        pending = served.api.invoke(at("held"), taker=came.append)
        served.wait_for_output("waits")
        assert not pending.done()
        assert delivered_stream(served.invoke(at("open"))).body == b"opened"
        assert pending.result(TIMEOUT).kind == "response"
        prelude, _, body = b"".join(came).partition(bytes(8))
        said = json.loads(prelude)
        assert (said["statusCode"], said["cookies"], body) == (202, ["a=b; Path=/"], b"firstsecond")
        served.wait_for_output("closed")
        assert delivered_stream(served.invoke(at("open", method="HEAD"))).body == b""
        assert delivered(served.result(http_api(Sent(path="/open"))), "http-api").body == b"opened"
        assert delivered_stream(served.invoke(at("broken"))).status == 500
        outcome = served.invoke(at("late"))
        assert outcome.kind == "error"
        assert outcome.body.endswith(b"half")
        assert failure(outcome)["errorType"] == "LookupError"


def test_what_a_wsgi_application_raises_at_once(tmp_path: Path) -> None:
    source = "def app(environ, start_response): raise LookupError('mine')"
    with serving(tmp_path, source, handler="app:app", **STREAM) as served:
        got = delivered_stream(served.invoke(at("x")))
        assert (got.status, got.body) == (500, b"Internal Server Error")
