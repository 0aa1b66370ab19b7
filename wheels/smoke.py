"""Run by a Python that has lmi_fast installed: is it compiled, and does it serve? One line, and exit code 0.

With --pure: is it not compiled? Handlers of both kinds are served by `python -m lmi_fast`, from the Runtime API that
comes with lmi_fast.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import lmi_fast
from lmi_fast.emulator import RuntimeApi

SLOTS = 4
INVOCATIONS = 40
TIMEOUT = 60.0  # seconds; under emulation starting takes several
HANDLERS = """
import asyncio, lmi_fast

def plain(event, context):
    return [event["n"], lmi_fast.current().aws_request_id == context.aws_request_id]

async def waits(event, context):
    await asyncio.sleep(0.001)
    return plain(event, context)
"""


def serve(folder: str, handler: str) -> None:
    """Starts a runtime for `handler`; raises for an answer that is missing or wrong."""
    with RuntimeApi() as api:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LMI_FAST_"))}
        env = own | api.environ(max_concurrency=SLOTS, handler=f"app.{handler}")
        runtime = subprocess.Popen([sys.executable, "-m", "lmi_fast"], env=env, cwd=folder)
        try:
            for n, pending in enumerate([api.invoke({"n": n}) for n in range(INVOCATIONS)]):
                outcome = pending.result(TIMEOUT)
                if outcome.kind != "response" or outcome.json() != [n, True]:
                    raise SystemExit(f"{handler}: the answer to {n} is {outcome}")
            runtime.terminate()
            if code := runtime.wait(TIMEOUT):
                raise SystemExit(f"{handler}: the runtime ended with exit code {code}")
        finally:
            runtime.kill()
            runtime.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pure", action="store_true", help="it is the wheel for every platform that is installed")
    pure: bool = parser.parse_args().pure
    where = Path(lmi_fast.__file__).parent
    if lmi_fast.COMPILED is pure:
        print(f"lmi_fast.COMPILED is {lmi_fast.COMPILED}: {where}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "app.py").write_text(HANDLERS)
        for handler in ("plain", "waits"):
            serve(folder, handler)
    size = sum(path.stat().st_size for path in where.rglob("*") if path.suffix != ".pyc" and path.is_file())
    started = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import lmi_fast"], capture_output=True, text=True
    )
    took = int(started.stderr.splitlines()[-1].split("|")[1])
    python = f"{platform.python_implementation()} {platform.python_version()} {platform.machine()}"
    kind = "pure" if pure else "compiled"
    print(f"{python}: {kind}, {2 * INVOCATIONS} invocations, {size:,} bytes, imported in {took / 1000:.1f} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
