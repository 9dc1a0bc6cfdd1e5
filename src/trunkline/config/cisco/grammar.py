"""Reading a line against the command table: abbreviations, ``?`` help, completion, errors.

Every command is a row of tokens. All rows of a mode are followed word by word at the same time;
what is left after a word decides. A keyword may be abbreviated while only one keyword at that place
starts so; written out it always wins. A line fails in one of the router family's three ways:
ambiguous, incomplete or invalid, the last with the column at which no row went on.

Left out: help for words in the middle of a line; the family does not have it either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from trunkline.config.cisco.table import Args, Command, Mode, Row
from trunkline.config.cisco.tokens import Argument, Keyword, Reject, Token, Value
from trunkline.config.cisco.tree import Cs7Config
from trunkline.ss7.pointcode import Variant

__all__ = ["MAX_LINE", "Completion", "Failure", "Grammar", "Parsed", "Word", "split"]

MAX_LINE = 1024
"""Longest line that is read as a command; the router family itself stops at 254."""


class Word(NamedTuple):
    """A word of a line and the column it starts at, counted from 0."""

    text: str
    column: int


def split(line: str) -> list[Word]:
    """Split a line at its blanks."""
    return [Word(m[0], m.start()) for m in re.finditer(r"\S+", line)]


Bound: TypeAlias = tuple[tuple[str, Value, int], ...]


class _State(NamedTuple):
    row: Row
    at: int
    bound: Bound


@dataclass(frozen=True, slots=True)
class Parsed:
    """A line that is a command."""

    row: Row
    args: Args
    mode: Mode
    """The mode in which it was found: the typed one or a parent."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A line that is no command."""

    kind: Literal["ambiguous", "incomplete", "invalid"]
    column: int
    """Where it went wrong, counted from 0."""
    expected: tuple[str, ...]
    """The keywords that would have gone on at that place."""
    reason: str = ""
    """What a value lacked; empty where a keyword was expected."""
    progress: int = 0
    """How many words were understood."""
    usage: str = ""
    """How the command is written that the line came closest to."""


class Completion(NamedTuple):
    """A word that Tab may put in place of the last one."""

    word: str
    help: str


class Grammar:
    """The command table, ready to read lines."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = tuple(commands)
        self._rows: dict[Mode, list[Row]] = {mode: [] for mode in Mode}
        self._starts: dict[Mode, dict[str, list[_State]]] = {mode: {} for mode in Mode}
        for command in self.commands:
            for row in command.rows():
                first = row.tokens[0].placeholder(Cs7Config())
                for mode in command.modes:
                    self._rows[mode].append(row)
                    self._starts[mode].setdefault(first, []).append(_State(row, 0, ()))

    def rows(self, mode: Mode) -> Sequence[Row]:
        """Return the rows of one mode, in the table's order."""
        return self._rows[mode]

    def parse(self, line: str, modes: Sequence[Mode], config: Cs7Config) -> Parsed | Failure:
        """Read ``line`` in the first of ``modes`` that takes it."""
        if len(line) > MAX_LINE:
            reason = f"a line has at most {MAX_LINE} characters"
            return Failure("invalid", MAX_LINE, (), reason)
        words = split(line)
        failures = []
        for mode in modes:
            read = self._follow(words, line, mode, config)
            if isinstance(read, Failure):
                failures.append(read)
                continue
            for state in read:
                if len(state.row.tokens) in state.row.reach[state.at]:
                    return Parsed(state.row, Args(state.bound), mode)
            usage = _usage(read)
            failures.append(
                Failure("incomplete", len(line), _expected(read), "", len(words), usage)
            )
        # The mode that understood most of the line knows best what is wrong with it.
        return max(failures, key=lambda failure: failure.progress)

    def _follow(
        self, words: Sequence[Word], line: str, mode: Mode, config: Cs7Config
    ) -> list[_State] | Failure:
        starts = self._starts[mode]
        expected = tuple(starts)
        states: list[_State] = []
        for progress, word in enumerate(words):
            keyword = _keyword(word.text, expected)
            if isinstance(keyword, tuple):
                return Failure("ambiguous", word.column, keyword, "", progress)
            if progress == 0:
                # Every row starts with a keyword: only those of this one need to be followed.
                states = starts.get(keyword, []) if keyword else []
            following, rejects = _advance(states, word, keyword, line, config.variant)
            if not following:
                usage = _usage(states) if progress else ""
                return _invalid(word, expected, rejects, progress, usage)
            states = following
            if isinstance(token := states[0].row.tokens[states[0].at - 1], Argument) and (
                token.takes_rest
            ):
                return states
            expected = _expected(states)
        return states if words else [state for states in starts.values() for state in states]

    def help(
        self,
        line: str,
        modes: Sequence[Mode],
        config: Cs7Config,
        further: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Return what ``?`` prints after ``line``: the next words, or those that start so.

        ``further`` holds more words, with their help, that may stand at the end of a command.
        """
        partial, states = self._open(line, modes, config)
        if isinstance(states, Failure):
            if states.kind == "ambiguous":
                return f'% Ambiguous command:  "{line.strip()} ?"'
            return "% Unrecognized command"
        tokens = _next(states)
        if partial:
            words = sorted(
                {
                    t.word
                    for t in tokens
                    if isinstance(t, Keyword) and t.word.startswith(partial.lower())
                }
            )
            if words:
                return "  ".join(words)
            tokens = [t for t in tokens if isinstance(t, Argument)]
            if not tokens:
                return "% Unrecognized command"
        lines = {token.placeholder(config): token.help for token in tokens}
        order = sorted(lines, key=lambda word: (not word[0].isalpha() or word.isupper(), word))
        ends = not partial and any(
            len(row.tokens) in row.reach[index] for row, index, _ in states if index
        )
        if ends:
            for word, text in (*further.items(), ("<cr>", "")):
                lines[word] = text
                order.append(word)
        width = max(map(len, order), default=0)
        return "\n".join(f"  {word:<{width}}  {lines[word]}".rstrip() for word in order)

    def complete(self, line: str, modes: Sequence[Mode], config: Cs7Config) -> list[Completion]:
        """Return the words that may stand in place of the last, perhaps empty, word of ``line``."""
        partial, states = self._open(line, modes, config)
        if isinstance(states, Failure):
            return []
        found: dict[str, str] = {}
        for token in _next(states):
            start = partial.lower() if isinstance(token, Keyword) else partial
            for word in token.known(config):
                if word.startswith(start):
                    found.setdefault(word, token.help)
        return [Completion(word, found[word]) for word in sorted(found)]

    def _open(
        self, line: str, modes: Sequence[Mode], config: Cs7Config
    ) -> tuple[str, list[_State] | Failure]:
        """Split off the word being typed; follow the rest in the first mode that offers more."""
        if len(line) > MAX_LINE:
            return "", Failure("invalid", MAX_LINE, ())
        words = split(line)
        partial = words.pop().text if words and not line[-1].isspace() else ""
        first: list[_State] | Failure | None = None
        for mode in modes:
            states = self._follow(words, line, mode, config)
            first = states if first is None or isinstance(first, Failure) else first
            if not isinstance(states, Failure) and (words or not partial):
                return partial, states
            if not isinstance(states, Failure) and any(
                token.word.startswith(partial.lower())
                for token in _next(states)
                if isinstance(token, Keyword)
            ):
                return partial, states
        return partial, first if first is not None else []


def _advance(
    states: Iterable[_State], word: Word, keyword: str | None, line: str, variant: Variant
) -> tuple[list[_State], list[Reject]]:
    """Return what goes on after ``word``; else the reasons why it is none of the values."""
    following: list[_State] = []
    rejects: list[Reject] = []
    for row, index, bound in states:
        for at in row.reach[index]:
            token = row.tokens[at] if at < len(row.tokens) else None
            if isinstance(token, Keyword) and token.word == keyword:
                binding = ((token.binds, token.word, word.column),) if token.binds else ()
                following.append(_State(row, at + 1, (*bound, *binding)))
            elif isinstance(token, Argument) and keyword is None:
                text = line[word.column :].rstrip() if token.takes_rest else word.text
                try:
                    value = token.parse(text, variant)
                except Reject as reject:
                    rejects.append(reject)
                    continue
                now = (*bound, (token.name, value, word.column))
                following.append(_State(row, at + 1, now))
                if token.many:
                    following.append(_State(row, at, now))
    return following, rejects


def _next(states: Iterable[_State]) -> list[Token]:
    return [
        row.tokens[at]
        for row, index, _ in states
        for at in row.reach[index]
        if at < len(row.tokens)
    ]


def _usage(states: Sequence[_State]) -> str:
    row = states[0].row
    return f"{'no ' if row.negated else ''}{row.command.synopsis}"


def _expected(states: Iterable[_State]) -> tuple[str, ...]:
    return tuple(sorted({t.word for t in _next(states) if isinstance(t, Keyword)}))


def _keyword(text: str, expected: Iterable[str]) -> str | tuple[str, ...] | None:
    """Return the keyword that ``text`` stands for, all of them if several, None if none."""
    text = text.lower()
    words = [word for word in expected if word.startswith(text)]
    if text in words:
        return text
    if len(words) > 1:
        return tuple(sorted(words))
    return words[0] if words else None


def _invalid(
    word: Word, expected: tuple[str, ...], rejects: Sequence[Reject], progress: int, usage: str
) -> Failure:
    # Where both a keyword and a value could stand, digits were meant as the value.
    if rejects and (not expected or word.text[0].isdigit()):
        reject = rejects[0]
        column = word.column + reject.offset
        return Failure("invalid", column, (), reject.reason, progress, usage)
    # As the family does: the caret stands under the first letter that no keyword goes on with.
    text = word.text.lower()
    common = max((_common(text, keyword) for keyword in expected), default=0)
    return Failure("invalid", word.column + common, expected, "", progress, usage)


def _common(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length
