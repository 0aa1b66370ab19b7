"""JSON as the official runtime reads and writes it, for the events and results where msgspec differs.

awslambdaric (lambda_runtime_marshaller.py) reads with `simplejson.loads` and writes with a `simplejson.JSONEncoder`
that allows NaN. The functions here keep simplejson 4's rules, in its order; they are exact first and fast second. What
simplejson refuses to write is offered to the caller's `expand` before it is refused here too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from .plain import is_plain

# simplejson stops at the interpreter's limit for C recursion: about 1,000 levels in Python 3.11, 10,000 in 3.13. There
# is no such limit here; this one ends an object whose `_asdict` makes another such object, for ever.
MAX_DEPTH = 100_000

# How deep the writer looks for parts that it can leave to msgspec. Each level may look at all below it in vain.
PLAIN_DEPTH = 8

_LEAVES = frozenset({str, int, bool, type(None)})
_CONTAINERS = frozenset({dict, list, tuple})

# Compiled when first needed, as most processes never meet an event that msgspec refuses.
_SPACE = r"[ \t\n\r]*"
_STRING_OR_CONSTANT = r'"[^"\\]*(?:\\.[^"\\]*)*"|(-?Infinity|NaN)'


class Parts:
    """What `expand` makes of a value: another value to write in its place.

    `typed`: the value belongs to a type that msgspec also reads (Struct, dataclass, attrs). From there on down, bytes
    go to `expand` and named tuples are arrays, so that what is written can be read back.
    """

    __slots__ = ("typed", "value")

    def __init__(self, value: Any, typed: bool) -> None:
        self.value = value
        self.typed = typed


Encode = Callable[[Any], bytes]
Expand = Callable[[Any, bool], "bytes | Parts"]


def loads(body: bytes | bytearray) -> Any:
    """The value of a JSON text in UTF-8, accepting what `simplejson.loads` accepts.

    Raises ValueError (json.JSONDecodeError, UnicodeDecodeError) or RecursionError, in the standard library's words.
    """
    from json import JSONDecodeError, JSONDecoder

    text = str(body, "utf-8")
    # simplejson skips a byte order mark, also one that was encoded twice.
    start = 1 if text.startswith("\ufeff") else 3 if text.startswith("\u00ef\u00bb\u00bf") else 0

    def refuse(constant: str) -> Any:
        # The standard library takes NaN and Infinity. The text before the first is valid: quotes pair up.
        constants = re.compile(_STRING_OR_CONSTANT, re.DOTALL).finditer(text, start)
        at = next(match.start() for match in constants if match[1])
        raise JSONDecodeError("Expecting value", text, at)

    decoder = JSONDecoder(parse_constant=refuse)
    value, end = decoder.raw_decode(text, _after_space(text, start))
    end = _after_space(text, end)
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return value


def _after_space(text: str, start: int) -> int:
    match = re.compile(_SPACE).match(text, start)
    return match.end() if match else start


def dumps(value: Any, encode: Encode, expand: Expand) -> bytes:
    """JSON in UTF-8, compact, NaN and infinities as the words JavaScript has for them.

    `encode` writes what is plain (plain.py). `expand` is asked for whatever simplejson refuses; it returns JSON, or
    Parts, or raises TypeError with the message to report. Nesting, up to MAX_DEPTH, does not use the interpreter's
    stack. Raises TypeError, ValueError (a circle, bytes that are not UTF-8), RecursionError, and whatever a method of
    the value raises.
    """
    return _Writer(encode, expand).write(value)


class _Open:
    """A container that is being written."""

    __slots__ = ("close", "entries", "keyed", "owners", "separator", "typed")

    def __init__(self, entries: Iterator[Any], keyed: bool, owners: list[Any], typed: bool) -> None:
        self.entries = entries
        self.keyed = keyed
        self.separator = b""
        self.close = b"}" if keyed else b"]"
        # The values this container was made from, held so that their ids stay theirs.
        self.owners = owners
        self.typed = typed


class _Writer:
    def __init__(self, encode: Encode, expand: Expand) -> None:
        self._encode = encode
        self._expand = expand
        self._out: list[bytes] = []
        self._path: set[int] = set()
        self._names: dict[str, bytes] = {}

    def write(self, value: Any) -> bytes:
        out = self._out
        encode = self._encode
        root = self._value(value, False)
        stack = [] if root is None else [root]
        while stack:
            top = stack[-1]
            for entry in top.entries:
                out.append(top.separator)
                top.separator = b","
                if top.keyed:
                    key, entry = entry
                    out.append(self._name(key, top.typed))
                kind = type(entry)
                if kind in _LEAVES or (kind in _CONTAINERS and len(stack) <= PLAIN_DEPTH and _is_plain(entry)):
                    try:
                        out.append(encode(entry))
                        continue
                    except ValueError:
                        # A lone surrogate: below. An integer too long to print: raised again below.
                        pass
                child = self._value(entry, top.typed)
                if child is not None:
                    if len(stack) >= MAX_DEPTH:
                        raise RecursionError("maximum recursion depth exceeded while encoding a JSON object")
                    stack.append(child)
                    break
            else:
                out.append(top.close)
                self._path.difference_update(map(id, top.owners))
                stack.pop()
        return b"".join(out)

    def _name(self, key: Any, typed: bool) -> bytes:
        """The name of an object's member and the colon. Kept for the next object of a list, which has the same."""
        if type(key) is not str:
            return self._key(key, typed) + b":"
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self._string(key) + b":"
        return name

    def _value(self, value: Any, typed: bool) -> _Open | None:
        """Write a leaf, or begin a container."""
        out = self._out
        owners: list[Any] = []
        while True:
            # The type itself is asked, as simplejson's compiled encoder does: a proxy's __class__ would lie.
            kind = type(value)
            if kind in _CONTAINERS:
                owners.append(value)
                return self._open(value, kind is dict, owners, typed)
            if issubclass(kind, str):
                out.append(self._string(value))
                return None
            if issubclass(kind, bytes) and not typed:
                out.append(self._string(str(value, "utf-8")))
                return None
            if value is None:
                out.append(b"null")
                return None
            if value is True:
                out.append(b"true")
                return None
            if value is False:
                out.append(b"false")
                return None
            if issubclass(kind, int):
                out.append(self._encode(int(value)))
                return None
            if issubclass(kind, float):
                value = float(value)
                out.append(self._encode(value) if value - value == 0.0 else _not_finite(value).encode())
                return None
            owners.append(value)
            # Named tuples are objects, and so is whatever else has a working `_asdict`.
            fields = None if typed and issubclass(kind, tuple) else _asdict(value)
            if fields is not None:
                owners.append(fields)
                return self._open(fields, True, owners, typed)
            if issubclass(kind, (list, tuple)):
                return self._open(value, False, owners, typed)
            if issubclass(kind, dict):
                return self._open(value, True, owners, typed)
            if isinstance(value, Decimal):
                # The official encoder's own rule; simplejson's would write -NaN.
                out.append(b"NaN" if value.is_nan() else str(value).encode())
                return None
            if kind.__name__ == "RawJSON" and kind.__module__ == "simplejson.raw_json":
                out.append(str(value.encoded_json).encode())
                return None
            parts = self._expand(value, typed)
            if isinstance(parts, bytes):
                out.append(parts)
                return None
            value, typed = parts.value, parts.typed

    def _open(self, container: Any, keyed: bool, owners: list[Any], typed: bool) -> _Open:
        for owner in owners:
            if id(owner) in self._path:
                raise ValueError("Circular reference detected")
        # Copies: another thread may change the container, and a subclass may iterate in its own way.
        if not keyed:
            entries = list(container)
        elif type(container) is dict:
            entries = list(container.items())
        else:
            entries = list(container.items()) if dict.__len__(container) else []
            if any(type(entry) is not tuple or len(entry) != 2 for entry in entries):
                raise ValueError("items must return 2-tuples")
        self._path.update(map(id, owners))
        self._out.append(b"{" if keyed else b"[")
        return _Open(iter(entries), keyed, owners, typed)

    def _string(self, value: str) -> bytes:
        exact = value if type(value) is str else str.__str__(value)
        try:
            return self._encode(exact)
        except UnicodeEncodeError:
            # Lone surrogates. Once JSON's own escapes are in place, what cannot be UTF-8 is written as \udXXX.
            from json.encoder import encode_basestring

            return encode_basestring(exact).encode("utf-8", "backslashreplace")

    def _key(self, key: Any, typed: bool) -> bytes:
        kind = type(key)
        if issubclass(kind, str):
            return self._string(key)
        if issubclass(kind, bytes) and not typed:
            return self._string(str(key, "utf-8"))
        if issubclass(kind, float):
            key = float(key)
            return self._encode(repr(key) if key - key == 0.0 else _not_finite(key))
        if key is True:
            return b'"true"'
        if key is False:
            return b'"false"'
        if key is None:
            return b'"null"'
        if issubclass(kind, int):
            return self._encode(str(int(key)))
        return self._other_key(key, typed)

    def _other_key(self, key: Any, typed: bool) -> bytes:
        """A key that simplejson refuses: taken if it stands for a text or a number."""
        if isinstance(key, Decimal) and key.is_finite():
            return self._encode(str(key))
        try:
            parts = self._expand(key, typed)
        except TypeError:
            parts = b""
        if isinstance(parts, bytes):
            if parts.startswith(b'"'):
                return parts
        elif not isinstance(parts.value, (dict, list, tuple)):
            return self._key(parts.value, parts.typed)
        raise TypeError(f"keys must be str, int, float, bool or None, not {key.__class__.__name__}")


def _is_plain(value: Any) -> bool:
    try:
        return is_plain(value)
    except RuntimeError:
        # Another thread changed a dict; the writer itself works on copies.
        return False


def _asdict(value: Any) -> dict[Any, Any] | None:
    method = getattr(value, "_asdict", None)
    if not callable(method):
        return None
    try:
        fields = method()
    except TypeError:
        return None
    if not isinstance(fields, dict):
        raise TypeError(f"_asdict() must return a dict, not {type(fields).__name__}")
    return fields


def _not_finite(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
