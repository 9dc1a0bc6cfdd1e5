"""``docs/router-commands.md`` is what the command table says today."""

from __future__ import annotations

from pathlib import Path

from trunkline.config.cisco.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "router-commands.md"


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "renew it: python -m trunkline.config.cisco.reference > docs/router-commands.md"
    )
