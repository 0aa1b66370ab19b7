"""Drives a Reader with bytes cut anywhere, and says what came of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from lmi_fast.errors import ApiProtocolError
from lmi_fast.wire.reply import KEPT_HEADERS, Reply

KINDS = {"pure": "_http1_py", "compiled": "_http1_c", "h11": "_http1_h11"}
SCRATCH = 256  # small, so that bodies outgrow it


def reader_class(kind: str) -> Any:
    return importlib.import_module(f"lmi_fast.wire.{KINDS[kind]}").Reader


def read(kind: str, pieces: Iterable[bytes], scratch_size: int = SCRATCH) -> list[Any]:
    """The replies in `pieces`, each as a tuple, and then how the stream ended: "end" or "error"."""
    reader = reader_class(kind)(bytearray(scratch_size))
    outcome: list[Any] = []
    try:
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
                    outcome.append((reply.status, reply.headers, bytes(reply.body), reply.keep_alive))
                    reply = reader.again()
        last = reader.end()
        if last is not None:
            outcome.append((last.status, last.headers, bytes(last.body), last.keep_alive))
        outcome.append("end")
    except ApiProtocolError:
        outcome.append("error")
    return outcome


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
