"""What every test may ask for: the twins that can be tested here."""

from __future__ import annotations

import importlib.util
import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

PACKAGE = Path(str(importlib.util.find_spec("lmi_fast").origin)).parent  # type: ignore[union-attr]
SHARED_OBJECT = PACKAGE / f"_compiled{EXTENSION_SUFFIXES[0]}"
if SHARED_OBJECT.exists():
    types = [*PACKAGE.rglob("*.pxd"), *PACKAGE.rglob("*.pyx")]
    sources = [*types, *(source for path in types if (source := path.with_suffix(".py")).exists())]
    if stale := [path.name for path in sources if path.stat().st_mtime > SHARED_OBJECT.stat().st_mtime]:
        pytest.exit(
            f"newer than what is compiled: {', '.join(stale)}; LMI_FAST_BUILD=yes pip install -e . compiles it", 3
        )

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
