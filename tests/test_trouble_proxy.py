"""Trouble between the runtime and the Runtime API: no slot is lost, and no answer goes astray or is taken twice.

What test_trouble.py does not have: connections that break in the middle of something, or do nothing any more, replies
that are not what their heads say, several requests in one write. At the end of each test every slot has to serve again,
all at once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from lmi_fast.emulator import Action, Chaos, Pending, Raw, Stall

from .behind_proxy import SLOTS, Changed, Cut, Late, Rig, rig, starting, with_length
from .conftest import HAVE_COMPILED
from .serving import TIMEOUT

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
# One source of everything but the readers, so compiled and pure; what is about bytes, by every reader.
twins = pytest.mark.parametrize("kind", ["pure", *(["compiled"] if HAVE_COMPILED else [])])
readers = pytest.mark.parametrize("kind", ["pure", "h11", *(["compiled"] if HAVE_COMPILED else [])])
ends = pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
# How an answer goes out: in one write with the slot's next poll, or on a connection of its own.
ways = pytest.mark.parametrize("way", ["together", "apart"])

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
