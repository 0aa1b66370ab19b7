"""The same requests to the same FastAPI application, over a socket to uvicorn and as events of each integration to
lmi_fast: the client gets the same.
"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import string
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ..serving import Served, serving
from .apps import api
from .gateways import INTEGRATIONS, Got, Sent, delivered, delivered_stream

EXAMPLES = 400
OTHERS = [
    "/cookies", "/pieces", "/moved", "/nothing", "/latin", "/broken", "/teapot", "/long", "/absent", "/",
    "/openapi.json",
]  # fmt: skip
# Of the connection, or of the server.
HOP = {"date", "server", "content-length", "transfer-encoding", "connection"}
FORWARDED = {"host", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_level="critical", ws="none", access_log=False))
    started = threading.Event()
    server.startup, startup = None, server.startup  # type: ignore[assignment,method-assign]

    async def announce(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announce  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert started.wait(20)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("api")
    with serving(folder, "", handler="tests.http.apps:api", slots=4) as served:
        yield served


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("streaming")
    with serving(folder, "", handler="tests.http.apps:api", LMI_FAST_HTTP_RESPONSE="stream") as served:
        yield served


def over_the_socket(port: int, sent: Sent) -> Got:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        target = f"{sent.path}?{sent.query}" if sent.query else sent.path
        connection.putrequest(sent.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.all_headers():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(sent.body or None)
        response = connection.getresponse()
        headers = [(name.lower(), value) for name, value in response.getheaders()]
        return Got(response.status, headers, response.read())
    finally:
        connection.close()


def compared(got: Got, integration: str) -> Any:
    """What has to be equal: all but what the integration does to any function."""
    grouped: dict[str, Any] = {}
    for name, value in got.headers:
        if name == "set-cookie":
            grouped.setdefault(name, []).append(value)
        elif name == "allow":  # made of a set
            grouped[name] = sorted(value.split(", "))
        elif name not in HOP:
            grouped[name] = f"{grouped[name]}, {value}" if name in grouped else value
    body: Any = got.body
    if grouped.get("content-encoding") == "gzip":
        body = gzip.decompress(body)  # it has the time in it
    if grouped.get("content-type") == "application/json" and b'"raw_path"' in body:
        body = json.loads(body)
        headers: dict[str, list[str]] = {}
        for name, value in body["headers"]:
            if name not in FORWARDED:
                headers.setdefault(name, []).append(value)
        body["headers"] = {name: ",".join(values) for name, values in headers.items()}
        if integration in ("http-api", "http-api-1"):
            del body["raw_path"]  # they have decoded it
        if integration not in ("http-api", "function-url"):
            del body["raw_query"]  # the order of different names is lost
    return got.status, grouped, body


words = st.text(string.ascii_letters + string.digits + "-_.~", min_size=1, max_size=8)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
# A percent sign that is left after decoding, "?" and a second "/" are what HTTP APIs refuse, cut or decode twice.
segments = st.one_of(words, texts.map(lambda text: quote(text.replace("%", "").replace("?", ""), safe="")))
values = st.one_of(
    words, texts.map(lambda text: quote(text, safe="")), st.sampled_from(["a+b", "a%2Bb", "", "x%3Dy", "%26"])
)
header_values = st.text(string.ascii_letters + string.digits + "\u00e4\u00ff !#$&'()*+/:;<=>?@[]^`{|}~", max_size=12)
bodies = st.one_of(st.just(b""), st.binary(max_size=200), texts.map(str.encode))


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    query = "&".join(f"{name}={value}" for name, value in draw(st.lists(st.tuples(words, values), max_size=4)))
    headers = [
        (f"x-{name.lower()}", value.strip())
        for name, value in draw(
            st.lists(st.tuples(st.text(string.ascii_letters, min_size=1, max_size=6), header_values), max_size=4)
        )
    ]
    if cookies := draw(st.lists(st.tuples(words, words), max_size=3)):
        headers.append(("cookie", "; ".join(f"{name}={value}" for name, value in cookies)))
    if draw(st.booleans()):
        headers.append(("accept-encoding", draw(st.sampled_from(["gzip", "identity", "br, gzip;q=0.5"]))))
    kind = draw(st.sampled_from(["echo", "echo", "echo", "items", "make", "mirror", "other"]))
    if kind == "echo":
        method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]))
        path = "/echo/" + "/".join(draw(st.lists(segments, max_size=4)))
        return Sent(method, path, query, headers, draw(bodies) if method in ("POST", "PUT", "PATCH") else b"")
    if kind == "items":
        number = draw(st.one_of(st.integers(-5, 10**9).map(str), words))
        return Sent("GET", f"/items/{number}", query, [*headers, ("x-token", "t")])
    if kind == "make":
        price = draw(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.just("dear")))
        made = json.dumps({"name": draw(texts), "price": price}).encode()
        return Sent("POST", "/items", query, [*headers, ("content-type", "application/json")], made)
    if kind == "mirror":
        content_type = draw(
            st.sampled_from(["text/plain", "image/png", "application/json", "text/html; charset=latin-1"])
        )
        return Sent("POST", "/mirror", query, [*headers, ("content-type", content_type)], draw(bodies))
    path = draw(st.sampled_from(OTHERS))
    return Sent(draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "DELETE"])), path, query, headers)


def without_repeats(sent: Sent) -> Sent:
    """Load balancers without multi-value headers drop all but the last."""
    query = "&".join({pair.partition("=")[0]: pair for pair in sent.query.split("&")}.values())
    return Sent(sent.method, sent.path, query, list(dict(sent.headers).items()), sent.body)


def test_the_same_for_any_request(port: int, served: Served, streaming: Served) -> None:
    seen: list[Sent] = []

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(sent=requests())
    def same(sent: Sent) -> None:
        seen.append(sent)
        expected = over_the_socket(port, sent)
        once = without_repeats(sent)
        expected_once = expected if once == sent else over_the_socket(port, once)
        pending = {
            name: served.api.invoke(make(once if name == "alb" else sent)) for name, make in INTEGRATIONS.items()
        }
        streams = {name: streaming.api.invoke(INTEGRATIONS[name](sent)) for name in ("function-url", "rest-api")}
        for name, answer in streams.items():
            assert compared(delivered_stream(answer.result(20)), name) == compared(expected, name), f"streamed {name}"
        for name, answer in pending.items():
            outcome = answer.result(20)
            assert outcome.kind == "response", (name, outcome)
            got = delivered(json.loads(outcome.body), name)
            assert compared(got, name) == compared(expected_once if name == "alb" else expected, name), name

    for path in OTHERS:
        for method in ("GET", "HEAD", "PATCH"):
            same = example(Sent(method, path))(same)
    same()
    assert len({repr(sent) for sent in seen}) >= 200
    assert {sent.method for sent in seen} == {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"}
    assert {"echo", "items", "mirror"} <= {sent.path.split("/")[1] for sent in seen}
