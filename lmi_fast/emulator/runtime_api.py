"""`RuntimeApi`: the emulated Runtime API for plain code, a server on a thread and an event loop of its own.

Every public method may be called from any thread but the server's; what it does, it does on the server's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Literal, TypeVar

from ..errors import ApiUnavailable
from .connection import Connection
from .faults import Action, Chooser, Matcher, Request, Rule, When
from .invocation import Pending
from .router import Router
from .stats import InitError, Stats

FUNCTION_ARN = "arn:aws:lambda:us-east-1:012345678912:function:test_function"

T = TypeVar("T")


class RuntimeApi:
    """A Runtime API that behaves as the one of Managed Instances does, on loopback.

    It listens when the constructor returns, and until `close`; use it as a context manager.
    """

    def __init__(
        self,
        *,
        function_arn: str = FUNCTION_ARN,
        timeout_s: float = 30.0,
        host: str = "127.0.0.1",
        port: int = 0,
        dead_polls: bool = True,
    ) -> None:
        """Port 0 is any free one. Raises ApiUnavailable where it cannot listen.

        `dead_polls`: a poll whose client went away stays in the queue and costs the invocation that meets it, as on
        the platform. False skips such polls, for a runtime that is restarted under the same Runtime API.
        """
        self.function_arn = function_arn
        self.function_name = function_arn.rpartition(":")[2]
        self.timeout_s = timeout_s
        function = {"functionName": self.function_name, "functionVersion": "$LATEST", "handler": ""}
        self._router = Router(function, dead_polls=dead_polls)
        self._host = host
        self._server: asyncio.Server | None = None
        self._holder, listener = _bound_pair(host, port)
        self.port: int = listener.getsockname()[1]
        self.address = f"{host}:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._failures: list[BaseException] = []
        self._loop.set_exception_handler(self._failed)
        self._thread = threading.Thread(target=self._run, name=f"RuntimeApi {self.address}", daemon=True)
        self._thread.start()
        self._run_there(self._listen(listener))

    def __enter__(self) -> RuntimeApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Shuts the environment down: invocations fail to their invokers, then parked polls get EOF and no reply.

        Raises what a callable of the fault script has raised meanwhile.
        """
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        if self._failures:
            raise self._failures.pop(0)

    # The invoker's side.

    def environ(
        self, *, max_concurrency: int | None = None, handler: str | None = None, **extra: str
    ) -> dict[str, str]:
        """The variables the platform would set for the runtime process; those of Managed Instances iff
        `max_concurrency` is given. None of the machine's own are among them.
        """
        region = self.function_arn.split(":")[3] if self.function_arn.count(":") >= 6 else "us-east-1"
        environ = {
            "AWS_LAMBDA_RUNTIME_API": self.address,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_FUNCTION_NAME": self.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.function_name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "$LATEST",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "TZ": ":UTC",
        }
        if max_concurrency is not None:
            environ["AWS_LAMBDA_MAX_CONCURRENCY"] = str(max_concurrency)
            environ["AWS_LAMBDA_INITIALIZATION_TYPE"] = "lambda-managed-instances"
            environ["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        if handler is not None:
            environ["_HANDLER"] = handler
        return {**environ, **extra}

    def invoke(
        self,
        event: object = None,
        *,
        request_id: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        content_type: str = "application/json",
        deadline_ms: int | None = None,
        timeout_s: float | None = None,
        trace_id: str | None = None,
        client_context: object = None,
        cognito_identity: object = None,
        tenant_id: str | None = None,
        wait: bool = True,
    ) -> Pending:
        """Invokes the function. `event`: bytes as they are, anything else as JSON.

        With `wait` the invocation waits for a poll, in order; the platform, and `wait=False`, refuses it at once with
        `Runtime.Unavailable`. `timeout_s` and the deadline count from the moment the event goes to a poll;
        `deadline_ms` changes what the runtime is told, not the timeout. A `trace_id` is made up where there is none.
        `client_context` and `cognito_identity`: text as it is, anything else as JSON; "" is a header without a value.
        `headers` are put in last: a value replaces the header of that name, None takes it away.
        """
        invocation = Pending(
            event if isinstance(event, bytes) else json.dumps(event).encode(),
            request_id=request_id,
            headers=headers or {},
            content_type=content_type,
            function_arn=self.function_arn,
            deadline_ms=deadline_ms,
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
            trace_id=trace_id,
            client_context=client_context,
            cognito_identity=cognito_identity,
            tenant_id=tenant_id,
        )
        self._send(self._router.invoke, invocation, wait)
        return invocation

    # What a test wants to know.

    @property
    def stats(self) -> Stats:
        """The counts of this moment."""
        return self._call(lambda: copy.deepcopy(self._router.stats))

    @property
    def requests(self) -> list[Request]:
        """The requests so far, the last 100,000 of them."""
        return self._call(lambda: list(self._router.requests))

    @property
    def init_errors(self) -> list[InitError]:
        """Every init error the runtime posted."""
        return self._call(lambda: list(self._router.init_errors))

    def wait_for(self, condition: Callable[[Stats], bool], timeout: float = 10.0) -> None:
        """Returns once `condition` holds, which is called on the server's thread whenever something has changed.

        TimeoutError, with the counts, after `timeout` seconds.
        """
        met: Future[None] = Future()
        self._send(self._router.watchers.add, condition, met)
        with contextlib.suppress(TimeoutError):
            met.result(timeout)
        if met.cancel():
            raise TimeoutError(f"not within {timeout} s: {self.stats}")
        met.result()  # raises what the condition raised

    def wait_for_polls(self, n: int, timeout: float = 10.0) -> None:
        """Returns once `n` polls or more are parked."""
        self.wait_for(lambda stats: stats.parked >= n, timeout)

    def wait_for_init_error(self, timeout: float = 10.0) -> InitError:
        """The first init error."""
        self.wait_for(lambda stats: stats.init_errors > 0, timeout)
        return self.init_errors[0]

    # Trouble.

    def on(
        self,
        matcher: Matcher,
        action: Action | Chooser,
        *,
        when: When | None = None,
        nth: int = 1,
        times: int | None = 1,
    ) -> Rule:
        """Adds a rule to the fault script: of the requests `matcher` is for, counted from now, the `nth` and the ones
        after it, `times` in all (None: every one), are met with `action`. The first rule that applies does.

        `matcher` is the kind of request ("next", "response", "error", "init_error", ...), or says it of a Request.
        `action` may be a callable that chooses the action when it is due; it is given the Request, with its
        invocation, and the platform's reply as bytes. `when`: see `faults.When`; without it, in place of the platform
        for an action that is no more than bytes, and in place of the platform's reply for one that alters that, or is
        chosen. An event whose reply is not sent went to a poll all the same: it is in flight, and can be answered.
        """
        rule = Rule(matcher, action, when or (action.when if isinstance(action, Action) else "reply"), nth, times)
        self._call(lambda: self._router.rules.append(rule))
        return rule

    def clear_faults(self) -> None:
        """Forgets every rule."""
        self._call(self._router.rules.clear)

    def refuse_connections(self) -> None:
        """Stops listening: whoever connects is refused, and the connections there are stay."""
        self._run_there(self._stop_listening())

    def accept_again(self) -> None:
        """Listens again, on the same port."""
        if not self._thread.is_alive():
            raise ApiUnavailable(f"the Runtime API at {self.address} is closed")
        self._run_there(self._listen(_bound(self._host, self.port)))

    def drop_connections(self, kind: Literal["idle", "parked", "all"] = "all", reset: bool = False) -> int:
        """Closes connections, with FIN or RST, and says how many: those without a request, those with a parked poll
        (which is then no poll any more), or all.
        """
        return self._call(lambda: self._router.drop(kind, reset=reset))

    # The server's thread.

    def _run(self) -> None:
        # Cancels what is left in the end: faults that wait at a gate.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._stop.wait()
        await self._stop_listening()
        self._router.shut_down()
        await self._router.empty.wait()
        if self._holder is not None:
            self._holder.close()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if error := context.get("exception"):
            self._failures.append(error)

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await self._loop.create_server(lambda: Connection(self._router), sock=listener, backlog=1024)

    async def _stop_listening(self) -> None:
        # A client may have connected and the server not know it yet. So many turns of the loop it takes until it does:
        # accept, a task for that, a transport, Connection.connection_made.
        for _ in range(4):
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
            self._server = None

    def _send(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError as error:
            raise ApiUnavailable(f"the Runtime API at {self.address} is closed") from error

    def _run_there(self, coroutine: Coroutine[object, object, None]) -> None:
        """Returns when the server's thread has run `coroutine`."""
        try:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except RuntimeError as error:
            coroutine.close()
            raise ApiUnavailable(f"the Runtime API at {self.address} is closed") from error

    def _call(self, function: Callable[[], T]) -> T:
        """The result of a call on the server's thread, or here once that has ended."""
        if not self._thread.is_alive():
            return function()
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(function())
            except BaseException as error:
                result.set_exception(error)

        self._send(run)
        return result.result()


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ApiUnavailable(f"cannot listen on {host}:{port}: {error}") from error
    return bound


def _bound_pair(host: str, port: int) -> tuple[socket.socket | None, socket.socket]:
    """A socket that never listens, to keep the port ours while connections are refused, and one that will."""
    first = _bound(host, port)
    if sys.platform != "linux":  # elsewhere, two sockets cannot bind one port like this
        return None, first
    try:
        return first, _bound(host, first.getsockname()[1])
    except ApiUnavailable:
        first.close()
        raise
