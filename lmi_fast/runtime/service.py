"""What both drivers serve with, put together by runtime.py."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables

from ..client.address import Address
from ..client.meaning import Trouble
from ..client.pool import Pool, Slot
from ..wire.invocation import Invocation
from .invoker import Invoker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..client.loop import Loop


class Service:
    """One handler, and how it is to be served."""

    __slots__ = ("address", "invoker", "park_first", "slots", "trouble", "variables")

    def __init__(
        self,
        invoker: Invoker,
        address: Address,
        slots: int,
        *,
        park_first: bool,
        variables: Variables,
        trouble: Trouble,
    ) -> None:
        """`park_first`: False in Lambda (default) mode, where a poll ends the invocation before it. `variables`: each
        invocation runs in a copy of them.
        """
        self.invoker = invoker
        self.address = address
        self.slots = slots
        self.park_first = park_first
        self.variables = variables
        self.trouble = trouble

    def new_pool(self, loop: Loop, received: Callable[[Slot, Invocation], None], trouble: Trouble) -> Pool:
        """The pool of a driver that runs `loop`; `trouble` may be another than the service's own."""
        return Pool(
            loop,
            self.address,
            self.invoker.requests,
            self.slots,
            park_first=self.park_first,
            received=received,
            trouble=trouble,
        )
