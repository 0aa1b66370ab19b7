"""The waits between tries, by a clock of the test's own."""

from __future__ import annotations

from lmi_fast.client.backoff import CAP, FIRST, LASTED, Backoff


def test_at_once_and_then_doubling_up_to_a_cap() -> None:
    backoff, now = Backoff(), 1000.0
    delays = []
    for _ in range(12):
        delays.append(backoff.next_delay(now))
        now += delays[-1]
    assert delays[0] == 0.0
    for exponent, delay in enumerate(delays[1:]):
        middle = min(CAP, FIRST * 2**exponent)
        assert 0.5 * middle <= delay < 1.5 * middle
    assert backoff.failures == 12


def test_a_try_that_lasted_is_no_failure_in_a_row() -> None:
    """A parked poll whose connection breaks every few minutes is parked again at once, each time."""
    backoff, now = Backoff(), 0.0
    for _ in range(100):
        assert backoff.next_delay(now) == 0.0
        now += LASTED
    for _ in range(9):
        now += backoff.next_delay(now)
    # The wait does not count.
    assert backoff.next_delay(now + LASTED - 0.1) > CAP / 2
    assert backoff.failures == 110


def test_many_do_not_come_back_in_step() -> None:
    delays = set()
    for _ in range(100):
        backoff = Backoff()
        backoff.next_delay(0.0)
        delays.add(backoff.next_delay(0.0))
    assert len(delays) > 20
