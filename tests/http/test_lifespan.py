"""The lifespan protocol: once in each process, around everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..serving import Served, serving
from ..test_init_errors import failed
from .gateways import Sent, http_api

GET = http_api(Sent())


def body(served: Served) -> Any:
    return json.loads(served.result(GET)["body"])


FASTAPI = """
    import contextlib, os
    from fastapi import FastAPI, Request
    @contextlib.asynccontextmanager
    async def lifespan(app):
        print("startup", os.getpid())
        yield {"pool": [], "greeting": "hello"}
        print("shutdown", os.getpid())
    app = FastAPI(lifespan=lifespan)
    @app.get("/")
    async def root(request: Request):
        request.state.pool.append(1)
        request.state.greeting += "!"
        return [request.state.greeting, len(request.state.pool)]
"""


def test_once_and_its_state_in_every_scope(tmp_path: Path) -> None:
    """What it holds is shared; the state itself is each request's own copy."""
    with serving(tmp_path, FASTAPI, handler="app:app") as served:
        assert [body(served) for _ in range(3)] == [["hello!", 1], ["hello!", 2], ["hello!", 3]]
        assert served.stop() == 0
        assert (served.output.count("startup"), served.output.count("shutdown")) == (1, 1)


@pytest.mark.parametrize("preload", ["off", "on"])
def test_once_in_each_process(tmp_path: Path, preload: str) -> None:
    with serving(tmp_path, FASTAPI, handler="app:app", LMI_FAST_PROCESSES="2", LMI_FAST_PRELOAD=preload) as served:
        assert body(served)[0] == "hello!"
        assert served.stop() == 0
        lines = [json.loads(line)["message"] for line in served.output.splitlines() if "startup" in line]
        assert len(set(lines)) == len(lines) == 2


def test_within_the_lifespan_of_the_runtime(tmp_path: Path) -> None:
    source = """
        import contextlib, lmi_fast
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        from starlette.routing import Route
        {a}
        def resources():
            print("resources open")
            yield {{"own": 1}}
            print("resources closed")
        @contextlib.asynccontextmanager
        async def lifespan(app):
            print("startup")
            yield {{"apps": 2}}
            print("shutdown")
        async def root(request):
            return JSONResponse([request.scope["aws.context"].state, request.state.apps])
        app = Starlette(routes=[Route("/", root)], lifespan=lifespan)
    """
    for a in ("@lmi_fast.lifespan", "@lmi_fast.lifespan\n        @contextlib.contextmanager"):
        with serving(tmp_path, source.format(a=a), handler="app:app") as served:
            assert body(served) == [{"own": 1}, 2]
            assert served.stop() == 0
            said = [
                one["message"]
                for one in served.records()
                if one["message"].split()[0] in ("resources", "startup", "shutdown")
            ]
            assert said == ["resources open", "startup", "shutdown", "resources closed"]


def test_a_startup_that_raises_is_an_init_error(tmp_path: Path) -> None:
    source = """
        import contextlib
        from fastapi import FastAPI
        @contextlib.asynccontextmanager
        async def lifespan(app):
            raise LookupError("no database")
            yield
        app = FastAPI(lifespan=lifespan)
    """
    report, _ = failed(tmp_path, source, handler="app:app")
    assert (report["errorType"], report["errorMessage"]) == ("LookupError", "no database")
    assert any('raise LookupError("no database")' in frame for frame in report["stackTrace"])


RAW = """
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await receive()
            await send({{"type": "http.response.start", "status": 200}})
            return await send({{"type": "http.response.body", "body": b"7"}})
        {lifespan}
"""


@pytest.mark.parametrize("then", ["return", "await receive()"])
def test_a_startup_that_says_that_it_failed_is_an_init_error(tmp_path: Path, then: str) -> None:
    lifespan = f'await receive(); await send({{"type": "lifespan.startup.failed", "message": "no database"}}); {then}'
    report, _ = failed(tmp_path, RAW.format(lifespan=lifespan), handler="app:app")
    assert report["errorType"] == "Function.StartupFailed"
    assert "no database" in report["errorMessage"]


@pytest.mark.parametrize("lifespan", ["raise ValueError('only http')", "return", "assert scope['type'] == 'http'"])
def test_an_application_without_a_lifespan(tmp_path: Path, lifespan: str) -> None:
    with serving(tmp_path, RAW.format(lifespan=lifespan), handler="app:app") as served:
        assert body(served) == 7
        assert served.stop() == 0
        assert "ERROR" not in served.output


def test_messages_of_the_protocol(tmp_path: Path) -> None:
    """Each in its place and once; else send() raises, and the application may go on."""
    lifespan = """
        async def refused(kind):
            try:
                await send({"type": kind})
            except RuntimeError as error:
                print(error)
        print(f"got {await receive()} {sorted(scope)}")
        await refused("lifespan.shutdown.complete")
        await refused("http.response.start")
        await send({"type": "lifespan.startup.complete"})
        await refused("lifespan.startup.complete")
        print(f"got {await receive()}")
        await send({"type": "lifespan.shutdown.complete"})
        print("the end")
"""
    with serving(
        tmp_path, RAW.replace("{lifespan}", lifespan).replace("{{", "{").replace("}}", "}"), handler="app:app"
    ) as served:
        assert body(served) == 7
        assert served.stop() == 0
        said = [one["message"] for one in served.records() if one["message"].startswith(("got", "Unexpected", "the"))]
    assert said == [
        "got {'type': 'lifespan.startup'} ['asgi', 'state', 'type']",
        "Unexpected ASGI message 'lifespan.shutdown.complete'.",
        "Unexpected ASGI message 'http.response.start'.",
        "Unexpected ASGI message 'lifespan.startup.complete'.",
        "got {'type': 'lifespan.shutdown'}",
        "the end",
    ]


@pytest.mark.parametrize(
    "lifespan",
    [
        'await receive(); raise LookupError("late")',
        'await receive(); await send({"type": "lifespan.shutdown.failed", "message": "late"})',
        'raise LookupError("late")',
    ],
)
def test_a_shutdown_that_fails_is_logged(tmp_path: Path, lifespan: str) -> None:
    lifespan = 'await receive(); await send({"type": "lifespan.startup.complete"}); ' + lifespan
    with serving(tmp_path, RAW.format(lifespan=lifespan), handler="app:app") as served:
        assert body(served) == 7
        assert served.stop() == 0
        [record] = [one for one in served.records() if one["level"] == "ERROR"]
        assert "the application's shutdown failed" in record["message"]
        assert "late" in record["message"]


def test_what_runs_behind_its_response_ends_before_the_shutdown(tmp_path: Path) -> None:
    source = """
        import asyncio, contextlib
        from starlette.applications import Starlette
        from starlette.background import BackgroundTask
        from starlette.responses import JSONResponse
        from starlette.routing import Route
        @contextlib.asynccontextmanager
        async def lifespan(app):
            yield
            print("shutdown")
        async def work(seconds):
            try:
                await asyncio.sleep(seconds)
                print("worked")
            except asyncio.CancelledError:
                print("cancelled")
        async def root(request):
            return JSONResponse(1, background=BackgroundTask(work, float(request.query_params["s"])))
        app = Starlette(routes=[Route("/", root)], lifespan=lifespan)
    """
    for seconds, end in (("0.02", "worked"), ("100", "cancelled")):
        with serving(tmp_path, source, handler="app:app") as served:
            served.result(http_api(Sent(query=f"s={seconds}")))
            assert served.stop() == 0
            said = [one["message"] for one in served.records() if one["message"] in ("worked", "cancelled", "shutdown")]
            assert said == [end, "shutdown"]
