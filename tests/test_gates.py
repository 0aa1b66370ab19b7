"""The arithmetic of the gates against slow code: limits, keys, and what is left out. bench/gates measures."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from bench.gates import kinds
from bench.gates.gate import (
    COUNT_MARGIN,
    COUNTED,
    RATIO_MARGIN,
    RATIOS,
    WIDE,
    Gate,
    Round,
    counting_gates,
    key,
    promise,
    read_counts,
    slowed,
    updated,
    write_counts,
)

MEASURED: Round = {"async": 45_000.0, "sync": 43_000.0, "pure": 187_000.0, "reference": 53_000.0}
COUNTS = updated({"ratios": {}, "counts": {}}, MEASURED, "3.13", "this build")


def tripped(measured: Round, gates: list[Gate]) -> set[str]:
    return {gate.ratio for gate in gates if gate.trips(gate.measured([measured]))}


def test_a_gate_takes_the_median_of_the_ratios_and_not_the_ratio_of_the_medians() -> None:
    gate = Gate("CPU", "a", "b", 0.5)
    rounds = [{"a": 1.0, "b": 10.0}, {"a": 100.0, "b": 200.0}, {"a": 30.0, "b": 50.0}]
    assert gate.measured(rounds) == 0.5


def test_a_gate_holds_at_its_limit_and_trips_above() -> None:
    gate = Gate("CPU", "a", "b", 0.5)
    assert [gate.trips(value) for value in (0.4, 0.5, 0.5001, math.nan, math.inf)] == [False, False, True, True, True]


def test_only_the_subject_that_is_slowed_is_replaced() -> None:
    one = {"a": 1.0, slowed("a"): 3.0, "b": 2.0, slowed("b"): 8.0}
    gate = Gate("CPU", "a", "b", 1.0)
    assert [gate.measured([one]), gate.measured([one], "a"), gate.measured([one], "b")] == [0.5, 1.5, 0.125]


def test_what_was_counted_passes_its_own_gates() -> None:
    gates, left_out = counting_gates(COUNTS, MEASURED, "3.13", "this build")
    assert len(gates) == len(RATIOS) + len(COUNTED)
    assert not left_out
    assert not tripped(MEASURED, gates)


def test_noise_trips_nothing() -> None:
    gates, _ = counting_gates(COUNTS, MEASURED, "3.13", "this build")
    for name in MEASURED:
        for factor in (0.98, 1.02):
            assert not tripped({**MEASURED, name: MEASURED[name] * factor}, gates)


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_promised_trips_every_gate_of_its_subject(name: str) -> None:
    gates, _ = counting_gates(COUNTS, MEASURED, "3.13", "this build")
    slower = {**MEASURED, name: MEASURED[name] * (1 + promise("instructions", name))}
    assert tripped(slower, gates) == {gate.ratio for gate in gates if gate.above == name}
    assert promise("instructions", name) > max(RATIO_MARGIN, COUNT_MARGIN)


def test_another_build_of_the_same_version_has_the_ratios_only() -> None:
    gates, left_out = counting_gates(COUNTS, MEASURED, "3.13", "another build")
    assert [(gate.above, gate.below) for gate in gates] == list(RATIOS)
    assert "another build" in left_out["instructions: counts"]


def test_the_same_key_with_another_count_of_the_reference_is_another_build() -> None:
    gates, left_out = counting_gates(COUNTS, {**MEASURED, "reference": 55_000.0}, "3.13", "this build")
    assert len(gates) == len(RATIOS)
    assert "55000" in left_out["instructions: counts"]


def test_another_version_has_neither() -> None:
    gates, left_out = counting_gates(COUNTS, MEASURED, "3.14", "another build")
    assert not gates
    assert set(left_out) == {"instructions: ratios", "instructions: counts"}


def test_an_update_replaces_what_is_of_this_build_and_keeps_the_rest(tmp_path: Path) -> None:
    faster = {**MEASURED, "async": 40_000.0}
    both = updated(updated(COUNTS, MEASURED, "3.11", "old"), faster, "3.13", "this build")
    path = tmp_path / "counts.json"
    write_counts(both, path)
    assert read_counts(path) == both
    assert both["counts"]["old"]["async"] == 45_000
    assert both["counts"]["this build"]["async"] == 40_000
    assert both["ratios"]["3.11"] == COUNTS["ratios"]["3.13"]


def test_a_count_far_below_its_reference_asks_for_an_update() -> None:
    gate = Gate("instructions", "async", None, 45_000 * (1 + COUNT_MARGIN))
    assert "--update" not in gate.line(44_000)
    assert "--update" in gate.line(40_000)
    assert gate.line(50_000).endswith("TRIPPED")


def test_a_key_is_of_the_build_and_not_of_the_place_it_lies_in() -> None:
    here = key("3.13.0", "x86_64", f"'--prefix={sys.base_prefix}' '--enable-shared'", "-O3")
    assert here == key("3.13.0", "x86_64", "'--prefix=' '--enable-shared'", "-O3")
    others = [
        key("3.13.1", "x86_64", "'--prefix=' '--enable-shared'", "-O3"),
        key("3.13.0", "aarch64", "'--prefix=' '--enable-shared'", "-O3"),
        key("3.13.0", "x86_64", "'--prefix='", "-O3"),
        key("3.13.0", "x86_64", "'--prefix=' '--enable-shared'", "-O2"),
    ]
    assert len({here, *others}) == 5


def test_the_committed_counts_are_whole() -> None:
    counts = read_counts()
    for ratios in counts["ratios"].values():
        assert set(ratios) == {f"{above} / {below}" for above, below in RATIOS}
    for build, numbers in counts["counts"].items():
        assert set(numbers) == {*COUNTED, "reference"}
        assert ".".join(build.split(".")[:2]) in counts["ratios"]


def test_the_wide_gates_promise_more_than_noise() -> None:
    assert all(promise(gate.kind, gate.above) >= 0.4 for gate in WIDE)


@pytest.mark.parametrize(("ci", "fatal"), [("true", True), ("", False), ("false", False)])
def test_what_cannot_be_had_is_left_out_except_in_ci(
    ci: str, fatal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))  # no valgrind there
    if fatal:
        with pytest.raises(kinds.CannotGate, match="valgrind is not installed"):
            kinds.take("instructions")
    else:
        taken = kinds.take("instructions")
        assert not taken.gates
        assert "valgrind is not installed" in taken.left_out["instructions"]
