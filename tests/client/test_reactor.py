"""The event loop of the threads: real descriptors, no sleeping."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from lmi_fast.client.reactor import Reactor


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def turn(reactor: Reactor, longest: float = 10.0) -> None:
    timeout = reactor.timeout()
    reactor.handle(reactor.wait(longest if timeout is None else min(timeout, longest)))


def test_reads_and_writes(pipe: tuple[int, int]) -> None:
    reactor, seen = Reactor(), []
    read_end, write_end = pipe
    reactor.add_reader(read_end, lambda: seen.append(os.read(read_end, 10)))

    def write_once() -> None:
        os.write(write_end, b"x")
        reactor.remove_writer(write_end)

    reactor.add_writer(write_end, write_once)
    turn(reactor)
    turn(reactor)
    assert seen == [b"x"]
    os.write(write_end, b"y")
    reactor.remove_reader(read_end)
    turn(reactor, 0.0)
    assert seen == [b"x"]


def test_one_descriptor_may_have_both(pipe: tuple[int, int]) -> None:
    reactor, seen = Reactor(), []
    write_end = pipe[1]
    reactor.add_reader(write_end, lambda: seen.append("read"))
    reactor.add_writer(write_end, lambda: seen.append("write"))
    turn(reactor)
    assert seen == ["write"]
    reactor.remove_writer(write_end)
    turn(reactor, 0.0)
    assert seen == ["write"]


def test_a_callback_may_remove_what_is_ready_too() -> None:
    reactor, seen = Reactor(), []
    first, second = os.pipe(), os.pipe()

    def remove(other: int) -> None:
        seen.append(other)
        reactor.remove_reader(other)

    try:
        reactor.add_reader(first[0], partial(remove, second[0]))
        reactor.add_reader(second[0], partial(remove, first[0]))
        os.write(first[1], b"x")
        os.write(second[1], b"x")
        turn(reactor)
        assert len(seen) == 1
    finally:
        for end in (*first, *second):
            os.close(end)


def test_the_end_of_a_stream_is_told_to_the_reader(pipe: tuple[int, int]) -> None:
    reactor, seen = Reactor(), []
    read_end = os.dup(pipe[0])
    ours = os.pipe()
    reactor.add_reader(ours[0], lambda: seen.append(os.read(ours[0], 10)))
    os.close(ours[1])
    turn(reactor)
    assert seen == [b""]
    for end in (read_end, ours[0]):
        os.close(end)


def test_timers_come_in_order_and_may_be_cancelled() -> None:
    reactor, seen = Reactor(), []
    reactor.call_later(0.002, lambda: seen.append("later"))
    reactor.call_later(0.001, lambda: seen.append("never")).cancel()
    reactor.call_soon(seen.append, "soon")
    assert reactor.timeout() == 0.0
    while len(seen) < 2:
        turn(reactor)
    assert seen == ["soon", "later"]
    assert reactor.timeout() is None


def test_another_thread_ends_a_wait() -> None:
    reactor = Reactor()
    waiter = threading.Thread(target=turn, args=(reactor, 60.0))
    waiter.start()
    reactor.wake()
    waiter.join(10)
    assert not waiter.is_alive()
    for _ in range(100_000):  # a full pipe is no reason to wait
        reactor.wake()
    turn(reactor)


def test_what_is_scheduled_by_another_thread_is_not_waited_for() -> None:
    reactor, seen = Reactor(), threading.Event()
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            turn(reactor, 60.0)

    runner = threading.Thread(target=run)
    runner.start()
    reactor.call_soon(seen.set)
    assert seen.wait(10)
    stop.set()
    reactor.wake()
    runner.join(10)
    assert not runner.is_alive()
