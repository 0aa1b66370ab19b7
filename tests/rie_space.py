"""The way into private namespaces, and the view of their processes from outside.

Whoever runs the tests must be root in there, and uid 993, which the emulator gives the runtime, must exist: true for
root, for users with a range of subordinate uids, and for those with sudo. Which of these works is found out by trying.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

from tests.rie_init import Plan

_INIT = Path(__file__).resolve().with_name("rie_init.py")
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
# CAP_DAC_READ_SEARCH opens closed directories for reading and nothing else: the runtime still cannot write where uid
# 993 cannot. no_setuid_fixup keeps it through the emulator's change from root to uid 993, the ambient set through the
# exec that follows.
READ_ALL = ["setpriv", "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
READ_ALL += ["--securebits", "+no_setuid_fixup"]


class NoWayIn(RuntimeError):
    """No private namespaces to be had here; the message says what was tried."""


@functools.cache
def way_in() -> tuple[str, ...]:
    """The command prefix that leads into namespaces where we are root and uid 993 exists. Raises NoWayIn."""
    missing = [program for program in ("unshare", "setpriv") if shutil.which(program, path=PATH) is None]
    if missing:
        raise NoWayIn(f"{' and '.join(missing)} (util-linux) not installed")
    ways: list[tuple[str, ...]]
    if os.geteuid() == 0:
        ways = [tuple(_UNSHARE)]
    else:
        # A user namespace with a single uid is not enough, the emulator changes to another: --map-auto takes a range of
        # /etc/subuid. Where that is not to be had, machines that build software mostly have sudo without a password.
        ways = [(*_UNSHARE, "--user", "--map-root-user", "--map-auto"), ("sudo", "-n", *_UNSHARE)]
    failures = []
    for way in ways:
        if shutil.which(way[0], path=PATH) is None:
            continue
        failure = _try(way)
        if failure is None:
            return way
        failures.append(f"{' '.join(way[:2])}...: {failure}")
    raise NoWayIn("no private namespaces: " + "; ".join(failures))


def _try(way: tuple[str, ...]) -> str | None:
    # What the emulator does with the runtime: become uid 993, then execute; here, an interpreter to read its own files.
    step = "import os, sys; os.setgroups([]); os.setgid(990); os.setuid(993); os.execv(sys.argv[1], sys.argv[1:])"
    reads = f"import ctypes; open({str(_INIT)!r}).close(); open('/var/task/probe').close()"
    command = [*READ_ALL, sys.executable, "-I", "-S", "-c", step, sys.executable, "-I", "-c", reads]
    plan = Plan(command=command, env={"PATH": PATH}, bootstrap="", files={"probe": ""}, task_dir=None)
    with spawn(way, plan) as process:  # leaving closes its standard input, which is the end of it
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            return "no answer for 30 s"
        errors = cast(IO[bytes], process.stderr).read().decode(errors="replace")
    if code == 0:
        return None
    return errors.strip()[-300:] or f"exit code {code}"


def spawn(way: tuple[str, ...], plan: Plan) -> subprocess.Popen[bytes]:
    """Start rie_init.py in new namespaces and hand it the plan; its standard input stays open: that is the leash."""
    process = subprocess.Popen(
        [*way, sys.executable, "-I", "-S", str(_INIT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pipesize=1 << 18,  # the log of several milliseconds of full load
        env={"PATH": PATH},
        start_new_session=True,  # a Ctrl-C at the terminal is for pytest, which then leaves the context
    )
    try:
        data = memoryview(json.dumps(plan).encode() + b"\n")
        while data:
            data = data[cast(IO[bytes], process.stdin).write(data) :]
    except BrokenPipeError:
        pass  # it said why on its standard error
    return process


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/<pid>/status; none if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def descendants(root: int) -> list[int]:
    """Living children, grandchildren and so on of a process, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            fields = status(int(entry))
            if fields and not fields["State"].startswith("Z"):
                children.setdefault(int(fields["PPid"]), []).append(int(entry))
    found: list[int] = []
    level = [root]
    while level:
        level = sorted(pid for parent in level for pid in children.get(parent, ()))
        found += level
    return found
