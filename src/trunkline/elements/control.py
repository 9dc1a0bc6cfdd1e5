"""The methods that a node answers on its control socket.

Every result is JSON that ``--json`` prints as it is; the shapes are in
``trunkline.elements.views`` and in the docstrings here. Parameters are checked here: a wrong one
is the error ``control.params`` with the name and what is expected.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trunkline import __version__
from trunkline.config.cisco import NETWORK_INDICATORS, Session
from trunkline.elements import views
from trunkline.elements.captures import Capture, tap_of
from trunkline.elements.commands import execute
from trunkline.elements.parameters import Params, bounded, param
from trunkline.elements.ssp import ActiveCall, Exchange
from trunkline.errors import TrunklineError
from trunkline.net.control import Connection, Json, Method
from trunkline.ss7.isup.cause import CAUSE_NAMES
from trunkline.store.records import CallRecord

if TYPE_CHECKING:
    from trunkline.elements.node import Node
    from trunkline.store.calls import CallStore

__all__ = ["methods"]


_DAY = 86_400.0  # seconds
_MOST = 10_000  # lines or records in one answer
_SESSIONS = 32  # shells open on one connection


def methods(node: Node) -> Mapping[str, Method]:
    """The dispatch table of ``node``."""
    control = _Control(node)
    return {
        "node.status": control.status,
        "node.counters": control.counters,
        "node.log": control.log_lines,
        "node.stop": control.stop,
        "ss7.linksets": control.linksets,
        "ss7.routes": control.routes,
        "ss7.m2pa": control.m2pa,
        "ss7.explain": control.explain,
        "ss7.ping": control.ping,
        "shell.open": control.shell_open,
        "shell.execute": control.shell_execute,
        "shell.help": control.shell_help,
        "shell.complete": control.shell_complete,
        "exec": control.execute_once,
        "link.block": control.block,
        "capture.start": control.capture_start,
        "capture.stop": control.capture_stop,
        "calls.originate": control.originate,
        "calls.release": control.release,
        "calls.active": control.active_calls,
        "calls.list": control.records,
        "calls.show": control.record,
    }


class _Control:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._sessions: dict[Connection, dict[int, Session]] = {}
        self._numbers = itertools.count(1)
        self._captures: dict[Connection, list[Capture]] = {}

    # the node

    def status(self, _: Connection, __: Params) -> Json:
        node = self._node
        config = node.config
        indicators = {number: word for word, number in NETWORK_INDICATORS.items()}
        links: list[Json] = [
            {
                "linkset": link["linkset"],
                "slc": link["slc"],
                "sctp": link["sctp"],
                "m2pa": link["peer_state"],
                "mtp3": link["service"],
                "blocked": link["blocked"],
            }
            for link in views.link_views(node.point)
        ]
        return {
            "name": node.name,
            "kind": "router",
            "pid": os.getpid(),
            "version": __version__,
            "started": node.started,
            "uptime": node.uptime,
            "point_code": (
                None if config.point_code is None else config.format_pc(config.point_code)
            ),
            "variant": config.variant.name,
            "network_indicator": indicators[config.network_indicator],
            "sctp_backend": node.stack.backend,
            "links": links,
            "exchange": node.exchange is not None,
            "charging": None if node.charging is None else node.charging.connection.up,
        }

    def counters(self, _: Connection, __: Params) -> Json:
        node = self._node
        links: dict[str, Json] = {
            f"{name}:{slc}": {**views.link_counters(driver)}
            for (name, slc), driver in node.point.links.items()
        }
        answer: dict[str, Json] = {
            "links": links,
            "discards": {**node.discard_counts()},
            "lost": node.lost,
            "faults": node.faults,
            "seam": {**dataclasses.asdict(node.stack.stats)},
        }
        if node.exchange is not None:
            answer["isup"] = {**node.exchange.trunks.counters.as_dict()}
        return answer

    def log_lines(self, _: Connection, params: Params) -> Json:
        limit = bounded(params, "limit", int, 1, _MOST, 100)
        return [str(line) for line in list(self._node.log.lines)[-limit:]]

    def stop(self, _: Connection, __: Params) -> Json:
        self._node.stopped.set()
        return {}

    # signalling

    def linksets(self, _: Connection, params: Params) -> Json:
        return _json(views.linkset_views(self._node.point, param(params, "linkset", str, "")))

    def routes(self, _: Connection, __: Params) -> Json:
        return _json(views.route_table_view(self._node.point))

    def m2pa(self, _: Connection, params: Params) -> Json:
        return _json(views.link_views(self._node.point, param(params, "linkset", str, "")))

    def explain(self, _: Connection, params: Params) -> Json:
        dpc = self._point_code(param(params, "destination", str))
        return _json(views.explanation_view(self._node.point, dpc))

    async def ping(self, _: Connection, params: Params) -> Json:
        dpc = self._point_code(param(params, "destination", str))
        view = await self._node.ping(
            dpc,
            bounded(params, "count", int, 1, 1_000_000, 1),
            bounded(params, "interval", float, 0.0, _DAY, 0.1),
            bounded(params, "timeout", float, 0.001, _DAY, 2.0),
            bounded(params, "size", int, 0, 272, 0),
        )
        return _json(view)

    def block(self, _: Connection, params: Params) -> Json:
        linkset, slc = param(params, "linkset", str), param(params, "slc", int)
        self._node.point.block(linkset, slc, param(params, "blocked", bool))
        return {}

    def _point_code(self, text: str) -> int:
        return self._node.config.variant.parse(text)

    # the router's shell

    def shell_open(self, connection: Connection, _: Params) -> Json:
        if connection not in self._sessions:
            self._sessions[connection] = {}
            connection.on_close.append(lambda: self._sessions.pop(connection, None))
        sessions = self._sessions[connection]
        if len(sessions) >= _SESSIONS:
            raise TrunklineError(
                "shell.too-many", f"this connection has {_SESSIONS} sessions: open another one"
            )
        number = next(self._numbers)
        session = sessions[number] = Session(self._node.config)
        return {"session": number, "prompt": session.prompt}

    def _session(self, connection: Connection, params: Params) -> Session:
        number = param(params, "session", int)
        session = self._sessions.get(connection, {}).get(number)
        if session is None:
            raise TrunklineError("shell.no-session", f"this connection has no session {number}")
        return session

    async def shell_execute(self, connection: Connection, params: Params) -> Json:
        session = self._session(connection, params)
        text, closed, log, _ = await self._run(session, param(params, "line", str))
        if closed:
            self._sessions[connection].pop(param(params, "session", int), None)
        return {"output": text, "prompt": session.prompt, "closed": closed, "log": [*log]}

    def shell_help(self, connection: Connection, params: Params) -> Json:
        session = self._session(connection, params)
        return {"text": session.help(param(params, "line", str))}

    def shell_complete(self, connection: Connection, params: Params) -> Json:
        session = self._session(connection, params)
        found = session.complete(param(params, "line", str))
        return {"candidates": [candidate.word for candidate in found]}

    async def execute_once(self, _: Connection, params: Params) -> Json:
        session = Session(self._node.config)
        line = param(params, "line", str)
        text, __, log, view = await self._run(session, line, strict=True)
        if param(params, "json", bool, False):
            return _json(view)
        return {"output": "\n".join(part for part in (text, *log) if part)}

    async def _run(
        self, session: Session, line: str, *, strict: bool = False
    ) -> tuple[str, bool, list[str], object]:
        """Carry out one line: text, whether the shell is left, log lines meanwhile, view.

        ``strict`` makes a refused line an error, for callers that are no terminal.
        """
        node = self._node
        lines: list[str] = []

        def listen(entry: object) -> None:
            lines.append(str(entry))

        node.log.listeners.append(listen)
        before = node.config.copy()
        try:
            outcome = session.execute(line)
            if outcome.error is not None and strict:
                raise TrunklineError("shell.refused", outcome.text.strip("\n"))
            view: object = None
            text = outcome.text
            if outcome.changes:
                node.apply(outcome.changes, before)
            if outcome.action is not None:
                answer = await execute(node, outcome.action)
                text, view = answer.text, answer.view
        except TrunklineError as problem:
            if strict:
                raise
            return f"% {problem.message}", False, lines, None
        finally:
            node.log.listeners.remove(listen)
        return text, outcome.closed, lines, view

    # captures: they belong to the connection that began them, and end with it at the latest

    def capture_start(self, connection: Connection, params: Params) -> Json:
        node = self._node
        link = None
        if "linkset" in params:
            driver = node.point.link(param(params, "linkset", str), param(params, "slc", int, 0))
            link = driver.ends
        file = param(params, "file", str)
        if "\0" in file:
            raise TrunklineError("control.params", "the parameter 'file' is the name of a file")
        path = Path(file).absolute()
        if any(capture.path == path for capture in node.captures):
            raise TrunklineError("capture.busy", f"{path}: another capture is being written to it")
        capture = Capture(path, link, self._capture_ended)
        node.captures.add(capture)
        node.stack.set_tap(tap_of(node.captures))
        if connection not in self._captures:
            self._captures[connection] = []
            connection.on_close.append(lambda: self._end_captures(connection))
        self._captures[connection].append(capture)
        return {}

    def capture_stop(self, connection: Connection, _: Params) -> Json:
        captures = self._end_captures(connection)
        for capture in captures:
            if capture.failure is not None:
                raise capture.failure
        written = [capture.counts for capture in captures]
        packets, dropped = sum(n for n, _ in written), sum(n for _, n in written)
        return {"packets": packets, "dropped": dropped}

    def _end_captures(self, connection: Connection) -> list[Capture]:
        captures = self._captures.pop(connection, [])
        for capture in captures:
            capture.close()
        return captures

    def _capture_ended(self, capture: Capture) -> None:
        node = self._node
        node.captures.discard(capture)
        node.stack.set_tap(tap_of(node.captures))
        if capture.failure is not None:
            node.log("CS7CAP", 3, "FILE", capture.failure.message)

    # calls

    async def originate(self, _: Connection, params: Params) -> Json:
        calling, called = param(params, "calling", str), param(params, "called", str)
        exchange = self._exchange()
        default = exchange.settings.hold_time.seconds
        hold = params.get("hold", default)
        seconds = None if hold is None else bounded(params, "hold", float, 0.0, _DAY, default)
        call = exchange.originate(calling, called, seconds)
        if call.credit is not None:
            await asyncio.shield(call.credit.admitted)  # others may wait for it, too
        return _active(call)

    def release(self, _: Connection, params: Params) -> Json:
        return _active(self._exchange().release(param(params, "id", str)))

    def active_calls(self, _: Connection, __: Params) -> Json:
        exchange = self._exchange()
        both = itertools.chain(exchange.authorising.values(), exchange.calls.values())
        calls = itertools.islice(both, _MOST)
        return [_active(call) for call in calls]

    def records(self, _: Connection, params: Params) -> Json:
        found = self._store().recent(bounded(params, "limit", int, 1, _MOST, 100))
        return [self._record(record) for record in found]

    def record(self, _: Connection, params: Params) -> Json:
        return self._record(self._store().get(param(params, "id", str)))

    def _record(self, record: CallRecord) -> Json:
        show = self._node.config.format_pc
        answer: dict[str, Json] = {**dataclasses.asdict(record)}
        answer["duration"] = record.duration
        for name in ("rating", "charging"):
            answer[name] = None if answer[name] is None else json.loads(str(answer[name]))
        answer["opc"] = show(record.opc)
        answer["dpc"] = None if record.dpc is None else show(record.dpc)
        answer["cause_text"] = CAUSE_NAMES.get(record.cause, "")
        return answer

    def _exchange(self) -> Exchange:
        if self._node.exchange is None:
            raise TrunklineError(
                "exchange.absent", f"{self._node.name} is no exchange: it only forwards signalling"
            )
        return self._node.exchange

    def _store(self) -> CallStore:
        self._exchange()
        assert self._node.store is not None
        return self._node.store


def _active(call: ActiveCall) -> Json:
    return {
        "id": call.id,
        "direction": "outgoing" if call.outgoing else "incoming",
        "calling": call.calling,
        "called": call.called,
        "state": call.state,
        "start": call.start,
        "answer": call.answer,
        "cic": call.cic,
    }


def _json(view: object) -> Json:
    """A view as JSON; the typed dictionaries of ``views`` hold nothing else."""
    return cast("Json", view)
