"""Registers an internal extension, which is all it takes to be sent SIGTERM before the environment ends.

Without any extension the platform kills the process at once (rapid/shutdown.go of the Runtime API server); with one it
sends SIGTERM and waits. So this one listens to no events. It must be there before the first poll, and it must have
asked for its next event, which never comes: the init phase waits for that.
"""

from __future__ import annotations

from ..errors import ApiProtocolError, ApiRefused, ApiUnavailable
from .address import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

TIMEOUT = 1.0  # seconds; it is not worth more
_BODY = b'{"events":[]}'
_MAX_REPLY = 1 << 16


class Extension:
    """A registration, for as long as this object is open."""

    def __init__(self, address: Address) -> None:
        """Raises RuntimeApiError."""
        try:
            self._sock, where = address.new_socket()
            self._sock.settimeout(TIMEOUT)
            self._sock.connect(where)
            self._sock.sendall(
                b"POST /2020-01-01/extension/register HTTP/1.1\r\nHost: %b\r\nLambda-Extension-Name: lmi_fast\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (address.host.encode(), len(_BODY), _BODY)
            )
            identifier = _identifier(_read(self._sock))
            self._sock.sendall(
                b"GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: %b\r\nLambda-Extension-Identifier: %b\r\n\r\n"
                % (address.host.encode(), identifier)
            )
        except OSError as error:
            raise ApiUnavailable(f"no extension could be registered at {address.host}: {error}") from None

    def close(self) -> None:
        """Closes the connection."""
        self._sock.close()


def _read(sock: socket.socket) -> bytes:
    """A whole reply. Nothing else is sent on this connection, so it ends with what has come when its body is there."""
    data = b""
    while True:
        more = sock.recv(_MAX_REPLY)
        data += more
        head, gap, body = data.partition(b"\r\n\r\n")
        length = _value(head, b"content-length")
        if gap and length.isdigit() and len(body) >= int(length[:6]):
            return data
        if not more or len(data) > _MAX_REPLY or (gap and not length.isdigit()):
            raise ApiProtocolError(f"the reply to the registration of an extension is not one: {data[:200]!r}")


def _identifier(reply: bytes) -> bytes:
    head, _, body = reply.partition(b"\r\n\r\n")
    status = head[9:12]
    if status != b"200":
        raise ApiRefused("POST /extension/register", int(status) if status.isdigit() else 0, body)
    identifier = _value(head, b"lambda-extension-identifier")
    if not identifier:
        raise ApiProtocolError("the registration of an extension came without its identifier")
    return identifier


def _value(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b":")
        if found.lower() == name:
            return value.strip()
    return b""
