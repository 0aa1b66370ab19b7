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
from mmap import mmap

from .address import SCRATCH_SIZE
from .records import READING, RECORD, Records

# Behind READY and SERVED: how often a process of the environment was started again.
_RESTARTS = slice(8, 12)
# Behind this comes a mark for each slot, then the records, then the buffer.
_HEAD = 16
# For each slot: answers that were not taken yet are in hand as well.
_RECORDS = 4


class Journal:
    """The journal of one process with so many `slots`. What it notes with every invocation are its `records`."""

    __slots__ = ("_first", "_offers", "memory", "offers", "received", "records", "scratch", "taken_over")

    def __init__(self, slots: int, taken_over: dict[int, tuple[socket.socket, int]] | None = None) -> None:
        """`taken_over`: connections of slots, and how many replies are to come on each."""
        self._first = _HEAD + slots
        self.received = self._first + _RECORDS * slots * RECORD
        self.memory = mmap(-1, self.received + SCRATCH_SIZE)  # all zeros
        self.scratch = memoryview(self.memory)[self.received :]
        self.records = Records(self.memory, self._first, self.received)
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

    def open(self) -> list[tuple[str, str]]:
        """Request id and nonce of what was not answered; for the supervisor."""
        found = {}
        for start in range(self._first, self.received, RECORD):
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
