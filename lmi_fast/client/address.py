"""Where the Runtime API is, and how a socket to it is made."""

from __future__ import annotations

import socket
import sys

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Enough for the replies that are not events in one read; events above it are received in place.
SCRATCH_SIZE = 1 << 16
# After so many milliseconds without a sign of life the other end is gone. A process that is busy, or stopped, gives one
# all the same: its kernel does.
GONE_MS = 60_000

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

    def new_socket(self, user_timeout: int = 0) -> tuple[socket.socket, Any]:
        """An unconnected socket, and what to connect it to. Raises OSError.

        It breaks when the other end has been gone for GONE_MS, as long as nothing is on the way there. For what is, the
        kernel's own patience is a quarter of an hour (tcp_retries2); a `user_timeout` shortens it to so many
        milliseconds. But that counts too while the other end is there and takes nothing, as it may with an answer whose
        caller reads slowly: it is for sockets that only small requests are sent on.
        """
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            for level, option, value in _options(user_timeout):
                sock.setsockopt(level, option, value)
        except OSError:
            sock.close()
            raise
        return sock, self._where

    def __repr__(self) -> str:
        return f"Address({self.host})"


def _options(user_timeout: int) -> list[tuple[int, int, int]]:
    """Level, option and value, as socket(7) and tcp(7) have them."""
    options = [
        # A request is one write and waits for its reply: Nagle's algorithm could only delay it.
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    if sys.platform == "linux":
        options += [
            # The first question after half of the time, and then three.
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, GONE_MS // 2000)),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, GONE_MS // 6000)),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout),
        ]
    return options
