"""The interpreters: of each version one to build with, and for each wheel one to try it with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from dev import find_python, output
from wheels import debian, musl
from wheels.debian import NotToBeHad
from wheels.targets import Target

Say = Callable[[str], None]


def builder(cache: Path, version: str, say: Say) -> Path:
    """An interpreter of this machine with its headers: its own, else Debian's. Raises NotToBeHad."""
    found = find_python(version)
    if found is not None:
        # Itself, and not a shim, which finds nothing where the environment is another one.
        python = Path(output(found, "import sys; print(sys._base_executable)"))
        if (headers(python) / "Python.h").exists():
            return python
    try:
        return debian.python(cache, version, os.uname().machine, say)
    except NotToBeHad as error:
        raise NotToBeHad(f"no python{version} with its headers on PATH or in pyenv, and {error}") from None


def headers(python: Path) -> Path:
    """Where Python.h and pyconfig.h are."""
    return Path(output(str(python), "import sysconfig; print(sysconfig.get_path('include'))"))


def version_of(python: Path) -> str:
    """Such as 3.13.5."""
    return output(str(python), "import platform; print(platform.python_version())")


def runner(cache: Path, target: Target, say: Say) -> Path:
    """An interpreter that the wheel for `target` can be tried with, on this machine. Raises NotToBeHad."""
    if target.libc == "musl":
        if target.machine != os.uname().machine:
            raise NotToBeHad(f"no Python for {target.machine} and musl to try it with")
        return musl.python(cache, target, say)
    if target.machine == os.uname().machine:
        return builder(cache, target.python, say)
    had = (cache / f"python{target.python}-{target.machine}").exists()
    python = debian.python(cache, target.python, target.machine, say)
    if not had:
        # Not by itself, under emulation, which would take longer than all that follows: bytecode knows no machine.
        say(f"Python {target.python} for {target.machine}: compiling its standard library")
        library = debian.root_of(python) / "usr" / "lib" / f"python{target.python}"
        command = [str(builder(cache, target.python, say)), "-m", "compileall", "-q", "-j", "0", str(library.resolve())]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # some files are not meant to
    return python
