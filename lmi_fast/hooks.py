"""What others can be told of: invocations, and the life of the process.

class Slow(lmi_fast.Hooks):
    def invocation_end(self, context, result, seconds):
        if seconds > 1: log.warning("slow")

lmi_fast.add_hooks(Slow())     # at import, or in the lifespan

Without hooks an invocation costs what it cost without this module: see bench/README.md.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._stats import Stats
    from .context import Context


class Hooks:
    """Subclass it and override what you want to be told of.

    Methods are called on the thread that serves the invocation, so they must not wait; those that are given a context
    are called within that invocation: what they set in context variables, its handler sees. What one raises is logged,
    and changes nothing.
    """

    def cold_start(self, seconds: float) -> None:
        """This process is about to poll for the first time, `seconds` after it was started."""

    def invocation_start(self, context: Context, event: object) -> None:
        """The handler is about to be called. `event` is None where it could not be decoded, and no handler is."""

    def invocation_end(self, context: Context, result: object, seconds: float) -> None:
        """The handler returned `result`, `seconds` after its start; or its answer was streamed, and is over: None."""

    def invocation_error(self, context: Context, error: BaseException, seconds: float) -> None:
        """The invocation failed, in its handler or beside it: its deadline is over, its result cannot be encoded.

        This, or invocation_end, is called once for each invocation that has started, but where there was no time left:
        when the process is killed. At a deadline it is called from outside of the invocation.
        """

    def stats(self, stats: Stats) -> None:
        """Every LMI_FAST_METRICS_S seconds: what lmi_fast.stats() returns."""

    def shutdown(self) -> None:
        """Every invocation was answered; the process ends when this returns. 100 ms are left, not much more."""


_hooks: list[Hooks] = []
_closed = False


def add_hooks(hooks: Hooks) -> None:
    """From now on `hooks` is told, after those that were added before. Raises TypeError for what is no Hooks, and
    RuntimeError once the process polls.
    """
    if not isinstance(hooks, Hooks):
        raise TypeError(f"add_hooks() takes an instance of lmi_fast.Hooks, not {hooks!r}")
    if _closed:
        raise RuntimeError("add_hooks() was called in an invocation; hooks are added at import, or in the lifespan")
    _hooks.append(hooks)


def take_hooks() -> list[Hooks]:
    """Those that were added; there will be no more. For the runtime."""
    global _closed
    _closed = True
    return _hooks
