"""The connections of one event loop: a poll for each slot, and the posts beside them.

The platform queues nothing: an invoke that finds no parked poll is refused. So a slot parks first and answers second:
the next `GET /next` goes out on the slot's own connection at the moment its handler ends, and the answer on another
one, leased from a stack of idle connections. Parked polls and running handlers are N together, whatever the answers do.

In Lambda (default) mode the order is the other way round: there, `/next` says that the invocation is over, and the
environment may be frozen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import ApiProtocolError, RuntimeApiError
from ..wire.invocation import Invocation
from ..wire.reply import Reply
from ..wire.requests import Post, Requests
from .address import SCRATCH_SIZE, Address
from .backoff import Backoff
from .connection import Connection
from .meaning import POLL_FAILED, POST_FAILED, POST_TRIES, Trouble, read_accepted, read_next, undelivered


class Pool:
    """`received(slot, invocation)` is called for each event and must lead to one `answer(slot, post)`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        requests: Requests,
        slots: int,
        *,
        park_first: bool,
        received: Callable[[Slot, Invocation], None],
        trouble: Trouble,
    ) -> None:
        """`trouble` is told of everything that went wrong and was dealt with."""
        self.loop = loop
        self.address = address
        self.requests = requests
        self.scratch = bytearray(SCRATCH_SIZE)
        self.received = received
        self.trouble = trouble
        self.stopping = False
        self.slots = [Slot(self) for _ in range(slots)]
        self._park_first = park_first
        self._idle: list[PostLine] = []
        self._posting: set[PostLine] = set()
        self._drained: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Parks every slot."""
        for slot in self.slots:
            slot.park()

    def answer(self, slot: Slot, post: Post) -> None:
        """The handler of the invocation that came to `slot` has ended: parks the slot and sends `post`."""
        if self._park_first:
            slot.park()
            self._send(post, None)
        else:
            self._send(post, slot)

    def _send(self, post: Post, then_park: Slot | None) -> None:
        line = self._idle.pop() if self._idle else PostLine(self)
        self._posting.add(line)
        line.send(post, then_park)

    def done(self, line: PostLine) -> None:
        """`line` has nothing to send any more."""
        self._posting.discard(line)
        self._idle.append(line)
        if self._drained is not None and not self._posting:
            self._drained.set_result(None)
            self._drained = None

    def forget(self, line: PostLine) -> None:
        """The server closed the idle `line`."""
        if line in self._idle:
            self._idle.remove(line)

    def stop(self) -> None:
        """No poll is parked from now on, and those that are end. The answers of running handlers still go out."""
        self.stopping = True
        for slot in self.slots:
            slot.unpark()

    async def drained(self) -> None:
        """Returns when every answer was taken, or given up."""
        if self._posting:
            self._drained = self.loop.create_future()
            await self._drained

    def close(self) -> None:
        """Closes every connection."""
        self.stop()
        for line in [*self._idle, *self._posting]:
            line.close()


class Slot:
    """One poll: parked at the Runtime API, or waiting for its handler to end."""

    __slots__ = ("_backoff", "_connection", "_pool", "_retry", "parked")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection = Connection(pool.loop, pool.address, pool.scratch, self._replied, self._lost)
        self._backoff = Backoff()
        self._retry: asyncio.TimerHandle | None = None
        self.parked = False

    def park(self) -> None:
        """Asks for the next invocation."""
        if not self._pool.stopping:
            self.parked = True
            self._connection.send(self._pool.requests.next)

    def unpark(self) -> None:
        """Ends the poll, if it is parked or about to be."""
        self.parked = False
        if self._retry is not None:
            self._retry.cancel()
        self._connection.close()

    def _replied(self, reply: Reply) -> None:
        self.parked = False
        try:
            invocation = read_next(reply)
        except RuntimeApiError as error:
            self._park_later(error)
            return
        self._backoff.reset()
        self._pool.received(self, invocation)

    def _lost(self, error: RuntimeApiError) -> None:
        # An idle connection may be lost too, while the handler runs: the next park dials again.
        if self.parked:
            self._park_later(error)

    def _park_later(self, error: RuntimeApiError) -> None:
        self.parked = False
        self._retry = self._pool.loop.call_later(self._backoff.next_delay(), self.park)
        self._pool.trouble(POLL_FAILED, error)

    def __repr__(self) -> str:
        return f"Slot({'parked' if self.parked else 'not parked'}, {self._connection!r})"


class PostLine:
    """A connection for answers, one at a time."""

    __slots__ = ("_backoff", "_connection", "_pool", "_post", "_retry", "_then_park")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection = Connection(pool.loop, pool.address, pool.scratch, self._replied, self._lost)
        self._backoff = Backoff()
        self._retry: asyncio.TimerHandle | None = None
        # Per post.
        self._post: Post | None = None
        self._then_park: Slot | None = None

    def send(self, post: Post, then_park: Slot | None) -> None:
        """Sends `post` until it is taken or refused, then parks `then_park`."""
        self._post = post
        self._then_park = then_park
        self._connection.send(post.head, post.body)

    def _again(self) -> None:
        assert self._post is not None
        self._connection.send(self._post.head, self._post.body)

    def _replied(self, reply: Reply) -> None:
        assert self._post is not None
        try:
            read_accepted(reply, self._post)
        except RuntimeApiError as error:
            self._end(error)
        else:
            self._end()

    def _lost(self, error: RuntimeApiError) -> None:
        if self._post is None:
            self._pool.forget(self)
        elif isinstance(error, ApiProtocolError):
            self._end(error)  # it arrived: the reply is what went wrong
        elif self._backoff.failures + 1 < POST_TRIES:
            self._retry = self._pool.loop.call_later(self._backoff.next_delay(), self._again)
        else:
            self._end(error)

    def _end(self, error: RuntimeApiError | None = None) -> None:
        post, then_park = self._post, self._then_park
        assert post is not None
        self._post = self._then_park = None
        self._backoff.reset()
        if error is not None:
            self._pool.trouble(POST_FAILED, undelivered(post, error))
        self._pool.done(self)
        if then_park is not None:
            then_park.park()

    def close(self) -> None:
        """Closes the connection; a post that was not taken yet is given up."""
        if self._retry is not None:
            self._retry.cancel()
        self._connection.close()

    def __repr__(self) -> str:
        return f"PostLine({self._post!r}, {self._connection!r})"
