"""Instructions counted by valgrind's callgrind: of lmi_fast per invocation, and of the reference per round.

The same program gives the same count within a fraction of a percent, however busy the machine is. Except that threads
which a busy machine makes take turns more often have more to do: so the least of a few counts is taken.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.places import ROOT, Unavailable
from bench.rivals import Runtime
from bench.server import BenchError, Bout

SLOTS = 16
_WARM = 300
_COUNTED = 300
_TIMES = 5
_REFERENCES = 1000
_ENV = {"PYTHONHASHSEED": "0"}  # else dicts of strings collide differently in every process


def need() -> None:
    """Raises Unavailable without valgrind."""
    for program in ("valgrind", "callgrind_control"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed; on Debian and Ubuntu: apt install valgrind")


def per_invocation(runtime: Runtime) -> float:
    """Instructions of user code, of all threads, that one invocation with the 200 B event takes when all is warm."""
    with _output() as out:
        argv = [*_valgrind(out), *runtime.argv()]
        counted = dataclasses.replace(runtime, argv=lambda: argv)
        with Bout(counted, SLOTS, env=_ENV) as bout:
            bout.run(_WARM)
            _control("-z", bout)
            for _ in range(_TIMES):
                bout.run(_COUNTED)
                _control("-d", bout)  # begins anew, too
        return min(_total(Path(f"{out}.{number}")) for number in range(1, _TIMES + 1)) / _COUNTED


def reference() -> float:
    """Instructions of one round of the reference."""
    return _difference((200, 0), (200 + _REFERENCES, 0)) / _REFERENCES


def spin_round() -> float:
    """Instructions of one round of the busy loop."""
    return _difference((1, 1000), (1, 101_000)) / 100_000


def _difference(small: tuple[int, int], large: tuple[int, int]) -> int:
    return _program(*large) - _program(*small)


def _program(work: int, rounds: int) -> int:
    with _output() as out:
        command = [*_valgrind(out), sys.executable, "-m", "bench.gates.reference", str(work), str(rounds)]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **_ENV}, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"the reference failed under valgrind: {done.stderr[-600:]}")
        return _total(out)


@contextlib.contextmanager
def _output() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "callgrind.out"


def _valgrind(out: Path) -> list[str]:
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]


def _control(order: str, bout: Bout) -> None:
    command = ["callgrind_control", order, str(bout.process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-600:]}")


def _total(path: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.MULTILINE)
    if found is None:
        raise BenchError(f"callgrind wrote no total into {path.name}")
    return int(found[1])
