"""Runs a WSGI application (PEP 3333) on the invocation's own thread."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO

from .answers import make_answer, split_cookies
from .events import EVENT, Request, read_event
from .exchange import FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import WebConfig
    from ..context import Context

_log = logging.getLogger("lmi_fast.http")
_FAILED_HEADERS = [("content-type", "text/plain; charset=utf-8")]


class WsgiHandler:
    """A handler that has a WSGI application answer."""

    def __init__(self, app: Any, web: WebConfig) -> None:
        self._app = app
        self._web = web
        self._streams = web.response == "stream"

    def __call__(self, event: Any, context: Context) -> Any:
        """The response, as the integration that `event` came from wants it."""
        request = read_event(event, self._web)
        response = _Response()
        streams = self._streams and request.streams
        try:
            response.begin(self._app(_environ(request, event, context), response.start))
            first = next(response, b"") if streams else b"".join(response)
        except BaseException as error:
            response.close()
            if request.answer == EVENT:
                raise
            _log.error("Exception in WSGI application", exc_info=error)
            if streams:
                return _streamed(500, _FAILED_HEADERS, FAILED)
            return make_answer(request.answer, 500, _FAILED_HEADERS, FAILED)
        if streams:
            response.push_back(first)
            return _streamed(response.status, response.headers, response)
        response.close()
        body = b"" if request.method == "HEAD" else first
        return make_answer(request.answer, response.status, response.headers, body)


class _Response:
    """The pieces of the body; status and headers are there with the first piece."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self._ready: list[bytes] = []  # pushed back, or from write()
        self._has_begun = False
        self._pieces: Iterator[bytes] = iter(())
        self._close: Callable[[], object] | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """start_response() of the specification."""
        if self.status:
            if exc_info is None:
                raise AssertionError("start_response() was called twice, without exc_info")
            if self._has_begun:
                try:
                    raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None
        self.headers = [(name.lower(), value.strip()) for name, value in headers]
        for name, value in self.headers:
            if not (name + value).isprintable() and any(letter in name + value for letter in "\r\n\0"):
                raise ValueError(f"invalid HTTP header {name!r}: {value!r}")
        if not status[:3].isdecimal() or not 100 <= int(status[:3]) <= 599:
            raise ValueError(f"{status!r} is no HTTP status")
        self.status = int(status[:3])
        return self._ready.append

    def begin(self, body: Iterable[bytes]) -> None:
        """`body` is what the application returned."""
        self._close = getattr(body, "close", None)
        self._pieces = iter(body)

    def push_back(self, piece: bytes) -> None:
        """It comes again before all others."""
        if piece:
            self._ready.insert(0, piece)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._ready:
            piece = next(self._pieces, None)
            if not self.status:  # by now it must be there, also for a body without pieces
                raise AssertionError("the application did not call start_response()")
            if piece is None:
                raise StopIteration
            if piece:
                self._ready.append(piece)
        self._has_begun = True
        return self._ready.pop(0)

    def close(self) -> None:
        """To be called at the end, whatever has happened: frameworks do here what they do behind their responses."""
        close, self._close = self._close, None
        if close is not None:
            try:
                close()
            except BaseException as error:
                _log.error("Exception in WSGI application, behind its response", exc_info=error)


def _streamed(status: int, headers: list[tuple[str, str]], body: Any) -> Any:
    from ..streaming import StreamingResponse

    headers, cookies = split_cookies(headers)
    return StreamingResponse(body, status=status, headers=headers, cookies=cookies)


def _environ(request: Request, event: Any, context: Context) -> dict[str, Any]:
    server, port = request.server or ("localhost", 443)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": _as_bytes_text(request.root_path),
        "PATH_INFO": _as_bytes_text(request.path[len(request.root_path) :]),
        "QUERY_STRING": request.query_string.decode("ascii"),
        "REQUEST_URI": (request.raw_path + (b"?" + request.query_string if request.query_string else b"")).decode(),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "aws.event": event,
        "aws.context": context,
    }
    if request.client is not None:
        environ["REMOTE_ADDR"] = request.client[0]
        environ["REMOTE_PORT"] = str(request.client[1])
    for name_bytes, value_bytes in request.headers:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        if "_" in name:
            continue  # it would be taken for the one with "-", which proxies may have checked
        key = _OWN_KEYS.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
        if key in environ:
            value = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}"
        environ[key] = value
    return environ


_OWN_KEYS = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def _as_bytes_text(text: str) -> str:
    """Text whose letters are the bytes of `text` in UTF-8 (PEP 3333, Unicode Issues)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")
