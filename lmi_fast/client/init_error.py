"""Reports that the init phase failed.

With the standard library and not our own wire code, because that may be what failed; nothing else needs http.client.
"""

from __future__ import annotations

from ..errors import ApiRefused, ApiUnavailable

TIMEOUT = 2.0  # seconds; the process ends next, and that alone tells the platform


def post_init_error(host: str, body: bytes, error_type: str) -> None:
    """Posts the error report `body` to the Runtime API at `host`. Raises ApiUnavailable or ApiRefused.

    403 means that an init error was reported before, and is fine.
    """
    import http.client

    headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": error_type}
    try:
        connection = http.client.HTTPConnection(host, timeout=TIMEOUT)
        connection.request("POST", "/2018-06-01/runtime/init/error", body, headers)
        reply = connection.getresponse()
        answer = reply.read()
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise ApiUnavailable(f"the init error could not be posted to {host}: {error}") from None
    if reply.status not in (202, 403):
        raise ApiRefused("POST /runtime/init/error", reply.status, answer)
