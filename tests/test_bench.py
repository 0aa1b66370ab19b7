"""The benchmarks' own parts: what is measured is what is said, and numbers become tables without a slip."""

from __future__ import annotations

import dataclasses
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from bench import report, rivals, svg
from bench.numbers import Numbers
from bench.places import Unavailable, compiled
from bench.results import public, versions
from bench.server import BenchError, Bout
from bench.targets import Target

try:
    compiled("server")
except Unavailable as error:
    pytest.skip(str(error), allow_module_level=True)


def saturated(runtime: str, round_number: int, cpu_us: float, slots: int = 16) -> dict[str, Any]:
    shape = {"event": "200 B", "work": "plain", "coalesce": False, "slots": slots}
    return {"kind": "saturated", "runtime": runtime, "round": round_number, "cpu_us": cpu_us, **shape}


@pytest.fixture
def numbers(tmp_path: Path) -> Numbers:
    samples = [saturated(rivals.ASYNC.name, n, cost) for n, cost in enumerate((10.0, 12.0, 40.0))]
    samples += [saturated(rivals.RUST.name, n, cost) for n, cost in enumerate((20.0, 20.0, 80.0))]
    content = {
        "name": "load",
        "taken": "2026-01-01T00:00:00Z",
        "machine": {"cpu": "a CPU", "cores": 2, "memory_gib": 4.0, "kernel": "6"},
        "versions": {"python": "3.13.0", "lmi_fast commit": "abc"},
        "flags": {"rounds": 3, "seconds": 1.0},
        "left_out": {"Go aws-lambda-go": "go is not installed"},
        "failed": [],
        "samples": samples,
    }
    (tmp_path / "load.json").write_text(json.dumps(content))
    return Numbers(tmp_path)


def test_medians_over_rounds_and_ratios_within_them(numbers: Numbers) -> None:
    assert numbers.median("cpu_us", runtime=rivals.ASYNC.name) == 12.0
    ratio = numbers.ratio("cpu_us", {"runtime": rivals.ASYNC.name}, {"runtime": rivals.RUST.name})
    assert ratio == 0.5, "the median of 10/20, 12/20 and 40/80, and not 12/20"
    assert numbers.median("cpu_us", runtime="nobody") is None


def test_the_summary_says_what_was_met_missed_and_left_out(numbers: Numbers) -> None:
    text = report.summary(numbers)
    row = next(line for line in text.splitlines() if "N = 16, async, against Rust" in line)
    assert [cell.strip() for cell in row.split("|")[2:5]] == ["<= 0.70x", "0.50x", "met"]
    assert "Go aws-lambda-go left out: go is not installed" in text


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("w", 0.7, 0.7), "met"),
        (Target("w", 0.7, 0.84), "missed by 20%"),
        (Target("w", 1.0, 0.8, least=True), "missed by 25%"),
        (Target("w", 1.0, 1.2, least=True), "met"),
        (Target("w", 0.0, 1.5, "%"), "missed by 1.5 %"),
        (Target("w", 1.0, None), "not measured"),
    ],
)
def test_verdicts(target: Target, verdict: str) -> None:
    assert target.verdict == verdict


def test_plots_are_well_formed(numbers: Numbers) -> None:
    drawn = report.plots(numbers)
    assert set(drawn) == {"cpu-16"}
    drawn["lines"] = svg.lines("a <title>", {"one": [(1, 0.5), (64, 300)], "two": [(1, 2.0)]}, "slots", "ms")
    for text in drawn.values():
        assert ElementTree.fromstring(text).tag.endswith("svg")


def test_a_message_is_made_public_without_places() -> None:
    here = Path(__file__).resolve().parent.parent
    message = f"first of {here}/a\nmiddle\nfrom https://user:secret@host.example/simple and {Path.home()}/b"
    assert public(message) == "first of ./a ... from <address> and ~/b"


@pytest.mark.parametrize("variant", [rivals.FLOOR, rivals.FLOOR_PIPELINED], ids=lambda runtime: runtime.name)
def test_every_invocation_of_a_run_is_counted(variant: rivals.Runtime) -> None:
    with Bout(variant, 4) as bout:
        run = bout.run(500)
    assert run.invocations == 500
    assert 0 < run.cpu_us_each < 10_000
    assert run.per_second > 0


def test_an_open_loop_has_a_latency_for_each_arrival() -> None:
    with Bout(rivals.FLOOR, 4) as bout:
        latencies, _ = bout.open_loop(2000, 200)
    assert len(latencies) == 200
    assert all(0 < latency < 5 for latency in latencies)


def test_a_runtime_that_ends_gives_no_number() -> None:
    ends = dataclasses.replace(rivals.FLOOR, argv=lambda: [sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(BenchError, match="ended with code 1"), Bout(ends, 1):
        pass


def test_error_reports_are_no_answers(tmp_path: Path) -> None:
    (tmp_path / "bench_plain.py").write_text("def handler(event, context): raise ValueError\n")
    fails = dataclasses.replace(
        rivals.SYNC,
        env={},
        argv=lambda: ["env", f"PYTHONPATH={tmp_path}:{Path.cwd()}", sys.executable, "-m", "lmi_fast"],
    )
    with Bout(fails, 2) as bout, pytest.raises(BenchError, match="'faults': 10"):
        bout.run(10)


def test_versions_come_from_what_is_committed() -> None:
    """A rival whose toolchain is missing has left no lock, and costs nobody the results of ten minutes."""
    found = versions()
    for name in ("awslambdaric", "boto3", "lambda_runtime", "aws-lambda-go", "aws-lambda-ric", "node"):
        assert found[name][0].isdigit(), name
