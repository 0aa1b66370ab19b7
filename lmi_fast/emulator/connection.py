"""One connection to the emulated Runtime API: HTTP/1.1 by h11, and the faults a test asked for.

It knows nothing of invocations: it hands each request to the `Router`, and what the router answers to the client.
Go's net/http is the model wherever the two could be told apart, for that is what the platform's server is built on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from .faults import Action, Gate, Request, Rule, Then

if TYPE_CHECKING:
    from .invocation import Pending
    from .router import Router

# net/http, server.go: the default of MaxHeaderBytes and the slop it adds.
MAX_HEAD = (1 << 20) + 4096
# ... maxPostHandlerReadBytes: how much of a body nobody wants is read to save the connection.
MAX_UNWANTED = 256 << 10
# ... rstAvoidanceDelay: an early reply must not be overtaken by the RST that closing with unread bytes sends.
LINGER_S = 0.5
# ... bufferBeforeChunkingSize: longer replies are chunked where a handler gives no length, by 32 KiB (io.Copy).
UNCHUNKED = 2048
CHUNK = 32 << 10


@lru_cache(maxsize=1)
def _date(now: int) -> str:
    return formatdate(now, usegmt=True)


class Exchange:
    """One request and the way to answer it."""

    __slots__ = (
        "answered",
        "body",
        "connection",
        "invocation",
        "limit",
        "parked",
        "refusal",
        "request",
        "rule",
        "size",
        "taker",
        "trailers",
    )

    def __init__(self, connection: Connection, request: Request, rule: Rule | None) -> None:
        self.connection = connection
        self.request = request
        self.rule = rule
        self.limit: int | None = None  # how much of the body is kept; None: all of it
        self.body = bytearray()
        self.size = 0  # of the body, kept or not
        self.trailers: dict[str, str] = {}
        self.taker: Callable[[bytes], object] | None = None  # has the body as it comes; none of it is kept then
        self.answered = False
        # The router's: a poll that waits; what a post is about, or why it is refused, while the body comes.
        self.parked = False
        self.invocation: Pending | None = None
        self.refusal: tuple[int, bytes] | None = None

    @property
    def too_large(self) -> bool:
        """More of the body came than is wanted."""
        return self.limit is not None and self.size > self.limit

    def answer(
        self, status: int, body: bytes, headers: list[tuple[str, str]], *, may_chunk: bool = False, close: bool = False
    ) -> None:
        """Sends the reply, or does what the fault script has in its place."""
        self.answered = True
        self.connection.reply(self, status, body, headers, may_chunk=may_chunk, close=close)


class Connection(asyncio.Protocol):
    """See the module. `exchange` is the request under way, from its head to the end of its reply."""

    def __init__(self, router: Router) -> None:
        self.exchange: Exchange | None = None
        self._router = router
        self._number = 0
        self._h11 = h11.Connection(h11.SERVER, MAX_HEAD)
        self._working = False
        self._closes = False  # after the reply under way
        self._lingering = False
        self._fault: asyncio.Task[None] | None = None

    @property
    def closing(self) -> bool:
        """Nothing that is written now will get to the client."""
        return self._lingering or self._transport.is_closing()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # asyncio does it for sockets that name their protocol, which accepted ones do not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = self._router.opened(self)

    def data_received(self, data: bytes) -> None:
        if not self.closing:
            self._h11.receive_data(data)
            self._work()

    def eof_received(self) -> None:
        # A client that has asked and half-closes does not wait for the reply: net/http ends the handler then.
        if not self.closing:
            self._h11.receive_data(b"")
            self._work()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.exchange is not None and not self.exchange.answered:
            self._router.lost(self.exchange)
        self._router.closed(self)

    # Requests.

    def _work(self) -> None:
        if self._working:
            return  # a reply was sent by what the loop below called: it goes on with the next request itself
        self._working = True
        try:
            while not self.closing:
                event = self._h11.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._take(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._end(event)
                else:
                    break  # NEED_DATA; PAUSED: the next request is here, and waits for its turn; ConnectionClosed
        except h11.RemoteProtocolError as error:
            self._refuse_bytes(error)
        finally:
            self._working = False

    def _begin(self, event: h11.Request) -> None:
        headers: dict[str, str] = {}
        for name, value in event.headers:
            key, text = name.decode(), value.decode("utf-8", "replace")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        method, path = event.method.decode(), event.target.decode()
        request, rule = self._router.see(method, path, headers, self._number)
        self.exchange = exchange = Exchange(self, request, rule)
        if rule is None or rule.when == "reply":
            self._router.begin(exchange)
        if rule is not None and rule.when == "head":
            self._play(exchange, rule.action(request, b""), b"")
        elif self._h11.they_are_waiting_for_100_continue:
            self._transport.write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")

    def _take(self, data: bytes | bytearray) -> None:
        exchange = self.exchange
        assert exchange is not None
        exchange.size += len(data)
        if exchange.answered:
            pass  # by an action at the place "head"
        elif exchange.taker is not None:
            exchange.taker(bytes(data))
        elif not exchange.too_large:
            exchange.body += data
        elif exchange.limit is not None and exchange.size > exchange.limit + MAX_UNWANTED:
            self._router.end(exchange)  # and the reply says Connection: close

    def _end(self, event: h11.EndOfMessage) -> None:
        exchange = self.exchange
        assert exchange is not None
        exchange.trailers = {name.decode(): value.decode("utf-8", "replace") for name, value in event.headers}
        rule = exchange.rule
        if exchange.answered:
            if self._fault is None:  # the action at the place "head" is over
                self._next()
        elif rule is not None and rule.when == "request":
            self._play(exchange, rule.action(exchange.request, b""), b"")
        else:
            self._router.end(exchange)

    def _refuse_bytes(self, error: h11.RemoteProtocolError) -> None:
        if self.exchange is not None and not self.exchange.answered:  # inside a body
            self._router.lost(self.exchange)
        if self.exchange is None or not self.exchange.answered:
            status = error.error_status_hint
            self._router.count(status)
            text = [("Content-Type", "text/plain; charset=utf-8")]
            self._transport.write(self._rendered(status, f"{error}\n".encode(), text, close=True))
        if not self.closing:
            self._linger()

    # Replies.

    def reply(
        self,
        exchange: Exchange,
        status: int,
        body: bytes,
        headers: list[tuple[str, str]],
        *,
        may_chunk: bool,
        close: bool,
    ) -> None:
        """See `Exchange.answer`."""
        if self.closing:
            return
        # Not DONE: the client said Connection: close, or the rest of the body is to come and nobody wants it.
        close = self._closes = close or self._h11.their_state is not h11.DONE
        reply = self._rendered(status, body, headers, may_chunk=may_chunk, close=close)
        if exchange.rule is not None and exchange.rule.when == "reply":
            self._play(exchange, exchange.rule.action(exchange.request, reply), reply)
        else:
            self._router.count(status)
            self._transport.write(reply)
            self._next()

    def _rendered(
        self, status: int, body: bytes, headers: list[tuple[str, str]], *, may_chunk: bool = False, close: bool
    ) -> bytes:
        # Not by h11, which takes as long for it as all the rest. What it would not let through is refused where it
        # comes in (invocation.py).
        chunked = may_chunk and len(body) > UNCHUNKED
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines.append(f"Date: {_date(int(time.time()))}")
        if close:
            lines.append("Connection: close")
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        if not chunked:
            return head + body
        pieces = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
        return b"".join([head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"])

    def _next(self) -> None:
        """The reply is out; the request may not be in yet, after an action at the place "head"."""
        if self._closes:
            self._linger()
        elif self._h11.their_state is h11.DONE:
            self.exchange = None
            # A new one for the next request, since this one waits to be told of the reply.
            behind, ended = self._h11.trailing_data
            self._h11 = h11.Connection(h11.SERVER, MAX_HEAD)
            if behind:
                self._h11.receive_data(behind)
            if ended:
                self._h11.receive_data(b"")
            self._work()

    def _linger(self) -> None:
        self._lingering = True
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)

    # Faults.

    def _play(self, exchange: Exchange, action: Action, reply: bytes) -> None:
        exchange.answered = True
        self._fault = asyncio.get_running_loop().create_task(self._played(action, reply))

    async def _played(self, action: Action, reply: bytes) -> None:
        for piece in action.pieces(reply):
            if isinstance(piece, Gate):
                await asyncio.wrap_future(piece.arrive())
            elif not self.closing:
                self._transport.write(piece)
                await asyncio.sleep(0)
        if self.closing:
            return
        if action.then in (Then.CLOSE, Then.RESET):
            self.close(reset=action.then is Then.RESET)
        elif action.then is Then.KEEP:
            self._fault = None
            self._next()

    def close(self, *, reset: bool = False) -> None:
        """Closes the connection with FIN, or RST."""
        if reset:
            linger = struct.pack("ii", 1, 0)  # l_onoff, l_linger: socket(7)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if reset or self._transport.get_write_buffer_size():
            self._transport.abort()  # a client that does not read must not keep the server
        else:
            self._transport.close()
