"""Raw results as questions to ask of them: medians over rounds, and ratios taken within a round before their median.

Each answer is None where there is no sample for what was asked.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from bench.results import Sample


class Numbers:
    """The samples of every JSON file of a folder."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        for path in sorted(folder.glob("*.json")):
            content = json.loads(path.read_text())
            self.files[content["name"]] = content
        self.samples: list[Sample] = [sample for content in self.files.values() for sample in content["samples"]]

    def matching(self, wanted: dict[str, Any]) -> list[Sample]:
        """The samples that have all of `wanted`."""
        return [sample for sample in self.samples if all(sample.get(name) == value for name, value in wanted.items())]

    def rounds(self, field: str, **wanted: Any) -> dict[int, float]:
        """The values of `field` by round."""
        return {sample["round"]: float(sample[field]) for sample in self.matching(wanted) if field in sample}

    def median(self, field: str, scale: float = 1.0, **wanted: Any) -> float | None:
        """The median over the rounds, times `scale`."""
        return _median([scale * value for value in self.rounds(field, **wanted).values()])

    def ratio(self, field: str, ours: dict[str, Any], theirs: dict[str, Any], **both: Any) -> float | None:
        """The median of ours / theirs in each round that has both."""
        above, below = self.rounds(field, **both, **ours), self.rounds(field, **both, **theirs)
        return _median([above[number] / below[number] for number in above.keys() & below.keys() if below[number]])

    def quantile(self, q: str, name: str) -> float | None:
        """The median over the rounds of a quantile of the latency of a runtime, in milliseconds."""
        return _median([float(s["quantiles"][q]) for s in self.matching({"kind": "tail", "runtime": name})])

    def values(self, field: str, **wanted: Any) -> list[Any]:
        """What different values `field` has, in the order of the samples."""
        return list(dict.fromkeys(sample[field] for sample in self.matching(wanted) if field in sample))


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
