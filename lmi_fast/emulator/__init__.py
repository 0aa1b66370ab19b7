"""The Runtime API of Managed Instances on loopback: for local runs and for tests of a runtime, faults included.

Optional: nothing else in lmi_fast imports it, and it shares no code with the client it is meant to test.
"""

from .chaos import Chaos
from .faults import Action, Close, CloseAfter, Gate, Raw, Request, Reset, Rule, Split, Stall, Status
from .invocation import MAX_PAYLOAD, Outcome, Pending, State
from .link import Flow, Link
from .proxy import Proxy
from .runtime_api import RuntimeApi
from .stats import InitError, Stats

__all__ = [
    "MAX_PAYLOAD",
    "Action",
    "Chaos",
    "Close",
    "CloseAfter",
    "Flow",
    "Gate",
    "InitError",
    "Link",
    "Outcome",
    "Pending",
    "Proxy",
    "Raw",
    "Request",
    "Reset",
    "Rule",
    "RuntimeApi",
    "Split",
    "Stall",
    "State",
    "Stats",
    "Status",
]
