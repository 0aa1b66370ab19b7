"""What the fuzzing target, embed.c, calls with every input: the compiled reader against the others."""

from __future__ import annotations

import gc
import importlib

from fuzz import limits

limits.make_small()

from fuzz import check, streams  # noqa: E402  (they import the readers)

_COMPILED, _PURE, _H11 = (check.reader_class(kind) for kind in ("compiled", "pure", "h11"))
# Compiled by build.py beside the reader's copy: there is no module of this name to import elsewhere.
_room = importlib.import_module("_room")
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
