# cython: annotation_typing=False
"""What a worker process notes of itself while it serves: a record of each invocation it has in hand.

The memory they are in is shared with its supervisor: journal.py says what for, and reads them. A record is written
when its invocation comes, and struck out when the answer was taken. What finds no room is not noted.
"""

from __future__ import annotations

from ..wire.requests import Post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

# The first bytes of the memory say how far the process came.
READY = 0  # it is about to poll
SERVED = 1  # an answer was taken
# Added to the mark of a slot while the kernel may have been asked for more, and what came may not be known yet.
READING = 0x80
# A record: the length of the request id (0: the record is free), the length of the nonce, the id, the nonce.
RECORD = 256
_MAX_ID = 180  # a UUID has 36
_MAX_NONCE = 72  # the platform's have 16


class Records:
    """Those between `first` and `received` in `memory`; at `received` begins the buffer that is received into."""

    __slots__ = ("_free", "_memory", "_received")

    def __init__(self, memory: mmap, first: int, received: int) -> None:
        self._memory = memory
        self._received = received
        self._free = list(range(first, received, RECORD))

    def note(self, invocation_request_id: str, invocation_nonce: str) -> int:
        """Notes an invocation that has come, or is coming: where; 0 for nowhere."""
        self._memory[self._received] = 0  # the buffer has nothing to tell any more
        request_id, nonce = invocation_request_id.encode(), invocation_nonce.encode()
        id_size, nonce_size = len(request_id), len(nonce)
        if not self._free or id_size > _MAX_ID or nonce_size > _MAX_NONCE:
            return 0
        start = self._free.pop()
        middle = start + 2 + id_size
        self._memory[start + 2 : middle] = request_id
        self._memory[middle : middle + nonce_size] = nonce
        self._memory[start + 1] = nonce_size
        self._memory[start] = id_size
        return start

    def end(self, post: Post) -> None:
        """Strikes out the invocation that `post` has answered."""
        if post.record:
            self._memory[post.record] = 0
            self._free.append(post.record)
            self._memory[SERVED] = 1
