"""Where a handler stands: the stack of a task that waits, or of a thread that runs."""

from __future__ import annotations

import sys
import traceback
from types import FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any

_OURS = __name__.partition(".")[0]
_MACHINERY = (_OURS, "threading", "asyncio", "uvloop")
# A coroutine, a generator and an async generator name their frame and what they wait for differently.
_KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def stack_of_task(task: asyncio.Task[Any]) -> list[str]:
    """The frames of a task that waits, outermost first, as a traceback has them."""
    frames: list[FrameType] = []
    waiting: Any = task.get_coro()
    while waiting is not None and len(frames) < 1000:
        for frame_name, next_name in _KINDS:
            if hasattr(waiting, frame_name):
                frame = getattr(waiting, frame_name)
                if frame is not None:
                    frames.append(frame)
                waiting = getattr(waiting, next_name)
                break
        else:
            break
    return _format(frames, 0)


def stack_of_thread(ident: int) -> list[str]:
    """The frames of a thread, outermost first; nothing if it has ended."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(ident)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    frames.reverse()
    machinery = [_is_machinery(frame) for frame in frames]
    return _format(frames, machinery.index(True) if True in machinery else 0)  # behind whatever has called us


def _format(frames: list[FrameType], start: int) -> list[str]:
    while start < len(frames) and _is_machinery(frames[start]):
        start += 1
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames[start:])
    return traceback.format_list([(entry.filename, entry.lineno or 0, entry.name, entry.line) for entry in summary])


def _is_machinery(frame: FrameType) -> bool:
    """Whether a frame is part of what calls handlers."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _MACHINERY
