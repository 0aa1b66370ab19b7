"""Mistakes made on purpose, in copies of the reader: the fuzzer has to find each, or it would find no others.

From one plain reply, and not from the corpus, which was made by runs that have already seen everything there is to see.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fuzz import run
from fuzz.build import CACHE, build
from fuzz.streams import encode

_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Mistake:
    """`right` stands in _http1_c.pyx once, and becomes `wrong`."""

    name: str
    right: str
    wrong: str

    def plant(self, folder: Path) -> None:
        path = folder / "lmi_fast" / "wire" / "_http1_c.pyx"
        text = path.read_text()
        if text.count(self.right) != 1:
            raise RuntimeError(f"{self.right!r} stands {text.count(self.right)} times in {path.name}, and not once")
        path.write_text(text.replace(self.right, self.wrong))


MISTAKES = [
    Mistake(
        "reads one byte beyond a line",
        "line_end == NULL or end - line_end < 2:",
        "line_end == NULL or end - line_end < 1:",
    ),
    Mistake(
        "reads one byte beyond the received ones, in the chunks",
        "while at + digits < size and digits",
        "while at + digits <= size and digits",
    ),
    Mistake(
        "copies two bytes too many into a body",
        "memcpy(PyByteArray_AS_STRING(self._body), data, size)",
        "memcpy(PyByteArray_AS_STRING(self._body), data, size + 2)",
    ),
    Mistake("overflows the size of a chunk", "chunk = 16 * chunk + digit", "chunk = (chunk << 62) + digit"),
    Mistake("takes a header with a bad name", "return size > 0", "return True"),
    Mistake("forgets that a connection closes", "reply.keep_alive = False", "reply.keep_alive = value[0] == 67"),
    Mistake("loses what came behind a body", "if size > self._length:", "if size > self._length + 1:"),
    Mistake(
        "does not know what the arbiter knows of a reply that broke off",
        "return self._reply if self._arbiter is None else self._arbiter.unfinished()",
        "return self._reply",
    ),
    Mistake(
        "takes trailers for the end",
        "if size >= line + 2 and data[line] == 13 and data[line + 1] == 10:",
        "if size >= line + 2 and data[line + 1] == 10:",
    ),
]


def prove(seconds: int, seed: int, keep: bool) -> int:
    """Plants each mistake in a copy, and lets the fuzzer look for it. How many it did not find.

    `keep`: what shows a mistake goes into the corpus, so that the tests would see it too.
    """
    seeds = CACHE / "planted-seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    for name, stream in {"plain": _PLAIN, "chunked": _CHUNKED}.items():
        (seeds / name).write_bytes(encode([stream]))
    missed = 0
    for mistake in MISTAKES:
        target = build("planted", mistake.plant)
        outcome = run.run(target, [seeds], seconds, run.NO_LIMIT, seed, found=CACHE / "planted-found")
        missed += not outcome.findings
        verdict = "found" if outcome.findings else "NOT FOUND"
        print(f"{verdict}: {mistake.name}: {outcome.seconds:.0f} s, {outcome.executions:,} executions")
        for finding in outcome.findings:
            print("    " + finding["what"].replace("\n", "\n    "), flush=True)
            if keep:
                name = run.SHOWS + mistake.name.replace(" ", "-").replace(",", "")
                shutil.copy(run.FINDINGS / finding["input"], run.CORPUS / name)
    return missed
