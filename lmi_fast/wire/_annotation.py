"""Finds the class a handler declares its event to be.

Only the handler's own annotation counts. A wrapper that copies annotations with functools.wraps (as the decorators of
Powertools do) expects the plain event, so an object with `__wrapped__` declares nothing. An annotation that cannot be
resolved declares nothing either: the official runtime never looks at annotations, so they must not break a handler.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def event_class(handler: Callable[..., Any]) -> type | None:
    """The Struct, dataclass or attrs class that annotates the first parameter, or None.

    `handler`: a function, bound method, object with `__call__`, or functools.partial of one of them.
    """
    try:
        annotation = _first_annotation(handler)
    except Exception:
        # Whatever a stranger's object does when it is looked at: it did not declare an event class.
        return None
    if not isinstance(annotation, type):
        return None
    if hasattr(annotation, "__struct_fields__") or hasattr(annotation, "__attrs_attrs__"):
        return annotation
    # A pydantic dataclass wants pydantic's validation, which msgspec would go round.
    if hasattr(annotation, "__dataclass_fields__") and not hasattr(annotation, "__pydantic_fields__"):
        return annotation
    return None


def _first_annotation(handler: Any) -> Any:
    skipped = 0
    bound_names: set[str] = set()
    if isinstance(handler, partial):
        if _is_wrapper(handler):
            return None
        skipped = len(handler.args)
        bound_names = set(handler.keywords)
        handler = handler.func
    if not isinstance(handler, (FunctionType, MethodType, type)) and not hasattr(handler, "__code__"):
        if _is_wrapper(handler):
            return None
        handler = handler.__call__
    if isinstance(handler, MethodType):
        skipped += 1
        handler = handler.__func__
    if isinstance(handler, type) or _is_wrapper(handler):
        return None
    code = handler.__code__
    if skipped >= code.co_argcount:
        return None
    name = code.co_varnames[skipped]
    if name in bound_names:
        return None
    annotation = _annotations(handler).get(name)
    return _named(annotation, handler.__globals__) if isinstance(annotation, str) else annotation


def _is_wrapper(handler: Any) -> bool:
    return getattr(handler, "__wrapped__", None) is not None


def _annotations(function: Any) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        # Evaluated when read (PEP 649): with one name that exists for type checkers only, all are unreadable.
        try:
            found: dict[str, Any] = function.__annotations__
        except NameError:
            from annotationlib import Format, get_annotations

            return get_annotations(function, format=Format.FORWARDREF)
        return found
    annotations: dict[str, Any] = function.__annotations__
    return annotations


def _named(annotation: str, names: dict[str, Any]) -> Any:
    """What a string annotation names, if it is a plain or dotted name: no class of ours needs more.

    typing.get_type_hints would evaluate all annotations, and fail when the context's class is imported for type
    checkers only, as it often is.
    """
    first, *rest = annotation.strip("'\"").split(".")
    found = names.get(first)
    for name in rest:
        found = getattr(found, name, None)
    return found
