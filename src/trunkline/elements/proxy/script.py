"""Routing scripts: Python modules whose marked functions decide what becomes of a request.

```text
from trunkline.script import Application, Request, every, on_request

@on_request("INVITE")
def invite(request: Request) -> None:
    request.relay("sip:gateway.example")

@every(60)
async def job(app: Application) -> None:
    ...
```

A mark says when a function is called; nothing is registered anywhere, so that a module can be
loaded beside an older version of itself. A function may be plain or ``async``.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from trunkline.errors import TrunklineError
from trunkline.sip.validity import METHODS

__all__ = [
    "FAILURES",
    "Job",
    "Script",
    "ScriptError",
    "every",
    "in_dialog",
    "load_script",
    "on_branch",
    "on_failure",
    "on_reply",
    "on_request",
    "on_start",
    "script_from",
    "script_of",
]

Function = Callable[..., object]

FAILURES = (Exception, SystemExit, asyncio.CancelledError)
"""What a script may raise: ``exit()`` is no way to end a node, and what it awaited may have been
cancelled by somebody else than us."""
_F = TypeVar("_F", bound=Function)

_MARK = "__trunkline_marks__"
_ANY = "*"
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+\Z")
_PACKAGE = Path(__file__).resolve().parents[2]

_NAMES = {
    "request": "on_request",
    "in_dialog": "in_dialog",
    "reply": "on_reply",
    "failure": "on_failure",
    "branch": "on_branch",
    "start": "on_start",
    "every": "every",
}

# Kind of handler: what its parameters are called in messages
_PARAMETERS = {
    "request": ("request",),
    "in_dialog": ("request",),
    "reply": ("request", "response"),
    "failure": ("request", "response"),
    "branch": ("request", "branch"),
    "start": ("app",),
    "every": ("app",),
}


class ScriptError(TrunklineError):
    """A script that cannot be used; the message has file, line and the traceback within it."""


@dataclass(frozen=True, slots=True)
class _Mark:
    kind: str
    methods: tuple[str, ...] = ()
    seconds: float = 0.0


_made: list[tuple[Function, _Mark]] = []
"""Marks made while a script is being loaded."""


def _mark(mark: _Mark) -> Callable[[_F], _F]:
    def keep(function: _F) -> _F:
        if not hasattr(function, "__name__"):
            raise ScriptError(
                "script.handler", f"@{_NAMES[mark.kind]} stands above a function: def NAME(…): …"
            )
        marks = (*getattr(function, _MARK, ()), mark)
        setattr(function, _MARK, marks)
        _made.append((function, mark))
        return function

    return keep


def _of_methods(kind: str, methods: tuple[object, ...]) -> Callable[[_F], _F]:
    """A mark whose arguments are methods: what is none, or is never asked about, is told."""
    name = _NAMES[kind]
    for method in methods:
        if not isinstance(method, str):
            if callable(method):
                hint = f"write @{name}() with its brackets"
            elif isinstance(method, Iterable):
                listed = ", ".join(f'"{each}"' for each in method)
                hint = f"write the methods one after the other: @{name}({listed})"
            else:
                hint = (
                    f'methods are texts: @{name}("INVITE"); a status is asked for in the function'
                )
            raise ScriptError("script.handler", f"@{name}({method!r}): {hint}")
        upper = method.upper()
        if method == "CANCEL":
            hint = "no handler sees CANCEL: it ends what its INVITE began"
        elif not _TOKEN.match(method):
            words = ", ".join(f'"{word}"' for word in re.findall(r"[A-Za-z]+", upper)) or '"INVITE"'
            hint = f"write @{name}({words})"
        elif method in METHODS:
            continue
        elif close := get_close_matches(upper, METHODS, 1, 1.0 if upper in METHODS else 0.8):
            hint = f'"{close[0]}" is meant, most likely'
        else:
            continue
        raise ScriptError("script.handler", f"@{name}({method!r}): {hint}")
    return _mark(_Mark(kind, tuple(map(str, methods))))


def on_request(*methods: str) -> Callable[[_F], _F]:
    """Call the function with each request of these methods, or any, that is outside of a dialog.

    It is called as ``function(request)`` and has to decide: ``relay``, ``reply``, ``drop`` and so
    on. CANCEL is never seen: it does what it should by itself. In a stateless node the handler of
    INVITE also gets what has to go the same way: its CANCEL, and the ACK to a failure.
    """
    return _of_methods("request", methods)


def in_dialog(*methods: str) -> Callable[[_F], _F]:
    """Call the function with requests whose To has a tag, ACKs to a 2xx included.

    A tag alone proves nothing: anybody can write one. ``request.routed`` says that the dialog began
    here. Without such a handler it is ``request.relay()``: those that are ``routed`` go where their
    Route and Request-URI lead, the others are answered 481.
    """
    return _of_methods("in_dialog", methods)


def on_reply(*methods: str) -> Callable[[_F], _F]:
    """Call ``function(request, response)`` with each response to a relayed request but 100.

    It may change the response. An ``async`` one holds it back until it is done, and what the same
    branch says after it.
    """
    return _of_methods("reply", methods)


def on_failure(*methods: str) -> Callable[[_F], _F]:
    """Call ``function(request, response)`` when every branch failed, with the best answer.

    It may ``relay`` or ``fork`` again or ``reply`` itself; else the answer is passed back. It is
    called again if what it tried fails too. After a 6xx nothing new is tried, whatever it says
    (RFC 3261 section 16.7 step 5).
    """
    return _of_methods("failure", methods)


def on_branch(*methods: str) -> Callable[[_F], _F]:
    """Call ``function(request, branch)`` with each copy that is about to be sent, to change it.

    It cannot be ``async``. Where it raises, the copy is not sent: its branch ends with 500.
    """
    return _of_methods("branch", methods)


def on_start(function: _F) -> _F:
    """Call ``function(app)`` once, when the script has been loaded and before any request."""
    return _mark(_Mark("start"))(function)


def every(seconds: float) -> Callable[[_F], _F]:
    """Call ``function(app)`` every so many seconds, in a task of its own, first after ``seconds``.

    A call that takes longer than that puts off the next. Of several workers the first does it.
    """
    if type(seconds) not in (int, float) or not 0.001 <= seconds <= 366 * 86_400:
        raise ScriptError(
            "script.handler", f"@every({seconds!r}): a number of seconds from 0.001 to a year"
        )
    return _mark(_Mark("every", seconds=seconds))


@dataclass(frozen=True, slots=True)
class Job:
    """A function that is called again and again."""

    function: Function
    seconds: float

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


@dataclass(slots=True)
class Script:
    """The handlers of one version of a script."""

    path: str
    source: str = ""
    """Its text, as it was loaded."""
    requests: dict[str, Function] = field(default_factory=dict)
    """By method; ``*`` is for any other."""
    dialogs: dict[str, Function] = field(default_factory=dict)
    replies: dict[str, Function] = field(default_factory=dict)
    failures: dict[str, Function] = field(default_factory=dict)
    branches: dict[str, Function] = field(default_factory=dict)
    starts: list[Function] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """The methods it has request handlers for."""
        return sorted(set(self.requests) - {_ANY})

    def require_stateless(self) -> None:
        """See that a stateless proxy can use it.

        Raises:
            ScriptError: ``script.stateless``: it has handlers that are never called there.
        """
        tables = (self.replies, self.failures, self.branches)
        for kind, table in zip(("reply", "failure", "branch"), tables, strict=True):
            for function in table.values():
                raise ScriptError(
                    "script.stateless",
                    f"{self.path}:{_line(function)}: {function.__name__}: a stateless proxy calls"
                    f" no @on_{kind}: take it out, or stateless = true out of the network file",
                )

    def find(self, table: Mapping[str, Function], method: str) -> Function | None:
        """Return the handler of ``table`` for ``method``."""
        return table.get(method) or table.get(_ANY)


def load_script(path: Path) -> Script:
    """Execute the file and collect its handlers.

    Raises:
        ScriptError: ``script.unreadable``, ``script.error`` (it raised), ``script.handler`` (a
            handler cannot be called as it would be), ``script.empty``.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ScriptError("script.unreadable", f"{path}: cannot be read: {problem}") from problem
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # a script may import what lies beside it
    module = types.ModuleType(f"trunkline_script_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and others look their module up
    _made.clear()
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except SyntaxError as problem:
        raise ScriptError(
            "script.error", f"{problem.filename}:{problem.lineno}: SyntaxError: {problem.msg}"
        ) from problem
    except FAILURES as problem:
        code = problem.code if isinstance(problem, ScriptError) else "script.error"
        raise ScriptError(code, told(problem, str(path), source)) from problem
    _see_that_all_are_there(module, str(path))
    script = script_from(module, str(path))
    script.source = source
    return script


def _see_that_all_are_there(module: types.ModuleType, path: str) -> None:
    """A mark is lost beneath a decorator that returns another function, or a name given twice.

    Raises:
        ScriptError: ``script.handler``: a function of the script was marked, and is not in it.
    """
    there = {
        id(mark)
        for value in vars(module).values()
        if callable(value)
        for mark in getattr(value, _MARK, ())
    }
    made = _made.copy()
    _made.clear()
    for function, mark in made:
        code = getattr(inspect.unwrap(function), "__code__", None)
        if id(mark) in there or code is None or code.co_filename != path:
            continue
        raise ScriptError(
            "script.handler",
            f"{path}:{_line(function)}: {function.__name__} has the mark @{_NAMES[mark.kind]}, and"
            " the script has no such function: another has its name, or a decorator above the mark"
            " returned one without it (functools.wraps keeps it)",
        )


def script_of(functions: Iterable[Function]) -> Script:
    """Make a script of handlers that are there already.

    Raises:
        ScriptError: ``script.handler``, ``script.empty``.
    """
    module = types.ModuleType("trunkline_script_handlers")
    for number, function in enumerate(functions):
        setattr(module, f"handler_{number}", function)
    return script_from(module, "<handlers>")


def told(problem: BaseException, path: str, source: str = "") -> str:
    """Return an exception of a script as text: file, line, and the way it took within it.

    Modules that lie beside the script are part of it. ``source`` is what was loaded: the file may
    have been changed since.
    """
    lines = source.split("\n")

    def line(frame: traceback.FrameSummary) -> str:
        number = frame.lineno or 0
        if source and frame.filename == path and 0 < number <= len(lines):
            return lines[number - 1].strip()
        return frame.line or ""

    frames = traceback.extract_tb(problem.__traceback__)
    mine = [frame for frame in frames if _is_of(frame.filename, path)] or list(frames)
    where = f"{mine[-1].filename}:{mine[-1].lineno}" if mine else path
    text = f"{where}: {type(problem).__name__}: {problem}"
    way = "".join(f"\n    {f.filename}:{f.lineno} in {f.name}: {line(f)}" for f in mine)
    return text + way


def _is_of(file: str, script: str) -> bool:
    if file == script:
        return True
    found = Path(file).resolve()
    return (
        found.is_relative_to(Path(script).resolve().parent)
        and not found.is_relative_to(_PACKAGE)
        and "site-packages" not in found.parts
    )


def script_from(module: types.ModuleType, path: str) -> Script:
    """Collect the handlers of a module.

    Raises:
        ScriptError: ``script.handler``, ``script.empty``.
    """
    script = Script(path)
    tables = {
        "request": script.requests,
        "in_dialog": script.dialogs,
        "reply": script.replies,
        "failure": script.failures,
        "branch": script.branches,
    }
    seen: set[int] = set()
    for value in list(vars(module).values()):
        marks: tuple[_Mark, ...] = getattr(value, _MARK, ()) if callable(value) else ()
        if not marks or id(value) in seen:
            continue
        seen.add(id(value))
        for mark in marks:
            _check(value, mark, path)
            if mark.kind == "start":
                script.starts.append(value)
            elif mark.kind == "every":
                script.jobs.append(Job(value, mark.seconds))
            else:
                for method in mark.methods or (_ANY,):
                    _add(tables[mark.kind], method, value, path)
    if not seen:
        raise ScriptError(
            "script.empty",
            f"{path}: no handler: mark a function with @on_request() or one of its siblings",
        )
    return script


def _add(table: dict[str, Function], method: str, function: Function, path: str) -> None:
    other = table.get(method)
    if other is not None:
        raise ScriptError(
            "script.handler",
            f"{path}:{_line(function)}: {function.__name__}: {other.__name__} (line {_line(other)})"
            f" is there for {'any method' if method == _ANY else method} already",
        )
    table[method] = function


def _check(function: Function, mark: _Mark, path: str) -> None:
    names = _PARAMETERS[mark.kind]
    try:
        inspect.signature(function).bind(*names)
    except (TypeError, ValueError) as problem:
        raise ScriptError(
            "script.handler",
            f"{path}:{_line(function)}: {function.__name__} is called with ({', '.join(names)}):"
            f" {problem}",
        ) from problem
    if mark.kind == "branch" and inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise ScriptError(
            "script.handler",
            f"{path}:{_line(function)}: {function.__name__}: @on_branch cannot be async: the copy"
            " leaves when it returns. What takes time belongs into the handler of the request",
        )


def _line(function: Function) -> int:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_firstlineno if code is not None else 0
