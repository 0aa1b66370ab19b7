"""What lmi_fast is to reach, as numbers that are computed from the raw results and held against a limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from bench import rivals, web
from bench.numbers import Numbers

OURS = {"async": rivals.ASYNC.name, "sync": rivals.SYNC.name}
PAYLOAD = 6_000_000


class Target(NamedTuple):
    """One row: `measured` is to be at most `limit` (at least, when `least`)."""

    what: str
    limit: float
    measured: float | None
    unit: str = "x"
    least: bool = False

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.least else self.measured <= self.limit

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        if self.met:
            return "met"
        if not self.limit:
            return f"missed by {self.measured:.1f} {self.unit}"
        share = self.limit / self.measured - 1 if self.least else self.measured / self.limit - 1
        return f"missed by {share:.0%}" if share >= 0.005 else "missed by less than 1%"

    def show(self, value: float | None) -> str:
        """A value in this row's unit; a ratio below a half as one over what it is."""
        if value is None:
            return "-"
        if self.unit == "x":
            return f"1/{1 / value:.1f}".removesuffix(".0") if 0 < value < 0.5 else f"{value:.2f}x"
        return f"{value:.1f} {self.unit}" if value % 1 else f"{value:.0f} {self.unit}"

    @property
    def bound(self) -> str:
        return f"{'>=' if self.least else '<='} {self.show(self.limit)}"


def targets(numbers: Numbers) -> list[Target]:
    """All of them, in the order in which they were set."""
    return [*_saturated(numbers), *_emulated(numbers), *_footprint(numbers), *_latency(numbers), *_web(numbers)]


def _web(numbers: Numbers) -> Iterator[Target]:
    what = f"CPU per request, FastAPI, N = {web.SLOTS}, against"
    for name, limit, rival in (
        ("uvicorn behind an adapter", 1 / 2, web.HOP),
        ("Mangum on awslambdaric", 1 / 4, web.MANGUM),
    ):
        yield Target(f"{what} {name}", limit, _against(numbers, "cpu_us", web.OURS.name, rival.name, kind="web"))


def _against(numbers: Numbers, field: str, ours: str, theirs: str, **both: Any) -> float | None:
    return numbers.ratio(field, {"runtime": ours}, {"runtime": theirs}, **both)


def _saturated(numbers: Numbers) -> Iterator[Target]:
    plain: dict[str, Any] = {"kind": "saturated", "event": "200 B", "coalesce": False}
    rust, go, official = rivals.RUST.name, rivals.GO.name, rivals.AWSLAMBDARIC.name

    def cpu(ours: str, theirs: str, **both: Any) -> float | None:
        return _against(numbers, "cpu_us", ours, theirs, **both)

    for way, name in OURS.items():
        for slots in (16, 64):
            what = f"CPU per invocation, 200 B, N = {slots}, {way}, against"
            case = {**plain, "slots": slots}
            yield Target(f"{what} Rust", 0.7, cpu(name, rust, **case))
            yield Target(f"{what} Go", 1 / 4, cpu(name, go, **case))
            yield Target(f"{what} awslambdaric", 1 / 30, cpu(name, official, **case))
            yield Target(f"{what} the C floor, serial", 1.5, cpu(name, rivals.FLOOR.name, **case))
            yield Target(f"{what} the C floor, pipelined", 1.5, cpu(name, rivals.FLOOR_PIPELINED.name, **case))
    for way, name in OURS.items():
        for event, over_rust, over_official in (
            ("100 KB", 1.3, 1 / 8),
            ("100 KB of records", 1.3, 1 / 8),
            ("API Gateway HTTP", 0.8, 1 / 20),
        ):
            case = {"kind": "saturated", "event": event, "slots": 16}
            yield Target(f"CPU per invocation, {event}, {way}, against Rust", over_rust, cpu(name, rust, **case))
            what = f"CPU per invocation, {event}, {way}, against awslambdaric"
            yield Target(what, over_official, cpu(name, official, **case))
        large = {"kind": "saturated", "event": "6 MB"}
        speed = _against(numbers, "per_second", name, official, **large)
        yield Target(f"6 MB there and back, {way}, per second against awslambdaric", 1.0, speed, least=True)
        peak = numbers.median("peak_growth_bytes", 1 / PAYLOAD, runtime=name, **large)
        yield Target(f"6 MB there and back, {way}, peak memory in payloads", 4.0, peak)
    for name in (rivals.PURE.name, rivals.PURE_SYNC.name):
        case = {**plain, "slots": 16}
        yield Target(f"{name}, 200 B, N = 16, against awslambdaric", 1 / 12, cpu(name, official, **case))
        yield Target(f"{name}, 200 B, N = 16, against Rust", 1.5, cpu(name, rust, **case))


def _emulated(numbers: Numbers) -> Iterator[Target]:
    for way, name in OURS.items():
        for slots in (16, 64):
            case = {"kind": "emulated", "slots": slots, "clients": slots}
            what = f"under the emulator, N = {slots}, {way}:"
            for rival, limit in ((rivals.RUST.name, 0.7), (rivals.AWSLAMBDARIC.name, 1 / 6)):
                spent = _against(numbers, "cpu_us", name, rival, **case)
                yield Target(f"{what} CPU per invocation against {rival}", limit, spent)
                served = _against(numbers, "per_second", name, rival, **case)
                yield Target(f"{what} served per second against {rival}", 1.0, served, least=True)
            yield Target(f"{what} refused, clients = N", 1.0, refused_percent(numbers, name, slots, slots), "%")
            half = refused_percent(numbers, name, slots, slots // 2)
            yield Target(f"{what} refused, clients = N/2", 0.0, half, "%")


def refused_percent(numbers: Numbers, name: str, slots: int, clients: int) -> float | None:
    """Of all invokes of all rounds, how many in a hundred found no poll."""
    case = {"kind": "emulated", "runtime": name, "slots": slots, "clients": clients}
    refused = sum(numbers.rounds("refused", **case).values())
    served = sum(numbers.rounds("served", **case).values())
    return 100 * refused / (refused + served) if served else None


def _footprint(numbers: Numbers) -> Iterator[Target]:
    official = rivals.AWSLAMBDARIC.name
    for way, name in OURS.items():
        for slots, limit in ((16, 1 / 10), (64, 1 / 35)):
            case = {"kind": "memory", "work": "boto", "slots": slots}
            what = f"PSS with boto3, N = {slots}, {way}, against awslambdaric"
            yield Target(what, limit, _against(numbers, "pss_bytes", name, official, **case))
        case = {"kind": "coldstart", "work": "boto", "slots": 16, "bytecode": True}
        polls = _against(numbers, "all_polls_s", name, official, **case)
        yield Target(f"exec until all poll, boto3, N = 16, {way}, against awslambdaric", 1 / 8, polls)
        spent = _against(numbers, "cpu_s", name, official, **case)
        yield Target(f"CPU of the start, boto3, N = 16, {way}, against awslambdaric", 1 / 12, spent)
    bare = {"kind": "coldstart", "work": "plain", "bytecode": True}
    first = _against(numbers, "first_poll_s", OURS["sync"], official, slots=1, **bare)
    yield Target("exec until the first poll, bare, one slot, sync, against awslambdaric", 1.0, first)
    imports = "python, import asyncio, uvloop, msgspec"
    one = {"runtime": OURS["async"], "slots": 1}
    first = numbers.ratio("first_poll_s", one, {"runtime": imports}, **bare)
    yield Target("exec until the first poll, bare, one slot, async, against those imports alone", 1.15, first)


def _latency(numbers: Numbers) -> Iterator[Target]:
    p99 = numbers.quantile("0.99", OURS["async"])
    yield Target("p99 of what is added to 50 ms, N = 64, 70 % load, async", 5.0, p99, "ms")
    for way, name in OURS.items():
        for first in (1, 4):  # with one slot the floor itself is four times as dear: the CPU sleeps and wakes each time
            what = f"CPU per invocation, dearest N of {first} to 512 against cheapest, {way}"
            yield Target(what, 1.2, _flatness(numbers, name, first))
        slot = _bytes_per_slot(numbers, name)
        yield Target(f"memory per extra slot, {way}", 64.0, None if slot is None else slot / 1024, "KiB")


def _flatness(numbers: Numbers, name: str, first: int) -> float | None:
    case: dict[str, Any] = {"kind": "saturated", "runtime": name, "event": "200 B", "coalesce": False}
    sizes = [slots for slots in numbers.values("slots", **case) if slots >= first]
    costs = [numbers.median("cpu_us", slots=slots, **case) for slots in sizes]
    found = [cost for cost in costs if cost is not None]
    return max(found) / min(found) if len(found) > 3 else None


def _bytes_per_slot(numbers: Numbers, name: str) -> float | None:
    case: dict[str, Any] = {"kind": "memory", "runtime": name, "work": "boto"}
    slots = sorted(numbers.values("slots", **case))
    if len(slots) < 2:
        return None
    few, many = (numbers.median("pss_bytes", slots=n, **case) for n in (slots[0], slots[-1]))
    return None if few is None or many is None else (many - few) / (slots[-1] - slots[0])
