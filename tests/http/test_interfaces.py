"""What is taken for a web application, and what never is."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import fastapi
import flask
import pytest
import starlette.applications
import starlette.middleware.cors
from django.core.handlers.asgi import ASGIHandler  # type: ignore[import-untyped]
from django.core.handlers.wsgi import WSGIHandler  # type: ignore[import-untyped]

from lmi_fast.config import WebConfig
from lmi_fast.errors import ConfigError, FaultError
from lmi_fast.runtime.handler import interface_of, load_handler

from ..serving import serving
from ..test_init_errors import failed
from .gateways import Sent, delivered, http_api


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...
def returns_asgi(scope: Any, receive: Any, send: Any) -> Any: ...
def wsgi(environ: Any, start_response: Any) -> Any: ...


class Awaited:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...
    def __await__(self) -> Any: ...


class App:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...


class Wsgi:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


flask_app = flask.Flask(__name__)
wrapped_flask = flask.Flask(__name__)
wrapped_flask.wsgi_app = functools.partial(wrapped_flask.wsgi_app)  # type: ignore[method-assign]

APPLICATIONS = [
    ("asgi", asgi),
    ("asgi", returns_asgi),
    ("asgi", Awaited),
    ("asgi", App()),
    ("asgi", App().method),
    ("asgi", fastapi.FastAPI()),
    ("asgi", starlette.applications.Starlette()),
    ("asgi", starlette.middleware.cors.CORSMiddleware(App())),
    ("asgi", ASGIHandler.__new__(ASGIHandler)),  # made as it is, it wants settings
    ("wsgi", wsgi),
    ("wsgi", Wsgi()),
    ("wsgi", flask_app),
    ("wsgi", wrapped_flask),
    ("wsgi", flask_app.wsgi_app),
    ("wsgi", WSGIHandler.__new__(WSGIHandler)),
]


@pytest.mark.parametrize(("interface", "app"), APPLICATIONS)
def test_applications(interface: str, app: object) -> None:
    assert interface_of(app) == interface


def handler(event: Any, context: Any) -> None: ...
async def async_handler(event: Any, context: Any) -> None: ...
async def with_default(event: Any, context: Any, extra: Any = None) -> None: ...
async def with_keyword(event: Any, context: Any, *, extra: Any) -> None: ...
def with_anything(*args: Any, **more: Any) -> None: ...
def odd_names(environ: Any, context: Any) -> None: ...
async def three(event: Any, context: Any, database: Any) -> None: ...


class Anything:
    """A handler that has whatever attribute one asks for."""

    def __getattr__(self, name: str) -> Any: ...
    def __call__(self, event: Any, context: Any) -> None: ...


class Method:
    async def handle(self, event: Any, context: Any) -> None: ...
    @staticmethod
    def static(event: Any, context: Any) -> None: ...


@functools.wraps(three)
async def injected(event: Any, context: Any) -> None: ...


@functools.wraps(three)
async def swallowing(*args: Any) -> None: ...


HANDLERS = [
    handler, async_handler, with_default, with_keyword, with_anything, odd_names, Anything(), Method().handle,
    Method.static, injected, swallowing, functools.partial(three, database=1), functools.partial(handler), dict, print,
]  # fmt: skip


@pytest.mark.parametrize("one", HANDLERS)
def test_ordinary_handlers(one: object) -> None:
    assert interface_of(one) == "lambda"


APP = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["path"].encode()})
class holder:
    inner = app
"""


@pytest.mark.parametrize("spec", ["app:app", "app.app", "app:holder.inner"])
def test_a_handler_string_with_a_colon(tmp_path: Path, spec: str) -> None:
    with serving(tmp_path, APP, handler=spec) as served:
        assert delivered(served.result(http_api(Sent(path="/there"))), "http-api").body == b"/there"


@pytest.mark.parametrize("spec", [":app", "app:", "no_such_module_7:app", "json:absent", "json:decoder.absent"])
def test_a_wrong_one(spec: str) -> None:
    with pytest.raises(FaultError) as caught:
        load_handler(spec)
    expected = {":app": "MalformedHandlerName", "app:": "MalformedHandlerName"}.get(spec)
    assert (
        caught.value.error_type
        == f"Runtime.{expected or ('HandlerNotFound' if 'json' in spec else 'ImportModuleError')}"
    )


def test_the_variable_decides(tmp_path: Path) -> None:
    source = """
        async def app(*args):  # nothing to be told by
            if len(args) == 2:
                return "lambda"
            await args[2]({"type": "http.response.start", "status": 202})
            await args[2]({"type": "http.response.body"})
    """
    with serving(tmp_path, source, handler="app:app") as served:
        assert served.result({}) == "lambda"
    with serving(tmp_path, source, handler="app:app", LMI_FAST_INTERFACE="asgi") as served:
        assert served.result(http_api(Sent()))["statusCode"] == 202


@pytest.mark.parametrize("a", ["async ", ""])
def test_ordinary_handlers_do_not_pay_for_it(tmp_path: Path, a: str) -> None:
    source = f"""
        import sys
        {a}def handler(event, context): return [name for name in sys.modules if name.startswith("lmi_fast.http")]
    """
    with serving(tmp_path, source) as served:
        assert served.result({}) == []


def test_an_application_can_be_a_handler_all_the_same(tmp_path: Path) -> None:
    with serving(
        tmp_path, "def app(environ, start_response): return 7", handler="app.app", LMI_FAST_INTERFACE="lambda"
    ) as served:
        assert served.result({}) == 7


def test_run_takes_an_application(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        APP + "\nif __name__ == '__main__':\n    import lmi_fast\n    lmi_fast.run(app)\n"
    )
    import sys

    with serving(tmp_path, "", handler=None, command=[sys.executable, "main.py"]) as served:
        assert delivered(served.result(http_api(Sent(path="/x"))), "http-api").body == b"/x"


@pytest.mark.parametrize(
    ("source", "driver"), [(APP, "threads"), ("def app(environ, start_response): ...", "async")], ids=["asgi", "wsgi"]
)
def test_a_driver_that_cannot(tmp_path: Path, source: str, driver: str) -> None:
    report, _ = failed(tmp_path, source, handler="app:app", LMI_FAST_DRIVER=driver)
    assert report["errorType"] == "Runtime.ConfigError"
    assert f"LMI_FAST_DRIVER is {driver!r}" in report["errorMessage"]


def test_variables() -> None:
    web = WebConfig({})
    assert (web.base_path, web.events_path, web.response) == ("", "", "auto")
    web = WebConfig({
        "LMI_FAST_HTTP_BASE_PATH": "/v1/", "LMI_FAST_HTTP_EVENTS_PATH": "/events", "LMI_FAST_HTTP_RESPONSE": "STREAM",
    })  # fmt: skip
    assert (web.base_path, web.events_path, web.response) == ("/v1", "/events", "stream")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LMI_FAST_HTTP_BASE_PATH", "v1"), ("LMI_FAST_HTTP_EVENTS_PATH", "events"), ("LMI_FAST_HTTP_RESPONSE", "slow")],
)
def test_wrong_variables(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        WebConfig({variable: value})
