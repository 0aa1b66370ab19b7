# cython: annotation_typing=False
"""One keep-alive connection to the Runtime API on an event loop, with one request in flight, or two sent together.

Straight recv and send on a reader callback, not an asyncio protocol: one call less per event, and a body with a length
is received where it is decoded. A connection that is not open dials when it is asked to send, so that its owner only
ever says what to send and hears what came of it: `replied` or `lost`.

Nothing here has a timeout, because the silence of a peer that is alive means nothing. A poll is parked until there is
an event. A post is answered when the caller of the invocation has taken it, however slow he is; sent again it would be
refused, and hanging up costs the invocation that meets the poll behind it. So a peer that accepts and never answers is
waited for until the connection ends, or the process. That can cost, for as long: a poll, its slot; a post, no slot, but
that of a large answer, which polls behind it, and that of the one answer at a time that goes out together with a poll
(pool.py). Peers that are gone without a word, with machine and all, the kernel is asked to find: see address.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from contextvars import Context as Variables
from weakref import ref

from ..errors import ApiProtocolError, ApiUnavailable, InternalError, RuntimeApiError
from ..wire.http1 import Reader
from ..wire.reply import CutOff, Reply
from .address import Address
from .records import READING
from .stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

    from .loop import Callback, Loop


class Owner:
    """What a connection tells."""

    __slots__ = ()

    def replied(self, reply: Reply) -> None:
        """A reply came; `awaited` of the connection says whether more are to come.

        That is not so if the server closed the connection behind this one.
        """
        raise NotImplementedError

    def dialled(self, sock: socket.socket) -> None:
        """A connection that is shared was dialled."""

    def coming(self, reply: Reply) -> None:
        """On a connection that is shared, the head of a reply has come, and not yet all of its body."""

    def lost(self, error: RuntimeApiError) -> None:
        """The connection broke, and all that is awaited is lost. Told too of an idle one that the server closes."""
        raise NotImplementedError


class Connection:
    """See the module. `awaited` is how many replies are to come."""

    __slots__ = (
        "_address",
        "_loop",
        "_mark",
        "_marks",
        "_owner",
        "_reader",
        "_received",
        "_scratch",
        "_sock",
        "_stream",
        "_unsent",
        "_user_timeout",
        "_variables",
        "_watched",
        "awaited",
    )

    def __init__(
        self,
        owner: Owner,
        loop: Loop,
        variables: Variables,
        address: Address,
        scratch: bytearray | memoryview,
        user_timeout: int = 0,
    ) -> None:
        """`variables`: the context variables of no invocation, for callbacks; one that is scheduled while a handler
        runs would have the handler's. `scratch` may be shared with every connection of the loop. `user_timeout`: see
        `Address.new_socket`.
        """
        self._owner = owner
        self._loop = loop
        self._variables = variables
        self._address = address
        self._scratch = scratch
        self._user_timeout = user_timeout
        # Where it notes how many replies are to come of which nothing was read: see journal.py.
        self._marks: mmap | None = None
        self._mark = 0
        self._received = 0
        # Per connection.
        self._sock: socket.socket | None = None
        self._stream: Stream | None = None
        self._watched: object = None  # tells when the loop has let go of our reader
        self._reader = Reader(scratch)
        # Per request.
        self._unsent: list[memoryview] = []
        self.awaited = 0

    def share(self, marks: mmap, mark: int, received: int) -> None:
        """From now on other processes have these connections as well: `mark` of `marks` tells them how it stands, and
        `received` is where in it the scratch buffer begins.
        """
        self._marks, self._mark, self._received = marks, mark, received

    def take_over(self, sock: socket.socket, replies: int) -> None:
        """Goes on with a connection of another process, on which so many replies are to come."""
        self._sock = sock
        sock.setblocking(False)
        self._stream = Stream(sock)
        self._reader = Reader(self._scratch)
        self.awaited = replies
        self._note(replies)
        self._watch_reader()

    def _note(self, replies: int) -> None:
        if self._marks is not None:
            self._marks[self._mark] = replies

    def send(self, head: bytes, body: bytes = b"", tail: bytes = b"", replies: int = 1) -> None:
        """Sends the bytes of as many requests as `replies` says, dialling first where there is no connection."""
        if self.awaited:
            raise InternalError("a request on a connection that waits for a reply")
        self.awaited = replies
        if self._stream is None:
            self._unsent = [memoryview(head), memoryview(body), memoryview(tail)]
            self._dial()
            return
        try:
            sent = self._stream.send(head, body, tail)
        except OSError as error:
            self._send_failed(error)
            return
        if sent < len(head) + len(body) + len(tail):
            self._unsent = [memoryview(head), memoryview(body), memoryview(tail)]
            self._forget_sent(sent)
            self._watch(self._loop.add_writer, self._writable)
        else:
            self._note(replies)

    def close(self) -> None:
        """Closes the socket; the request in flight, if any, is neither replied to nor lost."""
        self.awaited = 0
        self._hang_up()

    def _hang_up(self) -> None:
        self._unsent = []
        self._watched = None
        sock, self._sock = self._sock, None
        self._stream = None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            if self._marks is not None:
                self._note(0)
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # closing would not do: others have it as well
            sock.close()

    def _dial(self) -> None:
        self._reader = Reader(self._scratch)
        try:
            self._sock, where = self._address.new_socket(self._user_timeout)
        except OSError as error:
            self._lose_soon(ApiUnavailable(f"no socket for {self._address.host}: {error}"))
            return
        self._sock.setblocking(False)
        self._stream = Stream(self._sock)
        failure = self._sock.connect_ex(where)
        if failure in (0, errno.EINPROGRESS):
            self._watch(self._loop.add_writer, self._dialled)
        else:
            self._lose_soon(self._cannot_connect(failure))

    def _cannot_connect(self, failure: int) -> ApiUnavailable:
        return ApiUnavailable(f"cannot connect to {self._address.host}: {os.strerror(failure)}")

    def _dialled(self) -> None:
        sock = self._sock
        assert sock is not None
        self._loop.remove_writer(sock.fileno())
        failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self._lose(self._cannot_connect(failure))
            return
        self._watch_reader()
        self._watch(self._loop.add_writer, self._writable)
        self._writable()
        if self._marks is not None:
            self._owner.dialled(sock)

    def _watch_reader(self) -> None:
        reader = self._readable
        self._watched = ref(reader, self._let_go)
        self._watch(self._loop.add_reader, reader)

    def _let_go(self, reader: object) -> None:
        # uvloop calls a reader once when there is an error, and lets go of it without a word (UVPoll._fatal_error): but
        # when RST has come behind bytes, a call reads these, and only the next one the error.
        self._loop.call_soon(self._watch_again, self._sock, context=self._variables)

    def _watch_again(self, sock: socket.socket | None) -> None:
        if sock is not None and self._sock is sock:
            self._loop.remove_reader(sock.fileno())  # of what the loop has left of it
            self._watch_reader()

    def _writable(self) -> None:
        sock = self._sock
        assert sock is not None
        try:
            self._forget_sent(sock.sendmsg(self._unsent))
        except BlockingIOError:
            return
        except OSError as error:
            self._unsent = []
            self._loop.remove_writer(sock.fileno())
            self._send_failed(error)
            return
        if not self._unsent:
            self._loop.remove_writer(sock.fileno())
            self._note(self.awaited)

    def _forget_sent(self, count: int) -> None:
        rest = []
        for part in self._unsent:
            if count < len(part):
                rest.append(part[count:])
                count = 0
            else:
                count -= len(part)
        self._unsent = rest

    def _send_failed(self, error: OSError) -> None:
        if isinstance(error, (BrokenPipeError, ConnectionResetError)):
            # The reply may be there all the same (413 closes early): reading finds that, or the error.
            self._loop.call_soon(self._read_if_open, self._sock, context=self._variables)
        else:
            self._lose_soon(ApiUnavailable(f"cannot send to {self._address.host}: {error}"))

    def _read_if_open(self, sock: socket.socket | None) -> None:
        if self._sock is sock:
            self._readable()

    def _readable(self) -> None:
        stream = self._stream
        if stream is None:
            return
        reader = self._reader
        if self._marks is not None:
            self._marks[self._received] = 0
            self._marks[self._mark] = self.awaited | READING
        try:
            count = stream.receive(reader)
            self._note(0)
            if count < 0:
                if reader.is_idle() and not self._unsent:
                    self._note(self.awaited)
                return
            reply = reader.received(count) if count else reader.end()
        except OSError as error:
            self._lose(ApiUnavailable(f"the connection to {self._address.host} broke: {error}"))
            return
        except ApiProtocolError as error:
            self._lose(error)
            return
        if reply is not None:
            self._deliver(reply)
        elif not count:
            self._lose(ApiUnavailable(f"{self._address.host} closed the connection"))
        elif not self.awaited:
            # The next request's reply would be read as their continuation.
            self._lose(ApiProtocolError("bytes came that belong to no request"))
        elif self._marks is not None:
            self._tell_what_is_coming()

    def _deliver(self, reply: Reply) -> None:
        if not self.awaited:
            self._lose(ApiProtocolError("a reply came that belongs to no request"))
            return
        self.awaited -= 1
        # Bytes behind the last reply belong to no request: whatever they are, this connection is not in step any more.
        # Neither is one that was answered before it had sent all.
        if not reply.keep_alive or self._unsent or not (self.awaited or self._reader.is_idle()):
            self.close()
        elif self.awaited and self._reader.is_idle():
            self._note(self.awaited)  # before anything else: should the process end now, another one has them
        self._owner.replied(reply)
        if self.awaited and not self._reader.is_idle():
            self._deliver_what_is_there()

    def _deliver_what_is_there(self) -> None:
        """The reply to the second of two requests often comes with the first, whole or in part."""
        try:
            reply = self._reader.again()
        except ApiProtocolError as error:
            self._lose(error)
            return
        if reply is not None:
            self._deliver(reply)
        elif self._marks is not None:
            self._tell_what_is_coming()

    def _tell_what_is_coming(self) -> None:
        reply = self._reader.unfinished()
        if reply is not None:
            self._owner.coming(reply)

    def _watch(self, add: Callable[[int, Callback], object], callback: Callback) -> None:
        assert self._sock is not None
        # A copy, because callbacks run in `variables` themselves at times.
        self._variables.copy().run(add, self._sock.fileno(), callback)

    def _lose_soon(self, error: RuntimeApiError) -> None:
        # Not within send(): its caller would hear of the loss before it knows that it has sent. But nothing that may
        # still come on this socket belongs to anybody.
        self._hang_up()
        self._loop.call_soon(self._lose_awaited, error, context=self._variables)

    def _lose_awaited(self, error: RuntimeApiError) -> None:
        if self.awaited:
            self._lose(error)

    def _lose(self, error: RuntimeApiError) -> None:
        reply = self._reader.unfinished() if self.awaited else None
        self.close()
        if reply is not None and reply.is_event():
            # Its head names an invocation: the platform waits for the answer, and would until the deadline.
            reply.body = CutOff(str(error))
            self._owner.replied(reply)
        else:
            self._owner.lost(error)

    def __repr__(self) -> str:
        state = "closed" if self._sock is None else f"{self.awaited} awaited" if self.awaited else "idle"
        return f"Connection({self._address.host}, {state})"
