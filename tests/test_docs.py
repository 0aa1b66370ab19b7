"""What the documents name is there."""

from __future__ import annotations

import re

import pytest

from .serving import ROOT

PAGES = ("reliability.md", "powertools.md", "streaming.md", "web.md")
TEXT = "\n".join((ROOT / "docs" / name).read_text() for name in PAGES)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def test_the_pages_name_tests() -> None:
    assert len(NAMED) > 60


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_promise_is_held_by_a_test_that_exists(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
