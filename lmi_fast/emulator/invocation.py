"""One invocation as the platform keeps it: what the runtime is told, what may become of it, what the invoker gets.

The names and limits are those of AWS's runtime interface emulator in its Managed Instances mode
(aws-lambda-runtime-interface-emulator, internal/lambda-managed-instances).
"""

from __future__ import annotations

import concurrent.futures
import json
import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

# 6 MiB and 100 bytes: interop/model.go, MaxPayloadSize.
MAX_PAYLOAD = 6 * 1024 * 1024 + 100

OutcomeKind: TypeAlias = Literal["response", "error", "timeout", "refused", "truncated"]

_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")
# What would break the head of the event's reply; checked here, where the caller of invoke sees it.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class State(Enum):
    """The life of an invocation (invoke/running_invoke.go), and how a post about it is answered.

                 /response                 /error
    WAITING      400                       400                        no poll is parked yet; not a state of the platform
    RUNNING      RESPONDING                DONE, 202                  the event went to a poll
    RESPONDING   400                       held until the body ends,  the head of a response is there
                                           then it wins: DONE, 202
      body ends  DONE, 202                                            413 above MAX_PAYLOAD
      body cut   DONE, 400                                            the invoker gets Runtime.TruncatedResponse
    TIMED_OUT    DONE, 410                 DONE, 410                  the invoker is gone, the handler still runs
    DONE         400                       400                        as for an id that never was

    Any post with another Lambda-Runtime-Invocation-Id than the event's gets 410 and changes nothing.
    """

    WAITING = "waiting for a poll"
    RUNNING = "running"
    RESPONDING = "responding"
    TIMED_OUT = "timed out"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the invoker gets.

    response   the runtime's response
    error      the runtime's error report, error trailers after a streamed response (`body` is what was streamed), or
               the platform's own error about what the runtime sent (too large, a mode it does not know, shutdown)
    timeout    nothing came within the timeout
    refused    it never reached a handler: no poll was parked, or the one that was is dead
    truncated  the connection ended inside the response; `body` is what came
    """

    kind: OutcomeKind
    request_id: str
    body: bytes = b""
    content_type: str = ""
    error_type: str | None = None  # as the platform counts it, see `counted_error_type`
    headers: Mapping[str, str] = field(default_factory=dict)  # of the runtime's post, in lower case
    trailers: Mapping[str, str] = field(default_factory=dict)
    latency_s: float = 0.0  # from the moment the event went to a poll

    def json(self) -> object:
        """The body, decoded."""
        return json.loads(self.body)


class Pending(concurrent.futures.Future[Outcome]):
    """The future outcome of one `RuntimeApi.invoke`. Its callbacks run on the server's thread."""

    def __init__(
        self,
        event: bytes,
        *,
        request_id: str | None,
        headers: Mapping[str, str | None],
        content_type: str,
        function_arn: str,
        deadline_ms: int | None,
        timeout_s: float,
        trace_id: str | None,
        client_context: object,
        cognito_identity: object,
        tenant_id: str | None,
        taker: Callable[[bytes], object] | None = None,
    ) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()  # the platform cannot take an invocation back
        self.event = event
        self.request_id = request_id or str(uuid.uuid4())
        self.state = State.WAITING
        self.taker = taker
        self.timeout_s = timeout_s
        # Names and values of the headers that go with the event, by the name in lower case.
        self._headers: dict[str, tuple[str, str]] = {}
        self._put("Content-Type", content_type)
        self._put("Lambda-Runtime-Aws-Request-Id", self.request_id)
        self._put("Lambda-Runtime-Deadline-Ms", None if deadline_ms is None else str(deadline_ms))
        self._put("Lambda-Runtime-Invocation-Id", f"{random.getrandbits(64):016x}")
        self._put("Lambda-Runtime-Invoked-Function-Arn", function_arn)
        self._put("Lambda-Runtime-Trace-Id", _new_trace_id() if trace_id is None else trace_id)
        self._put("Lambda-Runtime-Client-Context", _json_text(client_context))
        self._put("Lambda-Runtime-Cognito-Identity", _json_text(cognito_identity))
        self._put("Lambda-Runtime-Aws-Tenant-Id", tenant_id)
        for name, value in headers.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"not the name of a header: {name!r}")
            self._headers.pop(name.lower(), None)
            self._put(name, value)
        if _CONTROL.search("".join(value for _, value in self._headers.values())):
            raise ValueError(f"a control character in a header: {self._headers}")
        self._sets_deadline = deadline_ms is None and "lambda-runtime-deadline-ms" not in map(str.lower, headers)
        self._started = 0.0

    def _put(self, name: str, value: str | None) -> None:
        if value is not None:
            self._headers[name.lower()] = (name, value)

    @property
    def nonce(self) -> str | None:
        """The Lambda-Runtime-Invocation-Id of this delivery."""
        sent = self._headers.get("lambda-runtime-invocation-id")
        return sent[1] if sent else None

    def start(self) -> list[tuple[str, str]]:
        """The event goes to a poll now: the headers that go with it."""
        self.state = State.RUNNING
        self._started = time.monotonic()
        if self._sets_deadline:
            self._put("Lambda-Runtime-Deadline-Ms", str(int((time.time() + self.timeout_s) * 1000)))
        return list(self._headers.values())

    def latency_s(self) -> float:
        """Seconds since the event went to a poll; 0.0 where it did not."""
        return time.monotonic() - self._started if self._started else 0.0

    def __repr__(self) -> str:
        return f"<Pending {self.request_id}: {self.state.value}>"


def counted_error_type(sent: str) -> str:
    """The error type the platform makes of the header the runtime sent (rapid/model/error_types.go)."""
    if _ERROR_TYPE.fullmatch(sent):
        return sent
    return "Function.Unknown" if sent.startswith("Function.") else "Runtime.Unknown"


def error_body(error_type: str, message: str = "") -> bytes:
    """The platform's error as JSON, both to invokers and in replies."""
    document = {"errorMessage": message, "errorType": error_type} if message else {"errorType": error_type}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _new_trace_id() -> str:
    root, parent = random.getrandbits(96), random.getrandbits(64)
    return f"Root=1-{int(time.time()):08x}-{root:024x};Parent={parent:016x};Sampled=1"


def _json_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
