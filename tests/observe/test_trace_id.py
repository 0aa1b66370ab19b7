"""_X_AMZN_TRACE_ID is that of the invocation that reads it, however it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..serving import serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
N = 40


def trace_id(n: int) -> str:
    return f"Root=1-5759e988-{n:024x};Parent=53995c3f42cd8ad8;Sampled=1"


def own(pendings: list[object], what: object) -> None:
    for n, pending in enumerate(pendings):
        body = pending.result(30).body  # type: ignore[attr-defined]
        assert json.loads(body) == json.loads(json.dumps(what, default=str).replace("TRACE", trace_id(n))), body


@both
def test_through_os_environ(tmp_path: Path, a: str) -> None:
    kind, wait = ("asyncio", "await ") if a else ("threading", "")
    source = f"""
import {kind}, os
from os import environ, getenv
NAME = "_X_AMZN_TRACE_ID"
barrier = {kind}.Barrier({N})
{a}def handler(event, context):
    {wait}barrier.wait()
    found = [os.environ[NAME], environ.get(NAME), getenv(NAME), os.environ.copy()[NAME], dict(environ)[NAME]]
    {wait}barrier.wait()
    found += [os.environ[NAME], (os.environ | {{}})[NAME], NAME in environ, list(environ).count(NAME)]
    found += [len(environ) == len(list(environ)), context.trace_id]
    {wait}barrier.wait()
    environ[NAME] = "own " + str(event["n"])
    {wait}barrier.wait()
    found += [environ[NAME] == "own " + str(event["n"]), context.trace_id == environ[NAME]]
    del environ[NAME]
    found += [getenv(NAME), NAME in environ, environ.pop(NAME, "none"), environ.setdefault("HOME", "x")]
    return found
"""
    with serving(tmp_path, source, slots=N, HOME="here") as served:
        pendings = [served.api.invoke({"n": n}, trace_id=trace_id(n)) for n in range(N)]
        expected = ["TRACE"] * 7 + [True, 1, True, "TRACE", True, True, None, False, "none", "here"]
        own(list(pendings), expected)


def test_outside_of_invocations_and_without_a_trace_id(tmp_path: Path) -> None:
    source = """
import os
NAME = "_X_AMZN_TRACE_ID"
before = [os.getenv(NAME), NAME in os.environ]
os.environ[NAME] = "set at import"
before += [os.environ[NAME]]
async def handler(event, context):
    found = [os.getenv(NAME), NAME in os.environ, NAME in list(os.environ), len(os.environ) == len(list(os.environ))]
    return before + found
"""
    with serving(tmp_path, source, slots=2) as served:
        result = served.result(trace_id="")
    assert result == [None, False, "set at import", None, False, False, True]


@both
def test_child_processes_are_given_it(tmp_path: Path, a: str) -> None:
    """Of subprocess, asyncio, os.popen, os.system, and what is executed in the place of a forked child."""
    echo = 'echo "$_X_AMZN_TRACE_ID"'
    source = f"""
import asyncio, os, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
ECHO = {echo!r}

def forked(execute):
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(write, 1)
        execute()
    os.close(write)
    text = os.fdopen(read).read()
    os.waitpid(pid, 0)
    return text

def children(event):
    with tempfile.NamedTemporaryFile("r") as out:
        os.system(f"{{ECHO}} > {{out.name}}")
        by_system = out.read()
    return [
        subprocess.check_output(["sh", "-c", ECHO], text=True),
        subprocess.run(ECHO, shell=True, capture_output=True, text=True).stdout,
        subprocess.Popen(["sh", "-c", ECHO], -1, None, None, subprocess.PIPE, None, None, True, False, None, None,
                         text=True).communicate()[0],
        os.popen(ECHO).read(),
        by_system,
        forked(lambda: os.execvp("sh", ["sh", "-c", ECHO])),
        forked(lambda: os.execl("/bin/sh", "sh", "-c", ECHO)),
        subprocess.check_output(["sh", "-c", ECHO], text=True, env={{"PATH": os.environ["PATH"]}}).strip() or "own env",
    ]
"""
    if a:
        source += """
async def handler(event, context):
    found = await asyncio.to_thread(children, event)
    for start in (lambda **more: asyncio.create_subprocess_exec("sh", "-c", ECHO, **more),
                  lambda **more: asyncio.create_subprocess_shell(ECHO, **more)):
        child = await start(stdout=subprocess.PIPE)
        found.append((await child.communicate())[0].decode())
        child = await start(stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
        found.append((await child.communicate())[0].decode().strip() or "own env")
    return [text.strip() for text in found]
"""
        expected = ["TRACE"] * 7 + ["own env", "TRACE", "own env", "TRACE", "own env"]
    else:
        source += "def handler(event, context):\n    return [text.strip() for text in children(event)]\n"
        expected = ["TRACE"] * 7 + ["own env"]
    with serving(tmp_path, source, slots=8, LMI_FAST_BLOCKED_MS="0") as served:
        own([served.api.invoke({"n": n}, trace_id=trace_id(n)) for n in range(8)], expected)


def test_default_mode_has_it_in_the_environment_of_the_process(tmp_path: Path) -> None:
    source = """
import os, subprocess
def handler(event, context):
    return [type(os.environ).__name__, os.environ["_X_AMZN_TRACE_ID"],
            subprocess.check_output(["sh", "-c", "printf %s $_X_AMZN_TRACE_ID"], text=True)]
"""
    with serving(tmp_path, source, slots=None) as served:
        assert served.result(trace_id=trace_id(7)) == ["_Environ", trace_id(7), trace_id(7)]
