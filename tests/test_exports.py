"""What is public, and that it is what it says."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import lmi_fast


def test_public_names() -> None:
    visible = {name for name in vars(lmi_fast) if not name.startswith("_")}
    # Submodules become attributes once imported; annotations and Any are of no use to anybody.
    modules = {name for name in visible if inspect.ismodule(getattr(lmi_fast, name))}
    made_when_asked_for = {"COMPILED", "Client", "ClientContext", "CognitoIdentity", "Stats"}
    helpers = {"annotations", "Callable", "TYPE_CHECKING"}
    assert visible - modules - helpers == set(lmi_fast.__all__) - made_when_asked_for - {"__version__"}
    for name in lmi_fast.__all__:
        assert getattr(lmi_fast, name) is not None


def test_public_things_say_what_they_are() -> None:
    for name in lmi_fast.__all__:
        thing = getattr(lmi_fast, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name


def test_compiled_is_a_bool_and_agrees_with_twins() -> None:
    assert lmi_fast.COMPILED is (set(lmi_fast.twins().values()) == {"compiled"})


def test_an_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        lmi_fast.nothing  # noqa: B018


def test_the_error_tree_is_the_documented_one() -> None:
    documented = inspect.getdoc(lmi_fast.errors) or ""
    for name, thing in vars(lmi_fast.errors).items():
        if inspect.isclass(thing) and issubclass(thing, BaseException):
            assert name in documented
            assert issubclass(thing, lmi_fast.LmiFastError)
            assert name in lmi_fast.__all__


def test_users_code_type_checks() -> None:
    """The types a user meets, under mypy --strict."""
    source = """
import lmi_fast
from collections.abc import AsyncIterator
from typing import Any

@lmi_fast.lifespan
async def resources() -> AsyncIterator[int]:
    yield 1

async def handler(event: dict[str, Any], context: lmi_fast.Context) -> int:
    found: lmi_fast.Context = lmi_fast.current()
    maybe: lmi_fast.Context | None = lmi_fast.current(None)
    left: int = context.get_remaining_time_in_millis()
    compiled: bool = lmi_fast.COMPILED
    return left

lmi_fast.run(handler)
lmi_fast.run("app.handler")
lmi_fast.run()
"""
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "-c", source], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
