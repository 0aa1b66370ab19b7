"""Attributes of shared objects that have a value of their own in each invocation."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from ..context import CURRENT

F = TypeVar("F", bound=Callable[..., Any])

_MISSING = object()
_CONTEXT = object()  # in place of the context itself, which would wait for the garbage collector if it had itself
_KEPT = "_lmi_fast_kept"  # of a context: what its invocation has of such attributes
_beginning = threading.RLock()  # for the first value of an invocation: it may be asked for by several of its threads


class PerInvocation:
    """A descriptor. Outside of invocations it is a plain attribute; each invocation begins with a copy of that.

    What an invocation sets is seen by all its tasks and threads, by nobody else, and gone with it. Objects that have
    the same value outside, a dict that is handed round, have the same copy of it too.
    """

    def __init__(self, begin: Callable[[Any], Any] = copy.copy, default: object = _MISSING) -> None:
        """`begin(value)` makes an invocation's first value of the one outside, which is `default` until it is set."""
        self._begin = begin
        self._default = default
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        kept = kept_here()
        if kept is None:
            return self._outside(instance)
        found = kept.get((id(instance), self._name))
        if found is None:
            outside = self._outside(instance)
            found = kept.get(id(outside))
            if found is None:
                with _beginning:
                    # What has the id is kept too: as long as it lives the id is nobody else's.
                    found = kept.get(id(outside)) or kept.setdefault(id(outside), (outside, self._begin(outside)))
        return CURRENT.get() if found[1] is _CONTEXT else found[1]

    def __set__(self, instance: Any, value: Any) -> None:
        kept = kept_here()
        # An object that an invocation makes may be for all: modules are imported within handlers too. So the value it
        # is made with is the one outside.
        if kept is None or self._name not in instance.__dict__:
            instance.__dict__[self._name] = value
        else:
            kept[id(instance), self._name] = (instance, _to_keep(value))

    def __delete__(self, instance: Any) -> None:
        kept = kept_here()
        if kept is None:
            instance.__dict__.pop(self._name, None)
        else:
            kept.pop((id(instance), self._name), None)

    def _outside(self, instance: Any) -> Any:
        value = instance.__dict__.get(self._name, self._default)
        if value is _MISSING:
            raise AttributeError(f"{type(instance).__name__!r} object has no attribute {self._name!r}", name=self._name)
        return value


class OfInvocation(PerInvocation):
    """One that is nobody's outside of invocations: what the first of them sets is its own as well."""

    def __set__(self, instance: Any, value: Any) -> None:
        kept = kept_here()
        if kept is None:
            instance.__dict__[self._name] = value
        else:
            kept[id(instance), self._name] = (instance, _to_keep(value))


def kept_here() -> dict[Any, Any] | None:
    """Where the invocation that is running here keeps such values; None outside of one."""
    context = CURRENT.get(None)
    if context is None:
        return None
    kept: dict[Any, Any] = context.__dict__.setdefault(_KEPT, {})
    return kept


def _to_keep(value: Any) -> Any:
    return _CONTEXT if value is CURRENT.get(None) else value


def keep_per_invocation(
    kind: type,
    names: Iterable[str],
    begin: Callable[[Any], Any] = copy.copy,
    descriptor: type[PerInvocation] = PerInvocation,
) -> None:
    """Makes these attributes of a class's instances such ones; those that have been set are the values outside."""
    for name in names:
        attribute = descriptor(begin, kind.__dict__.get(name, _MISSING))
        attribute.__set_name__(kind, name)
        setattr(kind, name, attribute)


def same(value: Any) -> Any:
    """To begin with the very value that is outside."""
    return value


def taken(values: Any) -> Any:
    """To begin with what has been collected outside, which is then this invocation's and no other's."""
    mine = copy.copy(values)
    values.clear()
    return mine


def outside(function: F) -> F:
    """`function`, to run as it would outside of invocations: what it sets is there for all."""

    @functools.wraps(function)
    def run_outside(*args: Any, **kwargs: Any) -> Any:
        token = CURRENT.set(cast("Any", None))
        try:
            return function(*args, **kwargs)
        finally:
            CURRENT.reset(token)

    return cast("F", run_outside)


def class_attributes_per_invocation(kind: type, names: Iterable[str]) -> None:
    """The same for attributes that are set on the class `kind` itself, and on its instances.

    A value that is set on the class goes past any descriptor in it, so it gets a metaclass.
    """
    space: dict[str, Any] = {}
    for name in names:
        shared = _Shared(kind, name, kind.__dict__.get(name, _MISSING))
        setattr(kind, name, shared)
        space[name] = shared
    # Its own metaclass stays the base: of ABCs, for one.
    metaclass: Any = type("PerInvocation", (type(kind),), space)
    kind.__class__ = metaclass


class _Shared:
    """Such an attribute: of the class, in its metaclass, and of its instances."""

    def __init__(self, kind: type, name: str, value: object) -> None:
        self._key = (id(kind), name)
        self._kind = kind
        self._name = name
        self._value = value

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        kept = kept_here()
        value = self._value if kept is None else kept.get(self._key, self._value)
        if value is _CONTEXT:
            return CURRENT.get()
        if value is _MISSING:
            raise AttributeError(f"{self._kind.__name__} has no attribute {self._name!r}", name=self._name)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        kept = kept_here()
        if kept is None:
            self._value = value
        else:
            kept[self._key] = _to_keep(value)
