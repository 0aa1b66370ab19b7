"""What both drivers serve with, put together by runtime.py."""

from __future__ import annotations

from contextvars import Context as Variables
from typing import NamedTuple

from ..client.address import Address
from ..client.meaning import Trouble
from .invoker import Invoker


class Service(NamedTuple):
    """One handler, and how it is to be served."""

    invoker: Invoker
    address: Address
    slots: int
    # False in Lambda (default) mode, where a poll ends the invocation before it.
    park_first: bool
    # Each invocation runs in a copy of these.
    variables: Variables
    trouble: Trouble
