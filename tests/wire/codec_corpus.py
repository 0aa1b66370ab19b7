"""Results and events of every kind, for comparing the codec with the official runtime.

VALUES: name -> what a handler returns. EVENTS: bodies that arrive as "application/json".
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import time as clock
import types
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple
from unittest.mock import MagicMock, Mock

import msgspec


class Point(NamedTuple):
    x: Any
    y: Any


class Renamed(Point):
    def _asdict(self) -> dict[str, Any]:
        return {"renamed": list(self)}


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class Mixed(str, enum.Enum):  # noqa: UP042 (what people wrote before StrEnum)
    A = "mixed"


class Half(float, enum.Enum):
    A = 0.5


class Mode(enum.IntFlag):
    R = 4
    W = 2


class Plain(enum.Enum):
    TEXT = "text"
    PAIR = (1, 2)
    FLOAT = 1.5


class Bits(enum.Flag):
    A = 1


class Int(int):
    def __str__(self) -> str:
        return "not a number"

    __repr__ = __str__


class IntAs9(int):
    def __int__(self) -> int:
        return 9


class Float(float):
    def __repr__(self) -> str:
        return "not a number"


class FloatAs9(float):
    def __float__(self) -> float:
        return 9.0


class Str(str):
    def __str__(self) -> str:
        return "another string"


class Bytes(bytes):
    pass


class Dec(Decimal):
    pass


class Dict(dict[Any, Any]):
    pass


class DictOfItems(dict[Any, Any]):
    def items(self) -> Any:
        return iter([("from", "items")])


class DictOfTriples(dict[Any, Any]):
    def items(self) -> Any:
        return [("a", 1, 2)]


class DictWithoutItems(dict[Any, Any]):
    def items(self) -> Any:
        return 5


class DictAsdict(dict[Any, Any]):
    def _asdict(self) -> dict[str, Any]:
        return {"asdict": True}


class List(list[Any]):
    pass


class ListOfNines(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([9, 9])


class FalseList(list[Any]):
    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


class ListAsdictFails(list[Any]):
    def _asdict(self) -> dict[str, Any]:
        raise TypeError("no")


class Tuple(tuple[Any, ...]):
    pass


class Asdict:
    def __init__(self, result: Any) -> None:
        self.result = result

    def _asdict(self) -> Any:
        return self.result


class AsdictNeedsArgument:
    def _asdict(self, argument: Any) -> dict[str, Any]:
        return {}


class AsdictRaises:
    def _asdict(self) -> dict[str, Any]:
        raise ValueError("no fields today")


class AsdictProperty:
    @property
    def _asdict(self) -> Any:
        raise ValueError("no attribute today")


class AsdictIsData:
    _asdict = {"a": 1}  # noqa: RUF012


class ForJson:
    def for_json(self) -> Any:
        return 1


class AnyAttribute:
    def __getattr__(self, name: str) -> Any:
        return lambda: {"attribute": name}


class ClassName:
    __class__ = property(lambda self: Dict)


@dataclasses.dataclass
class Data:
    name: str
    content: Any = None


@dataclasses.dataclass(slots=True, frozen=True)
class SlottedData:
    value: Any


class Struct(msgspec.Struct):
    name: str
    content: Any = None


class TaggedStruct(msgspec.Struct, tag=True, rename="camel", omit_defaults=True):
    first_name: str
    last_name: str = ""
    tags: list[Any] = []


class AsdictStruct(msgspec.Struct):
    a: int

    def _asdict(self) -> dict[str, Any]:
        return {"asdict": self.a}


class PythonZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=2)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return "two hours east"


class OtherDatetime(datetime):
    pass


class OtherDate(date):
    pass


class OtherDelta(timedelta):
    pass


async def _coroutine_function() -> None:
    pass


def _coroutine() -> Any:
    coroutine = _coroutine_function()
    coroutine.close()  # or Python warns that it was never awaited
    return coroutine


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _circular_dict() -> dict[str, Any]:
    circle: dict[str, Any] = {"ok": 1}
    circle["deep"] = [{"again": circle}]
    return circle


def _circular_asdict() -> Asdict:
    circle = Asdict({})
    circle.result["self"] = circle
    return circle


def _circular_struct() -> Struct:
    circle = Struct("circle")
    circle.content = [circle]
    return circle


_SHARED = [1, {"a": 2}]

VALUES: dict[str, Any] = {
    # Everyday results.
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "int": -12,
    "float": 1.5,
    "str": "text",
    "empty str": "",
    "empty dict": {},
    "empty list": [],
    "empty tuple": (),
    "proxy response": {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "ok"},
    "list of dicts": [{"a": 1}, {"b": [None, True, False]}],
    "tuple": (1, "2", 3.0),
    "nested tuples": {"a": [{"b": (1, 2, {"c": (None,)})}]},
    "nested empties": [[], {}, (), [[[]]], {"a": {}}],
    "shared": [_SHARED, _SHARED, {"a": _SHARED}],
    # Numbers.
    "minus zero": -0.0,
    "1e22": 1e22,
    "1e16": 1e16,
    "1e15": 1e15,
    "1e-5": 1e-5,
    "1e-7": 1e-7,
    "0.1 + 0.2": 0.1 + 0.2,
    "largest float": 1.7976931348623157e308,
    "smallest float": 5e-324,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "nan in list": [1, math.nan],
    "inf in dict": {"a": {"b": -math.inf}},
    "nan in tuple": (math.nan,),
    "2**53": 2**53 + 1,
    "2**63": 2**63,
    "-2**63": -(2**63),
    "-2**63-1": -(2**63) - 1,
    "2**64": 2**64,
    "2**64 in list": [2**64, -(2**64)],
    "10**400": 10**400,
    "10**4299": 10**4299,
    "10**4300": 10**4300,
    "10**5000 in dict": {"a": [10**5000]},
    # Decimal.
    "decimal": Decimal("1.10"),
    "decimal int": Decimal(7),
    "decimal in dict": {"price": Decimal("12.50"), "n": [Decimal(1), Decimal("-2.5")]},
    "decimal 1E+5": Decimal("1E+5"),
    "decimal 1E-10": Decimal("1E-10"),
    "decimal -0": Decimal("-0"),
    "decimal 0E+3": Decimal("0E+3"),
    "decimal long": Decimal("3.14159265358979323846264338327950288419716939937510"),
    "decimal huge exponent": Decimal("1E+9999"),
    "decimal nan": Decimal("NaN"),
    "decimal -nan": Decimal("-NaN"),
    "decimal snan": Decimal("sNaN"),
    "decimal nan123": [Decimal("NaN123")],
    "decimal inf": Decimal("Infinity"),
    "decimal -inf": {"a": Decimal("-Infinity")},
    "decimal subclass": Dec("2.50"),
    # Bytes.
    "bytes": b"raw",
    "empty bytes": b"",
    "bytes not utf-8": b"\xff\xfe",
    "bytes subclass": Bytes(b"raw"),
    "bytes in list": [b"raw"],
    "bytes in dict": {"body": "\u00e9".encode()},
    "bytes subclass in list": [Bytes(b"raw")],
    "bytes not utf-8 in list": [b"\xff"],
    "bytes not utf-8 in dict": {"a": {"b": b"ok\xc3"}},
    "bytearray": bytearray(b"raw"),
    "bytearray in list": [bytearray(b"raw")],
    "memoryview": {"a": memoryview(b"raw")},
    # Strings.
    "accents": "h\u00e9llo",
    "emoji": {"\U0001f600": "\U0001f600 and \u2028 \u2029"},
    "control characters": "".join(map(chr, range(0x20))) + "\x7f\x80\x9f",
    "quotes": 'say "hi" \\ / \' <script> & \b\f\n\r\t',
    "unassigned": "\uffff\ufffe\U0010ffff",
    "lone high surrogate": "\ud800",
    "lone low surrogate": "a\udfffb",
    "surrogates reversed": ["\ude00\ud83d"],
    "surrogate pair as two": "\ud83d\ude00",
    "surrogate with quotes": {"a": '"\ud800" \\ud800 \x00 \n\u00e9\U0001f600'},
    "surrogate key": {"\ud800": 1},
    # Subclasses.
    "int subclass": Int(7),
    "int subclass in dict": {"a": Int(7)},
    "int subclass with __int__": IntAs9(3),
    "float subclass": Float(1.5),
    "float subclass nan": [Float("nan")],
    "float subclass with __float__": FloatAs9(1.5),
    "str subclass": Str("abc"),
    "str subclass in list": [Str("\u00e9")],
    "dict subclass": Dict(a=1),
    "list subclass": List([1]),
    "tuple subclass": Tuple((1, 2)),
    "dict with other items": DictOfItems(a=1),
    "empty dict with other items": DictOfItems(),
    "dict of triples": DictOfTriples(a=1),
    "dict without items": DictWithoutItems(a=1),
    "dict with _asdict": DictAsdict(a=1),
    "list with other iter": ListOfNines([1]),
    "empty list with other iter": ListOfNines(),
    "false list": FalseList([1]),
    "list whose _asdict fails": ListAsdictFails([1]),
    "ordered dict": collections.OrderedDict(b=1, a=2),
    "default dict": collections.defaultdict(int, a=1),
    "counter": collections.Counter("aab"),
    "named tuple": Point(1, 2),
    "named tuples nested": {"points": [Point(1, Point(2, ())), Point("a", None)]},
    "named tuple with nan": Point(math.nan, b"bytes"),
    "renamed tuple": Renamed(1, 2),
    "named tuple class": Point,
    "struct_time": clock.gmtime(0),
    # Objects with _asdict.
    "asdict": Asdict({"a": [1]}),
    "asdict in list": [Asdict({1: Asdict({})})],
    "asdict of ordered dict": Asdict(collections.OrderedDict(a=1)),
    "asdict of list": Asdict([1]),
    "asdict of none": Asdict(None),
    "asdict needs argument": AsdictNeedsArgument(),
    "asdict raises": AsdictRaises(),
    "asdict property raises": AsdictProperty(),
    "asdict is data": AsdictIsData(),
    "for_json": ForJson(),
    "any attribute": AnyAttribute(),
    "mock": Mock(),
    "magic mock": MagicMock(),
    "asdict struct": AsdictStruct(1),
    # Enums.
    "int enum": Number.ONE,
    "str enum": Word.A,
    "mixed enum": Mixed.A,
    "float enum": Half.A,
    "int flag": Mode.R | Mode.W,
    "enums nested": {"a": [Number.ONE, Word.A, Half.A]},
    "enum": Plain.TEXT,
    "enum of tuple": [Plain.PAIR],
    "enum of float": {"a": Plain.FLOAT},
    "flag": Bits.A,
    # Keys.
    "int key": {1: 1},
    "big int key": {2**70: 1},
    "float key": {1.5: 1},
    "1e22 key": {1e22: 1},
    "-0.0 key": {-0.0: 1},
    "nan key": {math.nan: 1},
    "inf key": {math.inf: 1, -math.inf: 2},
    "true key": {True: 1},
    "false key": {False: 1},
    "none key": {None: 1},
    "bytes key": {b"k": 1},
    "bytes subclass key": {Bytes(b"k"): 1},
    "bytes not utf-8 key": {b"\xff": 1},
    "str subclass key": {Str("k"): 1},
    "int subclass key": {Int(7): 1},
    "int subclass key with __int__": {IntAs9(7): 1},
    "float subclass key": {Float(1.5): 1},
    "float subclass key with __float__": {FloatAs9(1.5): 1},
    "int enum key": {Number.ONE: 1},
    "str enum key": {Word.A: 1, Mixed.A: 2},
    "same key twice": {1: 1, "1": 2},
    "mixed keys": {1: 1, 1.5: 2, None: 3, "x": 4, b"y": 5},
    "tuple key": {(1, 2): 1},
    "named tuple key": {Point(1, 2): 1},
    "frozenset key": {frozenset([1]): 1},
    "object key": {"a": {ForJson: 1}},
    "huge int key": {10**5000: 1},
    "decimal key": {Decimal("1.50"): 1},
    "decimal nan key": {Decimal("NaN"): 1},
    "enum key": {Plain.TEXT: 1},
    "enum of tuple key": {Plain.PAIR: 1},
    "uuid key": {uuid.UUID(int=5): 1},
    "date key": {date(2026, 11, 21): 1},
    "dataclass key": {SlottedData(1): 1},
    # Circles.
    "circular list": _circle(),
    "circular dict": _circular_dict(),
    "circular asdict": _circular_asdict(),
    # What JSON has no word for.
    "object": object(),
    "complex": 1j,
    "class": int,
    "function": len,
    "lambda": {"a": lambda: None},
    "generator": (letter for letter in "abc"),
    "coroutine": _coroutine(),
    "coroutine in dict": {"body": _coroutine()},
    "range": range(3),
    "dict keys": {"a": 1}.keys(),
    "iterator": [iter([1])],
    "deque": collections.deque([1]),
    "chain map": collections.ChainMap({"a": 1}),
    "user dict": collections.UserDict(a=1),
    "mapping proxy": types.MappingProxyType({"a": 1}),
    "namespace": types.SimpleNamespace(a=1),
    "exception": ValueError("x"),
    "ellipsis": ...,
    "not implemented": [NotImplemented],
    "unset": msgspec.UNSET,
    "unset in dict": {"a": msgspec.UNSET},
    "lying __class__": {"a": ClassName()},
    "error after good": {"a": 1, "b": [2, {"c": object()}]},
    # What the official runtime refuses, and lmi_fast writes.
    "datetime": datetime(2026, 11, 21, 7, 30, 15, 250000),
    "datetime utc": {"at": datetime(2026, 11, 21, tzinfo=UTC)},
    "datetime python zone": [datetime(2026, 11, 21, tzinfo=PythonZone())],
    "datetime subclass": OtherDatetime(2026, 11, 21, tzinfo=timezone(timedelta(hours=-3))),
    "date": date(2026, 11, 21),
    "date subclass": [OtherDate(2026, 11, 21)],
    "time": {"at": time(7, 30)},
    "timedelta": timedelta(days=1, seconds=2.5),
    "timedelta subclass": OtherDelta(seconds=-1),
    "uuid": uuid.UUID(int=5),
    "uuid in dict": {"id": uuid.UUID(int=6)},
    "set": {1},
    "frozenset": frozenset(["a"]),
    "set in dict": {"a": {b"bytes"}},
    "dataclass": Data("x", [1, Data("y")]),
    "dataclass slots": SlottedData(SlottedData(1)),
    "dataclass with bytes": Data("x", {"a": b"\xff", "b": Point(1, 2), "c": Decimal("1.5"), "d": math.nan}),
    "struct": Struct("x", {"a": [1.5, None]}),
    "struct tagged": TaggedStruct("x"),
    "struct with all": Struct("\ud800", [b"\xff", Point(1, Number.ONE), {1: Int(7)}, {Decimal("1.5"): math.inf}]),
    "struct with object": Struct("x", object()),
    "circular struct": _circular_struct(),
    "raw": msgspec.Raw(b'{"a": 1}'),
    "raw in dict": {"a": msgspec.Raw(b"[1, 2]")},
}

EVENTS: list[bytes] = [
    # Valid for both.
    b"null", b"true", b"false", b"0", b"-0", b"-0.0", b"1e5", b"1E+5", b"1e-400", b"0e99999999999999", b"0.1e1",
    b"18446744073709551615", b"18446744073709551616", b"-9223372036854775808", b"-9223372036854775809",
    b"123456789012345678901234567890", b"1" * 400, b"1" * 4300, b"0." + b"1" * 5000, b"5e-324", b"2e-324",
    b"1.7976931348623157e308", b"0.1", b"2.2250738585072011e-308", b"9007199254740993.0", b"123456789.123456789e-20",
    b"{}", b"[]", b'""', b'{"":1}', b"[1.0,1e2,1E-2]", b"\t\r\n [ \t1\r,\n2 ] \t", b"1\n", b"[[]]", b'{"a":1,"a":2}',
    b'{"a":1,"b":2,"a":3}', b'{"a":{"b":[1,{"c":true}]}}', b'"\\/\\b\\f\\n\\r\\t\\"\\\\"', b'"\\u0000"', b'"\x7f"',
    b'"\\ud83d\\ude00"', b'"\\uD83D\\uDE00 \\u00e9"', '"h\u00e9 \U0001f600 \u2028"'.encode(),
    b'{"version":"2.0","headers":{"host":"x"},"body":"{\\"a\\":1}","isBase64Encoded":false}',
    # Valid for simplejson, not for msgspec.
    b"1e400", b"-1e400", b"1" * 5000 + b".5", b"1e99999999999999999999", b"1.7976931348623159e308", b"[1e400,-1e400]",
    b'"\\ud800"', b'"\\ud800x"', b'"\\ude00\\ud83d"', b'"\\ud800\\u0041"', b'"\\ud800\\ud800\\udc00"',
    b'{"\\udfff":1}', b"\xef\xbb\xbf{}", b'\xef\xbb\xbf\n {"a": 1} ', b"\xc3\xaf\xc2\xbb\xc2\xbf[1]",
    # Integers that Python refuses to convert.
    b"1" * 4301, b"-" + b"1" * 4301, b'{"a": ' + b"1" * 5000 + b"}",
    # Not UTF-8.
    b'"\xff"', b'{"\xff":1}', b'{"a":"\xc3\x28"}', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"',
    b'"abc\xe2\x82', "{}".encode("utf-16"), "{}".encode("utf-32"), "{}".encode("utf-16-le"), b"\xff", b"[1]\xff",
    b"\x80{}",
    # Not JSON.
    b"", b" ", b"\n\n", b"NaN", b"Infinity", b"-Infinity", b"[NaN]", b'{"a": -Infinity}', b'{"a":"NaN","b":NaN}',
    b'{"a":"\\"NaN",\n "-Infinity":\n Infinity}', b"[NaN, Infinity", b"-NaN", b"nan", b"nul", b"tru", b"True",
    b"None", b".5", b"+1", b"-", b"--1", b"'a'", b"//c\n1", b"/**/1", b"\x00", b"\x0c{}", "\u00a0{}".encode(),
    "\u0661".encode(), b"\xe2\x88\x921", b"]", b"}", b",", b":", b"[,1]", b"[1,", b"[1,,2]", b'{"a":1,,"b":2}',
    b'{"a"}', b'{"a":}', b'{"a"', b'{"a",1}', b'{"a":\n1,\n"b" 2}', b'{"a":{"b":[1,{"c":tru}]}}', b'"abc', b'"\\',
    b'"\\"', b'{"a', b"\xef\xbb\xbf", b" \xef\xbb\xbf{}", b"\xef\xbb\xbf\xef\xbb\xbf{}", b'{"a": undefined}', b"[-]",
    b"[1,-]", b'{"a":1.e5, x}', b"01", b"1.", b"1e", b"1e+", b"0x10", b"1_000", b"nulll", b"1 2", b"[] []", b"{}x",
    b"{}\x00", b"{}\x0b", "{}\u2028".encode(), b"[1]]", b'"a":1', b"true false", b"\xef\xbb\xbf {} x",
    b"\n\n[1]\n\n[2]", b"[1.]", b"[01]", b'"\\x"', b'"\\U1234"', b'"\\u12"', b'"\\u12G4"', b'"\\u+123"', b'"\\u 123"',
    b'"\\ud800\\u12"', b'"a\nb"', b'"\x00"', b'"\x1f"', b'{"a\tb":1}', b"[1 2]", b"[1", b"[", b"[[", b"{,}",
    b'{"a":1', b"{", b'{"a":1 "b":2}', b"{a:1}", b"{'a':1}", b"{1:1}", b'["a":1]', b"[1}", b'{"a":1]', b"[1,]",
    b'{"a":1,}', b'{"a":1 , }', b"[1 ,\n]",
]  # fmt: skip
