"""The body of a streamed answer, as chunks (RFC 9112, 7.1); it ends in order, or with an error in its trailers."""

from __future__ import annotations

import binascii

LAST = b"0\r\n\r\n"
# Of the platform's, for the whole of an error report (requestBodyLimitBytes); Go reads no longer a line than this.
_MAX_REPORT = 1 << 15


def chunk(data: bytes) -> bytes:
    """One chunk. No data would be the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_with_error(error_type: str, report: bytes) -> bytes:
    """The end of a body that breaks off: `report` is the JSON that POST .../error would have sent."""
    encoded = binascii.b2a_base64(report if len(report) <= _MAX_REPORT else b"{}", newline=False)
    return b"0\r\nLambda-Runtime-Function-Error-Type: %b\r\nLambda-Runtime-Function-Error-Body: %b\r\n\r\n" % (
        error_type.encode("ascii"),
        encoded,
    )
