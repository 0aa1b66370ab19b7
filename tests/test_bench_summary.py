"""What a pull request is told about its speed: ratios within a pass, held against what cannot have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import rivals
from bench.summary import gate_lines, main

CPU = {rivals.ASYNC.name: 16.0, rivals.FLOOR.name: 8.0, rivals.RUST.name: 20.0, rivals.AWSLAMBDARIC.name: 200.0}


def write(folder: Path, commit: str, cpu: dict[str, float], start_s: float = 0.05, failed: str = "") -> None:
    """What one `python -m bench --quick --only coldstart,saturated` leaves."""
    content = {
        "machine": {"cpu": "a CPU", "cores": 4},
        "versions": {"python": "3.13.0", "lmi_fast commit": commit},
        "left_out": {},
        "failed": [failed] if failed else [],
    }
    case: dict[str, Any] = {"kind": "saturated", "event": "200 B", "slots": 16, "coalesce": False}
    saturated = [{**case, "runtime": name, "round": n, "cpu_us": us} for name, us in cpu.items() for n in range(3)]
    case = {"kind": "coldstart", "slots": 1, "work": "boto", "bytecode": True, "runtime": rivals.ASYNC.name}
    start = [{**case, "round": n, "first_poll_s": start_s, "cpu_s": 0.04} for n in range(3)]
    folder.mkdir()
    for name, samples in {"load": saturated, "coldstart": start}.items():
        (folder / f"{name}.json").write_text(json.dumps({"name": name, **content, "samples": samples}))


def summarised(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    sides = [[str(path) for path in sorted(folder.glob(f"{side}-*"))] for side in ("base", "head")]
    assert main(["--base", *sides[0], "--head", *sides[1], *more]) == 0
    return capsys.readouterr().out


def cells(text: str, name: str) -> list[str]:
    row = next(line for line in text.splitlines() if line.startswith((f"| {name} |", f"| **{name}** |")))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def test_ratios_are_taken_within_a_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The machine is twice as slow from the second pass on, which is nobody's fault.
    for number, slowness in enumerate((1, 2, 2)):
        before = {name: us * slowness for name, us in CPU.items()}
        write(tmp_path / f"base-{number}", "aaa", before)
        write(tmp_path / f"head-{number}", "bbb", {**before, rivals.ASYNC.name: 24.0 * slowness})
    text = summarised(tmp_path, capsys)
    assert text.startswith("## Benchmarks: aaa -> bbb, 3 passes on Python 3.13.0, a CPU, 4 cores\n")
    assert cells(text, rivals.ASYNC.name) == ["32.0", "48.0", "1.50 slower"]
    assert cells(text, rivals.RUST.name) == ["40.0", "40.0", "1.00"]


def test_less_than_the_machine_moved_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "base-1", "aaa", CPU)
    moved = {rivals.FLOOR.name: 8.4, rivals.RUST.name: 19.0, rivals.AWSLAMBDARIC.name: 300.0}
    write(tmp_path / "head-1", "bbb", {**CPU, **moved, rivals.ASYNC.name: 17.4})
    text = summarised(tmp_path, capsys)
    assert cells(text, rivals.ASYNC.name)[-1] == "1.09"
    assert "noise: 10%" in text, "twice the median of 5, 5 and 50"


def test_one_pass_alone_decides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, us in enumerate((24.0, 24.0, 16.0)):
        write(tmp_path / f"base-{number}", "aaa", CPU)
        write(tmp_path / f"head-{number}", "bbb", {**CPU, rivals.ASYNC.name: us})
    assert cells(summarised(tmp_path, capsys), rivals.ASYNC.name) == ["16.0", "24.0", "1.50"]


def test_what_became_faster_is_said_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "base-1", "aaa", CPU)
    write(tmp_path / "head-1", "bbb", {**CPU, rivals.ASYNC.name: 12.0}, start_s=0.025)
    text = summarised(tmp_path, capsys)
    assert cells(text, rivals.ASYNC.name) == ["16.0", "12.0", "0.75 faster"]
    start = text[text.index("Start,") :]
    assert cells(start, rivals.ASYNC.name) == ["1", "boto3", "50.0", "25.0", "0.50 faster", "40.0", "40.0", "1.00"]


def test_a_run_that_failed_leaves_a_summary_that_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "base-1", "aaa", {rivals.ASYNC.name: 16.0}, failed="no answer\nfor long")
    write(tmp_path / "head-1", "bbb", {rivals.RUST.name: 20.0})
    text = summarised(tmp_path, capsys)
    assert cells(text, rivals.ASYNC.name) == ["", "", ""]
    assert "base: failed: no answer" in text
    nothing = [f"--{side}={tmp_path}/{side}-*" for side in ("base", "head")]  # as a shell hands on what matches nothing
    assert main(nothing) == 0
    assert capsys.readouterr().out.startswith("## Benchmarks: nothing was measured")


def test_the_gates_are_quoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "base-1", "aaa", CPU)
    write(tmp_path / "head-1", "bbb", CPU)
    printed = tmp_path / "gates.txt"
    lines = ["CPU: async / pure    0.523  limit 0.800  ok", "passed, in 60 s"]
    setting_up = "--- setting up .venv\nSuccessfully installed pip\n--- .venv: python -m bench.gates\n"
    printed.write_text(setting_up + "\n".join(lines) + "\n")
    assert gate_lines(printed.read_text()) == lines
    assert "```text\n" + "\n".join(lines) + "\n```" in summarised(tmp_path, capsys, "--gates", str(printed))
    assert "```" not in summarised(tmp_path, capsys, "--gates", str(tmp_path / "none"))
