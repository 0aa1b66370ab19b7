"""What a tree of processes has used: CPU time and memory, from the kernel's own accounts.

CPU is read from each process's CPU clock: nanoseconds, threads that have ended included, which neither the ticks of
/proc/<pid>/stat nor the schedstat of the living threads give.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.rie_space import descendants


def tree(root: int) -> list[int]:
    """The process and all its living descendants."""
    return [root, *descendants(root)]


def cpu_ns(pids: list[int]) -> int:
    """CPU nanoseconds, user and system, these processes have used. Raises OSError when one has gone."""
    # CPUCLOCK_SCHED of a whole process, as clock_getcpuclockid(3) makes it; CPython has no call for other processes.
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def machine_busy_ns() -> int:
    """CPU nanoseconds this machine has spent on anything at all, and those its host kept back; in ticks of 10 ms."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def pss_bytes(pids: list[int]) -> int:
    """Proportional set size of these processes together: shared pages are counted once."""
    return sum(_field(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids)


def peak_bytes(pids: list[int]) -> int:
    """The sum of the largest resident sizes these processes ever had."""
    return sum(_field(f"/proc/{pid}/status", "VmHWM") for pid in pids)


def _field(path: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(path).read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that was started with start_new_session=True, and everything it has started."""
    for pid in tree(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def rss_bytes(pid: int) -> int:
    """Resident size of a process, shared pages included."""
    return _field(f"/proc/{pid}/status", "VmRSS")
