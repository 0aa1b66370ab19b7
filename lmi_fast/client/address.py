"""Where the Runtime API is, and how a socket to it is made."""

from __future__ import annotations

import socket
from typing import Any

from ..errors import ApiUnavailable, ConfigError

# Enough for the replies that are not events in one read; events above it are received in place.
SCRATCH_SIZE = 1 << 16
# Below this, copying a body behind its head is cheaper than a second buffer in the system call.
JOIN_BELOW = 1 << 14


class Address:
    """A Runtime API: `host` as it stands in the environment and in the Host header."""

    def __init__(self, host: str) -> None:
        """Raises ConfigError for what is not host:port."""
        name, colon, port = host.rpartition(":")
        if not (colon and name and port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
            raise ConfigError("AWS_LAMBDA_RUNTIME_API", host, "host:port, such as 127.0.0.1:9001")
        self.host = host
        self._name = name.strip("[]")
        self._port = int(port)
        self._resolved: tuple[int, Any] | None = None  # family, and what to connect to

    def new_socket(self) -> tuple[socket.socket, Any]:
        """An unconnected socket, and what to connect it to. Raises ApiUnavailable when the name does not resolve."""
        if self._resolved is None:
            try:
                family, _, _, _, where = socket.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)[0]
            except OSError as error:
                raise ApiUnavailable(f"the Runtime API's name {self._name!r} cannot be resolved: {error}") from None
            self._resolved = family, where
        family_found, address = self._resolved
        sock = socket.socket(family_found, socket.SOCK_STREAM)
        # A request is one write and waits for its reply: Nagle's algorithm could only delay it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, address

    def __repr__(self) -> str:
        return f"Address({self.host})"
