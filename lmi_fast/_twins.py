"""Which twin of each part is live, pure or compiled: decided once, here, for all parts together.

Where bytes are read and sockets are called, a part `x` has two sources: `_x_py` (pure Python), `_x_c` (Cython) and, for
bytes, `_x_h11` (all of it through h11). What only keeps objects and calls the others has one source, `x.py`, which is
compiled as it stands with the types in `x.pxd`.

All that is compiled is one shared object, `_compiled`, with as many extension modules in it. Python finds them there
because the finders of the four folders are told to (it looks for `PyInit_x` in whatever file it is given).

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
    "client.records",
    "client.post_line",
    "client.pool",
    "client.reactor",
    "context",
    "runtime.invoker",
    "runtime.running",
    "runtime.thread_driver",
)

_HERE = os.path.dirname(__file__)
_SHARED_OBJECT = os.path.join(_HERE, "_compiled" + machinery.EXTENSION_SUFFIXES[0])
_SUFFIX = {"pure": "_py", "compiled": "_c", "h11": "_h11"}
_COMPILED = frozenset(f"lmi_fast.{name}" for name in (*(part + "_c" for part in TWO_SOURCES), *ONE_SOURCE))


class _Finder(machinery.FileFinder):
    """What is compiled is in the shared object; the rest of a folder lies there."""

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> machinery.ModuleSpec | None:
        if fullname not in _COMPILED:
            return super().find_spec(fullname, target)
        loader = machinery.ExtensionFileLoader(fullname, _SHARED_OBJECT)
        spec = machinery.ModuleSpec(fullname, loader, origin=_SHARED_OBJECT)
        spec.has_location = True
        return spec


def _find_compiled() -> None:
    """Makes Python find the extension modules, for whom it would find the sources of most."""
    loaders = (
        (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    )
    for folder in (_HERE, *(os.path.join(_HERE, name) for name in ("wire", "client", "runtime"))):
        sys.path_importer_cache[folder] = _Finder(folder, *loaders)


# The kind that is live. A mode that is wrong, or cannot be had, is told of when a part is asked for.
_live = os.environ.get(VARIABLE) or "auto"
_is_built = os.path.exists(_SHARED_OBJECT)
if _live == "auto":
    _live = "compiled" if _is_built else "pure"
if _live == "compiled" and _is_built:
    _find_compiled()


def twin(part: str) -> ModuleType:
    """The live twin of `part`, one of TWO_SOURCES.

    Raises ConfigError for a LMI_FAST_TWINS that is not allowed, ModuleNotFoundError when it is `compiled` and that was
    not built. A compiled twin that is there but broken always raises: falling back would hide it.
    """
    if _live not in MODES:
        raise ConfigError(VARIABLE, _live, ", ".join(MODES))
    if _live == "compiled" and not _is_built:
        raise ModuleNotFoundError(f"LMI_FAST_TWINS=compiled, and there is no {_SHARED_OBJECT}")
    return importlib.import_module(f"lmi_fast.{part}{_SUFFIX[_kind(part)]}")


def _kind(part: str) -> str:
    return "pure" if _live == "h11" and part != "wire._http1" else _live


def twins() -> dict[str, str]:
    """Each part that has twins, and the kind that is live: "pure", "compiled" or "h11"."""
    return {f"lmi_fast.{part}": _kind(part) for part in (*TWO_SOURCES, *ONE_SOURCE)}
