"""Powertools' event handlers when invocations overlap: events of API Gateway, ALB and function URLs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .overlapping import COUNT, both, outcomes, overlapping, results

# Of each kind of event its resolver, and what makes one of a path.
KINDS = ["APIGatewayRestResolver", "APIGatewayHttpResolver", "ALBResolver", "LambdaFunctionUrlResolver"]


def request(kind: str, n: int, path: str = "") -> dict[str, Any]:
    path = path or f"/orders/{n}"
    event: dict[str, Any] = {"headers": {"x-number": str(n)}, "body": json.dumps({"n": n}), "isBase64Encoded": False}
    if kind in ("APIGatewayRestResolver", "ALBResolver"):
        event |= {"httpMethod": "POST", "path": path, "queryStringParameters": {"n": str(n)}}
        event["requestContext"] = {"stage": "$default", "path": path, "elb": {"targetGroupArn": "arn"}}
    else:
        event |= {"rawPath": path, "version": "2.0", "queryStringParameters": {"n": str(n)}}
        event["requestContext"] = {"stage": "$default", "http": {"method": "POST", "path": path}}
    return event


# `seen` is what a route, or a middleware, finds in the app: all of it has to be n.
SOURCE = """
    from aws_lambda_powertools.event_handler import KIND, Response
    from aws_lambda_powertools.event_handler.router import Router
    app = KIND()
    router = Router()
    router.append_context(at_import="here")
    context_of_app = app.context

    def seen(of):
        return {
            "path": of.current_event.path.rpartition("/")[2],
            "body": of.current_event.json_body["n"],
            "header": of.current_event.headers["x-number"],
            "query": of.current_event.query_string_parameters["n"],
            "appended": of.context["n"],
            "request_id": of.lambda_context.aws_request_id,
            "at_import": of.context.get("at_import"),
        }

    ASYNC def first(app, next_middleware):
        app.append_context(n=int(app.current_event.headers["x-number"]))
        AWAIT meet()
        app.append_context(before=seen(app))
        response = AWAIT next_middleware(app)
        AWAIT meet()
        response.headers["x-after"] = app.current_event.headers["x-number"]
        return response

    app.use(middlewares=[first])

    @app.post("/orders/<n>")
    ASYNC def order(n):
        AWAIT meet()
        found = {"before": app.context["before"], "argument": n, "app": seen(app), "router": seen(router)}
        AWAIT meet()
        return found

    @router.post("/routed/<n>")
    ASYNC def routed(n):
        AWAIT meet()
        found = {"before": router.context["before"], "argument": n, "app": seen(app), "router": seen(router)}
        AWAIT meet()
        return found

    @app.post("/fails/<n>")
    ASYNC def fails(n):
        AWAIT meet()
        raise ValueError(n)

    @app.exception_handler(ValueError)
    def failed(error):
        AFTER
        return Response(418, "application/json", json.dumps({"argument": str(error), "app": seen(app)}))

    app.include_router(router)
    import json

    ASYNC def handler(event, context):
        app.append_context(n=None)
        response = AWAIT RESOLVE(event, context)
        assert app.context == {} and context_of_app == {"at_import": "here"}, (app.context, context_of_app)
        return {**response, "request_id": context.aws_request_id}
"""


def source_for(kind: str, a: str) -> str:
    source = SOURCE.replace("KIND", kind).replace("AFTER", "meet()\n        meet()" if not a else "pass")
    return source.replace("RESOLVE", "app.resolve_async" if a else "app.resolve")


def headers_of(response: dict[str, Any]) -> dict[str, Any]:
    several: dict[str, list[str]] = response.get("multiValueHeaders") or {}
    return {**{name: values[0] for name, values in several.items()}, **(response.get("headers") or {})}


@both
@pytest.mark.parametrize("kind", KINDS)
def test_routes_see_their_own_event(tmp_path: Path, a: str, kind: str) -> None:
    with overlapping(tmp_path, source_for(kind, a), a) as served:
        paths = ["/orders/{}", "/routed/{}"]
        responses = results(served, [request(kind, n, paths[n % 2].format(n)) for n in range(COUNT)])
        for n, response in enumerate(responses):
            assert response["statusCode"] == 200
            assert headers_of(response)["x-after"] == str(n)
            body = json.loads(response["body"])
            assert body["argument"] == str(n)
            found = {"path": str(n), "body": n, "header": str(n), "query": str(n), "appended": n, "at_import": "here"}
            for part in ("before", "app", "router"):
                assert body[part] == {**found, "request_id": response["request_id"]}


@both
def test_an_exception_handler_sees_its_own_event(tmp_path: Path, a: str) -> None:
    kind = "APIGatewayHttpResolver"
    with overlapping(tmp_path, source_for(kind, a), a) as served:
        for n, response in enumerate(results(served, [request(kind, n, f"/fails/{n}") for n in range(COUNT)])):
            assert response["statusCode"] == 418
            body = json.loads(response["body"])
            assert (body["argument"], body["app"]["header"], body["app"]["appended"]) == (str(n), str(n), n)


@both
def test_without_the_adapter_routes_see_the_event_of_another(tmp_path: Path, a: str) -> None:
    """The tests before can fail."""
    kind = "APIGatewayHttpResolver"
    source = """
        from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
        app = APIGatewayHttpResolver()
        @app.post("/orders/<n>")
        ASYNC def order(n):
            AWAIT meet()
            return app.current_event.headers["x-number"]
        ASYNC def handler(event, context):
            return AWAIT RESOLVE(event, context)
    """.replace("RESOLVE", "app.resolve_async" if a else "app.resolve")
    events = [request(kind, n) for n in range(COUNT)]
    with overlapping(tmp_path, source, a, LMI_FAST_ADAPT="off") as served:
        found = outcomes(served, events)
        assert sum(json.loads(json.loads(each.body).get("body", "-1")) != n for n, each in enumerate(found)) > COUNT / 2
    with overlapping(tmp_path, source, a) as served:
        assert [int(json.loads(each["body"])) for each in results(served, events)] == list(range(COUNT))


def test_plain_middlewares_round_async_routes(tmp_path: Path) -> None:
    """More of them than there are threads for asyncio.to_thread(), which the route needs as well."""
    kind = "APIGatewayHttpResolver"
    source = """
        from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
        app = APIGatewayHttpResolver()
        def one(app, next_middleware):
            app.append_context(one=app.current_event.headers["x-number"])
            response = next_middleware(app)
            response.headers["x-one"] = app.context["one"]
            return response
        def two(app, next_middleware):
            response = next_middleware(app)
            response.headers["x-two"] = app.current_event.headers["x-number"]
            return response
        app.use(middlewares=[one, two])
        @app.post("/orders/<n>")
        async def order(n):
            await meet()
            return [app.context["one"], await asyncio.to_thread(lambda: app.current_event.headers["x-number"])]
        async def handler(event, context):
            return await app.resolve_async(event, context)
    """
    with overlapping(tmp_path, source, "async ") as served:
        for n, response in enumerate(results(served, [request(kind, n) for n in range(COUNT)])):
            assert json.loads(response["body"]) == [str(n), str(n)]
            assert (headers_of(response)["x-one"], headers_of(response)["x-two"]) == (str(n), str(n))


@both
def test_validated_routes(tmp_path: Path, a: str) -> None:
    """Validation is two plain middlewares, which are built at the first request: at all of them."""
    kind = "APIGatewayHttpResolver"
    source = """
        from pydantic import BaseModel
        from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
        app = APIGatewayHttpResolver(enable_validation=True)
        class Order(BaseModel):
            n: int
        @app.post("/orders/<number>")
        ASYNC def order(number: int, order: Order) -> Order:
            AWAIT meet()
            assert number == order.n == int(app.current_event.headers["x-number"])
            return order
        ASYNC def handler(event, context):
            return AWAIT RESOLVE(event, context)
    """.replace("RESOLVE", "app.resolve_async" if a else "app.resolve")
    with overlapping(tmp_path, source, a) as served:
        bodies = [json.loads(each["body"]) for each in results(served, [request(kind, n) for n in range(COUNT)])]
        assert bodies == [{"n": n} for n in range(COUNT)]
