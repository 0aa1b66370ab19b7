"""From "module.function" to the user's handler, with the official runtime's rules and error types."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from ..errors import ErrorType, FaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Handler = Callable[[Any, Any], Any]

# Of a code object, without importing inspect.
_CO_COROUTINE = 0x80
_CO_ASYNC_GENERATOR = 0x200
# What a wrapper calls that runs a coroutine to its end, besides asyncio.run and anyio.run.
_RUN_COROUTINES = frozenset({"Runner", "run_until_complete", "async_to_sync"})
_RUNNERS = frozenset({"asyncio", "anyio"})


def load_handler(spec: str) -> Handler:
    """The handler `spec` names: `pkg.mod.fn` or `pkg/mod.fn`; or `pkg.mod:app`, as ASGI servers have it.

    Raises FaultError with a `Runtime.*` type, or whatever the module raises at import.
    """
    module_name, dot, function = spec.partition(":") if ":" in spec else spec.rpartition(".")
    if not dot or not module_name or not function:
        raise FaultError(
            ErrorType.MALFORMED_HANDLER_NAME,
            f"Bad handler '{spec}': not enough values to unpack (expected 2, got 1)"
            if not dot
            else f"Bad handler '{spec}': expected module.function",
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise FaultError(
            ErrorType.BUILT_IN_MODULE_CONFLICT, f"Cannot use built-in module {module_name} as a handler module"
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise FaultError(ErrorType.IMPORT_MODULE, f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise FaultError(
            ErrorType.USER_CODE_SYNTAX, f"Syntax error in module '{module_name}': {error}", [where]
        ) from error
    try:
        handler: Any = module
        for name in function.split("."):
            handler = getattr(handler, name)
    except AttributeError:
        raise FaultError(
            ErrorType.HANDLER_NOT_FOUND, f"Handler '{function}' missing on module '{module_name}'"
        ) from None
    return check_handler(handler, spec)


def check_handler(handler: object, spec: str) -> Handler:
    """`handler`, if it can be called. Raises FaultError: found now, at init, and not by every invocation."""
    if not callable(handler):
        raise FaultError(
            ErrorType.HANDLER_NOT_FOUND, f"Handler '{spec}' is a {type(handler).__name__}, which cannot be called"
        )
    return handler


def is_async(handler: object) -> bool:
    """True for what is `async def`, behind decorators, partials, methods and `__call__` as well.

    A plain wrapper round an `async def` (functools.wraps; Powertools' decorators are such) returns its coroutine,
    unless it runs it itself: asyncio.run() in a wrapper is how async functions are served by the official runtime.
    """
    return _is(handler, _CO_COROUTINE | _CO_ASYNC_GENERATOR)


def returns_coroutine(handler: object) -> bool:
    """The same, but for what yields: its result can be awaited."""
    return _is(handler, _CO_COROUTINE)


def _is(handler: object, flags: int) -> bool:
    seen = 0
    while handler is not None and seen < 100:  # a chain of wrappers can be a ring
        seen += 1
        code = getattr(getattr(handler, "__func__", handler), "__code__", None)
        if code is not None and code.co_flags & flags:
            return True
        if code is not None and _runs_coroutines(handler, code.co_names):
            return False
        if hasattr(handler, "_is_coroutine_marker"):  # inspect.markcoroutinefunction()
            return True
        inner = getattr(handler, "__wrapped__", None)
        if inner is None:
            inner = getattr(handler, "func", None) if type(handler).__name__ == "partial" else None
        if inner is None and code is None:
            inner = getattr(type(handler), "__call__", None)  # noqa: B004 (the function itself is wanted)
        if inner is handler:
            return False
        handler = inner
    return False


def interface_of(handler: object) -> str:
    """What calls `handler`, as far as its parameters tell: "asgi", "wsgi", or "lambda" for an ordinary handler.

    Nobody can call an ordinary one with three arguments, or has one that calls its context `start_response`.
    """
    if isinstance(handler, type):
        return "asgi" if hasattr(handler, "__await__") else "lambda"  # as uvicorn does: its instances are awaited
    function = getattr(handler, "__func__", handler)
    code = getattr(function, "__code__", None)
    own = function is not handler
    if code is None:
        function = getattr(type(handler), "__call__", None)  # noqa: B004 (the function itself is wanted)
        code = getattr(function, "__code__", None)
        own = True
    if code is not None:
        names = code.co_varnames[own : code.co_argcount]
        required = len(names) - len(getattr(function, "__defaults__", None) or ())
        if required == 3 and (names[0] == "scope" or is_async(handler)):
            return "asgi"
        if required == 2 and names[1] == "start_response":
            return "wsgi"
    # Frameworks' methods to wrap in middleware; of the class, because some instances have whatever they are asked for.
    for name, interface in (("asgi_app", "asgi"), ("wsgi_app", "wsgi")):
        if hasattr(type(handler), name):
            return interface
    return "lambda"


def _runs_coroutines(function: Any, names: tuple[str, ...]) -> bool:
    """Whether a function that uses `names` looks like one that runs coroutines to their end."""
    if not _RUN_COROUTINES.isdisjoint(names):
        return True
    imported = getattr(getattr(function, "__globals__", {}).get("run"), "__module__", None) or ""
    return "run" in names and (not _RUNNERS.isdisjoint(names) or imported.partition(".")[0] in _RUNNERS)
