"""Trouble with the Runtime API: what is repeated, what is given up, and that no slot is ever lost."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from lmi_fast.emulator import Action, Close, CloseAfter, Gate, Raw, Request, Reset, RuntimeApi, Split, Stall, Status
from lmi_fast.emulator.faults import Piece, When

from .conftest import HAVE_COMPILED
from .serving import TIMEOUT, Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
twins = pytest.mark.parametrize("kind", ["pure", "h11", *(["compiled"] if HAVE_COMPILED else [])])
ECHO = "{a}def handler(event, context): return event\n"
SLOTS = 3


def still_whole(served: Served) -> None:
    """Every slot polls, and each answers its own invocations."""
    served.ready()
    pending = [served.api.invoke({"number": number}) for number in range(20 * SLOTS)]
    for number, one in enumerate(pending):
        outcome = one.result(TIMEOUT)
        assert (outcome.kind, json.loads(outcome.body)) == ("response", {"number": number})
    served.ready()
    assert served.api.stats.peak_parked == served.slots


def warnings(served: Served, expected: int = 0) -> list[str]:
    """The warnings so far, `expected` of them or more."""
    served.wait_for_output('"level":"WARNING"', expected)
    return [str(record["message"]) for record in served.records() if record["level"] == "WARNING"]


GARBAGE = Raw([b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n"], close=True)
TRUNCATED_HEAD = Raw([b"HTTP/1.1 200 OK\r\nContent-Type: application/js"], close=True)
NO_REQUEST_ID = Raw([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
BAD_POLLS: dict[str, Action] = {
    "closed": Close(),
    "reset": Reset(),
    "500": Status(500, b'{"errorType": "InternalError"}'),
    "403": Status(403, b"{}"),
    "204": Raw([b"HTTP/1.1 204 No Content\r\n\r\n"]),
    "garbage": GARBAGE,
    "truncated head": TRUNCATED_HEAD,
    "no request id": NO_REQUEST_ID,
    "two lengths": Raw([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"], close=True),
}


@both
@pytest.mark.parametrize("name", BAD_POLLS)
def test_a_poll_that_fails_is_repeated(tmp_path: Path, a: str, name: str) -> None:
    with RuntimeApi(dead_polls=False) as api:
        # The first polls, of every slot, several times over: what comes in the platform's place, before it knows of it.
        rule = api.on("next", BAD_POLLS[name], when="request", times=2 * SLOTS)
        with serving(tmp_path, ECHO.format(a=a), slots=SLOTS, api=api) as served:
            still_whole(served)
            assert rule.hits == 2 * SLOTS
            assert any("a poll failed and is repeated" in message for message in warnings(served, 1))


@both
@twins
@pytest.mark.parametrize("sizes", [1, 7])
def test_slow_drips(tmp_path: Path, a: str, kind: str, sizes: int) -> None:
    with RuntimeApi() as api:
        api.on(lambda request: True, Split(sizes), times=None)
        with serving(tmp_path, ECHO.format(a=a), slots=SLOTS, api=api, LMI_FAST_TWINS=kind) as served:
            served.ready()
            event = {"text": "x" * 3000}  # sent in chunks
            assert [served.result(event) for _ in range(3)] == [event] * 3
            assert warnings(served) == []


@both
def test_connection_close_after_any_reply(tmp_path: Path, a: str) -> None:
    with RuntimeApi(dead_polls=False) as api:
        api.on(lambda request: True, CloseAfter(), times=None)
        with serving(tmp_path, ECHO.format(a=a), slots=SLOTS, api=api) as served:
            still_whole(served)
            assert warnings(served) == []
            assert api.stats.connections_opened > 100


LOST_POSTS: dict[str, tuple[Action, When]] = {
    "closed before the request was read": (Close(), "head"),
    "reset before the request was read": (Reset(), "head"),
    "closed": (Close(), "request"),
    "reset": (Reset(), "request"),
}


@both
@pytest.mark.parametrize("name", LOST_POSTS)
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_an_answer_that_was_lost_with_its_connection_is_repeated(tmp_path: Path, a: str, name: str, size: int) -> None:
    action, when = LOST_POSTS[name]
    with serving(tmp_path, f"{a}def handler(event, context): return 'x' * event['size']\n", slots=SLOTS) as served:
        for times in (1, 3):
            rule = served.api.on("response", action, when=when, times=times)
            assert len(served.result({"size": size})) == size
            assert rule.hits == times
        assert warnings(served) == []
        served.ready()


@both
def test_an_answer_that_was_taken_before_the_connection_broke_is_not_taken_twice(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, ECHO.format(a=a), slots=SLOTS) as served:
        served.api.on("response", Reset(), when="reply")
        assert served.result({"a": 1}) == {"a": 1}
        still_whole(served)
        # The second delivery was refused, which is logged and is the end of it.
        assert ["was answered with 400" in message for message in warnings(served, 1)] == [True]
        assert served.api.stats.statuses[400] == 1


REFUSALS = {400: "no longer waits", 410: "after the deadline", 413: "too large", 500: "500", 403: "403"}


@both
@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("kind", ["response", "error"])
def test_an_answer_that_is_refused_is_logged_and_over(tmp_path: Path, a: str, status: int, kind: str) -> None:
    source = f"{a}def handler(event, context): return event['number']\n"
    with serving(tmp_path, source, slots=1) as served:
        served.api.on(kind, Status(status, b'{"errorType": "Said.Why"}'))  # type: ignore[arg-type]
        lost = served.api.invoke({"number": 1} if kind == "response" else {})
        assert served.result({"number": 2}) == 2
        messages = warnings(served, 1)
        assert len(messages) == 1
        assert f"invocation {lost.request_id}" in messages[0]
        assert REFUSALS[status] in messages[0]
        assert "Said.Why" in messages[0]
        assert served.api.stats.requests[kind] == (2 if kind == "response" else 1)


@both
def test_a_late_answer_meets_410_and_nothing_else_happens(tmp_path: Path, a: str) -> None:
    source = f"""
        import asyncio, pathlib, time
        {a}def handler(event, context):
            while event == "late" and not pathlib.Path("go").exists():
                {"await asyncio.sleep(0.001)" if a else "time.sleep(0.001)"}
            return event
    """
    with serving(tmp_path, source, slots=2, LMI_FAST_DEADLINE="off") as served:
        late = served.api.invoke("late", timeout_s=0.05)
        assert late.result(TIMEOUT).kind == "timeout"
        (tmp_path / "go").touch()
        served.api.wait_for(lambda stats: stats.statuses[410] == 1, TIMEOUT)
        assert served.result("fine") == "fine"
        served.ready()
        assert "after the deadline" in warnings(served, 1)[0]


@both
def test_an_answer_that_is_answered_with_garbage_is_not_repeated(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, ECHO.format(a=a), slots=SLOTS) as served:
        served.api.on("response", GARBAGE, when="reply")
        assert served.result({"a": 1}) == {"a": 1}
        still_whole(served)
        assert served.api.stats.requests["response"] == 1 + 20 * SLOTS
        assert "an answer was not taken: the response of invocation" in warnings(served, 1)[0]


@both
def test_a_caller_that_reads_slowly_holds_up_nobody_else(tmp_path: Path, a: str) -> None:
    """The 202 comes when the caller has read; until then the slot serves others."""
    with serving(tmp_path, ECHO.format(a=a), slots=1) as served:
        gate = Gate()
        served.api.on("response", lambda request, reply: Raw([gate, reply]), when="reply")
        slow = served.api.invoke("slow")
        gate.wait_reached(TIMEOUT)
        if a:
            assert [served.result(number) for number in range(3)] == [0, 1, 2]
        else:
            # A plain slot takes the next event at once; its answer waits for the connection.
            quick = served.api.invoke("quick")
            served.api.wait_for(lambda stats: stats.requests["next"] == 3 and stats.in_flight <= 1, TIMEOUT)
            gate.open()
            assert quick.result(TIMEOUT).body == b'"quick"'
        gate.open()
        assert slow.result(TIMEOUT).body == b'"slow"'
        assert served.result("after") == "after"


@both
def test_the_runtime_api_goes_away_and_comes_back(tmp_path: Path, a: str) -> None:
    with RuntimeApi(dead_polls=False) as api:
        source = f"""
            import asyncio, pathlib, time
            {a}def handler(event, context):
                while event == "wait" and not pathlib.Path("go").exists():
                    {"await asyncio.sleep(0.001)" if a else "time.sleep(0.001)"}
                return event
        """
        with serving(tmp_path, source, slots=SLOTS, api=api) as served:
            running = api.invoke("wait")
            api.wait_for(lambda stats: stats.in_flight == 1 and stats.parked == SLOTS - 1, TIMEOUT)
            api.refuse_connections()
            api.drop_connections("all", reset=True)
            (tmp_path / "go").touch()
            served_before = api.stats.connections_opened
            # Nobody listens: the polls and the answer are tried again, with waits between.
            with pytest.raises(TimeoutError):
                api.wait_for(lambda stats: stats.connections_opened > served_before, 0.3)
            api.accept_again()
            assert running.result(TIMEOUT).body == b'"wait"'
            served.ready()
            assert [served.result(number) for number in range(10)] == list(range(10))


@both
def test_idle_connections_that_the_server_closed_are_replaced(tmp_path: Path, a: str) -> None:
    with RuntimeApi(dead_polls=False) as api, serving(tmp_path, ECHO.format(a=a), slots=SLOTS, api=api) as served:
        for reset in (False, True):
            still_whole(served)
            api.drop_connections("idle", reset=reset)
        still_whole(served)
        assert warnings(served) == []


@both
def test_parked_connections_that_broke_are_parked_again(tmp_path: Path, a: str) -> None:
    with RuntimeApi(dead_polls=False) as api, serving(tmp_path, ECHO.format(a=a), slots=SLOTS, api=api) as served:
        for reset in (False, True):
            assert api.drop_connections("parked", reset=reset) == SLOTS
            still_whole(served)
        assert len(warnings(served)) >= 1


@both
def test_shutdown_is_not_held_up_by_a_server_that_answers_nothing(tmp_path: Path, a: str) -> None:
    with Served(tmp_path, ECHO.format(a=a), slots=SLOTS) as served:
        served.ready()
        stalled = served.api.on("response", Stall())
        served.api.invoke({})
        served.api.wait_for(lambda stats: stats.requests["response"] == 1, TIMEOUT)
        assert stalled.hits == 1
        assert served.stop(signal.SIGTERM) == 0


@both
def test_the_end_of_the_runtime_api_after_sigterm_is_no_crash(tmp_path: Path, a: str) -> None:
    with Served(tmp_path, ECHO.format(a=a), slots=SLOTS) as served:
        served.ready()
        served.process.send_signal(signal.SIGTERM)
        served.api.close()
        assert served.exit_code() == 0
        assert "Traceback" not in served.output


@both
@pytest.mark.parametrize("slots", [1, SLOTS])
def test_several_replies_where_one_was_asked_for(tmp_path: Path, a: str, slots: int) -> None:
    """Bytes that belong to no request: what comes on that connection is lost, and no slot with it."""

    def twice(request: Request, reply: bytes) -> Action:
        return Raw([reply + reply])

    with RuntimeApi(dead_polls=False) as api:
        rule = api.on("response", twice, when="reply", times=5)
        with serving(tmp_path, ECHO.format(a=a), slots=slots, api=api) as served:
            # A few more than it takes: the last of the stray replies may be met by the invocation after it.
            for number in range(5 + 5 * slots):
                outcome = api.invoke(number, timeout_s=0.3).result(TIMEOUT)
                assert outcome.kind == "timeout" or json.loads(outcome.body) == number
            assert rule.hits == 5
            still_whole(served)
            assert not any("not taken" in message for message in warnings(served))


@both
def test_a_hundred_failing_polls_are_not_a_hundred_lines(tmp_path: Path, a: str) -> None:
    with RuntimeApi(dead_polls=False) as api:
        api.on("next", Status(500, b"{}"), when="request", times=100)
        with serving(tmp_path, ECHO.format(a=a), slots=50, api=api) as served:
            served.ready()
            assert 1 <= len(warnings(served)) <= 5


class Held(Action):
    """The platform's reply, once the gate is open."""

    when = "reply"

    def __init__(self) -> None:
        self.gate = Gate()

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        return (self.gate, reply)


@both
def test_answers_that_are_taken_slowly_do_not_pile_up(tmp_path: Path, a: str) -> None:
    """16 MiB of them may be under way; then a slot waits until its own is taken."""
    with serving(tmp_path, f"{a}def handler(event, context): return 'x' * 1_000_000\n", slots=1) as served:
        held = [Held() for _ in range(17)]
        waiting = iter(held)
        served.api.on("response", lambda request, reply: next(waiting), times=17)
        pending = [served.api.invoke({}) for _ in range(20)]
        held[16].gate.wait_reached(TIMEOUT)
        assert served.api.stats.parked == 0
        assert served.api.stats.waiting == 3
        for action in held:
            action.gate.open()
        assert {one.result(TIMEOUT).kind for one in pending} == {"response"}


@both
def test_a_large_answer_is_taken_before_its_slot_polls(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, f"{a}def handler(event, context): return 'x' * event\n", slots=1) as served:
        held = Held()
        served.api.on("response", held)
        served.invoke(1 << 20)
        held.gate.wait_reached(TIMEOUT)
        assert served.api.stats.parked == 0
        held.gate.open()
        assert served.result(1) == "x"


@pytest.mark.parametrize("processes", ["0", "2"])
def test_many_slots_raise_the_limit_of_open_files(tmp_path: Path, processes: str) -> None:
    source = """
        import asyncio, resource
        async def handler(event, context):
            await asyncio.sleep(event)
            return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    """
    command = ["sh", "-c", f"ulimit -S -n 256; exec {sys.executable} -m lmi_fast"]
    with serving(tmp_path, source, slots=1200, command=command, LMI_FAST_PROCESSES=processes) as served:
        outcomes = [call.result(TIMEOUT) for call in [served.api.invoke(1.0) for _ in range(1200)]]
        assert {outcome.kind for outcome in outcomes} == {"response"}
        assert {int(outcome.body) for outcome in outcomes} == {6 * 1200 + 256}
