# cython: annotation_typing=False
"""What a reader makes of one HTTP reply, and the limits all readers keep.

The Runtime API's replies carry a dozen headers that mean something to a runtime (Using the Lambda runtime API, AWS
Lambda developer guide); the readers check every header and keep those.
"""

from __future__ import annotations

# The headers that are kept, and the attributes of a Reply they become.
KEPT_HEADERS = {
    "content-type": "content_type",
    "lambda-runtime-aws-request-id": "request_id",
    "lambda-runtime-deadline-ms": "deadline_ms",
    "lambda-runtime-invoked-function-arn": "function_arn",
    "lambda-runtime-trace-id": "trace_id",
    "lambda-runtime-client-context": "client_context",
    "lambda-runtime-cognito-identity": "cognito_identity",
    "lambda-runtime-aws-tenant-id": "tenant_id",
    "lambda-runtime-invocation-id": "invocation_id",
}

# A head of the Runtime API is below 1 KB without a client context (3,583 bytes at most) and a trace header; Go's server
# limits what it reads to 1 MiB by default, and nothing it sends us can be longer than that.
MAX_HEAD = 1 << 20
# A fast reader leaves longer heads to h11.
MAX_FAST_HEAD = 1 << 16
# The platform's own limit of a synchronous event is 6 MB; the emulator delivers 7 MB whole.
MAX_BODY = 1 << 26


def milliseconds(text: str) -> int:
    """The number of a deadline; 0 for anything else."""
    # 18 digits are 31 million years, and still a C long and a float.
    if text.isdecimal() and text.isascii() and len(text) <= 18:
        return int(text)
    return 0


class CutOff(bytes):
    """The body of an event of which only the head came whole. It is empty: decoding it fails, and then says `why`."""

    why: str

    def __new__(cls, why: str) -> CutOff:
        self = super().__new__(cls)
        self.why = why
        return self


class Reply:
    """One whole reply. A header that did not come is None; of repeated ones the last is kept."""

    __slots__ = ("body", "keep_alive", "status", *KEPT_HEADERS.values())

    def __init__(self, status: int, keep_alive: bool) -> None:
        self.status = status
        # False: the server closes this connection after the reply, or closes it to end the reply.
        self.keep_alive = keep_alive
        self.body: bytes | bytearray = b""
        self.content_type: str | None = None
        self.request_id: str | None = None
        self.deadline_ms = 0  # since the epoch; 0 where there is none, as in the official context
        self.function_arn: str | None = None
        self.trace_id: str | None = None
        self.client_context: str | None = None
        self.cognito_identity: str | None = None
        self.tenant_id: str | None = None
        self.invocation_id: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The kept headers that came, under their names in lower case."""
        found = {name: getattr(self, attribute) for name, attribute in KEPT_HEADERS.items()}
        return {name: str(value) for name, value in found.items() if value is not None and value != 0}

    def is_event(self) -> bool:
        """True for a reply that can only be one to `GET /next`."""
        return self.status == 200 and self.request_id is not None

    def keep(self, attribute: str, value: str) -> None:
        """Sets the attribute of a kept header."""
        setattr(self, attribute, milliseconds(value) if attribute == "deadline_ms" else value)

    def __repr__(self) -> str:
        close = "" if self.keep_alive else ", close"
        return f"Reply({self.status}, {self.headers!r}, {len(self.body)} bytes{close})"
