"""One connection through the proxy (proxy.py): its two directions, and what can be done to them.

Commands may be given on any thread, and are in effect when the call returns.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .proxy import Proxy

T = TypeVar("T")
# l_onoff, l_linger: socket(7). Closing sends RST then.
_RESET = struct.pack("ii", 1, 0)
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h


class Flow:
    """The bytes in one direction of a link; `passed` counts them."""

    def __init__(self, link: Link) -> None:
        self.passed = 0
        self.stalled = False
        self.over = False  # nothing passes any more
        self._link = link
        self._source: Side  # set by these
        self._target: Side
        self._held = b""  # came, and did not pass yet
        self._ended = False  # FIN came behind that
        self._choked = False  # the target takes no more
        self._pausing = False  # between two pieces
        self._piece = 0
        self._pause = 0.0
        self._orders: list[tuple[int, Callable[[], object]]] = []  # behind which byte, and what is done there
        self._overlays: list[tuple[int, bytes]] = []  # from which byte, and what is there instead

    @property
    def held(self) -> int:
        """How many bytes came and did not pass yet. There may be more behind them, in the kernel."""
        return len(self._held)

    def stall(self, after: int = 0) -> None:
        """Passes nothing on, FIN included, and reads no more either, until `release`. Everything stays open."""
        self._order(after, self._stall)

    def release(self) -> None:
        """Ends a stall, and whatever else was ordered, done yet or not."""
        self._link.call(self._release)

    def split(self, size: int, pause: float = 0.0) -> None:
        """From now on passes pieces of `size` bytes, `pause` seconds apart; with size 0 all that is there, again."""
        self._link.call(lambda: self._split(size, pause))

    def corrupt(self, data: bytes, after: int = 0) -> None:
        """Overwrites with `data` what comes after so many bytes more."""
        self._link.call(lambda: self._overlays.append((self.passed + after, data)))

    def cut(self, after: int = 0, *, reset: bool = False, half: bool = False) -> None:
        """Ends the link after so many bytes more, with FIN or RST to both sides.

        `half`: only the target is told, by RST that its socket is gone, or by FIN that nothing more will come. The
        other side knows nothing of it, and what it goes on to send is lost.
        """
        self._order(after, (lambda: self._end(reset)) if half else (lambda: self._link.end(reset)))

    # On the loop.

    def feed(self, data: bytes) -> None:
        self._held = b"" if self.over else self._held + data
        self.work()

    def feed_end(self) -> None:
        self._ended = True
        self.work()

    def choke(self, choked: bool) -> None:
        self._choked = choked
        self.work()

    def work(self) -> None:
        """Passes on what may be."""
        while self._held and self._may_pass():
            places = [at - self.passed for at, _ in self._orders]
            size = min(self._piece or len(self._held), len(self._held), *places)
            piece, self._held = self._overlaid(self._held[:size]), self._held[size:]
            self._target.transport.write(piece)
            self.passed += size
            if self._piece:
                # Another turn of the loop at least: the receiver may read in between.
                self._pausing = True
                asyncio.get_running_loop().call_later(self._pause, self._go_on)
            self._follow_orders()
        if self._ended and not self._held and self._may_pass():
            self._end(False)
        self._source.read(not self._held and (self.over or self._may_pass()))
        self._link.look()

    def _may_pass(self) -> bool:
        return self._target.is_open() and not (self.over or self.stalled or self._choked or self._pausing)

    def _go_on(self) -> None:
        self._pausing = False
        self.work()

    def _order(self, after: int, order: Callable[[], object]) -> None:
        def take() -> None:
            self._orders.append((self.passed + after, order))
            self._follow_orders()
            self.work()

        self._link.call(take)

    def _follow_orders(self) -> None:
        for there in [one for one in self._orders if one[0] <= self.passed]:
            self._orders.remove(there)
            there[1]()

    def _overlaid(self, piece: bytes) -> bytes:
        for at, data in self._overlays:
            begin = max(0, at - self.passed)
            put = data[max(0, self.passed - at) :][: max(0, len(piece) - begin)]
            piece = piece[:begin] + put + piece[begin + len(put) :]
        return piece

    def _stall(self) -> None:
        self.stalled = True

    def _release(self) -> None:
        self.stalled = False
        self._piece = 0
        self._orders, self._overlays = [], []
        self.work()

    def _split(self, size: int, pause: float) -> None:
        self._piece, self._pause = size, pause

    def _end(self, reset: bool) -> None:
        self.over = True
        self._held = b""
        if reset:
            self._target.close(reset=True)
        else:
            self._target.end()


class Link:
    """One connection: from a client to the proxy, and from there to the upstream. `number` counts from 1."""

    def __init__(self, proxy: Proxy) -> None:
        self.number = 0  # set by the proxy
        self.closed = False
        self.up, self.down = Flow(self), Flow(self)
        self._proxy = proxy
        self.client = Side(self, begins=self.up, ends=self.down)
        self.upstream = Side(self, begins=self.down, ends=self.up)

    def cut(self, *, reset: bool = False) -> None:
        """Ends the link, with FIN or RST to both sides; the kernel sends RST too where it holds bytes nobody read."""
        self.call(lambda: self.end(reset))

    def stall(self) -> None:
        """Half-open: neither reads nor writes any more, whatever both sides do, until `release`."""
        for flow in (self.up, self.down):
            flow.stall()

    def release(self) -> None:
        """Of both flows."""
        for flow in (self.up, self.down):
            flow.release()

    def vanish(self) -> None:
        """From now on the client gets not even acknowledgements, as if this machine was gone. Linux only."""
        self.call(self.client.vanish)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.up.passed} bytes up, {self.down.passed} down"
        return f"Link({self.number}, {state})"

    # On the loop.

    def call(self, function: Callable[[], T]) -> T:
        return self._proxy.call(function)

    def begin(self) -> None:
        """The client has connected."""
        self._proxy.begun(self)

    def end(self, reset: bool) -> None:
        self.up.over = self.down.over = True
        self.client.close(reset=reset)
        self.upstream.close(reset=reset)

    def look(self) -> None:
        """Something has changed: is anything left to come?"""
        one, other = self.client, self.upstream
        # After a half RST one side is gone, and the other knows nothing of it until it ends by itself.
        if (self.up.over and self.down.over) or (one.gone and other.said_end) or (other.gone and one.said_end):
            self.end(False)
        if one.gone and other.gone and not self.closed:
            self.closed = True
            self._proxy.ended(self)
        self._proxy.changed()


class Side(asyncio.Protocol):
    """One of the two sockets of a link."""

    def __init__(self, link: Link, *, begins: Flow, ends: Flow) -> None:
        """Which of the flows begins here, and which ends here."""
        self.said_end = False  # its peer sent FIN
        self.gone = False
        self._link = link
        self._begins, self._ends = begins, ends
        begins._source = ends._target = self
        self.transport: asyncio.Transport
        self._connected = False
        self._told_end = False  # FIN, by us
        self._closed = False  # by us

    def is_open(self) -> bool:
        """Something can be written."""
        return self._connected and not (self._told_end or self._closed or self.gone)

    def read(self, on: bool) -> None:
        if self._connected and not (self.said_end or self._closed or self.gone):
            (self.transport.resume_reading if on else self.transport.pause_reading)()

    def end(self) -> None:
        """Sends FIN."""
        if self.is_open():
            self._told_end = True
            self.transport.write_eof()

    def close(self, *, reset: bool) -> None:
        if not self._connected:
            self.gone = True
        elif reset and not self.gone:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()
        self._closed = True

    def vanish(self) -> None:
        # A filter of one instruction, BPF_RET with 0: the kernel drops what comes, before TCP sees it.
        program = array("B", struct.pack("HBBI", 0x06, 0, 0, 0))
        filter = struct.pack("HP", 1, program.buffer_info()[0])
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._closed:  # the link ended meanwhile
            transport.abort()
            return
        self._connected = True
        # asyncio does it for sockets that name their protocol, which accepted ones do not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self is self._link.client:
            self._link.begin()
        self._ends.work()

    def data_received(self, data: bytes) -> None:
        self._begins.feed(data)

    def eof_received(self) -> bool:
        self.said_end = True
        self._begins.feed_end()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self._ends.choke(True)

    def resume_writing(self) -> None:
        self._ends.choke(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if exc is not None:  # RST: as one side is, so will be the other
            self._link.end(True)
        self._link.look()
