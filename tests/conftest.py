"""What every test may ask for: the twins that can be tested here."""

from __future__ import annotations

import importlib.util
import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

PACKAGE = Path(str(importlib.util.find_spec("lmi_fast").origin)).parent  # type: ignore[union-attr]
STALE = [
    module.name
    for types in PACKAGE.rglob("*.pxd")
    for source in (types.with_suffix(".py"), types.with_suffix(".pyx"))
    if source.exists() and (module := types.with_suffix(EXTENSION_SUFFIXES[0])).exists()
    if module.stat().st_mtime < max(source.stat().st_mtime, types.stat().st_mtime)
]
if STALE:
    pytest.exit(f"older than their sources: {', '.join(STALE)}; LMI_FAST_BUILD=yes pip install -e . compiles them", 3)

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
