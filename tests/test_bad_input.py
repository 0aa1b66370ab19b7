"""Events, headers and results that are wrong: an error to whoever caused it, and the process goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmi_fast.emulator import Raw

from .serving import TIMEOUT, Served, serving

UNMARSHAL, MARSHAL = "Runtime.UnmarshalError", "Runtime.MarshalError"

SOURCE = """
    import threading, time
    class Changing(dict):
        def items(self):
            for number in range(5):
                self[object()] = 1
                yield (number, self)
    class Growing(list):
        def __iter__(self):
            while True:
                self.append(1)
                yield 1
    circle = []
    circle.append(circle)
    class Deep:
        pass
    def deep(depth):
        value = []
        for _ in range(depth):
            value = [value]
        return value
    class Raises(dict):
        def items(self):
            raise KeyboardInterrupt
        def __iter__(self):
            raise KeyboardInterrupt
    def being_changed():
        shared = {str(number): [number] for number in range(20_000)}
        def change():
            for number in range(200_000):
                shared.pop(str(number % 20_000), None)
                shared[str(number)] = {"n": [number] * 3}
        thread = threading.Thread(target=change)
        thread.start()
        return shared
    results = {
        "an object": object,
        "a set of sets": lambda: {frozenset({1})},
        "circular": lambda: circle,
        "deep": lambda: deep(100_000),
        "keys": lambda: {(1, 2): 3},
        "changes": lambda: Changing(a=1),
        "raises": lambda: Raises(a=1),
        "a class": lambda: Deep,
        "bytes in it": lambda: {"a": b"\\xff"},
        "a huge number": lambda: 10 ** 5000,
    }
    {a}def handler(event, context):
        if isinstance(event, str) and event in results:
            return results[event]()
        if event == "being changed":
            return being_changed()
        return event if isinstance(event, (str, int)) else str(type(event).__name__)
"""


@pytest.fixture(params=["async", "plain"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, SOURCE.replace("{a}", "async " if request.param == "async" else ""), slots=2) as served:
        yield served
        served.api.wait_for_polls(2, TIMEOUT)
        assert served.result("fine") == "fine"


EVENTS = {
    "nothing": b"",
    "not JSON": b"{what",
    "half of it": b'{"a": [1, 2',
    "two of them": b"{} {}",
    "not UTF-8": b'"\xff\xfe"',
    "NaN": b"NaN",
    "a NUL": b'"a"\x00',
    "6 MB of nesting": b"[" * 6_000_000,
    "6 MB of nesting in objects": b'{"a":' * 1_200_000,
    "deep, and closed": b"[" * 200_000 + b"]" * 200_000,
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_that_cannot_be_decoded(served: Served, name: str) -> None:
    for _ in range(3):
        report, outcome = served.error(EVENTS[name])
        assert outcome.error_type == report["errorType"] == UNMARSHAL
        assert len(report["errorMessage"]) < 10_000


def test_numbers_of_400_digits(served: Served) -> None:
    assert served.result(b"1" * 400) == int("1" * 400)
    assert served.result(b"1e400") == "float"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/octet-stream", "APPLICATION/JSON", "x" * 5000, "é"]
)
def test_other_content_types_bring_bytes(served: Served, content_type: str) -> None:
    wanted = "bytes" if content_type.lower() != "application/json" else "dict"
    assert served.result(b'{"a": 1}', content_type=content_type) in (wanted, "bytes")


HEADERS = {
    "64 KB of ARN": {"Lambda-Runtime-Invoked-Function-Arn": "a" * 65_536},
    "500 KB of something": {"X-Something": "b" * 500_000},
    "a thousand headers": {f"X-Something-{number}": str(number) for number in range(1000)},
    "not ASCII": {"Lambda-Runtime-Trace-Id": "Root=é\N{GRINNING FACE}", "X-Ü": "ß"},
    "a deadline of 400 digits": {"Lambda-Runtime-Deadline-Ms": "9" * 400},
    "a negative deadline": {"Lambda-Runtime-Deadline-Ms": "-1"},
    "empty ones": {"Lambda-Runtime-Trace-Id": "", "Lambda-Runtime-Cognito-Identity": ""},
    "an id of 64 KB": {"Lambda-Runtime-Invocation-Id": "c" * 65_536},
}


@pytest.mark.parametrize("name", HEADERS)
def test_absurd_headers(served: Served, name: str) -> None:
    headers = {key: value for key, value in HEADERS[name].items() if key.isascii()}
    for _ in range(3):
        assert served.result("fine", headers=headers) == "fine"


CONTEXTS = ["{", "[]", "5", '{"client": 5}', "[" * 60_000, '"\\ud800"']


@pytest.mark.parametrize("context", CONTEXTS)
def test_client_contexts_that_make_no_sense(served: Served, context: str) -> None:
    outcome = served.invoke("fine", client_context=context)
    assert outcome.kind == "error"
    assert outcome.error_type == "Runtime.LambdaContextUnmarshalError"


EVENT = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: x\r\n"
REPLIES = {
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "two lengths that differ": EVENT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": EVENT + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a length of 400 digits": EVENT + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n{}",
    "a negative length": EVENT + b"Content-Length: -2\r\n\r\n{}",
    "a chunk of 400 digits": EVENT + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 400 + b"\r\n{}",
    "an unknown coding": EVENT + b"Transfer-Encoding: zstd\r\n\r\n{}",
    "a NUL in a name": EVENT + b"X\x00Y: 1\r\nContent-Length: 2\r\n\r\n{}",
    "2 MB of head": EVENT + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n",
    "a status of 400 digits": b"HTTP/1.1 " + b"2" * 400 + b" OK\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("name", REPLIES)
def test_replies_that_are_not_http(served: Served, name: str) -> None:
    """To a poll. None of them is an event, and the slot polls again."""
    served.api.on("next", Raw([REPLIES[name]], close=True), times=2)
    for _ in range(3):
        assert served.result("fine") == "fine"
    served.api.wait_for_polls(2, TIMEOUT)


REFUSED = ("an object", "a set of sets", "circular", "keys", "changes", "raises", "bytes in it")


@pytest.mark.parametrize("name", [*REFUSED, "deep", "a class", "a huge number"])
def test_results_that_cannot_be_encoded(served: Served, name: str) -> None:
    for _ in range(2):
        outcome = served.invoke(name)
        if outcome.kind == "response":  # it can, in one way or another: then it is JSON
            json.loads(outcome.body)
            assert name not in ("an object", "circular", "a class")
        else:
            assert outcome.error_type in (MARSHAL, "Function.KeyboardInterrupt"), outcome


def test_a_result_that_another_thread_changes_meanwhile(served: Served) -> None:
    """Whatever comes of it is JSON or an error, and no crash."""
    for _ in range(5):
        outcome = served.invoke("being changed")
        if outcome.kind == "response":
            assert isinstance(json.loads(outcome.body), dict)
        else:
            assert outcome.error_type is not None
            assert outcome.error_type.startswith(("Runtime.", "Function."))
