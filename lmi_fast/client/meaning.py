# cython: annotation_typing=False
"""What a reply of the Runtime API means, and what is done about one that is not wanted."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ApiRefused, RuntimeApiError
from ..wire.invocation import Invocation
from ..wire.reply import Reply
from ..wire.requests import Post

# Called as trouble(what, error), `what` being one of these.
Trouble = Callable[[str, RuntimeApiError], None]
POLL_FAILED = "a poll failed and is repeated"
POST_FAILED = "an answer was not taken"

# How often a post is sent when connections break under it. A second delivery can do no harm: the platform takes the
# first answer to an invocation and refuses any other with 400, by request id and Invocation-Id.
POST_TRIES = 6

# An answer below this the platform can take before its caller reads it. In bytes, as the next two.
SMALL_ANSWER = 1 << 14
# One from here on takes as long to send as others to serve; and more than this together shall not be under way.
LARGE_ANSWER = 1 << 20
MUCH_UNDER_WAY = 1 << 24

# After these the invocation is over for the platform: it was answered, it timed out, or its answer is too large. There
# is nothing to send again (awslambdaric logs them and goes on; aws-lambda-go ends the process).
_OVER = {400: "the platform no longer waits for it", 410: "it came after the deadline", 413: "it is too large"}


def enough_parked(slots: int) -> int:
    """While so many polls are parked, a slot sends its answer and its next poll in one write: see pool.py.

    All the others. docs/decisions.md has what was measured.
    """
    return max(1, slots - 1)


def read_next(reply: Reply) -> Invocation:
    """The invocation in a reply to `GET /next`. Raises ApiRefused or ApiProtocolError."""
    if reply.status != 200:
        raise ApiRefused("GET /runtime/invocation/next", reply.status, bytes(reply.body))
    return Invocation(reply)


def refusal(reply: Reply, post: Post) -> ApiRefused | None:
    """Why the reply to a post is not the one that means success; None when it is."""
    if reply.status == 202:
        return None
    why = _OVER.get(reply.status)
    return ApiRefused(f"{post.about}{f' ({why})' if why else ''}", reply.status, bytes(reply.body))


def undelivered(post: Post, error: RuntimeApiError) -> RuntimeApiError:
    """`error`, saying what it happened to."""
    return error if isinstance(error, ApiRefused) else type(error)(f"{post.about}: {error}")
