"""Values that settings have beside plain ones."""

from __future__ import annotations

import re

import attrs

__all__ = ["Duration"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)\Z")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_LONGEST = 7 * 24 * 3600.0  # seconds; beyond it a slip is likelier than a wish


@attrs.frozen
class Duration:
    """A time span written with its unit (``"200ms"``, ``"3s"``, ``"2min"``)."""

    seconds: float

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read ``text``; ValueError names the units there are."""
        found = _DURATION.match(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f'{text!r} is no duration: write a number and ms, s, min or h ("3s")')
        seconds = float(found[1]) * _UNIT_SECONDS[found[2]]
        if seconds > _LONGEST:
            raise ValueError(f"{text!r} is too long: a week (168h) is the most")
        return cls(seconds)
