"""The slow road of the codec: what msgspec refuses, or would write differently, in the official runtime's way.

Imported with the codec, behind the first poll: who comes here may have no file descriptor left to import it with.
What the official runtime refuses to write and msgspec knows is written as msgspec writes it, but never by msgspec
itself where it is more than a leaf: plain.py says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

from ..errors import ErrorType, FaultError
from . import _official
from ._official import Encode, Parts
from .reply import CutOff

# Of leaves, none of them a number.
_encode_leaf = msgspec.json.encode


def read(body: bytes | bytearray) -> Any:
    """The value of a JSON text. Raises FaultError (Runtime.UnmarshalError; Runtime.TruncatedEvent for a CutOff)."""
    if isinstance(body, CutOff):
        raise _truncation_fault(body)
    try:
        return _official.loads(body)
    except Exception as error:
        raise unmarshal_fault(error) from error


def as_bytes(body: bytes | bytearray) -> bytes:
    """An event that is not JSON. Raises FaultError (Runtime.TruncatedEvent) for a CutOff."""
    if isinstance(body, CutOff):
        raise _truncation_fault(body)
    return bytes(body)


def unmarshal_fault(error: Exception) -> FaultError:
    """What to raise for an event that `error` says does not fit."""
    return FaultError(ErrorType.UNMARSHAL, f"Unable to unmarshal input: {error}")


def _truncation_fault(body: CutOff) -> FaultError:
    return FaultError(ErrorType.TRUNCATED_EVENT, f"The event was cut off: {body.why}")


def write(value: Any, encode: Encode) -> bytes:
    """The JSON of anything; `encode` writes what is plain. Raises FaultError (Runtime.MarshalError)."""
    try:
        return _official.dumps(value, encode, expand)
    except Exception as error:
        raise FaultError(ErrorType.MARSHAL, f"Unable to marshal response: {error}") from error


def expand(value: Any, typed: bool) -> bytes | Parts:
    """Writes what the official runtime refuses and msgspec knows. One level only: the parts come back one by one."""
    kind = type(value)
    if issubclass(kind, (date, time, timedelta)):
        return _encode_leaf(_exact_time(value))
    if issubclass(kind, UUID):
        return _encode_leaf(value)
    if issubclass(kind, Enum):
        return Parts(value.value, typed)
    if issubclass(kind, (set, frozenset)):
        return Parts(list(value), typed)
    if issubclass(kind, msgspec.Raw):
        return bytes(value)
    if issubclass(kind, msgspec.Struct):
        return Parts(_struct_parts(value), True)
    if hasattr(kind, "__dataclass_fields__"):
        # Whoever made the class has imported it; we need not.
        from dataclasses import fields

        return Parts(_attributes(value, fields(value)), True)
    if hasattr(kind, "__attrs_attrs__"):
        return Parts(_attributes(value, kind.__attrs_attrs__), True)
    if typed and issubclass(kind, (bytes, bytearray, memoryview)):
        # base64, as msgspec reads it.
        return _encode_leaf(bytes(value))
    raise TypeError(f"Object of type {value.__class__.__name__} is not JSON serializable")


def _exact_time(value: date | time | timedelta) -> date | time | timedelta:
    """msgspec refuses subclasses, and libraries of dates live on them."""
    if isinstance(value, datetime):
        return datetime.combine(value, value.timetz())
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    if isinstance(value, time):
        return time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)
    return timedelta(value.days, value.seconds, value.microseconds)


def _attributes(value: Any, fields: Iterable[Any]) -> dict[str, Any]:
    # Like msgspec: a field that was never set is left out.
    found = ((field.name, getattr(value, field.name, msgspec.UNSET)) for field in fields)
    return {name: item for name, item in found if item is not msgspec.UNSET}


def _struct_parts(value: msgspec.Struct) -> dict[str, Any] | list[Any]:
    """The fields as msgspec would write them: renamed, tagged, without what is unset or omitted."""
    kind = type(value)
    config = kind.__struct_config__
    if config.array_like:
        items = [getattr(value, name) for name in kind.__struct_fields__]
        return items if config.tag is None else [config.tag, *items]
    parts: dict[str, Any] = {}
    if config.tag is not None and config.tag_field is not None:
        parts[config.tag_field] = config.tag
    # The defaults belong to the last fields.
    names = kind.__struct_fields__
    defaults = (msgspec.NODEFAULT,) * (len(names) - len(kind.__struct_defaults__)) + kind.__struct_defaults__
    for name, written, default in zip(names, kind.__struct_encode_fields__, defaults, strict=True):
        item = getattr(value, name)
        if item is msgspec.UNSET or (config.omit_defaults and _is_default(item, default)):
            continue
        parts[written] = item
    return parts


def _is_default(item: Any, default: Any) -> bool:
    # msgspec compares by identity, except for the empty list, dict and set.
    return item is default or (type(item) in (list, dict, set) and not item and _factory(default) is type(item))


def _factory(default: Any) -> Any:
    return getattr(default, "factory", None)
