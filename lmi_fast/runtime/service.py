"""What both drivers serve with, put together by runtime.py."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables

from ..client.address import Address
from ..client.meaning import Trouble
from ..client.pool import Pool
from ..config import Config
from ..wire.invocation import Invocation
from .invoker import Invoker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..client.journal import Journal
    from ..client.loop import Loop
    from ..hooks import Hooks


class Service:
    """One handler, and how it is to be served."""

    __slots__ = ("address", "config", "hooks", "invoker", "journal", "slots", "trouble", "variables")

    def __init__(
        self,
        config: Config,
        invoker: Invoker,
        address: Address,
        *,
        variables: Variables,
        trouble: Trouble,
        journal: Journal | None,
        hooks: list[Hooks],
    ) -> None:
        """`variables`: each invocation runs in a copy of them. `journal`: of a process that has a supervisor."""
        self.hooks = hooks
        self.config = config
        self.invoker = invoker
        self.address = address
        self.slots = config.slots
        self.journal = journal
        self.variables = variables
        self.trouble = trouble

    def new_pool(self, loop: Loop, received: Callable[[Invocation], None], trouble: Trouble) -> Pool:
        """The pool of a driver that runs `loop`; `trouble` may be another than the service's own."""
        return Pool(
            loop,
            self.address,
            self.invoker.requests,
            self.slots,
            park_first=self.config.managed,
            received=received,
            trouble=trouble,
            journal=self.journal,
        )
