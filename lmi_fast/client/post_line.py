# cython: annotation_typing=False
"""A connection that answers go out on, one at a time, beside the polls.

A post is sent again when the connection breaks under it: the platform takes the first answer to an invocation and
refuses any other, so a second delivery can do no harm.
"""

from __future__ import annotations

from contextvars import Context as Variables

from ..errors import ApiProtocolError, RuntimeApiError
from ..wire.reply import Reply
from ..wire.requests import Post
from .address import Address
from .backoff import Backoff
from .connection import Connection, Owner
from .meaning import POST_TRIES, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .loop import Loop, Timer


class Sender:
    """What a line tells."""

    __slots__ = ()

    def sent(self, line: PostLine, post: Post, memo: object, error: RuntimeApiError | None) -> None:
        """`post` was taken, or given up for `error`; the line is free for the next one."""
        raise NotImplementedError


class PostLine(Owner):
    """One such connection."""

    __slots__ = ("_backoff", "_connection", "_loop", "_memo", "_post", "_retry", "_sender")

    def __init__(
        self, sender: Sender, loop: Loop, variables: Variables, address: Address, scratch: bytearray | memoryview
    ) -> None:
        self._sender = sender
        self._loop = loop
        self._connection = Connection(self, loop, variables, address, scratch)
        self._backoff: Backoff | None = None  # since something failed
        self._retry: Timer | None = None
        # Per post.
        self._post: Post | None = None
        self._memo: object = None

    def send(self, post: Post, memo: object) -> None:
        """Sends `post` until it is taken or refused. The sender gets `memo` back then."""
        self._post = post
        self._memo = memo
        self._connection.send(post.head, post.body)

    def _again(self) -> None:
        assert self._post is not None
        self._connection.send(self._post.head, self._post.body)

    def replied(self, reply: Reply) -> None:
        assert self._post is not None
        self._end(refusal(reply, self._post))

    def lost(self, error: RuntimeApiError) -> None:
        if self._post is None:
            return  # the server closed an idle connection: the next post dials again
        if isinstance(error, ApiProtocolError):
            self._end(error)  # it arrived: the reply is what went wrong
            return
        self._backoff = self._backoff or Backoff()
        if self._backoff.failures + 1 < POST_TRIES:
            self._retry = self._loop.call_later(self._backoff.next_delay(), self._again)
        else:
            self._end(error)

    def _end(self, error: RuntimeApiError | None) -> None:
        post, memo = self._post, self._memo
        assert post is not None
        self._post = self._memo = None
        self._backoff = None
        self._sender.sent(self, post, memo, error)

    def close(self) -> None:
        """Closes the connection; a post that was not taken yet is given up."""
        if self._retry is not None:
            self._retry.cancel()
        self._connection.close()

    def __repr__(self) -> str:
        return f"PostLine({self._post!r}, {self._connection!r})"
