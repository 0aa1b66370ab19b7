"""The proxy, between plain sockets: every fault does what it says, and nothing else."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lmi_fast.emulator import Chaos, Flow, Link, Proxy, RuntimeApi
from lmi_fast.emulator.chaos import EVERY_FAULT
from lmi_fast.errors import ApiUnavailable

TIMEOUT = 10.0


class End:
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, count: int) -> bytes:
        """So many bytes, or fewer where FIN comes before."""
        data = b""
        while len(data) < count and (piece := self.sock.recv(count - len(data))):
            data += piece
        return data

    def rest(self) -> bytes:
        """What comes until FIN."""
        return self.read(1 << 30)

    def is_reset(self, behind: bytes = b"") -> bool:
        """RST comes, and nothing but `behind` before it."""
        read = b""
        try:
            while piece := self.sock.recv(100):
                read += piece
        except ConnectionResetError:
            return read == behind
        return False

    def has_news(self) -> bool:
        """Something can be read now, if only the end."""
        return bool(select.select([self.sock], [], [], 0)[0])

    def close(self) -> None:
        self.sock.close()


class Through(NamedTuple):
    """A connection through the proxy, seen from everywhere."""

    client: End
    server: End
    link: Link

    def way(self, direction: str) -> tuple[End, Flow, End]:
        """Sender, flow and receiver of a direction."""
        if direction == "up":
            return self.client, self.link.up, self.server
        return self.server, self.link.down, self.client


class Rig:
    """A proxy and what is on both sides of it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.listener.settimeout(TIMEOUT)
        self.proxy = Proxy(f"127.0.0.1:{self.listener.getsockname()[1]}")
        self._ends: list[End] = []

    def dial(self) -> End:
        self._ends.append(End(socket.create_connection(("127.0.0.1", self.proxy.port), TIMEOUT)))
        return self._ends[-1]

    def is_turned_away(self) -> bool:
        """Whoever connects gets RST, before that is done or right after."""
        try:
            return self.dial().is_reset()
        except ConnectionResetError:
            return True

    def accept(self) -> End:
        self._ends.append(End(self.listener.accept()[0]))
        return self._ends[-1]

    def connect(self) -> Through:
        client = self.dial()
        server = self.accept()
        client.send(b"?")  # when it has come through, the link is complete
        assert server.read(1) == b"?"
        return Through(client, server, self.proxy.links[-1])

    def close(self) -> None:
        self.proxy.close()
        for end in self._ends:
            end.close()
        self.listener.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def through(rig: Rig) -> Through:
    return rig.connect()


directions = pytest.mark.parametrize("direction", ["up", "down"])
kinds_of_end = pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])


def other(direction: str) -> str:
    return "down" if direction == "up" else "up"


def goes_through(through: Through, direction: str, data: bytes = b"still there") -> bool:
    sender, _, receiver = through.way(direction)
    sender.send(data)
    return receiver.read(len(data)) == data


@directions
def test_bytes_pass_and_are_counted(rig: Rig, through: Through, direction: str) -> None:
    sender, flow, receiver = through.way(direction)
    before = flow.passed
    data = bytes(range(256)) * 20_000
    reader: list[bytes] = []
    thread = threading.Thread(target=lambda: reader.append(receiver.read(len(data))))
    thread.start()
    sender.send(data)
    thread.join(TIMEOUT)
    assert reader == [data]
    rig.proxy.wait_for(lambda proxy: flow.passed == before + len(data))


def test_nagle_is_off_on_both_sides(through: Through) -> None:
    for side in (through.link.client, through.link.upstream):
        sock = side.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@directions
def test_a_receiver_that_does_not_read_stops_the_sender(rig: Rig, through: Through, direction: str) -> None:
    """The proxy holds no more than a read's worth; the rest stays with the sender."""
    sender, flow, receiver = through.way(direction)
    sender.sock.settimeout(0)
    sent = 0
    while select.select([], [sender.sock], [], 0.2)[1]:
        sent += sender.sock.send(bytes(1 << 20))
    assert flow.held <= 1 << 18
    assert sent < 1 << 26
    read = receiver.read(sent)
    assert len(read) == sent


@directions
def test_fin_is_passed_on_and_the_other_direction_goes_on(rig: Rig, through: Through, direction: str) -> None:
    sender, _, receiver = through.way(direction)
    sender.send(b"last words")
    sender.sock.shutdown(socket.SHUT_WR)
    assert receiver.rest() == b"last words"
    assert goes_through(through, other(direction))
    receiver.sock.shutdown(socket.SHUT_WR)
    assert sender.rest() == b""
    rig.proxy.wait_for(lambda proxy: not proxy.links)


@directions
def test_rst_is_passed_on(rig: Rig, through: Through, direction: str) -> None:
    sender, _, receiver = through.way(direction)
    sender.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sender.close()
    assert receiver.is_reset()
    rig.proxy.wait_for(lambda proxy: not proxy.links)


@kinds_of_end
def test_cut_at_once(rig: Rig, through: Through, reset: bool) -> None:
    through.link.cut(reset=reset)
    for end in (through.client, through.server):
        assert end.is_reset() if reset else end.rest() == b""
    rig.proxy.wait_for(lambda proxy: not proxy.links)
    assert through.link.closed


@directions
@kinds_of_end
def test_cut_after_so_many_bytes(rig: Rig, through: Through, direction: str, reset: bool) -> None:
    sender, flow, receiver = through.way(direction)
    flow.cut(7, reset=reset)
    sender.send(b"abc")
    assert receiver.read(3) == b"abc"
    assert goes_through(through, other(direction))
    if reset:
        sender.send(b"defg")
        assert receiver.is_reset(behind=b"defg")
        assert sender.is_reset()
    else:
        sender.send(b"defghij")
        assert receiver.rest() == b"defg"
        assert sender.rest() == b""
    rig.proxy.wait_for(lambda proxy: flow.passed == 7 + (direction == "up"))


@directions
def test_half_a_cut_by_fin(through: Through, direction: str) -> None:
    sender, flow, receiver = through.way(direction)
    flow.cut(2, half=True)
    sender.send(b"abcdef")
    assert receiver.rest() == b"ab"
    assert goes_through(through, other(direction))
    sender.send(b"lost")
    assert goes_through(through, other(direction))
    assert not sender.has_news()


@directions
def test_half_a_cut_by_rst(rig: Rig, through: Through, direction: str) -> None:
    sender, flow, receiver = through.way(direction)
    flow.cut(reset=True, half=True)
    assert receiver.is_reset()
    sender.send(b"nobody is there, and nobody says so")
    assert rig.connect()  # the proxy has turned meanwhile
    assert not sender.has_news()
    assert through.link in rig.proxy.links
    sender.close()
    rig.proxy.wait_for(lambda proxy: through.link not in proxy.links)


@directions
def test_stall_and_release(rig: Rig, through: Through, direction: str) -> None:
    sender, flow, receiver = through.way(direction)
    flow.stall(3)
    sender.send(b"abcdef")
    assert receiver.read(3) == b"abc"
    rig.proxy.wait_for(lambda proxy: flow.stalled)
    sender.send(b"ghi")
    sender.sock.shutdown(socket.SHUT_WR)
    assert goes_through(through, other(direction))
    assert not receiver.has_news()
    flow.release()
    assert receiver.rest() == b"defghi"


def test_half_open_whatever_the_ends_do(rig: Rig, through: Through) -> None:
    through.link.stall()
    through.client.send(b"hello?")
    through.server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    through.server.close()  # RST to the proxy, and no further
    assert rig.connect()
    assert not through.client.has_news()
    assert not through.link.closed
    through.link.release()
    assert through.client.is_reset()


@directions
@pytest.mark.parametrize("pause", [0.0, 0.001])
def test_split(through: Through, direction: str, pause: float) -> None:
    sender, flow, receiver = through.way(direction)
    flow.split(1, pause)
    sizes: list[int] = []
    sender.send(b"x" * 100)
    while sum(sizes) < 100:
        sizes.append(len(receiver.sock.recv(100)))
    assert not pause or len(sizes) > 20  # a receiver that is held up finds several together
    flow.split(0)
    assert goes_through(through, direction, b"y" * 5000)


@directions
@pytest.mark.parametrize("piece", [0, 1, 2, 5])
def test_corrupt(through: Through, direction: str, piece: int) -> None:
    """Wherever the pieces begin and end."""
    sender, flow, receiver = through.way(direction)
    flow.split(piece)
    flow.corrupt(b"XYZ", 2)
    sender.send(b"abcdef")
    assert receiver.read(6) == b"abXYZf"
    assert goes_through(through, direction, b"abcdef")
    assert goes_through(through, other(direction), b"abcdef")


def test_a_release_takes_back_what_was_ordered(through: Through) -> None:
    through.link.down.cut(10)
    through.link.down.corrupt(b"X", 5)
    through.link.down.split(1)
    through.link.release()
    assert goes_through(through, "down", b"a" * 100)


def test_accept_and_never_answer(rig: Rig) -> None:
    rig.proxy.on_next(lambda link: link.up.stall())
    mute, other = rig.dial(), rig.dial()
    servers = [rig.accept(), rig.accept()]
    mute.send(b"anybody there?")
    other.send(b"x")
    assert sum(server.has_news() for server in servers) <= 1
    assert next(end for end in servers if select.select([end.sock], [], [], 0.2)[0]).read(1) == b"x"
    assert not mute.has_news()
    [link] = [link for link in rig.proxy.links if link.up.stalled]
    link.cut(reset=True)
    assert mute.is_reset()


def test_a_command_for_the_next_ones(rig: Rig) -> None:
    rig.proxy.on_next(lambda link: link.cut(reset=True), times=2)
    assert [rig.is_turned_away(), rig.is_turned_away()] == [True, True]
    assert goes_through(rig.connect(), "down")


def test_a_command_for_each_that_is_there(rig: Rig) -> None:
    there = [rig.connect() for _ in range(5)]
    assert rig.proxy.each(lambda link: link.cut()) == 5
    assert [one.client.rest() for one in there] == [b""] * 5
    assert goes_through(rig.connect(), "up")


def test_refuse_and_accept_again(rig: Rig, through: Through) -> None:
    port = rig.proxy.port
    rig.proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        rig.dial()
    assert goes_through(through, "up")
    rig.proxy.accept_again()
    assert rig.proxy.port == port
    assert goes_through(rig.connect(), "up")
    rig.proxy.accept_again(new_port=True)
    assert rig.proxy.port != port
    assert goes_through(rig.connect(), "up")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_an_upstream_that_refuses_and_one_that_comes_later(rig: Rig) -> None:
    upstream, rig.proxy.upstream = rig.proxy.upstream, ""
    assert rig.is_turned_away()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        rig.proxy.upstream = f"127.0.0.1:{nobody.getsockname()[1]}"
        assert rig.is_turned_away()
    rig.proxy.upstream = upstream
    assert goes_through(rig.connect(), "up")


def test_waiting_has_an_end_that_says_what_is(rig: Rig, through: Through) -> None:
    with pytest.raises(TimeoutError, match=r"Link\(1, 1 bytes up, 0 down\)"):
        rig.proxy.wait_for(lambda proxy: proxy.opened == 2, 0.01)


def test_a_command_that_raises_is_told_of(rig: Rig) -> None:
    def fail(link: Link) -> None:
        raise LookupError("my mistake")

    with pytest.raises(LookupError, match="my mistake"):
        rig.proxy.each(fail) if rig.connect() else None
    rig.proxy.on_next(fail)
    rig.dial()
    rig.proxy.wait_for(lambda proxy: proxy.opened == 2)
    with pytest.raises(LookupError, match="my mistake"):
        rig.proxy.close()


def test_the_end_closes_everything(rig: Rig) -> None:
    threads = threading.active_count()
    stalled, plain = rig.connect(), rig.connect()
    stalled.link.stall()
    rig.proxy.close()
    for one in (stalled, plain):
        assert one.client.is_reset()
        assert one.server.is_reset()
        assert one.link.closed
    assert threading.active_count() == threads - 1
    with pytest.raises(ConnectionRefusedError):
        rig.dial()
    with pytest.raises(ApiUnavailable, match="is closed"):
        rig.proxy.accept_again()


# Chaos.


class Echo:
    """Clients that say something, hear it back, and dial again when that fails, until told to end."""

    def __init__(self, rig: Rig, clients: int) -> None:
        self.rig = rig
        self.done = threading.Event()
        self.rounds = [0] * clients
        self.news = threading.Condition()
        self.server = RuntimeApi()
        rig.proxy.upstream = self.server.address
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, number: int) -> None:
        request = b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n"
        while not self.done.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.rig.proxy.port), TIMEOUT) as sock:
                    while not self.done.is_set():
                        sock.sendall(request)
                        data = b""
                        while not data.endswith(b"pong"):
                            piece = sock.recv(1000)
                            if not piece:
                                raise ConnectionResetError
                            data += piece
                        with self.news:
                            self.rounds[number] += 1
                            self.news.notify_all()
            except OSError:
                pass

    def wait_rounds(self, more: int) -> None:
        """Until every client has had so many more."""
        with self.news:
            goal = [rounds + more for rounds in self.rounds]
            assert self.news.wait_for(lambda: all(a >= b for a, b in zip(self.rounds, goal, strict=True)), TIMEOUT)

    def close(self) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join(TIMEOUT)
        self.server.close()


def test_chaos_strikes_until_it_ends_and_then_all_is_well(rig: Rig) -> None:
    echo = Echo(rig, 4)
    try:
        enough = threading.Event()
        with Chaos(rig.proxy, 1, every=0.002, lasting=0.01) as chaos:
            while len(chaos.strikes) < 150:
                echo.wait_rounds(1)
                enough.wait(0.001)
        strikes = len(chaos.strikes)
        assert {strike.split()[0] for strike in chaos.strikes} > {"fin", "reset", "cut", "stall", "refuse", "split"}
        assert "corrupt" not in {strike.split()[0] for strike in chaos.strikes}
        opened = rig.proxy.opened
        echo.wait_rounds(20)
        assert len(chaos.strikes) == strikes
        assert rig.proxy.opened <= opened + 4
    finally:
        echo.close()


@pytest.mark.parametrize("faults", [EVERY_FAULT, ("stall", "corrupt")])
def test_a_seed_is_a_series(rig: Rig, faults: tuple[str, ...]) -> None:
    def series(seed: int) -> list[str]:
        with Chaos(rig.proxy, seed, every=0.0001, faults=faults) as chaos:
            while len(chaos.strikes) < 20:
                rig.proxy.refuse()  # takes a turn of the proxy's thread
        return [strike.split()[0] for strike in chaos.strikes[:20]]

    first = series(7)
    assert set(first) <= set(faults)
    assert series(7) == first
    assert series(8) != first


def test_chaos_knows_its_faults(rig: Rig) -> None:
    with pytest.raises(ValueError, match="no such faults: earthquake"):
        Chaos(rig.proxy, 1, faults=("earthquake", "fin"))
