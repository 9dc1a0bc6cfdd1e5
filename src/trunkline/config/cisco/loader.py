"""Reading router configurations: plain files, ``show running-config`` output, pasted transcripts.

Several files are layers, applied in turn to one configuration. Either all of it is taken or, when
anything is wrong, nothing: :class:`ConfigErrors` then lists every error with file, line and column.

A line without a prompt is a configuration line. Where prompts appear, lines that start with one are
what was typed, and the others are the router's output, except after ``show running-config``, whose
output is a configuration. The mode follows from the commands; the prompt's mode is believed where
the commands leave it open (the seed course shows ``(config)`` where the router shows
``(config-cs7-rt)``). Lines of the router that have nothing to do with SS7 are listed as ignored.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trunkline.config.cisco import edits
from trunkline.config.cisco.check import check
from trunkline.config.cisco.commands import GRAMMAR
from trunkline.config.cisco.foreign import FAMILY_WORDS, IOS_WORDS
from trunkline.config.cisco.grammar import Failure, Parsed, split
from trunkline.config.cisco.problems import ConfigErrors, Problem, Refusal, nearest
from trunkline.config.cisco.table import Args, Edit, Exec, Flow, Mode, Scope
from trunkline.config.cisco.transcript import (
    Prompt,
    banner_end,
    clean,
    indent_of,
    is_noise,
    is_rejection,
    prompt_of,
)
from trunkline.config.cisco.tree import DEFAULT_HOSTNAME, Cs7Config, Location

__all__ = ["Ignored", "LoadResult", "load"]

_CONFIG = Scope(Mode.CONFIG)
_MODES = {mode.value: mode for mode in Mode if mode.configures}
_CS7_MODES = (Mode.LOCAL_PEER, Mode.LINKSET, Mode.LINK, Mode.ROUTE_TABLE)
_HOME = {"local-ip": "cs7 local-peer", "link": "cs7 linkset", "update": "cs7 route-table system"}
"""First words of the cs7 submodes, and the command under which they belong."""
_CS7_PLAIN = ("variant", "network-indicator", "point-code")
"""Second words of the cs7 commands that open no mode."""
_CS7_SECOND = frozenset(
    row.tokens[1].placeholder(Cs7Config())
    for row in GRAMMAR.rows(Mode.CONFIG)
    if row.tokens[0].placeholder(Cs7Config()) == "cs7"
)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A line that says nothing about SS7, with the ``lines`` that belong to it counted in."""

    location: Location
    text: str
    lines: int = 1


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A configuration that was taken, and what there is to say about it."""

    config: Cs7Config
    warnings: tuple[Problem, ...]
    ignored: tuple[Ignored, ...]


def load(texts: Sequence[tuple[str, str]]) -> LoadResult:
    """Read files, given as ``(name, text)``, one layer over the other.

    Raises :class:`~trunkline.config.cisco.ConfigErrors` with every error found.
    """
    reader = _Reader()
    for name, text in texts:
        reader.read(name, text)
    return reader.result([name for name, _ in texts])


@dataclass(slots=True)
class _Line:
    """One line being read."""

    location: Location
    text: str
    command: str
    column: int
    """Where the command begins in the text, counted from 0."""
    indent: int
    prompt: Prompt | None

    def at(self, column: int) -> Location:
        return self.location._replace(column=self.column + column + 1)


def _rejected(following: Sequence[str]) -> bool:
    """Tell whether the answer to a command, perhaps below a line with a caret, is a rejection."""
    answer = itertools.takewhile(lambda line: prompt_of(line) is None, following)
    return any(map(is_rejection, answer))


class _Reader:
    """The state that goes from line to line and from file to file."""

    def __init__(self) -> None:
        self.config = Cs7Config()
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.ignored: list[Ignored] = []
        self.unsettled: set[tuple[str, int]] = set()
        self.foreign_hosts: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Start a file."""
        self.scope = _CONFIG
        self.prompted = False
        """A prompt was seen: lines without one are output."""
        self.exec = False
        """The last prompt was one of exec mode."""
        self.running_config = False
        """The output being read is that of ``show running-config``."""
        self.in_output = False
        """Output below a prompt of configuration mode is being passed over."""
        self.ignored_indent: int | None = None
        """Indentation of an ignored line; what is indented further below it is ignored too."""
        self.in_failed = False
        """The last command that opens a mode failed; what belongs below it is passed over."""
        self.link_indent = 0

    def read(self, name: str, text: str) -> None:
        self.reset()
        lines = [clean(line) for line in text.split("\n")]
        # Pastes are often indented as a whole.
        margin = min((indent_of(line) for line in lines if line), default=0)
        banner: str | None = None
        for index, line in enumerate(lines):
            if banner is not None:
                if banner in line:
                    banner = None
                continue
            if not line or is_noise(line):
                continue
            location = Location(name, index + 1)
            prompt = prompt_of(line)
            if prompt is not None:
                self.prompted = True
                self.in_output = False
                self.running_config = False
                if not self.known_host(prompt, location, line):
                    continue
                if (
                    _rejected(lines[index + 1 : index + 3])
                    or prompt.command.endswith("?")
                    or is_noise(prompt.command)
                ):
                    continue
                item = _Line(location, line, prompt.command, prompt.column, 0, prompt)
            else:
                indent = indent_of(line) - margin
                item = _Line(location, line, line.lstrip(), indent_of(line), indent, None)
            if not item.command or item.command.startswith("!"):
                continue
            banner = banner_end(item.command)
            self.line(item)

    def known_host(self, prompt: Prompt, location: Location, text: str) -> bool:
        """Let the prompt name the node; complain once about each further name."""
        host = prompt.host
        if host in (self.config.hostname, DEFAULT_HOSTNAME):
            return True
        if self.config.hostname == DEFAULT_HOSTNAME:
            self.config.hostname = host
            return True
        if host not in self.foreign_hosts:
            self.foreign_hosts.add(host)
            self.errors.append(
                Problem(
                    "config.other-host",
                    f"this line was typed on {host}, but the configuration is that of "
                    f"{self.config.hostname}",
                    "put each node's lines into a file of its own",
                    location,
                    text,
                )
            )
        return False

    # --- one line ---------------------------------------------------------------------------

    def line(self, line: _Line) -> None:
        if line.prompt is not None:
            self.exec = not line.prompt.mode
            if self.exec:
                self.exec_line(line)
            else:
                self.prompted_line(line, line.prompt)
        elif not self.prompted or self.running_config:
            self.config_line(line, self.scope)
        elif not self.exec:
            self.unprompted_line(line)

    def exec_line(self, line: _Line) -> None:
        read = GRAMMAR.parse(line.command, (Mode.EXEC,), self.config)
        self.scope = _CONFIG
        self.running_config = isinstance(read, Parsed) and read.row.action == (
            Exec.SHOW_RUNNING_CONFIG
        )

    def prompted_line(self, line: _Line, prompt: Prompt) -> None:
        mode = _MODES.get(prompt.mode)
        current = self.scope
        if mode is None:
            read = GRAMMAR.parse(line.command, (Mode.CONFIG,), self.config)
            if isinstance(read, Parsed):
                self.config_line(line, _CONFIG)
            else:
                self.ignore(line)
        elif mode is current.mode:
            self.config_line(line, current)
        elif mode is Mode.CONFIG:
            read = GRAMMAR.parse(line.command, (Mode.CONFIG,), self.config)
            # The seed shows the outer prompt although the router is in an inner mode.
            outer = isinstance(read, Parsed) or read.progress > 0
            self.config_line(line, _CONFIG if outer else current)
        elif mode is Mode.ROUTE_TABLE or (mode is Mode.LINKSET and current.mode is Mode.LINK):
            self.config_line(line, current.at(mode))
        elif mode is Mode.INTERFACE:
            self.ignore(line)
        elif not self.in_failed:
            opener = "cs7 local-peer PORT" if mode is Mode.LOCAL_PEER else "cs7 linkset NAME APC"
            self.error(
                line,
                "config.lost-mode",
                f"the prompt shows ({prompt.mode}), but no line before says where that is",
                f"put the line that led there before it: {opener}",
            )

    def unprompted_line(self, line: _Line) -> None:
        """Read a line without prompt below a prompt of configuration mode."""
        read = GRAMMAR.parse(line.command, self.scope.mode.chain, self.config)
        ours = split(line.command)[0].text.lower() == "cs7"
        if ours or (isinstance(read, Parsed) and not isinstance(read.row.action, Exec | Flow)):
            self.config_line(line, self.scope)
        elif self.in_output:
            self.ignored[-1] = replace(self.ignored[-1], lines=self.ignored[-1].lines + 1)
        else:
            self.ignore(line)
            self.in_output = True

    def config_line(self, line: _Line, scope: Scope) -> None:
        indented = line.prompt is None and line.indent > 0
        starts_cs7 = line.command.lower().startswith("cs7")
        inside = self.ignored_indent is not None and line.indent > self.ignored_indent
        if inside and line.prompt is None and not starts_cs7:
            self.ignored[-1] = replace(self.ignored[-1], lines=self.ignored[-1].lines + 1)
            return
        self.ignored_indent = None
        self.in_output = False
        read = GRAMMAR.parse(line.command, scope.mode.chain, self.config)
        if isinstance(read, Parsed):
            self.command(line, scope, read)
        elif self.in_failed and not starts_cs7:
            return
        else:
            self.failed(line, scope, read, indented=indented)

    def command(self, line: _Line, scope: Scope, read: Parsed) -> None:
        scope = scope.at(read.mode)
        if self.in_failed and read.mode is not Mode.CONFIG:
            return
        self.in_failed = False
        action = read.row.action
        match action:
            case Flow.EXIT:
                self.scope = _CONFIG if scope.mode is Mode.CONFIG else scope.at(scope.mode.parent)
            case Flow.END:
                self.scope = _CONFIG
            case Exec() | Flow():
                pass
            case _:
                self.mind_indent(line, scope, read.args)
                edit = Edit(
                    self.config, scope, read.args, line.at(0), self.warnings, self.unsettled
                )
                try:
                    self.scope = action(edit) or scope
                except Refusal as refusal:
                    column = read.args.column(refusal.argument) or 0
                    problem = self.problem(
                        line, refusal.code, refusal.message, refusal.hint, column
                    )
                    # To remove what is not there changes nothing; a transcript need not show
                    # where it came from.
                    if read.row.negated:
                        self.warnings.append(problem)
                    else:
                        self.errors.append(problem)
                        self.in_failed = read.mode is Mode.CONFIG

    def mind_indent(self, line: _Line, scope: Scope, args: Args) -> None:
        """Warn where a ``shutdown`` below a link looks as if it were meant for the linkset."""
        if line.prompt is not None:
            return
        if "slc" in args:
            self.link_indent = line.indent
        elif scope.mode is Mode.LINK and 0 < line.indent <= self.link_indent:
            self.warnings.append(
                Problem(
                    "config.indent",
                    f"'{line.command}' is read for link {scope.slc}, as routers read it, although "
                    "it is indented like a line of the linkset",
                    "indent it further, or put it before the linkset's first link",
                    line.at(0),
                    line.text,
                )
            )

    # --- lines that are no command ----------------------------------------------------------

    def failed(self, line: _Line, scope: Scope, failure: Failure, *, indented: bool) -> None:
        words = [word.text.lower() for word in split(line.command)]
        negated = words[0] == "no" and len(words) > 1
        first = words[1] if negated else words[0]
        second = words[1 + negated] if len(words) > 1 + negated else ""
        understood = failure.progress - negated > 0
        if first == "cs7" or (first not in IOS_WORDS and second in _CS7_SECOND):
            self.in_failed = second not in _CS7_PLAIN
            # Whatever the mode, the line was meant for this one.
            read = GRAMMAR.parse(line.command, (Mode.CONFIG,), self.config)
            failure = read if isinstance(read, Failure) else failure
            self.complain(line, failure, first, second)
        elif self.is_exec(line):
            return
        elif scope.mode is Mode.INTERFACE:
            value = failure.reason and first == "ip" and second == "address"
            if value and not line.command.endswith(("dhcp", "negotiated")):
                self.complain(line, failure, first, second)
            else:
                self.ignore(line)
        elif scope.mode in _CS7_MODES and (indented or first not in IOS_WORDS):
            self.complain(line, failure, first, second)
        elif first in _HOME:
            self.error(
                line,
                "config.wrong-mode",
                f"'{first}' belongs under '{_HOME[first]}'",
                f"put '{_HOME[first]} …' before this line",
            )
        elif understood and first == "hostname":
            self.complain(line, failure, first, second)
        else:
            self.scope = _CONFIG
            self.ignore(line)

    def is_exec(self, line: _Line) -> bool:
        """Tell whether a line is one of exec mode, such as ``conf t``, which changes nothing."""
        read = GRAMMAR.parse(line.command, (Mode.EXEC,), self.config)
        return isinstance(read, Parsed)

    def complain(self, line: _Line, failure: Failure, first: str, second: str) -> None:
        usage = f"write: {failure.usage}" if failure.usage else ""
        match failure.kind:
            case "ambiguous":
                word = line.command[failure.column :].split()[0]
                message = f"'{word}' is ambiguous: {', '.join(failure.expected)}"
                self.error(line, "config.ambiguous", message, usage, failure.column)
            case "incomplete":
                message = f"the command is incomplete after '{line.command}'"
                self.error(line, "config.incomplete", message, usage, failure.column)
            case "invalid" if failure.reason:
                self.error(line, "config.value", failure.reason, usage, failure.column)
            case _:
                self.unknown(line, failure, first, second)

    def unknown(self, line: _Line, failure: Failure, first: str, second: str) -> None:
        # The word at fault is the first that was not understood.
        word = split(line.command)[failure.progress].text
        close = nearest(word, failure.expected)
        if close is not None:
            hint = f"did you mean '{close}'?"
        elif first == "cs7" and second in FAMILY_WORDS:
            hint = "the router family has it, Trunkline does not: remove the line or put ! before"
        elif failure.expected:
            hint = f"expected here: {', '.join(failure.expected)}"
        else:
            hint = f"the command ends before this word: {failure.usage}"
        message = f"unknown word '{word}'"
        self.error(line, "config.unknown-word", message, hint, failure.column)

    def problem(self, line: _Line, code: str, message: str, hint: str, column: int = 0) -> Problem:
        return Problem(code, message, hint, line.at(column), line.text)

    def error(self, line: _Line, code: str, message: str, hint: str, column: int = 0) -> None:
        self.errors.append(self.problem(line, code, message, hint, column))

    def ignore(self, line: _Line) -> None:
        self.ignored_indent = line.indent if line.prompt is None else None
        self.ignored.append(Ignored(line.at(0), line.command))

    # --- the whole ----------------------------------------------------------------------------

    def result(self, names: Sequence[str]) -> LoadResult:
        """Return the configuration, or raise what is wrong with it."""
        edits.settle(Edit(self.config, _CONFIG, Args(), unsettled=self.unsettled))
        findings = check(self.config)
        order = {name: index for index, name in reversed(list(enumerate(names)))}

        def place(problem: Problem) -> tuple[int, int]:
            location = problem.location
            return (order[location.file], location.line) if location else (-1, 0)

        warnings = sorted((*self.warnings, *findings.warnings), key=place)
        # What a line in error left out would be reported again and again by the check as a whole.
        errors = sorted(self.errors or findings.errors, key=place)
        if errors:
            raise ConfigErrors(errors, warnings)
        return LoadResult(self.config, tuple(warnings), tuple(self.ignored))
