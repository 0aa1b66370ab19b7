"""Answers that are sent while they are made: what a handler returns for that, or is when it yields."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from types import AsyncGeneratorType, GeneratorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Body = Any  # bytes, str, a file, or an iterable or asynchronous iterable of what is bytes, str or JSON

# The content type that says that the body begins with a prelude; and what the prelude ends with (response streaming,
# Building a custom runtime, AWS Lambda developer guide; awslambda.HttpResponseStream of the Node.js runtime).
INTEGRATION = "application/vnd.awslambda.http-integration-response"
_END_OF_PRELUDE = bytes(8)
_READ = 1 << 16  # bytes of a file at a time


class StreamingResponse:
    """A response whose body is sent piece by piece, as it comes.

    `body`: bytes, str, a file that is open for reading, or an iterable or asynchronous iterable of pieces. Pieces are
    bytes as they are, str as UTF-8, anything else as JSON. It is closed when the caller goes away, at the deadline and
    at the end.

    `status`, `headers` and `cookies` are those of an HTTP response, through a function URL or API Gateway: with any of
    them the body begins with a prelude that says so. Without them the caller gets the body alone, as `content_type`;
    default: text for str, else application/octet-stream.
    """

    def __init__(
        self,
        body: Body,
        *,
        status: int | None = None,
        headers: dict[str, str] | Iterable[tuple[str, str]] | None = None,
        cookies: Iterable[str] | None = None,
        content_type: str | None = None,
    ) -> None:
        """Raises TypeError for a body that is none, ValueError for a status that is none."""
        if not isinstance(body, (bytes, bytearray, memoryview, str, Iterable, AsyncIterable)) and not _is_file(body):
            raise TypeError(f"a body is bytes, str, a file or an iterable, not {type(body).__name__}")
        if status is not None and not 100 <= status <= 599:
            raise ValueError(f"{status} is no HTTP status")
        self.body = body
        self.status = status
        self.headers = [] if headers is None else list(headers.items() if isinstance(headers, dict) else headers)
        self.cookies = [] if cookies is None else list(cookies)
        self.content_type = content_type

    @property
    def has_prelude(self) -> bool:
        """Whether it is an HTTP response, and not only a body."""
        return self.status is not None or bool(self.headers) or bool(self.cookies)

    def prelude(self) -> bytes:
        """What goes before the body; empty where there is nothing to say."""
        if not self.has_prelude:
            return b""
        from .wire.codec import encode_json

        headers: dict[str, str] = {}
        for name, value in self.headers:
            # One value for each name is all it can say; but for cookies, a list in one line means the same (RFC 9110).
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if self.content_type is not None and "content-type" not in {name.lower() for name in headers}:
            headers["content-type"] = self.content_type
        fields: dict[str, Any] = {"statusCode": self.status or 200, "headers": headers}
        if self.cookies:
            fields["cookies"] = self.cookies
        return encode_json(fields) + _END_OF_PRELUDE

    def type_of(self, first: object) -> str:
        """The content type of the answer, whose first piece is `first`."""
        if self.has_prelude:
            return INTEGRATION
        if self.content_type is not None:
            return self.content_type
        return "text/plain; charset=utf-8" if isinstance(first, str) else "application/octet-stream"

    def __repr__(self) -> str:
        return f"StreamingResponse({self.body!r}, status={self.status})"


class Streamed(Exception):
    """A handler's result is to be streamed: raised where any other is encoded."""

    def __init__(self, response: StreamingResponse) -> None:
        self.response = response
        super().__init__(response)


def as_stream(result: object) -> StreamingResponse | None:
    """What to stream, if that is what a handler returned; a handler that yields has returned a generator."""
    if isinstance(result, StreamingResponse):
        return result
    return StreamingResponse(result) if isinstance(result, (GeneratorType, AsyncGeneratorType)) else None


def pieces_of(body: Body) -> Iterable[Any]:
    """What to iterate over for the pieces of a body that is not asynchronous."""
    if isinstance(body, (bytes, bytearray, memoryview, str)):
        return (body,)
    if _is_file(body):
        return iter(lambda: body.read(_READ), b"" if "b" in getattr(body, "mode", "b") else "")
    pieces: Iterable[Any] = body
    return pieces


def may_wait(body: Body) -> bool:
    """Whether asking for the next piece of such a body may take a while."""
    return not isinstance(body, (bytes, bytearray, memoryview, str, list, tuple))


def as_bytes(piece: Any) -> bytes:
    """A piece of a body, encoded. Raises FaultError for what is no JSON either."""
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    if isinstance(piece, str):
        return piece.encode("utf-8", "replace")
    from .wire.codec import encode_json

    return encode_json(piece)


def _is_file(body: Body) -> bool:
    return callable(getattr(body, "read", None))
