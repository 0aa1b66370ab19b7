"""Which twin of each part is live, pure or compiled: decided once, here, for all parts together.

Where bytes are read and sockets are called, a part `x` has two sources: `_x_py` (pure Python), `_x_c` (Cython) and, for
bytes, `_x_h11` (all of it through h11). What only keeps objects and calls the others has one source, `x.py`, which is
compiled as it stands with the types in `x.pxd`: the extension module lies beside it, and Python prefers it.

LMI_FAST_TWINS chooses: `auto` (compiled where all was built, else pure), `pure`, `compiled`, `h11`. The variable is
read here and not in config.py because the choice is made at import, before there is a configuration.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib import machinery
from types import ModuleType

from .errors import ConfigError

VARIABLE = "LMI_FAST_TWINS"
MODES = ("auto", "pure", "compiled", "h11")

TWO_SOURCES = ("wire._http1", "client._counts", "client._stream", "runtime._system", "runtime._watch")
ONE_SOURCE = (
    "wire.reply",
    "wire.invocation",
    "wire.requests",
    "wire.plain",
    "wire.codec",
    "client.meaning",
    "client.connection",
    "client.journal",
    "client.pool",
    "client.reactor",
    "context",
    "runtime.invoker",
    "runtime.running",
    "runtime.thread_driver",
)

_HERE = os.path.dirname(__file__)
_SUFFIX = {"pure": "_py", "compiled": "_c", "h11": "_h11"}


def _missing() -> list[str]:
    """What is not compiled."""
    modules = [*(part + "_c" for part in TWO_SOURCES), *ONE_SOURCE]
    ending = machinery.EXTENSION_SUFFIXES[0]
    paths = {f"lmi_fast.{name}": os.path.join(_HERE, *name.split(".")) + ending for name in modules}
    return [name for name, path in paths.items() if not os.path.exists(path)]


def _hide_extension_modules() -> None:
    """Makes Python look for sources only in the folders of the package."""
    loaders = (
        (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    )
    for folder in (_HERE, *(os.path.join(_HERE, name) for name in ("wire", "client", "runtime"))):
        sys.path_importer_cache[folder] = machinery.FileFinder(folder, *loaders)


# The kind that is live. A mode that is wrong, or cannot be had, is told of when a part is asked for.
_live = os.environ.get(VARIABLE) or "auto"
_not_built = _missing() if _live in ("auto", "compiled") else []
if _live == "auto":
    _live = "pure" if _not_built else "compiled"
if _live in ("pure", "h11"):
    _hide_extension_modules()


def twin(part: str) -> ModuleType:
    """The live twin of `part`, one of TWO_SOURCES.

    Raises ConfigError for a LMI_FAST_TWINS that is not allowed, ModuleNotFoundError when it is `compiled` and that was
    not built. A compiled twin that is there but broken always raises: falling back would hide it.
    """
    if _live not in MODES:
        raise ConfigError(VARIABLE, _live, ", ".join(MODES))
    if _live == "compiled" and _not_built:
        raise ModuleNotFoundError(f"LMI_FAST_TWINS=compiled, and this was not built: {', '.join(_not_built)}")
    return importlib.import_module(f"lmi_fast.{part}{_SUFFIX[_kind(part)]}")


def _kind(part: str) -> str:
    return "pure" if _live == "h11" and part != "wire._http1" else _live


def twins() -> dict[str, str]:
    """Each part that has twins, and the kind that is live: "pure", "compiled" or "h11"."""
    return {f"lmi_fast.{part}": _kind(part) for part in (*TWO_SOURCES, *ONE_SOURCE)}
