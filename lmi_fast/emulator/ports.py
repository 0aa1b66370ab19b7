"""Ports of loopback that stay ours while nobody listens on them."""

from __future__ import annotations

import asyncio
import socket
import sys

from ..errors import ApiUnavailable


def bound(host: str, port: int) -> socket.socket:
    """A socket that can listen on `host` and `port`, 0 being any free one. Raises ApiUnavailable."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ApiUnavailable(f"cannot listen on {host}:{port}: {error}") from error
    return made


def bound_pair(host: str, port: int) -> tuple[socket.socket | None, socket.socket]:
    """A socket that never listens, to keep the port ours while connections are refused, and one that will."""
    first = bound(host, port)
    if sys.platform != "linux":  # elsewhere, two sockets cannot bind one port like this
        return None, first
    try:
        return first, bound(host, first.getsockname()[1])
    except ApiUnavailable:
        first.close()
        raise


async def stop_listening(server: asyncio.Server) -> None:
    """Closes `server`; whoever has connected by now is served."""
    for _ in range(2):  # what is ready is seen in one turn, and accepted in the next
        await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    # From there it takes so many turns: a task, a transport, Protocol.connection_made. A server that is closed before
    # drops the socket.
    for _ in range(4):
        await asyncio.sleep(0)
    server.close()
