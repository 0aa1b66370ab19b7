"""Into a deployment package, by the commands of README.md and wheels/README.md, and from there under AWS's emulator."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rie import require_rie
from tests.sam_wheel import cache_dir
from tests.serving import ROOT
from tests.wheels.built import RUNNING, built
from wheels import pythons, trial
from wheels.__main__ import arguments
from wheels.targets import MACHINES, Target

PAGES = {"README.md": "## Use it in Lambda", "wheels/README.md": "## Into a deployment package"}
TARGETS = [Target(RUNNING, machine, "gnu") for machine in MACHINES]
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}


def commands(page: str) -> list[str]:
    """The blocks of shell commands below the page's heading."""
    text = (ROOT / page).read_text()
    section = text[text.index(PAGES[page]) :].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def run(text: str, folder: Path) -> None:
    """Runs commands as they stand, in a folder with `wheels` and app.py."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(["sh", "-e", "-c", text], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def make_package(page: str, target: Target, folder: Path) -> Path:
    """What the commands of `page` make."""
    built(target)
    (folder / "wheels").symlink_to(ROOT / "wheels")
    (folder / "app.py").write_text("")
    text = commands(page)[0].replace("aarch64", target.machine).replace("3.13", target.python)
    assert text.count(target.machine) == text.count(target.python) == 2
    # built() has done that, or dev.py has.
    text, count = re.subn(r"(?m)^wheels/build .*\n", "", text)
    assert count == 1
    run(text, folder)
    return folder / "package"


def test_every_way_to_build_that_is_shown_is_one() -> None:
    shown = [line for page in PAGES for line in re.findall(r"(?m)^wheels/build\b.*", (ROOT / page).read_text())]
    assert len(shown) == 6
    for line in shown:
        arguments(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("page", PAGES)
def test_the_wheels_are_those_for_the_function(tmp_path: Path, page: str, target: Target) -> None:
    """Whatever machine and Python pip itself runs on: all that is binary in the package is for the function's."""
    package = make_package(page, target, tmp_path)
    assert (package / "app.py").exists()
    modules = list(package.rglob("*.so"))
    assert {module.relative_to(package).parts[0] for module in modules} == {"lmi_fast", "msgspec", "uvloop"}
    for module in modules:
        head = module.read_bytes()[:20]
        assert head[:4] == b"\x7fELF"
        assert int.from_bytes(head[18:20], "little") == ELF_MACHINES[target.machine]
        assert module.name.endswith((target.suffix, f"{target.python_tag.replace('cp', 'cpython-')}.so"))


@pytest.mark.parametrize("how", ["wrapper", "bootstrap"])
def test_a_package_serves(tmp_path: Path, how: str) -> None:
    """As AWS_LAMBDA_EXEC_WRAPPER of a managed runtime, and as the bootstrap of an OS-only one, with nothing else on the
    path: the interpreter is one without site-packages of ours.
    """
    require_rie()
    target = next(target for target in TARGETS if target.machine == os.uname().machine)
    package = make_package("wheels/README.md", target, tmp_path)
    if how == "bootstrap":
        run(commands("wheels/README.md")[1], tmp_path)
        assert os.access(package / "bootstrap", os.X_OK)
    python = pythons.builder(cache_dir() / "wheels", target.python, print)
    trial.serve(package, target, python, how, trial.emulator(target, cache_dir(), print))
