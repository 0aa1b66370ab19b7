"""python -m bench.gates: is lmi_fast still as fast as it was? Exit code 1 when it is not.

One line for each gate: what is divided by what, the limit, and the verdict. About a minute; needs a C compiler,
valgrind for the counts of instructions, and the network once, for awslambdaric.

After a change that makes things faster, or dearer for a good reason: --update, and commit bench/gates/counts.json.
"""

from __future__ import annotations

import argparse
import sys
import time

from bench.gates.gate import slowed
from bench.gates.kinds import KINDS, SUBJECTS, CannotGate, Taken, take, update_counts
from bench.places import Unavailable
from bench.server import BenchError

SLOW = (*SUBJECTS, "start")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(KINDS), help=f"some of {','.join(KINDS)}")
    parser.add_argument("--update", action="store_true", help="count, and rewrite counts.json for this Python")
    parser.add_argument("--slow", choices=SLOW, help="slow this down on purpose, so that its gates trip")
    parser.add_argument("--percent", type=float, help="by how much; else by what the gate promises to see")
    parser.add_argument("--prove", action="store_true", help="every gate, as it is and slowed down: each must trip")
    chosen = parser.parse_args()
    kinds = chosen.only.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"not a kind of gate: {', '.join(sorted(unknown))}")
    share = chosen.percent / 100 if chosen.percent else None
    started = time.monotonic()
    try:
        if chosen.update:
            for name, count in update_counts().items():
                print(f"{name:10} {count:9.0f} instructions")
            return 0
        # The slow variants run beside the others, or the machine's noise would be between them.
        slow = SLOW if chosen.prove else (chosen.slow,) if chosen.slow else ()
        failed = 0
        for kind in kinds:
            taken = take(kind, slow, share)
            failed += _prove(taken) if chosen.prove else _judge(taken, chosen.slow)
    except (BenchError, CannotGate, Unavailable) as error:
        print(f"bench.gates: {error}", file=sys.stderr)
        return 2
    print(f"{'FAILED' if failed else 'passed'}, in {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def _judge(taken: Taken, slow: str | None) -> int:
    """Prints a line for each gate, and returns how many have tripped."""
    failed = 0
    for gate in taken.gates:
        subject = gate.above if slow in (gate.above, "start") and slowed(gate.above) in taken.rounds[0] else None
        measured = gate.measured(taken.rounds, subject)
        print(gate.line(measured), flush=True)
        failed += gate.trips(measured)
    _print_left_out(taken)
    return failed


def _prove(taken: Taken) -> int:
    """Prints two lines for each gate, and returns how many did not behave: as it is it holds, slowed down it trips."""
    failed = 0
    for gate in taken.gates:
        measured = gate.measured(taken.rounds)
        slow = gate.measured(taken.rounds, gate.above)
        proved = gate.trips(slow) and not gate.trips(measured)
        print(gate.line(measured))
        name = f"  {'proved' if proved else 'NOT PROVED'}: {gate.above} slower by {slow / measured - 1:.0%}"
        print(gate.line(slow, name), flush=True)
        failed += not proved
    _print_left_out(taken)
    return failed


def _print_left_out(taken: Taken) -> None:
    for name, reason in taken.left_out.items():
        print(f"{name}: left out: {reason}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
