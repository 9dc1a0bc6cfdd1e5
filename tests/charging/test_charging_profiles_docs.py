"""docs/charging-profiles.md against the tables of the source."""

from __future__ import annotations

import re
from pathlib import Path

from trunkline.charging import attributes, filters
from trunkline.charging.converters import CONVERTERS
from trunkline.charging.routes import SORTINGS, RouteReason
from trunkline.charging.selection import Verdict

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "charging-profiles.md").read_text("utf-8")
SECTIONS = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
CHAPTERS = dict(zip(SECTIONS[1::2], SECTIONS[2::2], strict=True))


def first_column(chapter: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", CHAPTERS[chapter], re.MULTILINE)


def test_every_type_is_documented_and_none_that_is_gone() -> None:
    assert first_column("Filters") == list(filters.TYPES)
    assert set(first_column("Attributes")) == set(attributes.TYPES)
    assert first_column("Routes") == list(SORTINGS)


def test_every_converter_is_documented() -> None:
    [line] = re.findall(r"^Converters: ([^.]+)\.", PAGE, re.MULTILINE)
    named = re.findall(r"`(\*\w+)[^`]*`", line)
    assert named == sorted(CONVERTERS)


def test_every_reason_is_documented() -> None:
    codes = [
        reason.value for reasons in (filters.Reason, Verdict, RouteReason) for reason in reasons
    ]
    assert first_column("Why") == codes
