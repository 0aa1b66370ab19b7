"""The first inputs: the replies that the tests of the readers know, in several pieces each."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from fuzz.streams import CUT, SCRATCH_SIZES, encode


def write(folder: Path) -> None:
    """Writes each as a file, named as the fuzzer names its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs():
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def inputs() -> Iterator[bytes]:
    """The same ones every time."""
    chosen = random.Random(0)
    sizes = itertools.cycle(itertools.product(SCRATCH_SIZES, (False, True), (False, True)))
    for stream in streams():
        if CUT in stream or len(stream) > 2000:
            continue
        for cuts in (0, 1, 4):
            places = sorted(chosen.sample(range(1, len(stream)), min(cuts, len(stream) - 1)))
            pieces = [stream[a:b] for a, b in itertools.pairwise([0, *places, len(stream)])]
            yield encode(pieces, *next(sizes))


def streams() -> Iterator[bytes]:
    # Only who makes the corpus anew needs the tests.
    from tests.wire import test_readers as single
    from tests.wire import test_readers_agree as shapes

    whole = [single.WITH_LENGTH, single.CHUNKED, single.ACCEPTED]
    yield from whole
    yield from (a + b for a, b in itertools.product(whole, whole))
    yield from shapes.FRAGMENTS
    yield from (single.ACCEPTED + fragment + single.CHUNKED for fragment in shapes.FRAGMENTS)
    for status, length, body in itertools.product(shapes.STATUS_LINES, shapes.LENGTH_HEADERS, shapes.BODIES):
        yield status + length + b"\r\n" + body
    for other, length in itertools.product(shapes.OTHER_HEADERS, shapes.LENGTH_HEADERS):
        yield shapes.STATUS_LINES[0] + other + length + b"\r\n" + b"hello" + single.ACCEPTED
    # What the parametrized tests are given.
    for test in (single.test_refused, single.test_h11_accepts_what_the_fast_readers_leave_to_it):
        for mark in getattr(test, "pytestmark", []):
            for case in mark.args[1]:
                yield case if isinstance(case, bytes) else shapes.STATUS_LINES[0] + b"\r\n\r\n".join(case)
