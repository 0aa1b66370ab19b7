"""SIGTERM and SIGINT, for plain handlers: an event loop has its own way."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable

from .endings import exit_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .thread_driver import ThreadDriver

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_main_thread() -> bool:
    """Signal handlers can be set there only. Elsewhere somebody has embedded us, and ends the process himself."""
    return threading.current_thread() is threading.main_thread()


def signal_waiter() -> Callable[[], None]:
    """Returns what waits for one of them on the main thread, where nothing else runs.

    By a pipe: a handler in Python runs when the main thread gets to it, which it does not while it waits for a lock and
    the kernel has given the signal to another thread; and it must not touch the locks that the main thread may hold.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def wait() -> None:
        while not set(os.read(read_end, 64)) & set(STOP_SIGNALS):
            pass

    return wait


def stop_beneath_handler(driver: ThreadDriver, drain: float) -> None:
    """Has them stop a driver that runs the user's handler on the main thread, in Lambda (default) mode.

    `drain`: seconds for that handler to end; after two thirds of them it is answered for, and the process ends.
    """
    from .thread_driver import LAST

    def give_up() -> None:
        if not driver.ended.wait(drain * (1 - LAST)):
            driver.give_up()
            exit_at_once(0)

    def stop(*_: object) -> None:
        driver.stop()
        # Not threading.Thread: it takes locks that the main thread may hold.
        _thread.start_new_thread(give_up, ())

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    # The kernel may give a signal to a thread of the user's: the main thread has to wake up all the same.
    signal.set_wakeup_fd(driver.waker, warn_on_full_buffer=False)
