"""What the commands of exec mode do on a running node: one handler for each action id.

A handler gives a JSON view and its text; the shell prints the one, ``--json`` the other. The
command table is ``trunkline.config.cisco``; a test holds the two together.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from trunkline import __version__
from trunkline.config.cisco import Action, Args, Exec, running_config
from trunkline.elements import ios, views
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from trunkline.elements.node import Node

__all__ = ["HANDLERS", "Answer", "execute"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gives: text for people, a view for programs."""

    text: str
    view: object


Handler: TypeAlias = "Callable[[Node, Args], Awaitable[Answer] | Answer]"


def _linkset(host: Node, args: Args) -> str:
    """The linkset that a command names, empty for all."""
    name = args.text("name")
    if name and name not in host.point.router.linksets:
        known = ", ".join(host.point.router.linksets) or "none"
        raise TrunklineError(
            "node.no-such-linkset", f"there is no linkset {name}; there are: {known}"
        )
    return name


def _show_linkset(host: Node, args: Args) -> Answer:
    view = views.linkset_views(host.point, _linkset(host, args))
    return Answer(ios.linksets(view), view)


def _show_route(host: Node, _: Args) -> Answer:
    view = views.route_table_view(host.point)
    return Answer(ios.routes(view), view)


def _show_route_detail(host: Node, _: Args) -> Answer:
    view = views.route_table_view(host.point)
    return Answer(ios.routes_detail(view), view)


def _explain(host: Node, args: Args) -> Answer:
    view = views.explanation_view(host.point, args.integer("pc"))
    return Answer(ios.explanation(view), view)


def _m2pa_state(host: Node, args: Args) -> Answer:
    view = views.link_views(host.point, _linkset(host, args))
    return Answer(ios.m2pa_state(view), view)


def _m2pa_statistics(host: Node, args: Args) -> Answer:
    view = views.link_views(host.point, _linkset(host, args))
    return Answer(ios.m2pa_statistics(view), view)


def _point_codes(host: Node, _: Args) -> Answer:
    view = views.point_code_views(host.point)
    return Answer(ios.point_codes(view), view)


def _running_config(host: Node, _: Args) -> Answer:
    text = running_config(host.point.config)
    return Answer(text, {"text": text})


def _version(host: Node, _: Args) -> Answer:
    name = host.point.config.hostname
    uptime = int(time.time() - host.started)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    text = f"Trunkline {__version__} on {python}\n{name} uptime is {uptime} seconds\n"
    return Answer(text, {"version": __version__, "python": python, "uptime": uptime})


def _write(host: Node, _: Args) -> Answer:
    path = host.startup_file
    text = running_config(host.point.config)
    partial = path.with_suffix(".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as problem:
        raise TrunklineError(
            "node.write", f"{path}: cannot be written: {problem.strerror or problem}"
        ) from problem
    # The file lives as long as the lab: said here, so that nobody takes it for a backup.
    note = f"Saved to {path}: used when this node restarts, gone when it is stopped."
    return Answer(f"Building configuration...\n[OK]\n{note}\n", {"file": str(path)})


async def _ping(host: Node, args: Args) -> Answer:
    view = await host.ping(
        args.integer("pc"),
        args.integer("count", 1),
        args.integer("interval", 1000) / 1000,
        args.integer("timeout", 2000) / 1000,
        args.integer("size", 0),
    )
    for mnemonic, text in ios.ping_log(view):
        host.log("CS7PING", 6, mnemonic, text)
    return Answer("", view)


HANDLERS: Mapping[Exec, Handler] = {
    Exec.SHOW_LINKSET: _show_linkset,
    Exec.SHOW_ROUTE: _show_route,
    Exec.SHOW_ROUTE_DETAIL: _show_route_detail,
    Exec.SHOW_ROUTE_EXPLAIN: _explain,
    Exec.SHOW_M2PA_STATE: _m2pa_state,
    Exec.SHOW_M2PA_STATISTICS: _m2pa_statistics,
    Exec.SHOW_POINT_CODES: _point_codes,
    Exec.SHOW_RUNNING_CONFIG: _running_config,
    Exec.SHOW_VERSION: _version,
    Exec.WRITE: _write,
    Exec.PING: _ping,
}


async def execute(host: Node, action: Action) -> Answer:
    """Carry out one exec command.

    Raises:
        TrunklineError: what the command is about is not there.
    """
    result = HANDLERS[action.id](host, action.args)
    answer = result if isinstance(result, Answer) else await result
    if action.filter is not None:
        return Answer(action.filter.apply(answer.text), answer.view)
    return answer
