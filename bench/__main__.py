"""python -m bench: measure everything, write the raw numbers, and make bench/README.md of them."""

from __future__ import annotations

import argparse
import sys

from bench import coldstart, load, memory, report, tail, ways, web
from bench.numbers import Numbers
from bench.places import Unavailable, compiled
from bench.results import Session, save

PARTS = ("load", "memory", "coldstart", "tail", "ways", "web")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}; also: saturated")
    parser.add_argument("--quick", action="store_true", help="the few most telling cases; leaves bench/results alone")
    parser.add_argument("--rounds", type=int, help="rounds of every comparison (5; 3 with --quick)")
    parser.add_argument("--seconds", type=float, help="length of one measured run (1; 0.5 with --quick)")
    chosen = parser.parse_args()
    session = Session(
        quick=chosen.quick,
        rounds=chosen.rounds or (3 if chosen.quick else 5),
        seconds=chosen.seconds or (0.5 if chosen.quick else 1.0),
    )
    parts = chosen.only.split(",")
    if unknown := set(parts) - {*PARTS, "saturated"}:
        parser.error(f"not a part: {', '.join(sorted(unknown))}")
    try:
        compiled("server")
    except Unavailable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if "load" in parts or "saturated" in parts:
        save("load", session, load.measure(session, only_saturated="load" not in parts))
    others = {"memory": memory, "coldstart": coldstart, "tail": tail, "ways": ways, "web": web}
    for name, part in others.items():
        if name in parts:
            save(name, session, part.measure(session))
    print(report.summary(Numbers(session.folder())))
    if not session.quick:
        report.write(Numbers(session.folder()))
    for reason in session.failed:
        print(f"failed: {reason}", file=sys.stderr)
    for name, reason in session.left_out.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    return 1 if session.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
