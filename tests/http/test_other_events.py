"""Events that are no HTTP requests, at an application that wants them, and at one that does not."""

from __future__ import annotations

import json
from pathlib import Path

from ..serving import serving
from . import samples
from .gateways import Sent, http_api, rest_api

SOURCE = """
    from fastapi import FastAPI, Request
    app = FastAPI()
    @app.post("/events")
    async def events(request: Request):
        event = await request.json()
        if "Records" in event:
            return {"batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in event["Records"]]}
        if (event.get("requestContext") or {}).get("connectionId"):
            return {"route": event["requestContext"]["routeKey"]}
        raise LookupError("unknown event")
    @app.get("/items")
    async def items(request: Request):
        return [str(request.url), str(request.url_for("items")), request.scope["aws.context"].aws_request_id]
"""


def test_they_are_posts(tmp_path: Path) -> None:
    with serving(tmp_path, SOURCE, handler="app:app", LMI_FAST_HTTP_EVENTS_PATH="/events") as served:
        answer = served.result(samples.QUEUE)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "059f36b4-87a3-44ab-83d2-661975830a7d"}]}
        answer = served.result(samples.SOCKET_CONNECT)
        assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"route": "$connect"})
        assert json.loads(served.result(samples.SOCKET_MESSAGE)["body"]) == {"route": "$default"}
        assert json.loads(served.result(http_api(Sent(path="/items")))["body"])[0] == "https://api.example.test/items"


def test_one_that_fails_fails_its_invocation(tmp_path: Path) -> None:
    """Or the queue would take its messages for done."""
    with serving(tmp_path, SOURCE, handler="app:app", LMI_FAST_HTTP_EVENTS_PATH="/events") as served:
        report, outcome = served.error({"source": "aws.events"})
        assert report["errorType"] == outcome.error_type == "Function.EventFailed"
        assert report["errorMessage"] == "the application answered the event with 500: Internal Server Error"
        assert "unknown event" in served.output
    with serving(tmp_path, SOURCE, handler="app:app", LMI_FAST_HTTP_EVENTS_PATH="/absent") as served:
        report, _ = served.error(samples.QUEUE)
        assert "answered the event with 404" in report["errorMessage"]


def test_an_application_that_raises_is_reported_with_what_it_raised(tmp_path: Path) -> None:
    source = "async def app(scope, receive, send): raise LookupError('mine')"
    with serving(tmp_path, source, handler="app:app", LMI_FAST_HTTP_EVENTS_PATH="/events") as served:
        report, _ = served.error(samples.QUEUE)
        assert (report["errorType"], report["errorMessage"]) == ("LookupError", "mine")


def test_without_a_path_for_them_they_fail(tmp_path: Path) -> None:
    with serving(tmp_path, SOURCE, handler="app:app") as served:
        report, _ = served.error(samples.QUEUE)
        assert report["errorType"] == "Runtime.NotHttp"
        assert "LMI_FAST_HTTP_EVENTS_PATH" in report["errorMessage"]


def test_urls_behind_a_stage_and_a_base_path(tmp_path: Path) -> None:
    """What FastAPI makes of `root_path`: routes match without it, and its URLs have it."""
    with serving(tmp_path, SOURCE, handler="app:app", LMI_FAST_HTTP_BASE_PATH="/shop") as served:
        for event, root in (
            (http_api(Sent(path="/items"), "dev"), "/dev"),
            (rest_api(Sent(path="/items"), "prod", own_domain=False), "/prod"),
            (http_api(Sent(path="/shop/items")), "/shop"),
        ):
            outcome = served.invoke(event)
            answer = json.loads(outcome.body)
            assert answer["statusCode"] == 200, answer
            url = f"https://api.example.test{root}/items"
            assert json.loads(answer["body"]) == [url, url, outcome.request_id]
        docs = served.result(http_api(Sent(path="/docs"), "dev"))
        assert "url: '/dev/openapi.json'" in docs["body"]
        schema = json.loads(served.result(http_api(Sent(path="/openapi.json"), "dev"))["body"])
        assert schema["servers"] == [{"url": "/dev"}]
