"""Builds the fuzzing target: a copy of the readers under sanitizers, and a program that has Python in it.

All of it lies in the cache; the extension modules in the tree are left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
CACHE = Path(os.environ.get("LMI_FAST_CACHE") or ROOT / ".cache") / "fuzz" / "{}.{}".format(*sys.version_info)
SANITIZERS = ("address", "undefined")
READER = "lmi_fast.wire._http1_c"
MODULES = {"lmi_fast.wire.reply": "reply.py", READER: "_http1_c.pyx", "_room": "_room.pyx"}
# With assertions, those of Python's own headers too, and without its flag that makes overflow something defined.
# Objects that are kept to be used again would hide a use after their end.
FLAGS = ["-g", "-O1", "-fno-omit-frame-pointer", "-UNDEBUG", "-DCYTHON_USE_FREELISTS=0", "-w"]
SANITIZED = [f"-fsanitize={','.join(SANITIZERS)}", "-fno-sanitize-recover=all"]
# Python leaves a lot to the end of the process, and asks for its thread's state all the time. Freed memory is kept from
# use for some dozens of inputs.
_ASAN = ("detect_leaks=0", "intercept_tls_get_addr=0", "quarantine_size_mb=8")
INCLUDE = f"-I{sysconfig.get_path('include')}"


class Unavailable(RuntimeError):
    """Something this machine lacks; the message names it."""


@dataclass(frozen=True)
class Target:
    """A built target."""

    folder: Path
    """With the copy of lmi_fast that it reads with."""
    clang: str

    @property
    def program(self) -> Path:
        return self.folder / "target"

    def environment(self, frames: int = 30) -> dict[str, str]:
        """`frames`: how much of its stack is kept for every object. What that tells has its price."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("LMI_FAST_", "PYTHON"))}
        env |= {
            "PYTHONPATH": f"{self.folder}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ASAN_OPTIONS": ":".join((*_ASAN, f"malloc_context_size={frames}")),
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        symbolizer = Path(self.clang).resolve().parent / "llvm-symbolizer"
        if symbolizer.exists():
            env["ASAN_SYMBOLIZER_PATH"] = env["UBSAN_SYMBOLIZER_PATH"] = str(symbolizer)
        return env


def find_clang() -> str:
    """The newest clang that links a libFuzzer target. Raises Unavailable."""
    names = ["clang", *(f"clang-{version}" for version in range(30, 13, -1))]
    found = [path for path in map(shutil.which, names) if path]
    found.sort(key=clang_version, reverse=True)
    test = "int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size) { return 0; }"
    for clang in found:
        command = [clang, "-x", "c", "-", "-o", os.devnull, "-fsanitize=fuzzer", *SANITIZED]
        if subprocess.run(command, input=test, capture_output=True, text=True).returncode == 0:
            return clang
    lacks = f"{found[0]} cannot link a libFuzzer target" if found else "no clang"
    raise Unavailable(f"{lacks}; on Debian and Ubuntu: apt install clang-19 libclang-rt-19-dev llvm-19")


def clang_version(clang: str) -> tuple[int, ...]:
    text = subprocess.run([clang, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def build(name: str = "target", change: Callable[[Path], None] | None = None) -> Target:
    """The target of this name, made when it is missing or older. `change` may edit its copy of the sources.

    Raises Unavailable.
    """
    clang = find_clang()
    target = Target(CACHE / name, clang)
    stamp, wanted = target.folder / "made", _fingerprint(clang)
    if change is None and stamp.is_file() and stamp.read_text() == wanted:
        return target
    copy_sources(target.folder)
    if change is not None:
        change(target.folder)
    for module in MODULES:
        # Only the reader guides the fuzzer: what else is reached is no progress.
        compile_module(target, module, *SANITIZED, *(["-fsanitize=fuzzer-no-link"] if module == READER else []))
    _program(target)
    if change is None:
        stamp.write_text(wanted)
    return target


def copy_sources(folder: Path) -> None:
    """An lmi_fast of what the readers need, anew; the package itself would import the whole runtime."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in sources():
        copy = folder / (path.relative_to(ROOT) if path.is_relative_to(ROOT / "lmi_fast") else path.name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (folder / "lmi_fast" / "__init__.py").touch()


def sources() -> list[Path]:
    """What the target is made of."""
    wire = ROOT / "lmi_fast" / "wire"
    found = [path for name in ("__init__.py", "_http1_*.p*", "_scan.pxd", "reply.p*") for path in wire.glob(name)]
    return [*sorted(found), ROOT / "lmi_fast" / "errors.py", FUZZ / "_room.pyx", FUZZ / "embed.c"]


def compile_module(target: Target, module: str, *flags: str) -> None:
    """Makes an extension module beside its source, which the lines of its code are said to be of."""
    folder = target.folder.joinpath(*module.split(".")[:-1])
    source, generated = folder / MODULES[module], folder / f"{module.split('.')[-1]}.c"
    options = ["-3", "--line-directives", "--module-name", module, "-I", str(target.folder)]
    names = [str(path.relative_to(target.folder)) for path in (source, generated)]
    cython = [sys.executable, "-m", "cython", *options, names[0], "-o", names[1]]
    _step(f"Cython: {module}", cython, target.folder)
    product = str(generated.with_suffix("")) + str(sysconfig.get_config_var("EXT_SUFFIX"))
    command = [target.clang, *FLAGS, "-fPIC", INCLUDE, *flags]
    _step(f"clang: {module}", [*command, "-c", names[1], "-o", f"{product}.o"], target.folder)
    _step(f"link: {module}", [*command, "-shared", f"{product}.o", "-o", product], target.folder)


def _program(target: Target) -> None:
    python, version = sysconfig.get_config_vars("LIBDIR", "LDVERSION")
    folder = str(python) if sysconfig.get_config_var("Py_ENABLE_SHARED") else str(sysconfig.get_config_var("LIBPL"))
    system = " ".join(str(sysconfig.get_config_var(name) or "") for name in ("LIBS", "SYSLIBS")).split()
    command = [target.clang, *FLAGS, *SANITIZED]
    macro = f'-DPYTHON="{sys.executable}"'
    _step("clang: embed.c", [*command, INCLUDE, macro, "-c", "embed.c"], target.folder)
    # -rdynamic: the extension modules take the sanitizers from the program.
    command += ["embed.o", "-fsanitize=fuzzer", "-rdynamic", f"-L{folder}", f"-Wl,-rpath,{folder}"]
    _step("link: target", [*command, f"-lpython{version}", *system, "-lm", "-o", "target"], target.folder)


def _step(what: str, command: list[str], folder: Path) -> None:
    print(f"build: {what}", file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{what} failed:\n{done.stderr.strip() or done.stdout.strip()}")


def _fingerprint(clang: str) -> str:
    """Changes when the target has to be made again."""
    digest = hashlib.sha256(repr((sys.executable, sys.version, clang, clang_version(clang))).encode())
    for path in [*sources(), FUZZ / "build.py"]:
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()
