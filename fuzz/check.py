"""What has to hold for every input: the readers agree, however the bytes come.

A reader is used as client/connection.py uses it: received() with what a read brought, again() while a reply has come
and the reader is not idle, end() at the end of the stream, unfinished() when that, or an error, came too early.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from fuzz.streams import Stream
from lmi_fast.errors import ApiProtocolError
from lmi_fast.wire import reply as _reply

KINDS = {"pure": "_http1_py", "compiled": "_http1_c", "h11": "_http1_h11"}
# Gives a reader as much of a piece as it has room for: how much that was, and the reply. The scratch buffer comes too.
Feed = Callable[[Any, bytes, bytearray | memoryview], tuple[int, Any]]


class Difference(AssertionError):
    """Two readers, or one reader given the bytes in other pieces, do not agree."""


class Trace:
    """What a reader made of a stream."""

    def __init__(self) -> None:
        self.steps: list[object] = []
        """After each receive: how much room there is, the replies that came, whether the reader is idle, and whether
        there is a head without all of its body.
        """
        self.replies: list[tuple[int, Any]] = []
        """Each reply, and the piece that it came with."""
        self.ending = "end"
        """Or the name of an error's class; its message depends on who found it, h11 or a reader at the end."""

        self.unfinished: object = None
        """What is known then of a reply whose body has not all come."""

    def outcome(self) -> list[object]:
        """What came of it, whatever the pieces were."""
        return [*(reply for _, reply in self.replies), self.ending, self.unfinished]


def reader_class(kind: str) -> Any:
    return importlib.import_module(f"lmi_fast.wire.{KINDS[kind]}").Reader


def feed_through_buffer(reader: Any, piece: bytes, scratch: bytearray | memoryview) -> tuple[int, Any]:
    """As client/_stream_py.py does."""
    room = reader.buffer()
    count = min(len(room), len(piece))
    if not count:
        raise Difference("the reader has no room, and no reply")
    room[:count] = piece[:count]
    del room
    reply = reader.received(count)
    # Many readers share the scratch buffer: what was received must not be needed there any more.
    scratch[:count] = bytes(scratch[:count]).translate(_JUNK)
    return count, reply


_MARGIN = 64
_JUNK = bytes(255 - i for i in range(256))


def read(reader_type: Any, stream: Stream, feed: Feed = feed_through_buffer) -> Trace:
    """Lets a new reader read `stream`. Only an ApiProtocolError is an ending; any other exception is raised."""
    around = _MARGIN if stream.in_larger else 0
    memory = bytearray(stream.scratch_size + 2 * around)
    scratch = memoryview(memory)[around:-around] if around else memory
    reader = reader_type(scratch)
    trace = Trace()
    number = 0
    try:
        for number, piece in enumerate(stream.pieces):
            while piece:
                count, reply = feed(reader, piece, scratch)
                piece = piece[count:]
                while reply is not None:
                    trace.replies.append((number, _values(reply)))
                    reply = None if reader.is_idle() else reader.again()
                begun = reader.unfinished() is not None
                trace.steps.append((len(reader.buffer()), len(trace.replies), reader.is_idle(), begun))
        last = reader.end()
        if last is not None:
            trace.replies.append((number, _values(last)))
    except ApiProtocolError as error:
        trace.ending = type(error).__name__
    left = reader.unfinished()
    trace.unfinished = left and (left.status, left.headers, left.is_event())
    if around and any(memory[:around] + memory[-around:]):
        raise Difference("the reader wrote around its scratch buffer")
    return trace


def _values(reply: Any) -> tuple[object, ...]:
    return reply.status, reply.headers, bytes(reply.body), reply.keep_alive, reply.is_event()


def check(stream: Stream, read_fast: Callable[[Stream], Trace], pure: Any, h11: Any) -> None:
    """Raises Difference where the reader behind `read_fast` does not do what the readers `pure` and `h11` do."""
    trace = read_fast(stream)
    other = read(pure, stream)
    _same("the pure twin", trace.replies, other.replies)
    _same("the pure twin, step by step", trace.steps, other.steps)
    _same("the pure twin, at the end", trace.outcome(), other.outcome())
    other = read(h11, stream)
    # When a stream is known to be wrong differs: a fast reader waits for a whole line, and h11 for a whole head.
    _same("h11", trace.replies, other.replies)
    _same("h11, at the end", trace.outcome(), other.outcome())
    # How long a head may be depends on how much of it comes at once: h11 refuses what is too long and not whole yet.
    whole = stream.in_one_piece()
    if whole != stream and len(stream.whole) <= _reply.MAX_HEAD:
        _same("itself, given all at once", trace.outcome(), read_fast(whole).outcome())


def _same(with_whom: str, got: object, expected: object) -> None:
    if got != expected:
        raise Difference(f"the reader does not agree with {with_whom}:\n  reader: {got!r}\n  other:  {expected!r}")
