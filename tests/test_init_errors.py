"""An init phase that fails: logged, posted to /init/error, and the process ends at once with exit code 1."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

import lmi_fast
from lmi_fast.emulator import Status

from .serving import TIMEOUT, Served, serving

FINE = "def handler(event, context): return event\n"


def failed(folder: Path, source: str, **more: Any) -> tuple[dict[str, Any], Served]:
    """The one init error of a runtime that must not get as far as a poll, and the ended runtime."""
    with Served(folder, source, **more) as served:
        assert served.exit_code() == 1
        assert len(served.api.init_errors) == 1
        kinds = {request.kind for request in served.api.requests}
        assert kinds <= {"init_error", "extension_register", "extension_next"}
        init_error = served.api.init_errors[0]
        report: dict[str, Any] = json.loads(init_error.body)
        assert list(report) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert init_error.headers["lambda-runtime-function-error-type"] == init_error.error_type
        logged = [record for record in served.records() if record["level"] == "ERROR"]
        assert len(logged) == 1
        assert {key: logged[0][key] for key in report} == report
    return report | {"header": init_error.error_type}, served


MODULES = {
    "missing module": (FINE, "nowhere.handler", "Runtime.ImportModuleError", "Unable to import module 'nowhere': "),
    "missing import": ("import nowhere\n", "app.handler", "Runtime.ImportModuleError", "No module named 'nowhere'"),
    "syntax error": ("def handler(:\n", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': "),
    "missing attribute": (FINE, "app.absent", "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'app'"),
    "not callable": ("handler = 5\n", "app.handler", "Runtime.HandlerNotFound", "cannot be called"),
    "no dot": (FINE, "app", "Runtime.MalformedHandlerName", "Bad handler 'app'"),
    "built-in": (FINE, "sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys"),
}


@pytest.mark.parametrize("name", MODULES)
def test_handler_that_cannot_be_loaded(tmp_path: Path, name: str) -> None:
    source, handler, error_type, message = MODULES[name]
    report, _ = failed(tmp_path, source, handler=handler)
    assert report["errorType"] == report["header"] == error_type
    assert message in report["errorMessage"]


@pytest.mark.parametrize(
    ("raised", "error_type"),
    [("raise KeyError('x')", "KeyError"), ("import sys; sys.exit(3)", "SystemExit"), ("1 / 0", "ZeroDivisionError")],
)
def test_exception_at_import(tmp_path: Path, raised: str, error_type: str) -> None:
    report, _ = failed(tmp_path, f"{raised}\n{FINE}")
    assert (report["errorType"], report["header"]) == (error_type, f"Function.{error_type}")
    # importlib's frames come first; the user's module is there.
    assert any("app.py" in entry for entry in report["stackTrace"])


LIFESPANS = {
    "raises": ("async def life():\n    raise OSError('no database')\n    yield", "OSError", "no database"),
    "sync raises": ("def life():\n    raise OSError('no database')\n    yield", "OSError", "no database"),
    "never yields": ("async def life():\n    if False: yield", "RuntimeError", "didn't yield"),
    "is none": ("def life(): return 5", "TypeError", "returned int: it should yield once"),
    "exits": ("def life():\n    raise SystemExit(0)\n    yield", "SystemExit", "0"),
    "twice": ("def life(): yield\ndef other(): yield\nlmi_fast.lifespan(other)", "ValueError", "registered already"),
}


@pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
@pytest.mark.parametrize("name", LIFESPANS)
def test_lifespan_that_fails(tmp_path: Path, a: str, name: str) -> None:
    lifespan, error_type, message = LIFESPANS[name]
    report, _ = failed(tmp_path, f"import lmi_fast\n{lifespan}\nlmi_fast.lifespan(life)\n{a}{FINE}")
    assert (report["errorType"], report["header"]) == (error_type, f"Function.{error_type}")
    assert message in report["errorMessage"]


VARIABLES = [
    ("AWS_LAMBDA_MAX_CONCURRENCY", "sixteen", "a whole number from 1 to 10000"),
    ("AWS_LAMBDA_MAX_CONCURRENCY", "0", "a whole number from 1 to 10000"),
    ("AWS_LAMBDA_LOG_LEVEL", "LOUD", "TRACE, DEBUG, INFO"),
    ("LMI_FAST_LOOP", "trio", "auto, uvloop, asyncio"),
    ("LMI_FAST_PROCESSES", "many", "auto, or a whole number from 0 to 10000"),
    ("LMI_FAST_PROCESSES", "-1", "auto, or a whole number from 0 to 10000"),
    ("LMI_FAST_DEADLINE", "maybe", "on, off"),
    ("LMI_FAST_DEADLINE_MARGIN_MS", "0.5", "a whole number from 0 to 900000"),
    ("LMI_FAST_DRAIN_MS", "900001", "a whole number from 0 to 900000"),
    ("LMI_FAST_TWINS", "fast", "auto, pure, compiled, h11"),
]


@pytest.mark.parametrize(("variable", "value", "allowed"), VARIABLES)
def test_a_bad_variable_is_named_with_its_value_and_what_is_allowed(
    tmp_path: Path, variable: str, value: str, allowed: str
) -> None:
    report, _ = failed(tmp_path, FINE, **{variable: value})
    assert report["errorType"] == report["header"] == "Runtime.ConfigError"
    assert report["errorMessage"].startswith(f"{variable} is {value!r}; allowed: {allowed}")


def test_no_handler(tmp_path: Path) -> None:
    report, _ = failed(tmp_path, FINE, handler=None)
    assert report["errorMessage"].startswith("_HANDLER is not set; allowed: ")


def test_a_compiled_twin_that_is_asked_for_and_missing(tmp_path: Path) -> None:
    """A copy of the package without its shared object."""
    package = Path(lmi_fast.__file__).parent
    shutil.copytree(package, tmp_path / "lmi_fast", ignore=shutil.ignore_patterns("_compiled.*.so", "__pycache__"))
    report, _ = failed(tmp_path, FINE, LMI_FAST_TWINS="compiled", PYTHONPATH=str(tmp_path))
    assert report["errorType"] == "ModuleNotFoundError"
    assert f"there is no {tmp_path}/lmi_fast/_compiled" in report["errorMessage"]
    source = "import lmi_fast\ndef handler(event, context): return [lmi_fast.__file__, *lmi_fast.twins().values()]"
    with serving(tmp_path, source, LMI_FAST_TWINS="auto", PYTHONPATH=str(tmp_path)) as served:
        file, *kinds = served.result({})
    assert file == str(tmp_path / "lmi_fast" / "__init__.py")
    assert set(kinds) == {"pure"}


def test_without_a_runtime_api_there_is_only_the_log(tmp_path: Path) -> None:
    with Served(
        tmp_path, FINE, command=["env", "-u", "AWS_LAMBDA_RUNTIME_API", sys.executable, "-m", "lmi_fast"]
    ) as served:
        assert served.exit_code() == 1
        assert "AWS_LAMBDA_RUNTIME_API is not set; allowed: host:port" in served.output
        assert "Traceback (most recent call last)" not in served.output


def test_a_bad_address_is_named(tmp_path: Path) -> None:
    with Served(tmp_path, FINE, AWS_LAMBDA_RUNTIME_API="nonsense") as served:
        assert served.exit_code() == 1
        assert "AWS_LAMBDA_RUNTIME_API is 'nonsense'; allowed: host:port" in served.records()[0]["errorMessage"]


def test_an_init_error_that_was_reported_before_is_fine(tmp_path: Path) -> None:
    with Served(tmp_path, "1 / 0") as served:
        served.api.on("init_error", Status(403, b"{}"))
        assert served.exit_code() == 1
        assert len(served.records()) == 1


@pytest.mark.parametrize("status", [500, 404])
def test_an_init_error_that_is_refused_is_logged(tmp_path: Path, status: int) -> None:
    with Served(tmp_path, "1 / 0") as served:
        served.api.on("init_error", Status(status, b"{}"))
        assert served.exit_code() == 1
        assert [record["errorType"] for record in served.records()] == ["ZeroDivisionError", "ApiRefused"]


def test_text_log_of_an_init_error(tmp_path: Path) -> None:
    with Served(tmp_path, "1 / 0", slots=None) as served:
        assert served.api.wait_for_init_error(TIMEOUT).error_type == "Function.ZeroDivisionError"
        assert served.exit_code() == 1
        assert served.output.startswith("[ERROR] ZeroDivisionError: division by zero\rTraceback")


@pytest.mark.parametrize("handler", ["async", "plain"])
def test_a_msgspec_that_is_not_for_this_machine(tmp_path: Path, handler: str) -> None:
    """Such as one installed for another CPU: found before the first poll, though it is imported behind it."""
    (tmp_path / "msgspec").mkdir()
    (tmp_path / "msgspec" / "__init__.py").write_text("from ._core import Struct\n")
    (tmp_path / "msgspec" / "_core.cpython-39-powerpc-linux-gnu.so").touch()
    source = FINE if handler == "plain" else "async " + FINE
    with Served(tmp_path, source, PYTHONPATH=f"{tmp_path}:{Path(lmi_fast.__file__).parents[1]}") as served:
        assert served.exit_code() == 1
        assert served.api.stats.requests.get("next", 0) == 0
        assert "No module named 'msgspec._core'" in served.output


@pytest.mark.parametrize("handler", ["async", "plain"])
def test_a_msgspec_that_cannot_be_imported_after_all(tmp_path: Path, handler: str) -> None:
    """Nothing can be served without it: the process ends and says why."""
    (tmp_path / "msgspec").mkdir()
    (tmp_path / "msgspec" / "__init__.py").write_text("raise ImportError('this one is broken')\n")
    (tmp_path / "msgspec" / f"_core{EXTENSION_SUFFIXES[0]}").touch()
    source = FINE if handler == "plain" else "async " + FINE
    with Served(tmp_path, source, PYTHONPATH=f"{tmp_path}:{Path(lmi_fast.__file__).parents[1]}") as served:
        assert served.exit_code() == 1
        assert "this one is broken" in served.output
