"""wheels/build: makes the wheels of lmi_fast, checks each, and tries those that this machine can run.

Without options: the wheel for this machine and this Python. --all: everything there is to publish, made twice to see
that it comes out the same, and wheels/manifest.json of it. Needs no Docker and no C compiler.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import sam_wheel
from tests.rie import RieError
from wheels import check, make, pythons, trial
from wheels.debian import NotToBeHad
from wheels.targets import LIBCS, MACHINES, PYTHONS, Target, all_targets

ROOT = Path(__file__).resolve().parent.parent
CACHE = sam_wheel.cache_dir() / "wheels"
STARTED = time.monotonic()


def main() -> int:
    chosen = arguments()
    targets = [target for target in all_targets() if chosen.all or _is_chosen(target, chosen)]
    if not targets and not chosen.pure:
        print(f"wheels/build: there is no wheel for {os.uname().machine} with this Python; see --help", file=sys.stderr)
        return 2
    dist: Path = chosen.into
    dist.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SOURCE_DATE_EPOCH", _commit_time())
    # Hash seeds and caches of this user's may not decide what a wheel is.
    os.environ["PYTHONHASHSEED"] = "0"
    try:
        found = _build([] if chosen.pure else targets, dist, plain=chosen.all or chosen.pure)
        if chosen.all or chosen.twice:
            _build_again(found)
        if not chosen.no_try and not chosen.pure:
            tried = found if chosen.all or chosen.emulate else [entry for entry in found if _is_at_home(entry)]
            _try([entry for entry in tried if entry.get("target")], dist)
    except (make.Failed, check.Wrong, trial.NotRight, NotToBeHad, sam_wheel.WheelUnavailable, RieError) as error:
        print(f"wheels/build: {error}", file=sys.stderr)
        return 1
    for entry in found:
        entry.pop("target", None)
    if chosen.all:
        _write_manifest(found)
    for entry in found:
        print(f"{entry['size']:>9,} {entry['file']}")
    return 0


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Those of the command line, or `given`. Ends the process for wrong ones."""
    parser = argparse.ArgumentParser(
        prog="wheels/build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="every wheel, the pure one, the sdist; and the manifest")
    parser.add_argument("--pure", action="store_true", help="the wheel for every platform, and the sdist, alone")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="can be repeated; the one that runs this")
    parser.add_argument("--machine", action="append", choices=MACHINES, help="can be repeated; this one")
    parser.add_argument("--libc", action="append", choices=list(LIBCS), help="can be repeated; gnu")
    parser.add_argument("--into", type=Path, default=ROOT / "wheels" / "dist", help="the folder for them (wheels/dist)")
    parser.add_argument("--twice", action="store_true", help="make them again, and compare")
    parser.add_argument("--no-try", action="store_true", help="do not run them")
    parser.add_argument("--emulate", action="store_true", help="run those for another machine too (always with --all)")
    return parser.parse_args(given)


def _is_chosen(target: Target, chosen: argparse.Namespace) -> bool:
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        target.python in (chosen.python or [running])
        and target.machine in (chosen.machine or [os.uname().machine])
        and target.libc in (chosen.libc or ["gnu"])
    )


def _is_at_home(entry: dict[str, Any]) -> bool:
    target: Target | None = entry.get("target")
    return target is not None and target.machine == os.uname().machine


def _build(targets: list[Target], dist: Path, *, plain: bool) -> list[dict[str, Any]]:
    """What the manifest has of each, in order."""
    parts = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in _compiled_sources()]
    builders = {python: pythons.builder(CACHE, python, say) for python in dict.fromkeys(t.python for t in targets)}
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if plain:
            for old in (*dist.glob("*-py3-none-any.whl"), *dist.glob("*.tar.gz")):
                old.unlink()
            make.stage(ROOT, folder / "plain")
            say("the wheel for every platform, and the sdist")
            found.append(check.check_pure(make.pure(folder / "plain", dist)))
            sources = [
                str(path.relative_to(ROOT)) for path in (ROOT / "lmi_fast").rglob("*.py*") if path.suffix != ".pyc"
            ]
            found.append(check.check_sdist(make.sdist(folder / "plain", dist), sources))

        def one(target: Target) -> dict[str, Any]:
            staged = folder / str(target)
            make.stage(ROOT, staged)
            if (translated := folder / "translated").is_dir():
                shutil.copytree(translated, staged / "build")
            python = builders[target.python]
            made = make.compiled(staged, target, python, staged / "out")
            if not translated.is_dir():
                shutil.copytree(
                    staged / "build", translated, ignore=shutil.ignore_patterns("temp.*", "lib.*", "bdist.*")
                )
            wheel = make.repair(made, target, dist)
            shutil.rmtree(staged)
            say(wheel.name)
            about = check.check_compiled(wheel, target, parts)
            return about | {"headers": pythons.version_of(python), "target": target}

        found += _one_then_all(one, targets)
    return found


def _one_then_all(one: Any, targets: list[Target]) -> Iterator[dict[str, Any]]:
    """The first alone: it translates for the others."""
    if targets:
        yield one(targets[0])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(one, targets[1:])


def _build_again(found: list[dict[str, Any]]) -> None:
    """In another folder, with nothing left of the first time. Raises Wrong."""
    say("all of it again")
    targets = [entry["target"] for entry in found if entry.get("target")]
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["ZIG_LOCAL_CACHE_DIR"] = os.environ["ZIG_GLOBAL_CACHE_DIR"] = f"{scratch}/zig"
        again = _build(targets, Path(scratch) / "dist", plain=len(targets) < len(found))
    for first, second in zip(found, again, strict=True):
        if first["sha256"] != second["sha256"]:
            raise check.Wrong(f"{first['file']} is another one when it is made again")


def _try(entries: list[dict[str, Any]], dist: Path) -> None:
    for entry in entries:
        target: Target = entry["target"]
        try:
            python = pythons.runner(CACHE, target, say)
        except NotToBeHad as error:
            entry["tried"] = None
            entry["why_not_tried"] = str(error)
            say(f"not tried: {entry['file']}: {error}")
            continue
        # Under /tmp for the emulator, which runs it as another user.
        with tempfile.TemporaryDirectory() as package:
            trial.make_package(dist, target, Path(package))
            entry["tried"] = trial.try_package(Path(package), target, python, CACHE, say)
        say(entry["tried"]["smoke"])


def _compiled_sources() -> list[Path]:
    package = ROOT / "lmi_fast"
    typed = (path.with_suffix(".py") for path in package.rglob("*.pxd"))
    return sorted([*package.rglob("*.pyx"), *(path for path in typed if path.exists())])


def _commit_time() -> str:
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "315532800"  # 1980, where zip files begin


def _write_manifest(found: list[dict[str, Any]]) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    tools = (ROOT / "wheels" / "requirements.txt").read_text().splitlines()
    manifest = {
        "commit": commit,
        "source_date_epoch": int(os.environ["SOURCE_DATE_EPOCH"]),
        "tools": [line for line in tools if line and not line.startswith("#")],
        "reproduced": True,
        "files": found,
    }
    (ROOT / "wheels" / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def say(what: str) -> None:
    print(f"{time.monotonic() - STARTED:5.0f} s  {what}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
