"""Two calls of the C library that Python does not have: the pure twin, which finds its way round one of them."""

from __future__ import annotations

import os
import threading

_POLL = 0.1  # seconds


def use_one_arena() -> bool:
    """Returns False: the environment can do what the compiled twin does, with MALLOC_ARENA_MAX=1."""
    return False


def die_with_parent() -> bool:
    """Ends this process soon after its parent has. A thread looks for that: the kernel can be asked from C only."""
    parent, ended = os.getppid(), threading.Event()

    def look() -> None:
        while os.getppid() == parent:
            ended.wait(_POLL)
        os._exit(1)

    threading.Thread(target=look, name="lmi_fast-parent", daemon=True).start()
    return True
