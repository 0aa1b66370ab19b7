"""Tries a wheel as it will be used: unpacked into a deployment package, and started by AWS's emulator as Lambda would.

Nothing but the package is on the path. A wheel for another architecture runs under QEMU, the emulator too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import sam_wheel
from tests.rie import Rie
from wheels import debian
from wheels.pythons import Say, version_of
from wheels.targets import Target

SLOTS = 4
INVOKES = 20
HANDLER = """
import platform, sys
import lmi_fast

async def handler(event, context):
    import msgspec, uvloop  # as the package has them, or not at all
    here = {module.__file__.rpartition("/")[0].rpartition("/")[0] for module in (lmi_fast, msgspec, uvloop)}
    return [event, lmi_fast.COMPILED, platform.machine(), sys.version_info[:2], sorted(here)]
"""
# What /var/runtime/bootstrap of the managed Python runtimes does with a wrapper script.
MANAGED = """#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_python{version}
[ -f "$AWS_LAMBDA_EXEC_WRAPPER" ] || {{ echo "$AWS_LAMBDA_EXEC_WRAPPER: does not exist"; exit 127; }}
[ -x "$AWS_LAMBDA_EXEC_WRAPPER" ] || {{ echo "$AWS_LAMBDA_EXEC_WRAPPER: is not an executable"; exit 126; }}
exec "$AWS_LAMBDA_EXEC_WRAPPER" {python} /var/runtime/bootstrap.py
"""


class NotRight(RuntimeError):
    """A wheel that does not do what it should; the message says what it did."""


def make_package(dist: Path, target: Target, into: Path) -> None:
    """A deployment package: lmi_fast from `dist`, and what it needs. Raises NotRight."""
    # The flags of wheels/README.md, where the tests run them.
    flags = ["--platform", target.platform_tag, "--implementation", "cp", "--python-version", target.python]
    flags += ["--only-binary=:all:", "--no-compile", "--find-links", str(dist), "--target", str(into)]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--root-user-action=ignore",
    ]
    done = subprocess.run([*pip, *flags, "lmi_fast"], capture_output=True, text=True)
    if done.returncode:
        raise NotRight(f"pip for {target}: {done.stderr.strip()[-1000:]}")


def try_package(package: Path, target: Target, python: Path, cache: Path, say: Say) -> dict[str, Any]:
    """Runs wheels/smoke.py, and a handler both ways that Lambda has to start it. What the manifest has of that.

    Raises NotRight.
    """
    env = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    smoke = Path(__file__).with_name("smoke.py")
    done = subprocess.run([str(python), str(smoke)], env=env, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise NotRight(f"{target}: smoke.py: {(done.stdout + done.stderr).strip()[-1000:]}")
    for how in ("wrapper", "bootstrap"):
        serve(package, target, python, how, emulator(target, cache, say))
    said = done.stdout.strip()
    return {
        "python": version_of(python),
        "smoke": re.sub(r", imported in .*", "", said),
        "emulator": ["wrapper", "bootstrap"],
    }


def serve(package: Path, target: Target, python: Path, how: str, command: list[str]) -> None:
    """Has AWS's emulator serve the handler from `package`, which is /var/task there. Raises NotRight.

    `how`: "wrapper", as AWS_LAMBDA_EXEC_WRAPPER on a managed runtime, or "bootstrap", on an OS-only one.
    """
    (package / "app.py").write_text(HANDLER)
    env = {"PYTHONDONTWRITEBYTECODE": "1"}  # as where files cannot be written
    if how == "wrapper":
        env["AWS_LAMBDA_EXEC_WRAPPER"] = "/var/task/lmi_fast/bootstrap"
        bootstrap = MANAGED.format(version=target.python, python=python)
    else:
        env["LMI_FAST_PYTHON"] = str(python)
        bootstrap = (package / "lmi_fast" / "bootstrap").read_text()
    wanted = [True, target.machine, [int(part) for part in target.python.split(".")], ["/var/task"]]
    with Rie(
        task_dir=package,
        bootstrap=bootstrap,
        max_concurrency=SLOTS,
        env=env,
        timeout_s=120,
        start_timeout_s=120.0,
        emulator=command,
    ) as rie:
        for number in range(INVOKES):
            reply = rie.invoke(json.dumps(number).encode(), patience=60.0)
            if reply.error_type or reply.json() != [number, *wanted]:
                raise NotRight(f"{target}, by {how}: {reply.body.decode(errors='replace')[:500]}")


def emulator(target: Target, cache: Path, say: Say) -> list[str]:
    """The command that starts AWS's emulator of that architecture. Raises NotToBeHad, WheelUnavailable."""
    program = str(sam_wheel.rie_binary(target.machine))
    if target.machine == os.uname().machine:
        return [program]
    return [str(debian.qemu(cache, target.machine, say)), program]
