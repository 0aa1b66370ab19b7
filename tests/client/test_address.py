"""Sockets to the Runtime API: what the kernel is asked to look after."""

from __future__ import annotations

import socket
import sys

import pytest

from lmi_fast.client.address import GONE_MS, Address


def test_an_answer_is_not_held_back() -> None:
    sock, where = Address("127.0.0.1:9001").new_socket()
    with sock:
        assert where == ("127.0.0.1", 9001)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the options are Linux's")
@pytest.mark.parametrize("user_timeout", [0, GONE_MS])
def test_a_peer_that_is_gone_is_found_in_the_same_time_either_way(user_timeout: int) -> None:
    sock, _ = Address("127.0.0.1:9001").new_socket(user_timeout)
    with sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        tcp = [
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        ]
    idle, interval, count, unacknowledged = tcp
    assert 1000 * (idle + interval * count) == GONE_MS
    assert unacknowledged == user_timeout
