"""The platform's side of the Runtime API: which poll gets which invocation, and what is said to every post.

Everything runs on the server's event loop. The rules are those of AWS's emulator in Managed Instances mode
(internal/lambda-managed-instances: invoke/invoke_router.go, invoke/running_invoke.go, rapi/handler), but for the
invocations that wait for a poll: the platform refuses them at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from .connection import Connection, Exchange
from .faults import Kind, Request, Rule
from .invocation import MAX_PAYLOAD, Outcome, OutcomeKind, Pending, State, counted_error_type, error_body
from .stats import InitError, Stats, Watchers

# rapi/server.go, requestBodyLimitBytes: the limit of everything but /response.
MAX_ERROR_BODY = 1 << 20
# invoke/timeout/timeout_cache.go: so many invocations that timed out are remembered.
MAX_TIMED_OUT = 1000
# How many requests are remembered for `RuntimeApi.requests`.
MAX_REQUESTS = 100_000

_INVOCATION = re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/(response|error)")
_FIXED: dict[str, tuple[str, Kind]] = {
    "/2018-06-01/ping": ("GET", "ping"),
    "/2018-06-01/runtime/invocation/next": ("GET", "next"),
    "/2018-06-01/runtime/init/error": ("POST", "init_error"),
    "/2020-01-01/extension/register": ("POST", "extension_register"),
    "/2020-01-01/extension/event/next": ("GET", "extension_next"),
}
_JSON = [("Content-Type", "application/json")]
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]
_ACCEPTED = (202, b'{"status":"OK"}\n')
_INVALID_ID = (400, error_body("InvalidRequestID", "Invalid request ID"))
_INVALID_MODE = (400, error_body("InvalidFunctionResponseMode", "Invalid function response mode"))
_TRUNCATED = (400, error_body("TruncatedHTTPRequest", "HTTP request detected as truncated"))
_GONE = (410, error_body("InvokeTimeout", "Invoke timeout"))
_TOO_LARGE = (
    413,
    error_body("RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."),
)
_SERVER_ERROR = (500, error_body("InternalServerError", "Internal Server Error"))


class Router:
    """See the module."""

    def __init__(self, function: dict[str, str], *, dead_polls: bool) -> None:
        """`function` is what an extension is told at registration. `dead_polls`: see `RuntimeApi`."""
        self.stats = Stats()
        self.watchers = Watchers(self.stats)
        self.rules: list[Rule] = []
        self.requests: deque[Request] = deque(maxlen=MAX_REQUESTS)
        self.init_errors: list[InitError] = []
        self.connections: set[Connection] = set()
        self.closing = False
        self.empty = asyncio.Event()  # closing, and no connection is left
        self._function = function
        self._dead_polls = dead_polls
        self._parked: deque[Exchange] = deque()  # FIFO: runtime_pool.go; dead ones too
        self._waiting: OrderedDict[str, Pending] = OrderedDict()  # FIFO, by request id
        # By request id.
        self._running: dict[str, tuple[Pending, asyncio.TimerHandle]] = {}  # RUNNING and RESPONDING
        self._held: dict[str, Exchange] = {}  # error reports about some of the latter
        self._timed_out: OrderedDict[str, Pending] = OrderedDict()
        self._extensions: set[str] = set()
        self._polled = False

    # For RuntimeApi.

    def invoke(self, invocation: Pending, wait: bool) -> None:
        """Gives `invocation` to the poll that is parked for the longest time."""
        if self.closing:
            self._finish(invocation, "refused", "Client.ExecutionEnvironmentShutDown")
        elif invocation.request_id in self._running or invocation.request_id in self._waiting:
            self._finish(invocation, "refused", "Client.DuplicatedInvokeId")
        else:
            self._give(invocation, wait)
        self.watchers.look()

    def shut_down(self) -> None:
        """Fails what is under way to its invokers, and ends every connection (rapid/sandbox.go, HandleShutdown)."""
        self.closing = True
        for invocation, _ in list(self._running.values()):
            self._finish(invocation, "error", "Client.ExecutionEnvironmentShutDown")
        while self._waiting:
            self.stats.waiting -= 1
            self._finish(self._waiting.popitem(last=False)[1], "refused", "Client.ExecutionEnvironmentShutDown")
        if not self.drop("all", reset=False):
            self.empty.set()

    def drop(self, kind: str, *, reset: bool) -> int:
        """Closes the connections of `kind` and says how many; the polls among them do not stay behind as dead ones."""
        chosen = []
        for connection in self.connections:
            exchange = connection.exchange
            parked = exchange is not None and exchange.parked
            if kind == "all" or (kind == "parked" and parked) or (kind == "idle" and exchange is None):
                chosen.append(connection)
                if exchange is not None and parked:
                    self._unpark(exchange)
                    self._parked.remove(exchange)
        for connection in chosen:
            connection.close(reset=reset)
        self.watchers.look()
        return len(chosen)

    # For Connection.

    def opened(self, connection: Connection) -> int:
        """A client connected; returns the number of the connection."""
        self.connections.add(connection)
        self.stats.connections_open += 1
        self.stats.connections_opened += 1
        self.watchers.look()
        return self.stats.connections_opened

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self.stats.connections_open -= 1
        if self.closing and not self.connections:
            self.empty.set()
        self.watchers.look()

    def count(self, status: int) -> None:
        """A reply goes out."""
        self.stats.statuses[status] += 1

    def see(self, method: str, path: str, headers: Mapping[str, str], connection: int) -> tuple[Request, Rule | None]:
        """What a request is about, and the first rule of the fault script that is for it."""
        expected, kind = _FIXED.get(path, ("", "other"))
        request_id, invocation = "", None
        if match := _INVOCATION.fullmatch(path):
            expected, kind = "POST", "response" if match[2] == "response" else "error"
            request_id = unquote(match[1])
            live = self._running.get(request_id)
            invocation = live[0] if live else self._timed_out.get(request_id)
        if method != expected:
            kind = "other"
        request = Request(kind, method, path, headers, connection, request_id, invocation)
        self.requests.append(request)
        self.stats.requests[kind] += 1
        rule = next((rule for rule in self.rules if rule.applies(request)), None)
        self.watchers.look()
        return request, rule

    def begin(self, exchange: Exchange) -> None:
        """The head is there: says how much of the body is wanted, and settles what the head alone decides."""
        if exchange.request.kind != "response":
            exchange.limit = MAX_ERROR_BODY
            return
        exchange.limit = MAX_PAYLOAD
        invocation, exchange.refusal = self._admit(exchange.request, (State.RUNNING,))
        mode = exchange.request.headers.get("lambda-runtime-function-response-mode", "")
        if invocation is not None and mode not in ("", "streaming"):
            self._finish(invocation, "error", "Runtime.InvalidResponseModeHeader")
            exchange.refusal = _INVALID_MODE
        if invocation is not None and not exchange.refusal:
            invocation.state = State.RESPONDING
            exchange.invocation = invocation
            if mode == "streaming" and invocation.taker is not None:
                exchange.taker, exchange.limit = invocation.taker, None
        else:
            exchange.limit = 0

    def end(self, exchange: Exchange) -> None:
        """The request is there as a whole, or more of it than is wanted."""
        kind = exchange.request.kind
        if kind == "next":
            self._park(exchange)
        elif kind == "response":
            self._response(exchange)
        elif kind == "error":
            self._error(exchange)
        elif kind == "init_error":
            self._init_error(exchange)
        elif kind == "extension_register":
            self._register(exchange)
        elif kind == "extension_next":
            if exchange.request.headers.get("lambda-extension-identifier") not in self._extensions:
                self._forbid(exchange, "Extension.UnknownExtensionIdentifier", "Unknown extension")
            # Else it is never answered: Managed Instances have no INVOKE event, and internal extensions no SHUTDOWN.
        elif kind == "ping":
            exchange.answer(200, b"pong", _TEXT)
        elif exchange.request.path in _FIXED or _INVOCATION.fullmatch(exchange.request.path):
            exchange.answer(405, b"", _TEXT)
        else:
            exchange.answer(404, b"404 page not found\n", _TEXT)
        self.watchers.look()

    def lost(self, exchange: Exchange) -> None:
        """The client is gone before it had its reply, or closed its side inside the body."""
        if exchange.parked:
            self._unpark(exchange)  # but not out of the queue: see _give
        elif exchange.invocation is not None:
            self._responded(exchange, _TRUNCATED, "truncated", "Runtime.TruncatedResponse", bytes(exchange.body))
        self.watchers.look()

    # Polls and invocations.

    def _park(self, exchange: Exchange) -> None:
        self._polled = exchange.parked = True
        self._parked.append(exchange)
        self.stats.parked += 1
        if self._waiting:
            self.stats.waiting -= 1
            self._give(self._waiting.popitem(last=False)[1], wait=True)
        self.stats.note_peaks()

    def _unpark(self, exchange: Exchange) -> None:
        exchange.parked = False
        self.stats.parked -= 1

    def _give(self, invocation: Pending, wait: bool) -> None:
        while self._parked:
            poll = self._parked.popleft()
            alive = poll.parked and not poll.connection.closing
            if poll.parked:
                self._unpark(poll)
            if alive:
                self._deliver(poll, invocation)
                return
            if self._dead_polls:
                # RuntimeNextWait does not take the poll of a client that went away out of the pool.
                self._finish(invocation, "refused", "Runtime.Unknown")
                return
        if wait:
            self._waiting[invocation.request_id] = invocation
            self.stats.waiting += 1
        else:
            self._finish(invocation, "refused", "Runtime.Unavailable")

    def _deliver(self, poll: Exchange, invocation: Pending) -> None:
        self.stats.in_flight += 1
        self.stats.note_peaks()
        timer = asyncio.get_running_loop().call_later(invocation.timeout_s, self._time_out, invocation)
        self._running[invocation.request_id] = invocation, timer
        if poll.rule is not None:
            poll.request = replace(poll.request, invocation=invocation, request_id=invocation.request_id)
        poll.answer(200, invocation.event, invocation.start(), may_chunk=True)

    def _time_out(self, invocation: Pending) -> None:
        if invocation.request_id in self._held:
            return  # the error report that is held wins, however late
        text = f"RequestId: {invocation.request_id} Error: Task timed out after {invocation.timeout_s:.2f} seconds"
        self._finish(invocation, "timeout", "Sandbox.Timedout", message=text)
        invocation.state = State.TIMED_OUT
        self._timed_out[invocation.request_id] = invocation
        if len(self._timed_out) > MAX_TIMED_OUT:
            self._timed_out.popitem(last=False)
        self.watchers.look()

    def _finish(
        self,
        invocation: Pending,
        kind: OutcomeKind,
        error_type: str | None = None,
        body: bytes | None = None,
        *,
        message: str = "",
        post: Exchange | None = None,
    ) -> None:
        """The invoker gets the outcome; without a `body`, the platform's own error."""
        live = self._running.pop(invocation.request_id, None) if invocation.state is not State.WAITING else None
        if live is not None:
            live[1].cancel()
            self.stats.in_flight -= 1
        invocation.state = State.DONE
        self.stats.outcomes[kind] += 1
        headers = post.request.headers if post else {}
        if body is None:
            body, content_type = error_body(error_type or "", message), "application/json"
        else:  # rapi: NewRuntimeResponse has this default
            content_type = headers.get("content-type") or "application/octet-stream"
        trailers = post.trailers if post else {}
        latency_s = invocation.latency_s()
        invocation.set_result(
            Outcome(kind, invocation.request_id, body, content_type, error_type, headers, trailers, latency_s)
        )

    # Posts.

    def _admit(
        self, request: Request, states: tuple[State, ...]
    ) -> tuple[Pending, None] | tuple[None, tuple[int, bytes]]:
        """The invocation a post is about if it is in one of `states`, or how the post is refused."""
        live = self._running.get(request.request_id)
        if live is None:
            late = self._timed_out.pop(request.request_id, None)
            if late is None:
                return None, _INVALID_ID
            late.state = State.DONE
            return None, _GONE
        invocation = live[0]
        if invocation.state not in states or request.request_id in self._held:
            return None, _INVALID_ID
        nonce = request.headers.get("lambda-runtime-invocation-id")
        if nonce and invocation.nonce and nonce != invocation.nonce:
            return None, _GONE
        return invocation, None

    def _response(self, exchange: Exchange) -> None:
        if exchange.refusal is not None:
            exchange.answer(*exchange.refusal, _JSON)
        elif exchange.too_large:
            self._responded(exchange, _TOO_LARGE, "error", "Function.ResponseSizeTooLarge", None)
        elif "lambda-runtime-function-error-type" in exchange.trailers:
            error_type = counted_error_type(exchange.trailers["lambda-runtime-function-error-type"])
            self._responded(exchange, _ACCEPTED, "error", error_type, bytes(exchange.body))
        else:
            self._responded(exchange, _ACCEPTED, "response", None, bytes(exchange.body))

    def _responded(
        self,
        exchange: Exchange,
        reply: tuple[int, bytes],
        kind: OutcomeKind,
        error_type: str | None,
        body: bytes | None,
    ) -> None:
        """The body of a response ended, well or not: what that means if the invocation is still about it."""
        invocation, exchange.invocation = exchange.invocation, None
        assert invocation is not None
        held = self._held.pop(invocation.request_id, None)
        if invocation.state is State.TIMED_OUT:
            invocation.state = State.DONE
            self._timed_out.pop(invocation.request_id, None)
            reply = _GONE
        elif invocation.state is State.DONE:
            reply = _INVALID_ID
        elif held is not None:
            self._failed(held, invocation)
            reply = _SERVER_ERROR
        else:
            self._finish(invocation, kind, error_type, body, post=exchange)
        exchange.answer(*reply, _JSON)

    def _error(self, exchange: Exchange) -> None:
        if exchange.too_large:  # whatever the id: the invocation stays as it was
            exchange.answer(*_TOO_LARGE, _JSON, close=True)
            return
        invocation, refusal = self._admit(exchange.request, (State.RUNNING, State.RESPONDING))
        if invocation is None:
            exchange.answer(*(refusal or _INVALID_ID), _JSON)
        elif invocation.state is State.RESPONDING:
            self._held[invocation.request_id] = exchange
        else:
            self._failed(exchange, invocation)

    def _failed(self, exchange: Exchange, invocation: Pending) -> None:
        sent = exchange.request.headers.get("lambda-runtime-function-error-type", "")
        self._finish(invocation, "error", counted_error_type(sent), bytes(exchange.body), post=exchange)
        exchange.answer(*_ACCEPTED, _JSON)

    def _init_error(self, exchange: Exchange) -> None:
        if exchange.too_large:
            exchange.answer(*_TOO_LARGE, _JSON, close=True)
            return
        headers = exchange.request.headers
        error_type = counted_error_type(headers.get("lambda-runtime-function-error-type", ""))
        accepted = not self.init_errors
        self.init_errors.append(InitError(error_type, bytes(exchange.body), headers, accepted))
        self.stats.init_errors += 1
        if accepted:
            exchange.answer(*_ACCEPTED, _JSON)
        else:
            text = "State transition from InitError to InitError failed for runtime."
            self._forbid(exchange, "InvalidStateTransition", text)

    def _register(self, exchange: Exchange) -> None:
        try:
            events = json.loads(exchange.body).get("events")
        except (ValueError, AttributeError) as error:
            self._forbid(exchange, "InvalidRequestFormat", str(error))
            return
        if not exchange.request.headers.get("lambda-extension-name"):
            self._forbid(exchange, "Extension.InvalidExtensionName", "Empty extension name")
        elif events:
            self._forbid(exchange, "Extension.InvalidEventType", "No events allowed for internal extensions")
        elif self._polled:
            self._forbid(exchange, "Extension.RegistrationClosed", "Extension registration closed already")
        else:
            identifier = str(uuid.uuid4())
            self._extensions.add(identifier)
            body = json.dumps(self._function).encode()
            exchange.answer(200, body, [*_JSON, ("Lambda-Extension-Identifier", identifier)])

    def _forbid(self, exchange: Exchange, error_type: str, message: str) -> None:
        exchange.answer(403, error_body(error_type, message), _JSON)
