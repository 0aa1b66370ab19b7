"""Runs plain `def` handlers: one thread for each slot, no event loop, and asyncio is never imported.

A slot parks its next poll before it sends its answer, on a second connection; see client/pool.py for why, and for the
order in Lambda (default) mode.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time

from ..client.address import SCRATCH_SIZE
from ..client.backoff import Backoff
from ..client.blocking import BlockingConnection
from ..client.meaning import POLL_FAILED, POST_FAILED, POST_TRIES, read_accepted, read_next, undelivered
from ..errors import ApiUnavailable, RuntimeApiError
from ..wire.invocation import Invocation
from ..wire.requests import Post
from .service import Service


class ThreadDriver:
    """`run()` serves until `stop()` is called, from a signal handler or another thread."""

    def __init__(self, service: Service) -> None:
        self.stopping = threading.Event()
        self._park_first = service.park_first
        self._slots = [_Slot(service, self.stopping) for _ in range(service.slots)]

    def run(self, drain: float) -> None:
        """Serves; once stopped, waits up to `drain` seconds for running handlers."""
        if not self._park_first:
            # Lambda (default) mode: handlers run on the main thread, as signal.alarm() and its like want it.
            self._slots[0].run()
            return
        threads = [
            threading.Thread(target=slot.run, name=f"lmi_fast-slot-{i}", daemon=True)
            for i, slot in enumerate(self._slots)
        ]
        for thread in threads:
            thread.start()
        self.stopping.wait()
        end = time.monotonic() + drain
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def stop(self) -> None:
        """No poll is parked from now on, and those that are end. The answers of running handlers still go out."""
        self.stopping.set()
        for slot in self._slots:
            slot.poll.shut()


class _Slot:
    """One slot: its poll, and a connection for its answers. Both belong to one thread, but for `poll.shut()`."""

    def __init__(self, service: Service, stopping: threading.Event) -> None:
        scratch = bytearray(SCRATCH_SIZE)
        self.poll = BlockingConnection(service.address, scratch)
        self._posts = BlockingConnection(service.address, scratch)
        self._service = service
        self._invoker = service.invoker
        self._stopping = stopping
        self._backoff = Backoff()
        self._parked = False
        self._unacknowledged: Post | None = None  # sent on _posts, and its reply not read yet

    def run(self) -> None:
        """Serves one invocation after the other, until stopping."""
        service = self._service
        while not self._stopping.is_set():
            invocation = self._next()
            if invocation is None:
                continue
            post = service.variables.copy().run(self._call, invocation)
            if service.park_first:
                self._park_early()
            self._send(post)
            if not service.park_first:
                self._acknowledge()
        self._acknowledge()
        self.poll.close()
        self._posts.close()

    def _call(self, invocation: Invocation) -> Post:
        """Calls the handler: the answer to `invocation`, whatever it raised."""
        invoker = self._invoker
        try:
            event, context = invoker.begin(invocation)
            return invoker.succeed(invocation, invoker.handler(event, context))
        except BaseException as error:
            return invoker.fail(invocation, error)

    def _next(self) -> Invocation | None:
        """The next invocation; None when there was none and it is to be asked again, unless stopping."""
        stopping = self._stopping
        try:
            self._park()
            while self._unacknowledged is not None and not self._event_is_first():
                self._acknowledge()
            # stop() sets the flag before it shuts the sockets that are open: one that was opened since is seen here.
            reply = None if stopping.is_set() else self.poll.receive()
            self._parked = False
            if reply is None:
                return None
            invocation = read_next(reply)
        except RuntimeApiError as error:
            self._parked = False
            if not stopping.is_set():
                self._service.trouble(POLL_FAILED, error)
                stopping.wait(self._backoff.next_delay())
            return None
        self._backoff.reset()
        return invocation

    def _park(self) -> None:
        if not self._parked:
            self.poll.send(self._invoker.requests.next)
            self._parked = True

    def _park_early(self) -> None:
        if not self._stopping.is_set():
            with contextlib.suppress(ApiUnavailable):  # _next() tries again, and waits between
                self._park()

    def _event_is_first(self) -> bool:
        """Waits until the poll or the post has something: True when the poll has and the post has not.

        A caller that reads its response slowly keeps the post waiting, and must not keep the next event waiting too.
        """
        if self._posts.fileno() < 0:
            return False  # the post is lost already
        poll = select.poll()
        poll.register(self.poll.fileno(), select.POLLIN)
        poll.register(self._posts.fileno(), select.POLLIN)
        ready = [fd for fd, _ in poll.poll()]
        return self._posts.fileno() not in ready

    def _send(self, post: Post) -> None:
        self._acknowledge()
        self._unacknowledged = post
        self._try_to_post(post)

    def _acknowledge(self) -> None:
        """Reads the reply to the last post, sending it again while connections break under it."""
        post = self._unacknowledged
        if post is None:
            return
        backoff = Backoff()
        while True:
            try:
                read_accepted(self._posts.receive(), post)
                break
            except ApiUnavailable as error:
                if backoff.failures + 1 == POST_TRIES:
                    self._service.trouble(POST_FAILED, undelivered(post, error))
                    break
                self._stopping.wait(backoff.next_delay())
                self._try_to_post(post)
            except RuntimeApiError as error:
                self._service.trouble(POST_FAILED, undelivered(post, error))
                break
        self._unacknowledged = None

    def _try_to_post(self, post: Post) -> None:
        with contextlib.suppress(ApiUnavailable):  # the connection is closed then, and receive() says so
            self._posts.send(post.head, post.body)
