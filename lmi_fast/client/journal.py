# cython: annotation_typing=False
"""What a worker process has in hand, in memory that it shares with its supervisor.

If the process dies, the supervisor reads here which invocations to answer in its place. They are noted when they come,
and struck out when their answer was taken: until then a death may lose it, and a second answer does no harm, because
the platform takes the first.
"""

from __future__ import annotations

from ..wire.invocation import Invocation
from ..wire.requests import Post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

# The first bytes say how far the process came.
READY = 0  # it is about to poll
SERVED = 1  # an answer was taken
_HEAD = 16
# A record: the length of the request id (0: the record is free), the length of the nonce, the id, the nonce.
_RECORD = 256
_MAX_ID = 180  # a UUID has 36
_MAX_NONCE = 72  # the platform's have 16


def size_for(slots: int) -> int:
    """How many bytes of memory a journal for so many slots takes."""
    return _HEAD + 4 * slots * _RECORD


class Journal:
    """A journal in `memory`, which is all zeros at first. What finds no room in it is not noted."""

    __slots__ = ("_free", "_memory")

    def __init__(self, memory: mmap) -> None:
        self._memory = memory
        self._free = list(range(_HEAD, len(memory) - _RECORD + 1, _RECORD))

    def mark(self, what: int) -> None:
        """Notes READY or SERVED."""
        self._memory[what] = 1

    def has(self, what: int) -> bool:
        """Whether that was noted."""
        return self._memory[what] == 1

    def begin(self, invocation: Invocation) -> None:
        """Notes an invocation that has come."""
        request_id = invocation.request_id.encode()
        nonce = (invocation.invocation_id or "").encode()
        id_size, nonce_size = len(request_id), len(nonce)
        if not self._free or id_size > _MAX_ID or nonce_size > _MAX_NONCE:
            return
        start = self._free.pop()
        middle = start + 2 + id_size
        self._memory[start + 2 : middle] = request_id
        self._memory[middle : middle + nonce_size] = nonce
        self._memory[start + 1] = nonce_size
        self._memory[start] = id_size
        invocation.record = start

    def end(self, post: Post) -> None:
        """Strikes out the invocation that `post` has answered."""
        if post.record:
            self._memory[post.record] = 0
            self._free.append(post.record)
            self._memory[SERVED] = 1

    def open(self) -> list[tuple[str, str]]:
        """Request id and nonce of what was not answered; for the supervisor."""
        found = []
        for start in range(_HEAD, len(self._memory) - _RECORD + 1, _RECORD):
            id_size, nonce_size = self._memory[start], self._memory[start + 1]
            if id_size:
                middle = start + 2 + id_size
                request_id, nonce = self._memory[start + 2 : middle], self._memory[middle : middle + nonce_size]
                found.append((request_id.decode("utf-8", "replace"), nonce.decode("utf-8", "replace")))
        return found
