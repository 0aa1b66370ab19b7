"""Both twins count alike."""

from __future__ import annotations

import importlib
import time
from typing import Any

import pytest

from ..conftest import HAVE_COMPILED


@pytest.fixture(params=["_counts_py", *(["_counts_c"] if HAVE_COMPILED else [])])
def counts(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(f"lmi_fast.client.{request.param}").Counts()


def test_an_invocation_and_its_poll(counts: Any) -> None:
    before = time.monotonic()
    began = counts.came(100)
    assert before <= began <= time.monotonic()
    ended = counts.answered(began - 2.0, 30)
    assert began <= ended
    counts.answered(began, 5)
    assert (counts.invocations, counts.answers) == (1, 2)
    assert (counts.bytes_received, counts.bytes_sent) == (100, 35)
    assert counts.handling == pytest.approx(2.0, abs=0.5)
    assert 2.0 <= counts.handler_max < 2.5
    counts.parked(ended - 3.0, False)
    counts.parked(ended, False)
    counts.parked(0.0, False)  # it had no answer to give
    assert counts.reparks == 2
    assert counts.reparking == pytest.approx(3.0, abs=0.5)
    assert 3.0 <= counts.repark_max < 3.5


def test_how_long_no_poll_was_parked(counts: Any) -> None:
    counts.parked(0.0, True)
    assert (counts.saturated, counts.empty_since) == (0.0, 0.0)
    before = time.monotonic()
    counts.emptied()
    assert before <= counts.empty_since <= time.monotonic()
    while time.monotonic() - before < 0.02:
        pass
    counts.parked(0.0, False)  # another one is, but none was: only the first can end it
    assert counts.saturated == 0.0
    counts.parked(0.0, True)
    assert 0.0 < counts.saturated <= time.monotonic() - before
    assert counts.empty_since == 0.0
