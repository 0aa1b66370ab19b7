#!/usr/bin/env python3
"""Sets up what is missing and runs one of:

    python3 dev.py demo     serve 200 overlapping invocations on an embedded Runtime API, and print a table
    python3 dev.py test     every check and test, as CI runs them
    python3 dev.py gates    is it still as fast as it was? (the last part of `test`)
    python3 dev.py micro    what each step of the hot path takes, compiled and pure
    python3 dev.py bench    the benchmarks against other runtimes, as far as their toolchains are here
    python3 dev.py soak     a million invocations with random faults, each to be answered once and rightly
    python3 dev.py wheels   make the wheel for this Python, check and try it; --all: all of them (wheels/README.md)
    python3 dev.py fuzz     the compiled HTTP reader under sanitizers, given what nobody should send (needs clang)

Needs only Python 3.11 or newer and git. Everything it installs goes into .venv-* and .cache in this folder, which git
ignores. `test` makes the wheel that users install, and tests that. With arguments for pytest it tests the source tree,
which the others run: a C compiler is used there where there is one (LMI_FAST_BUILD=yes|no to insist).
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
    parser.add_argument("command", choices=["demo", "test", "gates", "micro", "bench", "soak", "wheels", "fuzz"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on, --help too")
    chosen = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 (this file is what tells a user of an older one)
        print(f"dev.py needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    if chosen.command == "demo":
        return run(environment(sys.executable, "demo"), "-m", "examples.demo", *chosen.arguments)
    if chosen.command == "test":
        return test_some(chosen.arguments) if chosen.arguments else test()
    if chosen.command == "wheels":
        return run(tools(), "-m", "wheels", *chosen.arguments)
    # On the Python that Managed Instances run, if it is here.
    kind = {"fuzz": "fuzz", "soak": "test"}.get(chosen.command, "bench")
    module = chosen.command if chosen.command in ("bench", "fuzz", "soak") else f"bench.{chosen.command}"
    return run(environment(find_python(NEWEST) or sys.executable, kind), "-m", module, *chosen.arguments)


def test_some(arguments: list[str]) -> int:
    """Some tests, again and again: on the source tree."""
    return run(environment(sys.executable, "test"), "-m", "pytest", *arguments)


def test() -> int:
    """Linters and types once, the tests on this Python and on the newest, the gates; stops at the first failure.

    What is tested is the installed wheel: the tests run in a copy of this folder that has no lmi_fast.
    """
    other = find_python(NEWEST)
    pythons = [sys.executable, *([other] if other is not None and not is_running(NEWEST) else [])]
    installed = [with_wheel(python) for python in pythons]
    steps = [
        ("ruff check", ["ruff", "check"]),
        ("ruff format", ["ruff", "format", "--check"]),
        ("mypy --strict", ["mypy"]),
    ]
    for name, module in steps:
        say(name)
        if status := subprocess.call([installed[0], "-m", *module], cwd=ROOT):
            return status
    copy = copy_without_package()
    # Fetched once for all.
    os.environ.setdefault("LMI_FAST_CACHE", str(ROOT / ".cache"))
    for python in installed:
        if status := run(python, "-m", "pytest", folder=copy):
            return status
    # They hold the compiled twins against the pure ones.
    compiled = os.environ.get("LMI_FAST_BUILD") != "no"
    return run(installed[-1], "-m", "bench.gates", folder=copy) if compiled else 0


def with_wheel(base: str) -> str:
    """The Python of a virtual environment made with `base`, in which the wheel for it is installed, and what the tests
    need.
    """
    version = output(base, "import sys; print('%d.%d' % sys.version_info[:2])")
    pure = os.environ.get("LMI_FAST_BUILD") == "no"
    dist = ROOT / "wheels" / "dist"
    machines = ["--machine", "x86_64", "--machine", "aarch64"]  # tests look into packages for either
    kind = ["--pure"] if pure else ["--python", version, *machines, "--no-try"]
    if subprocess.call([tools(), "-m", "wheels", *kind], cwd=ROOT):
        raise SystemExit("dev.py: no wheel to test")
    pattern = "*-py3-none-any.whl" if pure else f"*-cp{version.replace('.', '')}-*manylinux*_{os.uname().machine}.whl"
    (wheel,) = dist.glob(pattern)
    python, pip = virtual(f"{version}-wheel{'-pure' if pure else ''}", base)
    stamp = Path(python).parent.parent / "installed"
    wanted = fingerprint(EXTRAS["test"])
    if not stamp.is_file() or stamp.read_text() != wanted:
        subprocess.check_call([*pip, f"{wheel}{EXTRAS['test']}"])
        stamp.write_text(wanted)
    subprocess.check_call([*pip, "--quiet", "--force-reinstall", "--no-deps", str(wheel)])
    return python


def copy_without_package() -> Path:
    """A copy of what git has of this folder, or would have, without lmi_fast."""
    copy = ROOT / ".cache" / "without-package"
    shutil.rmtree(copy, ignore_errors=True)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(command, cwd=ROOT, text=True).splitlines():
        if not name.startswith("lmi_fast/") and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    shutil.copytree(ROOT / "wheels" / "dist", copy / "wheels" / "dist")
    return copy


def tools() -> str:
    """The Python of the virtual environment that wheels are built with."""
    requirements = ROOT / "wheels" / "requirements.txt"
    python, pip = virtual("wheels", sys.executable)
    stamp = Path(python).parent.parent / "installed"
    wanted = requirements.read_text()
    if not stamp.is_file() or stamp.read_text() != wanted:
        subprocess.check_call([*pip, "--requirement", str(requirements)])
        stamp.write_text(wanted)
    return python


def virtual(name: str, base: str) -> tuple[str, list[str]]:
    """The Python of the virtual environment .venv-`name`, made with the interpreter `base`; how to install there."""
    folder = ROOT / f".venv-{name}"
    python = str(folder / "bin" / "python")
    if not (folder / "bin" / "pip").exists():
        say(f"setting up {folder.name}")
        shutil.rmtree(folder, ignore_errors=True)
        if subprocess.call([base, "-m", "venv", str(folder)]):
            raise SystemExit(
                f"dev.py: {base} cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"
            )
    return python, [python, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]


def environment(base: str, kind: str) -> str:
    """The Python of a virtual environment made with the interpreter `base`, with lmi_fast and what `kind` needs."""
    version = output(base, "import sys; print('%d.%d' % sys.version_info[:2])")
    mode = os.environ.get("LMI_FAST_BUILD") or "auto"
    name = [version, *(["bench"] if kind == "bench" else []), *([f"build-{mode}"] if mode != "auto" else [])]
    python, pip = virtual("-".join(name), base)
    wanted = fingerprint(EXTRAS[kind])
    stamp = Path(python).parent.parent / f"installed-{kind}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
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


def run(python: str, *arguments: str, folder: Path = ROOT) -> int:
    say(f"{Path(python).parent.parent.name}: python {' '.join(arguments)}")
    return subprocess.call([python, *arguments], cwd=folder)


def say(what: str) -> None:
    print(f"--- {what}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
