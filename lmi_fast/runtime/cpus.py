"""How many CPUs this process may use: its share by the quota of its control group, not what the host has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

ROOT = "/"


def cpu_count(root: str = ROOT) -> int:
    """At least 1. `root`: where `proc` and `sys` are, for tests."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, round(min(_quotas(root), default=available))))


def _quotas(root: str) -> Iterator[float]:
    """In CPUs, of the control group and of all above it."""
    try:
        with open(os.path.join(root, "proc/self/cgroup")) as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    for _, controllers, path in (group for group in groups if len(group) == 3):
        if not controllers:  # version 2
            yield from _upwards(os.path.join(root, "sys/fs/cgroup"), path, _quota_2)
        elif "cpu" in controllers.split(","):
            yield from _upwards(os.path.join(root, "sys/fs/cgroup/cpu"), path, _quota_1)


def _upwards(base: str, path: str, quota: Callable[[str], float | None]) -> Iterator[float]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        found = quota(os.path.join(base, *parts[:count]))
        if found is not None:
            yield found


def _quota_2(folder: str) -> float | None:
    fields = _read(os.path.join(folder, "cpu.max")).split()
    if len(fields) != 2 or fields[0] == "max":
        return None
    return _ratio(*fields)


def _quota_1(folder: str) -> float | None:
    quota = _read(os.path.join(folder, "cpu.cfs_quota_us"))
    return None if quota.startswith("-") else _ratio(quota, _read(os.path.join(folder, "cpu.cfs_period_us")))


def _ratio(quota: str, period: str) -> float | None:
    try:
        return int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
