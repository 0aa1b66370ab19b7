"""Dependencies point one way: the architecture of CONTRIBUTING.md, enforced."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lmi_fast

PACKAGE = Path(lmi_fast.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyx")])

# From the bottom up; a part imports from parts below it only.
LAYERS = [
    {"_version", "errors"},
    {"_twins", "caller", "config", "sink"},
    {"wire"},
    {"context", "_lifespan", "_stats"},
    {"streaming"},
    {"client", "hooks"},
    {"runtime"},
    {"__init__", "__main__"},
]
# Beside the core: nothing of it imports them, and they import only this.
OPTIONAL = {
    "emulator": {"errors"},
    "http": {"_lifespan", "config", "context", "errors", "runtime", "streaming"},
    "observe": {"_stats", "_version", "config", "context", "errors", "hooks", "runtime"},
}

# Who may import what from outside. Of the standard library only what is a decision.
ONLY_IN = {
    "msgspec": {"wire/codec.py", "wire/_exact.py", "wire/typed_events.py"},
    "uvloop": {"runtime/loop.py"},
    "h11": {"wire/_http1_h11.py"},
    "socket": {
        "client/_stream_py.py",
        "client/address.py",
        "client/connection.py",
        "client/extension.py",
        "client/journal.py",
        "client/open_stream.py",
        "client/post_all.py",
        "runtime/supervisor.py",
        "sink.py",
    },
    "asyncio": {
        "_lifespan.py",
        "client/async_stream.py",
        "runtime/async_driver.py",
        "runtime/loop.py",
        "runtime/owners.py",
        "runtime/runtime.py",
        "runtime/stray_tasks.py",
        "runtime/streams.py",
        "runtime/watchdog.py",
    },
}
READ_THE_ENVIRONMENT = {"config.py", "_twins.py", "runtime/trace_environ.py"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def core() -> list[Path]:
    return [path for path in SOURCES if part_of(path) not in OPTIONAL]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules `path` imports, dotted and absolute, and whether only for type checking."""
    source = path.read_text()
    here = ["lmi_fast", *path.relative_to(PACKAGE).parts[:-1]]
    if path.suffix == ".pyx":  # not quite Python; its imports are on lines of their own
        source = "\n".join(m[1] for m in re.finditer(r"^ *((?:from \S+ )?import .+)$", source, re.MULTILINE))
    tree = ast.parse(source)
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    hidden = {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in hidden
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "lmi_fast":  # from .. import part
                for alias in node.names:
                    yield f"lmi_fast.{alias.name}", node in hidden
            else:
                yield module, node in hidden


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    rank = {part: level for level, parts in enumerate(LAYERS) for part in parts}
    part = part_of(path)
    for module, typing_only in imports(path):
        if not module.startswith("lmi_fast.") or typing_only:
            continue
        target = module.split(".")[1]
        if target == part:
            continue
        if part in OPTIONAL:
            assert target in OPTIONAL[part], f"{name_of(path)} imports {module}"
        else:
            assert target in rank, f"{name_of(path)} imports {module}, which is no part of the core"
            assert rank[target] < rank[part], f"{name_of(path)} imports {module}, which is not below it"


@pytest.mark.parametrize("path", core(), ids=name_of)
def test_each_outside_thing_is_imported_where_it_belongs(path: Path) -> None:
    for module, typing_only in imports(path):
        top = module.split(".")[0]
        if top in ONLY_IN and not typing_only:
            assert name_of(path) in ONLY_IN[top], f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", core(), ids=name_of)
def test_only_the_configuration_reads_the_environment(path: Path) -> None:
    if name_of(path) not in READ_THE_ENVIRONMENT:
        assert not re.search(r"\benviron\b|\bgetenv\b", re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL))


def test_every_part_has_its_place() -> None:
    parts = {part_of(path) for path in SOURCES}
    assert parts == set().union(*LAYERS, OPTIONAL)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_modules_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def modules_after(code: str, **environ: str) -> set[str]:
    code += "\nimport sys; print(*sys.modules)"
    made = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environ}, capture_output=True, text=True, check=True
    )
    return set(made.stdout.split())


def test_what_is_not_needed_is_not_imported() -> None:
    names = ("runtime", "thread_driver", "invoker", "service", "trouble", "adapters", "prints", "trace_environ")
    loaded = modules_after("import " + ", ".join(f"lmi_fast.runtime.{name}" for name in names))
    assert not loaded & {"asyncio", "uvloop", "h11", "lmi_fast.emulator", "http.client"}
    late = {"msgspec", "typing", "json", "decimal", "dataclasses", "inspect", "shlex", "importlib.abc"}
    assert not loaded & late, "not before the first poll"
    assert not loaded & {"lmi_fast.caller", "lmi_fast.client.journal"}, "not in every process"
    loaded = modules_after("import lmi_fast")
    assert not loaded & {"msgspec", "logging", "asyncio", "uvloop", "h11"}
