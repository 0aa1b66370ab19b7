"""Who invoked the function, and from what: the two headers of an invocation that say so, for its context.

Few invocations have such a header: context.py comes here for those that do.
"""

from __future__ import annotations

from .errors import ErrorType, FaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The trace fields awslambdaric 4.2 lets through from clientContext.w3c (lambda_context.py).
W3C_FIELDS = ("traceparent", "tracestate", "baggage")


class CognitoIdentity:
    """The Amazon Cognito identity that invoked the function; both ids are None where there is none."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.cognito_identity_id: str | None = fields.get("cognitoIdentityId")
        self.cognito_identity_pool_id: str | None = fields.get("cognitoIdentityPoolId")

    def __repr__(self) -> str:
        return show(self, self.__slots__)


class Client:
    """The mobile client of a ClientContext; a field it did not send is None."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.installation_id: str | None = fields.get("installation_id")
        self.app_title: str | None = fields.get("app_title")
        self.app_version_name: str | None = fields.get("app_version_name")
        self.app_version_code: str | None = fields.get("app_version_code")
        self.app_package_name: str | None = fields.get("app_package_name")

    def __repr__(self) -> str:
        return show(self, self.__slots__)


class ClientContext:
    """What the caller put into ClientContext, its `w3c` field aside."""

    __slots__ = ("client", "custom", "env")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.custom: dict[str, Any] | None = fields.get("custom")
        self.env: dict[str, Any] | None = fields.get("env")
        client = fields.get("client")
        self.client: Client | None = None if client is None else Client(client)

    def __repr__(self) -> str:
        return show(self, self.__slots__)


def read_client_context(text: str) -> tuple[ClientContext | None, dict[str, str] | None]:
    """The client context of such a header, and the W3C trace context in it.

    Raises FaultError (Runtime.LambdaContextUnmarshalError).
    """
    fields = _parse(text, "Client Context")
    if fields is None:
        return None, None
    sent = fields.pop("w3c", None)
    w3c = None
    if isinstance(sent, dict):
        w3c = {name: sent[name] for name in W3C_FIELDS if isinstance(sent.get(name), str)}
    client = fields.get("client")
    if client is not None and not isinstance(client, dict):
        raise FaultError(ErrorType.CONTEXT_UNMARSHAL, "Unable to parse Client Context JSON: client is not an object")
    return ClientContext(fields), w3c


def read_identity(text: str) -> CognitoIdentity:
    """The identity in such a header. Raises FaultError (Runtime.LambdaContextUnmarshalError)."""
    return CognitoIdentity(_parse(text, "Cognito Identity") or {})


def _parse(text: str, name: str) -> dict[str, Any] | None:
    import json  # who asks a context for its identity comes here too, and most often there was no such header

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaultError(ErrorType.CONTEXT_UNMARSHAL, f"Unable to parse {name} JSON: {error}") from None
    if value is not None and not isinstance(value, dict):
        raise FaultError(ErrorType.CONTEXT_UNMARSHAL, f"Unable to parse {name} JSON: not an object")
    return value


def show(value: object, fields: tuple[str, ...]) -> str:
    """The repr of an object with these fields."""
    inner = ", ".join(f"{name}={getattr(value, name)!r}" for name in fields)
    return f"{type(value).__name__}({inner})"
