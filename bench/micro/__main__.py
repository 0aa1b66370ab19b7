"""python -m bench.micro: what each step of the hot path takes, on the pure twins and on the compiled ones.

One table: the medians of both, in microseconds, and how many times faster the compiled one is. Half a minute.

To see what a change does, on a machine that does nothing else:

    python -m bench.micro --save before
    ... change something, and build the compiled twins ...
    python -m bench.micro --compare before

--compare fails where a median became more than 10 % slower. Saved runs lie in .cache/bench/micro, by twin. On a machine
that is busy, use `python -m bench.gates`: it counts instead.

Further arguments go to pytest: `python -m bench.micro -k decode`, or `--benchmark-max-time=5` for steadier numbers.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.places import CACHE, ROOT

KINDS = ("pure", "compiled")
STORAGE = CACHE / "micro"
ALLOWED = "median:10%"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.micro", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", metavar="NAME", help="keep the results under this name")
    parser.add_argument("--compare", metavar="NAME", help="hold the results against those last saved under this name")
    parser.add_argument("--only", choices=KINDS, help="one kind of twins")
    chosen, rest = parser.parse_known_args()
    if importlib.util.find_spec("pytest_benchmark") is None:
        print(f"bench.micro needs pytest-benchmark: {sys.executable} -m pip install pytest-benchmark", file=sys.stderr)
        return 2
    medians: dict[str, dict[str, float]] = {}
    status = 0
    for kind in (chosen.only,) if chosen.only else KINDS:
        print(f"--- {kind} twins", file=sys.stderr, flush=True)
        options = list(rest)
        if chosen.save:
            options.append(f"--benchmark-save={chosen.save}")
        if chosen.compare:
            saved = last_saved(STORAGE / kind, chosen.compare)
            if saved is None:
                print(f"bench.micro: nothing of the {kind} twins was saved as {chosen.compare!r}", file=sys.stderr)
                return 2
            options += [f"--benchmark-compare={saved}", f"--benchmark-compare-fail={ALLOWED}"]
        code, medians[kind] = measure(kind, options, quiet=not chosen.compare)
        status = status or code
    print_table(medians)
    return status


def measure(kind: str, options: list[str], *, quiet: bool) -> tuple[int, dict[str, float]]:
    """Runs the cases in a process of their own: pytest's exit code, and the median of each in microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", str(ROOT / "bench" / "micro")]
        # Not the tests' settings: they name plugins that only the tests need.
        command += ["-c", os.devnull, f"--rootdir={ROOT}"]
        # Our own table has both kinds; pytest-benchmark's has what is new in a comparison.
        command += ["--benchmark-quiet"] if quiet else ["--benchmark-columns=median,iqr,rounds"]
        command += [f"--benchmark-storage=file://{STORAGE / kind}", f"--benchmark-json={results}"]
        command += ["--benchmark-max-time=0.5", "--benchmark-sort=name", "--benchmark-warmup=on"]
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env={**os.environ, "LMI_FAST_TWINS": kind, "PYTHONHASHSEED": "0"},
            stdout=sys.stderr,
        )
        text = results.read_text() if results.exists() else ""  # made, and left empty, when nothing was run
        found = json.loads(text)["benchmarks"] if text else []
        return done.returncode, {case["name"].removeprefix("test_"): 1e6 * case["stats"]["median"] for case in found}


def last_saved(folder: Path, name: str) -> Path | None:
    """The file pytest-benchmark has made last of the runs saved as `name`; it numbers them, in a folder by machine."""
    found = sorted(folder.glob(f"*/[0-9][0-9][0-9][0-9]_{name}.json"), key=lambda path: path.name)
    return found[-1] if found else None


def print_table(medians: dict[str, dict[str, float]]) -> None:
    """Each case once; a dash where one kind was not run."""
    names = list(dict.fromkeys(name for results in medians.values() for name in results))
    if not names:
        return
    width = max(map(len, names))
    print(f"{'median, us':{width}} {'pure':>10} {'compiled':>10} {'ratio':>7}")
    for name in names:
        pure, compiled = (medians.get(kind, {}).get(name) for kind in KINDS)
        ratio = f"{pure / compiled:6.1f}x" if pure and compiled else "      -"
        print(f"{name:{width}} {_show(pure)} {_show(compiled)} {ratio}")


def _show(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:10.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
