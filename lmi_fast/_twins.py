"""Which twin of each part is live: decided once, here.

A part `x` comes as `_x_py` (pure Python), `_x_c` (compiled with Cython) and, where bytes are read, `_x_h11` (all of
it through h11). LMI_FAST_TWINS chooses: `auto` (compiled where it was built, else pure), `pure`, `compiled`, `h11`.
The variable is read here and not in config.py because the choice is made at import, before there is a configuration.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from .errors import ConfigError

VARIABLE = "LMI_FAST_TWINS"
MODES = ("auto", "pure", "compiled", "h11")
_SUFFIX = {"pure": "_py", "compiled": "_c", "h11": "_h11"}

_live: dict[str, str] = {}


def _mode() -> str:
    mode = os.environ.get(VARIABLE) or "auto"
    if mode not in MODES:
        raise ConfigError(VARIABLE, mode, ", ".join(MODES))
    return mode


def twin(part: str) -> ModuleType:
    """The live twin of `part`, a dotted name such as "lmi_fast.wire._http1".

    Raises ModuleNotFoundError when LMI_FAST_TWINS=compiled and the extension was not built. A compiled twin that is
    there but broken always raises: falling back would hide it.
    """
    mode = _mode()
    if mode != "auto":
        return _use(part, mode)
    try:
        return _use(part, "compiled")
    except ModuleNotFoundError as error:
        if error.name != part + _SUFFIX["compiled"]:
            raise
    return _use(part, "pure")


def _use(part: str, kind: str) -> ModuleType:
    module = importlib.import_module(part + _SUFFIX[kind])
    _live[part] = kind
    return module


def twins() -> dict[str, str]:
    """Each part that has twins, and the kind that is live: "pure", "compiled" or "h11"."""
    return dict(_live)
