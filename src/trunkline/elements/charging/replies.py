"""Replies of the rules of charging as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import cast

from trunkline.charging.event import number_text, time_text
from trunkline.jsonrpc import Json

__all__ = ["as_json"]


def as_json(value: object) -> Json:
    """A reply as JSON: times as the reference writes them, decimals as numbers."""
    match value:
        case Mapping():
            return {str(name): as_json(each) for name, each in value.items()}
        case list() | tuple():
            return [as_json(each) for each in value]
        case datetime():
            return time_text(value)
        case Decimal():
            text = number_text(value)
            return int(text) if text.lstrip("-").isdigit() else float(text)
        case bool() | str() | None:
            return value
        case int():
            return int(value)
    return cast("Json", value)
