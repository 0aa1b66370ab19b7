# cython: annotation_typing=False
"""What a worker process has in hand, where its supervisor sees it: in memory and sockets that they share.

If the process dies, the supervisor reads here which invocations to answer in its place. They are noted when they come,
and struck out when their answer was taken: until then a death may lose it, and a second answer does no harm, because
the platform takes the first.

Its polls outlive it. The platform goes on to hand out a poll whose connection is gone, and fails the invocation; and an
event may have been sent that was never read. So the supervisor holds every slot's connection open as well, and the
process that comes next takes them over, if the marks say that nothing of what is to come on them was read. And what was
read, but not noted yet, is in the buffer it was received into, which is shared too.
"""

from __future__ import annotations

import contextlib
import socket

from ..wire.requests import Post
from .address import SCRATCH_SIZE

# The first bytes say how far the process came.
READY = 0  # it is about to poll
SERVED = 1  # an answer was taken
_RESTARTS = slice(8, 12)  # and how often a process of the environment was started again
_HEAD = 16
# Added to the mark of a slot while the kernel may have been asked for more, and what came may not be known yet.
READING = 0x80
# Behind a mark for each slot come the records: the length of the request id (0: the record is free), the length of the
# nonce, the id, the nonce.
_RECORD = 256
_MAX_ID = 180  # a UUID has 36
_MAX_NONCE = 72  # the platform's have 16


class Journal:
    """The journal of one process with so many `slots`. What finds no room in it is not noted."""

    __slots__ = ("_first", "_free", "_offers", "memory", "offers", "received", "scratch", "taken_over")

    def __init__(self, slots: int, taken_over: dict[int, tuple[socket.socket, int]] | None = None) -> None:
        """`taken_over`: connections of slots, and how many replies are to come on each."""
        from mmap import mmap  # only who has a supervisor comes here

        self._first = _HEAD + slots
        self.received = self._first + 4 * slots * _RECORD
        self.memory = mmap(-1, self.received + SCRATCH_SIZE)  # all zeros
        self.scratch = memoryview(self.memory)[self.received :]
        self._free = list(range(self._first, self.received, _RECORD))
        self.taken_over = taken_over or {}
        for slot, (_, replies) in self.taken_over.items():  # the process may die before it has taken anything over
            self.memory[self.mark_of(slot)] = replies
        # What the process sends its connections through, and what its supervisor finds them at.
        self._offers, self.offers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._offers.setblocking(False)
        self.offers.setblocking(False)

    def close(self) -> None:
        """For the supervisor, when the process is dead."""
        self._offers.close()
        self.offers.close()
        self.scratch.release()
        self.memory.close()

    def replies_of(self, slot: int) -> int:
        """How many replies are to come on a slot's connection; 0 if something of them was read. For the supervisor."""
        mark = self.memory[self.mark_of(slot)]
        if mark & READING:  # it died round about that system call
            return mark & ~READING if not self.memory[self.received] else 0
        return mark

    def mark_of(self, slot: int) -> int:
        """Where in `memory` a connection of this slot notes how many replies are to come of which nothing was read."""
        return _HEAD + slot

    def offer(self, slot: int, sock: socket.socket) -> None:
        """Shares the connection of a slot with the supervisor."""
        with contextlib.suppress(OSError):  # it has no time; this connection is this process's own then
            socket.send_fds(self._offers, [slot.to_bytes(2, "big")], [sock.fileno()])

    def accept(self) -> tuple[int, socket.socket] | None:
        """What was offered, one by one; for the supervisor."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self.offers, 2, 1)
        except OSError:
            return None
        if len(message) != 2 or not descriptors:
            return None
        return int.from_bytes(message, "big"), socket.socket(fileno=descriptors[0])

    def mark(self, what: int) -> None:
        """Notes READY or SERVED."""
        self.memory[what] = 1

    def has(self, what: int) -> bool:
        """Whether that was noted."""
        return self.memory[what] == 1

    def note_restarts(self, count: int) -> None:
        """Tells the process how often one was started again. For the supervisor."""
        self.memory[_RESTARTS] = count.to_bytes(4, "big")

    def restarts(self) -> int:
        """How often one was, all processes together."""
        return int.from_bytes(self.memory[_RESTARTS], "big")

    def note(self, invocation_request_id: str, invocation_nonce: str) -> int:
        """Notes an invocation that has come, or is coming: where; 0 for nowhere."""
        self.memory[self.received] = 0  # the buffer has nothing to tell any more
        request_id, nonce = invocation_request_id.encode(), invocation_nonce.encode()
        id_size, nonce_size = len(request_id), len(nonce)
        if not self._free or id_size > _MAX_ID or nonce_size > _MAX_NONCE:
            return 0
        start = self._free.pop()
        middle = start + 2 + id_size
        self.memory[start + 2 : middle] = request_id
        self.memory[middle : middle + nonce_size] = nonce
        self.memory[start + 1] = nonce_size
        self.memory[start] = id_size
        return start

    def end(self, post: Post) -> None:
        """Strikes out the invocation that `post` has answered."""
        if post.record:
            self.memory[post.record] = 0
            self._free.append(post.record)
            self.memory[SERVED] = 1

    def open(self) -> list[tuple[str, str]]:
        """Request id and nonce of what was not answered; for the supervisor."""
        found = {}
        for start in range(self._first, self.received, _RECORD):
            id_size, nonce_size = self.memory[start], self.memory[start + 1]
            if id_size:
                middle = start + 2 + id_size
                request_id, nonce = self.memory[start + 2 : middle], self.memory[middle : middle + nonce_size]
                found[request_id.decode("utf-8", "replace")] = nonce.decode("utf-8", "replace")
        found.update(_heads(bytes(self.scratch)))
        return list(found.items())


def _heads(data: bytes) -> dict[str, str]:
    """Request id and nonce of the event that a receive buffer begins with, or has behind the reply to an answer."""
    if not data.startswith(b"HTTP/1."):
        return {}
    found = {}
    for reply in data.split(b"HTTP/1.1 200 ")[1:]:
        head, end, _ = reply.partition(b"\r\n\r\n")
        fields = dict(line.partition(b":")[::2] for line in head.split(b"\r\n")[1:])
        names = {name.lower(): value.strip().decode("latin-1") for name, value in fields.items()}
        request_id = names.get(b"lambda-runtime-aws-request-id")
        if end and request_id:
            found[request_id] = names.get(b"lambda-runtime-invocation-id", "")
    return found
