"""Powertools' event handlers for AppSync and Bedrock when invocations overlap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .overlapping import COUNT, both, overlapping, results


def graphql(n: int, field: str = "order") -> dict[str, Any]:
    return {
        "arguments": {"number": n},
        "info": {"parentTypeName": "Query", "fieldName": field, "variables": {}, "selectionSetList": []},
        "request": {"headers": {"x-number": str(n)}},
        "source": {"n": n},
    }


GRAPHQL = """
    from aws_lambda_powertools.event_handler import AppSyncResolver
    from aws_lambda_powertools.event_handler.graphql_appsync.router import Router
    app = AppSyncResolver()
    router = Router()
    router.append_context(at_import="here")

    def seen(of):
        return [of.current_event.arguments["number"], of.context.get("n"), of.context.get("at_import")]

    @app.resolver(type_name="Query", field_name="order")
    ASYNC def order(number):
        AWAIT meet()
        found = [*seen(app), app.current_event.request_headers["x-number"], app.lambda_context.aws_request_id]
        AWAIT meet()
        return [number, *found]

    @router.resolver(type_name="Query", field_name="routed")
    ASYNC def routed(number):
        AWAIT meet()
        found = [*seen(router), str(router.current_event.source["n"]), router.lambda_context.aws_request_id]
        AWAIT meet()
        return [number, *found]

    app.include_router(router)

    ASYNC def handler(event, context):
        app.append_context(n=event["arguments"]["number"])
        return [context.aws_request_id, AWAIT app.resolve(event, context)]
"""


@both
def test_resolvers_of_graphql_see_their_own_event(tmp_path: Path, a: str) -> None:
    with overlapping(tmp_path, GRAPHQL, a) as served:
        events = [graphql(n, ["order", "routed"][n % 2]) for n in range(COUNT)]
        for n, (request_id, found) in enumerate(results(served, events)):
            assert found == [n, n, n, "here", str(n), request_id]


@both
def test_without_the_adapter_they_see_that_of_another(tmp_path: Path, a: str) -> None:
    """The tests here can fail."""
    source = """
        from aws_lambda_powertools.event_handler import AppSyncResolver
        app = AppSyncResolver()
        @app.resolver(type_name="Query", field_name="order")
        ASYNC def order(number):
            AWAIT meet()
            return app.current_event.arguments["number"]
        ASYNC def handler(event, context):
            return AWAIT app.resolve(event, context)
    """
    with overlapping(tmp_path, source, a, LMI_FAST_ADAPT="off") as served:
        assert results(served, [graphql(n) for n in range(COUNT)]) != [*range(COUNT)]


@both
def test_batches_of_graphql(tmp_path: Path, a: str) -> None:
    """An async batch resolver has an event loop of its own, so within an async handler it needs a thread."""
    source = """
        from aws_lambda_powertools.event_handler import AppSyncResolver
        app = AppSyncResolver()
        @app.batch_resolver(type_name="Query", field_name="plain", aggregate=False)
        def plain(event, number):
            return [number, event.source["n"], *(each.source["n"] for each in app.current_batch_event)]
        @app.async_batch_resolver(type_name="Query", field_name="concurrent", aggregate=False)
        async def concurrent(event, number):
            await asyncio.sleep(0)
            return plain(event, number)
        ASYNC def handler(event, context):
            AWAIT meet()
            if IS_ASYNC:
                return AWAIT asyncio.to_thread(app.resolve, event, context)
            return app.resolve(event, context)
    """
    with overlapping(tmp_path, source, a) as served:
        for field in ("plain", "concurrent"):
            events = [[graphql(n, field), graphql(n + 1000, field)] for n in range(COUNT)]
            for n, found in enumerate(results(served, events)):
                assert found == [[n, n, n, n + 1000], [n + 1000, n + 1000, n, n + 1000]]


def realtime(n: int, operation: str, channel: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "info": {"operation": operation, "channel": {"path": channel, "segments": channel.split("/")[1:]}},
        "request": {"headers": {"x-number": str(n)}},
    }
    if operation == "PUBLISH":
        event["events"] = [{"id": str(part), "payload": {"n": n}} for part in range(2)]
    return event


@both
def test_resolvers_of_events_see_their_own_event(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools.event_handler import AppSyncEventsResolver
        from aws_lambda_powertools.event_handler.events_appsync.router import Router
        app = AppSyncEventsResolver()
        router = Router()
        def seen(of):
            number = int(of.current_event.request_headers["x-number"])
            return [number, of.context["n"], of.lambda_context.aws_request_id]
        @app.on_publish("/plain/*")
        def plain(payload):
            time.sleep(0)
            return [payload["n"], *seen(app)]
        @router.async_on_publish("/concurrent/*")
        async def concurrent(payload):
            await asyncio.sleep(0)
            return [payload["n"], *seen(router)]
        @router.on_subscribe("/plain/*")
        def subscribed():
            found = seen(router)
            if found[0] % 2:
                raise ValueError(found[0])
            assert found[0] == found[1]
        app.include_router(router)
        ASYNC def handler(event, context):
            app.append_context(n=int(event["request"]["headers"]["x-number"]))
            AWAIT meet()
            if IS_ASYNC:
                found = AWAIT asyncio.to_thread(app.resolve, event, context)
            else:
                found = app.resolve(event, context)
            return [context.aws_request_id, found]
    """
    with overlapping(tmp_path, source, a) as served:
        for channel in ("/plain/one", "/concurrent/one"):
            events = [realtime(n, "PUBLISH", channel) for n in range(COUNT)]
            for n, (request_id, found) in enumerate(results(served, events)):
                assert found["events"] == [{"id": id, "payload": [n, n, n, request_id]} for id in ("0", "1")]
        events = [realtime(n, "SUBSCRIBE", "/plain/one") for n in range(COUNT)]
        for n, (_, found) in enumerate(results(served, events)):
            assert found == ({"error": f"ValueError - {n}"} if n % 2 else None)


@both
def test_tools_of_bedrock_agents_see_their_own_event(tmp_path: Path, a: str) -> None:
    source = """
        from concurrent.futures import ThreadPoolExecutor
        from aws_lambda_powertools.event_handler import BedrockAgentFunctionResolver
        app = BedrockAgentFunctionResolver()
        met = threading.Barrier(50, timeout=20)
        executor = ThreadPoolExecutor(50)
        app.append_context(at_import="here")
        @app.tool(name="order")
        def order(number):
            met.wait()
            found = [number, app.current_event.session_id, app.context["n"], app.context["at_import"]]
            met.wait()
            return found
        ASYNC def handler(event, context):
            app.append_context(n=event["sessionId"])
            if IS_ASYNC:
                loop = asyncio.get_running_loop()
                return AWAIT loop.run_in_executor(executor, app.resolve, event, context)
            return app.resolve(event, context)
    """
    events = [
        {
            "messageVersion": "1.0",
            "agent": {"name": "a", "id": "a", "alias": "a", "version": "1"},
            "inputText": "",
            "sessionId": str(n),
            "actionGroup": "orders",
            "function": "order",
            "parameters": [{"name": "number", "type": "integer", "value": str(n)}],
            "sessionAttributes": {"n": str(n)},
        }
        for n in range(COUNT)
    ]
    with overlapping(tmp_path, source, a) as served:
        for n, found in enumerate(results(served, events)):
            body = json.loads(found["response"]["functionResponse"]["responseBody"]["TEXT"]["body"])
            assert body == [n, str(n), str(n), "here"]
            assert found["sessionAttributes"] == {"n": str(n)}
