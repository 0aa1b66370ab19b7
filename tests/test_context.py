"""The context, beside the official LambdaContext of awslambdaric."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import json
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from awslambdaric.lambda_context import LambdaContext  # type: ignore[import-untyped]

import lmi_fast
from lmi_fast.config import Config
from lmi_fast.context import CURRENT, Context
from lmi_fast.errors import FaultError, NoInvocationError
from lmi_fast.wire.invocation import Invocation
from tests.wire.readers import reply

ENVIRON = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
    "AWS_LAMBDA_FUNCTION_NAME": "fn",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/21/[7]abc",
}
CLIENT = {
    "custom": {"k": "v"},
    "env": {"e": 1},
    "client": {"installation_id": "i", "app_title": "t", "app_version_name": "n", "app_version_code": "c"},
    "other": "dropped",
}


def context(**headers: str) -> Context:
    named = {f"lambda-runtime-{name.replace('_', '-')}": value for name, value in headers.items()}
    made = reply({"lambda-runtime-aws-request-id": "id-1", **named})
    return Context(Invocation(made), Config(environ=dict(ENVIRON)))


def official(monkeypatch: pytest.MonkeyPatch, client_context: Any = None, identity: Any = None, **more: Any) -> Any:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    return LambdaContext("id-1", client_context, identity, 0, **more)


FIELDS = [
    "aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb", "function_version",
    "invoked_function_arn", "tenant_id", "identity.cognito_identity_id", "identity.cognito_identity_pool_id",
]  # fmt: skip
CLIENT_FIELDS = [
    "client_context.custom", "client_context.env", "client_context.client.installation_id",
    "client_context.client.app_title", "client_context.client.app_version_name",
    "client_context.client.app_version_code", "client_context.client.app_package_name",
]  # fmt: skip


def value(of: Any, path: str) -> Any:
    for name in path.split("."):
        of = getattr(of, name)
    return of


def test_same_fields_as_the_official_context(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = context()
    theirs = official(monkeypatch)
    assert {path: value(ours, path) for path in FIELDS} == {path: value(theirs, path) for path in FIELDS}
    assert ours.client_context is theirs.client_context is None
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public <= set(dir(ours))


def test_same_fields_with_everything_given(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = {"cognitoIdentityId": "cid", "cognitoIdentityPoolId": "pid"}
    ours = context(
        client_context=json.dumps(CLIENT),
        cognito_identity=json.dumps(identity),
        invoked_function_arn="arn:aws:x",
        aws_tenant_id="blue",
    )
    theirs = official(monkeypatch, dict(CLIENT), identity, invoked_function_arn="arn:aws:x", tenant_id="blue")
    paths = FIELDS + CLIENT_FIELDS
    assert {path: value(ours, path) for path in paths} == {path: value(theirs, path) for path in paths}


@pytest.mark.parametrize(
    "client_context",
    [{}, {"client": None}, {"client": {}}, {"custom": None}, {"w3c": {"traceparent": "00-a-b-01"}}, {"w3c": 7}, None],
)
def test_sparse_client_contexts(monkeypatch: pytest.MonkeyPatch, client_context: Any) -> None:
    ours = context(client_context=json.dumps(client_context))
    theirs = official(monkeypatch, client_context)
    assert ours.w3c() == theirs.w3c()
    if client_context is None:
        assert ours.client_context is theirs.client_context is None
        return
    assert ours.client_context is not None
    assert ours.client_context.custom == theirs.client_context.custom
    assert (ours.client_context.client is None) == (theirs.client_context.client is None)


def test_w3c_keeps_the_known_strings_and_leaves_the_client_context(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"traceparent": "00-1-2-01", "tracestate": 7, "baggage": "a=b", "other": "x"}
    given = {"custom": {"w3c": "mine"}, "w3c": fields}
    ours = context(client_context=json.dumps(given))
    theirs = official(monkeypatch, given)
    assert ours.w3c() == theirs.w3c() == {"traceparent": "00-1-2-01", "baggage": "a=b"}
    assert not hasattr(ours.client_context, "w3c")
    ours.w3c()["traceparent"] = "changed"
    assert ours.w3c()["traceparent"] == "00-1-2-01"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("client_context", "{"),
        ("client_context", "[]"),
        ("client_context", '"x"'),
        ("client_context", '{"client": 5}'),
        ("client_context", "[" * 100_000),
        ("cognito_identity", "nonsense"),
        ("cognito_identity", "[1]"),
    ],
)
def test_bad_json_in_a_header(header: str, text: str) -> None:
    with pytest.raises(FaultError) as caught:
        context(**{header: text})
    assert caught.value.error_type == "Runtime.LambdaContextUnmarshalError"
    name = "Client Context" if header == "client_context" else "Cognito Identity"
    assert caught.value.message.startswith(f"Unable to parse {name} JSON: ")


def test_remaining_time() -> None:
    assert context().get_remaining_time_in_millis() == 0
    soon = context(deadline_ms=str(int(time.time() * 1000) + 5000))
    assert 0 < soon.get_remaining_time_in_millis() <= 5000
    assert context(deadline_ms="1").get_remaining_time_in_millis() == 0


def test_repr_names_the_fields() -> None:
    text = repr(context(client_context=json.dumps(CLIENT)))
    assert text.startswith("Context(aws_request_id='id-1', log_group_name='/aws/lambda/fn'")
    assert "client_context=ClientContext(client=Client(" in text


def test_current() -> None:
    with pytest.raises(NoInvocationError):
        lmi_fast.current()
    assert lmi_fast.current(None) is None
    mine = context()

    def inside() -> Context:
        CURRENT.set(mine)

        async def task() -> tuple[Context, Context]:
            return lmi_fast.current(), await asyncio.to_thread(lmi_fast.current)

        async def main() -> tuple[Context, Context]:
            return await asyncio.create_task(task())

        assert asyncio.run(main()) == (mine, mine)
        return lmi_fast.current()

    assert contextvars.copy_context().run(inside) is mine
    assert lmi_fast.current(None) is None


def test_current_is_not_seen_by_an_unrelated_thread() -> None:
    seen: list[object] = []

    def inside() -> None:
        CURRENT.set(context())
        thread = threading.Thread(target=contextvars.Context().run, args=(lambda: seen.append(lmi_fast.current(None)),))
        thread.start()
        thread.join()

    contextvars.copy_context().run(inside)
    assert seen == [None]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_context_can_be_copied(copied: Callable[[Context], Context]) -> None:
    """As the official one can, into the process of a pool too."""
    made = context(cognito_identity='{"cognitoIdentityId": "a"}')
    made.extra = [1]  # type: ignore[attr-defined]
    other = copied(made)
    assert other is not made
    assert repr(other) == repr(made)
    assert other.extra == [1]  # type: ignore[attr-defined]
    assert other.deadline == pytest.approx(made.deadline, abs=0.1)


def test_what_is_public_can_be_asked_for_its_parameters() -> None:
    """Frameworks do, such as FastAPI of Depends(lmi_fast.current)."""
    assert list(inspect.signature(lmi_fast.current).parameters) == ["default"]
    assert list(inspect.signature(Context.get_remaining_time_in_millis).parameters) == ["self"]
    assert list(inspect.signature(context().get_remaining_time_in_millis).parameters) == []
