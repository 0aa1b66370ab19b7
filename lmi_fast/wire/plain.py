# cython: annotation_typing=False
"""Says whether a result is plain: a tree that msgspec writes exactly as the official runtime's rules demand.

Everything else takes the slow road (_exact.py). The rule: when in doubt, not plain; a wrong `True` would silently
write something else than the official runtime (msgspec writes NaN as null, bytes as base64, a named tuple as an array).
Nor may a plain tree hold anything that runs Python code while msgspec walks it: another thread could shorten a list
meanwhile, and msgspec 0.22 then reads past its end (a segmentation fault: seen with a tzinfo class written in Python).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

# Exact types only: subclasses may behave in any way.
_LEAVES = frozenset({str, int, bool, type(None), UUID, date, timedelta})
_ARRAYS = frozenset({list, tuple, set, frozenset})

# Far above real results, far below any recursion limit. It also ends the walk of a circular tree.
MAX_DEPTH = 100


def is_plain(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether `value` may go to msgspec as it is. `depth` is the nesting that is still allowed.

    May raise what the containers raise, such as RuntimeError when another thread changes a dict meanwhile.
    """
    # The two loops spell out the common leaves: a call per node would double the time (about 50 ns per node).
    kind = type(value)
    if kind is dict:
        if not depth:
            return False
        for key, item in value.items():
            if type(key) is not str:
                return False
            kind = type(item)
            if kind is not str and kind not in _LEAVES and not is_plain(item, depth - 1):
                return False
        return True
    if kind in _ARRAYS:
        if not depth:
            return False
        for item in value:
            kind = type(item)
            if kind is float:
                if item - item != 0.0:
                    return False
            elif kind not in _LEAVES and not is_plain(item, depth - 1):
                return False
        return True
    if kind is float:
        # inf - inf and nan - nan are nan.
        return bool(value - value == 0.0)
    if kind in _LEAVES:
        return True
    if kind is Decimal:
        return bool(value.is_finite())
    if kind is datetime or kind is time:
        zone = value.tzinfo
        return zone is None or type(zone) is timezone
    # A msgspec.Struct, told by its fields: only the codec imports msgspec. One with `_asdict` goes the official way.
    fields = getattr(kind, "__struct_fields__", None)
    if type(fields) is not tuple or not depth or hasattr(kind, "_asdict"):
        return False
    for name in fields:  # noqa: SIM110 (a generator costs more than the loop)
        if not is_plain(getattr(value, name), depth - 1):
            return False
    return True
