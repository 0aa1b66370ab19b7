"""What must be true of a wheel before anybody gets it, read from the wheel alone."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from wheels.targets import GLIBC, Target

# Installed, without the bytecode that pip may make of it.
LARGEST = 1_500_000
_SHARED_OBJECT = "lmi_fast/_compiled"
_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}
_LIBRARIES = re.compile(r"lib(c|pthread|dl|rt|m)\.so\.\d|libc\.musl-\w+\.so\.1|ld-linux-.*")
# Other than these nothing lies in a wheel.
_FILES = re.compile(r"lmi_fast/(.*\.py|py\.typed|bootstrap)|lmi_fast-[^/]*\.dist-info/.*")


class Wrong(RuntimeError):
    """A wheel that may not be published; the message names it and says why."""


def check_compiled(wheel: Path, target: Target, parts: Iterable[str]) -> dict[str, Any]:
    """What the manifest has of a platform wheel. `parts` are the modules that have to be in its shared object.

    Raises Wrong.
    """
    with zipfile.ZipFile(wheel) as archive:
        found = _check_files(wheel, archive, [_SHARED_OBJECT + target.suffix])
        elf = ELFFile(io.BytesIO(archive.read(_SHARED_OBJECT + target.suffix)))
        tags = _tags(archive)
    _demand(wheel, f"{target.python_tag}-{target.python_tag}-{target.platform_tag}" in tags, f"is tagged {tags}")
    machine = _MACHINES.get(elf["e_machine"])
    _demand(wheel, machine == target.machine, f"has code for {elf['e_machine']}")
    sections = [section.name for section in elf.iter_sections()]
    left = [name for name in sections if name == ".symtab" or name.startswith(".debug")]
    _demand(wheel, not left, f"is not stripped: {', '.join(left)}")
    needed, glibc, undefined, defined = _dynamic(wheel, elf)
    strange = [name for name in needed if not _LIBRARIES.fullmatch(name)]
    _demand(wheel, not strange, f"needs {', '.join(strange)}")
    missing = {f"PyInit_{part.rpartition('.')[2]}" for part in parts} - defined
    _demand(wheel, not missing, f"lacks {', '.join(sorted(missing))}")
    newest = max(glibc, default=())
    _demand(wheel, newest <= GLIBC, f"needs glibc {newest}")
    _demand(wheel, bool(newest) == (target.libc == "gnu"), f"is for {target.libc}, and needs glibc {newest}")
    return found | {
        "tags": tags,
        "needs": sorted(needed),
        "glibc": ".".join(map(str, newest)) or None,
        "symbols": sorted(name for name in undefined if not re.match("_?Py", name)),
        "python_symbols": sum(1 for name in undefined if re.match("_?Py", name)),
    }


def check_pure(wheel: Path) -> dict[str, Any]:
    """What the manifest has of the wheel for every platform. Raises Wrong."""
    with zipfile.ZipFile(wheel) as archive:
        found = _check_files(wheel, archive, [])
        tags = _tags(archive)
        for name in archive.namelist():
            _demand(wheel, not archive.read(name).startswith(b"\x7fELF"), f"has a binary: {name}")
    _demand(wheel, tags == ["py3-none-any"], f"is tagged {tags}")
    return found | {"tags": tags}


def check_sdist(sdist: Path, sources: Iterable[str]) -> dict[str, Any]:
    """What the manifest has of the source distribution, which is to have all `sources`. Raises Wrong."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    _demand(sdist, not (missing := set(sources) - names), f"lacks {', '.join(sorted(missing))}")
    stray = [name for name in names if name.endswith((".so", ".c", ".pyc", ".o"))]
    _demand(sdist, not stray, f"has {', '.join(stray)}")
    return _file(sdist)


def _check_files(wheel: Path, archive: zipfile.ZipFile, binaries: list[str]) -> dict[str, Any]:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    stray = [name for name in names if name not in binaries and not _FILES.fullmatch(name)]
    _demand(wheel, not stray, f"has {', '.join(stray)}")
    _demand(wheel, set(binaries) <= set(names), f"lacks {', '.join(binaries)}: it is not compiled")
    bootstrap = archive.getinfo("lmi_fast/bootstrap")
    _demand(wheel, bootstrap.external_attr >> 16 & 0o111 == 0o111, "has a bootstrap that cannot be executed")
    size = sum(info.file_size for info in archive.infolist())
    _demand(wheel, size < LARGEST, f"takes {size:,} bytes installed, more than {LARGEST:,}")
    return _file(wheel) | {"installed": size}


def _file(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _tags(archive: zipfile.ZipFile) -> list[str]:
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
    lines = archive.read(name).decode().splitlines()
    return sorted(line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: "))


def _dynamic(wheel: Path, elf: Any) -> tuple[list[str], set[tuple[int, ...]], set[str], set[str]]:
    """The libraries it needs, the versions of glibc, and the symbols it wants and has."""
    dynamic = elf.get_section_by_name(".dynamic")
    needed = [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]
    paths = [tag for kind in ("DT_RPATH", "DT_RUNPATH") for tag in dynamic.iter_tags(kind)]
    _demand(wheel, not paths, "has a path to search for libraries")
    versions = elf.get_section_by_name(".gnu.version_r")
    glibc = {
        tuple(map(int, version.name.removeprefix("GLIBC_").split(".")))
        for _, wanted in (versions.iter_versions() if versions else ())
        for version in wanted
    }
    symbols = [symbol for symbol in elf.get_section_by_name(".dynsym").iter_symbols() if symbol.name]
    undefined = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF"}
    return needed, glibc, undefined, {symbol.name for symbol in symbols} - undefined


def _demand(wheel: Path, holds: bool, otherwise: str) -> None:
    if not holds:
        raise Wrong(f"{wheel.name} {otherwise}")
