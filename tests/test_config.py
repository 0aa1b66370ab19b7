"""The environment, checked."""

from __future__ import annotations

import pytest

from lmi_fast.config import Config
from lmi_fast.errors import ConfigError

API = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}


def config(**variables: str) -> Config:
    return Config(environ=API | variables)


def test_lambda_default_mode() -> None:
    made = config()
    assert (made.managed, made.slots, made.max_concurrency) == (False, 1, None)
    assert made.log_format == "TEXT"
    assert made.log_level is None


@pytest.mark.parametrize("count", [1, 16, 1600, 10000])
def test_managed_instances_are_known_by_the_variable_even_at_one(count: int) -> None:
    made = config(AWS_LAMBDA_MAX_CONCURRENCY=str(count))
    assert (made.managed, made.slots) == (True, count)
    assert made.log_format == "JSON"


def test_handler_argument_goes_before_the_variable() -> None:
    assert config(_HANDLER="a.b").handler == "a.b"
    assert Config("c.d", environ=API | {"_HANDLER": "a.b"}).handler == "c.d"
    assert config(_HANDLER="").handler is None


@pytest.mark.parametrize(("value", "format_"), [("json", "JSON"), ("JSON", "JSON"), ("Text", "TEXT"), ("", "TEXT")])
def test_log_format_in_any_case(value: str, format_: str) -> None:
    assert config(AWS_LAMBDA_LOG_FORMAT=value).log_format == format_


@pytest.mark.parametrize(
    ("value", "level"), [("TRACE", "DEBUG"), ("debug", "DEBUG"), ("WARN", "WARN"), ("FATAL", "FATAL"), ("", None)]
)
def test_log_level(value: str, level: str | None) -> None:
    assert config(AWS_LAMBDA_LOG_LEVEL=value).log_level == level


def test_telemetry_descriptor_is_taken_out_of_the_environment() -> None:
    environ = API | {"_LAMBDA_TELEMETRY_LOG_FD": "5"}
    assert Config(environ=environ).telemetry_log_fd == 5
    assert "_LAMBDA_TELEMETRY_LOG_FD" not in environ


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("AWS_LAMBDA_MAX_CONCURRENCY", "", "from 1 to 10000"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "0", "from 1 to 10000"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "-1", "from 1 to 10000"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "10001", "from 1 to 10000"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "1.5", "from 1 to 10000"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "\u0661", "from 1 to 10000"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "9" * 5000, "from 1 to 10000"),
        ("AWS_LAMBDA_LOG_FORMAT", "XML", "JSON, TEXT"),
        ("AWS_LAMBDA_LOG_LEVEL", "LOUD", "TRACE, DEBUG"),
        ("LMI_FAST_LOOP", "trio", "auto, uvloop, asyncio"),
        ("_LAMBDA_TELEMETRY_LOG_FD", "stdout", "file descriptor"),
    ],
)
def test_what_is_not_allowed_is_named(variable: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**{variable: value})
    assert (caught.value.variable, caught.value.value) == (variable, value)
    assert str(caught.value).startswith(f"{variable} is {value!r}; allowed: ")
    assert allowed in str(caught.value)


@pytest.mark.parametrize("environ", [{}, {"AWS_LAMBDA_RUNTIME_API": ""}])
def test_no_runtime_api(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^AWS_LAMBDA_RUNTIME_API is (not set|''); allowed: host:port"):
        Config(environ=environ)


def test_who_tunes_malloc_is_left_alone() -> None:
    assert not config().malloc_is_tuned
    assert config(MALLOC_ARENA_MAX="2").malloc_is_tuned
    assert config(GLIBC_TUNABLES="glibc.malloc.arena_max=2").malloc_is_tuned
