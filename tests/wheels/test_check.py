"""wheels/check.py refuses what may not be published: real wheels, with one thing wrong in each."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheels.built import RUNNING, built
from wheels import check
from wheels.targets import Target

GOOD = Target(RUNNING, "x86_64", "gnu")
OTHER = Target(RUNNING, "aarch64", "gnu")
PARTS = ["lmi_fast.client.pool", "lmi_fast.wire._http1_c"]
SHARED_OBJECT = "lmi_fast/_compiled" + GOOD.suffix
WHEEL = "lmi_fast-0.1.0.dist-info/WHEEL"

Change = Callable[[dict[str, bytes]], None]


def changed(wheel: Path, folder: Path, change: Change, mode: int = 0o755) -> Path:
    """A copy of a wheel with other contents, which `change` makes."""
    into = folder / wheel.name
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(into, "w") as after:
        contents = {name: before.read(name) for name in before.namelist()}
        change(contents)
        for name, data in contents.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            after.writestr(info, data)
    return into


def put(name: str, data: bytes) -> Change:
    return lambda contents: contents.update({name: data})


def replace(name: str, old: bytes, new: bytes) -> Change:
    def change(contents: dict[str, bytes]) -> None:
        assert old in contents[name]
        contents[name] = contents[name].replace(old, new)

    return change


def test_what_was_built_is_right(tmp_path: Path) -> None:
    for target in (GOOD, OTHER):
        about = check.check_compiled(built(target), target, PARTS)
        assert about["installed"] < check.LARGEST
        assert about["glibc"] == "2.17"
        assert {"recv", "sendmsg"} <= set(about["symbols"])
        assert about["python_symbols"] > 100


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (put("lmi_fast/client/pool.c", b""), "has lmi_fast/client/pool.c"),
        (put("tests/test_x.py", b""), "has tests/test_x.py"),
        (put("lmi_fast/wire/_http1_c.so", b""), "has lmi_fast/wire/_http1_c.so"),
        (lambda contents: contents.pop(SHARED_OBJECT), "it is not compiled"),
        (put("lmi_fast/large.py", b"#" * check.LARGEST), "more than 1,500,000"),
        (replace(WHEEL, b"manylinux_2_28", b"manylinux_2_34"), "is tagged"),
        (replace(SHARED_OBJECT, b"PyInit_pool", b"PyInit_loop"), "lacks PyInit_pool"),
        (replace(SHARED_OBJECT, b"GLIBC_2.17\0", b"GLIBC_2.29\0"), "needs glibc (2, 29)"),
        (replace(SHARED_OBJECT, b"libpthread.so.0\0", b"libpython.so.99\0"), "needs libpython.so.99"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_wheel_is_said(tmp_path: Path, change: Change, why: str) -> None:
    with pytest.raises(check.Wrong) as refused:
        check.check_compiled(changed(built(GOOD), tmp_path, change), GOOD, PARTS)
    assert why in str(refused.value)


def test_code_for_another_machine(tmp_path: Path) -> None:
    with zipfile.ZipFile(built(OTHER)) as other:
        foreign = other.read("lmi_fast/_compiled" + OTHER.suffix)
    wheel = changed(built(GOOD), tmp_path, put(SHARED_OBJECT, foreign))
    with pytest.raises(check.Wrong, match="has code for EM_AARCH64"):
        check.check_compiled(wheel, GOOD, PARTS)


def test_names_and_debug_information_that_nobody_needs(tmp_path: Path) -> None:
    with zipfile.ZipFile(built(GOOD)) as archive:
        stripped = archive.read(SHARED_OBJECT)
    # The name of a section that every file has becomes that of one which it may not have.
    wheel = changed(built(GOOD), tmp_path, put(SHARED_OBJECT, stripped.replace(b"\0.comment\0", b"\0.symtab\0\0")))
    with pytest.raises(check.Wrong, match=r"is not stripped: \.symtab"):
        check.check_compiled(wheel, GOOD, PARTS)


def test_a_path_of_the_builder(tmp_path: Path) -> None:
    def change(contents: dict[str, bytes]) -> None:
        # DT_FLAGS_1 of the dynamic section becomes DT_RUNPATH; its value is then a place among the strings.
        flags, runpath = (tag.to_bytes(8, "little") for tag in (0x6FFFFFFB, 0x1D))
        assert contents[SHARED_OBJECT].count(flags) == 1
        contents[SHARED_OBJECT] = contents[SHARED_OBJECT].replace(flags, runpath)

    with pytest.raises(check.Wrong, match="has a path to search for libraries"):
        check.check_compiled(changed(built(GOOD), tmp_path, change), GOOD, PARTS)


def test_a_bootstrap_that_cannot_be_executed(tmp_path: Path) -> None:
    wheel = changed(built(GOOD), tmp_path, lambda contents: None, mode=0o644)
    with pytest.raises(check.Wrong, match="bootstrap that cannot be executed"):
        check.check_compiled(wheel, GOOD, PARTS)


def test_the_pure_wheel_has_no_binary(tmp_path: Path) -> None:
    with zipfile.ZipFile(built(GOOD)) as archive:
        binary = archive.read(SHARED_OBJECT)

    def pure(contents: dict[str, bytes]) -> None:
        del contents[SHARED_OBJECT]
        contents[WHEEL] = b"Root-Is-Purelib: true\nTag: py3-none-any\n"

    wheel = changed(built(GOOD), tmp_path, pure)
    assert check.check_pure(wheel)["tags"] == ["py3-none-any"]
    for name in (SHARED_OBJECT, "lmi_fast/data.py"):

        def spoilt(contents: dict[str, bytes], name: str = name) -> None:
            pure(contents)
            contents[name] = binary

        with pytest.raises(check.Wrong, match="has "):
            check.check_pure(changed(built(GOOD), tmp_path, spoilt))
