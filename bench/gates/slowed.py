"""python -m bench.gates.slowed EACH START HANDLER: lmi_fast as it is, and a busy loop in front of things.

START rounds before anything else, and EACH rounds in every invocation, by a wrapper round the handler: what a wrapper
costs is spent on the hot path, between decoding the event and encoding the result, whichever twin is live. That it
is a slower handler and not a slower lmi_fast no gate can see.
"""

from __future__ import annotations

import sys
from typing import Any

from bench.gates.spin import spin


def main(each: int, start: int, spec: str) -> None:
    spin(start)
    from lmi_fast.runtime.command import main as serve

    if each:
        _slow_down(spec, each)
    serve([spec])


def _slow_down(spec: str, rounds: int) -> None:
    import functools
    import importlib

    module_name, _, function = spec.rpartition(".")
    module = importlib.import_module(module_name)
    inner = getattr(module, function)

    @functools.wraps(inner)  # lmi_fast sees through it whether the handler is async
    def slower(event: Any, context: Any) -> Any:
        spin(rounds)
        return inner(event, context)

    setattr(module, function, slower)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
