"""The line editor of ``trunkline shell``: history, ``?``, Tab, Ctrl-Z, the log above the prompt."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import CompleteStyle

from trunkline.cli.shell import CONTROL_Z, RemoteSession
from trunkline.errors import TrunklineError
from trunkline.net.control import ControlClient

__all__ = ["interact"]


def interact(session: RemoteSession, path: Path) -> None:
    """Read lines from the terminal and carry them out until the session or the input ends.

    Raises:
        TrunklineError: ``control.unreachable`` when the node goes away.
    """
    editor: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history_file())),
        completer=_NodeCompleter(session),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
        reserve_space_for_menu=0,
        key_bindings=_keys(session),
    )
    with patch_stdout(raw=True):
        log = threading.Thread(target=_print_log, args=(path,), daemon=True)
        log.start()
        while not session.closed:
            try:
                line = editor.prompt(session.prompt)
            except KeyboardInterrupt:
                continue  # the line is given up, as on the router
            except EOFError:
                return
            if line == CONTROL_Z:
                if not session.prompt.endswith(")#"):
                    continue
                line = "end"
            output, _ = session.execute(line)  # its log lines come by the subscription
            if text := output.rstrip("\n"):
                print(text)


def _print_log(path: Path) -> None:
    """Print the node's log lines until it goes away."""
    try:
        with ControlClient(path) as client:
            for event in client.subscribe(["log"]):
                if line := event.get("line") or event.get("text"):
                    print(line)
                if lost := event.get("lost"):
                    print(f"({lost} log lines were lost here)")
    except TrunklineError:
        return  # the main thread meets the same and says so


class _NodeCompleter(Completer):
    """Asks the node which words may stand at the cursor."""

    def __init__(self, session: RemoteSession) -> None:
        self._session = session

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        line = document.text_before_cursor
        words = line.split(" ")
        try:
            candidates = self._session.complete(line)
        except TrunklineError:
            return
        ending = " " if len(candidates) == 1 else ""
        for word in candidates:
            yield Completion(word + ending, start_position=-len(words[-1]), display=word)


def _keys(session: RemoteSession) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("?")
    def _(event: KeyPressEvent) -> None:
        line = event.current_buffer.document.text_before_cursor
        prompt = session.prompt

        def show() -> None:
            try:
                text = session.help(line)
            except TrunklineError as error:
                text = error.message
            print(f"{prompt}{line}?\n{text.rstrip()}")

        run_in_terminal(show)

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.reset()
        event.app.exit(result=CONTROL_Z)

    return keys


def _history_file() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    folder = Path(base) / "trunkline"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shell-history"
    path.touch(mode=0o600)
    return path
