"""python -m bench.summary --base FOLDER... --head FOLDER...: what a change does to CPU and start-up, as markdown.

A folder holds the JSON of one `python -m bench --quick`. Base and head took turns on one machine, so the first folder
of one stands beside the first of the other: ratios are taken within such a pass, then their median. What is not ours
did not change, and shows how much the machine itself did; a verdict is more than that, in every pass.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.numbers import Numbers

HEADING = "## Benchmarks"
_LEAST = 0.03  # no run is quieter than that

Pass = tuple[Numbers, Numbers]
"""Base, and the head measured after it."""


class Compared(NamedTuple):
    """One number before and after a change: medians over the passes, and the ratio in each of them."""

    base: float
    head: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def verdict(self, noise: float) -> str:
        """Something only if all passes say so: one of them is disturbed now and then."""
        if all(ratio > 1 + noise for ratio in self.ratios):
            return " slower"
        return " faster" if all(ratio < 1 / (1 + noise) for ratio in self.ratios) else ""


class Row(NamedTuple):
    """What was measured, and each of its numbers."""

    runtime: str
    case: tuple[str, ...]
    numbers: tuple[Compared | None, ...]

    @property
    def ours(self) -> bool:
        return self.runtime.startswith("lmi_fast")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.summary", description=__doc__)
    parser.add_argument("--base", type=Path, nargs="+", required=True, help="results of the commit before, in order")
    parser.add_argument("--head", type=Path, nargs="+", required=True, help="results of the change, in order")
    parser.add_argument("--gates", type=Path, help="what `python3 dev.py gates` printed")
    chosen = parser.parse_args(arguments)
    passes = list(zip(map(Numbers, sorted(chosen.base)), map(Numbers, sorted(chosen.head)), strict=False))
    gates = chosen.gates.read_text() if chosen.gates and chosen.gates.is_file() else ""
    print(summary(passes, gates))
    return 0


def summary(passes: Sequence[Pass], gates: str = "") -> str:
    """All of it, for the page of a run and for a comment on a pull request."""
    parts = [f"{HEADING}: {_what(passes)}\n"]
    if rows := list(_saturated(passes)):
        parts += ["CPU per invocation, saturated, 16 slots, 200 B:\n", _table(["", "us"], rows)]
    if rows := list(_starts(passes)):
        head = ["", "slots", "handler", "first poll, ms", "CPU, ms"]
        parts += ["Start, from exec until the first poll:\n", _table(head, rows)]
    parts += [f"- {line}" for line in _flaws(passes)]
    if lines := gate_lines(gates):
        parts += ["\nGates:\n", "```text", *lines, "```"]
    return "\n".join(parts)


def gate_lines(text: str) -> list[str]:
    """What the gates said, without what was said while their environment was set up."""
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line.startswith("--- ")]
    return lines[starts[-1] + 1 if starts else 0 :]


def _what(passes: Sequence[Pass]) -> str:
    for base, head in passes:
        if base.files and head.files:
            before, after = next(iter(base.files.values())), next(iter(head.files.values()))
            commits = [content["versions"]["lmi_fast commit"] for content in (before, after)]
            machine = after["machine"]
            where = f"Python {after['versions']['python']}, {machine['cpu']}, {machine['cores']} cores"
            return f"{commits[0]} -> {commits[1]}, {len(passes)} passes on {where}"
    return "nothing was measured of both commits"


def _saturated(passes: Sequence[Pass]) -> Iterator[Row]:
    case: dict[str, Any] = {"kind": "saturated", "event": "200 B", "slots": 16, "coalesce": False}
    for runtime in _values(passes, "runtime", **case):
        yield Row(runtime, (), (_compared(passes, "cpu_us", 1.0, runtime=runtime, **case),))


def _starts(passes: Sequence[Pass]) -> Iterator[Row]:
    case: dict[str, Any] = {"kind": "coldstart", "bytecode": True}
    for slots in _values(passes, "slots", **case):
        for work in _values(passes, "work", slots=slots, **case):
            for runtime in _values(passes, "runtime", slots=slots, work=work, **case):
                one: dict[str, Any] = {**case, "slots": slots, "work": work, "runtime": runtime}
                handler = "" if not slots else "boto3" if work == "boto" else "bare"
                numbers = tuple(_compared(passes, field, 1e3, **one) for field in ("first_poll_s", "cpu_s"))
                yield Row(runtime, (str(slots or ""), handler), numbers)


def _values(passes: Sequence[Pass], field: str, **wanted: Any) -> list[Any]:
    found = [value for both in passes for numbers in both for value in numbers.values(field, **wanted)]
    return list(dict.fromkeys(found))


def _compared(passes: Sequence[Pass], field: str, scale: float, **wanted: Any) -> Compared | None:
    """None unless a pass has both."""
    pairs = [(base.median(field, scale, **wanted), head.median(field, scale, **wanted)) for base, head in passes]
    both = [(base, head) for base, head in pairs if base and head is not None]
    if not both:
        return None
    before, after = (statistics.median(side) for side in zip(*both, strict=True))
    return Compared(before, after, tuple(head / base for base, head in both))


def _table(head: list[str], rows: Sequence[Row]) -> str:
    """A row for each runtime; of each number base, head, their ratio, and what is to be thought of it."""
    count = len(rows[0].numbers)
    cases, names = head[:-count], head[-count:]
    noise = [_noise(rows, n) for n in range(count)]
    titles = [title for name, most in zip(names, noise, strict=True) for title in _titles(name, most)]
    lines = [[*cases, *titles], [*("---" for _ in cases), *("--:" for _ in titles)]]
    for row in rows:
        cells = [
            cell
            for number, most in zip(row.numbers, noise, strict=True)
            for cell in _cells(number, most if row.ours else None)
        ]
        lines.append([f"**{row.runtime}**" if row.ours else row.runtime, *row.case, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _noise(rows: Sequence[Row], n: int) -> float:
    """How far a ratio may be from 1: twice the median of what has not changed. (awslambdaric alone moves more.)"""
    moved = [abs(number.ratio - 1) for row in rows if not row.ours and (number := row.numbers[n])]
    return max(_LEAST, 2 * statistics.median(moved)) if moved else _LEAST


def _titles(name: str, noise: float) -> list[str]:
    return [f"{name}, before", "after", f"ratio (noise: {noise:.0%})"]


def _cells(number: Compared | None, noise: float | None) -> list[str]:
    if number is None:
        return ["", "", ""]
    verdict = "" if noise is None else number.verdict(noise)
    return [f"{number.base:,.1f}", f"{number.head:,.1f}", f"{number.ratio:.2f}{verdict}"]


def _flaws(passes: Sequence[Pass]) -> list[str]:
    """What was left out, and what failed: once each."""
    lines = []
    for side, numbers in ((side, one) for both in passes for side, one in zip(("base", "head"), both, strict=True)):
        for content in numbers.files.values():
            lines += [f"{side}: {name} left out: {reason}" for name, reason in content["left_out"].items()]
            lines += [f"{side}: failed: {reason.splitlines()[0]}" for reason in content["failed"]]
    return list(dict.fromkeys(lines))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
