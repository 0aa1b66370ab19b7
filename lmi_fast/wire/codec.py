# cython: annotation_typing=False
"""Event bytes to values, results to bytes: msgspec where it agrees with the official runtime, exact code where not.

The rule: what works on the official runtime may not fail here, nor mean something else. What fails there may work here;
docs/differences.md lists every difference. The only module that imports msgspec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

from ..errors import ErrorType, FaultError
from . import _official
from ._annotation import event_class
from ._official import Parts
from .plain import is_plain
from .reply import CutOff

JSON = "application/json"
# What the official runtime calls a result of bytes.
BINARY = "application/unknown"

EventDecoder = Callable[["bytes | bytearray", str], Any]

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode

# All that msgspec raises for a text it does not take.
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_event(body: bytes | bytearray, content_type: str) -> Any:
    """The event: the value of the JSON if the content type is exactly "application/json", else the bytes.

    Raises FaultError (Runtime.UnmarshalError; Runtime.TruncatedEvent for a CutOff).
    """
    if content_type != JSON:
        return _as_bytes(body)
    try:
        return _decode(body)
    except _REFUSED:
        return _decode_officially(body)


def _as_bytes(body: bytes | bytearray) -> bytes:
    if isinstance(body, CutOff):
        raise _truncation_fault(body)
    return bytes(body)


def _decode_officially(body: bytes | bytearray) -> Any:
    if isinstance(body, CutOff):
        raise _truncation_fault(body)
    try:
        return _official.loads(body)
    except Exception as error:
        raise _unmarshal_fault(error) from error


def _unmarshal_fault(error: Exception) -> FaultError:
    return FaultError(ErrorType.UNMARSHAL, f"Unable to unmarshal input: {error}")


def _truncation_fault(body: CutOff) -> FaultError:
    return FaultError(ErrorType.TRUNCATED_EVENT, f"The event was cut off: {body.why}")


def event_decoder(handler: Callable[..., Any]) -> EventDecoder:
    """The decoder of a handler's events: one like `decode_event`, to be called with (body, content_type).

    If the handler annotates its first parameter with a msgspec.Struct, dataclass or attrs class, events are validated
    and arrive as that class; msgspec's words and path are in the FaultError of one that does not fit. Anything else
    (a TypedDict too, which is a dict at run time) gets the plain event.

    Raises FaultError (Runtime.UnmarshalError) when msgspec cannot decode to the declared Struct at all. A dataclass or
    attrs class with that problem may be a mere remark for the reader, and its handler gets the plain event.
    """
    target = event_class(handler)
    if target is None or target is msgspec.Struct:
        return decode_event
    try:
        decode: Callable[[bytes | bytearray], Any] = msgspec.json.Decoder(target).decode
    except Exception as error:
        if not issubclass(target, msgspec.Struct):
            return decode_event
        raise FaultError(
            ErrorType.UNMARSHAL, f"Unable to unmarshal input: no decoder for {target.__qualname__}: {error}"
        ) from error
    return _typed_decoder(decode, target)


def _typed_decoder(decode: Callable[[bytes | bytearray], Any], target: type) -> EventDecoder:
    def decode_typed(body: bytes | bytearray, content_type: str) -> Any:
        if content_type != JSON:
            return _as_bytes(body)
        try:
            return decode(body)
        except msgspec.ValidationError as error:
            raise _unmarshal_fault(error) from error
        except _REFUSED:
            value = _decode_officially(body)
        except Exception as error:
            # From the class's own __post_init__.
            raise _unmarshal_fault(error) from error
        try:
            return msgspec.convert(value, target, str_keys=True)
        except Exception as error:
            raise _unmarshal_fault(error) from error

    return decode_typed


def encode_result(result: Any) -> tuple[bytes, str]:
    """The body and content type of a handler's result: bytes as they are, anything else as JSON.

    Raises FaultError (Runtime.MarshalError).
    """
    if isinstance(result, bytes):
        return result, BINARY
    return encode_json(result), JSON


def encode_json(value: Any) -> bytes:
    """Compact JSON in UTF-8. Strings may hold lone surrogates; they are escaped.

    Raises FaultError (Runtime.MarshalError) in the official runtime's words.
    """
    try:
        if is_plain(value):
            return _encode(value)
    except Exception:
        # A lone surrogate, an integer too long to print, a dict changed by another thread: decided, and if need be
        # refused in the right words, below.
        pass
    try:
        return _official.dumps(value, _encode, _expand)
    except Exception as error:
        raise FaultError(ErrorType.MARSHAL, f"Unable to marshal response: {error}") from error


def _expand(value: Any, typed: bool) -> bytes | Parts:
    """Writes what the official runtime refuses and msgspec knows. One level only: the parts come back one by one.

    msgspec itself gets leaves only, never a container; plain.py says why.
    """
    kind = type(value)
    if issubclass(kind, (date, time, timedelta)):
        return _encode(_exact_time(value))
    if issubclass(kind, UUID):
        return _encode(value)
    if issubclass(kind, Enum):
        return Parts(value.value, typed)
    if issubclass(kind, (set, frozenset)):
        return Parts(list(value), typed)
    if issubclass(kind, msgspec.Raw):
        return bytes(value)
    if issubclass(kind, msgspec.Struct):
        return Parts(_struct_parts(value), True)
    if hasattr(kind, "__dataclass_fields__"):
        # Whoever made the class has imported it; we need not, at start-up.
        from dataclasses import fields

        return Parts(_attributes(value, fields(value)), True)
    if hasattr(kind, "__attrs_attrs__"):
        return Parts(_attributes(value, kind.__attrs_attrs__), True)
    if typed and issubclass(kind, (bytes, bytearray, memoryview)):
        # base64, as msgspec reads it.
        return _encode(bytes(value))
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
