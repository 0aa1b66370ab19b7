"""A Python for musl, to try wheels with: there is no package of one, so Debian's source of it is compiled, by zig.

Debian's musl runs it, beside the machine's own C library. Little is optimised: it has to be made soon, and only tries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from wheels import debian
from wheels.debian import NotToBeHad
from wheels.targets import Target

# 3.11 is made as well, but cannot import its ssl: OPENSSL_NO_COMP does not get there. 3.14 is in sid, whose source of
# it could not be downloaded: it is not known whether this makes a Python of it.
RELEASES = {"3.13": debian.RELEASES["3.13"]}
# uvloop imports ssl. A wheel for musl that bundles OpenSSL's libraries spares compiling them; headers of the same major
# version go with them, if they are not newer.
OPENSSL = "psycopg2-binary==2.9.13"
HEADERS_RELEASE = "bookworm"
# What configure cannot find out, as it runs nothing that it compiled.
ANSWERS = {"ac_cv_file__dev_ptmx": "no", "ac_cv_file__dev_ptc": "no", "ac_cv_buggy_getaddrinfo": "no"}
# Large, and of no use here; one wants a library.
LEFT_OUT = ["_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw", "_sqlite3"]


def python(cache: Path, target: Target, say: Callable[[str], None]) -> Path:
    """An interpreter for `target`, which is of this machine and of musl. Made once. Raises NotToBeHad."""
    cache = cache.resolve()
    root = cache / f"python{target.python}-{target.machine}-musl"
    program = root / "bin" / f"python{target.python}"
    release = RELEASES.get(target.python)
    if release is None:
        raise NotToBeHad(f"no Python {target.python} for musl to try it with (wheels/musl.py)")
    if root.is_dir():
        return program
    if shutil.which("make") is None:
        raise NotToBeHad("make is not installed: a Python for musl is compiled from its source")
    # The same release's, and no other: the source's own library runs on it while it is built.
    builds = debian.python(cache, target.python, target.machine, say)
    say(f"Python {target.python} for musl, from the source of Debian {release}: some minutes")
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        source, openssl = Path(scratch, "source"), Path(scratch, "openssl")
        debian.source(release, f"python{target.python}", source)
        _openssl(cache, target, openssl)
        _compile(source, target, builds, _loader(cache, target), openssl, root)
        _run(["make", "altinstall", f"DESTDIR={scratch}/made"], source)
        made = Path(f"{scratch}/made{root}")
        for library in (openssl / "lib").iterdir():
            shutil.copy(library, made / "lib", follow_symlinks=False)
        made.rename(root)
    return program


def _compile(source: Path, target: Target, builds: Path, loader: Path, openssl: Path, prefix: Path) -> None:
    zig = f"{sys.executable} -m ziglang"
    # Python says when it was compiled, which zig takes for an error. Asked what headers it searches, as by 3.11, zig
    # would name this machine's, though it searches its own.
    compiler = f"{zig} cc -target {target.compiler_target} -dynamic -Wno-date-time -nostdlibinc"
    (source / "config.site").write_text("".join(f"{name}={value}\n" for name, value in ANSWERS.items()))
    settings = {
        "CC": compiler,
        # By this definition of its headers musl is recognised; but zig's compiler has the one that makes it itself.
        "CPP": f"{compiler} -E -D__DEFINED_va_list",
        "AR": f"{zig} ar",
        "RANLIB": f"{zig} ranlib",
        "READELF": str(Path(sys.executable).with_name("readelf.py")),  # of pyelftools; 3.11 demands one that is named
        "OPT": "-O1 -DNDEBUG -g0",
        # That OpenSSL compresses nothing. musl's threads have 128 KB of stack, those of Docker's Python on Alpine this.
        "CPPFLAGS": "-DOPENSSL_NO_COMP -DTHREAD_STACK_SIZE=0x100000",
        "LINKFORSHARED": "-rdynamic",
        "PKG_CONFIG": "false",  # it would find the libraries of this machine
        "CONFIG_SITE": str(source / "config.site"),
    }
    options = [
        f"--host={target.machine}-linux-musl",
        f"--build={target.machine}-pc-linux-musl",  # another name than the host's; and 3.11 looks for musl here
        f"--with-build-python={builds}",
        f"--prefix={prefix}",
        f"--with-openssl={openssl}",
        "--disable-test-modules",
        "--without-ensurepip",
        "--without-static-libpython",
    ]
    _run(["./configure", "--quiet", *options], source, settings)
    (source / "Modules" / "Setup.local").write_text("\n".join(["*disabled*", *LEFT_OUT, ""]))
    # Not for configure: nothing is there yet.
    flags = f"LDFLAGS=-Wl,--dynamic-linker={loader} -Wl,-rpath,{prefix}/lib"
    _run(["make", f"-j{os.cpu_count()}", flags], source)


def _loader(cache: Path, target: Target) -> Path:
    """musl, which is the loader of its programs too."""
    root = debian.unpacked(cache, debian.MUSL_RELEASE, target.machine, ["musl"], alone=True)
    return root / "usr" / "lib" / f"ld-musl-{target.machine}.so.1"


def _openssl(cache: Path, target: Target, into: Path) -> None:
    """OpenSSL's headers, and its libraries for musl."""
    headers = debian.unpacked(cache, HEADERS_RELEASE, target.machine, ["libssl-dev"], alone=True) / "usr" / "include"
    shutil.copytree(headers / "openssl", into / "include" / "openssl")
    shutil.copytree(
        headers / f"{target.machine}-linux-gnu" / "openssl", into / "include" / "openssl", dirs_exist_ok=True
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    flags = ["--platform", target.platform_tag, "--implementation", "cp", "--python-version", "3.13"]
    _run([*pip, *flags, "--only-binary=:all:", "--dest", str(into), OPENSSL], into)
    (wheel,) = into.glob("*.whl")
    (into / "lib").mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            library = name.rpartition("/")[2]
            kind = library.partition("-")[0]  # the rest is of its contents
            if kind in ("libssl", "libcrypto"):
                (into / "lib" / library).write_bytes(archive.read(name))
                (into / "lib" / f"{kind}.so").symlink_to(library)


def _run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> None:
    # A cache of zig's beside it goes away with it: it has each file of Python's once more.
    caches = dict.fromkeys(["ZIG_LOCAL_CACHE_DIR", "ZIG_GLOBAL_CACHE_DIR"], str(folder.parent / "zig"))
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | caches | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if len(line) < 300]  # and no commands
        what = " ".join(command[:4])
        raise NotToBeHad(f"a Python for musl cannot be made: {what}: " + "\n".join(said)[-1000:])
