"""What every test may ask for: the twins that can be tested here."""

from __future__ import annotations

import importlib.util
import os

import pytest

HAVE_COMPILED = importlib.util.find_spec("lmi_fast.wire._http1_c") is not None
KINDS = ["pure", "compiled", "h11"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of reader; a missing compiled twin is skipped unless this run is said to test it."""
    kind: str = request.param
    if kind == "compiled" and not HAVE_COMPILED:
        if os.environ.get("LMI_FAST_BUILD") == "yes":
            pytest.fail("LMI_FAST_BUILD=yes, and yet the compiled twin is missing")
        pytest.skip("the compiled twin was not built: no C compiler here")
    return kind
