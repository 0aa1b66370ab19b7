"""What the documents name is there."""

from __future__ import annotations

import re

import pytest

from .serving import ROOT

PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("reliability.md", "powertools.md", "web.md", "streaming.md", "web.md")}
NAMED = sorted({named for text in PAGES.values() for named in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)})


def test_the_pages_name_tests() -> None:
    assert len(NAMED) > 60


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_promise_is_held_by_a_test_that_exists(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
