"""The emulator harness itself, with a runtime of a few lines: what it starts, sees, sends, and leaves behind."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import rie, rie_client, sam_wheel
from tests.rie import Rie, RieError, python_bootstrap, require_rie

ROOT = Path(__file__).resolve().parent.parent

# Echoes its events, except for objects with "do". One thread per slot; no library but Python's own.
RUNTIME = """
import http.client, json, os, subprocess, sys, threading, urllib.parse

SLOTS = int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1"))
all_here = threading.Barrier(SLOTS)

def do(what, event):
    if what == "meet":
        return {"arrived": all_here.wait(10)}
    if what == "say":
        print(event["text"], file=sys.stderr, flush=True)
    if what == "die":
        os._exit(3)
    if what == "detach":
        subprocess.run(["sh", "-c", "sleep 1000 &"], start_new_session=True)  # an orphan, in a session of its own
    if what == "who":
        try:
            open("/var/task/new", "w")
            writes = True
        except OSError:
            writes = False
        return {"uid": os.getuid(), "gid": os.getgid(), "cwd": os.getcwd(), "task": sorted(os.listdir()),
                "writes": writes, "env": dict(os.environ)}
    return event

def slot():
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        api.request("GET", "/2018-06-01/runtime/invocation/next")
        reply = api.getresponse()
        body = reply.read()
        event = json.loads(body)
        if isinstance(event, dict) and "do" in event:
            body = json.dumps(do(event["do"], event)).encode()
        request_id = urllib.parse.quote(reply.headers["Lambda-Runtime-Aws-Request-Id"].encode("latin-1"))
        where = "/2018-06-01/runtime/invocation/" + request_id + "/response"
        api.request("POST", where, body, {"Content-Type": "application/json"})
        api.getresponse().read()

for _ in range(SLOTS - 1):
    threading.Thread(target=slot).start()
slot()
"""
BOOTSTRAP = python_bootstrap("/var/task/runtime.py")


@pytest.fixture(autouse=True)
def _needs_the_emulator() -> None:
    require_rie()


def start(max_concurrency: int | None, *, log_level: str = "debug", timeout_s: int = 30) -> Rie:
    files: dict[str, str | bytes] = {"runtime.py": RUNTIME, "pkg/data.txt": b"\xff"}
    return Rie(files, bootstrap=BOOTSTRAP, max_concurrency=max_concurrency, log_level=log_level, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def four() -> Iterator[Rie]:
    require_rie()
    with start(4) as emulator:
        emulator.wait_for_polls(4)
        yield emulator


def order(what: str, **more: str) -> bytes:
    return json.dumps({"do": what, **more}).encode()


@contextlib.contextmanager
def watched(pids: Sequence[int]) -> Iterator[None]:
    """Expect that each of the processes has ended soon after the block; told by the kernel, not asked."""
    fds = [os.pidfd_open(pid) for pid in pids]
    try:
        yield
        for pid, fd in zip(pids, fds, strict=True):
            assert select.select([fd], [], [], 10)[0], f"process {pid} has been left behind"
    finally:
        for fd in fds:
            os.close(fd)


# -- sample events -----------------------------------------------------------------------------------------------------


def test_every_template_of_the_wheel_becomes_a_json_event() -> None:
    events = sam_wheel.sample_events()
    assert sorted({name.partition("#")[0] for name in events}) == sam_wheel.event_templates()
    for name, event in events.items():
        assert b"{{" not in event, name
        assert isinstance(json.loads(event), dict), name


def test_defaults_are_encoded_hashed_and_put_in_as_sam_does() -> None:
    template = {
        "arn": "{{{account_id}}}:{{account_id}}",
        "body": "{{{body}}}",
        "hash": "{{{digest}}}",
        "path": "/{{{path}}}",
        "Query": "{{{query}}}",
        "unknown": "<{{{missing}}}>",
        "quoted": "{{text}}",
    }
    tags: dict[str, dict[str, Any]] = {
        "account-id": {"default": "123"},
        "body": {"default": "héllo", "encoding": "base64", "children": {"digest": {"hashing": "md5"}}},
        "path": {"default": "a b", "encoding": "url"},
        "query": {"type": "dict", "default": '{"a": "b"}'},
        "text": {"default": "a&b"},
    }
    assert json.loads(sam_wheel.render(template, tags)) == {
        "arn": "123:123",
        "body": "aMOpbGxv",
        "hash": "be50e8478cf24ff3595bc7307fb91b50",
        "path": "/a%20b",
        "Query": {"a": "b"},
        "unknown": "<>",
        "quoted": "a&amp;b",
    }


@pytest.mark.parametrize("max_concurrency", [4, None], ids=["lmi", "default"])
def test_sample_events_come_back_as_they_were(max_concurrency: int | None) -> None:
    with start(max_concurrency) as emulator:
        for name, event in sam_wheel.sample_events().items():
            reply = emulator.invoke(event, patience=5)
            assert (reply.status, reply.body) == (200, event), name


# -- what the runtime finds --------------------------------------------------------------------------------------------


def test_the_runtime_finds_what_lambda_gives_it(four: Rie) -> None:
    before = os.path.lexists("/var/task")
    who = four.invoke(order("who"), patience=5).json()
    assert (who["uid"], who["gid"], who["cwd"]) == (993, 990, "/var/task")
    assert who["task"] == ["pkg", "runtime.py"]
    assert who["writes"] is False
    assert who["env"]["AWS_LAMBDA_RUNTIME_API"] == "{}:{}".format(*four.runtime_api)
    assert who["env"]["AWS_LAMBDA_MAX_CONCURRENCY"] == "4"
    assert who["env"]["_HANDLER"] == "app.handler"
    assert "PYTEST_CURRENT_TEST" not in who["env"]
    assert os.path.lexists("/var/task") == before, "the host's own file system is to be left alone"


def test_a_directory_that_nobody_else_may_enter_serves_as_task(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "task").mkdir(parents=True)
    (closed / "task" / "runtime.py").write_text(RUNTIME)
    (closed / "task" / "bootstrap").write_text("#!/bin/sh\nexit 9\n")
    (closed / "task" / "bootstrap").chmod(0o755)
    closed.chmod(0o700)
    for max_concurrency in (1, None):
        with Rie(task_dir=closed / "task", bootstrap=BOOTSTRAP, max_concurrency=max_concurrency) as emulator:
            assert emulator.invoke(order("who")).json()["task"] == ["bootstrap", "runtime.py"]


def test_files_and_a_directory_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        Rie({"a": "b"}, task_dir=tmp_path, bootstrap=BOOTSTRAP, max_concurrency=1)


# -- life --------------------------------------------------------------------------------------------------------------


def test_the_default_mode_starts_the_runtime_at_the_first_invoke_and_again_when_it_died() -> None:
    with start(None) as emulator:
        assert emulator.runtime_pids() == []
        assert emulator.invoke(b"1").body == b"1"
        first = emulator.runtime_pids()[0]
        assert emulator.invoke(order("die")).json()["errorType"] == "Runtime.ExitError"
        assert emulator.invoke(b"2").body == b"2"
        assert emulator.runtime_pids()[0] != first
        assert emulator.stop() == 0


def test_the_lmi_mode_is_over_when_the_runtime_is() -> None:
    with start(2) as emulator:
        assert emulator.invoke(order("die")).error_type == "Runtime.ExitError"
        assert emulator.wait() == 1
        assert emulator.runtime_pids() == []


def test_a_signal_reaches_a_process_of_the_runtime() -> None:
    with start(2) as emulator:
        main = emulator.runtime_pids()[0]
        with watched([main]):
            emulator.signal(main, signal.SIGKILL)
        assert emulator.wait() == 1


def test_a_runtime_that_ends_before_its_first_poll_is_a_failed_start() -> None:
    bootstrap = "#!/bin/sh\necho no luck today\nexit 1\n"
    with pytest.raises(RieError, match="no luck today"), Rie(bootstrap=bootstrap, max_concurrency=2):
        pytest.fail("it must not be entered")


def test_a_runtime_that_never_polls_is_a_failed_start() -> None:
    silent = Rie(bootstrap="#!/bin/sh\nexec sleep 1000\n", max_concurrency=2, start_timeout_s=0.5)
    with pytest.raises(RieError, match="no initialisation"), silent:
        pytest.fail("it must not be entered")
    with Rie(bootstrap="#!/bin/sh\nexec sleep 1000\n", max_concurrency=2, ready=False) as emulator:
        emulator.wait_for_log("LocalProcessSupervisor.Exec")
        assert len(emulator.runtime_pids()) == 1


def test_a_port_that_was_taken_meanwhile_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    free = rie._free_port
    with socket.socket() as squatter:
        squatter.bind(("0.0.0.0", 0))
        squatter.listen()
        taken = int(squatter.getsockname()[1])
        for stolen in (0, 1):  # the emulator's own port, then the Runtime API's
            calls = itertools.count()
            monkeypatch.setattr(rie, "_free_port", lambda host: taken if next(calls) == stolen else free(host))  # noqa: B023
            with start(1) as emulator:
                assert emulator.invoke(b"1").body == b"1"
                assert next(calls) == 4


def test_nothing_is_left_behind(capfd: pytest.CaptureFixture[str]) -> None:
    def abandon() -> None:
        with start(2) as emulator:
            emulator.invoke(order("detach"))
            pids.extend(emulator.runtime_pids())
            stack.enter_context(watched(pids))
            raise KeyError("as a failing test would")

    pids: list[int] = []
    with contextlib.ExitStack() as stack, pytest.raises(KeyError):
        abandon()
    assert len(pids) == 2
    assert "LocalProcessSupervisor.Exec" in capfd.readouterr().err, "the log of a failed test is shown"


def test_nothing_is_left_behind_by_a_test_process_that_is_killed() -> None:
    script = (
        "from tests.test_rie_harness import *\n"
        "with start(2) as emulator:\n"
        "    emulator.invoke(order('detach'))\n"
        "    print(*emulator.runtime_pids(), flush=True)\n"
        "    threading.Event().wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            pids = [int(pid) for pid in child.stdout.readline().split()]
            assert len(pids) == 2
            with watched(pids):
                child.kill()
        finally:
            child.kill()


def test_several_run_side_by_side(four: Rie) -> None:
    with start(2) as two, start(None) as one:
        replies = [emulator.invoke(order("who"), patience=5) for emulator in (four, two, one)]
        slots = [reply.json()["env"].get("AWS_LAMBDA_MAX_CONCURRENCY") for reply in replies]
        assert slots == ["4", "2", None]


# -- invokes -----------------------------------------------------------------------------------------------------------


def test_invokes_are_under_way_at_once(four: Rie) -> None:
    replies = four.invoke_many([order("meet")] * 4, 4)
    assert sorted(reply.json()["arrived"] for reply in replies) == [0, 1, 2, 3]


def test_replies_are_in_the_order_of_the_items_whatever_their_size() -> None:
    sizes = [2, 2_000, 70_000, 1_000_000, 5_000_000, 100]
    items = [json.dumps("x" * size).encode() for size in sizes] * 3
    with start(8) as emulator:
        emulator.wait_for_polls(8)
        replies = emulator.invoke_many(items, 3)
        assert [reply.status for reply in replies] == [200] * len(items)
        assert [reply.body for reply in replies] == items
        assert any("content-length" in reply.headers for reply in replies)
        assert any("transfer-encoding" in reply.headers for reply in replies), "the big ones come in chunks"
        one, other = emulator.invoke(items[2]), replies[2]
        assert (one.status, set(one.headers), one.body) == (other.status, set(other.headers), other.body)


def test_an_invoke_too_many_is_refused_and_a_patient_one_is_not() -> None:
    with start(1) as emulator:
        emulator.wait_for_polls(1)
        replies = emulator.invoke_many([b"1"] * 200, 8)
        assert {(reply.status, reply.error_type) for reply in replies} == {
            (200, None),
            (400, "Runtime.Unavailable"),
        }
        assert all(emulator.invoke(b"1", patience=5).status == 200 for _ in range(20))


def test_headers_and_an_iterator_with_a_mind_of_its_own(four: Rie) -> None:
    def items() -> Iterator[rie_client.Item]:
        for number in itertools.count():
            if number == 20:
                return
            yield b"0", {"X-Amzn-RequestId": f"id-é-{number}"}

    replies = four.invoke_many(items(), 1)
    assert len(replies) == 20
    four.wait_for_log("START RequestId: id-é-19")


def test_a_connection_without_a_reply_has_status_zero_and_ends_the_load_when_nobody_listens() -> None:
    with start(3) as emulator:
        emulator.wait_for_polls(3)

        def end() -> None:
            emulator.wait_for_log("START RequestId", count=2)
            emulator.kill()

        ender = threading.Thread(target=end)
        ender.start()
        replies = emulator.invoke_many([order("meet")] * 1000, 2)  # two of three: they wait until the end
        ender.join()
        assert 2 <= len(replies) < 1000
        assert {(reply.status, reply.body) for reply in replies} == {(0, b"")}
        with pytest.raises(ConnectionRefusedError):
            emulator.invoke_many([b"1"], 1)


def test_a_load_that_gets_no_replies_gives_up() -> None:
    with start(2) as emulator, pytest.raises(TimeoutError, match=r"items \[0\]"):
        emulator.invoke_many([order("meet")], 2, timeout=0.2)


# -- logs --------------------------------------------------------------------------------------------------------------


def test_a_line_can_be_waited_for(four: Rie) -> None:
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(four.wait_for_log("here it is", count=2)))
    waiting.start()
    four.invoke(order("say", text="here it is 1"), patience=5)
    four.invoke(order("say", text="here it is 2"), patience=5)
    waiting.join()
    assert found == ["here it is 2"]
    assert four.runtime_logs()[-2:] == ["here it is 1", "here it is 2"]
    assert "RequestId" in four.logs()


def test_waiting_for_a_line_ends_with_the_time_or_the_log() -> None:
    with start(2) as emulator:
        with pytest.raises(RieError, match="0 of 1 lines with 'never'"):
            emulator.wait_for_log("never", timeout=0.05)
        began = time.monotonic()
        emulator.signal(emulator.runtime_pids()[0], signal.SIGKILL)
        with pytest.raises(RieError):
            emulator.wait_for_log("never", timeout=60)
        assert time.monotonic() - began < 30
