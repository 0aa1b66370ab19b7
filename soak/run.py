"""One soak: a process tree under load and faults, and an account of every invocation."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from bench.results import Progress
from lmi_fast.emulator import Outcome, RuntimeApi
from soak import census
from soak.faults import Faults
from soak.plan import Step, app, steps
from tests.rie_space import descendants
from tests.serving import Served

TIMEOUT = 60.0  # seconds in which whatever has to happen does


class Settings(NamedTuple):
    """Of one soak."""

    kind: str = "async"
    invocations: int = 1_000_000
    slots: int = 64
    processes: int = 2
    seed: int = 1
    strike_every: int = 4_000
    """Invocations between two faults that are not about single requests."""
    intensity: float = 1.0
    """Of those that are; 1: about one in 300 invocations meets one."""


class Soak:
    """`run()` it once; `report()` then."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdicts: Counter[str] = Counter()
        self._wrong: list[str] = []
        self._counts: list[census.Count] = []
        self._parents: list[census.Count] = []
        self._done = 0
        self._lock = threading.Lock()
        # As many as there are slots, and a few that wait for a poll: nothing is refused, and no slot is idle.
        self._room = threading.Semaphore(settings.slots + settings.slots // 4)
        self._api = RuntimeApi(dead_polls=False)
        self._faults = Faults(self._api, settings.seed, settings.intensity)
        self._ending: dict[str, Any] = {}

    def run(self) -> None:
        """Raises nothing that the runtime does wrong: that is in the report."""
        settings = self._settings
        with (
            tempfile.TemporaryDirectory() as folder,
            Served(
                Path(folder),
                app(settings.kind),
                slots=settings.slots,
                api=self._api,
                LMI_FAST_PROCESSES=str(settings.processes),
                AWS_LAMBDA_LOG_LEVEL="CRITICAL",
            ) as served,
        ):
            served.ready()
            elder = min(descendants(served.process.pid), default=served.process.pid)
            bar = Progress("soak", 50)
            began = time.monotonic()
            for number, step in enumerate(steps(settings.seed, settings.invocations)):
                if number % max(1, settings.invocations // 50) == 0:
                    bar.step(f"{settings.kind}, seed {settings.seed}, {number:,} invocations")
                    with contextlib.suppress(OSError):
                        self._counts.append(census.look(elder, number))
                        self._parents.append(census.look(served.process.pid, number))
                if number % settings.strike_every == settings.strike_every - 1:
                    others = [pid for pid in descendants(served.process.pid) if pid != elder]
                    self._faults.strike(max(others, default=None))
                if not self._room.acquire(timeout=TIMEOUT):
                    break  # a slot was lost, and another one: the report will say how many
                self._invoke(step)
            self._wait_for_the_rest()
            bar.end()
            self._ending["seconds"] = round(time.monotonic() - began, 1)
            self._take_leave(served, elder)

    def _invoke(self, step: Step) -> None:
        pending = self._api.invoke(step.event, timeout_s=step.timeout_s)
        pending.add_done_callback(lambda done: self._account(step, done.result()))

    def _account(self, step: Step, outcome: Outcome) -> None:
        try:
            verdict = step.verdict(outcome)
        except Exception as error:
            verdict = f"wrong: {error!r}"
        if verdict != "as planned" and outcome.request_id in self._faults.spoiled:
            verdict = "its event was cut off by the platform"
        with self._lock:
            self._done += 1
            self._verdicts[verdict] += 1
            if verdict.startswith("wrong") and len(self._wrong) < 10:
                self._wrong.append(f"{step.event['do']} {outcome}"[:500])
        self._room.release()

    def _wait_for_the_rest(self) -> None:
        end = time.monotonic() + TIMEOUT
        for _ in range(self._settings.slots + self._settings.slots // 4):
            self._room.acquire(timeout=max(0.0, end - time.monotonic()))

    def _take_leave(self, served: Served, elder: int) -> None:
        ending = self._ending
        self._api.clear_faults()
        with contextlib.suppress(TimeoutError):
            self._api.wait_for_polls(self._settings.slots, TIMEOUT)
        ending["parked"] = self._api.stats.parked
        ending["left_over"] = self._settings.invocations - self._done
        time.sleep(1.5)  # for handlers that were late to end
        with contextlib.suppress(OSError):
            self._counts.append(census.look(elder, self._done))
        census_of = {}
        for _ in range(20 * self._settings.processes):
            body = self._api.invoke({"do": "census"}).result(TIMEOUT).json()
            if isinstance(body, dict) and "pid" in body:
                census_of[body["pid"]] = body
        ending["tasks"] = max((body["tasks"] for body in census_of.values()), default=None)
        ending["elder_lives"] = os.path.exists(f"/proc/{elder}")
        ending["statuses"] = {str(status): count for status, count in sorted(self._api.stats.statuses.items())}
        ending["exit_code"] = served.stop()

    def report(self) -> dict[str, Any]:
        """All that can be said of it, ready for JSON."""
        deaths = sum(count for name, count in self._faults.counts.items() if name.startswith("process ended"))
        first, last = (self._counts[1:2] or self._counts[:1])[0], self._counts[-1]
        return {
            **self._settings._asdict(),
            **self._ending,
            "answered": self._done,
            "verdicts": dict(self._verdicts.most_common()),
            "wrong": self._wrong,
            "faults": dict(sorted(self._faults.counts.items())),
            "deaths": deaths,
            "rss_mib": [round(first.rss / 2**20, 1), round(last.rss / 2**20, 1)],
            "bytes_per_thousand": round(census.slope(self._counts)),
            "parent_bytes_per_thousand": round(census.slope(self._parents)),
            "descriptors": [first.descriptors, last.descriptors],
            "threads": [first.threads, last.threads],
        }


def failures(report: dict[str, Any]) -> list[str]:
    """What was not as it has to be; nothing if all was."""
    found = []
    verdicts = dict(report["verdicts"])
    verdicts.pop("as planned", None)
    spoiled = verdicts.pop("its event was cut off by the platform", 0)
    cut = sum(count for name, count in report["faults"].items() if name in ("event: cut", "event: reset"))
    if spoiled > cut:
        found.append(f"{spoiled} invocations were lost to {cut} events that were cut off")
    dead = verdicts.pop("error Runtime.ExitError", 0)
    if dead > report["deaths"] * report["slots"]:
        found.append(f"{dead} invocations were ended by {report['deaths']} deaths of processes")
    # The runtime answers 50 ms before the deadline; on a machine that is busy that is not always enough.
    first, late = verdicts.pop("timed out by the platform first", 0), report["invocations"] * 3 / 1000
    if first > max(10, late / 2):
        found.append(f"{first} late invocations were timed out by the platform")
    if verdicts:
        found.append(f"outcomes that were not planned: {verdicts}")
    for name, wanted in (("left_over", 0), ("parked", report["slots"]), ("exit_code", 0), ("elder_lives", True)):
        if report[name] != wanted:
            found.append(f"{name} is {report[name]}, not {wanted}")
    if report["kind"] == "async" and report["tasks"] is not None and report["tasks"] > 2:
        found.append(f"{report['tasks']} tasks were left")
    if report["descriptors"][1] > report["descriptors"][0] + report["slots"]:
        found.append(f"descriptors grew: {report['descriptors']}")
    if report["threads"][1] > 2 * report["slots"] + 8:
        found.append(f"{report['threads'][1]} threads were left")
    if report["invocations"] >= 100_000 and report["bytes_per_thousand"] > 4096:
        found.append(f"memory grows by {report['bytes_per_thousand']} bytes per thousand invocations")
    return found
