"""Threads and executors carry the request id of the invocation that gave them their work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..serving import serving

N = 30
SOURCE = """
import asyncio, concurrent.futures, logging, threading
import lmi_fast
log = logging.getLogger("work")
shared = concurrent.futures.ThreadPoolExecutor(4)

def work(request_id, how):
    found = lmi_fast.current(None)
    log.info(how, extra={"right": found is not None and found.aws_request_id == request_id, "whose": request_id})
    return found.aws_request_id if found is not None else None

class Sub(threading.Thread):
    def __init__(self, request_id):
        super().__init__()
        self.request_id = request_id
    def run(self):
        work(self.request_id, "a subclass")

def in_threads(request_id):
    with concurrent.futures.ThreadPoolExecutor(2) as own:
        for future in [own.submit(work, request_id, "an executor of its own") for _ in range(3)]:
            future.result()
    list(shared.map(lambda _: work(request_id, "a shared executor"), range(3)))
    threads = [threading.Thread(target=work, args=(request_id, "a thread")), Sub(request_id)]
    timer = threading.Timer(0, work, (request_id, "a timer"))
    timer.run = lambda run=timer.run: run()
    inner = threading.Thread(target=lambda: in_thread_of_a_thread(request_id))
    for thread in [*threads, timer, inner]:
        thread.start()
    for thread in [*threads, timer, inner]:
        thread.join()
        assert thread.ident

def in_thread_of_a_thread(request_id):
    thread = threading.Thread(target=work, args=(request_id, "a thread of a thread"))
    thread.start()
    thread.join()
"""
ASYNC = """
async def handler(event, context):
    loop, request_id = asyncio.get_running_loop(), context.aws_request_id
    async def task():
        await asyncio.sleep(0)
        work(request_id, "a task")
    await asyncio.gather(
        task(),
        asyncio.to_thread(work, request_id, "to_thread"),
        loop.run_in_executor(None, work, request_id, "the loop's executor"),
        loop.run_in_executor(shared, work, request_id, "run_in_executor"),
        asyncio.to_thread(in_threads, request_id),
    )
    done = asyncio.Event()
    loop.call_soon(lambda: (work(request_id, "call_soon"), done.set()))
    await done.wait()
    return request_id
"""
PLAIN = """
def handler(event, context):
    in_threads(context.aws_request_id)
    return context.aws_request_id
"""
THREADS = {
    "an executor of its own": 3,
    "a shared executor": 3,
    "a thread": 1,
    "a subclass": 1,
    "a timer": 1,
    "a thread of a thread": 1,
}
LOOP = {"a task": 1, "to_thread": 1, "the loop's executor": 1, "run_in_executor": 1, "call_soon": 1}


@pytest.mark.parametrize("loop", ["uvloop", "asyncio", "none"])
def test_all_work_is_under_the_right_id(tmp_path: Path, loop: str) -> None:
    source = SOURCE + (PLAIN if loop == "none" else ASYNC)
    more = {} if loop == "none" else {"LMI_FAST_LOOP": loop}
    with serving(tmp_path, source, slots=N, AWS_LAMBDA_LOG_LEVEL="INFO", LMI_FAST_BLOCKED_MS="0", **more) as served:
        ids = {json.loads(pending.result(30).body) for pending in [served.api.invoke({}) for _ in range(N)]}
    records = [record for record in served.records() if record["logger"] == "work"]
    assert all(record["right"] and record["requestId"] == record["whose"] for record in records)
    expected = THREADS if loop == "none" else THREADS | LOOP
    for request_id in ids:
        mine = [record["message"] for record in records if record["requestId"] == request_id]
        assert {how: mine.count(how) for how in set(mine)} == expected


def test_off(tmp_path: Path) -> None:
    """Threads begin with nothing then, as Python has it; the loop's own ways still carry on."""
    with serving(
        tmp_path, SOURCE + ASYNC, slots=4, AWS_LAMBDA_LOG_LEVEL="INFO", LMI_FAST_INHERIT="off", LMI_FAST_BLOCKED_MS="0"
    ) as served:
        served.result()
    right = {record["message"] for record in served.records() if record["logger"] == "work" and record["right"]}
    assert right == set(LOOP)


def test_a_process_pool_is_left_alone(tmp_path: Path) -> None:
    """Context variables cannot be sent to another process."""
    source = """
import asyncio, concurrent.futures, multiprocessing
pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
async def handler(event, context):
    return await asyncio.get_running_loop().run_in_executor(pool, abs, -7)
"""
    with serving(tmp_path, source, slots=2) as served:
        assert served.result() == 7
