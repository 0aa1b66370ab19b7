"""The Runtime API of Managed Instances on loopback: for local runs and for tests of a runtime, faults included.

Optional: nothing else in lmi_fast imports it, and it shares no code with the client it is meant to test.
"""

from .faults import Action, Close, CloseAfter, Gate, Raw, Request, Reset, Rule, Split, Stall, Status
from .invocation import MAX_PAYLOAD, Outcome, Pending, State
from .runtime_api import RuntimeApi
from .stats import InitError, Stats

__all__ = [
    "MAX_PAYLOAD",
    "Action",
    "Close",
    "CloseAfter",
    "Gate",
    "InitError",
    "Outcome",
    "Pending",
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
