# cython: annotation_typing=False
"""The connections of one event loop: a poll for each slot, and the posts beside them.

The platform queues nothing: an invoke that finds no parked poll is refused. So when the last polls are taken, a slot
parks first and answers second: the next `GET /next` goes out on the slot's own connection at the moment its handler
ends, and the answer on another one, leased from a stack of idle connections. Parked polls and running handlers are N
together, whatever the answers do.

While all other polls are parked, the slot sends its answer and the next `GET /next` in one write, on its own
connection: that is half of the system calls. The poll is parked once the answer was taken, and only a small answer,
which the platform can take before its caller reads it, goes this way.

Answers do not pile up: a slot whose answer is large polls when that was taken, and so does every slot while much is
under way already. Callers that take small answers slowly keep nobody waiting.

In Lambda (default) mode the order is the other way round: there, `/next` says that the invocation is over, and the
environment may be frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables

from ..errors import ApiProtocolError, RuntimeApiError
from ..wire.invocation import Invocation
from ..wire.reply import Reply
from ..wire.requests import Post, Requests
from .address import GONE_MS, SCRATCH_SIZE, Address
from .backoff import Backoff
from .connection import Connection, Owner
from .counts import Counts
from .meaning import (
    LARGE_ANSWER,
    MUCH_UNDER_WAY,
    POLL_FAILED,
    POST_FAILED,
    SMALL_ANSWER,
    Trouble,
    enough_parked,
    read_next,
    refusal,
    undelivered,
)
from .post_line import PostLine, Sender
from .records import Records

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from .journal import Journal
    from .loop import Loop, Timer


class Pool(Sender):
    """`received(invocation)` is called for each event and must lead to one `answer(invocation.slot, post)`."""

    def __init__(
        self,
        loop: Loop,
        address: Address,
        requests: Requests,
        slots: int,
        *,
        park_first: bool,
        received: Callable[[Invocation], None],
        trouble: Trouble,
        journal: Journal | None = None,
    ) -> None:
        """`trouble` is told of everything that went wrong and was dealt with. `journal`: of a process that has a
        supervisor.
        """
        self.loop = loop
        self.variables = Variables()  # of no invocation: see connection.py
        self.address = address
        self.next = requests.next
        self.scratch = bytearray(SCRATCH_SIZE) if journal is None else journal.scratch
        self.received = received
        self.trouble = trouble
        self.stopping = False
        self.parked = 0  # polls that wait at the Runtime API
        self._journal = journal
        self._records: Records | None = None if journal is None else journal.records
        self.slots = [Slot(self, number) for number in range(slots)]
        self._park_first = park_first
        self._enough = enough_parked(slots)
        self._lines: list[PostLine] = []
        self._idle: list[PostLine] = []
        self._owed = 0  # answers that were not taken yet
        self._under_way = 0  # bytes of them
        self._when_settled: Callable[[], object] | None = None
        self._then_park: Slot | None = None  # when a stream was taken
        self.counts = Counts()

    def dialled(self, slot: int, sock: socket.socket) -> None:
        """A slot has a new connection."""
        if self._journal is not None:
            self._journal.offer(slot, sock)

    def came(self, slot: Slot, invocation: Invocation) -> None:
        """An event came to `slot`."""
        invocation.slot = slot
        slot.began = self.counts.came(len(invocation.event))
        if self._records is not None:
            invocation.record = slot.record or self._records.note(invocation.request_id, invocation.invocation_id or "")
            slot.record = 0
        self.received(invocation)

    def coming(self, slot: Slot, reply: Reply) -> None:
        """The head of an event has come to `slot`: should the process end before the rest has, others shall know."""
        if self._records is not None:
            slot.record = self._records.note(reply.request_id or "", reply.invocation_id or "")

    def start(self) -> None:
        """Parks every slot, or takes over the poll that another process has left it."""
        for slot in self.slots:
            slot.start(self._journal)

    def answer(self, slot: Slot, post: Post) -> None:
        """The handler of the invocation that came to `slot` has ended: sends `post`, and parks the slot."""
        size = len(post.body)
        self._owed += 1
        self._under_way += size
        slot.ended = self.counts.answered(slot.began, size)
        if not self._park_first or size >= LARGE_ANSWER or self._under_way >= MUCH_UNDER_WAY:
            self.send(post, slot)
        elif self.parked >= self._enough and size < SMALL_ANSWER and not self.stopping:
            slot.answer(post)
        else:
            slot.park()
            self.send(post, None)

    def owe(self, streams: int) -> None:
        """So many answers more are sent piece by piece, on connections of their own; until they are settled."""
        self._owed += streams

    def end_stream(self, slot: Slot, size: int, park: bool = True) -> None:
        """All was sent, so many bytes: parks the slot; in Lambda (default) mode when the platform has it."""
        slot.ended = self.counts.answered(slot.began, size)
        if not self._park_first:
            self._then_park = slot
        elif park:
            slot.park()

    def answer_only(self, slot: Slot, post: Post) -> None:
        """Sends `post` and leaves its slot empty; to be parked by hand."""
        size = len(post.body)
        self._owed += 1
        self._under_way += size
        slot.ended = self.counts.answered(slot.began, size)
        self.send(post, None)

    def send(self, post: Post, then_park: Slot | None) -> None:
        """Sends `post` on a connection of its own; when it was taken or refused, parks `then_park`."""
        if self._idle:
            line = self._idle.pop()
        else:
            line = PostLine(self, self.loop, self.variables, self.address, self.scratch)
            self._lines.append(line)
        line.send(post, then_park)

    def settled(self, post: Post, error: RuntimeApiError | None) -> None:
        """`post` was taken, or given up for `error`."""
        self._owed -= 1
        self._under_way -= len(post.body)
        if self._then_park is not None:
            self._then_park.park()
            self._then_park = None
        if self._records is not None:
            self._records.end(post)
        if not self._owed and self._when_settled is not None:
            self._when_settled()
        if error is not None:
            self.trouble(POST_FAILED, undelivered(post, error))

    def sent(self, line: PostLine, post: Post, memo: Any, error: RuntimeApiError | None) -> None:
        then_park: Slot | None = memo
        self._idle.append(line)
        if then_park is not None:
            then_park.park()
        self.settled(post, error)

    def stop(self) -> None:
        """No poll is parked from now on, and those that are end. The answers of running handlers still go out."""
        self.stopping = True
        for slot in self.slots:
            slot.unpark()

    def when_settled(self, callback: Callable[[], object]) -> None:
        """Calls `callback` when every answer was taken, or given up: now, if that is so, and whenever it is again."""
        self._when_settled = callback
        if not self._owed:
            callback()

    def close(self) -> None:
        """Closes every connection."""
        for slot in self.slots:
            slot.close()
        for line in self._lines:
            line.close()


class Slot(Owner):
    """One poll: parked at the Runtime API, or waiting for its handler to end."""

    __slots__ = (
        "_backoff",
        "_connection",
        "_number",
        "_parked",
        "_pool",
        "_post",
        "_retry",
        "_strange_answer",
        "began",
        "ended",
        "record",
    )

    def __init__(self, pool: Pool, number: int) -> None:
        self._pool = pool
        self._number = number
        self._strange_answer = False  # before its event comes the reply to an answer of another process
        # What goes out here is small.
        self._connection = Connection(self, pool.loop, pool.variables, pool.address, pool.scratch, GONE_MS)
        self._backoff: Backoff | None = None  # since something failed
        self._retry: Timer | None = None
        self._post: Post | None = None  # the answer that went before the poll and was not taken yet
        self._parked = False
        self.record = 0  # where the journal has an event that has come in part
        # For the counts, on the monotonic clock.
        self.began = 0.0  # when its event came
        self.ended = 0.0  # when the answer was there; 0.0: it polls again

    def start(self, journal: Journal | None) -> None:
        """Parks for the first time."""
        if journal is not None:
            self._connection.share(journal.memory, journal.mark_of(self._number), journal.received)
            if self._number in journal.taken_over:
                sock, replies = journal.taken_over[self._number]
                self._strange_answer = replies == 2
                self._set_parked(replies == 1)
                self._connection.take_over(sock, replies)
                return
        self.park()

    def dialled(self, sock: socket.socket) -> None:
        self._pool.dialled(self._number, sock)

    def coming(self, reply: Reply) -> None:
        if not self.record and reply.is_event():
            self._pool.coming(self, reply)

    def park(self) -> None:
        """Asks for the next invocation."""
        if not self._pool.stopping:
            self._set_parked(True)
            self._connection.send(self._pool.next)

    def answer(self, post: Post) -> None:
        """Sends `post` and asks for the next invocation, in one write."""
        self._post = post
        self._connection.send(post.head, post.body, self._pool.next, 2)

    def unpark(self) -> None:
        """Ends the poll, if it is parked or about to be; not before an answer that is under way with it was taken."""
        if self._post is None:
            self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._set_parked(False)
        if self._retry is not None:
            self._retry.cancel()
        self._connection.close()

    def _set_parked(self, parked: bool) -> None:
        if parked != self._parked:
            pool = self._pool
            self._parked = parked
            pool.parked += 1 if parked else -1
            if parked:
                pool.counts.parked(self.ended, pool.parked == 1)
                self.ended = 0.0
            elif not pool.parked:
                pool.counts.emptied()

    def replied(self, reply: Reply) -> None:
        post = self._post
        if post is not None:
            if not reply.is_event():
                self._answered(post, reply)
                return
            # Replies in the wrong order. The event is one all the same, and where the answer went nobody can say now.
            self._connection.close()
            self._post = None
            self._pool.send(post, None)
        if self._strange_answer:
            self._strange_answer = False
            if not reply.is_event():
                self._go_on()
                return
        self._set_parked(False)
        try:
            invocation = read_next(reply)
        except RuntimeApiError as error:
            self._connection.close()  # what else may come on it belongs to no request
            self._park_later(error)
            return
        self._backoff = None
        self._pool.came(self, invocation)

    def _answered(self, post: Post, reply: Reply) -> None:
        self._post = None
        self._go_on()
        self._pool.settled(post, refusal(reply, post))

    def _go_on(self) -> None:
        if self._pool.stopping:
            self.close()
        elif self._connection.awaited:
            self._set_parked(True)
        else:
            self.park()  # the server closed the connection behind its reply

    def lost(self, error: RuntimeApiError) -> None:
        strange, self._strange_answer = self._strange_answer, False
        post, self._post = self._post, None
        if post is None:
            # An idle connection may be lost too, while the handler runs: the next park dials again.
            if self._parked or strange:
                self._park_later(error)
            return
        self._park_later()
        if isinstance(error, ApiProtocolError):
            self._pool.settled(post, error)  # it arrived: the reply is what went wrong
        else:
            self._pool.send(post, None)

    def _park_later(self, error: RuntimeApiError | None = None) -> None:
        self._set_parked(False)
        if not self._pool.stopping:
            self._backoff = self._backoff or Backoff()
            self._retry = self._pool.loop.call_later(self._backoff.next_delay(), self.park)
            if error is not None:
                self._pool.trouble(POLL_FAILED, error)

    def __repr__(self) -> str:
        return f"Slot({'parked' if self._parked else 'not parked'}, {self._connection!r})"
