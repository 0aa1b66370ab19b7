"""The wheels that these tests are about: those that `dev.py test` has made, or made here from the source tree."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT
from wheels.targets import Target

DIST = ROOT / "wheels" / "dist"
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


@functools.cache
def built(target: Target) -> Path:
    """The wheel for `target`: for this Python, as dev.py makes them for both architectures. Skips the test where it was
    told to make none.
    """
    if os.environ.get("LMI_FAST_BUILD") == "no":
        pytest.skip("LMI_FAST_BUILD=no: no wheel is compiled")
    if (ROOT / "lmi_fast").is_dir():
        command = [str(ROOT / "wheels" / "build"), "--python", target.python, "--machine", target.machine, "--no-try"]
        subprocess.run(command, check=True)
    (wheel,) = DIST.glob(f"lmi_fast-*-{target.python_tag}-*manylinux*_{target.machine}.whl")
    return wheel
