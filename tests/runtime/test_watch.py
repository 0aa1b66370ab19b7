"""Noticing that a thread stays away, by either twin."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lmi_fast.runtime import _watch_py

from ..conftest import HAVE_COMPILED

PATIENCE = 0.05
TWINS: list[Any] = [_watch_py]
if HAVE_COMPILED:
    TWINS.append(importlib.import_module("lmi_fast.runtime._watch_c"))


class Waiting:
    """A thread in `wait()`."""

    def __init__(self, watch: Any) -> None:
        self.ended = threading.Event()
        self._watch = watch
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def _wait(self) -> None:
        self._watch.wait(PATIENCE)
        self.ended.set()

    def end(self) -> None:
        self._watch.ring()
        self._thread.join()


@pytest.fixture(params=TWINS, ids=lambda twin: twin.__name__.rpartition("_")[2])
def watch(request: pytest.FixtureRequest) -> Any:
    return request.param.Watch()


@pytest.fixture
def waiting(watch: Any) -> Iterator[Waiting]:
    waiting = Waiting(watch)
    yield waiting
    waiting.end()


def test_waits_while_the_thread_is_there_or_comes_back_soon(watch: Any, waiting: Waiting) -> None:
    end = time.monotonic() + 4 * PATIENCE
    longest = 0.0
    while time.monotonic() < end:
        left = time.monotonic()
        watch.leave()
        watch.back()
        longest = max(longest, time.monotonic() - left)
    assert not waiting.ended.is_set() or longest > PATIENCE / 2, longest


def test_tells_when_it_stays_away(watch: Any, waiting: Waiting) -> None:
    watch.leave()
    watch.back()
    left = time.monotonic()
    watch.leave()
    assert waiting.ended.wait(10)
    assert time.monotonic() - left >= PATIENCE


def test_a_thread_that_was_away_before_is_noticed_at_once(watch: Any) -> None:
    watch.leave()
    time.sleep(PATIENCE)
    began = time.monotonic()
    watch.wait(PATIENCE)
    assert time.monotonic() - began < PATIENCE


def test_a_ring_ends_one_wait_even_the_next(watch: Any) -> None:
    watch.ring()
    watch.wait(PATIENCE)
    waiting = Waiting(watch)
    assert not waiting.ended.wait(2 * PATIENCE)
    watch.ring()
    assert waiting.ended.wait(10)
    waiting.end()


def test_a_ring_is_heard_while_looking(watch: Any, waiting: Waiting) -> None:
    left = time.monotonic()
    watch.leave()
    watch.ring()
    assert waiting.ended.wait(10)
    assert time.monotonic() - left < 10
