"""Field templates of exporters and readers: which field of what comes out is made of what.

```text
path = "*exp.Caller"   value = "~*req.Account"                      an exporter's field
path = "*cgreq.Usage"  value = "~*req.4;s"       type = "*composed"  a reader's
```

Values are rules (``trunkline.charging.rsr``). ``*variable`` writes the value, ``*composed`` writes
it after what the field has already, ``*constant`` writes the text as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.charging.event import EventError, Scope
from trunkline.charging.rsr import Parsers, parse
from trunkline.errors import DecodeError

__all__ = ["TYPES", "Template", "Templates"]

VARIABLE: Final = "*variable"
COMPOSED: Final = "*composed"
CONSTANT: Final = "*constant"
TYPES: Final = (VARIABLE, COMPOSED, CONSTANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One row of a template, as it is written."""

    path: str
    value: str = ""
    type: str = VARIABLE
    mandatory: bool = False


class Templates:
    """The fields of what comes out, in their order."""

    __slots__ = ("_rows", "names")

    def __init__(self, rows: Iterable[Template], root: str) -> None:
        """``root``: that of the paths: ``*exp``, ``*cgreq``.

        Raises:
            DecodeError: ``charging.template``, or what is wrong with a rule.
        """
        self._rows: list[tuple[str, Template, Parsers | None]] = []
        for row in rows:
            found, _, name = row.path.partition(".")
            if found != root or not name:
                raise DecodeError(
                    "charging.template", f"the path {row.path[:60]!r} is none; write {root}.Field"
                )
            if row.type not in TYPES:
                raise DecodeError(
                    "charging.template",
                    f"{row.path}: the type {row.type[:40]!r} is none of {', '.join(TYPES)}",
                )
            rules = None if row.type == CONSTANT else parse(row.value)
            self._rows.append((name, row, rules))
        self.names: Sequence[str] = tuple(dict.fromkeys(name for name, _, _ in self._rows))

    def apply(self, scope: Scope) -> Mapping[str, str]:
        """The fields; one that nothing is found for is empty.

        Raises:
            EventError: ``charging.mandatory``, a field that is needed is empty; or a rule cannot be
                followed.
        """
        fields = dict.fromkeys(self.names, "")
        for name, row, rules in self._rows:
            text = row.value if rules is None else rules.text(scope) or ""
            if row.mandatory and not text:
                raise EventError(
                    "charging.mandatory",
                    f"{name} is empty, and needed: it is made of {row.value}",
                    reference=f"MANDATORY_IE_MISSING: [{name}]",
                )
            fields[name] = fields[name] + text if row.type == COMPOSED else text
        return fields
