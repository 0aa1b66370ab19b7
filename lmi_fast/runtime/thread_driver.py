"""Runs plain `def` handlers: one thread for each slot, no event loop, and asyncio is never imported.

A slot sends its answer and its next poll in one write, or parks first and answers on a second connection: see
client/pool.py for when and why, and for Lambda (default) mode, where the order is the other one.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from ..client.address import JOIN_BELOW, SLOT_SCRATCH_SIZE
from ..client.backoff import Backoff
from ..client.blocking import BlockingConnection
from ..client.meaning import (
    POLL_FAILED,
    POST_FAILED,
    POST_TRIES,
    enough_parked,
    is_event,
    read_next,
    refusal,
    undelivered,
)
from ..errors import ApiProtocolError, ApiUnavailable, RuntimeApiError
from ..wire.invocation import Invocation
from ..wire.reply import Reply
from ..wire.requests import Post
from .service import Service


class ThreadDriver:
    """`start()` and then `run()` serve until `stop()` is called, from a signal handler or another thread."""

    def __init__(self, service: Service) -> None:
        self.stopping = threading.Event()
        self._begin = threading.Event()
        self._threads: list[threading.Thread] = []
        self._park_first = service.park_first
        parked: deque[None] = deque()
        self._slots = [_Slot(service, self.stopping, parked) for _ in range(service.slots)]

    def start(self) -> None:
        """Starts the threads, which wait for run(). Raises RuntimeError when there cannot be so many."""
        if self._park_first:
            for i, slot in enumerate(self._slots):
                thread = threading.Thread(target=self._serve, args=(slot,), name=f"lmi_fast-slot-{i}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, slot: _Slot) -> None:
        self._begin.wait()
        slot.run()

    def run(self, drain: float, wait: Callable[[], object]) -> None:
        """Serves until `wait` returns and stop() was called; then waits up to `drain` seconds for running handlers."""
        self._begin.set()
        if not self._park_first:
            # Lambda (default) mode: handlers run on the main thread, as signal.alarm() and its like want it.
            self._slots[0].run()
            return
        wait()
        self.stop()
        end = time.monotonic() + drain
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def stop(self) -> None:
        """No poll is parked from now on, and those that are end. The answers of running handlers still go out."""
        self.stopping.set()
        for slot in self._slots:
            slot.unpark()


class _Slot:
    """One slot: its poll, and connections for its answers. All belong to one thread, but for `poll.shut()`."""

    def __init__(self, service: Service, stopping: threading.Event, parked: deque[None]) -> None:
        """`parked` holds an item for each parked poll of all slots: its length is their count, without a lock."""
        scratch = bytearray(SLOT_SCRATCH_SIZE)
        self.poll = BlockingConnection(service.address, scratch)
        self._scratch = scratch
        self._service = service
        self._invoker = service.invoker
        self._stopping = stopping
        self._all_parked = parked
        self._enough = enough_parked(service.slots)
        self._backoff = Backoff()
        # Of the poll: was it sent; does it count as parked; the answer that was sent before it, on the same connection.
        self._polling = False
        self._parked = False
        self._ahead: Post | None = None
        # Connections for answers that go by themselves: those that wait for their reply, and the others.
        self._unacknowledged: list[tuple[BlockingConnection, Post]] = []
        self._idle: list[BlockingConnection] = []

    def run(self) -> None:
        """Serves one invocation after the other, until stopping."""
        variables = self._service.variables
        while not self._stopping.is_set():
            invocation = self._next()
            if invocation is not None:
                post = variables.copy().run(self._call, invocation)
                del invocation  # what waits for the next event holds neither the last one nor its answer
                self._answer(post)
                del post
        self._send_elsewhere()
        self._acknowledge_all()
        for connection in [self.poll, *self._idle]:
            connection.close()

    def unpark(self) -> None:
        """For another thread, once stopping: ends the poll, if no answer is under way with it."""
        if self._ahead is None:
            self.poll.shut()

    def _call(self, invocation: Invocation) -> Post:
        """Calls the handler: the answer to `invocation`, whatever it raised."""
        invoker = self._invoker
        try:
            event, context = invoker.begin(invocation)
            return invoker.succeed(invocation, invoker.handler(event, context))
        except BaseException as error:
            return invoker.fail(invocation, error)

    def _answer(self, post: Post) -> None:
        if not self._service.park_first:
            self._send(post)
            self._acknowledge_all()
        elif len(self._all_parked) >= self._enough and len(post.body) < JOIN_BELOW and not self._stopping.is_set():
            self._ahead = post
            self._polling = True
            with contextlib.suppress(ApiUnavailable):  # receive() says so again
                self.poll.send(post.head, post.body + self._invoker.requests.next, replies=2)
        else:
            if not self._stopping.is_set():
                with contextlib.suppress(ApiUnavailable):  # _next() tries again, and waits between
                    self._park()
            self._send(post)

    def _next(self) -> Invocation | None:
        """The next invocation; None when there was none and it is to be asked again, unless stopping."""
        try:
            self._park()
            # Without a connection to wait for there is nothing to wait for: receive() says what happened to it.
            while self._unacknowledged and self.poll.fileno() >= 0 and self._acknowledge_what_is_there():
                pass
            # stop() sets the flag before it shuts the sockets that are open: one that was opened since is seen here.
            if self._stopping.is_set() and self._ahead is None:
                return None
            reply = self.poll.receive()
            if self._ahead is not None and not is_event(reply):
                self._read_ahead(self._ahead, reply)
                return None
            self._set_parked(False)
            self._polling = False
            invocation = read_next(reply)
            if self._ahead is not None:
                self.poll.close()  # replies in the wrong order: where the answer went nobody can say now
        except RuntimeApiError as error:
            self._poll_failed(error)
            return None
        self._send_elsewhere()
        self._backoff.reset()
        return invocation

    def _park(self) -> None:
        if not self._polling:
            self.poll.send(self._invoker.requests.next)
            self._polling = True
            self._set_parked(True)

    def _set_parked(self, parked: bool) -> None:
        if parked is not self._parked:
            self._parked = parked
            if parked:
                self._all_parked.append(None)
            else:
                self._all_parked.pop()

    def _read_ahead(self, post: Post, reply: Reply) -> None:
        """The answer that went before the poll has its reply: now the poll is parked."""
        self._ahead = None
        if self.poll.awaited:
            self._set_parked(True)
        else:
            self._polling = False  # the server closed the connection behind its reply
        self._check(post, reply)

    def _poll_failed(self, error: RuntimeApiError) -> None:
        self._set_parked(False)
        self._polling = False
        self.poll.close()
        if self._ahead is not None and isinstance(error, ApiProtocolError):
            self._service.trouble(POST_FAILED, undelivered(self._ahead, error))  # it arrived
            self._ahead = None
        elif self._ahead is None and not self._stopping.is_set():
            self._service.trouble(POLL_FAILED, error)
        self._send_elsewhere()
        self._stopping.wait(self._backoff.next_delay())

    def _acknowledge_what_is_there(self) -> bool:
        """Waits until the poll or a post has something, and reads the replies to posts; False once only the poll has.

        A caller that reads its response slowly keeps a post waiting, and must not keep the next event waiting too.
        """
        lost = [entry for entry in self._unacknowledged if entry[0].fileno() < 0]
        arrived = lost or self._wait()
        for entry in arrived:
            self._acknowledge(*entry)
        return bool(arrived)

    def _wait(self) -> list[tuple[BlockingConnection, Post]]:
        poll = select.poll()
        for connection in [self.poll, *(connection for connection, _ in self._unacknowledged)]:
            poll.register(connection.fileno(), select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        return [entry for entry in self._unacknowledged if entry[0].fileno() in ready]

    def _send_elsewhere(self) -> None:
        """Sends the answer that went before a poll, and got no reply, once more on the other connection."""
        post, self._ahead = self._ahead, None
        if post is not None:
            self._send(post)

    def _send(self, post: Post) -> None:
        connection = self._idle.pop() if self._idle else BlockingConnection(self._service.address, self._scratch)
        self._unacknowledged.append((connection, post))
        self._try_to_post(connection, post)

    def _acknowledge_all(self) -> None:
        for entry in list(self._unacknowledged):
            self._acknowledge(*entry)

    def _acknowledge(self, connection: BlockingConnection, post: Post) -> None:
        """Reads the reply to a post, sending it again while connections break under it."""
        backoff = Backoff()
        while True:
            try:
                self._check(post, connection.receive())
                break
            except ApiUnavailable as error:
                if backoff.failures + 1 == POST_TRIES:
                    self._service.trouble(POST_FAILED, undelivered(post, error))
                    break
                self._stopping.wait(backoff.next_delay())
                self._try_to_post(connection, post)
            except ApiProtocolError as error:
                self._service.trouble(POST_FAILED, undelivered(post, error))  # it arrived
                break
        self._unacknowledged.remove((connection, post))
        self._idle.append(connection)

    def _check(self, post: Post, reply: Reply) -> None:
        error = refusal(reply, post)
        if error is not None:
            self._service.trouble(POST_FAILED, error)

    def _try_to_post(self, connection: BlockingConnection, post: Post) -> None:
        with contextlib.suppress(ApiUnavailable):  # the connection is closed then, and receive() says so
            connection.send(post.head, post.body)
