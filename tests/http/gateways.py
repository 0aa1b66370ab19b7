"""What each integration makes of an HTTP request, and of the answer of its function: as the services do it.

What they decode, join and leave out is what was captured from them (github.com/hotsock/voker,
vokerhttp/testdata).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from lmi_fast.emulator import Outcome

HOST = "api.example.test"
CALLER = "203.0.113.9"
FORWARDED = [("x-forwarded-for", CALLER), ("x-forwarded-port", "443"), ("x-forwarded-proto", "https")]


@dataclass(frozen=True)
class Sent:
    """A request as a client sends it."""

    method: str = "GET"
    path: str = "/"  # percent-encoded
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def all_headers(self) -> list[tuple[str, str]]:
        length = [("content-length", str(len(self.body)))] if self.body else []
        return [("host", HOST), *self.headers, *length]


@dataclass
class Got:
    """A response as the client gets it; headers in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def rest_api(sent: Sent, stage: str = "live", *, own_domain: bool = True) -> dict[str, Any]:
    """A REST API. It leaves out Content-Length. Behind a domain of one's own the stage is not in the path."""
    headers = _grouped([pair for pair in sent.all_headers() if pair[0] != "content-length"] + FORWARDED)
    query = _grouped(parse_qsl(sent.query, keep_blank_values=True))
    return {
        "resource": "/{proxy+}",
        "path": sent.path,
        "httpMethod": sent.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": {
            "stage": stage,
            "path": sent.path if own_domain else f"/{stage}{sent.path}",
            "protocol": "HTTP/1.1",
            "domainName": HOST,
            "httpMethod": sent.method,
            "identity": {"sourceIp": CALLER},
        },
        **_event_body(sent.body),
    }


def http_api_1(sent: Sent, stage: str = "$default") -> dict[str, Any]:
    """An HTTP API with payload format 1.0."""
    event = rest_api(sent, stage)
    path = _staged(unquote(sent.path), stage)
    event |= {"version": "1.0", "path": path}
    event["requestContext"] |= {"path": path}
    return event


def http_api(sent: Sent, stage: str = "$default") -> dict[str, Any]:
    """An HTTP API with payload format 2.0."""
    cookies = [cookie for name, value in sent.headers if name == "cookie" for cookie in value.split("; ")]
    headers = _grouped([pair for pair in sent.all_headers() if pair[0] != "cookie"] + FORWARDED)
    path = _staged(unquote(sent.path), stage)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": sent.query,
        **({"cookies": cookies} if cookies else {}),
        "headers": {name: ",".join(values) for name, values in headers.items()},
        "requestContext": {
            "domainName": HOST,
            "http": {"method": sent.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": CALLER},
            "stage": stage,
        },
        **_event_body(sent.body),
    }


def function_url(sent: Sent) -> dict[str, Any]:
    """A function URL: cookies come twice."""
    event = http_api(sent)
    event["rawPath"] = sent.path
    event["requestContext"]["domainName"] = "abc123.lambda-url.eu-west-1.on.aws"
    if "cookies" in event:
        event["headers"]["cookie"] = "; ".join(event["cookies"])
    return event


def load_balancer_multi(sent: Sent) -> dict[str, Any]:
    """An Application Load Balancer with multi-value headers."""
    pairs = [pair.partition("=") for pair in sent.query.split("&") if pair]
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/1"}},
        "httpMethod": sent.method,
        "path": sent.path,
        "multiValueQueryStringParameters": _grouped([(name, value) for name, _, value in pairs]),
        "multiValueHeaders": _grouped([*sent.all_headers(), *FORWARDED]),
        **_event_body(sent.body),
    }


def load_balancer(sent: Sent) -> dict[str, Any]:
    """One without: the last value of each name is what is left."""
    event = load_balancer_multi(sent)
    event["headers"] = {name: values[-1] for name, values in event.pop("multiValueHeaders").items()}
    query = event.pop("multiValueQueryStringParameters")
    event["queryStringParameters"] = {name: values[-1] for name, values in query.items()}
    return event


INTEGRATIONS: dict[str, Callable[[Sent], dict[str, Any]]] = {
    "rest-api": rest_api,
    "http-api-1": http_api_1,
    "http-api": http_api,
    "function-url": function_url,
    "alb-multi": load_balancer_multi,
    "alb": load_balancer,
}


def delivered(answer: dict[str, Any], integration: str) -> Got:
    """What the client gets for an answer of the function."""
    body = answer["body"]
    assert isinstance(body, str)
    single, many = answer.get("headers", {}), answer.get("multiValueHeaders", {})
    if integration == "alb-multi":
        assert "headers" not in answer
    if integration not in ("alb-multi", "rest-api", "http-api-1"):
        assert "multiValueHeaders" not in answer
    headers = [(name.lower(), value) for name, value in single.items() if name not in many]
    headers += [(name.lower(), value) for name, values in many.items() for value in values]
    cookies = answer.get("cookies", [])
    assert not cookies or integration in ("http-api", "function-url")
    headers += [("set-cookie", cookie) for cookie in cookies]
    assert all(isinstance(value, str) for _, value in headers)
    return Got(
        answer["statusCode"],
        headers,
        base64.b64decode(body, validate=True) if answer["isBase64Encoded"] else body.encode(),
    )


def delivered_stream(outcome: Outcome) -> Got:
    """What the client gets for an answer that was sent while it was made."""
    assert outcome.content_type == "application/vnd.awslambda.http-integration-response"
    prelude, end, body = outcome.body.partition(bytes(8))
    assert end == bytes(8)
    said = json.loads(prelude)
    headers = [(name.lower(), value) for name, value in said["headers"].items()]
    return Got(said["statusCode"], headers + [("set-cookie", cookie) for cookie in said.get("cookies", [])], body)


def _event_body(body: bytes) -> dict[str, Any]:
    if not body:
        return {"body": None, "isBase64Encoded": False}
    try:
        return {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _staged(path: str, stage: str) -> str:
    return path if stage == "$default" else f"/{stage}{path}"
