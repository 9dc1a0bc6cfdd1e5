"""What a row of the command table is made of, and what a command works with.

A :class:`Command` is a row: the modes it is known in, its tokens, what it does and what its ``no``
form does. A configuration command does an :class:`Edit`; one of exec mode only names an action.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TypeAlias

from trunkline.config.cisco.problems import Problem
from trunkline.config.cisco.tokens import Argument, Choice, Keyword, Token, Value
from trunkline.config.cisco.tree import Cs7Config, Location
from trunkline.ss7.pointcode import Prefix

__all__ = [
    "Action",
    "Apply",
    "Args",
    "Command",
    "Edit",
    "Exec",
    "Flow",
    "Mode",
    "Option",
    "Row",
    "Scope",
]


class Mode(Enum):
    """A place in the shell, with what its prompt shows in parentheses."""

    USER = "user"
    EXEC = "exec"
    CONFIG = "config"
    INTERFACE = "config-if"
    LOCAL_PEER = "config-cs7-lp"
    LINKSET = "config-cs7-ls"
    LINK = "config-cs7-ls-link"
    ROUTE_TABLE = "config-cs7-rt"
    PIPE = "after |"

    @property
    def configures(self) -> bool:
        """Whether commands typed here change the configuration."""
        return self.value.startswith("config")

    @property
    def parent(self) -> Mode:
        """Where ``exit`` leads, and where a command that is not known here is looked for."""
        if self is Mode.LINK:
            return Mode.LINKSET
        return Mode.CONFIG if self.configures and self is not Mode.CONFIG else Mode.EXEC

    @property
    def chain(self) -> tuple[Mode, ...]:
        """The modes in which a command typed here is looked for, in turn."""
        if not self.configures or self is Mode.CONFIG:
            return (self,)
        return (self, *self.parent.chain)


@dataclass(frozen=True, slots=True)
class Scope:
    """A mode together with the thing that is being configured there."""

    mode: Mode
    linkset: str = ""
    slc: int = -1
    port: int = 0
    interface: str = ""

    def at(self, mode: Mode) -> Scope:
        """Return the scope of the same things in another mode."""
        return replace(self, mode=mode)


class Exec(StrEnum):
    """What an element does for a command of exec mode; the session only reads the line."""

    SHOW_LINKSET = "show.linkset"
    SHOW_ROUTE = "show.route"
    SHOW_ROUTE_DETAIL = "show.route.detail"
    SHOW_ROUTE_EXPLAIN = "show.route.explain"
    SHOW_M2PA_STATE = "show.m2pa.state"
    SHOW_M2PA_STATISTICS = "show.m2pa.statistics"
    SHOW_POINT_CODES = "show.point-codes"
    SHOW_RUNNING_CONFIG = "show.running-config"
    SHOW_VERSION = "show.version"
    WRITE = "write"
    PING = "ping"


class Flow(StrEnum):
    """What a command does to the session itself."""

    ENABLE = "enable"
    DISABLE = "disable"
    CONFIGURE = "configure"
    DO = "do"
    EXIT = "exit"
    END = "end"
    NOTHING = "nothing"


class Args:
    """The values of one command line, by the names of its arguments."""

    __slots__ = ("_bound",)

    def __init__(self, bound: Iterable[tuple[str, Value, int]] = ()) -> None:
        self._bound = tuple(bound)

    def _first(self, name: str) -> Value | None:
        return next((value for key, value, _ in self._bound if key == name), None)

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _, _ in self._bound)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Args) and self.plain() == other.plain()

    def __hash__(self) -> int:
        return hash(self._bound)

    def __repr__(self) -> str:
        return f"Args({self.plain()!r})"

    def integer(self, name: str, default: int = 0) -> int:
        """Return a number, or ``default`` where the line gave none."""
        value = self._first(name)
        return value if isinstance(value, int) else default

    def text(self, name: str, default: str = "") -> str:
        """Return a word, or ``default`` where the line gave none."""
        value = self._first(name)
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the words of an argument that may be repeated."""
        return tuple(v for key, v, _ in self._bound if key == name and isinstance(v, str))

    def prefix(self, name: str) -> Prefix | None:
        """Return a destination with its mask, or None where the line gave none."""
        value = self._first(name)
        return value if isinstance(value, Prefix) else None

    def column(self, name: str) -> int | None:
        """Return where the argument stood in its line, counted from 0."""
        return next((column for key, _, column in self._bound if key == name), None)

    def plain(self) -> dict[str, list[Value]]:
        """Return all values by name, for printing and comparing."""
        values: dict[str, list[Value]] = {}
        for key, value, _ in self._bound:
            values.setdefault(key, []).append(value)
        return values


@dataclass(slots=True)
class Edit:
    """One configuration command at work: what it changes and what it may say about it."""

    config: Cs7Config
    scope: Scope
    args: Args
    source: Location | None = None
    warnings: list[Problem] | None = None
    unsettled: set[tuple[str, int]] | None = None
    """Links whose local port had no local-peer yet (see ``loader``)."""

    def warn(self, code: str, message: str, hint: str = "") -> None:
        """Say something that does not stop the command."""
        if self.warnings is not None:
            self.warnings.append(Problem(code, message, hint, self.source))


Apply: TypeAlias = Callable[[Edit], Scope | None]
"""Changes the configuration; returns the scope to go to, None to stay. Raises ``Refusal``."""

Action: TypeAlias = Apply | Exec | Flow


@dataclass(frozen=True, slots=True)
class Option:
    """Tokens that come all together or not at all."""

    tokens: tuple[Token | Choice, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the command table."""

    modes: tuple[Mode, ...]
    syntax: tuple[Token | Choice | Option, ...]
    action: Action
    about: str
    """One sentence for the manual."""
    undo: Apply | None = None
    """What the ``no`` form does; None where there is none."""
    undo_needs: int = 0
    """How many tokens the ``no`` form must have; the others may follow."""

    @property
    def synopsis(self) -> str:
        """The command as manuals write it, such as ``link SLC sctp REMOTE-IP...``."""
        return " ".join(_written(part) for part in self.syntax)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the command and of its ``no`` form, one for each choice in it."""
        for tokens, reach in _layouts(self.syntax):
            yield Row(self, tokens, reach, self.action)
        if self.undo is not None:
            flat = [t for p in self.syntax for t in (p.tokens if isinstance(p, Option) else (p,))]
            rest = tuple(Option((token,)) for token in flat[self.undo_needs :])
            for tokens, reach in _layouts((_NO, *flat[: self.undo_needs], *rest)):
                yield Row(self, tokens, reach, self.undo)


def _written(part: Token | Choice | Option) -> str:
    match part:
        case Option():
            return f"[{' '.join(_written(token) for token in part.tokens)}]"
        case Choice():
            return "{" + " | ".join(part.words) + "}"
        case Keyword():
            return part.word
        case Argument():
            return part.name.upper() + ("..." if part.many else "")


_NO = Keyword("no", "Negate a command or set its defaults")


def _layouts(
    syntax: Sequence[Token | Choice | Option],
) -> Iterator[tuple[tuple[Token, ...], tuple[tuple[int, ...], ...]]]:
    """Yield ``syntax`` as plain tokens with what each place may skip to, once for each choice."""
    alternatives: list[list[Token]] = []
    skips: dict[int, int] = {}
    for part in syntax:
        start = len(alternatives)
        alternatives += [
            list(token.keywords()) if isinstance(token, Choice) else [token]
            for token in (part.tokens if isinstance(part, Option) else (part,))
        ]
        if isinstance(part, Option):
            skips[start] = len(alternatives)
    reach = []
    for place in range(len(alternatives) + 1):
        places = [place]
        while places[-1] in skips:
            places.append(skips[places[-1]])
        reach.append(tuple(places))
    for tokens in itertools.product(*alternatives):
        yield tokens, tuple(reach)


@dataclass(frozen=True, slots=True)
class Row:
    """A command or its ``no`` form, laid out for following it word by word."""

    command: Command
    tokens: tuple[Token, ...]
    reach: tuple[tuple[int, ...], ...]
    """For each place the places that it may stand for: itself, and those behind optional parts."""
    action: Action

    @property
    def negated(self) -> bool:
        """Whether this is a ``no`` form."""
        return self.tokens[0] is _NO
