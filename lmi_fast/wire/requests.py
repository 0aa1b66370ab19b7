# cython: annotation_typing=False
"""The requests lmi_fast makes of the Runtime API, as bytes ready to send.

Their shape is fixed and all of it is ours, so they are put together from prebuilt parts; the tests read each with h11.
Paths and headers: Using the Lambda runtime API, AWS Lambda developer guide, version 2018-06-01.
"""

from __future__ import annotations

import sys

from .._version import __version__
from .invocation import Invocation

# The first token becomes the runtime's release in the platform's telemetry, 128 characters at most.
USER_AGENT = f"lmi_fast/{__version__}-python{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
# Request ids are UUIDs, but a caller of the emulator may choose another. Of what may stand in a path segment unquoted
# (RFC 3986, 3.3) these are what Go's net/url leaves alone: a path that is quoted otherwise, the emulator compares as it
# is, and finds no such invocation.
_SAFE = "$&+,:;=@"
_UNQUOTED = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~" + _SAFE.encode()


# Of an answer that is sent while it is made (response streaming, Building a custom runtime, developer guide).
_IN_CHUNKS = (
    b"Lambda-Runtime-Function-Response-Mode: streaming\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
)


class Post:
    """The answer to one invocation as a request: `head` ends with the empty line, `body` follows it."""

    __slots__ = ("_what", "body", "head", "record", "request_id")

    def __init__(self, what: str, invocation: Invocation, head: bytes, body: bytes) -> None:
        self._what = what
        self.request_id = invocation.request_id
        self.record = invocation.record
        self.head = head
        self.body = body

    @property
    def about(self) -> str:
        """Its name in logs and errors."""
        return f"{self._what} of invocation {self.request_id}"

    def __repr__(self) -> str:
        return f"Post({self.about}, {len(self.body)} bytes)"


class Requests:
    """Builds the requests to one Runtime API, `host` being its "host:port"."""

    def __init__(self, host: str) -> None:
        common = f" HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n".encode()
        self.next = b"GET /2018-06-01/runtime/invocation/next" + common + b"\r\n"
        # A post is: _start, the request id, the rest of the line and the common headers, the Invocation-Id if there is
        # one, what is particular, the length of the body, the empty line.
        self._start = b"POST /2018-06-01/runtime/invocation/"
        self._response = b"/response" + common
        self._error = b"/error" + common
        self._kinds: dict[str, bytes] = {}  # by content type: two in all

    def response(self, invocation: Invocation, body: bytes, content_type: str) -> Post:
        """The answer of a handler that returned."""
        kind = self._kinds.get(content_type)
        if kind is None:
            kind = self._kinds[content_type] = b"Content-Type: %b\r\n" % content_type.encode()
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return Post("the response", invocation, self._head(invocation, self._response, kind, length), body)

    def stream(self, invocation: Invocation, content_type: str) -> Post:
        """The head of an answer whose body follows in chunks. Raises ValueError for a content type that is none."""
        if not content_type.isascii() or not content_type.isprintable():
            raise ValueError(f"{content_type!r} is no content type")
        kind = b"Content-Type: %b\r\n" % content_type.encode()
        return Post("the stream", invocation, self._head(invocation, self._response, kind, _IN_CHUNKS), b"")

    def error(self, invocation: Invocation, body: bytes, error_type: str, xray_cause: str) -> Post:
        """The answer of a handler that failed; `xray_cause` is one line of ASCII, or empty."""
        kind = b"Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: %b\r\n" % error_type.encode(
            "ascii"
        )
        if xray_cause:
            kind += b"Lambda-Runtime-Function-XRay-Error-Cause: %b\r\n" % xray_cause.encode("ascii")
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return Post("the error report", invocation, self._head(invocation, self._error, kind, length), body)

    def _head(self, invocation: Invocation, common: bytes, kind: bytes, length: bytes) -> bytes:
        request_id = _segment(invocation.request_id)
        nonce = invocation.invocation_id
        if nonce is None:
            return b"".join((self._start, request_id, common, kind, length))
        # Without this nonce of the delivery a late answer could meet the retry of the same request id.
        header = b"Lambda-Runtime-Invocation-Id: "
        return b"".join((self._start, request_id, common, header, nonce.encode(), b"\r\n", kind, length))


def _segment(request_id: str) -> bytes:
    encoded = request_id.encode()
    # A UUID is quicker to see than the rest.
    if encoded.replace(b"-", b"").isalnum() or not encoded.translate(None, _UNQUOTED):
        return encoded
    from urllib.parse import quote  # costs start-up time, and no real request id needs it

    return quote(request_id, safe=_SAFE).encode()
