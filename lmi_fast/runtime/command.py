"""The command `python -m lmi_fast`."""

from __future__ import annotations

import sys

from .endings import exit_at_once
from .runtime import run


def main(arguments: list[str]) -> None:
    """The command `python -m lmi_fast`."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(HELP)
    elif arguments == ["--version"]:
        from .._version import __version__

        print(__version__)
    elif len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(f"lmi_fast: expected one handler, not {' '.join(arguments)!r}; see --help", file=sys.stderr)
        raise SystemExit(2)
    else:
        run(arguments[0] if arguments else None)
        exit_at_once(0)


HELP = """\
usage: python -m lmi_fast [HANDLER]

Serves the invocations of an AWS Lambda function: many at once on Managed Instances, one at a time elsewhere.

  HANDLER     module.function, package/module.function or module:app; default: the variable _HANDLER
              (app: an ASGI or WSGI application, such as FastAPI() or Flask(__name__))

Lambda, and its emulator, set these:
  AWS_LAMBDA_RUNTIME_API      host:port of the Runtime API
  AWS_LAMBDA_MAX_CONCURRENCY  how many invocations at once; present on Managed Instances only
  AWS_LAMBDA_LOG_FORMAT       JSON or TEXT; default: JSON on Managed Instances, TEXT elsewhere
  AWS_LAMBDA_LOG_LEVEL        TRACE, DEBUG, INFO, WARN, ERROR or FATAL

and you may set these:
  LMI_FAST_DRIVER  auto, async or threads: what runs the handler; default: by whether it returns a coroutine
  LMI_FAST_TWINS   auto, pure, compiled or h11: which reader of HTTP; default: compiled where it was built
  LMI_FAST_LOOP    auto, uvloop or asyncio: the event loop of async handlers; default: uvloop where it is installed
  LMI_FAST_DEADLINE            on or off: at its deadline, answer an invocation with an error and cancel it; default: on
  LMI_FAST_DEADLINE_MARGIN_MS  how long before it; default: 50
  LMI_FAST_BLOCKED_MS          log what keeps the event loop of async handlers for so long; 0: never; default: 100
  LMI_FAST_STRAY_MS            log tasks and threads that go on so long after their invocation; 0: never; default: 5000
  LMI_FAST_EXTENSION           on or off: register an extension, or there will be no SIGTERM at all; default: on
  LMI_FAST_DRAIN_MS            how long running handlers may go on after SIGTERM; default: 300
  LMI_FAST_PROCESSES           auto or a number of worker processes; 0: serve in the first one; default: auto, by CPUs
  LMI_FAST_PRELOAD             on or off: import the handler once and fork, to save memory; default: off
  LMI_FAST_PRINT               json or raw: whether printed lines become log records; default: json on Managed Instances
  LMI_FAST_INHERIT             on or off: threads carry the request id of the invocation that starts them; default: on
  LMI_FAST_ADAPT               on or off: adapt Powertools and the X-Ray SDK to overlapping invocations; default: on
  LMI_FAST_METRICS_S           log the runtime's own numbers every so many seconds, as metrics; 0: never; default: 0
  LMI_FAST_INTERFACE           auto, lambda, asgi or wsgi: what the handler is; default: by its parameters
  LMI_FAST_HTTP_RESPONSE       auto, stream or buffer: how web applications answer; default: buffer
  LMI_FAST_HTTP_BASE_PATH      what is in front of a web application's paths besides the stage; default: nothing
  LMI_FAST_HTTP_EVENTS_PATH    where a web application gets events that are no requests; default: nowhere
  LMI_FAST_PYTHON  the interpreter that the bootstrap script starts; default: python3
"""
