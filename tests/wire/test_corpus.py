"""What fuzzing found worth keeping, read by every reader: the inputs of fuzz/corpus reach all a reader can do."""

from __future__ import annotations

import functools
import gc
import itertools
import sys
from pathlib import Path

import pytest

import fuzz
from fuzz.check import Trace, check, read, reader_class
from fuzz.streams import SCRATCH_SIZES, Stream, encode, parse

from ..conftest import HAVE_COMPILED

CORPUS = sorted((Path(str(fuzz.__file__)).parent / "corpus").iterdir())
FAST = ["pure", "compiled"] if HAVE_COMPILED else ["pure"]


@functools.cache
def streams() -> dict[str, Stream]:
    return {path.name: parse(path.read_bytes()) for path in CORPUS}


@functools.cache
def byte_by_byte(kind: str, name: str) -> Trace:
    whole = streams()[name].whole
    return read(reader_class(kind), Stream(4096, False, False, tuple(whole[i : i + 1] for i in range(len(whole)))))


def test_the_corpus_is_there_and_small() -> None:
    assert len(CORPUS) > 100
    assert sum(path.stat().st_size for path in CORPUS) < 300_000


@pytest.mark.parametrize("kind", FAST)
def test_a_fast_reader_agrees_with_the_others(kind: str) -> None:
    """Given the pieces of the input, and all at once."""
    for name, stream in streams().items():
        try:
            check(stream, functools.partial(read, reader_class(kind)), reader_class("pure"), reader_class("h11"))
        except AssertionError as error:
            raise AssertionError(f"fuzz/corpus/{name}: {error}") from None


@pytest.mark.parametrize("kind", FAST)
def test_a_fast_reader_agrees_with_the_others_byte_by_byte(kind: str) -> None:
    for name in streams():
        fast = byte_by_byte(kind, name)
        assert fast.steps == byte_by_byte("pure", name).steps, name
        other = byte_by_byte("h11", name)
        assert (fast.replies, fast.outcome()) == (other.replies, other.outcome()), name


def test_no_reader_keeps_anything_of_what_it_read(kind: str) -> None:
    def read_all() -> int:
        for stream in streams().values():
            read(reader_class(kind), stream)
        gc.collect()
        return sys.getallocatedblocks()

    read_all()
    before = read_all()
    # One object that is lost with every reply, or every error, would be hundreds.
    assert read_all() < before + 50


def test_an_input_means_what_was_encoded() -> None:
    for choice in itertools.product(SCRATCH_SIZES, (False, True), (False, True)):
        stream = parse(encode([b"HTTP/1.1 ", b"200 OK"], *choice))
        assert stream == Stream(*choice, (b"HTTP/1.1 ", b"200 OK"))
    assert stream.whole == b"HTTP/1.1 200 OK"
    assert parse(b"").pieces == ()
    assert len(parse(b"\x00" + b"a\xfe" * 1000).pieces) <= 20
    assert parse(b"\x00" + b"a\xfe" * 1000).whole == b"a" * 1000
