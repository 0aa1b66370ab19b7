"""The AWS X-Ray SDK: open subsegments belong to the task or thread that opened them, and what it starts has them as
parents.

The SDK keeps them in a threading.local, so on an event loop every task finds those of the others. Its AsyncContext is
for its own recorder outside of Lambda, and keeps them in a task factory.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any


def adapt(module: Any) -> None:
    """Of the modules of aws_xray_sdk.core that keep entities in a threading.local."""
    # All they use of `threading`; somebody's own Context class is left alone.
    module.threading = SimpleNamespace(local=ContextLocal)


class ContextLocal:
    """threading.local, by context variables. A list becomes a Stack."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        values: ContextVar[dict[str, Any]] = ContextVar("lmi_fast.observe.xray", default={})  # noqa: B039 (never changed)
        object.__setattr__(self, "_values", values)

    def __getattr__(self, name: str) -> Any:
        values: dict[str, Any] = self._values.get()
        if name not in values:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)
        value = values[name]
        return Stack(self, name, value) if type(value) is tuple else value

    def __setattr__(self, name: str, value: Any) -> None:
        kept = tuple(value) if isinstance(value, list) else value
        self._values.set({**self._values.get(), name: kept})

    @property
    def __dict__(self) -> _Clearable:  # type: ignore[override]
        return _Clearable(self._values)


class _Clearable:
    def __init__(self, values: ContextVar[dict[str, Any]]) -> None:
        self._values = values

    def clear(self) -> None:
        self._values.set({})


class Stack:
    """A list that is another one after every change, so that tasks which began with the same one do not see it."""

    def __init__(self, local: ContextLocal, name: str, values: tuple[Any, ...]) -> None:
        self._local = local
        self._name = name
        self._values = values

    def append(self, value: Any) -> None:
        self._set((*self._values, value))

    def pop(self) -> Any:
        *rest, last = self._values
        self._set(tuple(rest))
        return last

    def _set(self, values: tuple[Any, ...]) -> None:
        self._values = values
        setattr(self._local, self._name, list(values))

    def __getitem__(self, index: int) -> Any:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)
