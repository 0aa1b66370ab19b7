# cython: annotation_typing=False
"""Runs plain `def` handlers: on threads, over the same pool as the other driver; asyncio is never imported.

One worker has the turn: it waits for the Runtime API, for all slots, and serves what it finds, one event after the
other. Another one stands by for it. While handlers are brisk it only looks, every now and then, whether the first is
still away in the same one, and takes the turn then; otherwise it takes the turn whenever the first is away. So trivial
handlers cost what they cost on an event loop, and blocking ones overlap. A thread is added when none is left to stand
by, up to one for each slot and one more, so that replies to answers are read while every slot is busy.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from .._twins import twin
from ..client.reactor import Reactor
from ..errors import ErrorType, RuntimeApiError
from ..streaming import Streamed, StreamingResponse
from ..wire.invocation import Invocation
from ..wire.requests import Post
from .gauges import Gauges
from .running import Running
from .service import Service
from .strays import StrayThreads
from .ticks import Ticks

# Of the time for running handlers after a stop, how much is for their answers to be taken.
LAST = 1 / 3
# Seconds more where the last answer still has to be dialled for.
GRACE = 0.15
# Seconds for the first polls to go out, before anything else is done.
DIAL = 0.05
# A handler is brisk that takes no longer (seconds), and is expected to be if as many before it were as BRISK_ONES.
BRISK = 0.0002
BRISK_ONES = 3
# After how many seconds in a handler that should have been brisk a worker has lost its turn to wait.
AWAY = 0.001


class ThreadDriver:
    """`start()` and then `run()` serve until `stop()` is called, from a signal handler or another thread."""

    def __init__(self, service: Service) -> None:
        self.stopping = threading.Event()
        self.ended = threading.Event()
        self._service = service
        self._variables = service.variables
        self._invoker = service.invoker
        self._managed = service.config.managed
        self._slots = service.slots
        self._reactor = Reactor()
        self.waker = self._reactor.waker  # for signal.set_wakeup_fd()
        self._pool = service.new_pool(self._reactor, self._received, self._note)
        self._running = Running(
            self._pool,
            service.invoker,
            service.config.deadline_margin,
            where=_stack,
            late=self._late,
            worn_out=self._worn_out,
        )
        self._failed: Exception | None = None
        self._lock = threading.Lock()  # of the pool and its reactor, and of these:
        self._ready: deque[Invocation] = deque()  # events that no worker has taken yet
        self._noted: deque[Callable[[], object]] = deque()  # what is to be said without the lock
        self._stray_threads = StrayThreads()
        self._ticks = Ticks(self._reactor.call_later)
        self._standing_by = 0  # workers that have nothing to do
        self._workers = 0
        self._turn = 1  # the worker that waits for the Runtime API, unless it is
        self._away = False  # in a handler
        self._brisk = BRISK_ONES  # handlers in a row that were
        self._watch = twin("runtime._watch").Watch()  # of that worker,
        self._chair = threading.Lock()  # by the one that stands by for the turn
        self._begin = threading.Event()

    def start(self) -> None:
        """Starts the first threads, which wait for run(). Raises RuntimeError when there cannot be any."""
        if self._managed:
            for _ in range(2):
                self._start_worker()

    def run(self, wait: Callable[[], object]) -> None:
        """Serves until `wait` returns or stop() was called; then waits for running handlers, and answers in their place
        when that takes too long.
        """
        config = self._service.config
        gauges = Gauges(self._service, self._pool, self._running, self._ticks)
        with self._lock:
            self._pool.start()
            if self._managed:
                self._ticks.every(config.stray_after, self._look_for_strays)
                self._ticks.every(config.metrics_every, partial(self._noted.append, gauges.report))
        ready = self._reactor.wait(DIAL)
        with self._lock:
            self._reactor.handle(ready)
        self._invoker.load()
        self._begin.set()
        if self._managed:
            wait()
            self.stop()
            self.ended.wait(config.drain)
            self._end()
            if self._failed is not None:
                raise self._failed
        else:
            # Lambda (default) mode: handlers run on the main thread, as signal.alarm() and its like want it.
            self._work(self._turn)

    def stop(self) -> None:
        """No poll is parked from now on, and those that are end. The answers of running handlers still go out."""
        if not self.stopping.is_set():  # a second signal must not find the first one within set()
            self.stopping.set()
            self._reactor.wake()

    def give_up(self) -> None:
        """Answers in the place of the handler that runs on the only worker, from another thread; returns soon after."""
        with self._lock:
            self._stop_if_asked()
            self._give_all_up()
        end = time.monotonic() + self._service.config.drain * LAST + GRACE
        while not self.ended.is_set() and (left := end - time.monotonic()) > 0:
            ready = self._reactor.wait(left)
            with self._lock:
                self._reactor.handle(ready)

    def _give_all_up(self) -> None:
        self._running.give_all_up(ErrorType.SHUTDOWN, "the environment was shut down before the handler had ended")
        self._end_if_done()

    def _end(self) -> None:
        """Makes every worker return from its loop."""
        self.ended.set()
        self._reactor.wake()
        self._watch.ring()

    def _start_worker(self) -> None:
        number = self._workers + 1
        threading.Thread(target=self._work, args=(number,), name=f"lmi_fast-worker-{number}", daemon=True).start()
        self._workers = number
        self._standing_by += number != self._turn

    def _work(self, number: int) -> None:
        self._begin.wait()
        ident = threading.get_ident()
        invocation: Invocation | None = None
        while not self.ended.is_set():
            if invocation is not None:
                invocation = self._serve(number, ident, invocation)
            elif self._turn == number:
                invocation = self._next(ident)
            else:
                self._stand_by(number)
            while self._noted:
                with contextlib.suppress(IndexError):  # another worker was quicker
                    self._noted.popleft()()

    def _serve(self, number: int, ident: int, invocation: Invocation) -> Invocation | None:
        """Answers an invocation; returns the next one that is there already."""
        began = time.monotonic()
        post = None if invocation.answered else self._variables.copy().run(self._call, invocation)
        with self._lock:
            self._brisk = self._brisk + 1 if time.monotonic() - began < BRISK else 0
            self._stop_if_asked()
            if self._running.end(invocation, post):
                self._end_if_done()
            if invocation.stream is not None:
                invocation.stream.settle_in(self._pool)
            if self._ready:
                return self._taken(ident)
            if self._turn == number:
                self._away = False
                self._watch.back()
            else:
                self._standing_by += 1
            return None

    def _call(self, invocation: Invocation) -> Post | None:
        """Calls the handler: the answer to `invocation`, whatever it raised; None when there is one already."""
        invoker = self._invoker
        try:
            event, context = invoker.begin(invocation)
            result = invoker.handler(event, context)
            return None if invocation.answered else invoker.succeed(invocation, result)
        except BaseException as error:
            if type(error) is Streamed:
                return self._stream(invocation, error.response)
            return None if invocation.answered else invoker.fail(invocation, error)

    def _stream(self, invocation: Invocation, response: StreamingResponse) -> Post | None:
        from .streams import BlockingStreams

        try:
            streams = BlockingStreams(self._service.address, self._invoker, self._pool, self._lock)
            return streams.send(response, invocation)
        except BaseException as error:
            return None if invocation.answered else self._invoker.fail(invocation, error)

    def _next(self, ident: int) -> Invocation | None:
        """Waits for an event; None when there is none yet."""
        with self._lock:
            timeout = 0.0 if self._ready else self._reactor.timeout()
        ready = self._reactor.wait(timeout) if timeout != 0.0 and not self.ended.is_set() else []
        with self._lock:
            self._reactor.handle(ready)
            self._stop_if_asked()
            self._end_if_done()
            if not self._ready:
                return None
            self._away = True
            self._watch.leave()
            if self._brisk < BRISK_ONES:
                self._watch.ring()
            return self._taken(ident)

    def _taken(self, ident: int) -> Invocation:
        invocation = self._ready.popleft()
        self._running.change(invocation, ident)
        return invocation

    def _stand_by(self, number: int) -> None:
        """Waits until the turn is this worker's."""
        with self._chair:
            while not self.ended.is_set():
                self._watch.wait(AWAY)
                with self._lock:
                    if self._away:
                        self._take_turn(number)
                        return

    def _take_turn(self, number: int) -> None:
        self._turn = number
        self._away = False
        self._watch.back()
        self._standing_by -= 1
        self._keep_one_standing_by()

    def _keep_one_standing_by(self) -> None:
        # One for each slot, one that waits, and one in the place of each that does not come back.
        if not self._standing_by and self._workers <= self._slots + self._running.overdue:
            with contextlib.suppress(RuntimeError):  # no more threads: events wait for one
                self._start_worker()

    def _received(self, invocation: Invocation) -> None:
        self._running.add(invocation, None)
        self._ready.append(invocation)

    def _late(self, ident: int | None) -> None:
        """An invocation was answered in the place of its handler: another thread serves its slot."""
        self._keep_one_standing_by()

    def _worn_out(self) -> None:
        self._failed = self._running.no_slot_left()
        self.stopping.set()
        _thread.interrupt_main(signal.SIGTERM)

    def _look_for_strays(self) -> None:
        running = self._running.request_ids()
        self._noted.append(partial(self._stray_threads.look, running))

    def _note(self, what: str, error: RuntimeApiError) -> None:
        self._noted.append(partial(self._service.trouble, what, error))

    def _stop_if_asked(self) -> None:
        if self.stopping.is_set() and not self._pool.stopping:
            self._pool.stop()
            drain = self._service.config.drain
            self._reactor.call_later(drain * (1 - LAST), self._give_all_up)
            self._reactor.call_later(drain, self._end)

    def _end_if_done(self) -> None:
        if self._pool.stopping and not self._running.count():
            self._pool.when_settled(self._end)


def _stack(ident: int | None) -> list[str]:
    from .stacks import stack_of_thread  # with the first that is late

    return [] if ident is None else stack_of_thread(ident)
