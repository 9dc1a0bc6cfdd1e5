"""Telling apart what a paste from a router holds: prompts, commands, log lines, output.

Pure text: one line in, what it is out. What the lines mean is the loader's business.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Prompt", "banner_end", "clean", "indent_of", "is_noise", "is_rejection", "prompt_of"]

# The pager's mark, and the blanks (between backspaces, if those survived) that wiped it out.
_MORE = re.compile(r"\s*--\s?[Mm]ore\s?-- ?(?:\x08+ *\x08+| {8})?")
_PROMPT = re.compile(
    r"\s*(?P<host>[A-Za-z][A-Za-z0-9._-]{0,62})(?:\((?P<mode>config[a-z0-9-]*)\))?"
    r"(?P<sign>[#>])[ \t]*(?P<rest>.*)"
)
_LOG = re.compile(
    r"(?:\d+: )?(?:[*.]?[A-Z][a-z]{2} +\d+ (?:\d{4} )?[\d:.]+(?: [A-Z]+)?|[\dwdhm:.]+): "
    r"%[A-Z][A-Z0-9_]*-(?:[A-Z0-9_]+-)?[0-7]-[A-Z0-9_]+:"
)
_NOISE = re.compile(
    r"(?:Building configuration\.\.\.|Current configuration ?:|Using \d+ out of \d+ bytes"
    r"|Enter configuration commands, one per line|\[OK\]|\^Z|version \d)"
)
_REJECTION = re.compile(r"% (?:Invalid input|Incomplete command|Ambiguous command|Unknown command)")
_BANNER = re.compile(
    r"banner (?:exec|incoming|login|motd|prompt-timeout|slip-ppp) (?P<delimiter>\^C|\S)(?P<rest>.*)"
)


class Prompt(NamedTuple):
    """A prompt at the start of a line, and where the typed words begin."""

    host: str
    mode: str
    """What stands in parentheses; empty in exec mode."""
    command: str
    column: int
    """Where the command begins, counted from 0."""


def clean(line: str) -> str:
    """Return a line without what terminals leave in it."""
    line = line.rstrip("\r").removeprefix("\ufeff")
    more = _MORE.match(line)
    return (line[more.end() :] if more else line).expandtabs(8).rstrip()


def indent_of(line: str) -> int:
    """Return how many blanks a line starts with."""
    return len(line) - len(line.lstrip())


def prompt_of(line: str) -> Prompt | None:
    """Return the prompt that a line starts with, if it does."""
    match = _PROMPT.fullmatch(line)
    if match is None or (match["mode"] and match["sign"] == ">"):
        return None
    return Prompt(match["host"], match["mode"] or "", match["rest"], match.start("rest"))


def is_noise(line: str) -> bool:
    """Tell whether a line is a log message or another remark of the router."""
    line = line.lstrip()
    return _LOG.match(line) is not None or _NOISE.match(line) is not None


def is_rejection(line: str) -> bool:
    """Tell whether the router says here that it did not take the command above."""
    return _REJECTION.match(line.lstrip()) is not None


def banner_end(command: str) -> str | None:
    """Return the delimiter that will end the banner beginning here; None if none begins.

    A banner that begins and ends on one line counts as none.
    """
    match = _BANNER.match(command.lstrip())
    if match is None or match["delimiter"] in match["rest"]:
        return None
    return match["delimiter"]
