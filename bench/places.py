"""Where the bench keeps things, and the small programs it compiles on the spot.

All that is built or fetched lies in the git-ignored cache; only results and what is generated from them are committed.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
RIVALS = BENCH / "rivals"
RESULTS = BENCH / "results"
CACHE = Path(os.environ.get("LMI_FAST_CACHE") or ROOT / ".cache") / "bench"


class Unavailable(RuntimeError):
    """Something this machine lacks; the message names it. Whatever needs it is left out and named in the results."""


@functools.cache
def compiled(name: str) -> Path:
    """The program made of bench/<name>.c, compiled when it is missing or older. Raises Unavailable."""
    source, program = BENCH / f"{name}.c", CACHE / name
    newest = max(path.stat().st_mtime for path in (source, *BENCH.glob("*.h")))
    if program.exists() and program.stat().st_mtime > newest:
        return program
    compiler = next((found for found in map(shutil.which, ("cc", "gcc", "clang")) if found), None)
    if compiler is None:
        raise Unavailable(f"no C compiler (cc, gcc or clang) for {source.name}; on Debian and Ubuntu: apt install gcc")
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    subprocess.run([compiler, "-std=gnu11", "-O2", "-o", str(fresh), str(source), "-lm"], check=True)
    fresh.replace(program)
    return program
