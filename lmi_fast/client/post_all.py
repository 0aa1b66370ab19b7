"""Sends posts side by side, each on a connection of its own, and waits for them a short while.

For a process that has no event loop: the supervisor, which answers in the place of a worker that died.
"""

from __future__ import annotations

import select
import socket
import time

from ..errors import ApiUnavailable, RuntimeApiError
from ..wire.http1 import Reader
from ..wire.requests import Post
from .address import SCRATCH_SIZE, Address
from .meaning import refusal


def post_all(address: Address, posts: list[Post], timeout: float) -> dict[Post, RuntimeApiError | None]:
    """What became of each: None for one that was taken. `timeout` in seconds, for all of them together."""
    end = time.monotonic() + timeout
    outcomes: dict[Post, RuntimeApiError | None] = {}
    waiting: dict[int, tuple[socket.socket, Post]] = {}
    poll = select.poll()
    for post in posts:
        try:
            sock, where = address.new_socket()
            sock.settimeout(max(0.01, end - time.monotonic()))
            sock.connect(where)
            sock.sendall(post.head + post.body)
        except OSError as error:
            outcomes[post] = ApiUnavailable(f"{post.about}: {error}")
            continue
        waiting[sock.fileno()] = sock, post
        poll.register(sock, select.POLLIN)
    while waiting and time.monotonic() < end:
        for fd, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000):
            sock, post = waiting.pop(fd)
            poll.unregister(fd)
            outcomes[post] = _outcome(sock, post)
            sock.close()
    for sock, post in waiting.values():
        sock.close()
        outcomes[post] = ApiUnavailable(f"{post.about}: no reply within {timeout} seconds")
    return outcomes


def _outcome(sock: socket.socket, post: Post) -> RuntimeApiError | None:
    reader = Reader(bytearray(SCRATCH_SIZE))
    try:
        while True:
            count = sock.recv_into(reader.buffer())
            reply = reader.received(count) if count else reader.end()
            if reply is not None:
                return refusal(reply, post)
            if not count:
                return ApiUnavailable(f"{post.about}: the connection was closed")
    except RuntimeApiError as error:
        return error
    except OSError as error:
        return ApiUnavailable(f"{post.about}: {error}")
