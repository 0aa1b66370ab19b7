"""A runtime whose Runtime API is behind a proxy, and what can be done there to its connections."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lmi_fast.emulator import Action, Gate, Link, Pending, Proxy, Raw, Request, RuntimeApi
from lmi_fast.emulator.faults import Chooser, Piece, Then, When

from .serving import TIMEOUT, Served

SLOTS = 3


def source(a: str) -> str:
    """Handlers that wait until `n` of them have met, or for a `go`; each says what it got and whose it was."""
    kind, wait = ("asyncio", "await ") if a else ("threading", "")
    return f"""
import {kind}
meetings, gates = {{}}, {{}}
{a}def handler(event, context):
    do = event.get("do")
    if do == "meet":
        {wait}meetings.setdefault(event["n"], {kind}.Barrier(event["n"])).wait()
    elif do == "hold":
        print("holding", flush=True)
        {wait}gates.setdefault(event["n"], {kind}.Event()).wait()
    elif do == "go":
        gates.setdefault(event["n"], {kind}.Event()).set()
    return [event, context.aws_request_id, "x" * event.get("size", 0)]
"""


class Rig:
    """A runtime whose Runtime API is behind a proxy."""

    def __init__(self, served: Served, api: RuntimeApi, proxy: Proxy) -> None:
        self.served, self.api, self.proxy = served, api, proxy
        self._with_event: dict[str, Action | Chooser] = {}  # by request id
        self._polls: dict[str, Request] = {}  # by the request id of the event that came
        self._holding: list[Pending] = []

    def choose(self, request: Request, reply: bytes) -> Action:
        """What is done with the reply that brings an event: for RuntimeApi.on."""
        self._polls[request.request_id] = request
        action = self._with_event.pop(request.request_id, None) or Raw([reply])
        return action if isinstance(action, Action) else action(request, reply)

    def invoke(
        self,
        event: dict[str, Any],
        *,
        with_event: Action | Chooser | None = None,
        with_answer: Action | Chooser | None = None,
        when: When | None = None,
        timeout_s: float | None = None,
    ) -> Pending:
        """An invocation, and what is done with the reply that brings its event, and with its answer (see
        RuntimeApi.on).
        """
        request_id = str(uuid.uuid4())
        if with_event is not None:
            self._with_event[request_id] = with_event
        if with_answer is not None:
            self.api.on(lambda request: request.request_id == request_id, with_answer, when=when)
        return self.api.invoke(event, request_id=request_id, timeout_s=timeout_s)

    def invoke_to_answer(self, way: str, event: dict[str, Any], **more: Any) -> Pending:
        """So that the answer goes that way: "apart" leaves one slot busy, until `go`."""
        if way == "apart":
            before = self.api.stats.in_flight
            self.hold()
            self.api.wait_for(lambda stats: stats.in_flight == before + 1 and stats.parked == SLOTS - 1, TIMEOUT)
        self.api.wait_for_polls(SLOTS - (way == "apart"), TIMEOUT)
        return self.invoke(event, **more)

    def hold(self, **more: Any) -> Pending:
        """An invocation that waits for `go`."""
        self._holding.append(self.invoke({"do": "hold", "n": len(self._holding)}, **more))
        return self._holding[-1]

    def go(self) -> None:
        """Ends what `hold`, and with it `invoke_to_answer`, may have left."""
        if self._holding:
            self.answered(self.api.invoke({"do": "go", "n": len(self._holding) - 1}))
            self.answered(self._holding[-1])

    def answered(self, pending: Pending) -> None:
        """The invocation has its own answer."""
        outcome = pending.result(TIMEOUT)
        assert outcome.kind == "response", outcome
        event, request_id, padding = json.loads(outcome.body)
        assert (event, request_id) == (json.loads(pending.event), pending.request_id)
        assert len(padding) == event.get("size", 0)

    def went(self, way: str, pending: Pending) -> None:
        """Its first answer did go that way: the request before it on that connection says so."""
        requests = self.api.requests
        index, post = next((i, one) for i, one in enumerate(requests) if one.request_id == pending.request_id)
        before = [one.kind for one in requests[:index] if one.connection == post.connection]
        assert (before[-1:] == ["next"]) is (way == "together")

    def meet(self, n: int) -> None:
        """`n` invocations are served at the same time."""
        for pending in [self.api.invoke({"do": "meet", "n": n, "number": number}) for number in range(n)]:
            self.answered(pending)

    def whole(self, again: Iterable[Pending] = ()) -> None:
        """Every slot serves, all at once, and there are no more; every answer was sent once, but those in `again`."""
        for _ in range(2):
            self.served.ready()
            self.meet(self.served.slots)
        self.served.ready()
        assert self.api.stats.parked == self.served.slots
        sent = Counter(one.request_id for one in self.api.requests if one.kind in ("response", "error"))
        assert {one for one, times in sent.items() if times > 1} <= {pending.request_id for pending in again}

    def link_of_event(self, pending: Pending) -> Link:
        """Where its event came. The proxy and the Runtime API count connections alike."""
        return self._link(self._polls[pending.request_id])

    def link_of_answer(self, pending: Pending) -> Link:
        """Where its answer went first."""
        return self._link(self._answer(pending))

    def closed(self, pending: Pending) -> None:
        """The connection where its answer went first is closed, and the platform knows."""
        number = self._answer(pending).connection
        self.proxy.wait_for(lambda proxy: all(link.number != number for link in proxy.links), TIMEOUT)
        self.api.wait_for(lambda stats: stats.connections_open == len(self.proxy.links), TIMEOUT)

    def _answer(self, pending: Pending) -> Request:
        return next(one for one in self.api.requests if one.request_id == pending.request_id)

    def _link(self, request: Request) -> Link:
        return next(link for link in self.proxy.links if link.number == request.connection)

    def warnings(self, expected: int = 0) -> list[str]:
        """The warnings so far, `expected` of them or more."""
        self.served.wait_for_output('"level":"WARNING"', expected)
        return [str(record["message"]) for record in self.served.records() if record["level"] == "WARNING"]


@contextlib.contextmanager
def starting(
    folder: Path,
    a: str,
    kind: str = "auto",
    *,
    slots: int = SLOTS,
    before: Callable[[Rig], object] | None = None,
    **more: Any,
) -> Iterator[Rig]:
    """The process starts after `before`, and is asked to end at the end, whatever its connections are in: it does."""
    with RuntimeApi(dead_polls=False) as api, Proxy(api.address) as proxy:
        # Where h11 reads, asyncio's own loop runs; with the others it is uvloop.
        variables = {"LMI_FAST_TWINS": kind, "LMI_FAST_LOOP": "asyncio" if kind == "h11" else "auto"}
        # An extension has a connection of its own, and a watchdog things to say, on a busy machine: both are counted.
        variables |= {"AWS_LAMBDA_RUNTIME_API": proxy.address, "LMI_FAST_EXTENSION": "off", "LMI_FAST_BLOCKED_MS": "0"}
        served = Served(folder, source(a), slots=slots, api=api, variables=variables, **more)
        rig = Rig(served, api, proxy)
        if before is not None:
            before(rig)
        api.on("next", rig.choose, times=None)
        with served:
            yield rig
            assert served.stop() == 0


@contextlib.contextmanager
def rig(folder: Path, a: str, kind: str = "auto", **more: Any) -> Iterator[Rig]:
    """The same, once every slot polls."""
    with starting(folder, a, kind, **more) as one:
        one.served.ready()
        yield one


class Cut(Action):
    """The first `count` bytes of the platform's reply (below 0: all but so many), and the connection ends."""

    when = "reply"

    def __init__(self, count: int, reset: bool) -> None:
        self.then = Then.RESET if reset else Then.CLOSE
        self._count = count

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        return [reply[: self._count]] if self._count else []


class Changed(Action):
    """The platform's reply as a function changes it; `close`: and the connection ends."""

    when = "reply"

    def __init__(self, change: Callable[[bytes], bytes], close: bool = False) -> None:
        self.then = Then.CLOSE if close else Then.KEEP
        self._change = change

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        return [self._change(reply)]


class Late(Action):
    """The platform's reply, and some bytes more when the gate is open."""

    when = "reply"

    def __init__(self, stray: bytes) -> None:
        self.gate = Gate()
        self._stray = stray

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        return (reply, self.gate, self._stray)


def with_length(change: int) -> Callable[[bytes], bytes]:
    """For Changed: the Content-Length is another."""

    def changed(reply: bytes) -> bytes:
        head, _, body = reply.partition(b"\r\n\r\n")
        old = b"Content-Length: %d" % len(body)
        assert old in head
        return head.replace(old, b"Content-Length: %d" % (len(body) + change)) + b"\r\n\r\n" + body

    return changed
