"""A TCP proxy on loopback that breaks connections on command: between a runtime and any Runtime API, the real one too.

    with Proxy("127.0.0.1:9001") as proxy:               # clients connect to proxy.address
        proxy.on_next(lambda link: link.down.cut(100))   # the next connection: cut behind the 100th byte to the client
        proxy.each(lambda link: link.cut(reset=True))    # all that are there
        proxy.links[0].up.stall()                        # one of them
        proxy.wait_for(lambda proxy: not proxy.links)

A `Link` is one connection and has two flows, `up` (to the upstream) and `down` (to the client); most faults are a
flow's, now or after so many bytes more. The proxy knows nothing of HTTP. Commands may be given on any thread, and are
in effect when the call returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from .link import Link
from .loop_thread import LoopThread
from .ports import bound, bound_pair, stop_listening
from .stats import Watchers

T = TypeVar("T")
Command = Callable[[Link], object]


class Proxy:
    """It listens when the constructor returns, and until `close`; use it as a context manager.

    A client is accepted before the upstream is asked; where that refuses, the client gets RST.
    """

    def __init__(self, upstream: str = "", *, host: str = "127.0.0.1") -> None:
        """`upstream` is host:port, and may be set later: it counts for connections from then on.

        Raises ApiUnavailable where it cannot listen.
        """
        self.upstream = upstream
        self.opened = 0  # links so far
        self._host = host
        self._links: list[Link] = []
        self._plans: list[Command] = []
        self._dials: set[asyncio.Task[None]] = set()
        self._watchers = Watchers(self)
        self._server: asyncio.Server | None = None
        self._holders: list[socket.socket] = []
        self._thread = LoopThread("the proxy", self._finish)
        self._listen_on_new_port()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every link with RST. Raises what a command given to `on_next` has raised."""
        self._thread.close()

    @property
    def address(self) -> str:
        """Where clients connect, as host:port."""
        return f"{self._host}:{self.port}"

    @property
    def links(self) -> list[Link]:
        """Those that are not closed, the oldest first."""
        return self.call(lambda: list(self._links))

    def on_next(self, command: Command, times: int = 1) -> None:
        """Gives `command` to so many of the next connections, before a byte of them passes."""
        self.call(lambda: self._plans.extend([command] * times))

    def each(self, command: Command) -> int:
        """Gives `command` to every link that is there, and returns how many: nothing passes meanwhile."""
        return self.call(lambda: len([command(link) for link in list(self._links)]))

    def refuse(self) -> None:
        """Stops listening: whoever connects is refused. Links stay, and the kernel gives the port to nobody else."""
        self._thread.run(self._stop_listening())

    def accept_again(self, *, new_port: bool = False) -> None:
        """Listens again, on the same port or on a new one; then `address` changes, and the old port stays refused."""
        self.refuse()
        if new_port:
            self._listen_on_new_port()
        else:
            self._thread.run(self._listen(bound(self._host, self.port)))

    def wait_for(self, condition: Callable[[Proxy], bool], timeout: float = 10.0) -> None:
        """Returns once `condition` holds, which is called on the proxy's thread whenever something has changed.

        TimeoutError, with the links, after `timeout` seconds.
        """
        self._thread.wait_for(self._watchers, condition, timeout)

    def __repr__(self) -> str:
        return f"Proxy({self.address} to {self.upstream}, {self.opened} links so far, {self.links})"

    # For links, on the loop.

    def call(self, function: Callable[[], T]) -> T:
        return self._thread.call(function)

    def changed(self) -> None:
        self._watchers.look()

    def begun(self, link: Link) -> None:
        """A client has connected."""
        self.opened += 1
        link.number = self.opened
        self._links.append(link)
        self.changed()
        if self._plans:
            self._plans.pop(0)(link)
        if not link.upstream.gone:
            dial = self._thread.loop.create_task(self._dial(link))
            self._dials.add(dial)
            dial.add_done_callback(self._dials.discard)

    def ended(self, link: Link) -> None:
        """Both sides are closed."""
        self._links.remove(link)

    async def _dial(self, link: Link) -> None:
        host, _, port = self.upstream.rpartition(":")
        try:
            await asyncio.get_running_loop().create_connection(lambda: link.upstream, host, int(port))
        except (OSError, ValueError):  # nobody listens, or nowhere yet
            link.end(True)
            link.look()

    # Listening.

    def _listen_on_new_port(self) -> None:
        holder, listener = bound_pair(self._host, 0)
        self._holders += [holder] if holder is not None else []
        self.port: int = listener.getsockname()[1]
        self._thread.run(self._listen(listener))

    async def _listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=listener, backlog=1024)

    def _accept(self) -> asyncio.Protocol:
        return Link(self).client

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await stop_listening(server)

    async def _finish(self) -> None:
        await self._stop_listening()
        for dial in list(self._dials):
            dial.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dial
        while self._links:
            for link in list(self._links):
                link.end(True)
                link.look()
            await asyncio.sleep(0)
        for holder in self._holders:
            holder.close()
