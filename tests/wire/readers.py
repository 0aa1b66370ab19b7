"""Drives a Reader with bytes cut anywhere, and says what came of them."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from lmi_fast.errors import ApiProtocolError
from lmi_fast.wire.reply import KEPT_HEADERS, Reply

KINDS = {"pure": "_http1_py", "compiled": "_http1_c", "h11": "_http1_h11"}
SCRATCH = 256  # small, so that bodies outgrow it


def reader_class(kind: str) -> Any:
    return importlib.import_module(f"lmi_fast.wire.{KINDS[kind]}").Reader


def _replies(reader: Any, pieces: Iterable[bytes]) -> Iterator[Reply]:
    for piece in pieces:
        while piece:
            room = reader.buffer()
            count = min(len(room), len(piece))
            assert count > 0
            room[:count] = piece[:count]
            del room
            piece = piece[count:]
            reply = reader.received(count)
            while reply is not None:
                yield reply
                reply = reader.again()


def read(kind: str, pieces: Iterable[bytes], scratch_size: int = SCRATCH) -> list[Any]:
    """The replies in `pieces`, each as a tuple, and then how the stream ended: "end" or "error"."""
    reader = reader_class(kind)(bytearray(scratch_size))
    outcome: list[Any] = []
    try:
        for reply in _replies(reader, pieces):
            outcome.append((reply.status, reply.headers, bytes(reply.body), reply.keep_alive))
        last = reader.end()
        if last is not None:
            outcome.append((last.status, last.headers, bytes(last.body), last.keep_alive))
        outcome.append("end")
    except ApiProtocolError:
        outcome.append("error")
    return outcome


def unfinished(kind: str, pieces: Iterable[bytes], scratch_size: int = SCRATCH) -> tuple[int, dict[str, str]] | None:
    """Status and headers of the reply that lacks a part of its body when `pieces` have been read, or were refused."""
    reader = reader_class(kind)(bytearray(scratch_size))
    with contextlib.suppress(ApiProtocolError):
        for _ in _replies(reader, pieces):
            pass
    left = reader.unfinished()
    return None if left is None else (left.status, left.headers)


def reply(headers: dict[str, str], body: bytes = b"{}") -> Reply:
    """A whole reply with these of the KEPT_HEADERS."""
    made = Reply(200, True)
    for name, value in headers.items():
        made.keep(KEPT_HEADERS[name], value)
    made.body = body
    return made


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces, cut at `places` (taken modulo its length)."""
    ordered = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(ordered)]
