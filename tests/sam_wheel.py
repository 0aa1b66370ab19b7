"""Fetch the aws-sam-cli wheel, the published package that carries the Lambda emulator and AWS's sample events.

One release, known by its digest, without its dependencies; nothing of it is imported or kept in the repository. Only
the emulator, for both architectures, and the event templates are unpacked, once, into a cache that any number of test
processes share. Run as a script it fetches, says so, and lists what it has.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import html
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

VERSION = "1.170.0"
# The wheel is py3-none-any and holds the binaries of both architectures, so one digest serves every machine.
SHA256 = "24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf"

_EVENTS = "samcli/lib/generated_sample_events/"
_BINARY = "samcli/local/rapid/aws-lambda-rie-"
# As the wheel has them, and as others name them.
_MACHINES = {"amd64": "x86_64", "aarch64": "arm64"}
_PLACEHOLDER = re.compile(r"\{\{\{\s*([\w-]+)\s*\}\}\}|\{\{\s*([\w-]+)\s*\}\}")


class WheelUnavailable(RuntimeError):
    """The wheel could not be had: no pip, no network, another digest, or an architecture it has no binary for."""


def cache_dir() -> Path:
    """The git-ignored directory of fetched things: LMI_FAST_CACHE, else ``.cache`` at the project root."""
    given = os.environ.get("LMI_FAST_CACHE")
    return Path(given) if given else Path(__file__).resolve().parent.parent / ".cache"


def rie_binary(machine: str | None = None) -> Path:
    """The emulator for `machine` ("x86_64" or "aarch64"; this one), executable. Raises WheelUnavailable."""
    machine = (machine or platform.machine()).lower()
    program = _unpacked() / _MACHINES.get(machine, machine) / "aws-lambda-rie"
    if not program.exists():
        raise WheelUnavailable(f"aws-sam-cli {VERSION} has no emulator for {machine}")
    return program


def event_templates() -> list[str]:
    """The template files the wheel has, as ``service/FileName``, sorted. Raises WheelUnavailable."""
    root = _unpacked() / "events"
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.glob("*/*.json"))


def sample_events() -> dict[str, bytes]:
    """Every sample event of ``sam local generate-event`` with its default values: name -> JSON text.

    The name is ``service/FileName`` ("apigateway/HttpApi"); where several events share one template with other
    defaults, ``#event`` is added ("kinesis/KinesisAnalytics#analytics-compressed"). Raises WheelUnavailable.
    """
    root = _unpacked()
    mapping: dict[str, dict[str, Any]] = json.loads((root / "event-mapping.json").read_bytes())
    uses = Counter((service, event["filename"]) for service, events in mapping.items() for event in events.values())
    found: dict[str, bytes] = {}
    for service, events in mapping.items():
        for kind, event in events.items():
            name = f"{service}/{event['filename']}"
            template = json.loads((root / "events" / f"{name}.json").read_bytes())
            suffix = f"#{kind}" if uses[service, event["filename"]] > 1 else ""
            found[name + suffix] = render(template, event["tags"])
    return found


def render(template: Any, tags: Mapping[str, Mapping[str, Any]]) -> bytes:
    """One event template with the defaults of its tags put in, as the SAM CLI prints it (JSON, two-space indent)."""
    values: dict[str, str] = {}
    structures: dict[str, Any] = {}
    for tag, properties in tags.items():
        default = properties.get("default", "")
        # The command line turns a tag into an option and hands its value over under the option's Python name,
        # unencoded; templates use that name ("account_id") far more often than the tag's own ("account-id").
        values[tag.replace("-", "_").lower()] = default
        values[tag] = _encoded(properties, default)
        for child, child_properties in properties.get("children", {}).items():
            values[child] = _encoded(child_properties, default)
        if properties.get("type") == "dict":
            # Stands for a JSON object: substituted as text it would end the string it stands in, so it goes in
            # afterwards.
            structures[tag] = json.loads(default)
            values[tag] = tag

    def substitute(match: re.Match[str]) -> str:
        if match[1] is not None:
            return values.get(match[1], "")
        return html.escape(values.get(match[2], ""))

    event = json.loads(_PLACEHOLDER.sub(substitute, json.dumps(template)))
    for key, value in event.items():
        if value == key.lower() and value in structures:
            event[key] = structures[value]
    return json.dumps(event, indent=2).encode()


def _encoded(properties: Mapping[str, Any], value: str) -> str:
    if properties.get("encoding") == "url":
        value = urllib.parse.quote(value)
    elif properties.get("encoding") == "base64":
        value = base64.b64encode(value.encode()).decode()
    if properties.get("hashing") == "md5":
        value = hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()
    return value


def _unpacked(say: Callable[[str], None] | None = None) -> Path:
    cache = cache_dir()
    ready = cache / f"aws-sam-cli-{VERSION}"
    if ready.is_dir():
        return ready
    cache.mkdir(parents=True, exist_ok=True)
    ignore = cache / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.is_dir():  # another process may have had the lock before
            with tempfile.TemporaryDirectory(dir=cache, prefix="unpack-") as scratch:
                wheel = _download(Path(scratch), say)
                tree = Path(scratch) / "tree"
                _unpack(wheel, tree)
                os.replace(tree, ready)
    return ready


def _download(into: Path, say: Callable[[str], None] | None) -> Path:
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    else:  # an environment made without pip: any other will do, the wheel has no interpreter or platform tag
        program = shutil.which("pip3") or shutil.which("pip")
        if program is None:
            raise WheelUnavailable("no pip to download aws-sam-cli with")
        pip = [program]
    if say is not None:
        say(f"downloading aws-sam-cli {VERSION}")
    options = ["--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*pip, "download", *options, "--dest", str(into), f"aws-sam-cli=={VERSION}"],
        stdin=subprocess.DEVNULL,
        stdout=None if say is not None else subprocess.PIPE,
        stderr=None if say is not None else subprocess.STDOUT,
    )
    wheels = sorted(into.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        tail = (done.stdout or b"").decode(errors="replace").strip()[-500:]
        raise WheelUnavailable(f"pip could not download aws-sam-cli {VERSION} (exit code {done.returncode}): {tail}")
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if digest != SHA256:
        raise WheelUnavailable(f"{wheels[0].name} has SHA-256 {digest}, expected {SHA256}")
    return wheels[0]


def _unpack(wheel: Path, tree: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(_BINARY):
                program = tree / name.removeprefix(_BINARY) / "aws-lambda-rie"
                program.parent.mkdir(parents=True)
                program.write_bytes(archive.read(name))
                program.chmod(0o755)
        for name in archive.namelist():
            if name.startswith(_EVENTS) and name.endswith(".json"):
                target = tree / name.removeprefix(_EVENTS)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))


def main() -> int:
    try:
        where = _unpacked(say=lambda line: print(line, flush=True))
        events = sample_events()
    except WheelUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{where}: emulator of {rie_binary().stat().st_size} bytes, {len(events)} sample events")
    return 0


if __name__ == "__main__":
    sys.exit(main())
