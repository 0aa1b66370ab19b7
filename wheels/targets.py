"""What there is to build for: a wheel for each Python, architecture and C library that Lambda or its images run."""

from __future__ import annotations

from typing import NamedTuple

# Free-threaded Python is left out: the core does not declare itself safe without the GIL.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
# Amazon Linux 2023, which Lambda's runtimes are made of, has glibc 2.34; musl is for images on Alpine.
LIBCS = {"gnu": "manylinux_2_28", "musl": "musllinux_1_2"}
GLIBC = (2, 28)


class Target(NamedTuple):
    """One wheel to make."""

    python: str
    machine: str
    libc: str

    def __str__(self) -> str:
        return f"{self.python_tag}-{self.platform_tag}"

    @property
    def python_tag(self) -> str:
        return "cp" + self.python.replace(".", "")

    @property
    def platform_tag(self) -> str:
        return f"{LIBCS[self.libc]}_{self.machine}"

    @property
    def compiler_target(self) -> str:
        """As zig names it: the C library with the version to link against."""
        version = f".{GLIBC[0]}.{GLIBC[1]}" if self.libc == "gnu" else ""
        return f"{self.machine}-linux-{self.libc}{version}"

    @property
    def suffix(self) -> str:
        """What its Python expects extension modules to end with."""
        return f".cpython-{self.python.replace('.', '')}-{self.machine}-linux-{self.libc}.so"


def all_targets() -> list[Target]:
    return [Target(python, machine, libc) for libc in LIBCS for machine in MACHINES for python in PYTHONS]
