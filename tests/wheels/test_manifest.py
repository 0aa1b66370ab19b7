"""wheels/manifest.json: what the last `wheels/build --all` has made, and found true of it."""

from __future__ import annotations

import json
import re

from tests.serving import ROOT
from wheels import check
from wheels.targets import GLIBC, PYTHONS, Target, all_targets

MANIFEST = json.loads((ROOT / "wheels" / "manifest.json").read_text())


def entry(target: Target) -> dict[str, object]:
    tag = f"{target.python_tag}-{target.python_tag}-{target.platform_tag}"
    (found,) = (file for file in MANIFEST["files"] if tag in file.get("tags", ()))
    assert isinstance(found, dict)
    return found


def test_it_has_all_there_is_to_publish() -> None:
    assert len(MANIFEST["files"]) == len(all_targets()) + 2
    names = [file["file"] for file in MANIFEST["files"]]
    assert sum(name.endswith("-py3-none-any.whl") for name in names) == 1
    assert sum(name.endswith(".tar.gz") for name in names) == 1
    for file in MANIFEST["files"]:
        assert re.fullmatch("[0-9a-f]{64}", file["sha256"])
        assert file.get("installed", 0) < check.LARGEST
    assert MANIFEST["reproduced"] is True


def test_glibc_is_old_enough() -> None:
    for target in all_targets():
        version = entry(target)["glibc"]
        if target.libc == "musl":
            assert version is None
        else:
            assert tuple(map(int, str(version).split("."))) <= GLIBC


def test_each_that_can_be_was_tried() -> None:
    """For another machine Debian has no 3.12; for this one's musl its source of 3.13 alone is compiled."""
    for target in all_targets():
        about = entry(target)
        at_home = target.machine == "x86_64"
        by_libc = {"musl": at_home and target.python == "3.13", "gnu": at_home or target.python != "3.12"}
        tried = about.get("tried")
        assert bool(tried) == by_libc[target.libc], target
        if isinstance(tried, dict):
            assert tried["smoke"].startswith(f"CPython {target.python}.")
            assert f" {target.machine}: compiled, " in tried["smoke"]
            assert tried["emulator"] == ["wrapper", "bootstrap"]
        else:
            assert about["why_not_tried"]


def test_the_tools_are_those_of_now() -> None:
    lines = (ROOT / "wheels" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == MANIFEST["tools"]


def test_every_python_that_is_supported_gets_wheels() -> None:
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert tuple(named) == PYTHONS
