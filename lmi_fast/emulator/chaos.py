"""Random faults from a seed, for as long as a soak test runs.

with Chaos(proxy, seed=7) as chaos:
    ...                                # faults, at random moments, on random connections
...                                    # none any more: now all must be well again
print(chaos.strikes)
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from .link import Link
from .proxy import Proxy

# All but "corrupt": what that may turn one answer into is another one.
FAULTS = ("fin", "reset", "cut", "stall", "half-open", "split", "refuse")
EVERY_FAULT = (*FAULTS, "corrupt")
# A fault that waits for bytes waits for no more than this: a large event's worth of an ordinary function.
REACH = 2000


class Chaos:
    """Strikes from entering the context until leaving it; then what lasts is ended, and the proxy accepts again.

    fin, reset      the connection ends at once
    cut             it ends within the next bytes of one direction, with FIN or RST
    stall           one direction stands still for a while
    half-open       both do
    split           one direction passes in pieces of a few bytes for a while
    refuse          nobody can connect for a while
    corrupt         a few of the next bytes of one direction are others

    The seed decides the waits, the faults and their sizes, and how far down the list of open connections the one stands
    that is struck; which one that is, and what it is at, depends on the moment.
    """

    def __init__(
        self, proxy: Proxy, seed: int, *, every: float = 0.05, lasting: float = 0.2, faults: Sequence[str] = FAULTS
    ) -> None:
        """`every` so many seconds on average there is a fault, and one that lasts does so for up to `lasting`."""
        if unknown := set(faults) - set(EVERY_FAULT):
            raise ValueError(f"no such faults: {', '.join(sorted(unknown))}")
        self.strikes: list[str] = []  # what was done, in order
        self._proxy = proxy
        self._random = random.Random(seed)
        self._every, self._lasting, self._faults = every, lasting, faults
        self._undo: list[tuple[float, int, Callable[[], object]]] = []  # a heap, by time
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"chaos {seed}", daemon=True)

    def __enter__(self) -> Chaos:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._proxy.each(Link.release)
        self._proxy.accept_again()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            strike = time.monotonic() + self._wait()
            while True:
                due = min(strike, self._undo[0][0]) if self._undo else strike
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                if due == strike:
                    self._strike()
                    strike += self._wait()
                else:
                    heapq.heappop(self._undo)[2]()
        except BaseException as error:
            self._failure = error

    def _wait(self) -> float:
        return self._random.expovariate(1 / self._every)

    def _strike(self) -> None:
        # Always as many draws, so that one seed is one series whatever it meets.
        fault = self._random.choice(self._faults)
        which, up, reset = self._random.random(), self._random.random() < 0.5, self._random.random() < 0.5
        size, lasting = self._random.randrange(REACH), self._random.random() * self._lasting
        data = self._random.randbytes(4)
        links = self._proxy.links
        link = links[int(which * len(links))] if links else None
        self.strikes.append(f"{fault} {link!r}")
        if fault == "refuse":
            self._proxy.refuse()
            self._later(lasting, self._proxy.accept_again)
        elif link is not None:
            flow = link.up if up else link.down
            if fault in ("fin", "reset"):
                link.cut(reset=fault == "reset")
            elif fault == "cut":
                flow.cut(size, reset=reset)
            elif fault == "stall":
                flow.stall()
                self._later(lasting, flow.release)
            elif fault == "half-open":
                link.stall()
                self._later(lasting, link.release)
            elif fault == "split":
                flow.split(1 + size % 7)
                self._later(lasting, flow.release)
            else:
                flow.corrupt(data, size)

    def _later(self, seconds: float, undo: Callable[[], object]) -> None:
        heapq.heappush(self._undo, (time.monotonic() + seconds, len(self.strikes), undo))
