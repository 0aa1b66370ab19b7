"""WSGI applications: Flask and Django as they are, and PEP 3333 one behaviour a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..serving import Served, serving
from .gateways import INTEGRATIONS, Got, Sent, delivered, function_url, http_api, rest_api

GET = http_api(Sent(path="/"))


def got(served: Served, event: dict[str, Any], integration: str = "http-api") -> Got:
    return delivered(served.result(event), integration)


FLASK = """
    from flask import Flask, Response, jsonify, make_response, redirect, request, url_for
    app = Flask(__name__)
    @app.route("/show/<path:rest>", methods=["GET", "POST"])
    def show(rest):
        made = make_response(jsonify(rest=rest, query=request.args.to_dict(False), form=request.form.to_dict(False),
            cookies=request.cookies, header=request.headers.get("x-a"), remote=request.remote_addr, url=request.url,
            data=request.get_data().hex(), length=request.content_length,
            event="aws.event" in (request.environ | request.environ.get("asgi.scope", {})),
            own=url_for("moved", _external=True)))
        made.set_cookie("one", "1")
        made.set_cookie("two", "2")
        return made
    @app.get("/moved")
    def moved(): return redirect("/show/x", 308)
    @app.get("/image")
    def image(): return Response(bytes(range(256)), mimetype="image/png")
    @app.get("/pieces")
    def pieces(): return Response((piece for piece in ("one ", "two ", "three")), mimetype="text/plain")
    @app.get("/broken")
    def broken(): raise LookupError("mine")
"""


@pytest.fixture(scope="module")
def flask(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(tmp_path_factory.mktemp("flask"), FLASK, handler="app.app") as served:
        yield served


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_flask(flask: Served, name: str) -> None:
    sent = Sent(
        "POST",
        "/show/a%20b/%C3%BC",
        "q=1&q=%26&empty=" if name != "alb" else "q=%26&empty=",
        [("x-a", "gr\u00fc\u00df"), ("cookie", "c=d; e=f"), ("content-type", "application/x-www-form-urlencoded")],
        b"f=1&f=2&g=%C3%BC",
    )
    response = got(flask, INTEGRATIONS[name](sent), name)
    assert [value for header, value in response.headers if header == "set-cookie"] == ["one=1; Path=/", "two=2; Path=/"]
    shown = json.loads(response.body)
    assert shown.pop("url").startswith("https://api.example.test/show/a%20b/\u00fc?q=")
    assert shown == {
        "rest": "a b/\u00fc",
        "query": {"q": ["1", "&"] if name != "alb" else ["&"], "empty": [""]},
        "form": {"f": ["1", "2"], "g": ["\u00fc"]},
        "cookies": {"c": "d", "e": "f"},
        "header": "gr\u00fc\u00df",
        "remote": "203.0.113.9",
        "data": "",  # the form has taken it
        "length": 16,
        "event": True,
        "own": "https://api.example.test/moved",
    }


def test_flask_bodies_and_statuses(flask: Served) -> None:
    assert got(flask, function_url(Sent(path="/image"))).body == bytes(range(256))
    assert got(flask, function_url(Sent(path="/pieces"))).body == b"one two three"
    moved = got(flask, function_url(Sent(path="/moved")))
    assert (moved.status, dict(moved.headers)["location"]) == (308, "/show/x")
    assert got(flask, function_url(Sent(path="/absent"))).status == 404
    broken = flask.invoke(function_url(Sent(path="/broken")))
    assert json.loads(broken.body)["statusCode"] == 500
    [record] = [one for one in flask.records() if one.get("errorType") == "LookupError"]
    assert record["requestId"] == broken.request_id
    head = flask.result(http_api(Sent("HEAD", "/image")))
    assert (head["body"], head["headers"]["content-length"]) == ("", "256")
    staged = got(flask, rest_api(Sent("GET", "/show/x"), "live", own_domain=False), "rest-api")
    assert json.loads(staged.body)["own"] == "https://api.example.test/live/moved"


def test_the_same_as_through_a_bridge_to_asgi(tmp_path: Path, flask: Served) -> None:
    """a2wsgi's, which an application may bring along; it makes an environ of its own."""
    bridged = f"{FLASK}\n    from a2wsgi import WSGIMiddleware\n    bridged = WSGIMiddleware(app)\n"
    form = [("content-type", "application/x-www-form-urlencoded"), ("x-a", "b"), ("cookie", "c=d")]
    requests = [
        Sent("POST", "/show/a%20b/%C3%BC", "q=1&q=%26", form, b"f=1&g=%C3%BC"),
        *(Sent(method, path) for path in ("/moved", "/image", "/pieces", "/absent") for method in ("GET", "HEAD")),
    ]
    with serving(tmp_path, bridged, handler="app:bridged") as served:
        for sent in requests:
            for name, make in INTEGRATIONS.items():
                assert got(served, make(sent), name) == got(flask, make(sent), name), (name, sent)


MULTIPART = (
    b'--b\r\ncontent-disposition: form-data; name="n"\r\n\r\nv\r\n'
    b'--b\r\ncontent-disposition: form-data; name="f"; filename="f.txt"\r\n\r\ninside\r\n--b--\r\n'
)


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_django(tmp_path: Path, interface: str) -> None:
    with serving(tmp_path, "", handler=f"tests.http.django_site:{interface}") as served:
        form = [("content-type", "multipart/form-data; boundary=b"), ("cookie", "c=d"), ("x-a", "b")]
        response = got(served, rest_api(Sent("POST", "/show/%C3%BC", "q=1&q=2", form, MULTIPART)), "rest-api")
        assert [value for name, value in response.headers if name == "set-cookie"] == ["one=1; Path=/", "two=2; Path=/"]
        assert json.loads(response.body) == {
            "rest": "\u00fc",
            "method": "POST",
            "path": "/show/\u00fc",
            "query": {"q": ["1", "2"]},
            "post": {"n": ["v"]},
            "files": {"f": "inside"},
            "cookies": {"c": "d"},
            "header": "b",
            "host": "api.example.test",
            "secure": True,
            "url": "https://api.example.test/moved/",
        }
        image = got(served, http_api(Sent(path="/moved/")))
        assert (image.status, image.body) == (202, bytes(range(256)))
        assert got(served, http_api(Sent(path="/pieces/"))).body == "one zw\u00f6lf three".encode()
        assert got(served, http_api(Sent(path="/absent"))).status == 404
        staged = got(served, http_api(Sent(path="/show/x"), "dev"))
        assert json.loads(staged.body)["url"] == "https://api.example.test/dev/moved/"


def wsgi(folder: Path, source: str) -> Any:
    body = "import json, sys\nHEADERS = [('Content-Type', 'text/plain')]\n" + source
    (folder / "app.py").write_text(body)
    return serving(folder, "", handler="app:app")


def test_the_environ(tmp_path: Path) -> None:
    source = """
def app(environ, start_response):
    start_response("200 OK", HEADERS)
    environ["body"] = environ["wsgi.input"].read().decode("latin-1")
    environ["id"] = environ.pop("aws.context").aws_request_id
    for name in ("wsgi.input", "aws.event"):
        del environ[name]
    environ["wsgi.errors"] = environ["wsgi.errors"] is sys.stderr
    return [json.dumps(environ).encode()]
"""
    headers = [("x-a", "1"), ("x-a", "2"), ("x_b", "spoofed"), ("content-type", "image/png")]
    event = function_url(Sent("PUT", "/\u00fc%20x".replace("\u00fc", "%C3%BC"), "a=%C3%BC", headers, b"\xff\x00"))
    with wsgi(tmp_path, source) as served:
        outcome = served.invoke(event)
        environ = json.loads(delivered(json.loads(outcome.body), "function-url").body)
    assert environ == {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/\u00c3\u00bc x",  # the bytes of UTF-8 (PEP 3333)
        "QUERY_STRING": "a=%C3%BC",
        "REQUEST_URI": "/%C3%BC%20x?a=%C3%BC",
        "SERVER_NAME": "api.example.test",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "REMOTE_PORT": "0",
        "CONTENT_TYPE": "image/png",
        "CONTENT_LENGTH": "2",
        "HTTP_HOST": "api.example.test",
        "HTTP_X_A": "1,2",
        "HTTP_X_FORWARDED_FOR": "203.0.113.9",
        "HTTP_X_FORWARDED_PORT": "443",
        "HTTP_X_FORWARDED_PROTO": "https",
        "wsgi.version": [1, 0],
        "wsgi.url_scheme": "https",
        "wsgi.input_terminated": True,
        "wsgi.errors": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "body": "\u00ff\u0000",
        "id": outcome.request_id,
    }


FINE = {
    "a list": "start_response('200 OK', HEADERS); return [b'a', b'', b'b']",
    "late start": "return Late(start_response)",
    "write": "start_response('200 OK', HEADERS)(b'a'); return [b'b']",
    "replaced": "start_response('404 None', []); start_response('200 OK', HEADERS, (None,) * 3); return [b'ab']",
}
LATE = """
class Late:
    def __init__(self, start): self.start, self.pieces = start, [b"b", b"a"]
    def __iter__(self): return self
    def __next__(self):
        if len(self.pieces) == 2: self.start("200 OK", HEADERS)
        if not self.pieces: raise StopIteration
        return self.pieces.pop()
def failing():
    try:
        raise ArithmeticError("unexpected")
    except ArithmeticError:
        again()
class Body:
    def __init__(self, what): self.what = what
    def __iter__(self):
        yield b"first"
        eval(self.what)
    def close(self): print("closed")
"""


@pytest.mark.parametrize("name", FINE)
def test_ways_to_respond(tmp_path: Path, name: str) -> None:
    with wsgi(tmp_path, f"{LATE}\ndef app(environ, start_response):\n    {FINE[name]}\n") as served:
        response = got(served, GET)
        assert (response.status, response.headers, response.body) == (200, [("content-type", "text/plain")], b"ab")


WRONG = {
    "raises": ("raise LookupError('mine')", "mine"),
    "exits": ("sys.exit(3)", "3"),
    "no start": ("return [b'x']", "the application did not call start_response()"),
    "no start nor body": ("return []", "the application did not call start_response()"),
    "two starts": ("start_response('200 OK', []); start_response('200 OK', []); return []", "was called twice"),
    "odd status": ("start_response('OK', []); return []", "'OK' is no HTTP status"),
    "odder status": ("start_response('099 Odd', []); return []", "'099 Odd' is no HTTP status"),
    "splits": ("start_response('200 OK', [('x', 'a\\r\\nset-cookie: b')]); return []", "invalid HTTP header"),
    "raises later": ("start_response('200 OK', []); return Body('1/0')", "division by zero"),
    "starts again": (
        "global again; again = lambda: start_response('500 No', [], sys.exc_info())\n"
        "    start_response('200 OK', []); return Body('failing()')",
        "unexpected",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_fails(tmp_path: Path, name: str) -> None:
    what, why = WRONG[name]
    with wsgi(tmp_path, f"{LATE}\ndef app(environ, start_response):\n    {what}\n") as served:
        outcome = served.invoke(GET)
        assert json.loads(outcome.body)["statusCode"] == 500
        assert json.loads(outcome.body)["body"] == "Internal Server Error"
        [record] = [one for one in served.records() if one["level"] == "ERROR"]
        assert (record["message"], record["requestId"]) == ("Exception in WSGI application", outcome.request_id)
        assert why in record["errorMessage"]
        assert ("closed" in served.output) == ("Body" in what)


def test_the_body_is_closed_behind_its_last_piece(tmp_path: Path) -> None:
    source = f"{LATE}\ndef app(environ, start_response):\n    start_response('200 OK', []); return Body('print(7)')\n"
    with wsgi(tmp_path, source) as served:
        assert got(served, GET).body == b"first"
        assert [one["message"] for one in served.records()] == ["7", "closed"]


def test_a_close_that_fails_is_logged(tmp_path: Path) -> None:
    source = """
class Body(list):
    def close(self): raise LookupError("mine")
def app(environ, start_response):
    start_response("200 OK", [])
    return Body([b"fine"])
"""
    with wsgi(tmp_path, source) as served:
        outcome = served.invoke(GET)
        assert json.loads(outcome.body)["body"] == "fine"
        [record] = [one for one in served.records() if one["level"] == "ERROR"]
        assert (record["errorMessage"], record["requestId"]) == ("mine", outcome.request_id)


def test_an_event_that_fails_fails_its_invocation(tmp_path: Path) -> None:
    with serving(tmp_path, FLASK, handler="app:app", LMI_FAST_HTTP_EVENTS_PATH="/moved") as served:
        report, _ = served.error({"Records": []})
        assert "answered the event with 405" in report["errorMessage"]
    source = "def app(environ, start_response): raise LookupError('mine')"
    with serving(tmp_path, source, handler="app:app", LMI_FAST_HTTP_EVENTS_PATH="/") as served:
        assert served.error({"Records": []})[0]["errorType"] == "LookupError"
