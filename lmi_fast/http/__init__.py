"""ASGI and WSGI applications as handlers: FastAPI, Starlette, Litestar, Django, Flask, in the process itself.

Optional: nothing of the core imports it but runtime.py, for a handler that is such an application. docs/web.md tells
what event becomes what.

events.py    an event -> a request            answers.py    a response -> what the integration wants
asgi.py      runs ASGI applications           exchange.py   one request of theirs, and its response
wsgi.py      runs WSGI applications           lifespan.py   their startup and shutdown
"""

from __future__ import annotations

from collections.abc import Callable

from ..config import Config, WebConfig
from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def serve_app(app: Any, interface: str, config: Config) -> Callable[[Any, Any], Any]:
    """A handler that has `app` answer, which is an application of `interface`: "asgi" or "wsgi".

    Raises ConfigError for variables that do not go together.
    """
    web = WebConfig()
    if interface == "wsgi":
        if config.driver == "async":
            raise ConfigError("LMI_FAST_DRIVER", "async", "auto or threads, for a WSGI application")
        from .wsgi import WsgiHandler

        return WsgiHandler(app, web)
    if config.driver == "threads":
        raise ConfigError("LMI_FAST_DRIVER", "threads", "auto or async, for an ASGI application")
    from .asgi import AsgiHandler

    return AsgiHandler(app, web)
