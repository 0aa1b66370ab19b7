"""The events that are sent, as files for the server, and as bytes for the emulator's clients."""

from __future__ import annotations

import base64
import functools
import json
import random
from pathlib import Path

from bench.places import CACHE, Unavailable
from tests import sam_wheel

NAMES = ("200 B", "API Gateway HTTP", "100 KB", "100 KB of records", "6 MB", "6 MB of records")
_SAMPLE = "apigateway/httpapi"


@functools.cache
def event(name: str) -> bytes:
    """The JSON of one of NAMES. Raises Unavailable when AWS's samples cannot be had."""
    if name == "200 B":
        value = {"id": 12345, "name": "x" * 100, "tags": ["a", "b", "c"], "nested": {"ok": True, "n": 1.5}}
        return _padded(value, 200)
    if name == "API Gateway HTTP":
        return _sample()
    size = 6_000_000 if name.startswith("6 MB") else 100_000
    return _records(size) if name.endswith("records") else _upload(size)


def _upload(size: int) -> bytes:
    """What a function gets of a file that is sent to it: nearly all of it one string."""
    rest = len(json.dumps({"isBase64Encoded": True, "body": ""}))
    body = base64.b64encode(random.Random(1).randbytes((size - rest) // 4 * 3)).decode()
    return _padded({"isBase64Encoded": True, "body": body}, size)


def _records(size: int) -> bytes:
    """What a function gets of a queue: many small objects, which cost far more to decode."""
    draw = random.Random(1)
    records: list[dict[str, object]] = []
    left = size - len(json.dumps({"records": []}))
    while True:
        text = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz ", k=120))
        record = {"id": len(records), "body": text, "tags": ["x", "y"], "at": draw.random(), "ok": True}
        left -= len(json.dumps(record)) + 2
        if left < 0:
            return _padded({"records": records}, size)
        records.append(record)


def _padded(value: object, size: int) -> bytes:
    text = json.dumps(value).encode()
    assert size - 300 < len(text) <= size
    return text + b" " * (size - len(text))


def event_file(name: str) -> Path:
    """The event as a file. Raises Unavailable."""
    content = event(name)
    path = CACHE / "events" / f"{name.replace(' ', '-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
    return path


def _sample() -> bytes:
    try:
        samples = sam_wheel.sample_events()
    except sam_wheel.WheelUnavailable as error:
        raise Unavailable(f"AWS's sample events: {error}") from error
    found = next((content for name, content in samples.items() if _SAMPLE in name.lower()), None)
    if found is None:
        raise Unavailable(f"no {_SAMPLE} among AWS's sample events: {sorted(samples)}")
    return found
