"""Error reports, beside the official runtime's."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from awslambdaric import bootstrap  # type: ignore[import-untyped]

import lmi_fast
from lmi_fast.errors import FaultError
from lmi_fast.runtime.reports import MAX_BODY, MAX_XRAY_CAUSE, Report, function_error_type, make_report

# What the Runtime API server keeps: rapid/model/error_types.go.
KEPT = re.compile(r"^(Runtime|Function)\.[A-Z][a-zA-Z]+$")


def raised(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def official(error: BaseException) -> dict[str, Any]:
    """The report awslambdaric would have made of the same exception in its own handle_event_request."""
    frames = bootstrap.extract_traceback(error.__traceback__)
    made: dict[str, Any] = bootstrap.make_error(str(error), type(error).__name__, traceback.format_list(frames), "id-1")
    return made


def user_code(source: str, tmp_path: Path) -> Callable[[], object]:
    path = tmp_path / "user_code.py"
    path.write_text(source)
    names: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), names)
    handler: Callable[[], object] = names["handler"]
    return handler


SOURCES = {
    "plain": "def handler():\n    raise ValueError('no such user')\n",
    "no message": "def handler():\n    raise KeyError\n",
    "nested": "def handler():\n    inner()\ndef inner():\n    return {}['k']\n",
    "cause": "def handler():\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n"
    "        raise RuntimeError('wrapped') from e\n",
    "group": "def handler():\n    raise ExceptionGroup('two', [ValueError(1), KeyError(2)])\n",
    "recursion": "def handler():\n    return handler()\n",
    "system exit": "import sys\ndef handler():\n    sys.exit(3)\n",
    "keyboard interrupt": "def handler():\n    raise KeyboardInterrupt\n",
    "unicode": "def handler():\n    raise ValueError('caf\\u00e9 \\U0001f600')\n",
    "carets": "def handler():\n    x = {'a': 1}\n    return x['a'] + x['b'] + 1\n",
    "no source": "exec(compile('def handler():\\n    raise ValueError(1)', '<made up>', 'exec'))\n",
    "class in class": "class A:\n    class Broken(Exception):\n        pass\ndef handler():\n    raise A.Broken('x')\n",
}


@pytest.mark.parametrize("name", SOURCES)
def test_same_fields_as_the_official_report(name: str, tmp_path: Path) -> None:
    error = raised(user_code(SOURCES[name], tmp_path))
    # Both runtimes cut the frames that are not the user's: here, those of this file.
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    report = make_report(error, "id-1")
    assert report.fields == official(error)
    assert json.loads(report.body) == report.fields
    assert KEPT.match(report.error_type)


def test_the_stack_starts_at_the_users_frame(tmp_path: Path) -> None:
    """Frames of lmi_fast before the handler's are cut; those between frames of the user's are not."""
    ours: dict[str, Any] = {"__name__": "lmi_fast.runtime.made_up"}
    inside = str(Path(lmi_fast.__file__).parent / "runtime" / "made_up.py")
    exec(compile("def call(function):\n    return function()\n", inside, "exec"), ours)
    handler = user_code(SOURCES["plain"], tmp_path)
    error = raised(lambda: ours["call"](lambda: ours["call"](handler)))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # raised() itself
    paths = [re.findall('File "(.*?)"', frame)[0] for frame in make_report(error).fields["stackTrace"]]
    assert paths == [__file__, inside, __file__, inside, str(tmp_path / "user_code.py")]
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    paths = [re.findall('File "(.*?)"', frame)[0] for frame in make_report(error).fields["stackTrace"]]
    assert paths == [__file__, inside, str(tmp_path / "user_code.py")]
    error.__traceback__ = None
    assert make_report(error).fields["stackTrace"] == []


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("ValueError", "Function.ValueError"),
        ("MyError", "Function.MyError"),
        ("myError", "Function.Unknown"),
        ("_Hidden", "Function.Unknown"),
        ("Error2", "Function.Unknown"),
        ("Fehlerä", "Function.Unknown"),
        ("E", "Function.Unknown"),
        ("", "Function.Unknown"),
    ],
)
def test_error_type_in_the_form_the_platform_keeps(name: str, error_type: str) -> None:
    assert function_error_type(name) == error_type
    assert KEPT.match(error_type)


def test_fault() -> None:
    report = make_report(FaultError("Runtime.MarshalError", "Unable to marshal response: x"), "id-1")
    assert report.error_type == "Runtime.MarshalError"
    assert report.fields == {
        "errorMessage": "Unable to marshal response: x",
        "errorType": "Runtime.MarshalError",
        "requestId": "id-1",
        "stackTrace": [],
    }
    assert json.loads(report.xray_cause)["exceptions"] == [
        {"message": "Unable to marshal response: x", "type": "LambdaValidationError", "stack": []}
    ]


def check_limits(report: Report) -> None:
    assert len(report.body) <= MAX_BODY
    assert json.loads(report.body) == report.fields
    assert len(report.xray_cause) <= MAX_XRAY_CAUSE
    assert report.xray_cause.isascii()
    assert report.xray_cause.isprintable()
    assert set(json.loads(report.xray_cause)) == {"working_directory", "exceptions", "paths"}


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600", "\ud800", "\n", "\x00", '"'])
def test_a_huge_message_is_cut_to_the_limits(character: str) -> None:
    report = make_report(ValueError(character * 3_000_000))
    check_limits(report)
    assert report.fields["errorMessage"].startswith(character * 1000)


def test_a_deep_stack_is_cut_to_the_limits() -> None:
    def dive(depth: int, name: str) -> None:
        code = f"def {name}(d, n, dive):\n    if d: dive(d - 1, n + 'x')\n    raise ValueError('deep')\n"
        names: dict[str, Any] = {}
        exec(compile(code, f"/{'p' * 2000}/{depth}.py", "exec"), names)
        names[name](depth, name, dive)

    report = make_report(raised(lambda: dive(300, "f")))
    check_limits(report)
    # Of the X-Ray cause the innermost frames are kept.
    assert json.loads(report.xray_cause)["exceptions"][0]["stack"][-1]["path"].endswith("/0.py")


def test_an_exception_that_cannot_say_what_it_is() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    report = make_report(Mute())
    assert report.fields["errorMessage"] == "<Mute whose str() fails>"


def test_the_working_directory_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert json.loads(make_report(ValueError()).xray_cause)["working_directory"] == ""


def test_no_asyncio_for_a_report() -> None:
    assert "asyncio" not in vars(sys.modules["lmi_fast.runtime.reports"])
