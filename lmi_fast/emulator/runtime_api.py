"""`RuntimeApi`: the emulated Runtime API for plain code, a server on a thread and an event loop of its own.

Every public method may be called from any thread but the server's; what it does, it does on the server's event loop.
"""

from __future__ import annotations

import asyncio
import copy
import json
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal

from .connection import Connection
from .faults import Action, Chooser, Matcher, Request, Rule, When
from .invocation import Pending
from .loop_thread import LoopThread
from .ports import bound, bound_pair, stop_listening
from .router import Router
from .stats import InitError, Stats

FUNCTION_ARN = "arn:aws:lambda:us-east-1:012345678912:function:test_function"


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
        self._holder, listener = bound_pair(host, port)
        self.port: int = listener.getsockname()[1]
        self.address = f"{host}:{self.port}"
        self._thread = LoopThread(f"the Runtime API at {self.address}", self._finish)
        self._thread.run(self._listen(listener))

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
        self._thread.close()

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
        taker: Callable[[bytes], object] | None = None,
    ) -> Pending:
        """Invokes the function. `event`: bytes as they are, anything else as JSON.

        With `wait` the invocation waits for a poll, in order; the platform, and `wait=False`, refuses it at once with
        `Runtime.Unavailable`. `timeout_s` and the deadline count from the moment the event goes to a poll;
        `deadline_ms` changes what the runtime is told, not the timeout. A `trace_id` is made up where there is none.
        `client_context` and `cognito_identity`: text as it is, anything else as JSON; "" is a header without a value.
        `headers` are put in last: a value replaces the header of that name, None takes it away.

        `taker` is given the body of a streamed response as it comes, on the server's thread, and that may be of any
        size; the outcome has none of it. Without it a stream is kept up to 6 MiB, as AWS's emulator does.
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
            taker=taker,
        )
        self._thread.send(self._router.invoke, invocation, wait)
        return invocation

    # What a test wants to know.

    @property
    def stats(self) -> Stats:
        """The counts of this moment."""
        return self._thread.call(lambda: copy.deepcopy(self._router.stats))

    @property
    def requests(self) -> list[Request]:
        """The requests so far, the last 100,000 of them."""
        return self._thread.call(lambda: list(self._router.requests))

    @property
    def init_errors(self) -> list[InitError]:
        """Every init error the runtime posted."""
        return self._thread.call(lambda: list(self._router.init_errors))

    def wait_for(self, condition: Callable[[Stats], bool], timeout: float = 10.0) -> None:
        """Returns once `condition` holds, which is called on the server's thread whenever something has changed.

        TimeoutError, with the counts, after `timeout` seconds.
        """
        self._thread.wait_for(self._router.watchers, condition, timeout)

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
        self._thread.call(lambda: self._router.rules.append(rule))
        return rule

    def clear_faults(self) -> None:
        """Forgets every rule."""
        self._thread.call(self._router.rules.clear)

    def refuse_connections(self) -> None:
        """Stops listening: whoever connects is refused, and the connections there are stay."""
        self._thread.run(self._stop_listening())

    def accept_again(self) -> None:
        """Listens again, on the same port."""
        if not self._thread.alive:
            raise self._thread.closed()
        self._thread.run(self._listen(bound(self._host, self.port)))

    def drop_connections(self, kind: Literal["idle", "parked", "all"] = "all", reset: bool = False) -> int:
        """Closes connections, with FIN or RST, and says how many: those without a request, those with a parked poll
        (which is then no poll any more), or all.
        """
        return self._thread.call(lambda: self._router.drop(kind, reset=reset))

    # On the server's thread.

    async def _finish(self) -> None:
        await self._stop_listening()
        self._router.shut_down()
        await self._router.empty.wait()
        if self._holder is not None:
            self._holder.close()

    async def _listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self._router), sock=listener, backlog=1024)

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await stop_listening(server)
