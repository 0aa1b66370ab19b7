"""Tells the C library how the memory of many threads is best kept: the pure twin, which cannot."""

from __future__ import annotations


def use_one_arena() -> bool:
    """Returns False: the environment can do what the compiled twin does, with MALLOC_ARENA_MAX=1."""
    return False
