"""The compiled twins, and nothing else: all metadata is in pyproject.toml.

LMI_FAST_BUILD: "yes" = a twin that does not compile is an error, "no" = none is compiled, unset or "auto" = compile
where there is a C compiler. The sources go straight to setuptools: cythonize() would drop `optional`.
"""

import os

from setuptools import Extension, setup

MODE = os.environ.get("LMI_FAST_BUILD") or "auto"
if MODE not in ("auto", "yes", "no"):
    raise SystemExit(f"LMI_FAST_BUILD is {MODE!r}; allowed: auto, yes, no")

TWINS = {
    "lmi_fast.wire.reply": "lmi_fast/wire/reply.py",
    "lmi_fast.wire.invocation": "lmi_fast/wire/invocation.py",
    "lmi_fast.wire.requests": "lmi_fast/wire/requests.py",
    "lmi_fast.wire.plain": "lmi_fast/wire/plain.py",
    "lmi_fast.wire.codec": "lmi_fast/wire/codec.py",
    "lmi_fast.wire._http1_c": "lmi_fast/wire/_http1_c.pyx",
    "lmi_fast.client._stream_c": "lmi_fast/client/_stream_c.pyx",
    "lmi_fast.client.meaning": "lmi_fast/client/meaning.py",
    "lmi_fast.client._counts_c": "lmi_fast/client/_counts_c.pyx",
    "lmi_fast.client.connection": "lmi_fast/client/connection.py",
    "lmi_fast.client.journal": "lmi_fast/client/journal.py",
    "lmi_fast.client.pool": "lmi_fast/client/pool.py",
    "lmi_fast.client.reactor": "lmi_fast/client/reactor.py",
    "lmi_fast.context": "lmi_fast/context.py",
    "lmi_fast.runtime.invoker": "lmi_fast/runtime/invoker.py",
    "lmi_fast.runtime.running": "lmi_fast/runtime/running.py",
    "lmi_fast.runtime._system_c": "lmi_fast/runtime/_system_c.pyx",
    "lmi_fast.runtime._watch_c": "lmi_fast/runtime/_watch_c.pyx",
    "lmi_fast.runtime.thread_driver": "lmi_fast/runtime/thread_driver.py",
}

setup(
    ext_modules=[Extension(name, [source], optional=MODE == "auto") for name, source in TWINS.items()]
    if MODE != "no"
    else []
)
