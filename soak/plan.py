"""What each invocation is to do, and what may come of it. The seed decides."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from lmi_fast.emulator import Outcome

APP = """
import asyncio, contextlib, gc, os, threading, time

{a}def handler(event, context):
    do = event["do"]
    if do == "wait":
        {sleep}(event["seconds"])
    elif do == "raise":
        raise ValueError(event["token"])
    elif do == "late":
        {sleep}(1.0)
    elif do == "swallow":
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            with contextlib.suppress(BaseException):
                {sleep}(0.05)
    elif do == "census":
        gc.collect()
        {tasks}
        return {{"pid": os.getpid(), "tasks": tasks, "threads": threading.active_count()}}
    return {{"token": event["token"], "text": event["text"][::-1], "id": context.aws_request_id}}
"""


def app(kind: str) -> str:
    """The source of the function, `kind` being "async" or "plain"."""
    if kind == "async":
        return APP.format(a="async ", sleep="await asyncio.sleep", tasks="tasks = len(asyncio.all_tasks())")
    return APP.format(a="", sleep="time.sleep", tasks="tasks = 0")


class Step(NamedTuple):
    """One invocation."""

    event: dict[str, Any]
    timeout_s: float

    def verdict(self, outcome: Outcome) -> str:
        """Either "as planned", or what came instead: "wrong", or the kind of the outcome and its error type."""
        do, found = self.event["do"], outcome.error_type
        if outcome.kind == "response" and do in ("echo", "wait"):
            body = json.loads(outcome.body)
            wanted = {"token": self.event["token"], "text": self.event["text"][::-1], "id": outcome.request_id}
            return "as planned" if body == wanted else "wrong"
        if do == "raise" and found == "Function.ValueError":
            report = json.loads(outcome.body)
            right = report["errorMessage"] == self.event["token"] and report["requestId"] == outcome.request_id
            return "as planned" if right else "wrong"
        if do in ("late", "swallow") and found == "Function.TimedOut":
            return "as planned"
        if do in ("late", "swallow") and outcome.kind == "timeout":
            return "timed out by the platform first"
        return f"{outcome.kind} {found}" if found else outcome.kind


def steps(seed: int, count: int) -> Iterator[Step]:
    """`count` of them, one by one."""
    chance = random.Random(seed)
    letters = "".join(chr(code) for code in (*range(32, 127), 0xE9, 0x20AC, 0x1F600)) * 80
    for number in range(count):
        do = chance.choices(("echo", "wait", "raise", "late", "swallow"), (8800, 900, 270, 20, 10))[0]
        size = chance.choices((20, 5_000, 400_000), (950, 48, 2))[0] if do == "echo" else 20
        start = chance.randrange(len(letters) - 100)
        text = (letters[start:] + letters * (size // len(letters) + 1))[:size]
        event: dict[str, Any] = {"do": do, "token": f"{seed}-{number}", "text": text}
        if do == "wait":
            event["seconds"] = chance.choice((0.001, 0.005, 0.02, 0.05))
        yield Step(event, 0.4 if do in ("late", "swallow") else 6.0)
