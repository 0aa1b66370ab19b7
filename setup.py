"""The compiled twins, and nothing else: all metadata is in pyproject.toml.

LMI_FAST_BUILD: "yes" = that they do not compile is an error, "no" = none is compiled, unset or "auto" = compiled where
there is a C compiler.

All of them are one extension module, `lmi_fast/_compiled`, which lmi_fast/_twins.py imports its parts from: one file to
map at the start, and what Cython adds to every module lies in it side by side, without the padding of twenty files.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

MODE = os.environ.get("LMI_FAST_BUILD") or "auto"
if MODE not in ("auto", "yes", "no"):
    raise SystemExit(f"LMI_FAST_BUILD is {MODE!r}; allowed: auto, yes, no")

# What is compiled: Cython sources, and Python sources that have their types beside them.
PACKAGE = Path("lmi_fast")
SOURCES = sorted(
    path
    for path in [*PACKAGE.rglob("*.pyx"), *(types.with_suffix(".py") for types in PACKAGE.rglob("*.pxd"))]
    if path.exists()
)
# Nobody pickles one of these objects, and their functions need not have attributes: a third of the code otherwise. What
# users get in hand says for itself that it has both (context.py).
DIRECTIVES = {"language_level": 3, "auto_pickle": False, "binding": False}
# No debug information, which Python asks for itself: ten megabytes. Nothing throws through C: nothing to unwind.
FLAGS = ["-g0", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-ffunction-sections", "-fdata-sections"]


class build_ext_of_parts(build_ext):
    """Translates each part as the module that it is; setuptools would take the first for all."""

    def build_extension(self, ext: Extension) -> None:
        from Cython import __version__
        from Cython.Build import cythonize

        parts = [Extension(".".join(path.with_suffix("").parts), [str(path)]) for path in SOURCES]
        # The same C for every Python.
        translated = cythonize(
            parts, build_dir=f"build/cython-{__version__}", compiler_directives=DIRECTIVES, quiet=True
        )
        ext.sources = [source for part in translated for source in part.sources]
        super().build_extension(ext)


COMPILED = Extension(
    "lmi_fast._compiled",
    [str(path) for path in SOURCES],
    depends=[str(path) for path in PACKAGE.rglob("*.pxd")],
    extra_compile_args=FLAGS,
    extra_link_args=["-Wl,--gc-sections"],
    optional=MODE == "auto",
)

setup(ext_modules=[] if MODE == "no" else [COMPILED], cmdclass={"build_ext": build_ext_of_parts})
