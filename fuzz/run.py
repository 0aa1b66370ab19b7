"""Runs the target under libFuzzer: bounded, with its progress shown, and with everything it says kept."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.build import CACHE, ROOT, Target, Unavailable
from fuzz.limits import MAX_INPUT, SMALL
from fuzz.streams import CUT

CORPUS = ROOT / "fuzz" / "corpus"
FOUND = CACHE / "found"
FINDINGS = CACHE / "findings"
SHOWS = "shows-"
NO_LIMIT = (1 << 31) - 1  # libFuzzer takes no larger number
# A loop without an end, and memory without one, are findings. The process needs 100 MB, and some for what it keeps: an
# object that is lost with every input is seen after a few million.
LIMITS = ["-timeout=20", "-rss_limit_mb=300", "-detect_leaks=0"]

_PROGRESS = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\d+)([KMG]?)b.* rss: (\d+)Mb")
_LOADED = re.compile(r"^INFO: Loaded \d+ modules +\((\d+) inline 8-bit counters\)")


@dataclass
class Outcome:
    """What came of a run."""

    seed: int
    executions: int = 0
    seconds: float = 0.0
    counters: int = 0
    """Of the reader: branches of its machine code."""
    reached: int = 0
    features: int = 0
    """Branches, with how often each was taken."""
    kept: int = 0
    """Inputs that each reach something that no other does."""
    peak_rss_mb: int = 0
    findings: list[dict[str, str]] = field(default_factory=list)


def run(
    target: Target,
    corpora: list[Path],
    seconds: int,
    executions: int,
    seed: int,
    found: Path = FOUND,
) -> Outcome:
    """Fuzzes from what is in `corpora`, until the time is over, all is executed or something is found.

    New inputs go to `found`, those that show something to FINDINGS. Raises Unavailable when the target cannot run.
    """
    shutil.rmtree(found, ignore_errors=True)
    for folder in (found, FINDINGS):
        folder.mkdir(parents=True, exist_ok=True)
    dictionary = CACHE / "dictionary"
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in words()))
    options = [f"-seed={seed}", f"-max_total_time={seconds}", f"-runs={executions}", f"-max_len={MAX_INPUT}"]
    options += [*LIMITS, f"-dict={dictionary}", f"-artifact_prefix={FINDINGS}/"]
    options += ["-print_final_stats=1", "-print_funcs=0"]
    command = [str(target.program), *options, str(found), *map(str, corpora)]
    outcome = Outcome(seed)
    started = time.monotonic()
    with subprocess.Popen(
        command, env=target.environment(1), cwd=CACHE, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        said = _follow(process, outcome, seconds, executions)
    outcome.seconds = round(time.monotonic() - started, 1)
    (CACHE / "log").write_text("".join(said))
    if process.returncode:
        outcome.findings.append(_finding("".join(said), process.returncode))
    return outcome


def words() -> list[bytes]:
    """What the fuzzer puts into inputs: the names that mean something, and what is hard to come by letter by letter."""
    from lmi_fast.wire.reply import KEPT_HEADERS

    names = [*KEPT_HEADERS, "content-length", "transfer-encoding", "connection"]
    values = ["200 OK", "204", "304", "100", "chunked", "close", "keep-alive", "application/json"]
    fixed = ["HTTP/1.1 ", "HTTP/1.0 ", "\r\n", "\r\n\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "5\r\n\r\nhello"]
    limits = [f(SMALL["MAX_BODY"] + more) for f in ("{:d}".format, "{:x}".format) for more in (0, 1)]
    texts = [*(f"{name}: " for name in names), *values, *fixed, *limits]
    return [*(text.encode() for text in texts), CUT, b"\r".join((CUT, CUT)), b"\n".join((CUT, CUT))]


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _follow(process: subprocess.Popen[str], outcome: Outcome, seconds: int, executions: int) -> list[str]:
    """Reads what libFuzzer says until it ends: all of it but for its progress, which is shown every ten seconds."""
    assert process.stderr is not None
    said = []
    started = shown = time.monotonic()
    for line in process.stderr:
        progress = _PROGRESS.match(line)
        if progress is None:
            said.append(line)
            if loaded := _LOADED.match(line):
                outcome.counters = int(loaded[1])
            elif line.startswith("stat::number_of_executed_units:"):
                outcome.executions = int(line.split()[1])
            elif line.startswith("stat::peak_rss_mb:"):
                outcome.peak_rss_mb = int(line.split()[1])
            continue
        outcome.executions, outcome.reached, outcome.features, outcome.kept = map(int, progress.group(1, 3, 4, 5))
        now = time.monotonic()
        if now - shown >= 10 or progress[2] in ("INITED", "DONE"):
            shown = now
            share = min(1.0, max((now - started) / seconds, outcome.executions / executions))
            print(
                f"fuzz: {share:4.0%} {now - started:5.0f} s {outcome.executions:>10,} executions,"
                f" {outcome.reached} branches, {outcome.kept} inputs kept",
                file=sys.stderr,
                flush=True,
            )
    process.wait()
    return said


def _finding(said: str, status: int) -> dict[str, str]:
    """What a run that failed says about it: which check or sanitizer, and the input. Raises Unavailable without one."""
    place = re.findall(r"Test unit written to \S*/(\S+)", said)
    if not place:
        raise Unavailable(f"the target ended with status {status}, and not for an input:\n{said[-2000:]}")
    raised = said.partition("Traceback")[2]
    difference = re.findall(r"^(?:[\w.]+\.)?(\w+: .*(?:\n  (?:reader|other): .*)*)", raised, re.MULTILINE)
    summary = re.findall(r"^SUMMARY: (.+)|^(\S+: runtime error: .+)", said, re.MULTILINE)
    texts = difference[:1] or ["".join(parts) for parts in summary[:1]] or [said[-300:]]
    return {"what": public(texts[0]), "input": place[-1]}


def public(text: str) -> str:
    """Without the folders of this machine, and not too long."""
    for folder in (CACHE, ROOT, Path(sys.prefix), Path.home()):
        text = text.replace(f"{folder}/", "")
    return text[:2000]


def reproduce(target: Target, paths: list[Path]) -> int:
    """Gives the target these inputs alone, with all that its sanitizers can tell."""
    options = [*LIMITS, "-timeout=60"]
    command = [str(target.program), *options, *(str(path.resolve()) for path in paths)]
    return subprocess.call(command, env=target.environment(), cwd=CACHE)


def minimise(target: Target, corpora: list[Path]) -> None:
    """Makes CORPUS anew of the fewest and smallest inputs in `corpora` that reach as much as all of them.

    What has once shown a mistake stays, under its own name: a reader without the mistake may do nothing special there.
    """
    fresh = CACHE / "minimised"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    command = [str(target.program), "-merge=1", f"-max_len={MAX_INPUT}", *LIMITS, str(fresh), *map(str, corpora)]
    done = subprocess.run(command, env=target.environment(1), cwd=CACHE, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"libFuzzer could not merge:\n{done.stderr[-2000:]}")
    CORPUS.mkdir(exist_ok=True)
    for path in CORPUS.iterdir():
        if not path.name.startswith(SHOWS):
            path.unlink()
    shutil.copytree(fresh, CORPUS, dirs_exist_ok=True)
