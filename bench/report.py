"""python -m bench.report: bench/README.md and its plots, from the JSON in bench/results and from nothing else.

Every number is computed. Change the words here, not there.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import load, rivals, svg, tail, ways, web
from bench.numbers import Numbers
from bench.places import BENCH, RESULTS
from bench.targets import refused_percent, targets

_HEAD = """# What lmi_fast costs, beside its rivals

Made by `python -m bench.report` from the JSON in [results](results); nothing here is typed by hand.
`python -m bench` measures it all again, `--quick` the most telling part in a few minutes, `--only load,memory` some.
A rival whose toolchain a machine lacks is left out and named.
"""

_METHOD = """## How it is measured

- **Saturated**: [server.c](server.c) plays the Runtime API on one thread and answers at once, each reply in a write of
  its own. Only in the column that says coalesced a 202 and the event behind it share one, as real servers never do.
- **CPU** is that of the runtime's whole process tree, by each process's own CPU clock, between two moments of rest.
  What the kernel does for its sockets is in it; start and warm-up are not.
- Every answer is counted: an id that was not handed out, a second answer or an error report makes the run void.
- **Emulator**: AWS's runtime interface emulator, and closed-loop clients that send the next invoke when they have an
  answer. A refused invoke found no poll; CPU is divided by the invocations that were served.
- **Rounds** are interleaved (A B C A B C), each run is a process of its own. Tables have medians over the rounds;
  ratios are taken within a round, then their median. [results](results) has every sample.
- **The C floor** ([floor.c](floor.c)) makes the same system calls on one thread and decodes nothing: *serial*, it
  answers and polls in two writes and two reads, as many as lmi_fast needs while few polls are parked, which they are
  whenever it is saturated; *pipelined*, in one write, which costs refused invokes.
- **Handlers** return `{"statusCode": 200, "body": "ok"}`, or the event where it says echo. The official Python runtime
  runs twice: as AWS's managed runtimes start it, with a variable that costs it a thread per poll, and as in a container
  image. Where one is named, it is the first.
- **Latency** is taken in an open loop, from the scheduled arrival, Poisson: a stall counts for all that it delays.
- **Start**: from just before exec until the server has the poll. Without bytecode nothing finds any, the standard
  library included. For the interpreter alone, the first time is that of its last import.
"""


def main(arguments: Sequence[str]) -> int:
    """Writes the README and its plots, or with a folder as argument prints the summary of what is in it."""
    if arguments:
        print(summary(Numbers(Path(arguments[0]))))
        return 0
    write(Numbers(RESULTS))
    return 0


def write(numbers: Numbers) -> None:
    """Makes bench/README.md and bench/plots of all there is."""
    folder = BENCH / "plots"
    folder.mkdir(exist_ok=True)
    drawn = plots(numbers)
    for name, text in drawn.items():
        (folder / f"{name}.svg").write_text(text)

    def plot(name: str, title: str) -> str:
        return f"![{title}](plots/{name}.svg)\n" if name in drawn else ""

    parts = [
        _HEAD,
        _machine(numbers),
        plot("cpu-16", "CPU per invocation of every runtime"),
        "## Targets\n",
        _targets(numbers),
        "## CPU per invocation, saturated\n",
        _saturated(numbers),
        plot("cpu-64", "CPU per invocation of every runtime, 64 slots"),
        "## One process or several, and what features cost\n",
        _ways(numbers),
        "## A web application\n",
        _web(numbers),
        "## Under AWS's emulator\n",
        _emulated(numbers),
        "## Memory\n",
        plot("memory", "Memory against slots"),
        _memory(numbers),
        "## Start\n",
        plot("coldstart", "Start-up against slots"),
        _coldstart(numbers),
        "## Latency\n",
        plot("latency", "Latency percentiles"),
        _tail(numbers),
        _METHOD,
        _flaws(numbers),
    ]
    (BENCH / "README.md").write_text("\n".join(part for part in parts if part))


def summary(numbers: Numbers) -> str:
    """The targets and the CPU table as text for a terminal."""
    return "\n".join(
        [_machine(numbers), _saturated(numbers), _emulated(numbers), _targets(numbers, False), _flaws(numbers)]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "|" + "|".join(
        "-" * (width + 1) + ":" * bool(column) + "-" * (not column) for column, width in enumerate(widths)
    )
    return "\n".join([text[0], rule + "|", *text[1:], ""])


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _machine(numbers: Numbers) -> str:
    lines = []
    for name, content in numbers.files.items():
        machine, flags, versions = content["machine"], content["flags"], content["versions"]
        lines.append(
            f"- {name}: {content['taken'][:10]}, {machine['cpu']}, {machine['cores']} cores, "
            f"{machine['memory_gib']} GiB, Linux {machine['kernel']}; {flags['rounds']} rounds of about "
            f"{flags['seconds']:g} s; lmi_fast {versions['lmi_fast commit']}"
        )
    if not lines:
        return "No results yet.\n"
    others = [sample["others"] for sample in numbers.samples if "others" in sample]
    if others:
        lines.append(f"- CPU that others took of the machine meanwhile: {statistics.median(others):.0%} (median)")
    versions = next(iter(numbers.files.values()))["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "lmi_fast commit")
    return "\n".join([*lines, f"- versions: {named}", ""])


def _targets(numbers: Numbers, everything: bool = True) -> str:
    found = targets(numbers)
    measured = [row for row in found if row.met is not None]
    rows = [
        [row.what, row.bound, row.show(row.measured), row.verdict] for row in found if everything or row in measured
    ]
    met = sum(bool(row.met) for row in measured)
    return f"{met} of {len(measured)} measured are met.\n\n" + _table(["what", "target", "measured", ""], rows)


def _saturated(numbers: Numbers) -> str:
    kind: dict[str, Any] = {"kind": "saturated"}
    columns = [
        (f"{event}{', echo' if work == 'echo' else ''}{', coalesced' if joined else ''}, N = {slots}", case)
        for event in numbers.values("event", **kind)
        for work in numbers.values("work", event=event, **kind)
        for joined in (False, True)
        for slots in numbers.values("slots", event=event, work=work, coalesce=joined, **kind)
        if slots in (1, 16, 64) and not (slots == 1 and event == "200 B")
        for case in [{**kind, "event": event, "work": work, "coalesce": joined, "slots": slots}]
    ]
    names = [runtime.name for runtime in load.ALL if numbers.values("cpu_us", runtime=runtime.name, **kind)]
    parts = ["us of CPU per invocation:\n"]
    parts.append(_cross(numbers, names, columns, "cpu_us"))
    parts.append("Invocations per second:\n")
    parts.append(_cross(numbers, names, columns, "per_second", 0))
    across = {**kind, "event": "200 B", "work": "plain", "coalesce": False}
    many = [(f"N = {slots}", {**across, "slots": slots}) for slots in sorted(numbers.values("slots", **across))]
    if len(many) > 3:
        ours = [rivals.FLOOR.name, rivals.ASYNC.name, rivals.SYNC.name]
        parts += [
            "us of CPU per invocation against the number of slots, 200 B:\n",
            _cross(numbers, ours, many, "cpu_us"),
        ]
    return "\n".join(parts)


def _cross(
    numbers: Numbers, names: Sequence[str], columns: Sequence[tuple[str, dict[str, Any]]], field: str, digits: int = 1
) -> str:
    rows = []
    for name in names:
        cells = [numbers.median(field, runtime=name, **case) for _, case in columns]
        rows.append([name, *(_number(cell, digits) for cell in cells)])
    return _table(["", *(title for title, _ in columns)], rows)


def _emulated(numbers: Numbers) -> str:
    rows = []
    kind = {"kind": "emulated"}
    for slots in numbers.values("slots", **kind):
        for clients in numbers.values("clients", slots=slots, **kind):
            for name in numbers.values("runtime", **kind):
                case: dict[str, Any] = {**kind, "slots": slots, "clients": clients, "runtime": name}
                cpu = numbers.median("cpu_us", **case)
                served = numbers.median("per_second", **case)
                refused = refused_percent(numbers, name, slots, clients)
                rows.append([name, str(slots), str(clients), _number(cpu), _number(served, 0), _number(refused, 2)])
    return _table(["", "slots", "clients", "us of CPU per served", "served per second", "refused %"], rows)


def _ways(numbers: Numbers) -> str:
    kind = {"kind": "ways"}
    rows = []
    for name in numbers.values("runtime", **kind):
        case: dict[str, Any] = {**kind, "runtime": name}
        cells = [
            _number(numbers.median("cpu_us", **case)),
            _number(numbers.median("per_second", **case), 0),
            _number(numbers.median("idle_cpu_ms_per_s", **case), 2),
            _number(numbers.median("all_polls_s", 1e3, **case)),
            _number(numbers.median("pss_bytes", 2.0**-20, **case)),
        ]
        rows.append([name, *cells])
    head = ["", "us of CPU each", "per second", "ms of CPU per idle s", "boto3: all polls, ms", "boto3: MiB of PSS"]
    text = f"{ways.SLOTS} slots, 200 B, saturated; two workers and the server share the machine's CPUs:\n\n"
    return text + _table(head, rows) if rows else ""


def _web(numbers: Numbers) -> str:
    kind = {"kind": "web"}
    rows = []
    for name in numbers.values("runtime", **kind):
        case: dict[str, Any] = {**kind, "runtime": name}
        cells = [
            _number(numbers.median("cpu_us", **case)),
            _number(numbers.median("first_process_us", **case)),
            _number(numbers.median("per_second", **case), 0),
            _number(numbers.median("pss_bytes", 2.0**-20, **case)),
        ]
        rows.append([name, *cells])
    head = ["", "us of CPU each", "of it the first process", "per second", "MiB of PSS"]
    text = f"A JSON endpoint of FastAPI, {web.SLOTS} slots, saturated; the first process of two is the adapter:\n\n"
    return text + _table(head, rows) if rows else ""


def _memory(numbers: Numbers) -> str:
    kind = {"kind": "memory"}
    slots = sorted(numbers.values("slots", **kind))
    rows = []
    for work in numbers.values("work", **kind):
        for name in numbers.values("runtime", work=work, **kind):
            cells = [numbers.median("pss_bytes", 2.0**-20, runtime=name, work=work, slots=n, **kind) for n in slots]
            rows.append([f"{name}{', boto3' if work == 'boto' else ''}", *map(_number, cells)])
    return "MiB of PSS:\n\n" + _table(["", *(f"N = {n}" for n in slots)], rows) if rows else ""


def _coldstart(numbers: Numbers) -> str:
    kind = {"kind": "coldstart"}
    rows = []
    for slots in numbers.values("slots", **kind):
        for work in numbers.values("work", slots=slots, **kind):
            for bytecode in numbers.values("bytecode", slots=slots, work=work, **kind):
                for name in numbers.values("runtime", slots=slots, work=work, bytecode=bytecode, **kind):
                    case: dict[str, Any] = {**kind, "slots": slots, "work": work, "bytecode": bytecode, "runtime": name}
                    fields = ("first_poll_s", "all_polls_s", "cpu_s")
                    cells = [numbers.median(field, 1e3, **case) for field in fields]
                    handler = "boto3" if work == "boto" else "bare" if slots else ""
                    row = [name, str(slots or ""), handler, "" if bytecode else "no"]
                    rows.append([*row, *map(_number, cells)])
    head = ["", "slots", "handler", "bytecode", "first poll, ms", "all polls, ms", "CPU, ms"]
    return _table(head, rows) if rows else ""


def _tail(numbers: Numbers) -> str:
    shown = ("0.5", "0.9", "0.99", "0.999", "1.0")
    rows = []
    for name in numbers.values("runtime", kind="tail"):
        cells = [numbers.quantile(q, name) for q in shown]
        rows.append([name, *(_number(cell, 2) for cell in cells)])
    what = f"ms beyond the handler's {tail.HANDLER_S * 1e3:.0f}, {tail.SLOTS} slots, {tail.RATE:.0f} arrivals a second "
    return f"{what}({tail.LOAD:.0%} of capacity):\n\n" + _table(["", "p50", "p90", "p99", "p99.9", "most"], rows)


def _flaws(numbers: Numbers) -> str:
    """What was left out, and what failed."""
    lines = []
    for name, content in numbers.files.items():
        lines += [f"- {name}: {what} left out: {reason}" for what, reason in content["left_out"].items()]
        lines += [f"- {name}: failed: {reason.splitlines()[0]}" for reason in content["failed"]]
    return "\n".join(["## Left out, and failed\n", *lines, ""]) if lines else ""


def plots(numbers: Numbers) -> dict[str, str]:
    """Name to SVG, of whatever there are numbers for."""
    found: dict[str, str] = {}
    for slots in (16, 64):
        case: dict[str, Any] = {"kind": "saturated", "event": "200 B", "coalesce": False, "slots": slots}
        rows = []
        for name in numbers.values("runtime", **case):
            if (cost := numbers.median("cpu_us", runtime=name, **case)) is not None:
                rows.append((name, cost))
        if rows:
            title = f"CPU per invocation, 200 B event, {slots} slots, saturated"
            found[f"cpu-{slots}"] = svg.bars(title, sorted(rows, key=lambda row: row[1]), "us")
    found |= _over_slots(numbers, "memory", "pss_bytes", 2.0**-20, "PSS, handler importing boto3", "MiB")
    start = "From exec until all slots poll, handler importing boto3"
    found |= _over_slots(numbers, "coldstart", "all_polls_s", 1e3, start, "ms", bytecode=True)
    shown = {"0.5": "p50", "0.9": "p90", "0.99": "p99", "0.999": "p99.9"}
    latency = {}
    for name in numbers.values("runtime", kind="tail"):
        points = [(at, numbers.quantile(q, name)) for at, q in enumerate(shown)]
        latency[name] = [(float(at), max(0.01, value)) for at, value in points if value is not None]
    if latency:
        title = f"Latency beyond the handler's 50 ms, {tail.SLOTS} slots, {tail.LOAD:.0%} of capacity"
        names = {float(at): name for at, name in enumerate(shown.values())}
        found["latency"] = svg.lines(title, latency, "", "ms", names)
    return found


def _over_slots(
    numbers: Numbers, kind: str, field: str, scale: float, title: str, unit: str, **more: Any
) -> dict[str, str]:
    curves = {}
    case: dict[str, Any] = {"kind": kind, "work": "boto", **more}
    for name in numbers.values("runtime", **case):
        slots = sorted(numbers.values("slots", runtime=name, **case))
        points = [(float(n), numbers.median(field, scale, runtime=name, slots=n, **case)) for n in slots]
        if len(points) > 1:
            curves[name] = [(n, value) for n, value in points if value is not None]
    return {kind: svg.lines(title, curves, "slots", unit)} if curves else {}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
