# cython: annotation_typing=False
"""Event bytes to values, results to bytes: msgspec where it agrees with the official runtime, exact code where not.

The rule: what works on the official runtime may not fail here, nor mean something else. What fails there may work here;
docs/differences.md lists every difference. Here is what every event and result passes through; what msgspec is not for
is left to _exact.py.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ._exact import as_bytes, read, write
from .plain import is_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

JSON = "application/json"
# What the official runtime calls a result of bytes.
BINARY = "application/unknown"

EventDecoder = Callable[["bytes | bytearray", str], "Any"]

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode

# All that msgspec raises for a text it does not take.
REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_event(body: bytes | bytearray, content_type: str) -> Any:
    """The event: the value of the JSON if the content type is exactly "application/json", else the bytes.

    Raises FaultError (Runtime.UnmarshalError; Runtime.TruncatedEvent for a CutOff).
    """
    if content_type != JSON:
        return as_bytes(body)
    try:
        return _decode(body)
    except REFUSED:
        return read(body)


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
    return write(value, _encode)
