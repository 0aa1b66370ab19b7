"""python -m bench.gates.reference WORK SPIN: what the counts of lmi_fast are divided by, WORK times over.

A fixed mixture of what one invocation makes an interpreter do (bytes cut up, a dict, text, JSON both ways, calls), so
that another version or build of Python moves both sides alike. It uses nothing of lmi_fast, and it must never change:
the limits of the gates are multiples of it. SPIN rounds of the busy loop follow, to find out what one costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from bench.gates.spin import spin

_ID = b"8f5c2f0b-6a5a-4f0e-a2f0-0c6f3f2a4d11"
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: " + _ID + b"\r\n"
    b"Lambda-Runtime-Deadline-Ms: 1800000000000\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:test_function\r\n"
    b"Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n"
    b"Content-Length: 200\r\n\r\n"
)
_EVENT = b'{"id": 12345, "name": "%b", "tags": ["a", "b", "c"], "nested": {"ok": true, "n": 1.5}}' % (b"x" * 100)


class _Context:
    def __init__(self, headers: dict[str, str]) -> None:
        self.request_id = headers["lambda-runtime-aws-request-id"]
        self.deadline = int(headers["lambda-runtime-deadline-ms"])
        self.arn = headers["lambda-runtime-invoked-function-arn"]
        self.trace_id = headers.get("lambda-runtime-trace-id")


async def _handler(event: Any, context: _Context) -> Any:
    return {"statusCode": 200, "body": "ok"}


def _once(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]) -> bytes:
    status, *lines = _HEAD.split(b"\r\n")
    headers = {name.lower().decode(): value.decode() for name, _, value in [line.partition(b": ") for line in lines]}
    context = _Context(headers)
    coroutine = _handler(decode(_EVENT), context)
    try:
        coroutine.send(None)
    except StopIteration as done:
        body = encode(done.value)
    parts = (b"POST /", context.request_id.encode(), status, b"\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    return b"".join(parts)


def main(work: int, rounds: int) -> None:
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    for _ in range(work):
        _once(decode, encode)
    spin(rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
