"""What a test can make the emulated Runtime API do instead of answering well: the actions, and the rules that say when.

An action is the bytes that go out (`pieces`) and what becomes of the connection then (`then`); `Connection` plays it.
Nothing here touches a socket.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from enum import Enum
from http.client import responses
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from .invocation import Pending

# What a request asks for; "other" is anything the Runtime API does not have.
Kind: TypeAlias = Literal[
    "next", "response", "error", "init_error", "ping", "extension_register", "extension_next", "other"
]
# "head": at once when the head is read, whatever of the body is still to come. "request": when the whole request is
# there, and the platform never hears of it. "reply": after the platform acted on it, in place of its reply.
When: TypeAlias = Literal["head", "request", "reply"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as its head told it. Header names are in lower case; `connection` counts from 1."""

    kind: Kind
    method: str
    path: str
    headers: Mapping[str, str]
    connection: int
    request_id: str = ""  # of the invocation a post is about
    invocation: Pending | None = field(default=None, repr=False)  # where the platform found one


class Then(Enum):
    """What becomes of the connection after an action's bytes."""

    KEEP = "it serves the next request"
    CLOSE = "FIN"
    RESET = "RST, and the bytes that are still in the way may be lost"
    STALL = "it stays open, and nothing more is ever sent"


class Gate:
    """A place between two pieces where the server waits until the test lets it go on."""

    def __init__(self) -> None:
        self.opened: Future[None] = Future()
        self._reached = threading.Event()

    def open(self) -> None:
        """Lets the next piece go out, now or when the server gets here. Opening it twice is the same as once."""
        with contextlib.suppress(InvalidStateError):  # the connection may be gone, too
            self.opened.set_result(None)

    def wait_reached(self, timeout: float) -> None:
        """Returns when every piece before the gate was given to the kernel; TimeoutError after `timeout` seconds."""
        if not self._reached.wait(timeout):
            raise TimeoutError(f"the server did not get to this gate within {timeout} s")

    def arrive(self) -> Future[None]:
        """Called by the server, which goes on when the result is there."""
        self._reached.set()
        return self.opened


Piece: TypeAlias = bytes | Gate


class Action:
    """Base of the actions."""

    then = Then.KEEP
    # Where an action belongs that `RuntimeApi.on` was given without a place.
    when: When = "request"

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        """What is written, each piece by itself; `reply` is the platform's own, or empty before it made one."""
        return ()


@dataclass(frozen=True)
class Raw(Action):
    """Exactly these bytes, each piece in a write of its own (TCP_NODELAY is set)."""

    data: Sequence[Piece]
    close: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "then", Then.CLOSE if self.close else Then.KEEP)

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        return self.data


@dataclass(frozen=True)
class Status(Action):
    """A well-formed reply with this status and body."""

    status: int
    body: bytes = b""

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        reason = responses.get(self.status, "").encode()
        head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return (head % (self.status, reason, len(self.body)) + self.body,)


class Close(Action):
    """No reply, and FIN; at the place "head", RST where the kernel still holds bytes of the body."""

    then = Then.CLOSE


class Reset(Action):
    """No reply, and RST."""

    then = Then.RESET


class Stall(Action):
    """No reply, ever."""

    then = Then.STALL


@dataclass(frozen=True)
class Split(Action):
    """The platform's reply in writes of `sizes` bytes: one size for all, or a list whose rest goes out in one."""

    sizes: int | Sequence[int]
    when = "reply"

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        if isinstance(self.sizes, int):
            return [reply[at : at + self.sizes] for at in range(0, len(reply), self.sizes)]
        result, at = [], 0
        for size in [*self.sizes, len(reply)]:
            result.append(reply[at : at + size])
            at += size
        return [piece for piece in result if piece]


class CloseAfter(Action):
    """The platform's reply with `Connection: close`, and FIN."""

    then = Then.CLOSE
    when = "reply"

    def pieces(self, reply: bytes) -> Iterable[Piece]:
        return (reply.replace(b"\r\n", b"\r\nConnection: close\r\n", 1),)


# Called on the server's thread when the action is due; the bytes are the platform's reply, empty before it made one.
Chooser: TypeAlias = Callable[[Request, bytes], Action]
Matcher: TypeAlias = Kind | Callable[[Request], bool]


class Rule:
    """One line of the fault script; `hits` says how often it was applied."""

    def __init__(self, matcher: Matcher, action: Action | Chooser, when: When, nth: int, times: int | None) -> None:
        self.when = when
        self.hits = 0
        self._matcher = matcher
        self._action = action
        self._skip = nth - 1
        self._left = times

    def applies(self, request: Request) -> bool:
        """Says whether `request` is one the rule is for, and counts it."""
        matcher = self._matcher
        if self._left == 0 or not (request.kind == matcher if isinstance(matcher, str) else matcher(request)):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._left is not None:
            self._left -= 1
        self.hits += 1
        return True

    def action(self, request: Request, reply: bytes) -> Action:
        """What is to be done about `request`."""
        return self._action if isinstance(self._action, Action) else self._action(request, reply)
