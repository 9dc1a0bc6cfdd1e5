"""One user at the shell: modes, prompts, commands in, text and typed actions out.

A session reads lines; it does not touch the network. What a configuration command changes comes
back as a list of changes to apply, what an exec command asks for as an action with its arguments.
Several sessions may share one configuration: each command is tried on a copy, checked as a whole,
and only then taken over, so that a refused command changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from trunkline.config.cisco.changes import Change, diff
from trunkline.config.cisco.check import check
from trunkline.config.cisco.commands import GRAMMAR
from trunkline.config.cisco.grammar import Completion, Failure, Parsed
from trunkline.config.cisco.problems import Problem, Refusal
from trunkline.config.cisco.table import Apply, Args, Edit, Exec, Flow, Mode, Scope
from trunkline.config.cisco.tree import Cs7Config

__all__ = ["Action", "Outcome", "Session", "TextFilter"]

_CONFIGURE = "Enter configuration commands, one per line.  End with CNTL/Z."
_UNFINISHED = ("config.empty-linkset", "config.empty-peer", "config.ip-nowhere")
"""Warnings about what the next lines are about to add: no news to whoever is typing them."""
_MODIFIERS = {"|": "Output modifiers"}
_PIPE = re.compile(r"(?<=\s)\|(?=\s|$)")
_DO = re.compile(r"\s*do\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TextFilter:
    """What stands after ``|``: begin, exclude or include, and a regular expression."""

    kind: str
    pattern: str

    def apply(self, text: str) -> str:
        """Return the lines of ``text`` that pass."""
        try:
            matches = re.compile(self.pattern).search
        except re.error:
            # A lone bracket is searched for as it stands.
            matches = re.compile(re.escape(self.pattern)).search
        lines = text.splitlines()
        match self.kind:
            case "include":
                lines = [line for line in lines if matches(line)]
            case "exclude":
                lines = [line for line in lines if not matches(line)]
            case _:
                first = next((i for i, line in enumerate(lines) if matches(line)), len(lines))
                lines = lines[first:]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Action:
    """What an element is asked to do."""

    id: Exec
    args: Args
    filter: TextFilter | None = None
    """Applies to what the element answers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one line."""

    text: str = ""
    """What to print at once, as the router family words it; empty if nothing."""
    error: Problem | None = None
    """Why the line was refused; ``text`` says it too."""
    action: Action | None = None
    changes: tuple[Change, ...] = ()
    """What to apply to the running node, in this order."""
    warnings: tuple[Problem, ...] = ()
    closed: bool = False
    """The user left the shell."""


class Session:
    """A shell on one node's configuration."""

    def __init__(self, config: Cs7Config, *, privileged: bool = True) -> None:
        self.config = config
        self._scope = Scope(Mode.EXEC if privileged else Mode.USER)

    @property
    def scope(self) -> Scope:
        """Where the user is; what another session removed is left for the mode above."""
        scope, config = self._scope, self.config
        if scope.mode is Mode.LINK and (
            scope.linkset not in config.linksets
            or scope.slc not in config.linksets[scope.linkset].links
        ):
            scope = scope.at(Mode.LINKSET)
        gone = (
            (scope.mode is Mode.LINKSET and scope.linkset not in config.linksets)
            or (scope.mode is Mode.LOCAL_PEER and scope.port not in config.local_peers)
            or (scope.mode is Mode.INTERFACE and scope.interface not in config.interfaces)
        )
        if gone:
            scope = Scope(Mode.CONFIG)
        self._scope = scope
        return scope

    @property
    def prompt(self) -> str:
        """The prompt, such as ``CountryA(config-cs7-ls)#``."""
        mode = self.scope.mode
        if mode.configures:
            return f"{self.config.hostname}({mode.value})#"
        return f"{self.config.hostname}{'>' if mode is Mode.USER else '#'}"

    def execute(self, line: str) -> Outcome:
        """Do one line."""
        if not line.strip() or line.lstrip().startswith("!"):
            return Outcome()
        return self._execute(line, self.scope, 0)

    def help(self, line: str) -> str:
        """Return what ``?`` after ``line`` prints."""
        mode, rest, _ = self._inner(line)
        read = GRAMMAR.parse(rest, mode.chain, self.config)
        shows = not mode.configures and isinstance(read, Parsed) and _shows(read)
        return GRAMMAR.help(rest, mode.chain, self.config, _MODIFIERS if shows else {})

    def complete(self, line: str) -> list[Completion]:
        """Return what may stand in place of the last word of ``line``."""
        mode, rest, _ = self._inner(line)
        return GRAMMAR.complete(rest, mode.chain, self.config)

    def _inner(self, line: str) -> tuple[Mode, str, int]:
        """Return the mode that reads the end of ``line``, that end, and where it begins."""
        mode, start = self.scope.mode, 0
        do = _DO.match(line) if mode.configures else None
        if do is not None:
            mode, start = Mode.EXEC, do.end()
        pipe = _PIPE.search(line, start) if not mode.configures else None
        if pipe is not None:
            read = GRAMMAR.parse(line[start : pipe.start()], mode.chain, self.config)
            if isinstance(read, Parsed) and _shows(read):
                return Mode.PIPE, line[pipe.end() :], pipe.end()
        return mode, line[start:], start

    def _execute(self, line: str, scope: Scope, start: int) -> Outcome:
        """Do ``line`` from ``start`` on in ``scope``; columns are those of the whole line."""
        command = line[start:]
        text_filter = None
        pipe = None if scope.mode.configures else _PIPE.search(command)
        if pipe is not None:
            after = GRAMMAR.parse(command[pipe.end() :], (Mode.PIPE,), self.config)
            if isinstance(after, Failure):
                return self._failed(line, scope, after, start + pipe.end())
            text_filter = TextFilter(after.args.text("filter"), after.args.text("pattern"))
            command = command[: pipe.start()].rstrip()
        read = GRAMMAR.parse(command, scope.mode.chain, self.config)
        if isinstance(read, Failure):
            return self._failed(line, scope, read, start)
        if pipe is not None and not _shows(read):
            return self._failed(line, scope, Failure("invalid", pipe.start(), ()), start)
        action = read.row.action
        match action:
            case Exec():
                return Outcome(action=Action(action, read.args, text_filter))
            case Flow():
                return self._flow(action, line, scope.at(read.mode), read.args)
            case _:
                return self._edit(action, scope.at(read.mode), read.args)

    def _flow(self, flow: Flow, line: str, scope: Scope, args: Args) -> Outcome:
        match flow:
            case Flow.ENABLE:
                self._scope = Scope(Mode.EXEC)
            case Flow.DISABLE:
                self._scope = Scope(Mode.USER)
            case Flow.CONFIGURE:
                self._scope = Scope(Mode.CONFIG)
                return Outcome(_CONFIGURE)
            case Flow.END:
                self._scope = Scope(Mode.EXEC)
            case Flow.EXIT if scope.mode.configures:
                self._scope = scope.at(scope.mode.parent)
            case Flow.EXIT:
                return Outcome(closed=True)
            case Flow.DO:
                return self._do(line, args)
            case Flow.NOTHING:
                pass
        return Outcome()

    def _do(self, line: str, args: Args) -> Outcome:
        kept = self._scope
        outcome = self._execute(line, Scope(Mode.EXEC), args.column("command") or 0)
        # ``do exit`` and the like must not move the user elsewhere.
        self._scope = kept
        return replace(outcome, closed=False)

    def _edit(self, apply: Apply, scope: Scope, args: Args) -> Outcome:
        new = self.config.copy()
        said: list[Problem] = []
        try:
            target = apply(Edit(new, scope, args, warnings=said)) or scope
        except Refusal as refusal:
            return _refused(Problem(refusal.code, refusal.message, refusal.hint))
        before, after = check(self.config), check(new)
        for error in after.errors:
            if error not in before.errors:
                return _refused(error)
        warnings = (*said, *(w for w in after.warnings if w not in before.warnings))
        warnings = tuple(warning for warning in warnings if warning.code not in _UNFINISHED)
        changes = tuple(diff(self.config, new))
        self.config.assign(new)
        self._scope = target
        text = "\n".join(f"% Warning: {warning.message}" for warning in warnings)
        return Outcome(text, changes=changes, warnings=warnings)

    def _failed(self, line: str, scope: Scope, failure: Failure, start: int) -> Outcome:
        if failure.kind == "ambiguous":
            problem = Problem("config.ambiguous", f"one of: {', '.join(failure.expected)}")
            return Outcome(f'% Ambiguous command:  "{line.strip()}"', problem)
        if failure.kind == "incomplete":
            problem = Problem("config.incomplete", "the command is incomplete", failure.usage)
            return Outcome("% Incomplete command.\n", problem)
        caret = " " * (len(self.prompt) + start + failure.column) + "^"
        lines = [caret, "% Invalid input detected at '^' marker."]
        reason = failure.reason
        if not reason and scope.mode.configures:
            read = GRAMMAR.parse(line, (Mode.EXEC,), self.config)
            if isinstance(read, Parsed):
                reason = f"this is a command of exec mode: type 'do {line.strip()}'"
        if reason:
            lines.append(f"% {reason}")
        problem = Problem(
            "config.value" if failure.reason else "config.unknown-word",
            reason or f"invalid input at column {start + failure.column + 1}",
            failure.usage,
        )
        return Outcome("\n".join(lines) + "\n", problem)


def _shows(read: Parsed) -> bool:
    action = read.row.action
    return isinstance(action, Exec) and action.value.startswith("show.")


def _refused(problem: Problem) -> Outcome:
    text = f"% {problem.message}"
    if problem.hint:
        text += f"\n% {problem.hint}"
    return Outcome(text, problem)
