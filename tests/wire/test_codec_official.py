"""The codec against the official runtime itself: awslambdaric's own marshaller, value by value and body by body.

Equal, or named in DELIBERATE with a reason; docs/differences.md has a row for each entry, and no others.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lmi_fast.errors import ErrorType, FaultError
from lmi_fast.wire.codec import JSON, decode_event, encode_result

from . import test_codec
from .codec_corpus import EVENTS, VALUES, Float, Int, Point, Str, Word

official = pytest.importorskip("awslambdaric.lambda_runtime_marshaller", reason="the official runtime is not installed")
FaultException = pytest.importorskip("awslambdaric.lambda_runtime_exception").FaultException

# The official encoder writes non-ASCII raw where AWS_EXECUTION_ENV names a newer managed runtime, and escapes it
# elsewhere (containers, older runtimes).
ENVIRONMENTS = [None, "AWS_Lambda_python3.13"]

DOCS = Path(__file__).resolve().parents[2] / "docs" / "differences.md"

MARSHAL = "Unable to marshal response: "
UNMARSHAL = "Unable to unmarshal input: "


@dataclass
class Difference:
    """One row of docs/differences.md. `values`: name of a value -> the outcome here. `events`: refused by both."""

    reason: str
    values: dict[str, Any] = field(default_factory=dict)
    events: list[bytes] = field(default_factory=list)
    environments: list[str | None] = field(default_factory=lambda: list(ENVIRONMENTS))
    # Not a matter of one value or one body: the test in test_codec.py that shows it.
    shown_by: str = ""


class Pairs(list[Any]):
    """The members of a JSON object, in order, repeated names and all."""

    def __repr__(self) -> str:
        return f"Pairs{super().__repr__()}"


def canonical(text: str) -> str:
    """A spelling that is the same exactly when the JSON is: 1, 1.0 and true differ, 1e22 and 1e+22 do not."""
    return repr(json.loads(text, object_pairs_hook=Pairs))


def wrote(text: str) -> tuple[str, ...]:
    return ("json", canonical(text))


def refused(message: str) -> tuple[str, ...]:
    return ("error", ErrorType.MARSHAL, MARSHAL + message)


# Malformed in ways for which the standard library has shorter words than simplejson.
OTHER_WORDS = [
    b"01", b"1.", b"1e", b"1e+", b"0x10", b"1_000", b"nulll", b"1 2", b"[] []", b"{}x", b"{}\x00", b"{}\x0b",
    "{}\u2028".encode(), b"[1]]", b'"a":1', b"true false", b"\xef\xbb\xbf {} x", b"\n\n[1]\n\n[2]", b"[1.]", b"[01]",
    b'"\\x"', b'"\\U1234"', b'"\\u12"', b'"\\u12G4"', b'"\\u+123"', b'"\\u 123"', b'"\\ud800\\u12"', b'"a\nb"',
    b'"\x00"', b'"\x1f"', b'{"a\tb":1}', b"[1 2]", b"[1", b"[", b"[[", b"{,}", b'{"a":1', b"{", b'{"a":1 "b":2}',
    b"{a:1}", b"{'a':1}", b"{1:1}", b'["a":1]', b"[1}", b'{"a":1]', b'{"a":1.e5, x}',
    b"{}".decode().encode("utf-16-le"),
]  # fmt: skip
if sys.version_info < (3, 13):
    # The standard library learnt to say "trailing comma" in 3.13.
    OTHER_WORDS += [b"[1,]", b'{"a":1,}', b'{"a":1 , }', b"[1 ,\n]"]

DELIBERATE: dict[str, Difference] = {
    "time": Difference(
        "no official rule",
        {
            "datetime": wrote('"2026-11-21T07:30:15.250000"'),
            "datetime utc": wrote('{"at":"2026-11-21T00:00:00Z"}'),
            "datetime python zone": wrote('["2026-11-21T00:00:00+02:00"]'),
            "datetime subclass": wrote('"2026-11-21T00:00:00-03:00"'),
            "date": wrote('"2026-11-21"'),
            "date subclass": wrote('["2026-11-21"]'),
            "time": wrote('{"at":"07:30:00"}'),
            "timedelta": wrote('"P1DT2.5S"'),
            "timedelta subclass": wrote('"-PT1S"'),
        },
    ),
    "uuid": Difference(
        "no official rule",
        {
            "uuid": wrote('"00000000-0000-0000-0000-000000000005"'),
            "uuid in dict": wrote('{"id":"00000000-0000-0000-0000-000000000006"}'),
        },
    ),
    "enum": Difference(
        "no official rule",
        {
            "enum": wrote('"text"'),
            "enum of tuple": wrote("[[1,2]]"),
            "enum of float": wrote('{"a":1.5}'),
            "flag": wrote("1"),
        },
    ),
    "set": Difference(
        "no official rule",
        {"set": wrote("[1]"), "frozenset": wrote('["a"]'), "set in dict": wrote('{"a":["bytes"]}')},
    ),
    "dataclass": Difference(
        "no official rule",
        {
            "dataclass": wrote('{"name":"x","content":[1,{"name":"y","content":null}]}'),
            "dataclass slots": wrote('{"value":{"value":1}}'),
            "dataclass with bytes": wrote('{"name":"x","content":{"a":"/w==","b":[1,2],"c":1.5,"d":NaN}}'),
        },
    ),
    "attrs": Difference("no official rule", shown_by="test_attrs_result"),
    "struct": Difference(
        "no official rule",
        {
            "struct": wrote('{"name":"x","content":{"a":[1.5,null]}}'),
            "struct tagged": wrote('{"type":"TaggedStruct","firstName":"x"}'),
            "struct with all": wrote('{"name":"\\ud800","content":["/w==",[1,1],{"1":7},{"1.5":Infinity}]}'),
            "struct with object": refused("Object of type object is not JSON serializable"),
            "circular struct": refused("Circular reference detected"),
        },
    ),
    "raw": Difference("no official rule", {"raw": wrote('{"a":1}'), "raw in dict": wrote('{"a":[1,2]}')}),
    "keys": Difference(
        "no official rule",
        {
            "decimal key": wrote('{"1.50":1}'),
            "enum key": wrote('{"text":1}'),
            "uuid key": wrote('{"00000000-0000-0000-0000-000000000005":1}'),
            "date key": wrote('{"2026-11-21":1}'),
        },
    ),
    "surrogates": Difference(
        "there, the text cannot be sent and the invocation fails",
        {
            "lone high surrogate": wrote('"\\ud800"'),
            "lone low surrogate": wrote('"a\\udfffb"'),
            "surrogates reversed": wrote('["\\ude00\\ud83d"]'),
            "surrogate pair as two": wrote('"\\ud83d\\ude00"'),
            "surrogate with quotes": wrote('{"a":"\\"\\ud800\\" \\\\ud800 \\u0000 \\n\u00e9\U0001f600"}'),
            "surrogate key": wrote('{"\\ud800":1}'),
        },
        environments=["AWS_Lambda_python3.13"],
    ),
    "broken-items": Difference(
        "simplejson's compiled encoder has words of its own",
        {"dict without items": refused("'int' object is not iterable")},
    ),
    "deep-results": Difference("no reason to stop there", shown_by="test_deep_result"),
    "typed-events": Difference("asked for by the annotation", shown_by="test_event_arrives_as_the_annotated_class"),
    "malformed-events": Difference("the standard library's words, not a copy of simplejson", events=OTHER_WORDS),
    "deep-events": Difference("the same limit, in the standard library's words", shown_by="test_deep_event"),
}


def official_result(value: Any, environment: str | None, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    marshaller = official_marshaller(environment, monkeypatch)
    try:
        body, content_type = marshaller.marshal_response(value)
    except FaultException as fault:
        return ("error", fault.exception_type, fault.msg)
    if content_type != JSON:
        return (content_type, body)
    try:
        # What lambda_runtime_client.py: post_invocation_result does, outside of any `try`.
        body.encode("utf-8")
    except UnicodeEncodeError:
        return ("the invocation fails",)
    return ("json", canonical(body))


def official_marshaller(environment: str | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    if environment is None:
        monkeypatch.delenv("AWS_EXECUTION_ENV", raising=False)
    else:
        monkeypatch.setenv("AWS_EXECUTION_ENV", environment)
    return official.LambdaMarshaller()


def our_result(value: Any) -> tuple[Any, ...]:
    try:
        body, content_type = encode_result(value)
    except FaultError as fault:
        return ("error", fault.error_type, fault.message)
    if content_type != JSON:
        return (content_type, body)
    return ("json", canonical(body.decode("utf-8")))


def official_event(body: bytes) -> tuple[Any, ...]:
    try:
        return ("event", repr(official.LambdaMarshaller().unmarshal_request(body, JSON)))
    except FaultException as fault:
        return ("error", fault.exception_type, fault.msg)


def our_event(body: bytes) -> tuple[Any, ...]:
    try:
        return ("event", repr(decode_event(body, JSON)))
    except FaultError as fault:
        return ("error", fault.error_type, fault.message)


def test_the_corpus_is_large() -> None:
    assert len(VALUES) >= 150
    assert len(set(EVENTS)) >= 100


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", VALUES)
def test_result(name: str, environment: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = official_result(VALUES[name], environment, monkeypatch)
    ours = our_result(VALUES[name])
    expected = theirs
    for difference in DELIBERATE.values():
        if name in difference.values and environment in difference.environments:
            expected = difference.values[name]
            assert theirs != expected, "not a difference any more"
            assert theirs[0] in ("error", "the invocation fails"), "only what fails there may differ"
    assert ours == expected


@pytest.mark.parametrize("body", EVENTS, ids=lambda body: ascii(body[:40]))
def test_event(body: bytes) -> None:
    theirs = official_event(body)
    ours = our_event(body)
    if body in DELIBERATE["malformed-events"].events:
        assert theirs != ours, "not a difference any more"
        assert theirs[:2] == ours[:2] == ("error", ErrorType.UNMARSHAL)
        assert ours[2].startswith(UNMARSHAL)
    else:
        assert ours == theirs
    assert our_event(bytearray(body)) == ours  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON", ""]
)
def test_content_type(content_type: str) -> None:
    theirs = official.LambdaMarshaller().unmarshal_request(b"[1]", content_type)
    assert decode_event(b"[1]", content_type) == theirs


@pytest.mark.parametrize("shape", ["list", "dict", "mixed"])
@pytest.mark.parametrize("depth", [50, 99, 100, 101, 102, 500, 900, 3000, 9000])
def test_nesting_that_works_there_works_here(depth: int, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value: Any = 1
    body = "1"
    for level in range(depth):
        if shape == "list" or (shape == "mixed" and level % 2):
            value, body = [value], f"[{body}]"
        else:
            value, body = {"a": value}, f'{{"a":{body}}}'
    try:
        text, _ = official_marshaller(None, monkeypatch).marshal_response(value)
    except FaultException:
        assert depth > 900
    else:
        assert encode_result(value)[0].decode() == text.replace(" ", "")
    try:
        official.LambdaMarshaller().unmarshal_request(body.encode(), JSON)
    except FaultException:
        assert depth > 900
    else:
        event = decode_event(body.encode(), JSON)
        assert encode_result(event)[0].decode() == body


# The official encoder is defined for all of these, however they are combined.
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.decimals()
    | st.text()
    | st.text(st.characters())
    | st.text(st.sampled_from('a"\\\n\u00e9\ud800\udc00\U0001f600'))
    | st.builds(lambda text: text.encode(), st.text())
    | st.sampled_from([Int(5), Float(2.5), Str("s"), Word.A, b"\xff", object(), Point, 2**64])
)
KEYS = st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.builds(lambda s: s.encode(), st.text())
RESULTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(RESULTS)
@example([float("nan")])
@example({"a": Decimal("sNaN")})
@example(Point(b"\xff", object()))
def test_any_result(value: Any) -> None:
    for environment in ENVIRONMENTS:
        with pytest.MonkeyPatch.context() as patch:
            theirs = official_result(value, environment, patch)
        if theirs != ("the invocation fails",):
            assert our_result(value) == theirs


JSON_TEXTS = st.recursive(
    st.sampled_from(["null", "true", "false", "NaN", "-Infinity", '"\\ud800"', '"\\u00e9"', "1e400", "-0", "1" * 30])
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.text().map(json.dumps)
    | st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: "[" + ", ".join(items) + "]")
        | st.lists(st.tuples(st.text(max_size=3).map(json.dumps), inner), max_size=4).map(
            lambda items: "{" + ",".join(f"{key}:{value}" for key, value in items) + "}"
        )
    ),
    max_leaves=10,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """JSON, whole or with a few bytes changed, lost or doubled."""
    body = bytearray(draw(JSON_TEXTS).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        match draw(st.integers(0, 3)):
            case 0:
                body[at:at] = draw(
                    st.sampled_from([b" ", b",", b'"', b"\\", b"}", b"]", b"0", b"-", b".", b"e", b"\x00"])
                )
            case 1:
                del body[at : at + 1]
            case 2:
                body[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 3:
                body[at:at] = body[at : at + 4]
    return bytes(body)


@settings(max_examples=1500, deadline=None)
@given(bodies())
def test_any_event(body: bytes) -> None:
    theirs = official_event(body)
    ours = our_event(body)
    if theirs[0] == "event":
        assert ours == theirs
    else:
        assert ours[:2] == theirs[:2]


def test_every_difference_is_shown() -> None:
    for name, difference in DELIBERATE.items():
        assert difference.values or difference.events or hasattr(test_codec, difference.shown_by), name
        assert set(difference.values) <= set(VALUES), name
        assert set(difference.events) <= set(EVENTS), name


def test_every_difference_is_documented() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(DELIBERATE)
