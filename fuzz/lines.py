"""Which lines of the reader a corpus reaches.

The fuzzer's own counters are of the machine code, most of which is there for what cannot happen: errors of Python's
allocator, and the making of the module. So the corpus is read once more, with a reader that counts its lines.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fuzz import build

_READ_ALL = """
import sys
from pathlib import Path
from fuzz.target import one_input
for folder in sys.argv[1:]:
    for path in sorted(Path(folder).iterdir()):
        one_input(path.read_bytes())
"""


@dataclass(frozen=True)
class Lines:
    """Lines of _http1_c.pyx that are within a function of the reader."""

    reached: list[int]
    missed: list[int]


def count(*corpora: Path) -> Lines:
    """The lines of the reader that these folders of inputs reach. Raises Unavailable."""
    target = build.Target(build.CACHE / "lines", build.find_clang())
    build.copy_sources(target.folder)
    for module in build.MODULES:
        build.compile_module(target, module, *(["--coverage"] if module == build.READER else []))
    command = [sys.executable, "-c", _READ_ALL, *map(str, corpora)]
    done = subprocess.run(command, cwd=target.folder, env=target.environment(), capture_output=True, text=True)
    if done.returncode:
        raise build.Unavailable(f"the corpus shows a difference:\n{done.stderr}")
    return _lines(target)


def _lines(target: build.Target) -> Lines:
    data = next((target.folder / "lmi_fast" / "wire").glob("*.gcda"))
    clang = Path(target.clang).resolve()
    tool = next((path for path in (clang.parent / "llvm-cov", shutil.which("llvm-cov")) if path), None)
    if tool is None or not Path(tool).exists():
        raise build.Unavailable("no llvm-cov; on Debian and Ubuntu: apt install llvm-19")
    command = [str(tool), "gcov", "--stdout", str(data)]
    text = subprocess.run(command, cwd=target.folder, capture_output=True, text=True, check=True).stdout
    reader = re.search(r":Source:\S*_http1_c\.pyx\n(.*?)(?=:Source:|\Z)", text, re.DOTALL)
    counts = re.findall(r"^ *([\d#=]+)\*?: *(\d+):(.*)$", reader[1] if reader else "", re.MULTILINE)
    begin = (target.folder / "lmi_fast" / "wire" / "_http1_c.pyx").read_text().split("cdef class Reader")[0]
    first = len(begin.splitlines()) + 1
    lines = Lines([], [])
    for hits, line, code in counts:
        # What leaves a function with an exception is said to be of its first line, or of one beside that.
        if int(line) > first and not re.match(r' *(cp?def |def |"""|\) |$)', code):
            (lines.reached if hits[0].isdigit() else lines.missed).append(int(line))
    return lines
