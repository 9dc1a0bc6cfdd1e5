"""``docs/router-commands.md``, written from the command table.

``python -m trunkline.config.cisco.reference > docs/router-commands.md`` renews it; a test fails
while the file in the repository is another.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from trunkline.config.cisco.commands import COMMANDS
from trunkline.config.cisco.table import Command, Mode, Option
from trunkline.config.cisco.tokens import Argument, Choice, Token
from trunkline.config.cisco.tree import Cs7Config

__all__ = ["reference"]

_INTRODUCTION = """\
# Router commands

*Written from the command table by `python -m trunkline.config.cisco.reference`; do not edit.*

Trunkline reads the configurations of the router family that the seed course uses (IOS with the
`cs7` commands), and its shell speaks the same language: every keyword may be shortened while it
stays unique, `?` lists what may follow, Tab completes, `no` takes back.

## Files

A file may be typed lines, the output of `show running-config`, or a transcript pasted from a
terminal with prompts, log lines and output in between. Several files are layers: each is applied
to what the ones before it left. Everything is taken or nothing.

- The name of the node is that of `hostname`, else that in the prompts. Lines typed on another node
  are an error.
- In a transcript only lines with a prompt are commands; so is the output of `show running-config`,
  and lines that start with `cs7`. A command that the router rejected in the transcript is passed
  over. Where the commands do not tell the mode, the prompt does.
- Lines of IOS that have nothing to do with SS7 are listed as ignored, together with what is
  indented below them. Keep them in your file: `write` does not know them.
- A `cs7` line, or a line in a `cs7` mode, that is not in the tables below is an error with file,
  line, column and a hint. To run the file, remove the line or put `!` before it.
- To remove what is not there (`no …`) is a warning.
- Indentation means nothing to the mode, as on the router. A `shutdown` after a `link` is the
  link's; a warning says so where the indentation suggests the linkset.

## Which port of `link` comes first

`link SLC sctp REMOTE-IP... LOCAL-PORT REMOTE-PORT`: the course says that the first port is the
local one, and the routers themselves write the remote one first. The lines of the course have equal
ports and fit both. Trunkline decides so:

1. The local port must have a `cs7 local-peer`. If only one of the two ports has one, that is the
   local port, wherever it stands.
2. If both have one, the first is the local one, as in the course.

`show running-config` always prints the local port first. Whenever the two ports differ, a warning
says which was taken for which.

## Checked as a whole

Errors: a linkset without `cs7 point-code`; a linkset to the node's own point code; a link whose
local port has no local-peer, or one without `local-ip`; a link to the node itself; two links that
would be one association (same ports, a remote address in common); a route over a linkset that does
not exist. Warnings: a `local-ip` on no interface of a configuration that has interfaces, or on one
that is shut down; a linkset without links or with the adjacent point code of another; a local-peer
without `local-ip`; a route to the node itself; ports that differ.

In the shell the same check follows every line, and a line that would make an error is refused.

## Not there

Everything that is not listed. Of the `cs7` family: several instances, profiles and timers, serial
links, secondary and capability point codes, M3UA and SUA, global titles, screening, accounting.
"""

_TITLES = {
    Mode.EXEC: "Exec mode",
    Mode.CONFIG: "Configuration mode",
    Mode.INTERFACE: "Interface",
    Mode.LOCAL_PEER: "Local peer",
    Mode.LINKSET: "Linkset",
    Mode.LINK: "Link",
    Mode.ROUTE_TABLE: "Route table",
    Mode.PIPE: "After `|` of a `show` command",
}


def reference() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *(line for mode in _TITLES for line in _mode(mode))])


def _mode(mode: Mode) -> Iterator[str]:
    yield f"## {_TITLES[mode]}"
    yield ""
    if mode.configures:
        yield f"Prompt `NODE({mode.value})#`."
        yield ""
    elif mode is Mode.EXEC:
        yield "Prompt `NODE#`; in user mode, `NODE>`, those marked *u*."
        yield ""
    yield "| command | `no` | what it does |"
    yield "|---|---|---|"
    values: dict[str, str] = {}
    for command in COMMANDS:
        if mode in command.modes:
            yield _row(command)
            for token in _flat(command):
                values.update(_meaning(token))
    yield ""
    for name, text in values.items():
        yield f"- `{name}`: {text}"
    if values:
        yield ""


def _row(command: Command) -> str:
    written = command.synopsis.replace("|", "\\|")
    user = " *u*" if Mode.USER in command.modes else ""
    return f"| `{written}`{user} | {'yes' if command.undo else ''} | {command.about} |"


def _flat(command: Command) -> Iterator[Token | Choice]:
    for part in command.syntax:
        if isinstance(part, Option):
            yield from part.tokens
        else:
            yield part


def _meaning(token: Token | Choice) -> dict[str, str]:
    match token:
        case Choice():
            return {word: _sentence(text) for word, text in token.words.items()}
        case Argument():
            shown = token.placeholder(Cs7Config())
            form = "" if shown in ("WORD", "LINE") else f", `{shown}`"
            return {token.name.upper(): _sentence(token.help + form)}
    return {}


def _sentence(text: str) -> str:
    return f"{text}."


if __name__ == "__main__":
    sys.stdout.write(reference())
