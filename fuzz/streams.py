"""What the bytes of one fuzzing input mean: how a connection receives a stream, and the stream itself.

    first byte          how large the scratch buffer is, whether it is a part of a larger one, as where processes share
                        memory, and whether the compiled reader is given bytes through room(), as the compiled stream
                        does it, or through buffer()
    the others          the stream, received in the pieces between the CUTs

A byte that cuts, and not a table of places, so that a cut stays where it is when the fuzzer moves the bytes around it,
and so that a file of the corpus can be read. No reader can miss the byte: it means the same to them as 0xff.
"""

from __future__ import annotations

from dataclasses import dataclass

CUT = b"\xfe"
# The largest takes every piece at once; heads and bodies outgrow the others. None is very small: a stream that comes
# byte by byte takes a hundred times as long, and tests/wire/test_corpus.py has all of the corpus come so.
SCRATCH_SIZES = (4096, 256, 41)
MAX_PIECES = 20


@dataclass(frozen=True)
class Stream:
    """Bytes as a connection receives them."""

    scratch_size: int
    through_room: bool
    in_larger: bool
    pieces: tuple[bytes, ...]

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)

    def in_one_piece(self) -> Stream:
        return Stream(SCRATCH_SIZES[0], self.through_room, self.in_larger, (self.whole,))


def parse(data: bytes) -> Stream:
    """The stream an input stands for; every input is one."""
    choice, size = divmod(data[0] if data else 0, len(SCRATCH_SIZES))
    *pieces, rest = data[1:].split(CUT, MAX_PIECES - 1)
    pieces = [piece for piece in (*pieces, rest.replace(CUT, b"")) if piece]
    return Stream(SCRATCH_SIZES[size], choice % 2 == 1, choice // 2 % 2 == 1, tuple(pieces))


def encode(
    pieces: list[bytes], scratch_size: int = SCRATCH_SIZES[0], through_room: bool = False, in_larger: bool = False
) -> bytes:
    """An input for `pieces`, the other way round."""
    choice = SCRATCH_SIZES.index(scratch_size) + len(SCRATCH_SIZES) * (through_room + 2 * in_larger)
    return bytes([choice]) + CUT.join(pieces)
