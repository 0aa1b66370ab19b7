"""What a pool has seen so far: picks the live twin."""

from __future__ import annotations

from .._twins import twin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._counts_py import Counts
else:
    Counts = twin("client._counts").Counts

__all__ = ["Counts"]
