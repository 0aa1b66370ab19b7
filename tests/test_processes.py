"""Worker processes and the parent that looks after them."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from lmi_fast.emulator import Action, Gate, Pending, Raw, Request, RuntimeApi
from lmi_fast.runtime.cpus import cpu_count

from .rie import Rie, python_bootstrap, require_rie
from .serving import ROOT, TIMEOUT, Served, serving

both = pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])

SOURCE = """
    import asyncio, ctypes, os, pathlib, signal, sys, time
    import lmi_fast
    @lmi_fast.lifespan
    def resources():
        yield
        print("closed by", os.getpid(), flush=True)
    deaths = {{
        "exit 0": lambda: os._exit(0),
        "exit 3": lambda: os._exit(3),
        "segfault": lambda: ctypes.string_at(0),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "abort": os.abort,
    }}
    {a}def handler(event, context):
        if event in deaths:
            deaths[event]()
        if event == "wait":
            print("waits", flush=True)
            while not pathlib.Path("go").exists():
                {sleep}(0.002)
        if isinstance(event, float):
            {sleep}(event)
        return os.getpid()
"""


def source(a: str) -> str:
    return SOURCE.format(a=a, sleep="await asyncio.sleep" if a else "time.sleep")


def pids(served: Served) -> set[int]:
    """The processes that serve: every slot is busy for a moment."""
    calls = [served.api.invoke(0.3) for _ in range(served.slots)]
    return {json.loads(call.result(TIMEOUT).body) for call in calls}


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_slots_are_shared_out_evenly(tmp_path: Path, processes: int) -> None:
    with serving(
        tmp_path, source("async "), slots=8, LMI_FAST_PROCESSES=str(processes), AWS_LAMBDA_LOG_LEVEL="DEBUG"
    ) as served:
        assert served.api.stats.parked == 8
        found = pids(served)
        assert len(found) == processes
        assert served.process.pid not in found
        served.wait_for_output(" at once on ", processes)
        shares = sorted(
            int(str(record["message"]).split()[1]) for record in served.records() if " at once on " in str(record)
        )
        assert shares == {1: [8], 2: [4, 4], 3: [2, 3, 3]}[processes]
        (pool,) = [record["message"] for record in served.records() if "workerCount" in str(record)]
        assert pool["workerCount"] == processes


def test_no_more_processes_than_slots(tmp_path: Path) -> None:
    with serving(tmp_path, source("async "), slots=2, LMI_FAST_PROCESSES="7") as served:
        assert len(pids(served)) == 2


@both
@pytest.mark.parametrize("death", ["exit 0", "exit 3", "segfault", "kill", "abort"])
def test_a_worker_that_dies_is_answered_for_and_replaced(tmp_path: Path, a: str, death: str) -> None:
    with serving(tmp_path, source(a), slots=6, LMI_FAST_PROCESSES="2") as served:
        before = pids(served)
        # All slots of both are busy; the last one goes to the worker that has a slot left.
        waiting = [served.api.invoke("wait") for _ in range(5)]
        served.wait_for_output("waits", 5)
        began = time.monotonic()
        outcome = served.invoke(death)
        took = time.monotonic() - began
        assert outcome.error_type == "Runtime.ExitError", outcome
        expected = {"exit 0": "exit code 0", "exit 3": "exit code 3", "segfault": "SIGSEGV", "kill": "SIGKILL"}
        assert expected.get(death, "SIGABRT") in json.loads(outcome.body)["errorMessage"]
        lost = [call for call in waiting if _is_done(call)]
        assert {call.result(0).error_type for call in lost} == {"Runtime.ExitError"}
        assert len(lost) == 2, "those of the other worker go on"
        assert took < 1.0, "see test_the_answers_come_at_once for what is promised"
        (tmp_path / "go").touch()
        survivors = {json.loads(call.result(TIMEOUT).body) for call in waiting if call not in lost}
        assert len(survivors) == 1
        assert survivors < before
        served.api.wait_for_polls(6, TIMEOUT)
        after = pids(served)
        assert survivors < after
        assert len(after) == 2
        assert after != before
        assert served.output.count("is started again") == 1


def _is_done(call: Pending) -> bool:
    try:
        call.result(0.5)
    except TimeoutError:
        return False
    return True


@both
@pytest.mark.parametrize("twins", ["auto", "pure"])
def test_the_answers_come_at_once(tmp_path: Path, a: str, twins: str) -> None:
    """Within 100 ms of the death, for all that the worker had in hand; the quickest of some tries is what it takes."""
    took = []
    with serving(tmp_path, source(a), slots=16, LMI_FAST_PROCESSES="1", LMI_FAST_TWINS=twins) as served:
        for _ in range(5):
            calls = [served.api.invoke(20.0) for _ in range(15)]
            served.api.wait_for(lambda stats: stats.in_flight == 15, TIMEOUT)
            began = time.monotonic()
            calls.append(served.api.invoke("kill"))
            assert {call.result(TIMEOUT).error_type for call in calls} == {"Runtime.ExitError"}
            took.append(time.monotonic() - began)
            served.api.wait_for_polls(16, TIMEOUT)
            served.result(0)
    assert min(took) < 0.1, took


@both
def test_a_crash_loop_ends_in_a_clear_error(tmp_path: Path, a: str) -> None:
    with Served(tmp_path, source(a), slots=2, LMI_FAST_PROCESSES="2") as served:
        served.ready()
        began = time.monotonic()
        deaths = 0
        while served.process.poll() is None and deaths < 100:
            outcome = served.api.invoke("exit 3")
            try:
                assert outcome.result(3).kind in ("error", "refused")
            except TimeoutError:
                break  # nobody polls any more
            deaths += 1
        assert served.exit_code() == 1
        assert time.monotonic() - began > 0.3, "it was not slowed down"
        assert 5 <= deaths <= 10
        error = served.records()[-1]
        assert error["errorType"] == "CannotServe"
        assert "5 times in a row before it had served anything, the last time by exit code 3" in error["errorMessage"]


def test_a_worker_that_serves_in_between_may_die_as_often_as_it_likes(tmp_path: Path) -> None:
    with serving(tmp_path, source("async "), slots=1, LMI_FAST_PROCESSES="1") as served:
        for _ in range(12):
            served.result(0)
            assert served.invoke("exit 3").error_type == "Runtime.ExitError"
        served.result(0)


def test_an_init_phase_that_dies(tmp_path: Path) -> None:
    """The worker cannot say why, so the parent says what it knows."""
    with Served(tmp_path, "import os\nos._exit(7)\n", slots=4, LMI_FAST_PROCESSES="3") as served:
        assert served.exit_code() == 1
        (init_error,) = served.api.init_errors
        assert "exit code 7" in json.loads(init_error.body)["errorMessage"]


def test_an_init_phase_that_fails_is_reported_once(tmp_path: Path) -> None:
    with Served(tmp_path, "1 / 0\n", slots=4, LMI_FAST_PROCESSES="4") as served:
        assert served.exit_code() == 1
        (init_error,) = served.api.init_errors
        assert init_error.error_type == "Function.ZeroDivisionError"
        assert len([record for record in served.records() if record["level"] == "ERROR"]) == 1


def test_a_replacement_that_cannot_start(tmp_path: Path) -> None:
    made = source("async ") + "\n    if pathlib.Path('broken').exists():\n        raise ValueError('broken since')\n"
    with Served(tmp_path, made, slots=2, LMI_FAST_PROCESSES="1") as served:
        served.ready()
        served.result(0)
        (tmp_path / "broken").touch()
        served.invoke("exit 3")
        assert served.exit_code() == 1
        assert "broken since" in served.output
        assert served.records()[-1]["errorType"] == "CannotServe"


@pytest.mark.parametrize("twins", ["auto", "pure"])
def test_the_parents_death_takes_the_workers_with_it(tmp_path: Path, twins: str) -> None:
    with Served(tmp_path, source(""), slots=4, LMI_FAST_PROCESSES="2", LMI_FAST_TWINS=twins) as served:
        served.ready()
        workers = pids(served)
        served.process.kill()
        served.api.wait_for(lambda stats: stats.connections_open == 0, TIMEOUT)
        end = time.monotonic() + TIMEOUT
        while any(map(running, workers)):
            assert time.monotonic() < end


@both
@pytest.mark.parametrize("whole_group", [False, True])
def test_shutdown(tmp_path: Path, a: str, whole_group: bool) -> None:
    """The platform signals the process group."""
    with Served(tmp_path, source(a), slots=4, LMI_FAST_PROCESSES="2") as served:
        served.ready()
        workers = pids(served)
        calls = [served.api.invoke(event) for event in (0.1, 0.1, 20.0, 20.0)]
        served.api.wait_for(lambda stats: stats.in_flight == 4, TIMEOUT)
        began = time.monotonic()
        for pid in (served.process.pid, *(workers if whole_group else ())):
            os.kill(pid, signal.SIGTERM)
        kinds = sorted(call.result(TIMEOUT).kind for call in calls)
        assert kinds == ["error", "error", "response", "response"]
        assert served.exit_code() == 0
        assert time.monotonic() - began < 0.6
        messages = [str(record.get("message")) for record in served.records()]
        assert {int(message.split()[-1]) for message in messages if "closed by" in message} == workers


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    made = """
        import time
        import lmi_fast
        @lmi_fast.lifespan
        def endless():
            yield
            time.sleep(60)
        async def handler(event, context): return event
    """
    with Served(tmp_path, made, slots=2, LMI_FAST_PROCESSES="2") as served:
        served.ready()
        began = time.monotonic()
        assert served.stop() == 1
        assert time.monotonic() - began < 1.0


def test_lines_of_several_processes_never_mix(tmp_path: Path) -> None:
    made = """
        import logging, threading
        def write(text):
            for _ in range(50):
                logging.warning(text)
        def handler(event, context):
            threads = [threading.Thread(target=write, args=(letter * size,)) for letter, size in event]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
    """
    with serving(tmp_path, made, slots=6, LMI_FAST_PROCESSES="3") as served:
        sizes = [(letter, size) for letter, size in zip("abcd", (30, 5000, 20_000, 9000), strict=True)]
        for call in [served.api.invoke(sizes) for _ in range(6)]:
            assert call.result(TIMEOUT).kind == "response"
        assert served.stop() == 0
        records = [json.loads(line) for line in served.output.splitlines()]
        assert sorted((r["message"][0], len(r["message"])) for r in records) == sorted(sizes * 300)


def test_preloading_imports_once(tmp_path: Path) -> None:
    made = source("async ") + "\n    print('imported by', os.getpid(), flush=True)\n"
    with serving(tmp_path, made, slots=4, LMI_FAST_PROCESSES="2", LMI_FAST_PRELOAD="on") as served:
        assert served.output.count("imported by") == 1
        assert f"imported by {served.process.pid}" in served.output
        assert len(pids(served)) == 2
        served.invoke("exit 3")
        served.api.wait_for_polls(4, TIMEOUT)
        assert len(pids(served)) == 2
        assert served.output.count("imported by") == 1


def test_preloading_says_what_does_not_survive_the_fork(tmp_path: Path) -> None:
    made = source("async ") + (
        "\n    import threading"
        "\n    threading.Thread(target=threading.Event().wait, name='ticker', daemon=True).start()\n"
    )
    with serving(tmp_path, made, slots=2, LMI_FAST_PROCESSES="1", LMI_FAST_PRELOAD="on") as served:
        served.wait_for_output("not there in worker processes: ticker")


def test_an_id_that_is_too_long_for_the_journal(tmp_path: Path) -> None:
    with serving(tmp_path, source("async "), slots=2, LMI_FAST_PROCESSES="1") as served:
        assert served.invoke(0, request_id="x" * 500).kind == "response"
        assert served.invoke(0, request_id="é" * 100).kind == "response"
        call = served.api.invoke("exit 3", request_id="Ünïcode-" + "y" * 150)
        assert call.result(TIMEOUT).error_type == "Runtime.ExitError"


def test_run_returns_in_the_parent_alone(tmp_path: Path) -> None:
    made = """
        import lmi_fast
        async def handler(event, context): return 5
        lmi_fast.run(handler)
        print("after", flush=True)
    """
    (tmp_path / "main.py").write_text("")
    import sys

    with Served(tmp_path, made, slots=2, command=[sys.executable, "app.py"], LMI_FAST_PROCESSES="2") as served:
        served.ready()
        assert served.result() == 5
        assert served.stop() == 0
        assert served.output.count("after") == 1


@both
@pytest.mark.parametrize("twins", ["auto", "pure"])
def test_polls_outlive_the_process_that_made_them(tmp_path: Path, a: str, twins: str) -> None:
    """A platform fails the invocations it gives to polls whose connections are gone, as this one does. None is."""
    with serving(tmp_path, source(a), slots=16, LMI_FAST_PROCESSES="2", LMI_FAST_TWINS=twins) as served:
        for _ in range(4):
            assert served.invoke("kill").error_type == "Runtime.ExitError"
            for call in [served.api.invoke(0.05) for _ in range(32)]:  # for those who died, too
                assert call.result(TIMEOUT).kind == "response"
        assert served.api.stats.outcomes["refused"] == 0


def _all_sleep(pid: int) -> bool:
    """Whether every thread of a process waits."""
    return all("\nState:\tS" in path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status"))


@both
def test_an_event_that_was_sent_and_not_read_is_served_by_the_next_process(tmp_path: Path, a: str) -> None:
    with serving(tmp_path, source(a), slots=8, LMI_FAST_PROCESSES="1") as served:
        for _ in range(5):
            (worker,) = pids(served)
            served.ready()
            while not _all_sleep(worker):
                pass  # in the middle of reading, it could not tell what of its polls is left
            os.kill(worker, signal.SIGSTOP)
            while "\nState:\tT" not in Path(f"/proc/{worker}/status").read_text():
                pass
            calls = [served.api.invoke(0) for _ in range(8)]
            served.api.wait_for(lambda stats: stats.in_flight == 8, TIMEOUT)
            os.kill(worker, signal.SIGKILL)
            (successor,) = {json.loads(call.result(TIMEOUT).body) for call in calls}
            assert successor != worker


@both
@pytest.mark.parametrize("size", [100, 100_000, 400_000])
def test_an_event_that_was_read_in_part_is_answered_for(tmp_path: Path, a: str, size: int) -> None:
    """While its rest is on the way others come, into the buffer that its head was read into."""
    gates: dict[str, Gate] = {}  # by request id: of those that are sent in two parts

    def in_parts(request: Request, reply: bytes) -> Action:
        gate = gates.get(request.request_id)
        return Raw([reply] if gate is None else [reply[: -size // 2], gate, reply[-size // 2 :]])

    api = RuntimeApi()
    api.on("next", in_parts, when="reply", times=None)
    with serving(tmp_path, source(a), slots=3, api=api, LMI_FAST_PROCESSES="1") as served:
        for request_id in ("first", "after the polls were taken over"):
            gate = gates[request_id] = Gate()
            partial = served.api.invoke("x" * size, request_id=request_id)
            gate.wait_reached(TIMEOUT)
            (worker,) = {served.result(0.0) for _ in range(5)}
            served.api.wait_for_polls(2, TIMEOUT)
            while not _all_sleep(worker):
                pass  # it has read all there is
            os.kill(worker, signal.SIGKILL)
            assert partial.result(5).error_type == "Runtime.ExitError"
            gate.open()
            served.ready()


@both
def test_under_the_emulator(a: str) -> None:
    require_rie()
    made = source(a).replace("\n    ", "\n")
    bootstrap = python_bootstrap("-m", "lmi_fast", path=[ROOT, "/var/task"])
    with Rie({"app.py": made}, bootstrap=bootstrap, max_concurrency=8, env={"LMI_FAST_PROCESSES": "2"}) as emulator:
        emulator.wait_for_polls(8, TIMEOUT)
        reply = emulator.invoke(b'"segfault"', patience=TIMEOUT)
        assert reply.error_type == "Runtime.ExitError"
        # The emulator would hand out polls of the dead and fail those invocations; so the next process has them.
        emulator.wait_for_polls(9, TIMEOUT)
        replies = emulator.invoke_many([b"0"] * 40, 4)
        assert [reply for reply in replies if reply.error_type] == []
        assert len({reply.body for reply in replies}) == 2


QUOTAS = {
    "none": ({}, None),
    "no limit": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, None),
    "half": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 1),
    "one": ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "100000 100000\n"}, 1),
    "above": ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n"}, 1),
    "root": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
    "version 1": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/x\n1:name=systemd:/y\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    "version 1, no limit": (
        {"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"},
        None,
    ),
    "more than there are": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "99900000 100000\n"}, None),
    "nonsense": ({"proc/self/cgroup": "what\n0::/../..\n", "sys/fs/cgroup/cpu.max": "many 0\n"}, None),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_the_number_of_cpus(tmp_path: Path, name: str) -> None:
    files, expected = QUOTAS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert cpu_count(str(tmp_path)) == (expected or len(os.sched_getaffinity(0)))


def test_auto_is_one_for_each_cpu(tmp_path: Path) -> None:
    with serving(tmp_path, source("async "), slots=64, LMI_FAST_PROCESSES="auto") as served:
        assert len(pids(served)) == min(64, cpu_count())
