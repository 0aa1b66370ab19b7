"""What the processes hold: memory, descriptors and threads, over time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from bench.processes import rss_bytes


class Count(NamedTuple):
    """One look at a process, after so many invocations."""

    invocations: int
    rss: int
    descriptors: int
    threads: int


def look(pid: int, invocations: int) -> Count:
    """Raises OSError when the process has gone."""
    return Count(
        invocations,
        rss_bytes(pid),
        len(os.listdir(f"/proc/{pid}/fd")),
        len(list(Path(f"/proc/{pid}/task").iterdir())),
    )


def slope(counts: list[Count]) -> float:
    """Bytes of memory for each thousand invocations, by least squares over the second half of `counts`."""
    half = counts[len(counts) // 2 :]
    if len(half) < 2:
        return 0.0
    middle_x = sum(count.invocations for count in half) / len(half)
    middle_y = sum(count.rss for count in half) / len(half)
    spread = sum((count.invocations - middle_x) ** 2 for count in half)
    together = sum((count.invocations - middle_x) * (count.rss - middle_y) for count in half)
    return 1000 * together / spread if spread else 0.0
