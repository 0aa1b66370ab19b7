"""What both drivers serve with, put together by runtime.py."""

from __future__ import annotations

from contextvars import Context as Variables

from ..client.address import Address
from ..client.meaning import Trouble
from .invoker import Invoker


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
