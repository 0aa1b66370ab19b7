"""First process of the emulator's private namespaces: lays out /var/task and /var/runtime there, then runs one program.

Run by rie.py under ``unshare --mount --pid --fork --mount-proc``, with the standard library only. Being process 1 of
its pid namespace makes it the leash: the moment it ends, for whatever reason, the kernel kills everything inside. It
ends with the program's exit code, or at once when its standard input closes, which is what happens when the test
process is gone.

Standard input: one line of JSON (see ``Plan``), then orders, one a line: ``<pid> <signal number>``, the pid as seen
inside the namespace, 0 for the program itself; signal number 0 ends everything at once.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import sys
import threading
from typing import TypedDict

_MS_RDONLY = 0x1
_MS_REMOUNT = 0x20
_MS_BIND = 0x1000
_MS_REC = 0x4000


class Plan(TypedDict):
    """What to lay out and run."""

    command: list[str]
    env: dict[str, str]
    bootstrap: str  # text of /var/runtime/bootstrap
    files: dict[str, str]  # path below /var/task -> content in base64
    task_dir: str | None  # a directory to show as /var/task instead of `files`


def main() -> int:
    plan: Plan = json.loads(sys.stdin.readline())
    lay_out(plan)
    os.chdir("/var/task")
    program = os.fork()
    if program == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvpe(plan["command"][0], plan["command"], plan["env"])
        except BaseException as error:
            os.write(2, f"rie_init: cannot run {plan['command'][0]}: {error}\n".encode())
        os._exit(127)
    threading.Thread(target=obey, args=(program,), daemon=True).start()
    while True:  # process 1 also inherits, and must reap, whatever its descendants leave behind
        pid, status = os.wait()
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def obey(program: int) -> None:
    for line in sys.stdin:
        pid, number = map(int, line.split())
        if number == 0:
            break
        with contextlib.suppress(ProcessLookupError):  # it ended while the order was on its way
            os.kill(pid or program, number)
    os._exit(137)


def lay_out(plan: Plan) -> None:
    """Cover /var with a tmpfs that shows all of the old /var again, except for our own task/ and runtime/."""
    # Taken before the cover is put on: /proc/self/fd leads mount(2) to what lies below it, so nothing has to be staged
    # on the real file system, which may have no /var/task to mount on and must not be given one.
    task = os.open(plan["task_dir"], os.O_PATH) if plan["task_dir"] is not None else -1
    entries = list(os.scandir("/var"))
    links = {entry.name: os.readlink(entry.path) for entry in entries if entry.is_symlink()}
    old = {entry.name: os.open(entry.path, os.O_PATH) for entry in entries if entry.is_dir(follow_symlinks=False)}
    mount("tmpfs", "/var", "tmpfs", 0, "mode=755")
    for name, fd in old.items():
        if name not in ("task", "runtime"):
            os.mkdir(f"/var/{name}")
            mount(f"/proc/self/fd/{fd}", f"/var/{name}", None, _MS_BIND | _MS_REC, None)
    for name, target in links.items():
        os.symlink(target, f"/var/{name}")
    os.umask(0o022)  # everything must be readable by the runtime's uid, whatever the caller's umask
    os.mkdir("/var/task")
    os.mkdir("/var/runtime")
    for name, content in plan["files"].items():
        path = os.path.join("/var/task", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))
    # Read-only as on Lambda; in the default mode the runtime is root, and a directory of the host must be safe from it.
    source = f"/proc/self/fd/{task}" if task >= 0 else "/var/task"
    mount(source, "/var/task", None, _MS_BIND | _MS_REC, None)
    kept = os.statvfs("/var/task").f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)  # mount(2) has the same numbers
    mount(source, "/var/task", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept, None)
    # Looked for before /var/task/bootstrap in LMI mode, so a task directory that has one of its own does not get in the
    # way.
    with open("/var/runtime/bootstrap", "w", encoding="utf-8") as file:
        file.write(plan["bootstrap"])
    os.chmod("/var/runtime/bootstrap", 0o755)


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    if libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind or 'bind'} on {target}: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        code = main()
    except OSError as error:
        print(f"rie_init: {error}", file=sys.stderr, flush=True)
        code = 70
    # The thread that reads orders is inside a read of standard input, which an orderly exit would wait for.
    os._exit(code)
