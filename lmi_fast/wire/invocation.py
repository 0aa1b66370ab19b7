"""One invocation, as a reply to `GET /next` brings it."""

from __future__ import annotations

from ..errors import ApiProtocolError
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Invocation:
    """The metadata of one invocation and its event, still encoded.

    An optional header that is missing or empty is None: the platform has sent both.
    """

    __slots__ = (
        "answered",
        "client_context",
        "cognito_identity",
        "content_type",
        "deadline_ms",
        "event",
        "function_arn",
        "invocation_id",
        "record",
        "request_id",
        "slot",
        "stream",
        "tenant_id",
        "trace_id",
    )

    def __init__(self, reply: Reply) -> None:
        """Raises ApiProtocolError for a reply without a request id: it cannot be answered."""
        if not reply.request_id:
            raise ApiProtocolError("the Runtime API sent an event without the header lambda-runtime-aws-request-id")
        self.request_id: str = reply.request_id
        # The nonce of this delivery, to be echoed; None where the platform does not send one.
        self.invocation_id = reply.invocation_id or None
        self.deadline_ms = reply.deadline_ms
        self.function_arn = reply.function_arn or None
        self.trace_id = reply.trace_id or None
        self.client_context = reply.client_context or None  # JSON
        self.cognito_identity = reply.cognito_identity or None  # JSON
        self.tenant_id = reply.tenant_id or None
        self.content_type = reply.content_type or "application/json"
        self.event = reply.body
        self.answered = False  # or about to be
        self.record = 0  # where a journal has it; 0: nowhere
        self.slot: Any = None  # that it came to, for who has slots
        self.stream: Any = None  # its answer, while that is sent piece by piece

    def __repr__(self) -> str:
        return f"Invocation({self.request_id}, {len(self.event)} bytes of {self.content_type})"
