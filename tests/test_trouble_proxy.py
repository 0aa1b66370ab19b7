"""Trouble between the runtime and the Runtime API: no slot is lost, and no answer goes astray or is taken twice.

What test_trouble.py does not have: connections that break in the middle of something, or do nothing any more, replies
that are not what their heads say, several requests in one write, and all of it under AWS's own emulator too. At the end
of each test every slot has to serve again, all at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lmi_fast.emulator import Action, Chaos, Gate, Link, Pending, Proxy, Raw, Request, RuntimeApi, Stall
from lmi_fast.emulator.faults import Chooser, Piece, Then, When

from .conftest import HAVE_COMPILED
from .rie import Rie, python_bootstrap, require_rie
from .rie_client import Reply
from .serving import ROOT, TIMEOUT, Served

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
# One source of everything but the readers, so compiled and pure; what is about bytes, by every reader.
twins = pytest.mark.parametrize("kind", ["pure", *(["compiled"] if HAVE_COMPILED else [])])
readers = pytest.mark.parametrize("kind", ["pure", "h11", *(["compiled"] if HAVE_COMPILED else [])])
ends = pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
# How an answer goes out: in one write with the slot's next poll, or on a connection of its own.
ways = pytest.mark.parametrize("way", ["together", "apart"])
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


# An event of no invocation that the platform knows.
STRANGER = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: stranger\r\nContent-Length: 10\r\n\r\n"
STRANGER_BODY = b'{"size":0}'
# Whole replies, and beginnings of one.
STRAYS = [b"H", b"HTTP/1.1 200 OK\r\nX: ", STRANGER, STRANGER + STRANGER_BODY[:-1], STRANGER + STRANGER_BODY]


# Connections that are refused, or end before anything was read.


@both
@twins
def test_refused_and_reset_at_once(tmp_path: Path, a: str, kind: str) -> None:
    """The first polls, several times over, and then an answer."""
    with starting(tmp_path, a, kind, before=lambda one: one.proxy.refuse()) as one:
        one.served.wait_for_output("Connection refused")
        one.proxy.on_next(lambda link: link.cut(reset=True), times=SLOTS)
        one.proxy.on_next(lambda link: link.cut(), times=SLOTS)
        one.proxy.accept_again()
        one.served.ready()
        one.proxy.on_next(lambda link: link.cut(reset=True), times=2)
        pending = one.invoke_to_answer("apart", {})  # on a new connection
        one.answered(pending)
        one.go()
        one.whole()
        assert one.proxy.opened >= 3 * SLOTS + 3
        assert all("a poll failed and is repeated" in message for message in one.warnings(1))


# Connections that do nothing any more.


@both
@twins
def test_polls_that_are_never_answered(tmp_path: Path, a: str, kind: str) -> None:
    """They wait, as the platform wants it; the other slots serve; when the connection ends, they poll again."""
    with starting(tmp_path, a, kind, before=lambda one: one.proxy.on_next(lambda link: link.up.stall())) as one:
        one.api.wait_for_polls(SLOTS - 1, TIMEOUT)
        one.meet(SLOTS - 1)
        one.meet(SLOTS - 1)
        [mute] = [link for link in one.proxy.links if link.up.stalled]
        assert one.warnings() == []
        mute.cut(reset=True)
        one.whole()
        one.proxy.each(lambda link: link.stall())  # and so it is stopped


@both
def test_parked_polls_on_half_open_connections(tmp_path: Path, a: str) -> None:
    """An event that goes there is lost on its way, or late if the connection comes back to life."""
    with rig(tmp_path, a, LMI_FAST_DEADLINE="off") as one:
        one.proxy.each(lambda link: link.stall())
        lost = one.invoke({}, timeout_s=0.05)
        assert lost.result(TIMEOUT).kind == "timeout"
        assert one.proxy.opened == SLOTS
        one.proxy.each(lambda link: link.release())
        [message] = one.warnings(1)
        assert f"invocation {lost.request_id} (it came after the deadline) was answered with 410" in message
        one.whole()


@both
@twins
@pytest.mark.parametrize("way", ["together", "apart", "large"])
def test_answers_that_are_never_taken(tmp_path: Path, a: str, kind: str, way: str) -> None:
    """The other slots serve; when the connection ends the answer is sent again, for the platform takes one only."""
    with rig(tmp_path, a, kind) as one:
        event = {"size": 1 << 20 if way == "large" else 0}
        pending = one.invoke_to_answer(way, event, with_answer=Stall(), when="request")
        one.api.wait_for(lambda stats: stats.requests["response"] == 1, TIMEOUT)
        one.went(way, pending)
        one.go()
        free = SLOTS if way == "apart" else SLOTS - 1
        one.api.wait_for_polls(free, TIMEOUT)
        one.meet(free)
        one.meet(free)
        assert not pending.done()
        one.link_of_answer(pending).cut(reset=True)
        one.answered(pending)
        one.whole(again=[pending])
        assert one.warnings() == []


@both
def test_an_answer_whose_reader_stops_for_a_while(tmp_path: Path, a: str) -> None:
    with rig(tmp_path, a) as one:
        one.proxy.on_next(lambda link: link.up.stall(after=100_000))
        pending = one.invoke({"size": 5_000_000})
        one.proxy.wait_for(lambda proxy: any(link.up.stalled for link in proxy.links), TIMEOUT)
        one.api.wait_for_polls(SLOTS - 1, TIMEOUT)
        one.meet(SLOTS - 1)
        assert not pending.done()
        one.proxy.each(lambda link: link.release())
        one.answered(pending)
        one.whole()
        assert one.warnings() == []


# Replies that break off.


@both
@readers
@ends
def test_an_event_that_breaks_off_is_answered_with_an_error(tmp_path: Path, a: str, kind: str, reset: bool) -> None:
    """Its head has named the invocation, whose caller would wait for the timeout otherwise."""
    with rig(tmp_path, a, kind) as one:
        for size, count in ((10, -1), (10, -20), (3000, -1), (3000, -9), (3000, 1000), (100_000, 50_000)):
            pending = one.invoke({"text": "x" * size}, with_event=Cut(count, reset))  # in chunks from 2 KB on
            outcome = pending.result(TIMEOUT)
            assert (outcome.kind, outcome.error_type) == ("error", "Runtime.TruncatedEvent"), (size, count)
            report = json.loads(outcome.body)
            assert report["errorType"] == "Runtime.TruncatedEvent"
            assert report["requestId"] == pending.request_id
            assert report["errorMessage"].startswith("The event was cut off: ")
            assert ("Connection reset by peer" in report["errorMessage"]) is reset
            one.served.wait_for_output(pending.request_id)
            logged = [record for record in one.served.records() if record.get("requestId") == pending.request_id]
            assert [record["errorType"] for record in logged] == ["Runtime.TruncatedEvent"]
        one.whole()
        assert one.warnings() == []


@both
@ends
def test_an_event_that_breaks_off_in_its_head_is_lost(tmp_path: Path, a: str, reset: bool) -> None:
    """Nobody knows whose it was."""
    with rig(tmp_path, a) as one:
        for count in (0, 1, 17, 100):
            lost = one.invoke({}, with_event=Cut(count, reset), timeout_s=0.05)
            assert lost.result(TIMEOUT).kind == "timeout"
        one.whole()
        assert one.api.stats.requests["error"] == 0
        assert all("a poll failed and is repeated" in message for message in one.warnings(1))


@both
@ways
@ends
def test_replies_to_answers_that_break_off(tmp_path: Path, a: str, way: str, reset: bool) -> None:
    """The platform has the answer. It is sent again where that is not sure, and refused then."""
    with rig(tmp_path, a) as one:
        pendings = []
        for count in (0, 1, 30, -20, -1):
            pendings.append(one.invoke_to_answer(way, {"number": count}, with_answer=Cut(count, reset)))
            one.answered(pendings[-1])
            one.went(way, pendings[-1])
            one.go()
            one.whole(again=pendings)
        again = one.api.stats.requests["response"] - one.api.stats.outcomes["response"]
        assert again == one.api.stats.statuses[400] == (5 if reset else 1)  # FIN within a reply: the server has read it
        assert len([message for message in one.warnings(5) if "an answer was not taken" in message]) == 5


# Replies that are not what their heads say.


@both
@readers
def test_events_longer_or_shorter_than_their_heads_say(tmp_path: Path, a: str, kind: str) -> None:
    with rig(tmp_path, a, kind) as one:
        for change, close, error_type in (
            (-1, False, "Runtime.UnmarshalError"),
            (-20, True, "Runtime.UnmarshalError"),
            (+1, True, "Runtime.TruncatedEvent"),
            (+100, True, "Runtime.TruncatedEvent"),
        ):
            one.served.ready()
            outcome = one.invoke({"text": "some event"}, with_event=Changed(with_length(change), close)).result(TIMEOUT)
            assert (outcome.kind, outcome.error_type) == ("error", error_type)
        one.served.ready()
        # The rest never comes, and the connection stays: nobody can tell that from a slow one.
        pending = one.invoke({}, with_event=Changed(with_length(+1)))
        one.api.wait_for(lambda stats: stats.in_flight == 1 and stats.parked == SLOTS - 1, TIMEOUT)
        one.meet(SLOTS - 1)
        one.link_of_event(pending).cut()
        assert pending.result(TIMEOUT).error_type == "Runtime.TruncatedEvent"
        one.whole()


@both
@ways
def test_replies_to_answers_longer_or_shorter_than_their_heads_say(tmp_path: Path, a: str, way: str) -> None:
    with rig(tmp_path, a) as one:
        for change, close in ((-1, False), (-1, True), (+1, True)):
            lied = Changed(with_length(change), close)
            pending = one.invoke_to_answer(way, {"number": change}, with_answer=lied)
            one.answered(pending)
            one.went(way, pending)
            one.closed(pending)
            one.go()
            one.whole()


@both
@readers
@pytest.mark.parametrize("idle", ["slot", "line"])
def test_bytes_that_belong_to_no_request(tmp_path: Path, a: str, kind: str, idle: str) -> None:
    """While a handler runs, or no answer is under way: what the next poll or answer gets does not begin with them."""
    with rig(tmp_path, a, kind) as one:
        for stray in STRAYS:
            late = Late(stray)
            if idle == "slot":
                pending = one.hold(with_event=late)
                late.gate.wait_reached(TIMEOUT)
                link = one.link_of_event(pending)
            else:
                pending = one.invoke_to_answer("apart", {}, with_answer=late)
                one.answered(pending)
                link = one.link_of_answer(pending)
            late.gate.open()
            one.proxy.wait_for(lambda proxy, link=link: link.closed, TIMEOUT)  # type: ignore[misc]
            one.go()
            one.answered(pending)
            one.whole()
        assert one.warnings() == []


@both
@twins
def test_replies_in_the_wrong_order(tmp_path: Path, a: str, kind: str) -> None:
    """An event in front of the reply to the answer that was sent together with the poll."""
    with rig(tmp_path, a, kind) as one:
        swapped = Changed(lambda reply: STRANGER + STRANGER_BODY + reply)
        pending = one.invoke_to_answer("together", {}, with_answer=swapped)
        one.answered(pending)
        one.went("together", pending)
        # The stranger is served; his answer is refused, and so is the one that was sent again.
        one.api.wait_for(lambda stats: stats.statuses[400] == 2, TIMEOUT)
        assert sorted("stranger" in message for message in one.warnings(2)) == [False, True]
        one.closed(pending)
        one.whole(again=[pending])


@both
def test_in_a_worker_process(tmp_path: Path, a: str) -> None:
    """Whose supervisor holds each connection as well, so that closing does not end it."""
    with rig(tmp_path, a, LMI_FAST_PROCESSES="1") as one:
        for reset in (False, True):
            for size, count in ((10, -1), (3000, 1000)):
                outcome = one.invoke({"text": "x" * size}, with_event=Cut(count, reset)).result(TIMEOUT)
                assert outcome.error_type == "Runtime.TruncatedEvent"
        for stray in STRAYS:
            late = Late(stray)
            pending = one.hold(with_event=late)
            late.gate.wait_reached(TIMEOUT)
            link = one.link_of_event(pending)
            late.gate.open()
            one.proxy.wait_for(lambda proxy, link=link: link.closed, TIMEOUT)  # type: ignore[misc]
            one.go()
        pending = one.invoke_to_answer("together", {}, with_answer=Changed(with_length(-1)))
        one.answered(pending)
        one.closed(pending)
        one.whole()


# Refusals.

STATUSES = (400, 403, 410, 413, 500, 502, 503)


def refusal(status: int, close: bool) -> Action:
    body = b'{"errorType": "Said.Why"}'
    more = b"Connection: close\r\n" if close else b""
    return Raw([b"HTTP/1.1 %d Why\r\n%bContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body)], close)


@both
@twins
def test_polls_that_are_refused_are_repeated(tmp_path: Path, a: str, kind: str) -> None:
    def refuse(one: Rig) -> None:
        for status in STATUSES:
            for close in (False, True):
                one.api.on("next", refusal(status, close), when="request")

    with starting(tmp_path, a, kind, before=refuse) as one:
        one.whole()
        assert one.api.stats.requests["next"] == 2 * len(STATUSES) + 3 * SLOTS
        assert "a poll failed and is repeated: GET /runtime/invocation/next was answered with 4" in one.warnings(1)[0]


@both
@ways
def test_answers_that_are_refused_are_given_up(tmp_path: Path, a: str, way: str) -> None:
    """Each is told of, none is sent again: the platform has heard it."""
    with rig(tmp_path, a) as one:
        pendings = []
        for status in STATUSES:
            for close in (False, True):
                event = {"number": status}
                pending = one.invoke_to_answer(way, event, with_answer=refusal(status, close), when="request")
                one.served.wait_for_output(f"of invocation {pending.request_id}")
                one.went(way, pending)
                pendings.append(pending)
                one.go()
                one.whole()
        messages = one.warnings(len(pendings))
        for pending, message in zip(pendings, messages, strict=True):
            assert f"was answered with {json.loads(pending.event)['number']}: " in message
            assert pending.request_id in message
            assert "Said.Why" in message


# Corrupted on the way.


@both
def test_bytes_that_are_changed_on_the_way(tmp_path: Path, a: str) -> None:
    with rig(tmp_path, a) as one:
        # To the runtime: the head of an event.
        for at, data in ((0, b"\0\1\2\3"), (9, b"2x0"), (40, b"\0\0\0\0")):
            one.served.ready()
            for link in one.proxy.links:
                link.down.corrupt(data, at)
            one.invoke({}, timeout_s=0.05).result(TIMEOUT)
            one.proxy.each(lambda link: link.release())
        # To the platform: the request line of an answer.
        one.served.ready()
        one.proxy.each(lambda link: link.up.corrupt(b"\0"))
        one.invoke({}, timeout_s=0.05).result(TIMEOUT)
        one.proxy.each(lambda link: link.release())
        one.whole()


# Anything, at any moment.


@both
@twins
def test_random_faults(tmp_path: Path, a: str, kind: str) -> None:
    """Some invocations are lost, no answer goes to another's caller, and when it is over nothing is left of it."""
    with rig(tmp_path, a, kind) as one:
        invoked: list[Pending] = []
        with Chaos(one.proxy, seed=7, every=0.005, lasting=0.05) as chaos:
            while len(chaos.strikes) < 100:
                some = [one.invoke({"number": number, "size": 3000 * number}, timeout_s=0.3) for number in range(8)]
                for pending in some:
                    if pending.result(TIMEOUT).kind == "response":
                        one.answered(pending)
                invoked += some
        one.api.wait_for(lambda stats: stats.parked == SLOTS and stats.in_flight == 0, TIMEOUT)
        one.whole(again=invoked)
        assert any(pending.result().kind == "response" for pending in invoked)


# An address that is never served again.


@both
@twins
def test_an_address_that_comes_back_only_elsewhere(tmp_path: Path, a: str, kind: str) -> None:
    """The runtime was given a numeric address, and keeps to it: it tries, says so, and sleeps in between."""
    slots = 16
    with rig(tmp_path, a, kind, slots=slots) as one:
        one.meet(slots)
        old = one.proxy.port
        one.proxy.accept_again(new_port=True)
        one.proxy.each(lambda link: link.cut())
        refused = f"cannot connect to 127.0.0.1:{old}: Connection refused"
        began = cpu_seconds(one.served.process.pid)
        one.served.wait_for_output(refused, 2)  # one line a second, at most
        assert cpu_seconds(one.served.process.pid) - began < 0.3
        said = [message for message in one.warnings(2) if message.startswith("a poll failed and is repeated")]
        assert 2 <= len(said) <= 4
        assert "more since)" in said[-1]
        assert one.proxy.links == []
        # It ends as ever.


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# A machine that is gone.

GONE = 2000  # milliseconds; the runtime's own is a minute


@both
@pytest.mark.skipif(sys.platform != "linux", reason="the options of sockets are Linux's")
def test_a_peer_that_is_gone_without_a_word(tmp_path: Path, a: str) -> None:
    """No FIN, no RST, no acknowledgement: a parked poll finds out, and one that is sent then; but a large answer whose
    reader takes his time, for longer than that, is not cut.
    """
    code = f"import lmi_fast.client.address as a; a.GONE_MS = {GONE}; import lmi_fast.__main__"
    with rig(tmp_path, a, slots=4, command=[sys.executable, "-c", code]) as one:
        one.proxy.on_next(lambda link: link.up.stall(after=100_000))
        slow = one.invoke({"size": 5_000_000})
        one.proxy.wait_for(lambda proxy: any(link.up.stalled for link in proxy.links), TIMEOUT)
        [stalled] = [link for link in one.proxy.links if link.up.stalled]
        held = one.hold()
        one.api.wait_for(lambda stats: stats.parked == 2, TIMEOUT)
        gone = [link for link in one.proxy.links if link is not stalled]
        for link in gone:
            link.vanish()
        opened = one.proxy.opened
        # Two polls that were parked.
        one.proxy.wait_for(lambda proxy: proxy.opened == opened + 2, TIMEOUT)
        for link in gone:
            link.up.cut(reset=True, half=True)  # now the platform, too, hears of it
        one.api.wait_for(lambda stats: stats.connections_open == 3, TIMEOUT)
        one.go()
        # One that was sent then, behind the answer of the slot that was busy.
        one.api.wait_for_polls(3, TIMEOUT)
        assert not stalled.closed
        stalled.release()
        one.answered(slow)
        one.whole(again=[held])


# Under AWS's own emulator.


class Behind:
    """The emulator, and the proxy between it and the runtime."""

    def __init__(self, emulator: Rie, proxy: Proxy) -> None:
        self.emulator, self.proxy = emulator, proxy
        self.invoked: list[str] = []

    def invoke(self, event: dict[str, Any]) -> tuple[str, Reply]:
        """An invocation, which waits for a slot: its request id, and what the caller gets."""
        request_id = str(uuid.uuid4())
        self.invoked.append(request_id)
        body, headers = json.dumps(event).encode(), {"X-Amzn-RequestId": request_id}
        return request_id, self.emulator.invoke(body, headers, patience=TIMEOUT)

    def answered(self, event: dict[str, Any]) -> None:
        """It has its own answer."""
        request_id, reply = self.invoke(event)
        assert reply.error_type is None, reply
        assert reply.json() == [event, request_id, ""]

    def meet(self) -> None:
        """Every slot serves at the same time."""
        with ThreadPoolExecutor(SLOTS) as callers:
            events = [{"do": "meet", "n": SLOTS, "number": number} for number in range(SLOTS)]
            for done in [callers.submit(self.answered, event) for event in events]:
                done.result(TIMEOUT)

    def cut_parked(self, polls: int) -> None:
        """Ends every connection, so many with a parked poll. As on the platform, these cost an invocation each."""
        self.emulator.wait_for_log("received runtime /next", TIMEOUT, len(self.invoked) + polls)
        cancelled = self.emulator.logs().count("Cancelled /next")
        self.proxy.each(lambda link: link.cut(reset=True))
        self.emulator.wait_for_log("Cancelled /next", TIMEOUT, cancelled + polls)

    def skip(self, polls: int) -> None:
        """The invocations that the polls cost whose connections have ended."""
        for _ in range(polls):
            assert self.invoke({})[1].error_type == "Runtime.Unknown"


@both
def test_under_the_emulator(a: str) -> None:
    require_rie()
    with Proxy() as proxy:
        bootstrap = python_bootstrap("-m", "lmi_fast", path=[ROOT, "/var/task"])
        bootstrap = bootstrap.replace("exec ", f"AWS_LAMBDA_RUNTIME_API={proxy.address} exec ")
        files = {"app.py": source(a)}
        # Whoever wants to meet has to be in one process.
        env = {"LMI_FAST_PROCESSES": "0", "LMI_FAST_EXTENSION": "off"}
        with Rie(files, bootstrap=bootstrap, max_concurrency=SLOTS, env=env, timeout_s=3, ready=False) as emulator:
            emulator.wait_for_log("a poll failed and is repeated", TIMEOUT)  # there was no upstream yet
            proxy.upstream = ":".join(map(str, emulator.runtime_api))
            emulator.wait_for_polls(SLOTS, TIMEOUT)
            one = Behind(emulator, proxy)
            slots = proxy.links
            one.meet()

            # Replies to answers: these are sent again, and refused.
            lines = [link for link in proxy.links if link not in slots]
            for link in lines:
                link.down.cut(1, reset=True)
            one.meet()
            proxy.wait_for(lambda proxy: any(link.closed for link in lines), TIMEOUT)

            # Answers, on their way up.
            proxy.each(lambda link: link.up.cut(5, reset=True))
            one.answered({})
            proxy.each(Link.release)
            one.meet()

            # An event, of which the emulator believes that it arrived: it panics, now and then, where it is told.
            for link in proxy.links:
                link.down.cut(10_000, reset=True, half=True)
            request_id, reply = one.invoke({"text": "x" * 100_000})
            assert reply.error_type == "Runtime.TruncatedEvent"
            assert reply.json()["requestId"] == request_id
            proxy.each(Link.release)
            one.meet()

            # Byte by byte, both ways.
            for link in proxy.links:
                link.up.split(1)
                link.down.split(1)
            one.meet()
            proxy.each(Link.release)

            # Gone with all connections, while a handler runs, and back on the same port.
            with ThreadPoolExecutor(1) as caller:
                held = caller.submit(one.answered, {"do": "hold", "n": 1})
                emulator.wait_for_log("holding", TIMEOUT)
                proxy.refuse()
                one.cut_parked(SLOTS - 1)
                proxy.accept_again()
                one.skip(SLOTS - 1)
                one.answered({"do": "go", "n": 1})
                held.result(TIMEOUT)
            one.meet()
            assert "Traceback" not in emulator.logs()
