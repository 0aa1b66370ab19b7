"""What the fuzzing target, embed.c, calls with every input: the compiled reader against the others."""

from __future__ import annotations

import gc
import importlib

from fuzz import limits

limits.make_small()

from fuzz import check, streams  # noqa: E402  (they import the readers)
from lmi_fast.wire import _http1_h11  # noqa: E402
from lmi_fast.wire.reply import Reply  # noqa: E402

_COMPILED, _PURE, _H11 = (check.reader_class(kind) for kind in ("compiled", "pure", "h11"))
# Compiled by build.py beside the reader's copy: there is no module of this name to import elsewhere.
_room = importlib.import_module("_room")


class _Arbiter(_http1_h11.Arbiter):
    """Is not watched: it is all of Python, and half of what is made."""

    def __init__(self) -> None:
        was_watching = _room.watch(False)
        super().__init__()
        _room.watch(was_watching)

    def feed(self, data: bytes) -> Reply | None:
        was_watching = _room.watch(False)
        try:
            return super().feed(data)
        finally:
            _room.watch(was_watching)
            self.leftover = bytes(bytearray(self.leftover))  # this one is the reader's


_http1_h11.Arbiter = _Arbiter  # type: ignore[misc]
gc.freeze()  # none of what was imported has to be looked at again


def one_input(data: bytes) -> None:
    """Raises when something does not hold; a sanitizer ends the process itself."""
    check.check(streams.parse(data), _read_compiled, _PURE, _H11)


def _read_compiled(stream: streams.Stream) -> check.Trace:
    _room.watch(True)
    try:
        return check.read(_COMPILED, stream, _room.feed if stream.through_room else check.feed_through_buffer)
    finally:
        _room.watch(False)
