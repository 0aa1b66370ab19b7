"""The emulated Runtime API, asked by http.client and by raw sockets: nothing of lmi_fast's own client takes part."""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from lmi_fast.emulator import (
    MAX_PAYLOAD,
    Action,
    Close,
    CloseAfter,
    Gate,
    Pending,
    Raw,
    Request,
    Reset,
    RuntimeApi,
    Split,
    Stall,
    Status,
)
from lmi_fast.errors import ApiUnavailable

NEXT = "/2018-06-01/runtime/invocation/next"
RAW_NEXT = f"GET {NEXT} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
INIT_ERROR = "/2018-06-01/runtime/init/error"
INVALID_ID = {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}
GONE = {"errorMessage": "Invoke timeout", "errorType": "InvokeTimeout"}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]  # in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One keep-alive connection."""

    def __init__(self, api: RuntimeApi) -> None:
        self.http = http.client.HTTPConnection(api.address, timeout=10)
        self.http.connect()

    def ask(self, path: str = NEXT, body: bytes | None = None, **headers: str) -> None:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.http.request("GET" if body is None else "POST", path, body, names)

    def reply(self) -> Reply:
        reply = self.http.getresponse()
        return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())

    def next(self) -> Reply:
        self.ask()
        return self.reply()

    def post(self, to: str, request_id: str, body: bytes = b"{}", **headers: str) -> Reply:
        self.ask(f"/2018-06-01/runtime/invocation/{request_id}/{to}", body, **headers)
        return self.reply()

    def send(self, data: bytes) -> None:
        self.http.sock.sendall(data)

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, or fewer at the end."""
        data = b""
        while len(data) < count and (piece := self.http.sock.recv(min(count - len(data), 65536))):
            data += piece
        return data

    def rest(self) -> bytes:
        """Everything until the end."""
        return self.read(1 << 30)

    def close(self) -> None:
        self.http.close()


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    with RuntimeApi(timeout_s=10) as api:
        yield api


@pytest.fixture
def connect(api: RuntimeApi) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def connect() -> Client:
        clients.append(Client(api))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


Connect = Callable[[], Client]


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect()


def started(api: RuntimeApi, client: Client, **options: Any) -> Pending:
    """An invocation whose event `client` has."""
    pending = api.invoke({}, **options)
    assert client.next().headers["lambda-runtime-aws-request-id"] == pending.request_id
    return pending


def nothing_to_read(client: Client) -> bool:
    return not select.select([client.http.sock], [], [], 0)[0]


# Events.


def test_event_and_answer(api: RuntimeApi, client: Client) -> None:
    before = time.time() * 1000
    pending = api.invoke({"a": 17})
    reply = client.next()
    assert (reply.status, reply.body) == (200, b'{"a": 17}')
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-length"] == "9"
    assert reply.headers["lambda-runtime-aws-request-id"] == pending.request_id
    assert reply.headers["lambda-runtime-invocation-id"] == pending.nonce
    assert reply.headers["lambda-runtime-invoked-function-arn"] == api.function_arn
    assert reply.headers["lambda-runtime-trace-id"].startswith("Root=1-")
    assert before + 10_000 <= int(reply.headers["lambda-runtime-deadline-ms"]) + 1 <= time.time() * 1000 + 10_001
    assert not {"lambda-runtime-client-context", "lambda-runtime-cognito-identity"} & reply.headers.keys()
    assert "lambda-runtime-aws-tenant-id" not in reply.headers
    answer = client.post("response", pending.request_id, b"[1]", Content_Type="application/json", X_Mine="yes")
    assert (answer.status, answer.body) == (202, b'{"status":"OK"}\n')
    outcome = pending.result(10)
    assert (outcome.kind, outcome.json(), outcome.content_type) == ("response", [1], "application/json")
    assert (outcome.request_id, outcome.error_type, outcome.headers["x-mine"]) == (pending.request_id, None, "yes")
    assert 0 < outcome.latency_s < 10


def test_optional_headers(api: RuntimeApi, client: Client) -> None:
    api.invoke(
        b"\0\xff",
        request_id="r-1",
        content_type="application/octet-stream",
        deadline_ms=123,
        trace_id="Root=1",
        client_context={"custom": {"k": "v"}},
        cognito_identity='{"cognitoIdentityId":"i"}',
        tenant_id="t",
        headers={"X-More": "ü", "LAMBDA-RUNTIME-INVOKED-FUNCTION-ARN": "other", "Lambda-Runtime-Invocation-Id": None},
    )
    reply = client.next()
    assert reply.body == b"\0\xff"
    assert {name: reply.headers[name] for name in reply.headers if name not in ("date", "content-length")} == {
        "content-type": "application/octet-stream",
        "lambda-runtime-aws-request-id": "r-1",
        "lambda-runtime-deadline-ms": "123",
        "lambda-runtime-trace-id": "Root=1",
        "lambda-runtime-client-context": '{"custom": {"k": "v"}}',
        "lambda-runtime-cognito-identity": '{"cognitoIdentityId":"i"}',
        "lambda-runtime-aws-tenant-id": "t",
        "lambda-runtime-invoked-function-arn": "other",
        "x-more": "ü".encode().decode("latin-1"),
    }
    assert client.post("response", "r-1", lambda_runtime_invocation_id="whatever").status == 202
    # As the emulator of January 2026 sends them: there, and empty.
    api.invoke({}, client_context="", cognito_identity="", trace_id="")
    headers = client.next().headers
    assert headers["lambda-runtime-client-context"] == headers["lambda-runtime-cognito-identity"] == ""
    assert headers["lambda-runtime-trace-id"] == ""


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"a": "b\r\nc"}, {"": "c"}])
def test_headers_that_are_none(api: RuntimeApi, headers: dict[str, str | None]) -> None:
    with pytest.raises(ValueError, match="header"):
        api.invoke({}, headers=headers)


@pytest.mark.parametrize("size", [0, 1, 2048])
def test_short_event_has_a_length(api: RuntimeApi, client: Client, size: int) -> None:
    api.invoke(b"x" * size)
    reply = client.next()
    assert (reply.headers["content-length"], reply.body) == (str(size), b"x" * size)


@pytest.mark.parametrize("size", [2049, 32768, 32769, 7_000_000])
def test_long_event_is_chunked(api: RuntimeApi, client: Client, size: int) -> None:
    event = os.urandom(size)
    api.invoke(event)
    reply = client.next()
    assert reply.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in reply.headers
    assert reply.body == event


def test_polls_are_served_first_in_first_out(api: RuntimeApi, connect: Connect) -> None:
    clients = [connect() for _ in range(20)]
    for count, client in enumerate(clients, 1):
        client.ask()
        api.wait_for_polls(count)
    pendings = [api.invoke(i) for i in range(20)]
    assert [client.reply().json() for client in clients] == list(range(20))
    stats = api.stats
    assert (stats.parked, stats.in_flight, stats.peak_parked, stats.peak_in_flight) == (0, 20, 20, 20)
    assert stats.peak_slots == 20
    for client, pending in zip(reversed(clients), reversed(pendings), strict=True):
        assert client.post("response", pending.request_id).status == 202
    assert api.stats.in_flight == 0
    assert api.stats.outcomes == {"response": 20}


def test_invocations_wait_in_order_if_asked_to(api: RuntimeApi, client: Client) -> None:
    pendings = [api.invoke(i) for i in range(5)]
    refused = api.invoke(5, wait=False).result(10)
    assert (refused.kind, refused.error_type) == ("refused", "Runtime.Unavailable")
    assert refused.json() == {"errorType": "Runtime.Unavailable"}
    assert api.stats.waiting == 5
    assert [client.next().json() for _ in range(5)] == list(range(5))
    assert (api.stats.waiting, api.stats.in_flight) == (0, 5)
    assert not any(pending.done() for pending in pendings)


def test_parked_poll_takes_an_invocation_that_would_not_wait(api: RuntimeApi, client: Client) -> None:
    client.ask()
    api.wait_for_polls(1)
    pending = api.invoke({}, wait=False)
    assert client.reply().status == 200
    assert not pending.done()


def test_dead_poll_costs_the_invocation_that_meets_it(api: RuntimeApi, connect: Connect) -> None:
    dead, alive = connect(), connect()
    for count, client in enumerate((dead, alive), 1):
        client.ask()
        api.wait_for_polls(count)
    dead.close()
    api.wait_for(lambda stats: stats.parked == 1)
    first, second = api.invoke(1), api.invoke(2)
    outcome = first.result(10)
    assert (outcome.kind, outcome.error_type) == ("refused", "Runtime.Unknown")
    assert alive.reply().json() == 2
    assert not second.done()
    assert api.stats.parked == 0


def test_dead_polls_can_be_skipped() -> None:
    with RuntimeApi(dead_polls=False) as api:
        dead, alive = Client(api), Client(api)
        for count, client in enumerate((dead, alive), 1):
            client.ask()
            api.wait_for_polls(count)
        dead.close()
        api.wait_for(lambda stats: stats.parked == 1)
        api.invoke(1)
        assert alive.reply().json() == 1
        alive.close()


def test_event_lost_with_its_connection_can_be_answered_on_another(api: RuntimeApi, connect: Connect) -> None:
    first, second = connect(), connect()
    pending = started(api, first)
    first.close()
    assert second.post("response", pending.request_id).status == 202
    assert pending.result(10).kind == "response"


# Posts: the table of invocation.State.


@pytest.mark.parametrize("to", ["response", "error"])
@pytest.mark.parametrize("before", ["response", "error"])
def test_first_answer_wins(api: RuntimeApi, client: Client, before: str, to: str) -> None:
    pending = started(api, client)
    assert client.post(before, pending.request_id, b'"1"').status == 202
    reply = client.post(to, pending.request_id, b'"2"')
    assert (reply.status, reply.json()) == (400, INVALID_ID)
    assert reply.headers["content-type"] == "application/json"
    assert (pending.result(10).kind, pending.result().body) == (before, b'"1"')


@pytest.mark.parametrize("to", ["response", "error"])
def test_unknown_id(api: RuntimeApi, client: Client, to: str) -> None:
    started(api, client, request_id="known")
    reply = client.post(to, "unknown")
    assert (reply.status, reply.json()) == (400, INVALID_ID)
    assert client.post(to, "known").status == 202  # on the same connection


def test_id_may_be_quoted(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client, request_id="a b")
    assert client.post("response", "a%20b").status == 202
    assert pending.result(10).request_id == "a b"


@pytest.mark.parametrize("to", ["response", "error"])
def test_timeout_is_told_once(api: RuntimeApi, client: Client, to: str) -> None:
    pending = started(api, client, timeout_s=0.02)
    outcome = pending.result(10)
    assert (outcome.kind, outcome.error_type) == ("timeout", "Sandbox.Timedout")
    assert outcome.content_type == "application/json"
    assert "Task timed out after 0.02 seconds" in outcome.body.decode()
    assert api.stats.in_flight == 0
    reply = client.post(to, pending.request_id)
    assert (reply.status, reply.json()) == (410, GONE)
    reply = client.post(to, pending.request_id)
    assert (reply.status, reply.json()) == (400, INVALID_ID)


def test_a_thousand_timeouts_are_remembered(api: RuntimeApi, client: Client) -> None:
    pendings = [api.invoke({}, timeout_s=0) for _ in range(1001)]
    for _ in pendings:
        assert client.next().status == 200
    for pending in pendings:
        assert pending.result(10).kind == "timeout"
    assert client.post("response", pendings[0].request_id).status == 400
    assert client.post("response", pendings[1].request_id).status == 410
    assert client.post("response", pendings[-1].request_id).status == 410


def test_no_timeout_after_an_answer(api: RuntimeApi, client: Client) -> None:
    answered = started(api, client, timeout_s=0.2)
    assert client.post("response", answered.request_id).status == 202
    assert started(api, client, timeout_s=0.2).result(10).kind == "timeout"
    assert api.stats.outcomes == {"response": 1, "timeout": 1}


@pytest.mark.parametrize("to", ["response", "error"])
def test_nonce_of_another_delivery(api: RuntimeApi, client: Client, to: str) -> None:
    late = started(api, client, request_id="again", timeout_s=0.01)
    assert late.result(10).kind == "timeout"
    pending = started(api, client, request_id="again")
    assert late.nonce
    assert pending.nonce not in (None, late.nonce)
    reply = client.post(to, "again", lambda_runtime_invocation_id=late.nonce)
    assert (reply.status, reply.json()) == (410, GONE)
    assert not pending.done()
    assert client.post(to, "again", lambda_runtime_invocation_id=str(pending.nonce)).status == 202
    assert pending.result(10).kind == to


def test_id_in_use_is_refused(api: RuntimeApi, client: Client) -> None:
    waiting = api.invoke(1, request_id="twice")
    assert api.invoke(2, request_id="twice").result(10).error_type == "Client.DuplicatedInvokeId"
    client.next()
    assert api.invoke(3, request_id="twice").result(10).error_type == "Client.DuplicatedInvokeId"
    assert client.post("response", "twice").status == 202
    assert waiting.result(10).kind == "response"


@pytest.mark.parametrize("mode", ["buffered", "STREAMING", "x"])
def test_unknown_response_mode(api: RuntimeApi, client: Client, mode: str) -> None:
    pending = started(api, client)
    reply = client.post("response", pending.request_id, lambda_runtime_function_response_mode=mode)
    assert (reply.status, reply.json()["errorType"]) == (400, "InvalidFunctionResponseMode")
    assert (pending.result(10).kind, pending.result().error_type) == ("error", "Runtime.InvalidResponseModeHeader")
    assert client.post("error", pending.request_id).json() == INVALID_ID


def test_largest_response(api: RuntimeApi, client: Client) -> None:
    assert MAX_PAYLOAD == 6_291_556
    pending = started(api, client)
    body = os.urandom(6_291_556)
    assert client.post("response", pending.request_id, body).status == 202
    assert pending.result(10).body == body


@pytest.mark.parametrize(("size", "closes"), [(6_291_557, False), (8_000_000, True)])
def test_response_too_large(api: RuntimeApi, client: Client, size: int, closes: bool) -> None:
    pending = started(api, client)
    reply = client.post("response", pending.request_id, bytes(size))
    assert (reply.status, reply.json()["errorType"]) == (413, "RequestEntityTooLarge")
    assert (reply.headers.get("connection") == "close") is closes
    outcome = pending.result(10)
    assert (outcome.kind, outcome.error_type) == ("error", "Function.ResponseSizeTooLarge")
    assert (outcome.json(), outcome.content_type) == ({"errorType": outcome.error_type}, "application/json")
    # http.client connects again by itself where it has to.
    assert client.post("error", pending.request_id).json() == INVALID_ID


def test_error_too_large_leaves_the_invocation_open(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    reply = client.post("error", pending.request_id, bytes(1024 * 1024 + 1))
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert not pending.done()
    assert client.post("error", pending.request_id, bytes(1024 * 1024)).status == 202
    assert len(pending.result(10).body) == 1024 * 1024


def test_large_body_nobody_wants_ends_the_connection(api: RuntimeApi, client: Client) -> None:
    reply = client.post("response", "unknown", bytes(100_000))
    assert (reply.status, reply.headers.get("connection")) == (400, None)
    reply = client.post("response", "unknown", bytes(1_000_000))
    assert (reply.status, reply.headers["connection"]) == (400, "close")


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        ("Function.ValueError", "Function.ValueError"),
        ("Runtime.MarshalError", "Runtime.MarshalError"),
        ("Function.value_error", "Function.Unknown"),
        ("Function.Value2", "Function.Unknown"),
        ("ValueError", "Runtime.Unknown"),
        (None, "Runtime.Unknown"),
    ],
)
def test_error_types(api: RuntimeApi, client: Client, sent: str | None, counted: str) -> None:
    pending = started(api, client)
    headers = {"lambda-runtime-function-error-type": sent} if sent else {}
    assert client.post("error", pending.request_id, b'{"errorMessage":"m"}', **headers).status == 202
    outcome = pending.result(10)
    assert (outcome.kind, outcome.error_type, outcome.json()) == ("error", counted, {"errorMessage": "m"})
    assert outcome.headers.get("lambda-runtime-function-error-type") == sent


def test_response_without_a_content_type(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    client.post("response", pending.request_id)
    assert pending.result(10).content_type == "application/octet-stream"


def post_head(request_id: str, *headers: str, to: str = "response") -> bytes:
    lines = [f"POST /2018-06-01/runtime/invocation/{request_id}/{to} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize("half", [True, False], ids=["half-closed", "closed"])
@pytest.mark.parametrize(("framing", "start"), [("Content-Length: 10", b"12345"), (CHUNKED, b"5\r\n12345\r\n")])
def test_truncated_response(api: RuntimeApi, client: Client, framing: str, start: bytes, half: bool) -> None:
    pending = started(api, client)
    client.send(post_head(pending.request_id, framing) + start)
    if half:
        client.http.sock.shutdown(socket.SHUT_WR)
        reply = client.rest()
        assert reply.startswith(b"HTTP/1.1 400 ")
        assert b"TruncatedHTTPRequest" in reply
    else:
        client.close()
    outcome = pending.result(10)
    assert (outcome.kind, outcome.error_type, outcome.body) == ("truncated", "Runtime.TruncatedResponse", b"12345")


def test_error_cut_short_leaves_the_invocation_open(api: RuntimeApi, connect: Connect) -> None:
    first, second = connect(), connect()
    pending = started(api, first)
    first.send(post_head(pending.request_id, "Content-Length: 10", to="error") + b"12345")
    first.http.sock.shutdown(socket.SHUT_WR)
    assert first.rest().startswith(b"HTTP/1.1 400 ")
    assert second.post("error", pending.request_id).status == 202


@pytest.mark.parametrize("completes", [True, False])
def test_error_while_the_response_is_open(api: RuntimeApi, connect: Connect, completes: bool) -> None:
    first, second = connect(), connect()
    pending = started(api, first, timeout_s=0.3)
    first.send(post_head(pending.request_id, CHUNKED) + b"2\r\nab\r\n")
    api.wait_for(lambda stats: stats.requests["response"] == 1)
    assert connect().post("response", pending.request_id).json() == INVALID_ID
    second.ask(f"/2018-06-01/runtime/invocation/{pending.request_id}/error", b'"e"')
    api.wait_for(lambda stats: stats.requests["error"] == 1)
    # Held, even past its timeout, which has run out when that of a later invocation has.
    assert started(api, connect(), timeout_s=0.3).result(10).kind == "timeout"
    assert nothing_to_read(second)
    assert not pending.done()
    if completes:
        first.send(b"0\r\n\r\n")
        assert first.read(13) == b"HTTP/1.1 500 "
    else:
        first.close()
    assert second.reply().status == 202
    assert (pending.result(10).kind, pending.result().body) == ("error", b'"e"')


@pytest.mark.parametrize("told", [False, True])
def test_timeout_while_the_response_is_open(api: RuntimeApi, connect: Connect, told: bool) -> None:
    client = connect()
    pending = started(api, client, timeout_s=0.2)
    client.send(post_head(pending.request_id, CHUNKED) + b"2\r\nab\r\n")
    assert pending.result(10).kind == "timeout"
    if told:
        assert connect().post("error", pending.request_id).status == 410
    client.send(b"0\r\n\r\n")
    assert client.read(13) == (b"HTTP/1.1 400 " if told else b"HTTP/1.1 410 ")


# Streaming.

STREAMING = ("Lambda-Runtime-Function-Response-Mode: streaming", CHUNKED, "Content-Type: text/plain")


def test_streamed_response(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    client.send(post_head(pending.request_id, *STREAMING))
    for piece in (b"3\r\nabc\r\n", b"1\r", b"\nd\r\n0\r\n", b"\r\n"):
        assert nothing_to_read(client)
        client.send(piece)
    assert client.read(21) == b"HTTP/1.1 202 Accepted"
    outcome = pending.result(10)
    assert (outcome.kind, outcome.body, outcome.content_type) == ("response", b"abcd", "text/plain")
    assert outcome.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert outcome.trailers == {}


def test_streamed_response_that_fails(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    error = base64.b64encode(b'{"errorMessage":"late"}').decode()
    client.send(
        post_head(
            pending.request_id,
            *STREAMING,
            "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
        )
        + b"3\r\nabc\r\n0\r\n"
        + b"Lambda-Runtime-Function-Error-Type: Function.ValueError\r\n"
        + f"Lambda-Runtime-Function-Error-Body: {error}\r\n\r\n".encode()
    )
    assert client.read(21) == b"HTTP/1.1 202 Accepted"
    outcome = pending.result(10)
    assert (outcome.kind, outcome.error_type, outcome.body) == ("error", "Function.ValueError", b"abc")
    assert outcome.trailers == {
        "lambda-runtime-function-error-type": "Function.ValueError",
        "lambda-runtime-function-error-body": error,
    }


# Init, extensions, the rest of the API.


def test_init_error(api: RuntimeApi, client: Client) -> None:
    client.ask(INIT_ERROR, b'{"errorMessage":"1"}', lambda_runtime_function_error_type="Runtime.ImportModuleError")
    assert client.reply().status == 202
    error = api.wait_for_init_error()
    assert (error.error_type, error.body, error.accepted) == (
        "Runtime.ImportModuleError",
        b'{"errorMessage":"1"}',
        True,
    )
    client.ask(INIT_ERROR, b"2")
    reply = client.reply()
    assert (reply.status, reply.json()["errorType"]) == (403, "InvalidStateTransition")
    client.ask(INIT_ERROR, bytes(1024 * 1024 + 1))
    assert client.reply().status == 413
    assert [error.accepted for error in api.init_errors] == [True, False]
    # It fails nothing by itself: a poll still makes the environment ready.
    started(api, client)


def test_extension(api: RuntimeApi, connect: Connect) -> None:
    register = "/2020-01-01/extension/register"
    client, extension = connect(), connect()

    def refusal(body: bytes, **headers: str) -> tuple[int, str]:
        client.ask(register, body, **headers)
        reply = client.reply()
        return reply.status, reply.json()["errorType"]

    assert refusal(b'{"events":[]}') == (403, "Extension.InvalidExtensionName")
    assert refusal(b"{", lambda_extension_name="x") == (403, "InvalidRequestFormat")
    assert refusal(b'{"events":["SHUTDOWN"]}', lambda_extension_name="x") == (403, "Extension.InvalidEventType")
    extension.ask(register, b'{"events":[]}', lambda_extension_name="x")
    reply = extension.reply()
    assert (reply.status, reply.json()["functionName"]) == (200, "test_function")
    client.ask("/2020-01-01/extension/event/next")
    assert client.reply().json()["errorType"] == "Extension.UnknownExtensionIdentifier"
    identifier = reply.headers["lambda-extension-identifier"]
    extension.ask("/2020-01-01/extension/event/next", lambda_extension_identifier=identifier)
    started(api, client)
    assert refusal(b'{"events":[]}', lambda_extension_name="y") == (403, "Extension.RegistrationClosed")
    assert nothing_to_read(extension)
    api.close()
    assert extension.rest() == b""


def test_other_paths(api: RuntimeApi, client: Client) -> None:
    client.ask("/2018-06-01/ping")
    assert client.reply()[::2] == (200, b"pong")
    for path in ("/", "/2018-06-01/runtime/restore/next", "/2018-06-01/runtime/invocation//response"):
        client.ask(path)
        assert client.reply().status == 404
    client.ask(NEXT, b"")
    assert client.reply().status == 405
    client.ask(INIT_ERROR)
    assert client.reply().status == 405
    assert api.stats.requests == {"ping": 1, "other": 5}


def test_environ(api: RuntimeApi) -> None:
    environ = api.environ(max_concurrency=16, handler="app.handler", MINE="1")
    assert environ["AWS_LAMBDA_RUNTIME_API"] == api.address
    assert environ["AWS_LAMBDA_MAX_CONCURRENCY"] == "16"
    assert environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "lambda-managed-instances"
    assert (environ["_HANDLER"], environ["MINE"]) == ("app.handler", "1")
    assert (environ["AWS_LAMBDA_FUNCTION_NAME"], environ["AWS_REGION"]) == ("test_function", "us-east-1")
    environ = api.environ()
    assert not {"AWS_LAMBDA_MAX_CONCURRENCY", "_HANDLER"} & environ.keys()
    assert environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"


# HTTP.


def test_answer_and_poll_in_one_write(api: RuntimeApi, client: Client) -> None:
    pendings = [started(api, client)]
    for i in range(3):
        pendings.append(api.invoke(i))
        client.send(post_head(pendings[-2].request_id, "Content-Length: 2") + b"{}" + RAW_NEXT)
        replies = b""
        while replies.count(b"HTTP/1.1 ") < 2 or not replies.endswith(f"\r\n\r\n{i}".encode()):
            replies += client.http.sock.recv(65536)
        assert replies.startswith(b"HTTP/1.1 202 ")
    assert [pending.done() for pending in pendings] == [True, True, True, False]


def test_no_reply_waits_for_an_acknowledgement(api: RuntimeApi, client: Client) -> None:
    rounds = 25
    pendings = [api.invoke({}) for _ in range(rounds + 1)]
    client.send(RAW_NEXT)
    api.wait_for(lambda stats: stats.in_flight == 1)
    start = time.monotonic()
    for pending in pendings[:rounds]:
        while not client.http.sock.recv(65536).endswith(b"\r\n\r\n{}"):
            pass
        client.send(post_head(pending.request_id, "Content-Length: 2") + b"{}" + RAW_NEXT)
    assert pendings[rounds - 1].result(10).kind == "response"
    # Without TCP_NODELAY each event waits 40 ms, for the delayed acknowledgement of the 202 before it.
    assert time.monotonic() - start < rounds * 0.02


def test_request_byte_by_byte(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    data = post_head(pending.request_id, CHUNKED) + b"2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n" + RAW_NEXT
    for at in range(len(data)):
        client.send(data[at : at + 1])
    assert pending.result(10).json() == [1]
    api.wait_for_polls(1)


def test_many_requests_in_one_write(api: RuntimeApi, client: Client) -> None:
    pings = 1100  # deeper than the interpreter would follow, were each reply to start the next request
    client.send(b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n" * pings)
    client.http.sock.shutdown(socket.SHUT_WR)
    assert client.rest().count(b"pong") == pings


def test_client_that_wants_to_close(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    start = time.monotonic()
    client.send(post_head(pending.request_id, "Connection: close", "Content-Length: 2") + b"{}")
    reply = client.rest()
    assert reply.startswith(b"HTTP/1.1 202 ")
    assert b"\r\nConnection: close\r\n" in reply
    # The server half-closes at once, and waits 0.5 s for the client to do the same.
    assert time.monotonic() - start < 0.4


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 1_100_000, 431),
    ],
)
def test_what_is_not_http(api: RuntimeApi, client: Client, data: bytes, status: int) -> None:
    client.send(data)
    assert client.rest().startswith(f"HTTP/1.1 {status} ".encode())


def test_long_header(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    assert client.post("error", pending.request_id, X_Cause="x" * 900_000).status == 202
    assert len(pending.result(10).headers["x-cause"]) == 900_000


def test_expect_continue(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    client.send(post_head(pending.request_id, "Content-Length: 2", "Expect: 100-continue"))
    assert client.read(17) == b"HTTP/1.1 100 \r\n\r\n"
    client.send(b"{}")
    assert pending.result(10).body == b"{}"


# Faults.


def test_raw_pieces_go_out_when_the_test_says(api: RuntimeApi, client: Client) -> None:
    gate = Gate()
    rule = api.on("next", Raw([b"HTTP/1.1 200 OK\r\nContent-", gate, b"Length: 2\r\n\r\n{}"]))
    client.send(RAW_NEXT)
    gate.wait_reached(10)
    assert client.read(25) == b"HTTP/1.1 200 OK\r\nContent-"
    assert nothing_to_read(client)
    gate.open()
    gate.open()
    assert client.read(15) == b"Length: 2\r\n\r\n{}"
    assert (rule.hits, api.stats.requests["next"], api.stats.parked) == (1, 1, 0)
    started(api, client)  # the same connection, and the rule is used up


@pytest.mark.parametrize("when", ["head", "request"])
def test_no_request_is_served_before_the_reply_is_out(api: RuntimeApi, client: Client, when: Any) -> None:
    gate = Gate()
    api.on("error", Raw([b"HTTP/1.1 500 Oops\r\n", gate, b"Content-Length: 0\r\n\r\n"]), when=when)
    client.send(post_head("x", "Content-Length: 2", to="error") + b"{}" + RAW_NEXT)
    gate.wait_reached(10)
    assert api.stats.parked == 0
    gate.open()
    api.wait_for_polls(1)


def test_client_that_goes_away_at_a_gate(api: RuntimeApi, client: Client) -> None:
    gate = Gate()
    api.on("ping", Raw([gate, b"x"]))
    client.ask("/2018-06-01/ping")
    gate.wait_reached(10)
    client.close()
    api.wait_for(lambda stats: stats.connections_open == 0)
    gate.open()


def test_raw_may_close(api: RuntimeApi, client: Client) -> None:
    api.on("next", Raw([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"], close=True))
    client.ask()
    assert client.rest().endswith(b"\r\n\r\n{}")


def test_status(api: RuntimeApi, client: Client) -> None:
    api.on("next", Status(500, b"oops"))
    api.on("response", Status(503))
    reply = client.next()
    assert (reply.status, reply.body) == (500, b"oops")
    pending = started(api, client)
    assert client.post("response", pending.request_id).status == 503
    assert not pending.done()  # the platform never heard of it
    assert client.post("response", pending.request_id).status == 202
    assert api.stats.statuses == {200: 1, 202: 1}


@pytest.mark.parametrize("kind", ["next", "response", "error", "init_error"])
def test_close(api: RuntimeApi, client: Client, kind: str) -> None:
    api.on(lambda request: request.kind == kind, Close())
    path = {"next": NEXT, "init_error": INIT_ERROR}.get(kind, f"/2018-06-01/runtime/invocation/x/{kind}")
    client.ask(path, None if kind == "next" else b"{}")
    assert client.rest() == b""


def test_reset(api: RuntimeApi, client: Client) -> None:
    api.on("next", Reset())
    client.ask()
    with pytest.raises(ConnectionResetError):
        client.rest()


def test_reset_at_the_head_of_a_large_response(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    api.on("response", Reset(), when="head")
    client.send(post_head(pending.request_id, "Content-Length: 1000000"))
    with pytest.raises(ConnectionResetError):
        client.rest()
    assert not pending.done()


def test_status_before_the_body(api: RuntimeApi, client: Client) -> None:
    pending = started(api, client)
    api.on("response", Status(500), when="head")
    client.send(post_head(pending.request_id, "Content-Length: 2"))
    assert client.read(12) == b"HTTP/1.1 500"
    client.send(b"{}" + RAW_NEXT)  # the connection lives on, in step
    api.wait_for_polls(1)
    assert not pending.done()


def test_stall(api: RuntimeApi, connect: Connect) -> None:
    stalled, other = connect(), connect()
    rule = api.on("next", Stall())
    stalled.ask()
    api.wait_for(lambda stats: rule.hits == 1)
    stalled.send(RAW_NEXT)
    started(api, other)
    assert nothing_to_read(stalled)
    stalled.close()
    api.wait_for(lambda stats: stats.connections_open == 1)


@pytest.mark.parametrize("sizes", [1, 7, [10, 1, 100], [100000]])
def test_split_event(api: RuntimeApi, client: Client, sizes: int | list[int]) -> None:
    event = os.urandom(3000)
    api.on("next", Split(sizes))
    api.invoke(event)
    assert client.next().body == event
    started(api, client)


def test_split_pieces() -> None:
    assert list(Split(4).pieces(b"0123456789")) == [b"0123", b"4567", b"89"]
    assert list(Split([1, 3]).pieces(b"0123456789")) == [b"0", b"123", b"456789"]
    assert list(Split([20]).pieces(b"0123456789")) == [b"0123456789"]


def test_close_after(api: RuntimeApi, client: Client) -> None:
    api.on("response", CloseAfter())
    pending = started(api, client)
    client.send(post_head(pending.request_id, "Content-Length: 2") + b"{}")
    reply = client.rest()
    assert reply.startswith(b"HTTP/1.1 202 ")
    assert b"\r\nConnection: close\r\n" in reply
    assert pending.result(10).kind == "response"


def test_reply_lost_after_the_platform_took_the_response(api: RuntimeApi, connect: Connect) -> None:
    client = connect()
    pending = started(api, client)
    api.on("response", Close(), when="reply")
    client.send(post_head(pending.request_id, "Content-Length: 2") + b"{}")
    assert client.rest() == b""
    assert pending.result(10).kind == "response"
    assert connect().post("response", pending.request_id).status == 400


def test_event_lost_on_the_way_can_be_answered(api: RuntimeApi, connect: Connect) -> None:
    api.on("next", Close(), when="reply")
    client = connect()
    pending = api.invoke({})
    client.ask()
    assert client.rest() == b""
    assert connect().post("response", pending.request_id).status == 202
    assert pending.result(10).kind == "response"


def test_action_chosen_when_it_is_due(api: RuntimeApi, client: Client) -> None:
    seen: list[tuple[Request, bytes]] = []

    def choose(request: Request, reply: bytes) -> Action:
        seen.append((request, reply))
        return Raw([reply.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 200 Fine")])

    api.on("next", choose)
    pending = api.invoke({})
    client.ask()
    assert client.read(17) == b"HTTP/1.1 200 Fine"
    [(request, reply)] = seen
    assert (request.invocation, request.request_id) == (pending, pending.request_id)
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert reply.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("kind", ["next", "ping"])
def test_error_in_the_fault_script_is_raised_in_the_end(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    def choose(request: Request, reply: bytes) -> Action:
        raise ZeroDivisionError

    api = RuntimeApi()
    api.on(kind, choose)
    client = Client(api)
    api.invoke({})
    client.ask(NEXT if kind == "next" else "/2018-06-01/ping")
    assert client.rest() == b""
    with pytest.raises(ZeroDivisionError):
        api.close()
    client.close()


def test_which_requests_a_rule_is_for(api: RuntimeApi, client: Client) -> None:
    def ping() -> int:
        client.ask("/2018-06-01/ping")
        return client.reply().status

    api.on("ping", Status(500), nth=2, times=2)
    last = api.on("ping", Status(503), nth=2, times=None)
    assert [ping() for _ in range(6)] == [200, 500, 500, 503, 503, 503]
    assert last.hits == 3
    api.clear_faults()
    assert ping() == 200


def test_requests_are_remembered(api: RuntimeApi, connect: Connect) -> None:
    first, second = connect(), connect()
    pending = started(api, second)
    first.post("response", pending.request_id, X_Mine="1")
    assert [(request.method, request.path, request.kind) for request in api.requests] == [
        ("GET", NEXT, "next"),
        ("POST", f"/2018-06-01/runtime/invocation/{pending.request_id}/response", "response"),
    ]
    assert [request.connection for request in api.requests] == [2, 1]
    assert api.requests[1].headers["x-mine"] == "1"
    assert api.requests[1].invocation is pending


# Connections.


def test_refuse_and_accept_again(api: RuntimeApi, client: Client) -> None:
    for _ in range(3):
        api.refuse_connections()
        api.refuse_connections()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", api.port), timeout=10)
        started(api, client)  # the connections there are stay
        api.accept_again()
        again = Client(api)
        started(api, again)
        again.close()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("kind", ["idle", "parked", "all"])
def test_drop_connections(api: RuntimeApi, connect: Connect, kind: Any, reset: bool) -> None:
    idle, parked = connect(), connect()
    parked.ask()
    api.wait_for(lambda stats: (stats.parked, stats.connections_open) == (1, 2))
    dropped = {"idle": [idle], "parked": [parked], "all": [idle, parked]}[kind]
    assert api.drop_connections(kind, reset) == len(dropped)
    for client in dropped:
        if reset:
            with pytest.raises(ConnectionResetError):
                client.rest()
        else:
            assert client.rest() == b""
    # A poll that was dropped here is not a dead one.
    pending = api.invoke({})
    live = connect() if parked in dropped else parked
    if live is not parked:
        live.ask()
    assert live.reply().status == 200
    assert live.post("response", pending.request_id).status == 202


def test_connections_are_counted(api: RuntimeApi, connect: Connect) -> None:
    first, _ = connect(), connect()
    api.wait_for(lambda stats: (stats.connections_open, stats.connections_opened) == (2, 2))
    first.close()
    api.wait_for(lambda stats: (stats.connections_open, stats.connections_opened) == (1, 2))


# The server as a whole.


def test_wait_for_says_what_there_is(api: RuntimeApi) -> None:
    with pytest.raises(TimeoutError, match=r"not within 0.01 s: Stats\(parked=0"):
        api.wait_for_polls(1, 0.01)

    def fails(stats: object) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        api.wait_for(fails)


def test_shutdown(api: RuntimeApi, connect: Connect) -> None:
    parked, running, sending = connect(), connect(), connect()
    in_flight = started(api, running)
    responding = started(api, sending)
    sending.send(post_head(responding.request_id, CHUNKED) + b"1\r\na\r\n")
    api.wait_for(lambda stats: stats.requests["response"] == 1)
    parked.ask()
    api.wait_for_polls(1)
    api.close()
    api.close()
    for pending in (in_flight, responding):
        outcome = pending.result(0)
        assert (outcome.kind, outcome.error_type) == ("error", "Client.ExecutionEnvironmentShutDown")
    for client in (parked, running, sending):
        assert client.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", api.port), timeout=10)
    assert api.stats.outcomes == {"error": 2}
    assert len(api.requests) == 4
    for use in (api.invoke, api.accept_again, api.refuse_connections, lambda: api.wait_for_polls(1)):
        with pytest.raises(ApiUnavailable):
            use()


def test_shutdown_with_an_invocation_that_waits() -> None:
    with RuntimeApi() as api:
        pending = api.invoke({})
    assert (pending.result(0).kind, pending.result().error_type) == ("refused", "Client.ExecutionEnvironmentShutDown")


def test_shutdown_while_faults_play(api: RuntimeApi, connect: Connect) -> None:
    api.on("next", Raw([b"x", gate := Gate(), b"y"]))
    api.on("next", Raw([bytes(50_000_000)]), nth=1)  # more than the kernel takes from a client that does not read
    first, second = connect(), connect()
    first.ask()
    gate.wait_reached(10)
    second.ask()
    api.wait_for(lambda stats: stats.requests["next"] == 2)
    api.close()
    assert first.rest() == b"x"
    gate.open()


def test_port_in_use(api: RuntimeApi) -> None:
    with pytest.raises(ApiUnavailable, match="cannot listen"):
        RuntimeApi(port=api.port)
    port = api.port
    api.close()
    with RuntimeApi(port=port) as again:
        assert again.address == f"127.0.0.1:{port}"


def test_nothing_is_left_behind() -> None:
    threads, descriptors = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with RuntimeApi() as api:
            clients = [Client(api) for _ in range(3)]
            clients[0].ask()
            api.wait_for_polls(1)
            clients[1].ask("/nowhere")
            clients.append(Client(api))  # which the server does not know yet
        for client in clients:
            assert client.rest() == b"" or client is clients[1]
            client.close()
    assert set(threading.enumerate()) == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_many_invokers_and_many_slots(api: RuntimeApi, connect: Connect) -> None:
    slots, rounds = 50, 4
    clients = [connect() for _ in range(slots)]
    outcomes: list[object] = []

    def invoke() -> None:
        pendings = [api.invoke(i) for i in range(slots * rounds // 4)]
        outcomes.extend(pending.result(30).json() == i for i, pending in enumerate(pendings))

    threads = [threading.Thread(target=invoke) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        for client in clients:
            client.ask()
        for client in clients:
            event = client.reply()
            post = client.post("response", event.headers["lambda-runtime-aws-request-id"], event.body)
            assert post.status == 202
    for thread in threads:
        thread.join()
    assert outcomes == [True] * (slots * rounds)
    assert api.stats.peak_slots == api.stats.peak_in_flight == slots
