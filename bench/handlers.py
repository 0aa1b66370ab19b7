"""The handlers every Python runtime is measured with, written out as modules of their own.

Text and not modules of this package: importing one must cost nothing but itself, and no annotation may make a runtime
decode differently.
"""

from __future__ import annotations

import functools
from pathlib import Path

from bench.places import CACHE

_SOURCES = {
    "plain": """
def handler(event, context):
    return {"statusCode": 200, "body": "ok"}


async def handler_async(event, context):
    return {"statusCode": 200, "body": "ok"}
""",
    "web": """
from fastapi import FastAPI

app = FastAPI()


@app.api_route("/{path:path}", methods=["GET", "POST"])
async def endpoint(path: str):
    return {"message": "hello", "path": path}


REQUEST = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "https",
    "path": "/path/to/resource",
    "raw_path": b"/path/to/resource",
    "query_string": b"parameter1=value1&parameter1=value2&parameter2=value",
    "root_path": "",
    "headers": [
        (b"header1", b"value1"),
        (b"header2", b"value1,value2"),
        (b"cookie", b"cookie1; cookie2"),
        (b"content-length", b"15"),
    ],
    "client": ("192.0.2.1", 0),
    "server": ("id.execute-api.us-east-1.amazonaws.com", 443),
    "state": {},
    "extensions": {},
}
ANSWER = {
    "statusCode": 200,
    "body": '{"message":"hello","path":"path/to/resource"}',
    "headers": {"content-type": "application/json"},
}


async def receive():
    return {"type": "http.request", "body": b'{"test":"body"}', "more_body": False}


async def send(message):
    pass


async def untranslated(event, context):
    await app({**REQUEST, "headers": list(REQUEST["headers"])}, receive, send)
    return ANSWER


try:
    from mangum import Mangum
except ImportError:  # none of lmi_fast's
    pass
else:
    mangum_handler = Mangum(app, lifespan="off")
""",
    "hooked": """
import lmi_fast


class Hook(lmi_fast.Hooks):
    def invocation_end(self, context, result, seconds):
        pass


lmi_fast.add_hooks(Hook())


def handler(event, context):
    return {"statusCode": 200, "body": "ok"}


async def handler_async(event, context):
    return {"statusCode": 200, "body": "ok"}
""",
    "echo": """
def handler(event, context):
    return event


async def handler_async(event, context):
    return event
""",
    "boto": """
import boto3


def handler(event, context):
    return {"statusCode": 200, "body": "ok"}


async def handler_async(event, context):
    return {"statusCode": 200, "body": "ok"}
""",
    "sleep": """
import asyncio
import time


def handler(event, context):
    time.sleep(0.05)
    return {"statusCode": 200, "body": "ok"}


async def handler_async(event, context):
    await asyncio.sleep(0.05)
    return {"statusCode": 200, "body": "ok"}
""",
}


@functools.cache
def folder() -> Path:
    """The folder with one module bench_<work>.py for each kind of work."""
    path = CACHE / "handlers"
    path.mkdir(parents=True, exist_ok=True)
    for name, source in _SOURCES.items():
        module = path / f"bench_{name}.py"
        if not module.exists() or module.read_text() != source.lstrip():
            module.write_text(source.lstrip())
    return path
