"""What a reader makes of one HTTP reply, and the limits all readers keep.

The Runtime API's replies carry a dozen headers that mean something to a runtime (Using the Lambda runtime API, AWS
Lambda developer guide); the readers check every header and keep those.
"""

from __future__ import annotations

# Lower case, as Reply.headers has them.
REQUEST_ID = "lambda-runtime-aws-request-id"
DEADLINE_MS = "lambda-runtime-deadline-ms"
FUNCTION_ARN = "lambda-runtime-invoked-function-arn"
TRACE_ID = "lambda-runtime-trace-id"
CLIENT_CONTEXT = "lambda-runtime-client-context"
COGNITO_IDENTITY = "lambda-runtime-cognito-identity"
TENANT_ID = "lambda-runtime-aws-tenant-id"
INVOCATION_ID = "lambda-runtime-invocation-id"
CONTENT_TYPE = "content-type"

KEPT_HEADERS = (
    CONTENT_TYPE,
    REQUEST_ID,
    DEADLINE_MS,
    FUNCTION_ARN,
    TRACE_ID,
    CLIENT_CONTEXT,
    COGNITO_IDENTITY,
    TENANT_ID,
    INVOCATION_ID,
)

# A head of the Runtime API is below 1 KB without a client context (3,583 bytes at most) and a trace header; Go's server
# limits what it reads to 1 MiB by default, and nothing it sends us can be longer than that.
MAX_HEAD = 1 << 20
# A fast reader leaves longer heads to h11.
MAX_FAST_HEAD = 1 << 16
# The platform's own limit of a synchronous event is 6 MB; the emulator delivers 7 MB whole.
MAX_BODY = 1 << 26


class Reply:
    """One whole reply. `headers` has the KEPT_HEADERS that came, lower case; of repeated ones the last."""

    __slots__ = ("body", "headers", "keep_alive", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes | bytearray, keep_alive: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        # False: the server closes this connection after the reply, or closes it to end the reply.
        self.keep_alive = keep_alive

    def __repr__(self) -> str:
        close = "" if self.keep_alive else ", close"
        return f"Reply({self.status}, {self.headers!r}, {len(self.body)} bytes{close})"
