"""Reads HTTP/1.1 replies: picks the live twin.

    reader = Reader(scratch)                 # scratch: where received bytes land; may be shared by many readers
    n = sock.recv_into(reader.buffer())
    reply = reader.received(n)               # a whole Reply, or None: more is needed

The twins are fast readers of the replies the Runtime API really sends. What they do not recognise they hand over, bytes
and all, to h11, so that h11 alone decides what is valid HTTP: a twin accepts only what h11 accepts, with equal results.
"""

from __future__ import annotations

from .._twins import twin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._http1_py import Reader
else:
    Reader = twin("wire._http1").Reader

__all__ = ["Reader"]
