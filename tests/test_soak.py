"""A short soak, with more faults for each invocation than the long one (python -m soak) has."""

from __future__ import annotations

import pytest

from soak.run import Settings, Soak, failures


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize("processes", [0, 2])
def test_every_invocation_is_answered_once_and_rightly(kind: str, processes: int) -> None:
    settings = Settings(kind, 5_000, 32, processes, seed=20261121, strike_every=400, intensity=8.0)
    soak = Soak(settings)
    soak.run()
    report = soak.report()
    assert failures(report) == [], report
    faults = " ".join(report["faults"])
    for kind_of_fault in ("poll met with", "answer taken, reply: cut", "connections"):
        assert kind_of_fault in faults
    assert (report["deaths"] > 0) == (processes > 0)
