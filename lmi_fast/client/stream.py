"""Sends and receives on a socket that does not block: picks the live twin."""

from __future__ import annotations

from .._twins import twin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._stream_py import Stream
else:
    Stream = twin("client._stream").Stream

__all__ = ["Stream"]
