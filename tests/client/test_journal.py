"""What a supervisor reads of a process that died."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lmi_fast.client.journal import Journal
from lmi_fast.client.records import READY, SERVED
from lmi_fast.wire.invocation import Invocation
from lmi_fast.wire.requests import Requests
from tests.wire.readers import reply

REQUESTS = Requests("127.0.0.1:9001")


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal(2)
    yield made
    made.close()


def invocation(request_id: str, nonce: str = "") -> Invocation:
    return Invocation(
        reply({"lambda-runtime-aws-request-id": request_id, "lambda-runtime-invocation-id": nonce}),
    )


def begin(journal: Journal, one: Invocation) -> None:
    one.record = journal.records.note(one.request_id, one.invocation_id or "")


def test_what_is_not_answered_is_open(journal: Journal) -> None:
    first, second = invocation("a", "1"), invocation("ü")
    begin(journal, first)
    begin(journal, second)
    assert sorted(journal.open()) == [("a", "1"), ("ü", "")]
    assert not journal.has(SERVED)
    journal.records.end(REQUESTS.response(first, b"{}", "application/json"))
    assert journal.open() == [("ü", "")]
    assert journal.has(SERVED)
    assert not journal.has(READY)


def test_there_is_room_for_so_many_and_not_for_absurd_ids(journal: Journal) -> None:
    many = [invocation(str(number)) for number in range(20)]
    for one in many:
        begin(journal, one)
    assert len(journal.open()) == 8
    for one in many:
        journal.records.end(REQUESTS.response(one, b"", "x"))
    assert journal.open() == []
    for absurd in (invocation("x" * 181), invocation("y", "z" * 73), invocation("é" * 91)):
        begin(journal, absurd)
        journal.records.end(REQUESTS.response(absurd, b"", "x"))
    assert journal.open() == []


EVENT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nlambda-runtime-AWS-request-id:  b-1 \r\n"
    b"Lambda-Runtime-Invocation-Id: 77\r\nContent-Length: 2\r\n\r\n{}"
)
ANSWER = b'HTTP/1.1 202 Accepted\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
BUFFERS = {
    "nothing": (b"", []),
    "an event": (EVENT, [("b-1", "77")]),
    "an event behind the reply to an answer": (ANSWER + EVENT, [("b-1", "77")]),
    "the reply to an answer": (ANSWER, []),
    "half of a head": (EVENT[:80], []),
    "a body that is to come": (EVENT[:-2], [("b-1", "77")]),
    "the rest of a body that looks like one": (b"x" + EVENT, []),
}


@pytest.mark.parametrize("name", BUFFERS)
def test_an_event_that_was_received_and_not_noted_yet(journal: Journal, name: str) -> None:
    received, found = BUFFERS[name]
    journal.scratch[: len(received)] = received
    assert journal.open() == found


def test_an_event_that_was_noted_is_not_found_twice(journal: Journal) -> None:
    journal.scratch[: len(EVENT)] = EVENT
    noted = invocation("b-1", "77")
    begin(journal, noted)
    assert journal.open() == [("b-1", "77")]
    journal.records.end(REQUESTS.response(noted, b"", "x"))
    assert journal.open() == []


def test_connections_are_offered_and_handed_on() -> None:
    first = Journal(2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        first.offer(1, ours)
        offered = first.accept()
        assert offered is not None
        slot, sock = offered
        assert slot == 1
        assert first.accept() is None
        theirs.send(b"still open")
        assert sock.recv(100) == b"still open"
        # The next one has the marks at once: it may die before it takes anything over.
        second = Journal(2, {1: (sock, 2)})
        assert [second.memory[second.mark_of(number)] for number in range(2)] == [0, 2]
        second.close()
        sock.close()
    first.close()


@pytest.mark.parametrize(
    ("mark", "first", "replies"),
    [(0, 0, 0), (1, ord("H"), 1), (2, 0, 2), (0x81, 0, 1), (0x82, 0, 2), (0x81, ord("H"), 0)],
)
def test_a_process_that_died_round_about_reading(journal: Journal, mark: int, first: int, replies: int) -> None:
    """While its buffer is empty, what was sent is still in the socket."""
    journal.memory[journal.mark_of(1)] = mark
    journal.scratch[0] = first
    assert journal.replies_of(1) == replies
