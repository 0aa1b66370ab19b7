"""python -m fuzz: feed the compiled HTTP reader what nobody would send, under sanitizers, against the other readers.

Stops after --seconds or --executions, or at the first finding; exit code 1 then. Needs clang with libFuzzer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from fuzz import build, limits, lines, planted, run, seeds
from fuzz.run import CORPUS, FINDINGS, FOUND, Outcome

RESULTS = build.FUZZ / "results.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, help="stop after this time (60; 180 for each mistake)")
    parser.add_argument("--executions", type=int, default=run.NO_LIMIT, help="stop after so many inputs")
    parser.add_argument("--seed", type=int, help="of the fuzzer's dice; else one is drawn, and printed")
    parser.add_argument("--keep", action="store_true", help="write fuzz/results.json and fuzz/corpus")
    parser.add_argument("--minimise", action="store_true", help="only make fuzz/corpus anew, of all that was found")
    parser.add_argument("--reproduce", type=Path, nargs="+", metavar="FILE", help="only give the target these inputs")
    parser.add_argument("--prove", action="store_true", help="only plant mistakes in copies: each must be found")
    chosen = parser.parse_args()
    seed = chosen.seed or random.randrange(1, 1 << 31)
    print(f"fuzz: --seed {seed}", file=sys.stderr)
    try:
        if chosen.prove:
            return 1 if planted.prove(chosen.seconds or 180, seed, chosen.keep) else 0
        target = build.build()
        if chosen.reproduce:
            return run.reproduce(target, chosen.reproduce)
        if chosen.minimise:
            minimise(target)
            return 0
        return fuzz(target, chosen.seconds or 60, chosen.executions, seed, chosen.keep)
    except build.Unavailable as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 2


def fuzz(target: build.Target, seconds: int, executions: int, seed: int, keep: bool) -> int:
    """One run from the corpus; 1 when it found something."""
    outcome = run.run(target, [CORPUS], seconds, executions, seed)
    for finding in outcome.findings:
        print(f"fuzz: {finding['what']}\n\nfuzz: python -m fuzz --reproduce {FINDINGS / finding['input']}")
    if keep and not outcome.findings:
        minimise(target)
    result = results(target, outcome)
    path = RESULTS if keep else build.CACHE / "results.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(
        f"fuzz: {outcome.executions:,} executions in {outcome.seconds:.0f} s, {len(outcome.findings)} findings,"
        f" {result['lines']['reached']} of {result['lines']['of']} lines of the reader reached; {path}"
    )
    return 1 if outcome.findings else 0


def minimise(target: build.Target) -> None:
    """The corpus of the seeds, of what it was, and of what the last run found."""
    first = build.CACHE / "seeds"
    seeds.write(first)
    run.minimise(target, [folder for folder in (first, CORPUS, FOUND) if folder.exists()])
    count, size = _size(CORPUS)
    print(f"fuzz: {CORPUS.relative_to(build.ROOT)}: {count} inputs, {size:,} bytes", file=sys.stderr)


def results(target: build.Target, outcome: Outcome) -> dict[str, Any]:
    """All that a reader of the numbers has to know."""
    hit = lines.count(*(folder for folder in (CORPUS, FOUND) if not outcome.findings and folder.exists()))
    count, size = _size(CORPUS)
    return {
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "executions": outcome.executions,
        "seconds": outcome.seconds,
        "seed": outcome.seed,
        "findings": outcome.findings,
        "sanitizers": list(build.SANITIZERS),
        "branches": {"reached": outcome.reached, "of": outcome.counters, "features": outcome.features},
        "lines": {"reached": len(hit.reached), "of": len(hit.reached) + len(hit.missed), "missed": hit.missed},
        "corpus": {"inputs": count, "bytes": size, "kept by the run": outcome.kept},
        "limits": limits.SMALL,
        "peak_rss_mb": outcome.peak_rss_mb,
        "machine": {"system": platform.system(), "cpu": platform.machine(), "cores": len(os.sched_getaffinity(0))},
        "versions": {
            "python": platform.python_version(),
            "clang": ".".join(map(str, build.clang_version(target.clang))),
            "Cython": metadata.version("Cython"),
            "h11": metadata.version("h11"),
            "lmi_fast commit": _commit(),
        },
    }


def _size(folder: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return len(sizes), sum(sizes)


def _commit() -> str:
    """Of what was tested, and whether that had been changed since."""
    git = ["git", "-C", str(build.ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    command = [*git, "status", "--porcelain", *map(str, build.sources())]
    changed = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return commit + ("+changes" if changed else "")


if __name__ == "__main__":
    raise SystemExit(main())
