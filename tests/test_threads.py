"""How plain handlers share threads: as few as will do, as many as handlers that block need."""

from __future__ import annotations

import os
import platform
import threading
from pathlib import Path

import pytest

from lmi_fast.emulator import Gate, Raw

from .conftest import HAVE_COMPILED
from .serving import TIMEOUT, serving

THREADS = """
    import threading
    def handler(event, context):
        return [threading.current_thread().name, threading.active_count()]
"""
BLOCKING = """
    import threading
    barrier = threading.Barrier(8)
    def handler(event, context):
        if event == "wait":
            barrier.wait(20)
        return threading.current_thread().name
"""
COMPUTING = """
    import time
    def handler(event, context):
        if event == "compute":
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                pass
        return time.monotonic()
"""

kinds = pytest.mark.parametrize("twins", ["auto", "pure"])


@kinds
def test_handlers_that_do_not_wait_need_no_thread_each(tmp_path: Path, twins: str) -> None:
    with serving(tmp_path, THREADS, slots=32, LMI_FAST_TWINS=twins) as served:
        for _ in range(100):
            name, count = served.result({})
            assert name.startswith("lmi_fast-worker-")
            # The main thread, the one that serves, and one or two that stand by.
            assert count <= 4


@kinds
def test_handlers_that_wait_for_each_other_overlap(tmp_path: Path, twins: str) -> None:
    """Each needs all the others to be running, twice over; then there are no more threads than slots."""
    with serving(tmp_path, BLOCKING, slots=8, LMI_FAST_TWINS=twins) as served:
        for _ in range(2):
            calls = [served.api.invoke("wait") for _ in range(8)]
            names = [call.result(TIMEOUT).body for call in calls]
            assert len(set(names)) == 8


@kinds
def test_a_handler_that_computes_does_not_keep_the_others_waiting(tmp_path: Path, twins: str) -> None:
    with serving(tmp_path, COMPUTING, slots=4, LMI_FAST_TWINS=twins) as served:
        long = served.api.invoke("compute")
        answered = threading.Event()
        long.add_done_callback(lambda _: answered.set())
        served.result("quick")
        assert not answered.is_set(), "the quick one had to wait for the other to end"
        assert long.result(TIMEOUT).kind == "response"


@kinds
def test_an_answer_that_is_lost_is_sent_again_while_every_slot_is_busy(tmp_path: Path, twins: str) -> None:
    source = """
        def handler(event, context):
            return open(event).read() if event else "answered"
    """
    fifo, gate = tmp_path / "fifo", Gate()
    os.mkfifo(fifo)
    with serving(tmp_path, source, slots=1, LMI_FAST_TWINS=twins) as served:
        served.api.on("response", Raw((gate,), close=True))
        first = served.api.invoke("")
        gate.wait_reached(TIMEOUT)
        busy = served.api.invoke(str(fifo))
        with fifo.open("w") as write_end:  # opens when the handler has opened it
            gate.open()  # the connection closes without a reply
            assert first.result(TIMEOUT).body == b'"answered"'
            assert not busy.done()
            write_end.write("read")
        assert busy.result(TIMEOUT).body == b'"read"'


@kinds
def test_in_default_mode_handlers_run_on_the_main_thread_alone(tmp_path: Path, twins: str) -> None:
    """And a signal that the kernel gives to a thread the handler has left ends the process nevertheless."""
    source = """
        import signal, threading
        left = None
        def handler(event, context):
            global left
            if left is None:
                left = threading.Thread(target=threading.Event().wait, daemon=True)
                left.start()
            signal.pthread_sigmask(signal.SIG_BLOCK if event == "block" else signal.SIG_UNBLOCK, {signal.SIGTERM})
            return [threading.current_thread() is threading.main_thread(), threading.active_count()]
    """
    with serving(tmp_path, source, slots=None, LMI_FAST_TWINS=twins) as served:
        for event in ("first", "second", "block"):
            assert served.result(event) == [True, 2]
        # Blocked on the main thread, the signal can go to the other one only.
        assert served.stop() == 0


def test_events_wait_where_no_thread_can_be_added(tmp_path: Path) -> None:
    """The process may have no more threads: what is there serves, one after the other."""
    source = """
        import resource, threading, time
        import lmi_fast

        start = threading.Thread.start
        def refuse(thread):
            if thread.name.startswith("lmi_fast-worker-") and threading.active_count() > 2:
                raise RuntimeError("can't start new thread")
            start(thread)

        def handler(event, context):
            threading.Thread.start = refuse
            time.sleep(0.01)
            return threading.active_count()
    """
    with serving(tmp_path, source, slots=16) as served:
        calls = [served.api.invoke({}) for _ in range(64)]
        assert {call.result(TIMEOUT).kind for call in calls} == {"response"}


@pytest.mark.skipif(not HAVE_COMPILED or platform.libc_ver()[0] != "glibc", reason="glibc, told by a compiled twin")
@pytest.mark.parametrize("more", [{}, {"MALLOC_ARENA_MAX": "8"}], ids=["alone", "tuned"])
def test_the_threads_share_one_arena_of_malloc(tmp_path: Path, more: dict[str, str]) -> None:
    """Or each would keep the largest event it ever had."""
    source = f"""
        import ctypes, threading
        barrier = threading.Barrier(8)
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        def handler(event, context):
            if event == "wait":
                barrier.wait(20)
                return
            file = ctypes.c_void_p(libc.fopen(b"{tmp_path}/malloc", b"w"))
            libc.malloc_info(0, file)
            libc.fclose(file)
            return open("{tmp_path}/malloc").read().count("<heap nr=")
    """
    with serving(tmp_path, source, slots=8, **more) as served:
        calls = [served.api.invoke("wait") for _ in range(8)]
        assert {call.result(TIMEOUT).kind for call in calls} == {"response"}
        assert (served.result("count") == 1) == (not more)
