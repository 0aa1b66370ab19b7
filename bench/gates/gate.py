"""What a gate is, and the committed numbers some are held against. Arithmetic only: nothing is measured here.

A gate divides two numbers of the same round, takes the median over the rounds, and holds it against a limit. The limits
of CPU time are wide and written here. Those of counted instructions are narrow, and made of the numbers in counts.json:
ratios for each minor version of Python, which moves them by up to a fifth, and counts for each build of it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import statistics
import sys
import sysconfig
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

COUNTS = Path(__file__).with_name("counts.json")

Round = dict[str, float]

# Two builds of Python 3.11 (-O3 by pyenv, -O2 by Debian) differ by up to 5 % in the ratios.
RATIO_MARGIN = 0.08
COUNT_MARGIN = 0.05
# A build whose key is the same, but not the reference's count, is another one after all.
_SAME_BUILD = 0.02
# What is counted is divided by what; "reference" is bench/gates/reference.py.
RATIOS = (
    ("async", "reference"),
    ("sync", "reference"),
    ("pure", "reference"),
    ("async", "pure"),
    ("sync", "async"),
)
COUNTED = ("async", "sync", "pure")


class Gate(NamedTuple):
    """`above` divided by `below`, or by nothing, is to be at most `limit`."""

    kind: str
    """What is measured: instructions, CPU or start."""
    above: str
    below: str | None
    limit: float

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.ratio}"

    @property
    def ratio(self) -> str:
        return self.above if self.below is None else f"{self.above} / {self.below}"

    def measured(self, rounds: list[Round], slow: str | None = None) -> float:
        """The median over the rounds; the subject `slow` is replaced by what was measured of it slowed down."""

        def value(one: Round, name: str) -> float:
            return one[slowed(name) if name == slow else name]

        return statistics.median(
            value(one, self.above) / (1.0 if self.below is None else value(one, self.below)) for one in rounds
        )

    def line(self, measured: float, name: str = "") -> str:
        """One line for a reader."""
        verdict = "TRIPPED" if self.trips(measured) else "ok"
        # A count well below its reference would hide the next regression.
        if self.below is None and measured < self.limit / (1 + COUNT_MARGIN) * (1 - COUNT_MARGIN):
            verdict = "ok, and better than counts.json says: --update"
        return f"{name or self.name:48} {_show(measured):>9}  limit {_show(self.limit):>9}  {verdict}"

    def trips(self, measured: float) -> bool:
        return not measured <= self.limit  # nor may it be NaN


# Idle, these are about 0.5, 0.06, 0.08, 0.1, 0.97 and 1.23 on the machine they were chosen on. The official runtime's
# own CPU time varies by a quarter, and that of plain handlers from 15 to 40 us, by how often the kernel moves the work
# to another thread: a narrow gate cannot be held on those.
WIDE = (
    Gate("CPU", "async", "pure", 0.8),
    Gate("CPU", "async", "awslambdaric", 1 / 8),
    Gate("CPU", "sync", "awslambdaric", 1 / 4),
    Gate("CPU", "pure", "awslambdaric", 1 / 4),
    Gate("start", "async", "import asyncio, uvloop, msgspec", 1.25),
    Gate("start", "sync", "import msgspec", 1.55),
)

# What is added to prove a gate, as a share of what its subject takes by itself: no less is promised to trip it.
_PROMISES = {"instructions": 0.15, "CPU": 2.0, "start": 0.4}
_PROMISE_SYNC_CPU = 4.0


def promise(kind: str, subject: str) -> float:
    """How much slower a subject has to become for its gates of this kind to be sure to trip."""
    return _PROMISE_SYNC_CPU if (kind, subject) == ("CPU", "sync") else _PROMISES[kind]


def slowed(name: str) -> str:
    """The name under which a subject that was slowed down on purpose is measured."""
    return f"{name}, slowed"


def _show(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3f}"


def minor() -> str:
    """The version of Python that decides which ratios apply."""
    name = "" if sys.implementation.name == "cpython" else f"{sys.implementation.name} "
    return f"{name}{sys.version_info[0]}.{sys.version_info[1]}"


def build_key() -> str:
    """The build that decides which counts apply: exact version, machine, and a digest of how all was compiled."""
    variables = [str(sysconfig.get_config_var(name)) for name in ("CONFIG_ARGS", "PY_CFLAGS", "LDFLAGS", "LIBS")]
    libraries = [metadata.version(name) for name in ("msgspec", "uvloop")]
    return key(platform.python_version(), platform.machine(), platform.python_compiler(), *variables, *libraries)


def key(version: str, machine: str, *how: str) -> str:
    """Where the interpreter was installed to is no part of it."""
    text = "\n".join(how).replace(sys.base_prefix, "")
    return f"{version} {machine} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def read_counts(path: Path = COUNTS) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def updated(counts: Mapping[str, Any], measured: Round, minor: str, key: str) -> dict[str, Any]:
    """`counts` with what was measured of this version and this build."""
    ratios = {f"{above} / {below}": round(measured[above] / measured[below], 4) for above, below in RATIOS}
    absolute = {name: round(measured[name]) for name in (*COUNTED, "reference")}
    return {
        "ratios": dict(sorted({**counts["ratios"], minor: ratios}.items())),
        "counts": dict(sorted({**counts["counts"], key: absolute}.items())),
    }


def write_counts(counts: Mapping[str, Any], path: Path = COUNTS) -> None:
    path.write_text(json.dumps(counts, indent=1) + "\n")


def counting_gates(
    counts: Mapping[str, Any], measured: Round, minor: str, key: str
) -> tuple[list[Gate], dict[str, str]]:
    """The gates of counted instructions for this Python, and those that are left out, with the reason."""
    gates: list[Gate] = []
    left_out: dict[str, str] = {}
    ratios = counts["ratios"].get(minor)
    if ratios is None:
        left_out["instructions: ratios"] = f"counts.json has none for Python {minor}; --update adds them"
    else:
        for above, below in RATIOS:
            limit = ratios[f"{above} / {below}"] * (1 + RATIO_MARGIN)
            gates.append(Gate("instructions", above, below, limit))
    absolute = counts["counts"].get(key)
    if absolute is None:
        left_out["instructions: counts"] = f"counts.json has none for the build {key}; --update adds them"
    elif abs(measured["reference"] / absolute["reference"] - 1) > _SAME_BUILD:
        left_out["instructions: counts"] = (
            f"the reference takes {measured['reference']:.0f} instructions here and {absolute['reference']} in "
            f"counts.json: not the build it was made with"
        )
    else:
        gates += [Gate("instructions", name, None, absolute[name] * (1 + COUNT_MARGIN)) for name in COUNTED]
    return gates, left_out
