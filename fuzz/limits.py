"""The readers' limits, made small, so that short inputs reach them; what is larger than what stays as it is."""

from __future__ import annotations

from typing import Any

SMALL = {"MAX_FAST_HEAD": 700, "MAX_HEAD": 1400, "MAX_BODY": 5000}
MAX_INPUT = 2500  # two replies with heads of the largest size that a fast reader reads


def make_small() -> None:
    """Before the readers are imported: that is when they take the limits from lmi_fast.wire.reply."""
    from lmi_fast.wire import reply

    limits: Any = reply
    for name, value in SMALL.items():
        setattr(limits, name, value)
