"""Where the Runtime API is, and how a socket to it is made."""

from __future__ import annotations

import socket

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Enough for the replies that are not events in one read; events above it are received in place.
SCRATCH_SIZE = 1 << 16
# An answer below this the platform can take before its caller reads it.
SMALL_ANSWER = 1 << 14
# One from here on takes as long to send as others to serve; and more than this together shall not be under way.
LARGE_ANSWER = 1 << 20
MUCH_UNDER_WAY = 1 << 24

# Of host names and numeric addresses, IPv6 in brackets: not of a URL.
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[]:%")


class Address:
    """A Runtime API: `host` as it stands in the environment and in the Host header."""

    def __init__(self, host: str) -> None:
        """Raises ConfigError for what is not host:port, or has a name that cannot be resolved."""
        name, colon, port = host.rpartition(":")
        is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
        if not (colon and name and is_port) or not _NAME.issuperset(name):
            raise ConfigError("AWS_LAMBDA_RUNTIME_API", host, "host:port, such as 127.0.0.1:9001")
        try:
            found = socket.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConfigError("AWS_LAMBDA_RUNTIME_API", host, f"host:port of a host that is known ({error})") from None
        self.host = host
        self._family: int = found[0][0]
        self._where: Any = found[0][4]

    def new_socket(self) -> tuple[socket.socket, Any]:
        """An unconnected socket, and what to connect it to. Raises OSError."""
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        # A request is one write and waits for its reply: Nagle's algorithm could only delay it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, self._where

    def __repr__(self) -> str:
        return f"Address({self.host})"
