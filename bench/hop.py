"""python bench/hop.py ADAPTER: a web application behind a server on localhost, as the Lambda Web Adapter runs it.

Starts uvicorn with bench_web.app, waits until it answers, and becomes the adapter.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For the child: the benchmark ends its parent."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    adapter = sys.argv[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "bench_web:app", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen(command, preexec_fn=die_with_parent)
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.02)
    os.execve(adapter, [adapter], {**os.environ, "BENCH_TARGET": f"http://127.0.0.1:{port}"})


if __name__ == "__main__":
    main()
