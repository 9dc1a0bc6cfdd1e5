"""``trunkline shell`` and ``trunkline exec``: the router's command line on a running node.

The node keeps the session, the modes and the command table; this side only edits lines. ``?``
and Tab ask the node, Ctrl-Z leaves configuration, and the node's log lines appear above the
prompt as they come. When standard input is no terminal the lines are simply carried out one by
one, and the output reads like a pasted transcript.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from trunkline.cli.output import JsonOption, NetworkOption, print_json
from trunkline.cli.rpc import NodeArgument, as_dict, as_list, connected
from trunkline.errors import TrunklineError
from trunkline.net.control import ControlClient, Json

__all__ = ["CONTROL_Z", "RemoteSession", "exec_line", "shell"]

CONTROL_Z = "\x1a"
"""Leaves configuration, as on the router."""

_PATIENCE = 60.0
"""Seconds for one command; a ping of many messages takes its time."""


class RemoteSession:
    """The shell session that a node keeps for this client."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        opened = as_dict(client.call("shell.open"))
        self._session = opened.get("session")
        self.prompt = str(opened.get("prompt"))
        self.closed = False
        self._lock = threading.Lock()  # completion runs beside the main thread

    def execute(self, line: str) -> tuple[str, list[str]]:
        """Carry out ``line``: its output and the log lines it brought about."""
        answer = as_dict(self._call("shell.execute", line))
        self.prompt = str(answer.get("prompt", self.prompt))
        self.closed = bool(answer.get("closed"))
        return str(answer.get("output", "")), [str(x) for x in as_list(answer.get("log"))]

    def help(self, line: str) -> str:
        """What may follow ``line``, as ``?`` shows it."""
        return str(as_dict(self._call("shell.help", line)).get("text", ""))

    def complete(self, line: str) -> list[str]:
        """The words that the last, partial word of ``line`` may become."""
        answer = as_dict(self._call("shell.complete", line))
        return [str(x) for x in as_list(answer.get("candidates"))]

    def _call(self, method: str, line: str) -> Json:
        with self._lock:
            return self._client.call(method, {"session": self._session, "line": line})


def shell(
    node: NodeArgument,
    network: NetworkOption = None,
) -> None:
    """Open the router-style command line of a running node."""
    with _router(node, network) as client:
        session = RemoteSession(client)
        if sys.stdin.isatty():
            from trunkline.cli.editor import interact  # prompt_toolkit is heavy

            interact(session, client.path)
        else:
            _transcript(session, sys.stdin)


def exec_line(
    node: NodeArgument,
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="For example: show cs7 route")
    ],
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Carry out one exec command on a running node and print what it says."""
    with _router(node, network) as client:
        answer = client.call("exec", {"line": " ".join(words), "json": as_json})
    if as_json:
        print_json(answer)
    elif output := str(as_dict(answer).get("output", "")):
        typer.echo(output.rstrip("\n"))


@contextmanager
def _router(node: str, network: str | None) -> Iterator[ControlClient]:
    """A client of ``node``, which has a router's command line."""
    with connected(node, network, timeout=_PATIENCE) as client:
        status = as_dict(client.call("node.status"))
        if status.get("kind") == "proxy":
            name = status.get("name")
            raise TrunklineError(
                "shell.no-router",
                f"{name} is a SIP proxy and has no router's command line; try `trunkline sip"
                f" status {name}`, `trunkline sip trace {name}` or `trunkline explain`",
            )
        yield client


def _transcript(session: RemoteSession, lines: Iterable[str]) -> None:
    for raw in lines:
        line = raw.rstrip("\r\n")
        typer.echo(f"{session.prompt}{line}")
        output, log = session.execute("end" if line == CONTROL_Z else line)
        for text in (output.rstrip("\n"), *log):
            if text:
                typer.echo(text)
        if session.closed:
            return
