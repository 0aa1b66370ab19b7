"""Invokes over the wire: one at a time, or a closed loop of many clients that leaves the processor to the runtime.

The loop is one thread over epoll with prebuilt requests on keep-alive connections: with two cores, a load client that
costs as much as the runtime would measure itself.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PATH = "/2015-03-31/functions/function/invocations"

Item = bytes | tuple[bytes, Mapping[str, str]]
"""A payload, or a payload and request headers that replace the defaults."""


@dataclass(slots=True)
class Reply:
    """The answer to one invoke."""

    status: int
    """HTTP status; 0 when the connection ended without a reply. Function errors come as 200, refusals as 400."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    seconds: float = field(compare=False)
    """From the first byte sent to the last received."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error_type(self) -> str | None:
        """``Error-Type`` of the LMI emulator (the default mode has no such header): "Runtime.Unavailable", ..."""
        return self.headers.get("error-type")


def post(address: tuple[str, int], payload: bytes, headers: Mapping[str, str], timeout: float) -> Reply:
    """One invoke on a connection of its own. Raises OSError or http.client.HTTPException without a whole reply."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        started = time.perf_counter()
        connection.request("POST", PATH, payload, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        body = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, body, time.perf_counter() - started)
    finally:
        connection.close()


def post_many(address: tuple[str, int], items: Iterable[Item], concurrency: int, timeout: float) -> list[Reply]:
    """A closed loop of `concurrency` clients, each sending the next item as soon as it has its reply.

    Replies are in the order of the items, which are taken one by one, so an iterator may decide when to stop. Once the
    emulator accepts no new connection no further item is sent and the list ends with the items that were.
    Raises ConnectionRefusedError if nothing listens to begin with, TimeoutError when nothing came for `timeout`
    seconds.
    """
    return _Loop(address, iter(items), concurrency, timeout).run()


class _Client:
    __slots__ = ("index", "received", "response", "sock", "started", "unsent", "writing")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unsent = memoryview(b"")
        self.writing = False
        self.received = bytearray()
        self.response: _Response | None = None
        self.index = -1
        self.started = 0.0


class _Loop:
    def __init__(self, address: tuple[str, int], items: Iterator[Item], concurrency: int, timeout: float) -> None:
        self._address = address
        self._items: Iterator[tuple[int, Item]] = enumerate(items)
        self._concurrency = concurrency
        self._timeout = timeout
        self._host = f"{address[0]}:{address[1]}"
        self._heads: dict[int, bytes] = {}
        self._done: list[tuple[int, _Response | None, float]] = []
        self._clients: dict[int, _Client] = {}

    def run(self) -> list[Reply]:
        with select.epoll() as self._epoll:
            try:
                for _ in range(self._concurrency):
                    if not self._send_next(self._connect()):
                        break
                while self._clients:
                    ready = self._epoll.poll(self._timeout)
                    if not ready:
                        unanswered = sorted(client.index for client in self._clients.values())
                        raise TimeoutError(f"no reply for {self._timeout} s to items {unanswered[:8]}")
                    for fd, events in ready:
                        self._advance(self._clients[fd], events)
            finally:
                for client in self._clients.values():
                    client.sock.close()
        # Header fields become dictionaries only now: while the load runs, every cycle spent here is taken from the
        # runtime.
        self._done.sort(key=lambda entry: entry[0])
        return [Reply(0, {}, b"", took) if found is None else found.reply(took) for _, found, took in self._done]

    def _connect(self) -> _Client:
        sock = socket.create_connection(self._address)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = self._clients[sock.fileno()] = _Client(sock)
        self._epoll.register(sock, select.EPOLLIN)
        return client

    def _drop(self, client: _Client) -> None:
        del self._clients[client.sock.fileno()]
        client.sock.close()

    def _send_next(self, client: _Client) -> bool:
        try:
            index, item = next(self._items)
        except StopIteration:
            self._drop(client)
            return False
        client.index = index
        client.response = None
        client.received = bytearray()
        client.started = time.perf_counter()
        client.unsent = memoryview(self._request(item))
        self._send(client)
        return True

    def _request(self, item: Item) -> bytes:
        if isinstance(item, tuple):
            payload, headers = item
            named = {"Content-Type": "application/json", **headers}
            fields = "".join(f"{name}: {value}\r\n" for name, value in named.items())
            # UTF-8, which http.client would refuse: tests also send header values that are not Latin-1.
            return self._head(len(payload), fields).encode() + payload
        head = self._heads.get(len(item))
        if head is None:
            head = self._heads[len(item)] = self._head(len(item), "Content-Type: application/json\r\n").encode()
        return head + item

    def _head(self, length: int, fields: str) -> str:
        return f"POST {PATH} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {length}\r\n{fields}\r\n"

    def _send(self, client: _Client) -> None:
        try:
            client.unsent = client.unsent[client.sock.send(client.unsent) :]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            client.unsent = memoryview(b"")  # what it answered before it closed is still to be read
        if client.writing != bool(client.unsent):
            client.writing = not client.writing
            self._epoll.modify(client.sock, select.EPOLLIN | select.EPOLLOUT if client.writing else select.EPOLLIN)

    def _advance(self, client: _Client, events: int) -> None:
        if client.unsent and events & select.EPOLLOUT:
            self._send(client)
        if not events & ~select.EPOLLOUT:
            return
        try:
            data = client.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        client.received += data
        if client.response is None:
            client.response = _Response.start(client.received)
        response = client.response if client.response is not None and client.response.complete() else None
        if response is None and data:
            return
        self._done.append((client.index, response, time.perf_counter() - client.started))
        if response is not None and response.keep_alive and not client.unsent:
            self._send_next(client)
            return
        self._drop(client)
        try:
            self._send_next(self._connect())
        except ConnectionRefusedError:
            self._items = iter(())


class _Response:
    """One response as it comes in: only what tells where it ends is read at once, the rest when asked for."""

    __slots__ = ("_at", "_body", "_chunked", "_data", "_end", "_head", "keep_alive")

    def __init__(self, data: bytearray, end: int) -> None:
        self._data = data
        self._head = bytes(data[:end])
        self._at = end + 4
        fields = self._head.lower()
        self.keep_alive = b"\r\nconnection: close" not in fields
        self._chunked = b"\r\ntransfer-encoding: chunked" in fields
        self._body = bytearray()
        self._end = self._at
        length = fields.find(b"\r\ncontent-length:")
        if length >= 0:
            self._end += int(fields[length + 17 :].split(b"\r\n", 1)[0])

    @classmethod
    def start(cls, data: bytearray) -> _Response | None:
        end = data.find(b"\r\n\r\n")
        return None if end < 0 else cls(data, end)

    def complete(self) -> bool:
        """Whether all of it is there, in the buffer that was given and has grown since."""
        if not self._chunked:
            return len(self._data) >= self._end
        while True:
            line = self._data.find(b"\r\n", self._at)
            if line < 0:
                return False
            size = int(self._data[self._at : line].split(b";")[0], 16)
            if size == 0:
                return self._data.endswith(b"\r\n\r\n")  # after the last chunk, trailers or nothing
            after = line + 2 + size + 2
            if len(self._data) < after:
                return False
            self._body += self._data[line + 2 : after - 2]
            self._at = after

    def reply(self, seconds: float) -> Reply:
        first, *fields = self._head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        body = self._body if self._chunked else self._data[self._at : self._end]
        return Reply(int(first.split(" ", 2)[1]), headers, bytes(body), seconds)
