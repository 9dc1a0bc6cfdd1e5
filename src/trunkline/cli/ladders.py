"""Ladders on this terminal: as wide as it is, in the characters that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from trunkline.observe.ladder import Ladder, Line, ladder
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.transport import Address

__all__ = ["live_ladder", "print_ladder", "print_lines"]


def live_ladder(out: Console, names: Mapping[Address, str]) -> Ladder:
    """A ladder that is drawn as messages come."""
    return Ladder(width=out.width, names=names, unicode=_unicode(out))


def print_ladder(
    out: Console, messages: Iterable[SeenMessage], names: Mapping[Address, str]
) -> None:
    """Draw messages that are all known."""
    width = out.width if out.is_terminal else None
    print_lines(out, ladder(messages, width=width, names=names, unicode=_unicode(out)))


def print_lines(out: Console, lines: Iterable[Line]) -> None:
    """Print lines of a ladder."""
    for line in lines:
        text = Text.assemble(*line)
        text.rstrip()
        out.print(text, soft_wrap=True)


def _unicode(out: Console) -> bool:
    return out.encoding.lower().startswith("utf")
