"""The codec by itself: typed events, the two roads of results, and what must never bring the process down.

test_codec_official.py compares with the official runtime.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Optional, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmi_fast.errors import ErrorType, FaultError
from lmi_fast.wire import _official
from lmi_fast.wire._exact import expand
from lmi_fast.wire.codec import JSON, _encode, decode_event, encode_json, encode_result
from lmi_fast.wire.plain import MAX_DEPTH, is_plain
from lmi_fast.wire.reply import CutOff
from lmi_fast.wire.typed_events import event_decoder

from .codec_corpus import (
    Asdict,
    AsdictStruct,
    Bytes,
    Data,
    Dict,
    Float,
    Int,
    List,
    Mixed,
    Number,
    OtherDate,
    Plain,
    Point,
    PythonZone,
    SlottedData,
    Str,
    Struct,
    TaggedStruct,
    Tuple,
)

if TYPE_CHECKING:
    from nowhere import Context  # type: ignore[import-not-found]


def slow(value: Any) -> bytes:
    return _official.dumps(value, _encode, expand)


def in_child(code: str) -> str:
    """The output of a program of its own, because what it does may crash."""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 0, f"{child.returncode}: {child.stderr[-2000:]}"
    return child.stdout


# --- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_event(kind: type[bytes] | type[bytearray]) -> None:
    assert decode_event(kind(b'{"a": [1, 2.5, null]}'), JSON) == {"a": [1, 2.5, None]}
    raw = decode_event(kind(b"\x00\xff"), "application/octet-stream")
    assert raw == b"\x00\xff"
    assert type(raw) is bytes


def test_bad_event() -> None:
    with pytest.raises(FaultError) as caught:
        decode_event(b'{"a": tru}', JSON)
    assert caught.value.error_type == ErrorType.UNMARSHAL
    assert caught.value.message == "Unable to unmarshal input: Expecting value: line 1 column 7 (char 6)"
    assert caught.value.stack_trace == []


@pytest.mark.parametrize("where", ["main thread", "another thread"])
def test_deep_event(where: str) -> None:
    # The platform's limit is 6 MB; no body of that size may exhaust the C stack of either decoder.
    code = f"""
import threading
from lmi_fast.errors import FaultError
from lmi_fast.wire.codec import decode_event
from lmi_fast.wire.typed_events import event_decoder
import msgspec

class Node(msgspec.Struct):
    a: "Node | list | None" = None

def handler(event: Node, context):
    pass

def main():
    for body in (b"[" * 6_000_000, b'{{"a":' * 1_000_000, b"[" * 3_000_000 + b"]" * 3_000_000):
        for decode in (decode_event, event_decoder(handler)):
            try:
                decode(body, "application/json")
            except FaultError as fault:
                print(fault.error_type, fault.message)

if {where!r} == "main thread":
    main()
else:
    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
"""
    lines = in_child(code).splitlines()
    assert len(lines) == 6
    for line in lines:
        assert line.startswith("Runtime.UnmarshalError Unable to unmarshal input: ")


# --- typed events -----------------------------------------------------------------------------------------------------


class Order(msgspec.Struct):
    id: int
    note: str = ""


@dataclasses.dataclass
class OrderData:
    id: int
    note: str = ""


class OrderDict(TypedDict):
    id: int


class OrderTuple(NamedTuple):
    id: int


class Unrelated:
    pass


class PydanticLike(OrderData):
    __pydantic_fields__: ClassVar[dict[str, Any]] = {}


@dataclasses.dataclass
class Refusing:
    id: int

    def __post_init__(self) -> None:
        if self.id < 0:
            raise LookupError("negative")


class NoDecoder(msgspec.Struct):
    value: Order | AsdictStruct  # two untagged Structs: msgspec cannot tell them apart


@dataclasses.dataclass
class NoDecoderData:
    value: Order | AsdictStruct


def _by_string(event: Order, context: Context) -> None:
    """Its context's class exists for type checkers only."""


def _by_quoted_string(event: "Order", context: Any) -> None:  # noqa: UP037
    pass


def _by_dotted_string(event: module.Order, context: Any) -> None:  # type: ignore[name-defined]
    pass


def _unresolvable(event: Context, context: Any) -> None:
    pass


async def _asynchronous(event: Order, context: Any) -> None:
    pass


def _without_annotations(event, context):  # type: ignore[no-untyped-def]
    pass


def _without_parameters() -> None:
    pass


def _starred(*event: Order) -> None:
    pass


def _keyword_only(*, event: Order) -> None:
    pass


def _configured(settings: Any, event: Order, context: Any) -> None:
    pass


def _returns_only(event, context) -> Order:  # type: ignore[no-untyped-def]
    return Order(1)


def annotated(annotation: Any) -> Callable[..., Any]:
    def handler(event, context):  # type: ignore[no-untyped-def]
        pass

    handler.__annotations__ = {"event": annotation}
    return handler


class Handlers:
    def method(self, event: Order, context: Any) -> None:
        pass

    @classmethod
    def class_method(cls, event: Order, context: Any) -> None:
        pass

    @staticmethod
    def static_method(event: Order, context: Any) -> None:
        pass

    def __call__(self, event: Order, context: Any) -> None:
        pass


class AsyncHandler:
    async def __call__(self, event: Order, context: Any) -> None:
        pass


module = sys.modules[__name__]

TYPED: dict[str, Callable[..., Any]] = {
    "class": annotated(Order),
    "string": _by_string,
    "quoted string": _by_quoted_string,
    "dotted string": _by_dotted_string,
    "async": _asynchronous,
    "method": Handlers().method,
    "class method": Handlers.class_method,
    "static method": Handlers.static_method,
    "unbound method of an instance": Handlers.__call__.__get__(Handlers()),
    "callable object": Handlers(),
    "async callable object": AsyncHandler(),
    "partial": functools.partial(_configured, 1),
    "partial by keyword": functools.partial(annotated(Order), context=1),
    "partial of method": functools.partial(Handlers().method),
    "partial of callable object": functools.partial(Handlers()),
    "lambda": functools.partial(lambda event, context: None),
}
TYPED["lambda"].func.__annotations__["event"] = Order  # type: ignore[attr-defined]

UNTYPED: dict[str, Any] = {
    "no annotations": _without_annotations,
    "only the return": _returns_only,
    "no parameters": _without_parameters,
    "starred": _starred,
    "keyword only": _keyword_only,
    "unresolvable": _unresolvable,
    "wrapper": functools.wraps(_by_string)(lambda event, context: None),
    "wrapper of wrapper": functools.wraps(functools.wraps(_by_string)(lambda *a: None))(lambda *a: None),
    "wrapper object": functools.update_wrapper(Handlers(), _by_string),
    "partial of wrapper": functools.partial(functools.wraps(_by_string)(lambda event, context: None)),
    "wrapping partial": functools.update_wrapper(functools.partial(_by_string), _by_string),
    "cached": functools.lru_cache(annotated(Order)),
    "partial that gives the event": functools.partial(annotated(Order), event=1),
    "partial that gives all": functools.partial(annotated(Order), 1, 2),
    "partial of something else": functools.partial(print),
    "builtin": print,
    "class": Handlers,
    "typed dict": annotated(OrderDict),
    "named tuple": annotated(OrderTuple),
    "dict": annotated(dict),
    "generic dict": annotated(dict[str, Any]),
    "any": annotated(Any),
    "none": annotated(None),
    "optional": annotated(Optional[Order]),  # noqa: UP045
    "list of": annotated(list[Order]),
    "some class": annotated(Unrelated),
    "an instance": annotated(Order(1)),
    "Struct itself": annotated(msgspec.Struct),
    "pydantic dataclass": annotated(PydanticLike),
    "no such attribute": annotated("module.Order.nothing"),
    "not a name": annotated("list[Order]"),
    "empty string": annotated(""),
    "dataclass without decoder": annotated(NoDecoderData),
}


@pytest.mark.parametrize("name", TYPED)
def test_event_arrives_as_the_annotated_class(name: str) -> None:
    assert event_decoder(TYPED[name])(b'{"id": 7, "more": 1}', JSON) == Order(7)


@pytest.mark.parametrize("name", UNTYPED)
def test_event_stays_plain(name: str) -> None:
    assert event_decoder(UNTYPED[name]) is decode_event


def test_annotations_that_cannot_be_read() -> None:
    # As in Python 3.14, where a name missing from the module shows when annotations are read.
    class Function:
        __code__ = _by_string.__code__
        __globals__ = _by_string.__globals__

        @property
        def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
            raise NameError("Context")

        def __call__(self, event: Any, context: Any) -> None:
            pass

    assert event_decoder(Function()) is decode_event


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated when read since 3.14")
def test_a_missing_name_elsewhere_does_not_matter() -> None:
    names: dict[str, Any] = {"Order": Order}
    exec(compile("def handler(event: Order, context: Missing): pass", "handler.py", "exec", dont_inherit=True), names)
    assert event_decoder(names["handler"])(b'{"id": 7}', JSON) == Order(7)


def test_dataclass_event() -> None:
    assert event_decoder(annotated(OrderData))(b'{"id": 7}', JSON) == OrderData(7)


def test_attrs_event() -> None:
    attrs = pytest.importorskip("attrs")
    order = attrs.make_class("AttrsOrder", {"id": attrs.field(type=int)})
    assert event_decoder(annotated(order))(b'{"id": 7}', JSON) == order(7)


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b'\xef\xbb\xbf{"id": 7}', Order(7)),
        (b'{"id": 7, "note": "\\ud800"}', Order(7, "\ud800")),
        (bytearray(b'{"id": 7}'), Order(7)),
    ],
)
def test_typed_event_that_msgspec_refuses(body: bytes, event: Order) -> None:
    assert event_decoder(annotated(Order))(body, JSON) == event


def test_typed_event_that_is_not_json() -> None:
    assert event_decoder(annotated(Order))(bytearray(b"{}"), "text/plain") == b"{}"


@pytest.mark.parametrize(
    ("annotation", "body", "message"),
    [
        (Order, b'{"id": "7"}', "Expected `int`, got `str` - at `$.id`"),
        (Order, b"{}", "Object missing required field `id`"),
        (Order, b"[]", "Expected `object`, got `array`"),
        (Order, b"\xef\xbb\xbf[]", "Expected `object`, got `array`"),
        (Order, b'{"id": 7', "Expecting ',' delimiter: line 1 column 9 (char 8)"),
        (Order, b"", "Expecting value: line 1 column 1 (char 0)"),
        (
            Order,
            b'{"id": 7, "note": "\xff"}',
            "'utf-8' codec can't decode byte 0xff in position 19: invalid start byte",
        ),
        (Refusing, b'{"id": -1}', "negative"),
        (Refusing, b'\xef\xbb\xbf{"id": -1}', "negative"),
    ],
)
def test_bad_typed_event(annotation: Any, body: bytes, message: str) -> None:
    with pytest.raises(FaultError) as caught:
        event_decoder(annotated(annotation))(body, JSON)
    assert caught.value.error_type == ErrorType.UNMARSHAL
    assert caught.value.message == f"Unable to unmarshal input: {message}"


def test_struct_without_decoder() -> None:
    with pytest.raises(FaultError, match=r"no decoder for NoDecoder: .*multiple Struct types") as caught:
        event_decoder(annotated(NoDecoder))
    assert caught.value.error_type == ErrorType.UNMARSHAL


# --- results ----------------------------------------------------------------------------------------------------------


def test_result() -> None:
    assert encode_result({"statusCode": 200, "body": "\u00e9"}) == ('{"statusCode":200,"body":"\u00e9"}'.encode(), JSON)
    assert encode_result(b"\xff") == (b"\xff", "application/unknown")
    assert encode_result(None) == (b"null", JSON)


def test_bad_result() -> None:
    async def handler() -> None:
        pass

    coroutine = handler()
    coroutine.close()
    with pytest.raises(FaultError) as caught:
        encode_result(coroutine)
    assert caught.value.error_type == ErrorType.MARSHAL
    assert caught.value.message == "Unable to marshal response: Object of type coroutine is not JSON serializable"


def test_error_report_with_lone_surrogates() -> None:
    report = {"errorMessage": 'no file "\udcff\\"', "errorType": "OSError", "stackTrace": ["\ud800"]}
    assert json.loads(encode_json(report)) == report


def test_attrs_result() -> None:
    attrs = pytest.importorskip("attrs")
    order = attrs.make_class("AttrsOrder", ["id", "content"])
    assert encode_json(order(7, [order(8, b"\xff"), math.nan])) == b'{"id":7,"content":[{"id":8,"content":"/w=="},NaN]}'


PLAIN: list[Any] = [
    None, True, False, 0, -1, 2**64, 1.5, -0.0, "", "text", {}, [], (), set(), frozenset({1}),
    {"a": [1, ({"b": None},)]}, Decimal("1.5"), [Decimal("1E+5")], UUID(int=5), date(2026, 1, 1),
    datetime(2026, 1, 1), timedelta(1), time(1, 2), datetime(2026, 1, 1, tzinfo=UTC), time(1, tzinfo=UTC),
    Struct("a"), Struct("a", {"b": [Struct("c")]}), TaggedStruct("a", "b", [1.5]), [1.5, 2.5], {"a": 1.5},
    {"a": {"b": ()}},
]  # fmt: skip
NOT_PLAIN: list[Any] = [
    math.nan, math.inf, [math.nan], {"a": -math.inf}, (1.5, math.nan), {math.nan}, Decimal("NaN"),
    [Decimal("Infinity")], b"", [b""], bytearray(), Point(1, 2), [Point(1, 2)], Int(1), {"a": Int(1)}, [Float(1)],
    Str("a"), {Str("a"): 1}, Dict(), List(), Tuple(), Bytes(), {1: 1}, {None: 1}, {"a": {b"k": 1}}, Number.ONE,
    Mixed.A, Plain.TEXT, OtherDate(2026, 1, 1), datetime(2026, 1, 1, tzinfo=PythonZone()), Data("a"), SlottedData(1),
    Asdict({}), AsdictStruct(1), Struct("a", math.nan), Struct("a", [b""]), Struct("a", {1: 1}),
    Struct("a", msgspec.UNSET), msgspec.UNSET, msgspec.Raw(b"1"), object(), 1j, int, iter([]), range(1), Struct,
    type(msgspec.Struct),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=ascii)
def test_plain(value: Any) -> None:
    assert is_plain(value)
    assert json.loads(_encode(value)) == json.loads(slow(value))


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
def test_not_plain(value: Any) -> None:
    assert not is_plain(value)


def test_plain_has_a_depth() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert is_plain(value)
    assert not is_plain([value])
    assert not is_plain({"a": value})
    assert not is_plain(Struct("a", value))
    circle: list[Any] = [1]
    circle.extend([circle, circle])
    assert not is_plain(circle)


PLAIN_RESULTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False) | st.uuids() | st.dates() | st.times() | st.timedeltas()
    | st.datetimes(timezones=st.none() | st.just(UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    | st.lists(inner, max_size=3).map(tuple)
    | st.builds(Struct, st.text(), inner) | st.builds(TaggedStruct, st.text(), tags=st.lists(inner, max_size=2)),
    max_leaves=10,
)  # fmt: skip


@given(PLAIN_RESULTS)
def test_both_roads_write_the_same(value: Any) -> None:
    assert is_plain(value)
    assert repr(json.loads(_encode(value))) == repr(json.loads(slow(value)))
    assert encode_json(value) == _encode(value)


EVENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
)


@given(EVENTS)
def test_round_trip(value: Any) -> None:
    # Infinity is written, as the official runtime writes it, but is no JSON and not read.
    if "inf" not in repr(value):
        again = decode_event(encode_json(value), JSON)
        # Two lone surrogates side by side are one character when read.
        assert again == value or any(0xD800 <= ord(character) < 0xE000 for character in str(value))


class Everything(msgspec.Struct):
    raw: bytes
    point: Point
    at: datetime
    price: Decimal
    tags: set[str]
    number: float
    text: str
    data: OrderData
    by_id: dict[int, UUID]


@given(
    st.builds(
        Everything,
        point=st.builds(Point, st.integers(), st.lists(st.text())),
        price=st.decimals(allow_nan=False, allow_infinity=False),
        number=st.floats(allow_nan=False, allow_infinity=False),
        text=st.text(st.characters()),
        at=st.datetimes(timezones=st.none() | st.just(UTC)),
    )
)
def test_typed_round_trip(value: Everything) -> None:
    assert not is_plain(value)
    again = event_decoder(annotated(Everything))(encode_json(value), JSON)
    assert again == value or any(0xD800 <= ord(character) < 0xE000 for character in value.text)


# Built up by hand because msgspec cannot be asked for one level of a Struct.
STRUCTS: list[msgspec.Struct] = [
    msgspec.defstruct("A", [("first_name", Any), ("b", Any, 1)], rename="camel")(1),
    msgspec.defstruct("B", [("a", Any), ("b", Any, 1)], tag=True)([1]),
    msgspec.defstruct("C", [("a", Any)], tag=7, tag_field="kind")({}),
    msgspec.defstruct("D", [("a", Any), ("b", Any, 1)], array_like=True)(1),
    msgspec.defstruct("E", [("a", Any), ("b", Any, 1)], array_like=True, tag="e", omit_defaults=True)(1),
    msgspec.defstruct("F", [("a", Any), ("b", Any, msgspec.UNSET)])(1),
    msgspec.defstruct("G", [])(),
    msgspec.defstruct("H", [("a", int)], frozen=True, gc=False)(3),
    *(
        msgspec.defstruct(
            "Z",
            [
                ("a", Any),
                ("b", Any, 1000),
                ("c", list[Any], []),
                ("d", dict[str, Any], msgspec.field(default_factory=dict)),
                ("e", Any, ()),
                ("f", Any, "text"),
                ("g", Any, msgspec.field(default_factory=lambda: 5)),
                ("h", Any, msgspec.UNSET),
                ("i", Any, None),
                ("j", Any, msgspec.field(default_factory=set)),
                ("k", Any, msgspec.field(default_factory=frozenset)),
            ],
            omit_defaults=omit_defaults,
        )(*arguments)
        for omit_defaults in (True, False)
        for arguments in (
            [1],
            [1, 1000, [], {}, (), "text", 5, msgspec.UNSET, None, set()],
            [1, int("1000"), [[]], {"a": {}}, [], "".join(["te", "xt"]), 6, 1, 0, {1}, frozenset({1})],
            [1, 1000, (), [], [], None, None, None, [], [], set()],
        )
    ),
]


@pytest.mark.parametrize("value", STRUCTS, ids=repr)
def test_struct_is_written_as_msgspec_writes_it(value: msgspec.Struct) -> None:
    assert slow(value) == msgspec.json.encode(value)


def test_struct_with_a_list_subclass_in_place_of_a_default() -> None:
    value = TaggedStruct("a", tags=List())
    assert slow(value) == b'{"type":"TaggedStruct","firstName":"a","tags":[]}'


def test_dataclass_fields() -> None:
    @dataclasses.dataclass
    class Partial:
        kind: dataclasses.InitVar[int]
        a: int
        never_set: int = dataclasses.field(init=False)
        unset: Any = msgspec.UNSET

    assert encode_json(Partial(1, 2)) == b'{"a":2}'
    with pytest.raises(FaultError, match="Object of type type is not JSON serializable"):
        encode_json(Partial)


def test_simplejson_raw_json() -> None:
    simplejson = pytest.importorskip("simplejson")
    assert encode_json([simplejson.RawJSON('{"a": 1}')]) == b'[{"a": 1}]'


def test_deep_result() -> None:
    value: Any = 1
    for _ in range(50_000):
        value = {"a": [value]}
    assert encode_json(value) == b'{"a":[' * 50_000 + b"1" + b"]}" * 50_000
    with pytest.raises(FaultError) as caught:
        encode_json([value])
    assert caught.value.error_type == ErrorType.MARSHAL
    assert "maximum recursion depth exceeded" in caught.value.message
    while isinstance(value, dict):  # or the garbage collector recurses
        value = value["a"].pop()


def test_endless_result() -> None:
    class Endless:
        def _asdict(self) -> dict[str, Any]:
            return {"more": Endless()}

    with pytest.raises(FaultError, match="maximum recursion depth exceeded"):
        encode_json(Endless())


def test_result_changed_by_another_thread() -> None:
    table: dict[str, Any] = {str(i): [i, {"i": i}] for i in range(200)}
    numbers: list[Any] = list(range(200))
    result = {"table": table, "numbers": numbers, "slow": [Point(1, 2)]}
    stop = threading.Event()

    def change() -> None:
        i = 0
        while not stop.is_set():
            i += 1
            table[f"new{i % 50}"] = [i]
            table.pop(f"new{(i + 25) % 50}", None)
            numbers[:] = range(i % 300)

    threads = [threading.Thread(target=change) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for i in range(300):
            result["slow"] = [Point(1, 2)] if i % 2 else []
            assert set(json.loads(encode_json(result))) == {"table", "numbers", "slow"}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("holder", ["list", "dict", "Struct", "Data"])
def test_result_changed_while_msgspec_runs_python_code(holder: str) -> None:
    # A tzinfo written in Python stands for any moment at which another thread may run. msgspec 0.22 then crashes, or
    # reads what was freed; the codec never gives it a container that holds such a value.
    code = f"""
import json
from datetime import datetime, timedelta, tzinfo
from tests.wire.codec_corpus import Data, Struct
from lmi_fast.wire.codec import encode_json

class Zone(tzinfo):
    def utcoffset(self, moment):
        victim.clear()
        self.litter = [object() for _ in range(100_000)]
        return timedelta(0)

    def dst(self, moment):
        return timedelta(0)

victim = [str(i) * 3 for i in range(10_000)]
victim.insert(0, datetime(2026, 1, 1, tzinfo=Zone()))
if {holder!r} == "dict":
    victim = dict(enumerate(victim))
value = {{"Struct": Struct, "Data": Data}}.get({holder!r}, lambda name, content: content)("x", victim)
print(len(json.dumps(json.loads(encode_json(value)))))
"""
    assert int(in_child(code)) > 100_000


def test_start_up_imports_no_json_and_nothing_comes_later() -> None:
    """What a result would import, it could not where no file descriptor is left."""
    code = """
import sys
from lmi_fast.wire.codec import decode_event, encode_result
before = set(sys.modules)
decode_event(b'{"a": 1}', "application/json")
encode_result({"a": [1.5, b"bytes", {1: None}, {1, 2}]})
print(sorted({"json", "dataclasses", "asyncio", "logging"} & set(sys.modules)))
print([name for name in sorted(set(sys.modules) - before) if name.startswith("lmi_fast")])
"""
    assert in_child(code).split() == ["[]", "[]"]


@pytest.mark.parametrize("content_type", [JSON, "text/plain"])
def test_an_event_that_was_cut_off(content_type: str) -> None:
    """Whatever it would have been decoded to."""
    for decode in (decode_event, event_decoder(annotated(Order))):
        with pytest.raises(FaultError) as caught:
            decode(CutOff("the connection broke"), content_type)
        assert caught.value.error_type == ErrorType.TRUNCATED_EVENT
        assert caught.value.message == "The event was cut off: the connection broke"
