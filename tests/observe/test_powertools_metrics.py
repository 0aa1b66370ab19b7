"""Powertools' Metrics when invocations overlap: a line holds what one invocation has added, and none is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..serving import Served, serving
from .overlapping import COUNT, SLOTS, both, numbers, outcomes, overlapping, program, results


def emitted(served: Served, name: str) -> list[dict[str, Any]]:
    """The lines with that metric."""
    return [record for record in served.records() if "_aws" in record and name in record]


def dimensions(record: dict[str, Any]) -> list[list[str]]:
    found: list[list[str]] = record["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
    return found


SOURCE = """
    from aws_lambda_powertools import Metrics, single_metric
    metrics = Metrics(namespace="test", service="payment")
    same = Metrics(namespace="test", service="payment")
    metrics.set_default_dimensions(stage="prod")
    @metrics.log_metrics(capture_cold_start_metric=True, default_dimensions={"zone": "a"})
    ASYNC def handler(event, context):
        n = event["n"]
        AWAIT meet()
        metrics.add_metric(name="Number", unit="Count", value=n)
        metrics.add_dimension(name="tenant", value=f"tenant-{n}")
        AWAIT meet()
        metrics.add_metadata(key="request", value=context.aws_request_id)
        same.add_metric(name="Number", unit="Count", value=n)
        AWAIT meet()
        Metrics(namespace="test", service="payment").add_metric(name="Twice", unit="Count", value=2 * n)
        metrics.add_metric(name=f"Only{n}", unit="Count", value=1)
        if n % 2:
            metrics.add_dimensions(odd="yes")
            metrics.set_timestamp(int(time.time() * 1000) - 10_000 - n)
        with single_metric(name="Single", unit="Count", value=n, namespace="test") as single:
            AWAIT meet()
            single.add_dimension(name="tenant", value=f"tenant-{n}")
        if n % 5 == 0:
            raise ValueError(f"number {n}")
"""


@both
def test_each_line_is_of_one_invocation(tmp_path: Path, a: str) -> None:
    with overlapping(tmp_path, SOURCE, a) as served:
        found = outcomes(served, numbers())
        assert [outcome.kind == "error" for outcome in found] == [n % 5 == 0 for n in range(COUNT)]
        lines = emitted(served, "Number")
        assert sorted(line["Number"][0] for line in lines) == list(range(COUNT))
        for line in lines:
            n = int(line["Number"][0])
            assert line["Number"] == [n, n]
            assert line["Twice"] == [2 * n]
            assert [key for key in line if key.startswith("Only")] == [f"Only{n}"]
            assert line["tenant"] == f"tenant-{n}"
            assert line["request"] == line["requestId"] == found[n].request_id
            assert (line["service"], line["stage"], line["zone"]) == ("payment", "prod", "a")
            odd = [["stage", "zone", "odd"]] if n % 2 else []
            assert [sorted(each) for each in dimensions(line)] == [
                ["service", "stage", "tenant", "zone"],
                *[sorted(each) for each in odd],
            ]
        stamps = {int(line["Number"][0]): line["_aws"]["Timestamp"] for line in lines}
        assert all(stamps[n] + 5_000 < stamps[n + 1 if n + 1 < COUNT else 0] for n in range(1, COUNT, 2))


@both
def test_a_single_metric_is_of_one_invocation(tmp_path: Path, a: str) -> None:
    with overlapping(tmp_path, SOURCE, a) as served:
        outcomes(served, numbers())
        lines = emitted(served, "Single")
        assert sorted(line["Single"][0] for line in lines) == list(range(COUNT))
        assert all(line["tenant"] == f"tenant-{int(line['Single'][0])}" for line in lines)


@both
def test_there_is_one_cold_start(tmp_path: Path, a: str) -> None:
    with overlapping(tmp_path, SOURCE, a) as served:
        outcomes(served, numbers())
        (line,) = emitted(served, "ColdStart")
        assert line["function_name"] == served.api.function_name


@both
def test_with_several_processes(tmp_path: Path, a: str) -> None:
    # They cannot meet across processes.
    with serving(tmp_path, program(SOURCE, a, slots=1), slots=SLOTS, LMI_FAST_PROCESSES="2") as served:
        outcomes(served, numbers())
        lines = emitted(served, "Number")
        assert sorted(line["Number"][0] for line in lines) == list(range(COUNT))
        assert all(line["tenant"] == f"tenant-{int(line['Number'][0])}" for line in lines)
        assert all(line["request"] == line["requestId"] for line in lines)
        assert 1 <= len(emitted(served, "ColdStart")) <= 2


@both
def test_without_the_adapter_lines_are_of_several(tmp_path: Path, a: str) -> None:
    """The tests here can fail."""
    with overlapping(tmp_path, SOURCE, a, LMI_FAST_ADAPT="off") as served:
        outcomes(served, numbers())
        assert any(len(set(line["Number"])) > 1 for line in emitted(served, "Number"))


@both
def test_what_is_added_at_import_is_emitted_once(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools import Metrics
        metrics = Metrics(namespace="test", service="payment")
        metrics.add_metric(name="Imported", unit="Count", value=1)
        metrics.add_dimension(name="stage", value="prod")
        @metrics.log_metrics
        ASYNC def handler(event, context):
            AWAIT meet()
            metrics.add_metric(name="Number", unit="Count", value=event["n"])
    """
    with overlapping(tmp_path, source, a) as served:
        results(served, numbers())
        assert [line["Imported"] for line in emitted(served, "Imported")] == [[1]]
        lines = emitted(served, "Number")
        assert sorted(line["Number"][0] for line in lines) == list(range(COUNT))
        assert all(line["stage"] == "prod" for line in lines)


@both
def test_more_values_than_a_line_takes(tmp_path: Path, a: str) -> None:
    """Powertools emits a line at the hundredth value of a metric, and at the hundredth metric."""
    source = """
        from aws_lambda_powertools import Metrics
        metrics = Metrics(namespace="test", service="payment")
        @metrics.log_metrics
        ASYNC def handler(event, context):
            n = event["n"]
            AWAIT meet()
            metrics.add_dimension(name="tenant", value=str(n))
            for part in range(6):
                for _ in range(25):
                    metrics.add_metric(name="Many", unit="Count", value=n)
                AWAIT meet()
            for part in range(110):
                metrics.add_metric(name=f"Part{part}", unit="Count", value=n)
    """
    with overlapping(tmp_path, source, a) as served:
        results(served, numbers())
        lines = emitted(served, "Many")
        many = Counter(int(value) for line in lines for value in line["Many"])
        assert many == dict.fromkeys(range(COUNT), 150)
        lines = [record for record in served.records() if "_aws" in record]
        for line in lines:
            values = {value for key, each in line.items() if key.startswith(("Many", "Part")) for value in each}
            assert values == {int(line["tenant"])}
        parts = Counter(key for line in lines for key in line if key.startswith("Part"))
        assert parts == {f"Part{part}": COUNT for part in range(110)}


@both
def test_an_invocation_without_metrics_raises_if_that_is_asked_for(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools import Metrics
        metrics = Metrics(namespace="test", service="payment")
        @metrics.log_metrics(raise_on_empty_metrics=True)
        ASYNC def handler(event, context):
            AWAIT meet()
            if event["n"] % 2:
                metrics.add_metric(name="Number", unit="Count", value=event["n"])
            AWAIT meet()
    """
    with overlapping(tmp_path, source, a) as served:
        found = outcomes(served, numbers())
        assert [outcome.kind == "response" for outcome in found] == [bool(n % 2) for n in range(COUNT)]
        assert all(b"SchemaValidationError" in found[n].body for n in range(0, COUNT, 2))
        assert sorted(line["Number"][0] for line in emitted(served, "Number")) == list(range(1, COUNT, 2))


@both
def test_metrics_that_are_made_within_the_handler(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools import Metrics
        from aws_lambda_powertools.metrics import EphemeralMetrics
        ASYNC def handler(event, context):
            n = event["n"]
            AWAIT meet()
            metrics = Metrics(namespace="test", service=f"service-{n}")
            metrics.set_default_dimensions(tenant=str(n))
            metrics.add_metric(name="Number", unit="Count", value=n)
            own = EphemeralMetrics(namespace="test")
            own.add_metric(name="Own", unit="Count", value=n)
            AWAIT meet()
            metrics.flush_metrics()
            own.flush_metrics()
    """
    with overlapping(tmp_path, source, a) as served:
        results(served, numbers())
        for name in ("Number", "Own"):
            assert sorted(line[name][0] for line in emitted(served, name)) == list(range(COUNT))
        for line in emitted(served, "Number"):
            n = int(line["Number"][0])
            assert (line["service"], line["tenant"], "Own" in line) == (f"service-{n}", str(n), False)
        assert all("tenant" not in line for line in emitted(served, "Own"))


@both
def test_metrics_for_datadog(tmp_path: Path, a: str) -> None:
    source = """
        from aws_lambda_powertools.metrics.provider.datadog import DatadogMetrics
        metrics = DatadogMetrics(namespace="test", flush_to_log=True)
        metrics.set_default_tags(stage="prod")
        @metrics.log_metrics
        ASYNC def handler(event, context):
            AWAIT meet()
            for _ in range(3):
                metrics.add_metric(name="number", value=event["n"], tenant=event["n"])
                AWAIT meet()
            return context.aws_request_id
    """
    with overlapping(tmp_path, source, a) as served:
        request_ids = results(served, numbers())
        lines = [record for record in served.records() if record.get("m") == "test.number"]
        assert Counter(line["v"] for line in lines) == dict.fromkeys(range(COUNT), 3)
        assert all(line["requestId"] == request_ids[line["v"]] for line in lines)
        assert all(line["t"] == ["stage:prod", f"tenant:{line['v']}"] for line in lines)
