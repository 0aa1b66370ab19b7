"""Changes an input as somebody would who knows HTTP: half of the fuzzer's changes are made here.

Its own are of single bytes and words, which leave few replies whole enough for a reader to come to their end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from fuzz.limits import SMALL
from fuzz.streams import CUT
from lmi_fast.wire.reply import KEPT_HEADERS

_LIMITS = [b"%d" % (limit + more) for limit in SMALL.values() for more in (-1, 0, 1)]
_FRAMING = {
    b"content-length": [b"0", b"5", b"05", b"5, 5", b"+5", b"-1", b"99999999", b"123456789", *_LIMITS],
    b"transfer-encoding": [b"chunked", b"identity", b"gzip, chunked", b""],
    b"connection": [b"close", b"keep-alive", b"upgrade", b"a, close", b""],
}
_KEPT: dict[bytes, list[bytes]] = {
    name.encode(): [b"x", b"application/json", b"1" * 18, b"1" * 19, b"1795330471000"] for name in KEPT_HEADERS
}
_OTHER = {name: [b"x"] for name in (b"date", b"x", b"", b"x y", b"(x)", b"\xff", b"trailer", b" folded", b"\t")}
_SEPARATORS = [b": "] * 6 + [b":", b":   ", b" : ", b":\t", b"", b"::"]
_ODD = [b"", b" x ", b"x\ty", b"\xc3\xa9", b"\xe9", b"\x00", b"\x7f", b"caf\xff"]
_VALUES = [*_ODD, *(value for values in (*_FRAMING.values(), *_KEPT.values()) for value in values)]
_ENDS = [b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n", b"\r\n ", CUT + b"\r\n", b"\r" + CUT + b"\n"]
_CODES = [b"%d" % code for code in (200, 202, 204, 304, 100, 103, 101, 404, 500, 599, 600, 199, 2000, 20)]
_WHOLE = [
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
]


def mutate(data: bytes, seed: int) -> bytes:
    """Another input, like `data`; the same for the same seed."""
    dice = Random(seed)
    for _ in range(dice.choice((1, 1, 2, 3))):
        data = data[:1] + dice.choice(_CHANGES)(data[1:], dice)
    if dice.random() < 0.1:
        data = dice.randbytes(1) + data[1:]
    return data


def _insert(data: bytes, dice: Random, what: bytes) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + what + data[at:]


def _insert_cut(data: bytes, dice: Random) -> bytes:
    return _insert(data, dice, CUT)


def _drop_cuts(data: bytes, dice: Random) -> bytes:
    return data.replace(CUT, b"", dice.randrange(1, 4))


def _insert_header(data: bytes, dice: Random) -> bytes:
    name, fitting = dice.choice(list(dice.choice((_FRAMING, _KEPT, _OTHER)).items()))
    value = dice.choice(fitting if dice.random() < 0.7 else _VALUES)
    line = _recase(name, dice) + dice.choice(_SEPARATORS) + _recase(value, dice) + dice.choice(_ENDS)
    starts = [match.end() for match in re.finditer(rb"\n", data)] or [len(data)]
    at = dice.choice(starts)
    return data[:at] + line + data[at:]


def _recase(text: bytes, dice: Random) -> bytes:
    return dice.choice((text, text, text.title(), text.upper(), text[:1].upper() + text[1:], text.swapcase()))


def _change_lines(data: bytes, dice: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    match dice.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] = lines[at].rstrip(b"\r\n") + dice.choice(_ENDS)
    return b"".join(lines)


def _change_value(data: bytes, dice: Random) -> bytes:
    found = list(re.finditer(rb":([^\r\n]*)", data))
    if not found:
        return data
    start, end = dice.choice(found).span(1)
    return data[:start] + b" " + dice.choice(_VALUES) + data[end:]


def _change_status(data: bytes, dice: Random) -> bytes:
    return re.sub(rb"(HTTP/1\.\d )\d+", lambda found: found[1] + dice.choice(_CODES), data, count=dice.randrange(1, 3))


def _true_length(data: bytes, dice: Random) -> bytes:
    """Makes a Content-Length that of all that is there, or nearly."""
    head, blank, body = data.rpartition(b"\r\n\r\n")
    size = len(body.replace(CUT, b"")) + dice.choice((0, 0, 0, 1, -1, -4))
    return re.sub(rb"(?i)(content-length: *)\d+", rb"\g<1>%d" % max(size, 0), head) + blank + body


def _true_chunks(data: bytes, dice: Random) -> bytes:
    """Makes chunks of all that is there behind a head."""
    head, blank, body = data.partition(b"\r\n\r\n")
    chunks = b""
    while body:
        part, body = body[: (size := dice.randrange(1, 40))], body[size:]
        chunks += b"%x\r\n%b\r\n" % (len(part.replace(CUT, b"")), part)
    ending = dice.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"00\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0;x\r\n\r\n", b"0\r\n"))
    return re.sub(rb"(?i)content-length: *\d+", b"Transfer-Encoding: chunked", head) + blank + chunks + ending


def _another_reply(data: bytes, dice: Random) -> bytes:
    whole = dice.choice(_WHOLE)
    return whole + data if dice.random() < 0.3 else data + whole


def _longer(data: bytes, dice: Random) -> bytes:
    return _insert(data, dice, dice.choice((b"x", b"0", b" ", b"a: b\r\n")) * dice.choice((2, 9, 40, 120, 300)))


_CHANGES: list[Callable[[bytes, Random], bytes]] = [
    *(_insert_cut, _insert_cut, _drop_cuts, _insert_header, _insert_header, _change_lines, _change_lines),
    *(_change_value, _change_status, _true_length, _true_chunks, _another_reply, _longer),
]
