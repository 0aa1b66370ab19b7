"""The parent of worker processes: starts them, starts them again, and answers for those that died. It does little else.

Workers are forked before the user's code is imported (unless preloading is asked for), so the parent has nothing in it
that could break, and what is forked later is as clean as what was forked first.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import threading
import time

from .. import sink
from .._twins import twin
from ..client.address import Address
from ..client.backoff import Backoff
from ..client.journal import Journal
from ..client.records import READY, SERVED
from ..errors import CannotServe, ErrorType, FaultError
from ..wire.invocation import Invocation
from ..wire.reply import Reply
from ..wire.requests import Requests
from . import logs
from .endings import InitPhase, end_with, exit_at_once
from .signals import STOP_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Config

_log = logging.getLogger("lmi_fast")
SIGNALS = (*STOP_SIGNALS, signal.SIGCHLD)
# How often in a row a worker may die before it has served anything.
MAX_FAILURES = 5
# Seconds after the drain for the lifespan to be closed and the process to end.
GRACE = 0.15
# Seconds for the answers in the place of a worker.
ANSWER = 1.0


class InitPhaseFailed(CannotServe):
    """A worker ended before any was ready. `reported`: the platform was told why."""

    def __init__(self, message: str, *, reported: bool) -> None:
        self.reported = reported
        super().__init__(message)


class Seat:
    """What a worker process has from its supervisor."""

    def __init__(self, slots: int, journal: Journal, takes_part: Callable[[], bool] | None) -> None:
        self.slots = slots
        self.journal = journal
        self._takes_part = takes_part  # None: the init phase of the environment is over

    def init_phase(self, config: Config) -> InitPhase:
        """The init phase of this process, which is the environment's if that is not over."""
        if self._takes_part is None:
            return InitPhase(config, report=False)
        return InitPhase(config, report=self._takes_part)


class _Worker:
    def __init__(self, number: int, slots: int) -> None:
        self.number = number
        self.slots = slots
        self.pid = 0  # 0: it does not run
        self.start_at = 0.0  # on the monotonic clock, if it does not run
        self.backoff = Backoff()
        self.journal = Journal(slots)  # of one process: each has a new one
        self.sockets: dict[int, socket.socket] = {}  # the connections of its slots

    def accept_offers(self) -> None:
        """Takes the connections that the process has shared."""
        while (offer := self.journal.accept()) is not None:
            slot, sock = offer
            if slot in self.sockets:
                self.sockets[slot].close()
            self.sockets[slot] = sock

    def sort_out(self) -> None:
        """After the death of the process: keeps what the next one can go on with."""
        self.accept_offers()
        for slot, sock in list(self.sockets.items()):
            if not self.journal.replies_of(slot):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                self.sockets.pop(slot).close()

    def new_journal(self) -> None:
        """For the next process: with the connections it can go on with."""
        last = self.journal
        left = {slot: (sock, last.replies_of(slot)) for slot, sock in self.sockets.items()}
        last.close()
        self.journal = Journal(self.slots, left)

    def close(self) -> None:
        """In another worker's process: these are none of its business."""
        for sock in self.sockets.values():
            sock.close()
        self.journal.close()

    def __str__(self) -> str:
        return f"worker process {self.number}"


class Supervisor:
    """`run()` returns a Seat in each worker process, and None in the parent when all is over."""

    def __init__(self, config: Config, address: Address, processes: int) -> None:
        self._config = config
        self._address = address
        self._die_with_parent = twin("runtime._system").die_with_parent
        self._requests = Requests(config.runtime_api)
        share, more = divmod(config.slots, processes)
        self._workers = [_Worker(number + 1, share + (number < more)) for number in range(processes)]
        self._token, token = os.pipe()
        os.set_blocking(self._token, False)
        os.write(token, b"1")  # kept open, or reading would find the end of the pipe
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._was_ready = False  # a worker was, at some time: the init phase is over
        self._stop_by = 0.0  # on the monotonic clock; 0.0: not stopping
        self._exit_code = 0
        self._restarts = 0

    def run(self) -> Seat | None:
        """Raises CannotServe. Ends the process when the init phase of a worker has failed."""
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        while True:
            seat = self._start_those_due()
            if seat is not None:
                return seat
            if self._stop_by and not any(worker.pid for worker in self._workers):
                return None
            self._wait()
            self._bury_the_dead()

    @property
    def exit_code(self) -> int:
        """1 if a worker ended in disorder when it was asked to end."""
        return self._exit_code

    def _is_ready(self) -> bool:
        """Whether the init phase of the environment is over: a worker polls, or did."""
        self._was_ready = self._was_ready or any(worker.journal.has(READY) for worker in self._workers)
        return self._was_ready

    def may_report(self) -> bool:
        """True once, for all processes together."""
        try:
            return os.read(self._token, 1) != b""
        except BlockingIOError:
            return False

    def _start_those_due(self) -> Seat | None:
        for worker in self._workers:
            if not worker.pid and not self._stop_by and worker.start_at <= time.monotonic():
                seat = self._start(worker)
                if seat is not None:
                    return seat
        return None

    def _start(self, worker: _Worker) -> Seat | None:
        init_phase_is_over = self._is_ready()
        worker.new_journal()
        for one in self._workers:
            one.journal.note_restarts(self._restarts)
        parent = os.getpid()
        # A signal that came between the fork and what follows would be the parent's, and lost on the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        worker.pid = os.fork()
        if worker.pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            return None
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for end in (self._woken, self._waker):
            os.close(end)
        for other in self._workers:
            if other is not worker:
                other.close()
        self._die_with_parent()
        if os.getppid() != parent:  # it is dead already
            os._exit(1)
        return Seat(worker.slots, worker.journal, None if init_phase_is_over else self.may_report)

    def _wait(self) -> None:
        """Until a signal comes, or something is due."""
        times = [worker.start_at for worker in self._workers if not worker.pid and not self._stop_by]
        if self._stop_by:
            times.append(self._stop_by)
        timeout = max(0.0, min(times) - time.monotonic()) * 1000 if times else None
        poll = select.poll()  # descriptors may be above what select() can do: there is one for each slot
        poll.register(self._woken, select.POLLIN)
        for worker in self._workers:
            poll.register(worker.journal.offers, select.POLLIN)
        poll.poll(timeout)
        for worker in self._workers:
            worker.accept_offers()
        with contextlib.suppress(BlockingIOError):
            if set(os.read(self._woken, 4096)) & set(STOP_SIGNALS) and not self._stop_by:
                self._stop()
        if self._stop_by and time.monotonic() >= self._stop_by:
            self._signal_all(signal.SIGKILL)

    def _stop(self) -> None:
        self._stop_by = time.monotonic() + self._config.drain + GRACE
        self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: int) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)

    def _bury_the_dead(self) -> None:
        for worker in self._workers:
            if worker.pid:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    worker.pid = 0
                    worker.sort_out()
                    self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, code: int) -> None:
        if self._stop_by:
            if code not in (0, -signal.SIGTERM):
                self._exit_code = 1
            self._answer_for(worker, code)
            return
        if not self._is_ready():
            # The init phase has failed. The worker has reported why, if it could.
            self._signal_all(signal.SIGKILL)
            raise InitPhaseFailed(f"{worker} ended in its init phase: {_how(code)}", reported=not self.may_report())
        self._restarts += 1
        self._answer_for(worker, code)
        if worker.journal.has(SERVED):
            worker.backoff = Backoff()
        delay = worker.backoff.next_delay()
        worker.start_at = time.monotonic() + delay
        if worker.backoff.failures >= MAX_FAILURES:
            self._give_up(worker, code)
        _log.error("%s died and is started again in %.1f s: %s", worker, delay, _how(code))

    def _give_up(self, worker: _Worker, code: int) -> None:
        self._stop()
        while any(other.pid for other in self._workers):
            self._wait()
            self._bury_the_dead()
        raise CannotServe(
            f"{worker} died {MAX_FAILURES} times in a row before it had served anything, "
            f"the last time by {_how(code)}; the environment ends"
        )

    def _answer_for(self, worker: _Worker, code: int) -> None:
        """Answers the invocations that a dead worker had in hand."""
        open_ones = worker.journal.open()
        if not open_ones:
            return
        from ..client.post_all import post_all
        from .reports import make_report

        posts, reports = [], []
        for request_id, nonce in open_ones:
            reply = Reply(200, True)
            reply.request_id, reply.invocation_id = request_id, nonce
            report = make_report(FaultError(ErrorType.EXIT, f"{worker} died: {_how(code)}"), request_id)
            reports.append(report)
            posts.append(self._requests.error(Invocation(reply), report.body, report.error_type, report.xray_cause))
        errors = post_all(self._address, posts, ANSWER)
        for post, report in zip(posts, reports, strict=True):
            error = errors[post]
            if getattr(error, "status", 0) == 400:
                continue  # it was answered before the worker died
            logs.log_report(report.fields, self._config.log_format)
            if error is not None:
                _log.warning("an answer was not taken: %s", error)


def supervise(config: Config, address: Address, processes: int) -> Seat | None:
    """Forks workers and looks after them: returns a Seat in each of them, and None here when all is over.

    Ends the process when the init phase fails, and when workers die again and again.
    """
    with InitPhase(config):
        supervisor = Supervisor(config, address, processes)
    sink.current().share()
    if config.preload:
        gc.collect()
        gc.freeze()  # no collection shall touch, and so copy, what the processes share
        if len(others := threading.enumerate()) > 1:
            _log.warning(
                "threads that importing the handler has started are not there in worker processes: %s; "
                "start them in a lifespan, or set LMI_FAST_PRELOAD=off",
                ", ".join(thread.name for thread in others if thread is not threading.current_thread()),
            )
    try:
        seat = supervisor.run()
    except InitPhaseFailed as error:
        if error.reported:
            exit_at_once(1)
        with InitPhase(config):
            raise
    except BaseException as error:
        end_with(error, config)
    if seat is None and supervisor.exit_code:
        exit_at_once(supervisor.exit_code)
    return seat


def _how(code: int) -> str:
    """What an exit code of a process says."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    return f"signal {-code} ({name}{'; out of memory, perhaps' if code == -signal.SIGKILL else ''})"
