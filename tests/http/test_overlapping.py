"""Two hundred requests at the same time in one process, each with its own context variables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..serving import TIMEOUT, serving
from .gateways import Sent, function_url

MANY = 200


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_requests_overlap_and_do_not_mix(tmp_path: Path, loop: str) -> None:
    """All of them meet in the middle of their endpoints; middleware, dependencies and tasks see their own variables."""
    source = f"""
        import asyncio, contextvars, lmi_fast
        from fastapi import Depends, FastAPI, Request
        from starlette.middleware.base import BaseHTTPMiddleware
        app = FastAPI()
        variable = contextvars.ContextVar("variable")
        meeting = asyncio.Barrier({MANY})
        @app.middleware("http")
        async def set_variable(request, call_next):
            variable.set(request.url.path)
            response = await call_next(request)
            response.headers["x-variable"] = variable.get()
            return response
        def on_a_thread(): return [variable.get(), lmi_fast.current().aws_request_id]
        async def in_a_task(): return [variable.get(), lmi_fast.current().aws_request_id]
        @app.get("/{{number}}")
        async def meet(number: int, request: Request, seen=Depends(on_a_thread)):
            await meeting.wait()
            return [number, seen, await asyncio.create_task(in_a_task()), request.scope["aws.context"].aws_request_id]
    """
    with serving(tmp_path, source, handler="app:app", slots=MANY, LMI_FAST_LOOP=loop) as served:
        pending = [served.api.invoke(function_url(Sent(path=f"/{number}"))) for number in range(MANY)]
        for number, one in enumerate(pending):
            outcome = one.result(TIMEOUT)
            answer = json.loads(outcome.body)
            mine = [f"/{number}", outcome.request_id]
            assert json.loads(answer["body"]) == [number, mine, mine, outcome.request_id]
            assert answer["headers"]["x-variable"] == f"/{number}"
        assert "ERROR" not in served.output


def test_plain_applications_overlap_on_threads(tmp_path: Path) -> None:
    source = """
        import threading, lmi_fast
        from flask import Flask, g, request
        app = Flask(__name__)
        meeting = threading.Barrier(32)
        @app.before_request
        def set_g(): g.path = request.path
        @app.get("/<int:number>")
        def meet(number):
            meeting.wait()
            return [number, g.path, lmi_fast.current().aws_request_id]
    """
    with serving(tmp_path, source, handler="app:app", slots=32) as served:
        pending = [served.api.invoke(function_url(Sent(path=f"/{number}"))) for number in range(32)]
        for number, one in enumerate(pending):
            outcome = one.result(TIMEOUT)
            assert json.loads(json.loads(outcome.body)["body"]) == [number, f"/{number}", outcome.request_id]
