"""What goes wrong meanwhile: replies of the Runtime API that come broken, connections that go, processes that die."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable

from lmi_fast.emulator import Action, Close, CloseAfter, Raw, Request, Reset, RuntimeApi, Split, Status

# Of all requests of the kind, how many are met with a fault.
POLLS, POSTS, EVENTS = 1 / 2000, 1 / 500, 1 / 20_000
DEATHS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)


class Faults:
    """Sets the rules of `api`; `strike()` does what is not about single requests."""

    def __init__(self, api: RuntimeApi, seed: int, intensity: float) -> None:
        """`intensity`: by how much more often than usual."""
        self.counts: Counter[str] = Counter()
        self.spoiled: set[str] = set()
        """Request ids of the events that were sent in part only, or not at all."""
        self._api = api
        # Each is used by one thread.
        self._of_server, self._chance = random.Random(seed), random.Random(seed + 1)
        self._lock = threading.Lock()
        api.on(self._hits("next", POLLS * intensity), self._instead_of_a_poll, when="request", times=None)
        api.on(self._hits("next", EVENTS * intensity), self._broken_event, when="reply", times=None)
        for kind in ("response", "error"):
            api.on(self._hits(kind, POSTS * intensity), self._broken_reply, when="reply", times=None)

    def _hits(self, kind: str, share: float) -> Callable[[Request], bool]:
        return lambda request: request.kind == kind and self._of_server.random() < share

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def _instead_of_a_poll(self, request: Request, reply: bytes) -> Action:
        name = self._of_server.choice(("500", "garbage", "closed", "reset"))
        self._count(f"poll met with: {name}")
        return {
            "500": Status(500, b"{}"),
            "garbage": Raw([b"\x16\x03\x01 nonsense\r\n\r\n"], close=True),
            "closed": Close(),
            "reset": Reset(),
        }[name]

    def _broken_reply(self, request: Request, reply: bytes) -> Action:
        """To an answer, which the platform has taken: the runtime cannot know."""
        name = self._of_server.choice(("cut", "reset", "closed", "in pieces", "with close", "500"))
        self._count(f"answer taken, reply: {name}")
        return self._broken(name, reply)

    def _broken_event(self, request: Request, reply: bytes) -> Action:
        name = self._of_server.choice(("cut", "reset", "in pieces", "with close"))
        self._count(f"event: {name}")
        if name in ("cut", "reset") and request.invocation is not None:
            self.spoiled.add(request.invocation.request_id)
        return self._broken(name, reply)

    def _broken(self, name: str, reply: bytes) -> Action:
        if name == "cut":
            return Raw([reply[: self._of_server.randrange(1, len(reply))]], close=True)
        if name == "in pieces":
            return Split([self._of_server.randrange(1, 60) for _ in range(20)])
        return {"reset": Reset(), "closed": Close(), "with close": CloseAfter(), "500": Status(500, b"{}")}[name]

    def strike(self, youngest: int | None) -> None:
        """Drops connections, or lets the process `youngest` die."""
        what = self._chance.choice(("idle", "parked", "death", "death"))
        if what == "death":
            if youngest is not None:
                number = self._chance.choice(DEATHS)
                self._count(f"process ended by {number.name}")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(youngest, number)
        else:
            # An idle connection may have brought an event that nobody has read yet: a reset would take it back.
            reset = what == "parked" and self._chance.random() < 0.5
            dropped = self._api.drop_connections("idle" if what == "idle" else "parked", reset=reset)
            self.counts[f"{what} connections {'reset' if reset else 'closed'}"] += dropped
