"""The runtimes that are compared, and how each is built: from the package registries, by their ordinary clients.

The programs under bench/rivals do what the Python handlers do. A rival whose toolchain is missing is left out, and
named.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench import handlers
from bench.places import CACHE, RIVALS, ROOT, Unavailable, compiled

Work = Literal["plain", "hooked", "echo", "boto", "sleep", "web"]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Runtime:
    """One side of a comparison."""

    name: str
    argv: Callable[[], list[str]]
    """Builds what is missing; the command without a handler. Raises Unavailable."""
    handler: str | None = None
    """The function in bench_<work>.py, for runtimes of Python."""
    env: dict[str, str] = field(default_factory=dict)
    polls: int | None = None
    """How many polls it parks whatever the slots; None: as many as there are slots."""
    works: tuple[Work, ...] = ("plain", "echo")

    def command(self, work: Work) -> list[str]:
        """What to execute. Raises Unavailable."""
        if work not in self.works:
            raise Unavailable(f"{self.name} has no {work} handler")
        return [*self.argv(), *([f"bench_{work}.{self.handler}"] if self.handler else [])]

    def environment(self, work: Work, api: str, slots: int) -> dict[str, str]:
        """The whole environment: what the platform sets, and nothing of ours."""
        return self.additions(work) | {
            "PATH": os.environ.get("PATH", os.defpath),
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_MAX_CONCURRENCY": str(slots),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "lambda-managed-instances",
            "AWS_LAMBDA_FUNCTION_NAME": "test_function",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/test_function",
            "AWS_LAMBDA_LOG_STREAM_NAME": "$LATEST",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def additions(self, work: Work) -> dict[str, str]:
        """What this runtime needs beside that."""
        added = dict(self.env)
        if self.handler:
            places = [ROOT, handlers.folder()]
            try:
                places.append(pypi_folder())
            except Unavailable:
                if work == "boto":  # else lmi_fast can do without; awslambdaric itself asks for it in its argv
                    raise
            if work == "web":
                places.append(pypi_folder("web"))
            added["PYTHONPATH"] = ":".join(map(str, places))
        if work in ("echo", "sleep"):
            added[f"BENCH_{work.upper()}"] = "1"
        return added

    def folder(self) -> Path | None:
        """Where it wants to be started."""
        task_root = self.env.get("LAMBDA_TASK_ROOT")
        return Path(task_root) if task_root else None


PYTHON_WORKS: tuple[Work, ...] = ("plain", "hooked", "echo", "boto", "sleep")


def lmi_fast(name: str, handler: str, **env: str) -> Runtime:
    """One of ours, with the compiled twins unless `env` says otherwise."""
    env = {"LMI_FAST_TWINS": "compiled", **env}

    def argv() -> list[str]:
        if env.get("LMI_FAST_TWINS") == "compiled":
            _need_compiled_twins()
        return [sys.executable, "-m", "lmi_fast"]

    # One process, as the rivals other than awslambdaric are.
    return Runtime(f"lmi_fast, {name}", argv, handler, {"LMI_FAST_PROCESSES": "0", **env}, works=PYTHON_WORKS)


@functools.cache
def _need_compiled_twins() -> None:
    check = [sys.executable, "-c", "import lmi_fast; lmi_fast.COMPILED"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LMI_FAST_TWINS": "compiled"}
    if subprocess.run(check, env=env, capture_output=True).returncode:
        raise Unavailable("lmi_fast's compiled twins are not built: python setup.py build_ext --inplace")


def _need(program: str, what: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Unavailable(f"{program} is not installed ({what})")
    return found


def _step(name: str, command: list[str], folder: Path, **env: str) -> None:
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{name} cannot be built: {(done.stderr or done.stdout).strip()[-600:]}")


def _fresh(product: Path, *sources: Path) -> bool:
    """Whether `product` is there and newer than what it is made of."""
    return product.exists() and all(product.stat().st_mtime >= source.stat().st_mtime for source in sources)


def _rust() -> list[str]:
    return [str(build_rust("rust", "rust-rival"))]


@functools.cache
def build_rust(folder: str, name: str) -> Path:
    """The program that a folder of rivals/ makes. Raises Unavailable."""
    source, program = RIVALS / folder, CACHE / folder / "release" / name
    if not _fresh(program, source / "src" / "main.rs", source / "Cargo.toml"):
        cargo = _need("cargo", "Rust")
        _step(f"the rival {name}", [cargo, "build", "--release"], source, CARGO_TARGET_DIR=str(CACHE / folder))
        program.touch()
    return program


@functools.cache
def _go() -> list[str]:
    source, program = RIVALS / "go", CACHE / "go-rival"
    if not _fresh(program, source / "main.go", source / "go.mod"):
        command = [_need("go", "Go"), "build", "-trimpath", "-mod=readonly", "-o", str(program), "."]
        _step("the Go rival", command, source, CGO_ENABLED="0")
    return [str(program)]


@functools.cache
def _node() -> list[str]:
    source, home = RIVALS / "node", CACHE / "node"
    node = home / "node_modules" / ".bin" / "node"
    addon = home / "node_modules" / "aws-lambda-ric" / "rapid-client.node"
    if not (node.exists() and _fresh(addon, source / "package.json")):
        npm = _need("npm", "Node")
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "package.json", home)
        # Its addon is compiled by an install script, with the Node that comes as a package beside it.
        _step("the Node rival", [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"], home)
        if not addon.exists():
            _step("the Node rival", [npm, "rebuild", "--foreground-scripts", "aws-lambda-ric"], home)
        if not addon.exists():
            raise Unavailable("the addon of aws-lambda-ric was not built: npm did not run its install scripts")
        addon.touch()
    shutil.copy(source / "index.mjs", home)
    return [str(node), str(home / "node_modules" / "aws-lambda-ric" / "index.mjs")]


@functools.cache
def pypi_folder(name: str = "requirements") -> Path:
    """AWS's Python runtime and boto3, or FastAPI and its servers ("web"), for this Python and nobody else. Raises
    Unavailable.
    """
    wanted = RIVALS / "python" / f"{name}.txt"
    folder = CACHE / (f"pypi-{VERSION}" if name == "requirements" else f"pypi-{name}-{VERSION}")
    stamp = folder / "requirements.txt"
    if not (stamp.exists() and stamp.read_text() == wanted.read_text()):
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _step(f"{name}.txt", [*command, "--target", str(folder), "--requirement", str(wanted)], ROOT)
        shutil.copy(wanted, stamp)
    return folder


def _awslambdaric() -> list[str]:
    pypi_folder()
    return [sys.executable, "-m", "awslambdaric"]


def awslambdaric(name: str, handler: str) -> Runtime:
    """As AWS's managed runtimes start it; with this variable each of its processes polls on a thread of its own."""
    env = {"AWS_EXECUTION_ENV": f"AWS_Lambda_python{VERSION}"}
    return Runtime(name, _awslambdaric, handler, env, works=PYTHON_WORKS)


def _floor(variant: str) -> Runtime:
    return Runtime(f"C floor, {variant}", lambda: [str(compiled("floor")), variant], works=("plain",))


def _node_runtime(name: str, **env: str) -> Runtime:
    # It takes its handler from the environment alone, and its polls are as many as its threads, whatever the slots.
    return Runtime(
        name, _node, env={"LAMBDA_TASK_ROOT": str(CACHE / "node"), "_HANDLER": "index.handler", **env}, polls=1
    )


ASYNC = lmi_fast("async", "handler_async")
SYNC = lmi_fast("sync", "handler")
PURE = lmi_fast("pure, async", "handler_async", LMI_FAST_TWINS="pure")
PURE_SYNC = lmi_fast("pure, sync", "handler", LMI_FAST_TWINS="pure")
ASYNCIO = lmi_fast("asyncio, async", "handler_async", LMI_FAST_LOOP="asyncio")
RUST = Runtime("Rust lambda_runtime", _rust, works=("plain", "echo", "sleep"))
GO = Runtime("Go aws-lambda-go", _go, works=("plain", "echo", "sleep"))
NODE = _node_runtime("Node aws-lambda-ric")
NODE_ONE = _node_runtime("Node aws-lambda-ric, one thread", AWS_LAMBDA_NODEJS_WORKER_COUNT="1")
AWSLAMBDARIC = awslambdaric("awslambdaric", "handler")
# As in a container image: cheaper, without that thread, and without its retries.
AWSLAMBDARIC_IMAGE = Runtime("awslambdaric, container image", _awslambdaric, "handler", works=PYTHON_WORKS)
FLOOR = _floor("serial")
FLOOR_PIPELINED = _floor("pipelined")


def available(runtimes: list[Runtime], left_out: dict[str, str]) -> list[Runtime]:
    """Those that can run here, built; the others go into `left_out` with the reason."""
    found = []
    for runtime in runtimes:
        try:
            runtime.command(runtime.works[0])
            runtime.additions(runtime.works[0])
            found.append(runtime)
        except Unavailable as error:
            left_out[runtime.name] = str(error)
    return found
