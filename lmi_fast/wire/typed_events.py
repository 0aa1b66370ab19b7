"""Events of a handler that declares their class: validated by msgspec, and instances of that class.

The rule: a declaration may break no handler that the official runtime would serve. It never looks at annotations, so
only a msgspec.Struct, which is nothing but such a declaration, is insisted on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import ErrorType, FaultError
from ._annotation import event_class
from ._exact import as_bytes, read, unmarshal_fault
from .codec import JSON, REFUSED, EventDecoder, decode_event


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
            return as_bytes(body)
        try:
            return decode(body)
        except msgspec.ValidationError as error:
            raise unmarshal_fault(error) from error
        except REFUSED:
            value = read(body)
        except Exception as error:
            # From the class's own __post_init__.
            raise unmarshal_fault(error) from error
        try:
            return msgspec.convert(value, target, str_keys=True)
        except Exception as error:
            raise unmarshal_fault(error) from error

    return decode_typed
