"""The line editor of ``trunkline rate console``: history, and Tab for commands and their keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.shortcuts import CompleteStyle

from trunkline.config.cgrates.commands import PINGS, VERBS

__all__ = ["CommandCompleter", "interact"]

Keys = Callable[[str], list[str]]


def interact(prompt: str, keys: Keys) -> Iterator[str]:
    """The lines that are typed, until the input ends; ``keys`` are those of a command."""
    editor: PromptSession[str] = PromptSession(
        history=_history(),
        completer=CommandCompleter(keys),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
        reserve_space_for_menu=0,
    )
    while True:
        try:
            yield editor.prompt(prompt)
        except KeyboardInterrupt:
            continue  # the line is given up
        except EOFError:
            return


class CommandCompleter(Completer):
    """A command first, then its keys."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """The words that may stand at the cursor."""
        before = document.text_before_cursor.lstrip()
        verb, blank, rest = before.partition(" ")
        if not blank:
            found = [f"{each} " for each in ("help", "ping", "quit", *VERBS)]
            part = verb
        elif verb == "ping":
            found, part = [each for each in PINGS if each], rest
        else:
            part = rest.rpartition(" ")[2]
            found = [f"{each}=" for each in self._keys(verb) if f"{each}=" not in rest]
        for each in sorted(found):
            if each.lower().startswith(part.lower()):
                yield Completion(each, start_position=-len(part), display=each.rstrip(" ="))


def _history() -> History:
    """That of the console before; a new one where nothing can be kept."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(base) / "trunkline" / "console-history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
