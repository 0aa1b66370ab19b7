# cython: annotation_typing=False
"""The invocations that run, and what becomes of one that is not over at its deadline.

Under Managed Instances nobody stops a late handler: its caller is told of a timeout, and its slot is gone for as long
as it runs (Understanding the Lambda Managed Instances execution environment, AWS Lambda developer guide). So a little
before the deadline the invocation is answered with an error report that says where its handler stood, its slot polls
again, and whatever the handler still returns is thrown away.

A handler cannot always be stopped: a thread never, a task only if it lets itself be cancelled. As many as there are
slots may be overdue like that. Beyond them a slot stays empty until one of them ends; when none is left, the process
has to be replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..client.pool import Pool, Slot
from ..errors import CannotServe, ErrorType, FaultError
from ..wire.invocation import Invocation
from ..wire.requests import Post
from .invoker import Invoker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..client.loop import Timer

NEVER = float("inf")
# Of a timer, in seconds: deadlines may be nonsense (the emulator's are 300,000 years ahead).
LONGEST = 86_400.0


class Running:
    """`add` an invocation when it starts, and `end` it with its answer. All on the thread of the pool's loop, or under
    its lock.
    """

    def __init__(
        self,
        pool: Pool,
        invoker: Invoker,
        margin: float | None,
        *,
        where: Callable[[Any], list[str]],
        late: Callable[[Any], object],
        worn_out: Callable[[], object],
    ) -> None:
        """`margin`: seconds before the deadline; None: deadlines mean nothing. `where(handle)`: the stack of a handler;
        `late(handle)`: its invocation was just answered; `worn_out()`: no slot is left.
        """
        self.timed_out = 0  # invocations so far
        self._pool = pool
        self._invoker = invoker
        self._margin = margin
        self._where = where
        self._late = late
        self._worn_out = worn_out
        # By what the driver knows the handler by.
        self._running: dict[Invocation, Any] = {}
        self._overdue: dict[Invocation, Any] = {}  # answered already, and not over
        self._empty: list[Slot] = []  # that wait for one of those to end
        self._timer: Timer | None = None
        self._next = NEVER  # when it goes off, in seconds since the epoch

    def add(self, invocation: Invocation, handle: Any) -> None:
        """`handle` is what the driver knows the running handler by."""
        self._running[invocation] = handle
        # Functions have one timeout: the first deadline is that of the first one, and the timer is hardly ever set.
        if self._margin is not None and 0 < invocation.deadline_ms < self._next * 1000:
            self._set_timer(self._time_of(invocation))

    def end(self, invocation: Invocation, post: Post | None) -> bool:
        """The handler of `invocation` has ended: answers it with `post`, and whether that was still wanted. There need
        be none where it was not.
        """
        if not invocation.answered:
            invocation.answered = True
            if self._running:  # a task that did not wait was never added
                self._running.pop(invocation, None)
            self._answer(invocation, post, True)
            return True
        self._overdue.pop(invocation, None)
        if self._empty:
            self._empty.pop().park()
        return False

    def no_slot_left(self) -> CannotServe:
        """The error to end with after `worn_out()`."""
        return CannotServe(
            f"{self.overdue} handlers go on after their deadlines and hold every slot; this process ends to be replaced"
        )

    def request_ids(self) -> list[str]:
        """Those of the invocations that have no answer yet."""
        return [invocation.request_id for invocation in self._running]

    def handles(self) -> list[Any]:
        """Those of all that run, the overdue ones too."""
        return [*self._running.values(), *self._overdue.values()]

    def change(self, invocation: Invocation, handle: Any) -> None:
        """Another handle, if it still runs."""
        if not invocation.answered:
            self._running[invocation] = handle

    def count(self) -> int:
        """How many have no answer yet."""
        return len(self._running)

    @property
    def overdue(self) -> int:
        """How many handlers still run although their invocations were answered."""
        return len(self._overdue)

    def _time_of(self, invocation: Invocation) -> float:
        assert self._margin is not None
        return invocation.deadline_ms / 1000 - self._margin if invocation.deadline_ms > 0 else NEVER

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = when
        self._timer = self._pool.loop.call_later(min(max(0.0, when - time.time()), LONGEST), self._look)

    def _look(self) -> None:
        self._timer, self._next = None, NEVER
        now = time.time()
        for invocation in list(self._running):
            if self._time_of(invocation) <= now:
                self._time_out(invocation)
        nearest = min(map(self._time_of, self._running), default=NEVER)
        if nearest != NEVER:
            self._set_timer(nearest)

    def _time_out(self, invocation: Invocation) -> None:
        assert self._margin is not None
        milliseconds = round(self._margin * 1000)
        self.timed_out += 1
        self.give_up(
            invocation,
            ErrorType.TIMED_OUT,
            f"Task timed out: it was not done {milliseconds} ms before its deadline",
        )

    def give_up(self, invocation: Invocation, error_type: str, message: str) -> None:
        """Answers a running invocation with an error report; its handler goes on for nothing."""
        handle = self._running.pop(invocation)
        invocation.answered = True
        try:
            stack = self._where(handle)
        except Exception:  # of objects of the user's that only look like coroutines
            stack = []
        error = FaultError(error_type, message, stack)
        slot_is_free = len(self._overdue) < len(self._pool.slots)
        if not slot_is_free:
            self._empty.append(invocation.slot)
        if invocation.stream is not None:
            self._break_off(invocation, error)
            post = None
        else:
            post = self._invoker.fail(invocation, error)
        self._answer(invocation, post, slot_is_free)
        self._overdue[invocation] = handle
        self._late(handle)
        if len(self._empty) == len(self._pool.slots):
            self._worn_out()

    def _answer(self, invocation: Invocation, post: Post | None, park: bool) -> None:
        """Sends `post`, or if the answer was sent piece by piece, has the pool count it as sent."""
        if invocation.stream is not None:
            self._pool.end_stream(invocation.slot, invocation.stream.sent, park)
            return
        assert post is not None
        if park:
            self._pool.answer(invocation.slot, post)
        else:
            self._pool.answer_only(invocation.slot, post)

    def _break_off(self, invocation: Invocation, error: FaultError) -> None:
        """An error report would have to wait for the answer that is under way: so the error is its end."""
        from ..wire.chunks import last_with_error

        report = self._invoker.describe(invocation, error)
        invocation.stream.break_off(last_with_error(report.error_type, report.body))

    def give_all_up(self, error_type: str, message: str) -> None:
        """The same with every invocation that runs."""
        for invocation in list(self._running):
            self.give_up(invocation, error_type, message)
