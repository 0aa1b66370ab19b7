"""A busy loop: the deliberate slowdown of `--slow` and `--prove`. Its module of its own imports next to nothing."""

from __future__ import annotations

from itertools import repeat


def spin(rounds: int) -> None:
    """Each round costs the same; those of range() do not, because small integers are ready-made."""
    for _ in repeat(None, rounds):
        pass
