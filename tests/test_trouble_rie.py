"""Trouble between the runtime and AWS's own emulator: a choice of what test_trouble_proxy.py has."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lmi_fast.emulator import Link, Proxy

from .behind_proxy import SLOTS, source
from .rie import Rie, python_bootstrap, require_rie
from .rie_client import Reply
from .serving import ROOT, TIMEOUT


class Behind:
    """The emulator, and the proxy between it and the runtime."""

    def __init__(self, emulator: Rie, proxy: Proxy) -> None:
        self.emulator, self.proxy = emulator, proxy
        self.invoked: list[str] = []

    def invoke(self, event: dict[str, Any]) -> tuple[str, Reply]:
        """An invocation, which waits for a slot: its request id, and what the caller gets."""
        request_id = str(uuid.uuid4())
        self.invoked.append(request_id)
        body, headers = json.dumps(event).encode(), {"X-Amzn-RequestId": request_id}
        return request_id, self.emulator.invoke(body, headers, patience=TIMEOUT)

    def answered(self, event: dict[str, Any]) -> None:
        """It has its own answer."""
        request_id, reply = self.invoke(event)
        assert reply.error_type is None, reply
        assert reply.json() == [event, request_id, ""]

    def meet(self) -> None:
        """Every slot serves at the same time."""
        with ThreadPoolExecutor(SLOTS) as callers:
            events = [{"do": "meet", "n": SLOTS, "number": number} for number in range(SLOTS)]
            for done in [callers.submit(self.answered, event) for event in events]:
                done.result(TIMEOUT)

    def cut_parked(self, polls: int) -> None:
        """Ends every connection, so many with a parked poll. As on the platform, these cost an invocation each."""
        self.emulator.wait_for_log("received runtime /next", TIMEOUT, len(self.invoked) + polls)
        cancelled = self.emulator.logs().count("Cancelled /next")
        self.proxy.each(lambda link: link.cut(reset=True))
        self.emulator.wait_for_log("Cancelled /next", TIMEOUT, cancelled + polls)

    def skip(self, polls: int) -> None:
        """The invocations that the polls cost whose connections have ended."""
        for _ in range(polls):
            assert self.invoke({})[1].error_type == "Runtime.Unknown"


@pytest.mark.parametrize("a", ["async ", ""], ids=["async", "plain"])
def test_breaks_of_every_kind(a: str) -> None:
    require_rie()
    with Proxy() as proxy:
        bootstrap = python_bootstrap("-m", "lmi_fast", path=[ROOT, "/var/task"])
        bootstrap = bootstrap.replace("exec ", f"AWS_LAMBDA_RUNTIME_API={proxy.address} exec ")
        files = {"app.py": source(a)}
        # Whoever wants to meet has to be in one process.
        env = {"LMI_FAST_PROCESSES": "0", "LMI_FAST_EXTENSION": "off"}
        with Rie(files, bootstrap=bootstrap, max_concurrency=SLOTS, env=env, timeout_s=3, ready=False) as emulator:
            emulator.wait_for_log("a poll failed and is repeated", TIMEOUT)  # there was no upstream yet
            proxy.upstream = ":".join(map(str, emulator.runtime_api))
            emulator.wait_for_polls(SLOTS, TIMEOUT)
            one = Behind(emulator, proxy)
            slots = proxy.links
            one.meet()

            # Replies to answers: these are sent again, and refused.
            lines = [link for link in proxy.links if link not in slots]
            for link in lines:
                link.down.cut(1, reset=True)
            one.meet()
            proxy.wait_for(lambda proxy: any(link.closed for link in lines), TIMEOUT)

            # Answers, on their way up.
            proxy.each(lambda link: link.up.cut(5, reset=True))
            one.answered({})
            proxy.each(Link.release)
            one.meet()

            # An event, of which the emulator believes that it arrived: it panics, now and then, where it is told.
            for link in proxy.links:
                link.down.cut(10_000, reset=True, half=True)
            request_id, reply = one.invoke({"text": "x" * 100_000})
            assert reply.error_type == "Runtime.TruncatedEvent"
            assert reply.json()["requestId"] == request_id
            proxy.each(Link.release)
            one.meet()

            # Byte by byte, both ways.
            for link in proxy.links:
                link.up.split(1)
                link.down.split(1)
            one.meet()
            proxy.each(Link.release)

            # Gone with all connections, while a handler runs, and back on the same port.
            with ThreadPoolExecutor(1) as caller:
                held = caller.submit(one.answered, {"do": "hold", "n": 1})
                emulator.wait_for_log("holding", TIMEOUT)
                proxy.refuse()
                one.cut_parked(SLOTS - 1)
                proxy.accept_again()
                one.skip(SLOTS - 1)
                one.answered({"do": "go", "n": 1})
                held.result(TIMEOUT)
            one.meet()
            assert "Traceback" not in emulator.logs()
