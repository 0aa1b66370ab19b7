"""One request to an ASGI application, and its response: `receive` and `send` of the specification.

Version 2.4 of the specification's HTTP part: send() raises OSError when the caller is gone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Generator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

_find_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
FAILED = b"Internal Server Error"


class Exchange:
    """What came of the request so far.

    The application has `started` with status and headers, its response is `complete`, or the caller is `gone`. `ready`
    means that there is something to answer with: a whole response, the first piece of one that is sent while it is
    made, or a failure.
    """

    __slots__ = (
        "_body",
        "_more",
        "_over",
        "_pieces",
        "_taken",
        "_waiter",
        "complete",
        "error",
        "gone",
        "headers",
        "ready",
        "started",
        "status",
        "streams",
    )

    def __init__(self, body: bytes, streams: bool) -> None:
        """`streams`: whether the response can be sent while it is made."""
        self.started = self.complete = self.gone = self.ready = False
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.error: BaseException | None = None  # that ended the application before its response was complete
        self._body: bytes | None = body
        self.streams = streams
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        # Made by who waits first: most requests never do.
        self._over: asyncio.Event | None = None
        self._more: asyncio.Event | None = None
        self._taken: asyncio.Event | None = None

    async def receive(self) -> Message:
        """The whole request, and then, once there is one, the end."""
        if not self.complete and not self.gone:
            if self._body is not None:
                body, self._body = self._body, None
                return {"type": "http.request", "body": body, "more_body": False}
            if self._over is None:
                self._over = asyncio.Event()
            await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Takes a part of the response. Raises RuntimeError for one that is out of order or cannot be sent."""
        if self.gone:
            raise OSError("the caller is gone")
        kind = message["type"]
        if not self.started:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got '{kind}'.")
            self._start(message)
        elif self.complete:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' sent, after response already completed.")
        elif kind != "http.response.body":
            raise RuntimeError(f"Expected ASGI message 'http.response.body', but got '{kind}'.")
        else:
            if piece := message.get("body", b""):
                self._pieces.append(bytes(piece))
            if not message.get("more_body", False):
                self.complete = True
                self._set_ready()
                if self._over is not None:
                    self._over.set()
            if self.streams and not self.complete:
                await self._until_taken()

    def _start(self, message: Message) -> None:
        headers = []
        for name, value in message.get("headers", ()):
            if _find_control(name) or _find_control(value):
                raise RuntimeError(f"Invalid HTTP header {name!r}: {value!r}")
            headers.append((name.lower().decode("latin-1"), value.decode("latin-1").strip()))
        status = int(message["status"])
        if not 100 <= status <= 599:
            raise RuntimeError(f"{status} is no HTTP status")
        self.headers, self.status = headers, status
        self.started = True

    async def _until_taken(self) -> None:
        """A caller that reads slowly makes the application wait, and its pieces do not pile up here."""
        if self._taken is None:
            self._taken = asyncio.Event()
        self._set_ready()
        self._taken.clear()
        while self._pieces and not self.gone:
            await self._taken.wait()

    def end(self) -> None:
        """The application has returned."""
        if not self.complete and not self.gone:
            what = "completing" if self.started else "starting"
            self.fail(RuntimeError(f"ASGI callable returned without {what} response."))

    def fail(self, error: BaseException) -> None:
        """The application has ended in the middle of its response."""
        self.error = error
        self._set_ready()

    def leave(self) -> None:
        """Nobody wants the response any more."""
        self.gone = True
        for event in (self._over, self._taken):
            if event is not None:
                event.set()

    def _set_ready(self) -> None:
        self.ready = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._more is not None:
            self._more.set()

    def until_ready(self, application: Coroutine[Any, Any, None]) -> _Standing:
        """To be awaited; `application` is shown as where the handler stands meanwhile."""
        self._waiter = asyncio.get_running_loop().create_future()
        return _Standing(self._waiter, application)

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        pieces, self._pieces = self._pieces, []
        if self._taken is not None:
            self._taken.set()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises what ended the application before its response was complete."""
        self._more = asyncio.Event()
        while True:
            if piece := self.take():
                yield piece
            elif self.complete:
                return
            elif self.error is not None:
                raise self.error
            else:
                self._more.clear()
                await self._more.wait()


class _Standing:
    """Waits for a future, and looks as if it were the coroutine of the application to who reads the stack of a task
    (runtime/stacks.py): a handler that is late stands where its application does.
    """

    __slots__ = ("_steps", "cr_await")
    cr_frame = None

    def __init__(self, future: asyncio.Future[None], application: Coroutine[Any, Any, None]) -> None:
        self._steps = future.__await__()
        self.cr_await = application

    def __await__(self) -> Generator[Any, None, None]:
        return self  # type: ignore[return-value]

    def __iter__(self) -> _Standing:
        return self

    def __next__(self) -> Any:
        return next(self._steps)

    def send(self, value: Any) -> Any:
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        return self._steps.throw(*error)
