"""python -m soak: a million invocations with random faults, each to be answered exactly once, and rightly."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from soak.run import Settings, Soak, failures

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- soak: what follows is written by python -m soak --save -->", "<!-- end -->"


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
    if chosen.save:
        write_page()
    return int(failed)


def write_page() -> None:
    """Puts the results that are kept into docs/reliability.md."""
    kept = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    rows: dict[str, list[object]] = {
        "handlers": [report["kind"] for report in kept],
        "seed": [report["seed"] for report in kept],
        "invocations": [f"{report['answered']:,}" for report in kept],
        "slots, worker processes": [f"{report['slots']}, {report['processes']}" for report in kept],
        "seconds": [report["seconds"] for report in kept],
        "processes that died": [report["deaths"] for report in kept],
        "other faults": [f"{sum(report['faults'].values()) - report['deaths']:,}" for report in kept],
    }
    for verdict in sorted({name for report in kept for name in report["verdicts"]}):
        rows[f"outcome: {verdict}"] = [f"{report['verdicts'].get(verdict, 0):,}" for report in kept]
    rows |= {
        "never answered": [report["left_over"] for report in kept],
        "resident memory of the worker that lived throughout, MiB": [
            "{} to {}".format(*report["rss_mib"]) for report in kept
        ],
        "its growth over the second half, bytes per 1,000 invocations": [
            report["bytes_per_thousand"] for report in kept
        ],
        "its descriptors": ["{} to {}".format(*report["descriptors"]) for report in kept],
        "its threads": ["{} to {}".format(*report["threads"]) for report in kept],
    }
    lines = ["| " + " | ".join(map(str, (name, *values))) + " |" for name, values in rows.items()]
    lines.insert(1, "|---" * (len(kept) + 1) + "|")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    raise SystemExit(main())
