"""Web applications under AWS's own emulator, with AWS's sample events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .. import sam_wheel
from ..rie import Rie, python_bootstrap, require_rie
from ..serving import ROOT, TIMEOUT

APP = """
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()

@app.get("/stream/{megabytes}")
async def stream(megabytes: int):
    async def pieces():
        for number in range(megabytes * 16):
            yield bytes([number % 256]) * 65536
    return StreamingResponse(pieces(), media_type="application/octet-stream", headers={"x-made": "here"})

@app.api_route("/{path:path}", methods=["GET", "POST"])
async def anything(path: str, request: Request):
    return {"path": request.url.path, "method": request.method, "body": (await request.body()).decode()}
"""
FLASK = """
from flask import Flask, request
app = Flask(__name__)

@app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
@app.route("/<path:path>", methods=["GET", "POST"])
def anything(path):
    return {"path": request.path, "method": request.method, "body": request.get_data(as_text=True)}
"""
BOOTSTRAP = python_bootstrap("-m", "lmi_fast", "app:app", path=[ROOT, "/var/task"])


@pytest.fixture(autouse=True)
def _needs_the_emulator() -> None:
    require_rie()


def is_http(event: Any) -> bool:
    return isinstance(event, dict) and bool({"httpMethod", "rawPath"} & event.keys()) and "requestContext" in event


@pytest.mark.parametrize("source", [APP, FLASK], ids=["FastAPI", "Flask"])
def test_every_sample_of_an_http_request(source: str) -> None:
    samples = {name: data for name, data in sam_wheel.sample_events().items() if is_http(json.loads(data))}
    assert len(samples) >= 3
    with Rie({"app.py": source}, bootstrap=BOOTSTRAP, max_concurrency=8) as emulator:
        for name, data in samples.items():
            event = json.loads(data)
            reply = emulator.invoke(data, patience=TIMEOUT)
            assert reply.error_type is None, (name, reply)
            answer: Any = reply.json()
            assert answer["statusCode"] == 200, (name, answer)
            http = event["requestContext"].get("http", {})
            method = event.get("httpMethod") or http["method"]
            found = json.loads(answer["body"])
            assert found["method"] == method
            assert found["path"].endswith(event.get("path") or event["rawPath"])


def test_a_stream() -> None:
    """It has a prelude, and up to 6 MiB of it come through."""
    event = json.loads(sam_wheel.sample_events()["apigateway/HttpApi"])
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/stream/5"
    event["requestContext"]["http"]["method"] = "GET"
    event["requestContext"]["domainName"] = "abc.lambda-url.us-east-1.on.aws"
    event.pop("body", None)
    env = {"LMI_FAST_HTTP_RESPONSE": "stream"}
    with Rie({"app.py": APP}, bootstrap=BOOTSTRAP, max_concurrency=8, env=env) as emulator:
        reply = emulator.invoke(json.dumps(event).encode(), patience=TIMEOUT)
        prelude, end, body = reply.body.partition(bytes(8))
        fields = json.loads(prelude)
        assert (fields["statusCode"], fields["headers"]["x-made"]) == (200, "here")
        assert end == bytes(8)
        assert body == b"".join(bytes([number]) * 65536 for number in range(80))
