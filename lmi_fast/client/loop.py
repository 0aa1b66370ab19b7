"""What connections and pools need of an event loop, as types: asyncio's and uvloop's have it, and reactor.py's."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables
from typing import Any, Protocol

Callback = Callable[..., object]
Buffer = bytearray | memoryview


class Timer(Protocol):
    """A callback that is to come."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """The part of an asyncio event loop that is used."""

    def add_reader(self, fd: int, callback: Callback, /) -> object: ...
    def remove_reader(self, fd: int, /) -> object: ...
    def add_writer(self, fd: int, callback: Callback, /) -> object: ...
    def remove_writer(self, fd: int, /) -> object: ...
    def call_soon(self, callback: Callback, /, *args: Any, context: Variables | None = None) -> object: ...
    def call_later(self, delay: float, callback: Callback, /) -> Timer: ...
