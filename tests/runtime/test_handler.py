"""Handler strings, with the official runtime's rules, and which handlers are async."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from awslambdaric import bootstrap  # type: ignore[import-untyped]
from awslambdaric.lambda_runtime_exception import FaultException  # type: ignore[import-untyped]

from lmi_fast.errors import FaultError
from lmi_fast.runtime.handler import is_async, load_handler


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "pkg9").mkdir()
    (tmp_path / "pkg9" / "__init__.py").write_text("")
    (tmp_path / "pkg9" / "mod.py").write_text("def fn(event, context): return 'pkg9.mod'\nnumber = 7\n")
    (tmp_path / "flat9.py").write_text("def fn(event, context): return 'flat9'\nclass K:\n    def m(self): pass\n")
    (tmp_path / "missing_import9.py").write_text("import no_such_module_9\n")
    (tmp_path / "syntax9.py").write_text("def fn(event, context)\n    return 1\n")
    (tmp_path / "raises9.py").write_text("raise KeyError('at import')\n")
    (tmp_path / "exits9.py").write_text("import sys\nsys.exit(3)\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("spec", "result"), [("flat9.fn", "flat9"), ("pkg9.mod.fn", "pkg9.mod"), ("pkg9/mod.fn", "pkg9.mod")]
)
def test_found(package: Path, spec: str, result: str) -> None:
    assert load_handler(spec)({}, None) == result


@pytest.mark.parametrize(
    "spec",
    [
        "nodot",
        "no_such_module_8.fn",
        "pkg9.no_such.fn",
        "missing_import9.fn",
        "syntax9.fn",
        "flat9.absent",
        "sys.exit",
        "time.sleep",
    ],
)
def test_same_type_and_words_as_the_official_runtime(package: Path, spec: str) -> None:
    with pytest.raises(FaultError) as ours:
        load_handler(spec)
    with pytest.raises(FaultException) as theirs:
        bootstrap._get_handler(spec)
    assert ours.value.error_type == theirs.value.exception_type
    assert ours.value.message == theirs.value.msg
    assert ours.value.stack_trace == (theirs.value.trace or [])


@pytest.mark.parametrize("spec", [".fn", "flat9.", "."])
def test_half_a_handler_string(package: Path, spec: str) -> None:
    with pytest.raises(FaultError) as caught:
        load_handler(spec)
    assert caught.value.error_type == "Runtime.MalformedHandlerName"


def test_what_cannot_be_called_is_found_at_init(package: Path) -> None:
    with pytest.raises(FaultError, match=r"pkg9\.mod\.number' is a int") as caught:
        load_handler("pkg9.mod.number")
    assert caught.value.error_type == "Runtime.HandlerNotFound"


@pytest.mark.parametrize(("spec", "kind"), [("raises9.fn", KeyError), ("exits9.fn", SystemExit)])
def test_what_a_module_raises_comes_through(package: Path, spec: str, kind: type[BaseException]) -> None:
    with pytest.raises(kind):
        load_handler(spec)


async def coroutine_function(event: Any, context: Any) -> None: ...
def function(event: Any, context: Any) -> None: ...
def yields(event: Any, context: Any) -> Any:
    yield


async def generator(event: Any, context: Any) -> Any:
    yield


def decorated(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def wrapper(event: Any, context: Any) -> Any:
        return inner(event, context)

    return wrapper


class Callable_:
    async def __call__(self, event: Any, context: Any) -> None: ...
    async def method(self, event: Any, context: Any) -> None: ...
    @staticmethod
    async def static(event: Any, context: Any) -> None: ...
    @classmethod
    async def class_(cls, event: Any, context: Any) -> None: ...


class PlainCallable:
    def __call__(self, event: Any, context: Any) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        coroutine_function,
        generator,
        decorated(coroutine_function),
        decorated(decorated(coroutine_function)),
        functools.partial(coroutine_function),
        decorated(functools.partial(coroutine_function)),
        Callable_(),
        Callable_().method,
        Callable_.static,
        Callable_.class_,
    ],
)
def test_async(handler: Any) -> None:
    assert is_async(handler)


@pytest.mark.parametrize(
    "handler",
    [function, decorated(function), functools.partial(function), PlainCallable(), PlainCallable, yields, print, len],
)
def test_not_async(handler: Any) -> None:
    assert not is_async(handler)


if sys.version_info >= (3, 12):

    def test_marked_as_coroutine_function() -> None:
        assert is_async(inspect.markcoroutinefunction(lambda event, context: coroutine_function(event, context)))


def test_a_ring_of_wrappers_ends() -> None:
    def first() -> None: ...
    def second() -> None: ...

    first.__wrapped__ = second  # type: ignore[attr-defined]
    second.__wrapped__ = first  # type: ignore[attr-defined]
    assert not is_async(first)
