"""``trunkline sip browse``: the calls that proxies remember, on a screen.

A list of calls, the newest first, read anew every two seconds; Enter opens one as a ladder, Enter
on an arrow the message, ``s`` the call's story, and Escape goes back. `Browser` makes the screens
and knows no terminal; `browse` shows them on one.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from trunkline.cli.explain import COLUMNS, call_cells, print_story
from trunkline.cli.proxies import (
    Worker,
    addresses,
    call_messages,
    message_of,
    recent_calls,
    story,
)
from trunkline.cli.trace import print_message
from trunkline.errors import TrunklineError
from trunkline.net.control import Json
from trunkline.observe.ladder import Ladder, Line
from trunkline.observe.pcap import ends_of
from trunkline.observe.recorder import SeenMessage

__all__ = ["Browser", "browse"]

_CALLS = 200
"""Calls of the list."""
_PAUSE = 2.0
"""Seconds from one reading of the list to the next: it takes a proxy some milliseconds."""
_FAR = 1_000_000
"""Lines; more than there are."""
_HELP = {
    "calls": "Enter ladder   s story   q quit",
    "ladder": "Enter message   s story   Esc back   q quit",
    "text": "Esc back   q quit",
}


@dataclass(slots=True)
class _Screen:
    """What is shown: lines, of which some can be marked, under a head that stays."""

    kind: str
    head: list[Text]
    lines: list[Text]
    marks: list[int]
    """The numbers of the lines that can be marked; empty: the lines are scrolled."""
    marked: int = 0
    top: int = 0
    """The first line that is shown."""


class Browser:
    """The screens, one on top of the other; ``width`` in characters."""

    def __init__(self, workers: list[Worker], width: int) -> None:
        self.width = width
        self._workers = workers
        self._calls: list[dict[str, Json]] = []
        self._messages: list[SeenMessage] = []
        self._screens = [_Screen("calls", [], [], [])]
        self.refresh()

    # what is shown

    def rows(self, height: int) -> list[Text]:
        """The screen in ``height`` lines; the marked one is shown in reverse."""
        screen = self._screens[-1]
        room = max(1, height - len(screen.head) - 1)
        if screen.marks:
            at = screen.marks[screen.marked]
            screen.top = min(max(screen.top, at - room + 1), at)
        screen.top = max(0, min(screen.top, len(screen.lines) - room))
        rows = [*screen.head, *screen.lines[screen.top : screen.top + room]]
        if screen.marks:
            row = rows[len(screen.head) + at - screen.top] = rows[
                len(screen.head) + at - screen.top
            ].copy()
            row.stylize("reverse")
        rows += [Text()] * (height - 1 - len(rows))
        return [*rows, Text(_HELP[screen.kind], style="dim")]

    def refresh(self) -> None:
        """Read the list of calls anew; the one that is marked stays so."""
        screen = self._screens[0]
        marked = self._calls[screen.marked]["call_id"] if self._calls else None
        self._calls = recent_calls(self._workers, _CALLS)
        cells = [call_cells(call) for call in self._calls]
        widths = [
            max(map(cell_len, (name, *(str(row[index]) for row in cells))))
            for index, name in enumerate(COLUMNS)
        ]
        heads = tuple(Text(name, style="dim") for name in COLUMNS)
        screen.head = [self._row(heads, widths)]
        screen.lines = [self._row(row, widths) for row in cells] or [Text("no calls yet")]
        screen.marks = [*range(len(cells))]
        found = [n for n, call in enumerate(self._calls) if call["call_id"] == marked]
        # While the newest is marked, the newest it stays.
        screen.marked = found[0] if found and screen.marked else 0

    def _row(self, cells: tuple[Text, ...], widths: list[int]) -> Text:
        row = Text()
        for cell, width in zip(cells, widths, strict=True):
            row.append_text(cell)
            row.append(" " * (width + 2 - cell.cell_len))
        row.truncate(self.width)
        return row

    # what keys do

    def move(self, steps: int) -> None:
        """Mark the line that is so many further down, or scroll."""
        screen = self._screens[-1]
        if screen.marks:
            screen.marked = max(0, min(screen.marked + steps, len(screen.marks) - 1))
        else:
            screen.top = max(0, screen.top + steps)

    def enter(self) -> None:
        """Open what is marked: a call as a ladder, an arrow as its message."""
        screen = self._screens[-1]
        if not screen.marks:
            return
        if screen.kind == "calls":
            self._screens.append(self._ladder(str(self._calls[screen.marked]["call_id"])))
        else:
            out = self._page()
            print_message(out, self._messages[screen.marked])
            self._show(out)

    def tell(self) -> None:
        """Open the marked call's story."""
        if self._calls and self._screens[-1].kind != "text":
            call = self._calls[self._screens[0].marked]
            out = self._page()
            print_story(out, call, story(self._workers, str(call["call_id"])))
            self._show(out)

    def back(self) -> bool:
        """Leave a screen; False: it was the last."""
        if len(self._screens) > 1:
            self._screens.pop()
            return True
        return False

    @property
    def listing(self) -> bool:
        """Whether the list of calls is shown."""
        return len(self._screens) == 1

    def _ladder(self, call_id: str) -> _Screen:
        names = addresses(self._workers)
        drawing = Ladder(width=self.width, names=names, relative=True)
        messages = [message_of(answer) for answer in call_messages(self._workers, call_id)]
        drawing.begin(dict.fromkeys(end for seen in messages for end in ends_of(seen)))
        screen = _Screen("ladder", [], [], [])
        self._messages = []
        for seen in messages:
            lines = [_text(line) for line in drawing.add(seen)]
            if not lines:
                continue  # its other end has told of it
            if not self._messages and len(lines) > 2:
                screen.head, lines = lines[:-1], lines[-1:]  # the names of the columns
            screen.marks.append(len(screen.lines))
            screen.lines += lines
            self._messages.append(seen)
        return screen

    def _page(self) -> Console:
        return Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system="standard",
            width=self.width,
            highlight=False,
        )

    def _show(self, out: Console) -> None:
        assert isinstance(out.file, io.StringIO)
        lines = out.file.getvalue().splitlines()
        self._screens.append(_Screen("text", [], [Text.from_ansi(line) for line in lines], []))


def _text(line: Line) -> Text:
    return Text.assemble(*line)


def browse(workers: list[Worker]) -> None:
    """Show the calls on the terminal until the user leaves.

    Raises:
        TrunklineError: a proxy went away.
    """
    browser = Browser(workers, 80)
    application: Application[None] = Application(
        layout=Layout(Window(FormattedTextControl(lambda: shown(), show_cursor=False))),
        key_bindings=_keys(browser),
        full_screen=True,
        refresh_interval=_PAUSE,
    )
    application.ttimeoutlen = 0.05  # seconds after which Escape is a key of its own

    def shown() -> StyleAndTextTuples:
        size = application.output.get_size()
        browser.width = size.columns
        try:
            if browser.listing:
                browser.refresh()
        except TrunklineError as problem:
            if not application.is_done:
                application.exit(exception=problem)
        return _fragments(browser.rows(size.rows))

    application.run()


def _fragments(rows: list[Text]) -> StyleAndTextTuples:
    out = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        width=1000,
        highlight=False,
    )
    assert isinstance(out.file, io.StringIO)
    for row in rows:
        out.print(row, soft_wrap=True)
    return to_formatted_text(ANSI(out.file.getvalue().removesuffix("\n")))


def _keys(browser: Browser) -> KeyBindings:
    keys = KeyBindings()
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -20, "pagedown": 20}
    steps |= {"home": -_FAR, "end": _FAR}
    for name, step in steps.items():
        _bind(keys, name, lambda step=step: browser.move(step))  # type: ignore[misc]
    _bind(keys, "enter", browser.enter)
    _bind(keys, "s", browser.tell)

    @keys.add("escape", eager=True)
    @keys.add("backspace")
    def _(event: KeyPressEvent) -> None:
        if not browser.back():
            event.app.exit()

    @keys.add("q")
    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        event.app.exit()

    return keys


def _bind(keys: KeyBindings, name: str, act: Callable[[], None]) -> None:
    @keys.add(name)
    def _(event: KeyPressEvent) -> None:
        try:
            act()
        except TrunklineError as problem:
            event.app.exit(exception=problem)
