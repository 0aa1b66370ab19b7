"""Events as AWS documents them, shortened by what no application sees."""

from __future__ import annotations

from typing import Any

# Create Lambda proxy integrations for REST APIs, "Input format of a Lambda function for proxy integration".
REST_API: dict[str, Any] = {
    "resource": "/my/path",
    "path": "/my/path",
    "httpMethod": "GET",
    "headers": {"header1": "value1", "header2": "value2"},
    "multiValueHeaders": {"header1": ["value1"], "header2": ["value1", "value2"]},
    "queryStringParameters": {"parameter1": "value1", "parameter2": "value"},
    "multiValueQueryStringParameters": {"parameter1": ["value1", "value2"], "parameter2": ["value"]},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "id",
        "authorizer": {"claims": None, "scopes": None},
        "domainName": "id.execute-api.us-east-1.amazonaws.com",
        "domainPrefix": "id",
        "extendedRequestId": "request-id",
        "httpMethod": "GET",
        "identity": {"accessKey": None, "sourceIp": "192.0.2.1", "userAgent": "user-agent"},
        "path": "/my/path",
        "protocol": "HTTP/1.1",
        "requestId": "id=",
        "requestTime": "04/Mar/2020:19:15:17 +0000",
        "requestTimeEpoch": 1583349317135,
        "resourceId": None,
        "resourcePath": "/my/path",
        "stage": "$default",
    },
    "pathParameters": None,
    "stageVariables": None,
    "body": "Hello from Lambda!",
    "isBase64Encoded": False,
}

# Create AWS Lambda proxy integrations for HTTP APIs, payload format 1.0: the same with a version.
HTTP_API_1 = {"version": "1.0", **REST_API}

# The same page, payload format 2.0.
HTTP_API: dict[str, Any] = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/my/path",
    "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
    "cookies": ["cookie1", "cookie2"],
    "headers": {"header1": "value1", "header2": "value1,value2"},
    "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "api-id",
        "authorizer": {"jwt": {"claims": {"claim1": "value1"}, "scopes": ["scope1", "scope2"]}},
        "domainName": "id.execute-api.us-east-1.amazonaws.com",
        "domainPrefix": "id",
        "http": {
            "method": "POST",
            "path": "/my/path",
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": "agent",
        },
        "requestId": "id",
        "routeKey": "$default",
        "stage": "$default",
        "time": "12/Mar/2020:19:03:58 +0000",
        "timeEpoch": 1583348638390,
    },
    "body": "Hello from Lambda",
    "pathParameters": {"parameter1": "value1"},
    "isBase64Encoded": False,
    "stageVariables": {"stageVariable1": "value1"},
}

# Invoking Lambda function URLs, "Request payload format".
FUNCTION_URL: dict[str, Any] = HTTP_API | {
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "<urlid>",
        "authentication": None,
        "authorizer": {"iam": {"accessKey": "AKIA...", "accountId": "111122223333"}},
        "domainName": "<url-id>.lambda-url.us-west-2.on.aws",
        "domainPrefix": "<url-id>",
        "http": {
            "method": "POST",
            "path": "/my/path",
            "protocol": "HTTP/1.1",
            "sourceIp": "123.123.123.123",
            "userAgent": "agent",
        },
        "requestId": "id",
        "routeKey": "$default",
        "stage": "$default",
        "time": "12/Mar/2020:19:03:58 +0000",
        "timeEpoch": 1583348638390,
    },
    "body": "Hello from client!",
    "pathParameters": None,
    "stageVariables": None,
}

# Process Application Load Balancer requests with Lambda.
LOAD_BALANCER: dict[str, Any] = {
    "requestContext": {
        "elb": {
            "targetGroupArn": "arn:aws:elasticloadbalancing:us-east-2:123456789012:"
            "targetgroup/lambda-279XGJDqGZ5rsrHC2Fjr/49e9d65c45c6791a"
        }
    },
    "httpMethod": "GET",
    "path": "/lambda",
    "queryStringParameters": {"query": "1234ABCD"},
    "headers": {
        "accept": "text/html,application/xhtml+xml",
        "accept-encoding": "gzip",
        "host": "lambda-alb-123578498.us-east-2.elb.amazonaws.com",
        "user-agent": "Mozilla/5.0",
        "x-amzn-trace-id": "Root=1-5c536348-3d683b8b04734faae651f476",
        "x-forwarded-for": "72.12.164.125",
        "x-forwarded-port": "80",
        "x-forwarded-proto": "http",
        "x-imforwards": "20",
    },
    "body": "",
    "isBase64Encoded": False,
}

# Use Lambda functions as targets of an Application Load Balancer, "Multi-value headers": requests with them enabled.
LOAD_BALANCER_MULTI: dict[str, Any] = {
    "requestContext": LOAD_BALANCER["requestContext"],
    "httpMethod": "GET",
    "path": "/",
    "multiValueQueryStringParameters": {"myKey": ["val1", "val2"]},
    "multiValueHeaders": {"cookie": ["name1=value1;name2=value2"], "x-forwarded-proto": ["https"]},
    "body": "",
    "isBase64Encoded": False,
}

# WebSocket APIs: $connect, a message and $disconnect ("Set up a route using the WebSocket API", requestContext).
SOCKET_CONNECT: dict[str, Any] = {
    "headers": {"Host": "id.execute-api.us-east-1.amazonaws.com", "Sec-WebSocket-Version": "13"},
    "multiValueHeaders": {"Host": ["id.execute-api.us-east-1.amazonaws.com"], "Sec-WebSocket-Version": ["13"]},
    "requestContext": {
        "routeKey": "$connect",
        "eventType": "CONNECT",
        "messageDirection": "IN",
        "stage": "prod",
        "connectedAt": 1583348638390,
        "identity": {"sourceIp": "192.0.2.1"},
        "domainName": "id.execute-api.us-east-1.amazonaws.com",
        "connectionId": "L0SM9cOFvHcCIhw=",
        "apiId": "id",
    },
    "isBase64Encoded": False,
}
SOCKET_MESSAGE: dict[str, Any] = {
    "requestContext": {
        **SOCKET_CONNECT["requestContext"], "routeKey": "$default", "eventType": "MESSAGE", "messageId": "m=",
    },
    "body": '{"action": "join"}',
    "isBase64Encoded": False,
}  # fmt: skip

# Using Lambda with Amazon SQS.
QUEUE: dict[str, Any] = {
    "Records": [
        {
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
            "body": "Test message.",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
        }
    ]
}
