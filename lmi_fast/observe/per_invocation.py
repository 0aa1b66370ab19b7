"""Attributes of shared objects that have a value of their own in each invocation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

from ..context import CURRENT

_MISSING = object()
_KEPT = "_lmi_fast_kept"  # of a context: what its invocation has of such attributes


class PerInvocation:
    """A descriptor. Outside of invocations it is a plain attribute; each invocation begins with a copy of that.

    What an invocation sets is seen by all its tasks and threads, by nobody else, and gone with it.
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
            # The instance is kept too: as long as it lives its id is nobody else's.
            found = kept[id(instance), self._name] = (instance, self._begin(self._outside(instance)))
        return found[1]

    def __set__(self, instance: Any, value: Any) -> None:
        kept = kept_here()
        if kept is None:
            instance.__dict__[self._name] = value
        else:
            kept[id(instance), self._name] = (instance, value)

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


def kept_here() -> dict[Any, Any] | None:
    """Where the invocation that is running here keeps such values; None outside of one."""
    context = CURRENT.get(None)
    if context is None:
        return None
    kept: dict[Any, Any] = context.__dict__.setdefault(_KEPT, {})
    return kept


def keep_per_invocation(kind: type, names: Iterable[str], begin: Callable[[Any], Any] = copy.copy) -> None:
    """Makes these attributes of a class's instances such ones; those that have been set are the values outside."""
    for name in names:
        default = kind.__dict__.get(name, _MISSING)
        descriptor = PerInvocation(begin, default)
        descriptor.__set_name__(kind, name)
        setattr(kind, name, descriptor)


class InvocationDict(MutableMapping[Any, Any]):
    """A dict that is handed round between objects, and is another one in each invocation.

    Not a subclass of dict: dict(x) and **x would take what that has inside.
    """

    def __init__(self, values: dict[Any, Any] | None = None, *, take: bool = False) -> None:
        """`values` are those outside of invocations, and what each begins with; `take`: what the first begins with."""
        self._outside = {} if values is None else values
        self._take = take

    def _here(self) -> dict[Any, Any]:
        kept = kept_here()
        if kept is None:
            return self._outside
        found = kept.get(id(self))
        if found is None:
            found = kept[id(self)] = (self, dict(self._outside))
            if self._take:
                self._outside.clear()
        here: dict[Any, Any] = found[1]
        return here

    def __getitem__(self, key: Any) -> Any:
        return self._here()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._here()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._here()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._here()))

    def __len__(self) -> int:
        return len(self._here())

    def copy(self) -> dict[Any, Any]:
        return dict(self._here())

    def __repr__(self) -> str:
        return repr(self._here())


def class_attributes_per_invocation(kind: type, names: Iterable[str]) -> None:
    """The same for attributes that are set on the class `kind` itself, and on its instances.

    A value that is set on the class goes past any descriptor in it, so it gets a metaclass.
    """
    space: dict[str, Any] = {}
    for name in names:
        outside = kind.__dict__.get(name, _MISSING)
        shared = _Shared(kind, name, outside)
        setattr(kind, name, shared)
        space[name] = shared
    # Its own metaclass stays the base: of ABCs, for one.
    metaclass: Any = type("PerInvocation", (type(kind),), space)
    kind.__class__ = metaclass


class _Shared:
    """Such an attribute: of the class, in its metaclass, and of its instances."""

    def __init__(self, kind: type, name: str, outside: object) -> None:
        self._key = (id(kind), name)
        self._kind = kind
        self._name = name
        self._value = outside

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        kept = kept_here()
        value = self._value if kept is None else kept.get(self._key, self._value)
        if value is _MISSING:
            raise AttributeError(f"{self._kind.__name__} has no attribute {self._name!r}", name=self._name)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        kept = kept_here()
        if kept is None:
            self._value = value
        else:
            kept[self._key] = value
