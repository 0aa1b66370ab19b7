"""The event loop: uvloop where it is installed, asyncio otherwise. The only importer of uvloop."""

from __future__ import annotations

import asyncio

from ..errors import ConfigError


def new_event_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A new event loop; `kind` is LMI_FAST_LOOP: "auto", "uvloop" or "asyncio". Raises ConfigError."""
    if kind == "asyncio":
        return asyncio.new_event_loop()
    try:
        import uvloop
    except ModuleNotFoundError as error:
        if error.name != "uvloop":
            raise
        if kind == "uvloop":
            raise ConfigError("LMI_FAST_LOOP", kind, "uvloop only where it is installed: pip install uvloop") from None
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
