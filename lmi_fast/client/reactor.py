# cython: annotation_typing=False
"""A small event loop for threads: asyncio costs more to import than all that a plain handler needs.

One thread at a time waits; any may schedule. Whoever uses a Reactor from several threads holds one lock round every
call but `wait` and `wake`.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import time
from contextvars import Context as Variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .loop import Callback, Timer

Ready = list[tuple[int, int]]  # descriptors and what epoll says of them
READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Reactor:
    """A Loop (loop.py) that is run by hand: `ready = wait(timeout())`, then `handle(ready)`."""

    def __init__(self) -> None:
        woken, self.waker = os.pipe()
        self._epoll = select.epoll()
        self._watched: dict[int, _Watched] = {}
        self._timers: list[_Timer] = []
        for end in (woken, self.waker):
            os.set_blocking(end, False)
        self._woken = woken
        self.add_reader(woken, self._awake)

    def timeout(self) -> float | None:
        """How long to wait at most, in seconds; None for ever."""
        if not self._timers:
            return None
        timer = self._timers[0]
        return max(0.0, timer.when - time.monotonic())

    def wait(self, timeout: float | None) -> Ready:
        """Waits for what is watched, for wake(), or for `timeout` seconds."""
        return self._epoll.poll(timeout)

    def handle(self, ready: Ready) -> None:
        """Calls back for what `wait` returned, and what is due."""
        for fd, events in ready:
            # A callback may have removed what is further down; and what took its place is not ready: it tries in vain.
            watched = self._watched.get(fd)
            if watched is None:
                continue
            # Errors and the end of a stream are told to both.
            if watched.reader is not None and events & ~WRITE:
                watched.reader()
            if watched.writer is not None and events & ~READ:
                watched.writer()
        while self._timers:
            timer = self._timers[0]
            if timer.when > time.monotonic():
                break
            heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback(*timer.args)

    def wake(self) -> None:
        """For any thread, and for signal handlers: ends a wait, the next one if there is none."""
        with contextlib.suppress(BlockingIOError):  # it is full of such bytes
            os.write(self.waker, b"\0")

    def _awake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # another thread was quicker
            os.read(self._woken, 4096)

    def add_reader(self, fd: int, callback: Callback) -> None:
        """`callback` is called whenever there is something to read."""
        self._watch(fd).reader = callback
        self._update(fd)

    def add_writer(self, fd: int, callback: Callback) -> None:
        """`callback` is called whenever something can be written."""
        self._watch(fd).writer = callback
        self._update(fd)

    def remove_reader(self, fd: int) -> None:
        """Ends add_reader()."""
        self._watch(fd).reader = None
        self._update(fd)

    def remove_writer(self, fd: int) -> None:
        """Ends add_writer()."""
        self._watch(fd).writer = None
        self._update(fd)

    def call_soon(self, callback: Callback, *args: Any, context: Variables | None = None) -> None:
        """Calls back at the next turn; `context` means nothing here."""
        self._call_at(time.monotonic(), callback, args)

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Calls back after `delay` seconds."""
        return self._call_at(time.monotonic() + delay, callback, ())

    def _call_at(self, when: float, callback: Callback, args: tuple[Any, ...]) -> _Timer:
        timer = _Timer(when, callback, args)
        heapq.heappush(self._timers, timer)
        self.wake()  # another thread waits, and perhaps longer than this
        return timer

    def _watch(self, fd: int) -> _Watched:
        watched = self._watched.get(fd)
        if watched is None:
            watched = self._watched[fd] = _Watched()
        return watched

    def _update(self, fd: int) -> None:
        watched = self._watch(fd)
        events = watched.events()
        if events == watched.selected:
            return
        if not events:
            self._epoll.unregister(fd)
            del self._watched[fd]
        elif watched.selected:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        watched.selected = events


class _Watched:
    """What is to be called for one descriptor."""

    __slots__ = ("reader", "selected", "writer")

    def __init__(self) -> None:
        self.reader: Callback | None = None
        self.writer: Callback | None = None
        self.selected = 0  # what the kernel was told

    def events(self) -> int:
        """What the kernel is to look for."""
        return (READ if self.reader is not None else 0) | (WRITE if self.writer is not None else 0)


class _Timer:
    __slots__ = ("args", "callback", "when")

    def __init__(self, when: float, callback: Callback, args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback: Callback | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: _Timer) -> bool:
        return self.when < other.when
