"""docs/charging.md against the code: every code, action and threshold, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

from trunkline.charging.actions import ACTIONS
from trunkline.charging.charges import End
from trunkline.charging.payers import Reason
from trunkline.charging.sessions import RequestType
from trunkline.charging.triggers import THRESHOLDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "charging.md"


def test_every_code_action_and_threshold_is_on_the_page() -> None:
    listed = re.findall(r"^\| `([^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) == len(set(listed))
    fields = {name for name in listed if name[0].isupper()}
    assert set(listed) - fields == {*Reason, *End, *ACTIONS, *THRESHOLDS, *RequestType}
