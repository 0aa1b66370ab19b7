#!/usr/bin/env python3
"""Sets up what is missing and runs one of:

    python3 dev.py demo     serve 200 overlapping invocations on an embedded Runtime API, and print a table
    python3 dev.py test     every check and test, as CI runs them
    python3 dev.py gates    is it still as fast as it was? (the last part of `test`)
    python3 dev.py micro    what each step of the hot path takes, compiled and pure
    python3 dev.py bench    the benchmarks against other runtimes, as far as their toolchains are here
    python3 dev.py soak     a million invocations with random faults, each to be answered once and rightly
    python3 dev.py fuzz     the compiled HTTP reader under sanitizers, given what nobody should send (needs clang)

Needs only Python 3.11 or newer and git. Everything it installs goes into .venv-* and .cache in this folder, which git
ignores; a C compiler is used where there is one (LMI_FAST_BUILD=yes|no to insist).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NEWEST = "3.13"  # what Managed Instances run; the tests run on it too, where the machine has it
EXTRAS = {"demo": "", "test": "[test]", "bench": "[bench]", "fuzz": "[test,fuzz]"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["demo", "test", "gates", "micro", "bench", "soak", "fuzz"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on, --help too")
    chosen = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 (this file is what tells a user of an older one)
        print(f"dev.py needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    if chosen.command == "demo":
        return run(environment(sys.executable, "demo"), "-m", "examples.demo", *chosen.arguments)
    if chosen.command == "test":
        return test(chosen.arguments)
    # On the Python that Managed Instances run, if it is here.
    kind = {"fuzz": "fuzz", "soak": "test"}.get(chosen.command, "bench")
    module = chosen.command if chosen.command in ("bench", "fuzz", "soak") else f"bench.{chosen.command}"
    return run(environment(find_python(NEWEST) or sys.executable, kind), "-m", module, *chosen.arguments)


def test(arguments: list[str]) -> int:
    """Linters and types once, the tests on this Python and on the newest, the gates; stops at the first failure."""
    python = environment(sys.executable, "test")
    steps = [
        ("ruff check", [python, "-m", "ruff", "check"]),
        ("ruff format", [python, "-m", "ruff", "format", "--check"]),
        ("mypy --strict", [python, "-m", "mypy"]),
    ]
    if arguments:
        steps = []  # somebody runs some tests, again and again
    for name, command in steps:
        say(name)
        if status := subprocess.call(command, cwd=ROOT):
            return status
    pythons = [python]
    other = None if arguments else find_python(NEWEST)
    if other is not None and not is_running(NEWEST):
        pythons.append(environment(other, "test"))
    for python in pythons:
        if status := run(python, "-m", "pytest", *arguments):
            return status
    # They hold the compiled twins against the pure ones.
    compiled = os.environ.get("LMI_FAST_BUILD") != "no"
    return run(pythons[-1], "-m", "bench.gates") if compiled and not arguments else 0


def environment(base: str, kind: str) -> str:
    """The Python of a virtual environment made with the interpreter `base`, with lmi_fast and what `kind` needs."""
    version = output(base, "import sys; print('%d.%d' % sys.version_info[:2])")
    mode = os.environ.get("LMI_FAST_BUILD") or "auto"
    name = [version, *(["bench"] if kind == "bench" else []), *([f"build-{mode}"] if mode != "auto" else [])]
    folder = ROOT / f".venv-{'-'.join(name)}"
    python = str(folder / "bin" / "python")
    wanted = fingerprint(EXTRAS[kind])
    stamp = folder / f"installed-{kind}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    say(f"setting up {folder.name}")
    if not (folder / "bin" / "pip").exists():
        shutil.rmtree(folder, ignore_errors=True)
        if subprocess.call([base, "-m", "venv", str(folder)]):
            raise SystemExit(
                f"dev.py: {base} cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"
            )
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]
    # Editable: the compiled twins are built into the tree, and the tests run what is edited. By a path, not by an
    # import hook, which every interpreter of the environment would pay for at its start.
    pip += ["--config-settings", "editable_mode=compat"]
    subprocess.check_call([*pip, "--editable", f"{ROOT}{EXTRAS[kind]}"], cwd=ROOT)
    stamp.write_text(wanted)
    return python


def fingerprint(extras: str) -> str:
    """Changes when an environment has to be made again."""
    digest = hashlib.sha256(extras.encode())
    types = sorted([*ROOT.glob("lmi_fast/**/*.pxd"), *ROOT.glob("lmi_fast/**/*.pyx")])
    sources = [path.with_suffix(".py") for path in types]
    for path in [ROOT / "pyproject.toml", ROOT / "setup.py", *types, *(path for path in sources if path.exists())]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def find_python(version: str) -> str | None:
    """An interpreter of `version` on PATH or in pyenv, if this machine has one."""
    found = shutil.which(f"python{version}")
    candidates = [found] if found else []
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}*/bin/python"), reverse=True)]
    for candidate in candidates:
        # A pyenv shim is on PATH even for versions that are not selected, and fails then.
        if subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    return None


def is_running(version: str) -> bool:
    return ".".join(map(str, sys.version_info[:2])) == version


def output(python: str, code: str) -> str:
    return subprocess.check_output([python, "-c", code], text=True).strip()


def run(python: str, *arguments: str) -> int:
    say(f"{Path(python).parent.parent.name}: python {' '.join(arguments)}")
    return subprocess.call([python, *arguments], cwd=ROOT)


def say(what: str) -> None:
    print(f"--- {what}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
