"""From a reply to an Invocation."""

from __future__ import annotations

import pytest

from lmi_fast.errors import ApiProtocolError
from lmi_fast.wire.invocation import Invocation
from lmi_fast.wire.reply import KEPT_HEADERS

from .readers import reply


def invocation(**headers: str) -> Invocation:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Invocation(reply({"lambda-runtime-aws-request-id": "id", **named}))


def test_every_field() -> None:
    made = Invocation(reply({name: name + "!" for name in KEPT_HEADERS}, b"[1]"))
    assert made.request_id == "lambda-runtime-aws-request-id!"
    assert made.invocation_id == "lambda-runtime-invocation-id!"
    assert made.function_arn == "lambda-runtime-invoked-function-arn!"
    assert made.trace_id == "lambda-runtime-trace-id!"
    assert made.client_context == "lambda-runtime-client-context!"
    assert made.cognito_identity == "lambda-runtime-cognito-identity!"
    assert made.tenant_id == "lambda-runtime-aws-tenant-id!"
    assert made.content_type == "content-type!"
    assert made.event == b"[1]"


def test_missing_and_empty_mean_the_same() -> None:
    empty = Invocation(reply(dict.fromkeys(KEPT_HEADERS, "") | {"lambda-runtime-aws-request-id": "id"}))
    for made in (invocation(), empty):
        assert made.content_type == "application/json"
        assert made.deadline_ms == 0
        optional = (made.invocation_id, made.function_arn, made.trace_id, made.client_context, made.cognito_identity)
        assert {*optional, made.tenant_id} == {None}


@pytest.mark.parametrize("headers", [{}, {"lambda-runtime-aws-request-id": ""}])
def test_without_a_request_id_there_is_nothing_to_answer(headers: dict[str, str]) -> None:
    with pytest.raises(ApiProtocolError, match="lambda-runtime-aws-request-id"):
        Invocation(reply(headers))


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1795330471000", 1795330471000),
        ("0", 0),
        ("-5", 0),
        ("soon", 0),
        ("1.5", 0),
        ("٣", 0),
        ("9" * 18, 999999999999999999),
        ("9" * 19, 0),
        ("9" * 400, 0),
    ],
)
def test_deadline(text: str, milliseconds: int) -> None:
    assert invocation(lambda_runtime_deadline_ms=text).deadline_ms == milliseconds
