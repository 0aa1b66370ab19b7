"""Notices when a handler keeps the event loop to itself: every other invocation of the process waits meanwhile.

A thread asks the loop for a sign of life every now and then. When there is none for too long it logs, once for each
episode, where the loop's thread is and whose invocation that is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time

from .owners import call_as
from .stacks import stack_of_thread

_log = logging.getLogger("lmi_fast")
# Between two lines: a handler that blocks does so in every invocation.
INTERVAL = 1.0


class Watchdog:
    """`start()` on the loop's thread; `stop()` before the loop is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        """`limit`: seconds for which the loop may be blocked."""
        self.episodes = 0  # of a blocked loop so far
        self._loop = loop
        self._limit = limit
        self._loop_thread = 0
        self._sign = threading.Event()
        self._sign.set()
        self._stopping = False
        self._next_line = 0.0
        self._unsaid = 0

    def start(self) -> None:
        """Watches the loop that runs in this thread."""
        self._loop_thread = threading.get_ident()
        threading.Thread(target=self._watch, name="lmi_fast-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watches no more."""
        self._stopping = True
        self._sign.set()

    def _watch(self) -> None:
        pause = self._limit * 0.8
        began, used = time.monotonic(), time.process_time()
        while not self._stopping:
            time.sleep(pause)  # a third of what waiting for an event costs
            if asyncio.current_task(self._loop) is not None and not self._ask():
                return
            late = time.monotonic() - began - pause
            if late >= self._limit:
                with contextlib.suppress(Exception):  # a logging handler of the user's, for one
                    self._look(late, time.process_time() - used)
                self._sign.wait()
            began, used = time.monotonic(), time.process_time()

    def _ask(self) -> bool:
        """Asks for a sign of life and waits for it as long as it may take. Only who is in a task can be blocked: an
        idle loop is left alone. Returns False when the loop was closed.
        """
        self._sign.clear()
        try:
            self._loop.call_soon_threadsafe(self._sign.set)
        except RuntimeError:
            return False
        self._sign.wait(self._limit)
        return True

    def _look(self, seconds: float, used: float) -> None:
        task = asyncio.current_task(self._loop)
        stack = stack_of_thread(self._loop_thread)
        if stack and not self._sign.is_set():
            call_as(task, self._tell, seconds, "".join(stack).rstrip())
        elif used > seconds / 4:
            # It is over, and this thread was late as well. Less would mean that the machine had no time for any of us.
            call_as(None, self._tell, seconds, "  by something that kept the interpreter lock as well")

    def _tell(self, seconds: float, where: str) -> None:
        self.episodes += 1
        now = time.monotonic()
        if now < self._next_line:
            self._unsaid += 1
            return
        more, self._unsaid = self._unsaid, 0
        self._next_line = now + INTERVAL
        _log.warning(
            "the event loop has been blocked for %d ms%s, and all invocations of this process with it: use await, "
            "asyncio.to_thread, or a plain def handler\n%s",
            seconds * 1000,
            f" (and {more} times since this was last said)" if more else "",
            where,
        )
