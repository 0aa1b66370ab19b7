"""Log records, beside those of the official runtime's JsonFormatter."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import struct
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from awslambdaric.lambda_runtime_log_utils import JsonFormatter as OfficialFormatter  # type: ignore[import-untyped]

from lmi_fast import sink
from lmi_fast.config import Config
from lmi_fast.context import CURRENT, Context
from lmi_fast.runtime import logs
from lmi_fast.wire.invocation import Invocation
from tests.wire.readers import reply


def context(request_id: str, tenant: str = "") -> Context:
    headers = {"lambda-runtime-aws-request-id": request_id, "lambda-runtime-aws-tenant-id": tenant}
    config = Config(environ={"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"})
    return Context(Invocation(reply(headers)), config)


def record(
    message: Any, *args: Any, level: int = logging.INFO, exc_info: Any = None, **extra: Any
) -> logging.LogRecord:
    made = logging.getLogger("my.module").makeRecord(
        "my.module", level, "/var/task/app.py", 17, message, args, exc_info, "handler", extra or None
    )
    made.aws_request_id = "id-1"
    made.tenant_id = None
    return made


def failure() -> Any:
    try:
        raise LookupError("not here")
    except LookupError:
        return sys.exc_info()


class Odd:
    def __str__(self) -> str:
        return "odd"


RECORDS: dict[str, dict[str, Any]] = {
    "plain": {"message": "hello"},
    "arguments": {"message": "hello %s, %d", "args": ("w", 3)},
    "extra": {"message": "hello", "x": 1, "nested": {"a": [1, None]}, "odd": Odd(), "none": None},
    "dict": {"message": {"event": "paid", "amount": 3.5, "who": Odd()}},
    "unicode": {"message": "caf\u00e9 \U0001f600 line\nbreak\ttab"},
    "exception": {"message": "failed", "exc_info": failure()},
    "level between": {"message": "x", "level": 25},
    "level zero": {"message": "x", "level": 0},
    "level high": {"message": "x", "level": 70},
    "debug": {"message": "x", "level": 10},
    "critical": {"message": "x", "level": 50},
    "clash": {"message": "x", "timestamp": "mine", "level_": "mine", "requestId": "mine"},
}


@pytest.mark.parametrize("name", RECORDS)
def test_same_fields_as_the_official_formatter_in_the_same_order(name: str) -> None:
    fields = dict(RECORDS[name])
    message = fields.pop("message")
    args = fields.pop("args", ())
    ours_text = logs.JsonFormatter().format(record(message, *args, **fields))
    theirs_text = OfficialFormatter().format(record(message, *args, **fields))
    assert ours_text.count("\n") == 1
    assert ours_text.endswith("}\n")
    ours, theirs = json.loads(ours_text), json.loads(theirs_text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ours["timestamp"])
    datetime.fromisoformat(ours["timestamp"])
    assert list(ours) == list(theirs)
    del ours["timestamp"], theirs["timestamp"]
    assert ours == theirs


def test_tenant() -> None:
    made = record("x")
    made.tenant_id = "blue"
    assert json.loads(logs.JsonFormatter().format(made))["tenantId"] == "blue"


def test_what_cannot_be_encoded_is_still_logged() -> None:
    circular: dict[str, Any] = {}
    circular["self"] = circular
    assert json.loads(logs.JsonFormatter().format(record(circular)))["level"] == "INFO"
    assert json.loads(logs.JsonFormatter().format(record("x", keyed={(1, 2): 3})))["message"] == "x"


def test_timestamp() -> None:
    assert logs.timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert logs.timestamp(1795330471.9996) == "2026-11-22T06:54:31.999Z"


@contextlib.contextmanager
def captured(sink_class: type[sink.Sink] = sink.Sink) -> Iterator[Any]:
    """Makes a pipe the sink; yields a function that closes it and returns what was written."""
    read_end, write_end = os.pipe()
    before = sink.current()
    sink.use(sink_class(write_end))
    pieces: list[bytes] = []
    thread = threading.Thread(target=lambda: pieces.extend(iter(lambda: os.read(read_end, 1 << 16), b"")))
    thread.start()
    closed: list[bool] = []

    def written() -> bytes:
        if not closed:
            closed.append(True)
            os.close(write_end)
            thread.join()
            os.close(read_end)
        return b"".join(pieces)

    try:
        yield written
    finally:
        sink.use(before)
        written()


@contextlib.contextmanager
def logger(is_json: bool) -> Iterator[logging.Logger]:
    made = logging.Logger("test")
    made.addHandler(logs.SinkHandler(is_json))
    yield made


def test_each_record_has_the_request_id_of_its_own_invocation() -> None:
    """Many threads, each an invocation of its own, through one handler: no id crosses, no line mixes."""
    with captured() as written, logger(True) as log:

        def invocation(number: int) -> None:
            CURRENT.set(context(f"id-{number}", f"tenant-{number}"))
            for i in range(50):
                log.info("%d %d %s", number, i, "x" * (number * 100))

        threads = [threading.Thread(target=invocation, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = [json.loads(line) for line in written().splitlines()]
    assert len(lines) == 1000
    for line in lines:
        number = line["message"].split()[0]
        assert (line["requestId"], line["tenantId"]) == (f"id-{number}", f"tenant-{number}")


def test_outside_of_an_invocation_the_request_id_is_empty() -> None:
    with captured() as written, logger(True) as log:
        log.warning("init")
        assert json.loads(written())["requestId"] == ""


def test_text_format() -> None:
    with captured() as written, logger(False) as log:
        log.warning("hello %s", "w")
        text = written().decode()
    assert re.fullmatch(r"\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t\thello w\n", text)


@pytest.mark.parametrize(("is_json", "frame_type"), [(True, 0xA55A0012), (False, 0xA55A0013)])
def test_frames(is_json: bool, frame_type: int) -> None:
    with captured(sink.FramedSink) as written, logger(is_json) as log:
        log.warning("caf\u00e9")
        data = written()
    kind, length, microseconds = struct.unpack(">IIQ", data[:16])
    assert kind == frame_type
    assert length == len(data) - 16
    assert abs(microseconds / 1e6 - datetime.now().timestamp()) < 60
    assert "caf\u00e9" in data[16:].decode()


REPORT = {
    "errorMessage": "no such user",
    "errorType": "ValueError",
    "requestId": "id-1",
    "stackTrace": ['  File "/var/task/app.py", line 3, in handler\n    raise ValueError("no such user")\n'],
}


def test_report_in_json() -> None:
    with captured() as written:
        logs.log_report(REPORT, "JSON")
        line = json.loads(written())
    assert list(line)[:2] == ["timestamp", "level"]
    assert line["level"] == "ERROR"
    assert {key: line[key] for key in REPORT} == REPORT


def test_report_in_text_is_one_event() -> None:
    with captured() as written:
        logs.log_report(REPORT, "TEXT")
        text = written().decode()
    assert text.count("\n") == 1
    lines = text.removesuffix("\n").split("\r")
    assert lines[:2] == ["[ERROR] ValueError: no such user", "Traceback (most recent call last):"]
    assert lines[2].endswith('File "/var/task/app.py", line 3, in handler')
    assert not lines[2].startswith(" ")


def test_report_in_a_frame() -> None:
    with captured(sink.FramedSink) as written:
        logs.log_report(REPORT, "TEXT")
        data = written()
    assert struct.unpack(">I", data[:4])[0] == 0xA55A0017
    assert data[16:].startswith(b"[ERROR] ValueError: no such user\nTraceback (most recent call last):\n")


def test_a_sink_that_is_full_and_does_not_block_is_waited_for() -> None:
    with captured() as written:
        os.set_blocking(sink.current().fd, False)
        sink.current().write(("x" * 9_999 + "\n") * 100)
        assert len(written()) == 1_000_000


def test_a_lone_surrogate_can_be_logged() -> None:
    with captured() as written, logger(True) as log:
        log.warning("\ud800")
        assert json.loads(written())["level"] == "WARNING"


LONG: dict[str, dict[str, Any]] = {
    "a message": {"message": "x" * 200_000},
    "of four bytes each": {"message": "\N{GRINNING FACE}" * 60_000},
    "escapes": {"message": '\n"' * 60_000},
    "a dict": {"message": {"key": "x" * 200_000, "other": 5}},
    "a stack": {"message": "m", "stackTrace": [f"frame {number} " + "y" * 3000 for number in range(100)]},
    "many fields": {"message": "m", **{f"extra{number}": "z" * 1000 for number in range(300)}},
    "long keys": {"message": "m", "k" * 100_000: 1},
    "lone surrogates": {"message": "\ud800" * 100_000},
    "deep": {"message": "m", "list": [[["x" * 90_000]]]},
}


@pytest.mark.parametrize("name", LONG)
def test_a_line_is_never_longer_than_the_platform_can_read(name: str) -> None:
    line = logs.encode_line({"level": "INFO", **LONG[name]})
    data = line.encode("utf-8", "backslashreplace")
    assert data.count(b"\n") == 1
    assert len(data) <= sink.MAX_LINE
    record = json.loads(data.decode())
    assert record["level"] == "INFO"
    assert "cut" in line or name in ("many fields", "a stack", "long keys")
    if name == "a stack":
        assert record["stackTrace"][-1].startswith("frame 99 ")


def test_a_line_as_long_as_allowed_is_whole() -> None:
    fields = {"message": "x" * 60_000}
    assert json.loads(logs.encode_line(fields)) == fields


def test_lines_of_text_are_cut_one_by_one() -> None:
    read_end, write_end = os.pipe()
    sink_ = sink.Sink(write_end)
    lines = ["short", "é" * 50_000, "x" * (sink.MAX_LINE - 1), "y" * sink.MAX_LINE, "end"]
    text: list[bytes] = []
    reader = threading.Thread(target=lambda: text.extend(iter(lambda: os.read(read_end, 1 << 16), b"")))
    reader.start()
    sink_.write("\n".join(lines))
    os.close(write_end)
    reader.join()
    os.close(read_end)
    got = b"".join(text).decode().splitlines()
    assert [len(line.encode()) < sink.MAX_LINE for line in got] == [True] * 5
    assert [line.endswith("... (cut)") for line in got] == [False, True, False, True, False]
    assert got[2] == lines[2]
