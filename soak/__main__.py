"""python -m soak: a million invocations with random faults, each to be answered exactly once, and rightly."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from soak.run import Settings, Soak, failures

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--kinds", default="async,plain", help="of handlers (async,plain)")
    parser.add_argument("--invocations", type=int, default=usual.invocations, help="of each kind (1,000,000)")
    parser.add_argument("--slots", type=int, default=usual.slots, help=f"({usual.slots})")
    parser.add_argument("--processes", type=int, default=usual.processes, help=f"({usual.processes})")
    parser.add_argument("--seed", type=int, default=usual.seed, help=f"({usual.seed})")
    parser.add_argument("--save", action="store_true", help="keep the result in soak/results")
    chosen = parser.parse_args()
    failed = False
    for kind in chosen.kinds.split(","):
        settings = Settings(kind, chosen.invocations, chosen.slots, chosen.processes, chosen.seed)
        soak = Soak(settings)
        soak.run()
        report = soak.report()
        print(json.dumps(report, indent=1))
        for reason in failures(report):
            failed = True
            print(f"soak: {kind}: {reason}", file=sys.stderr)
        if chosen.save:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{kind}.json").write_text(json.dumps(report, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
