"""What a proxy answers on its control socket: JSON-RPC, as `trunkline.net.control` has it."""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from trunkline import __version__
from trunkline.elements.log import LogLine, RouterLog
from trunkline.elements.parameters import Params, bounded, param
from trunkline.elements.proxy.script import load_script
from trunkline.elements.proxy.story import calls_of, story_of
from trunkline.errors import TrunklineError
from trunkline.net.collector import Collector
from trunkline.net.control import Connection, ControlServer, Json, Method
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.proxy import StatelessProxy
from trunkline.sip.transport import written

if TYPE_CHECKING:
    from trunkline.elements.proxy.element import ProxyElement
    from trunkline.elements.proxy.process import ProxyPlan
    from trunkline.elements.proxy.transports import SocketTransports
    from trunkline.net.dns import Locator, Resolver

__all__ = ["ProxyControl"]

_MOST = 10_000


class ProxyControl:
    """The methods of one worker of a proxy."""

    def __init__(
        self,
        plan: ProxyPlan,
        element: ProxyElement,
        log: RouterLog,
        stop: Callable[[], None],
        transports: SocketTransports,
        resolver: Resolver,
        locator: Locator,
    ) -> None:
        self._plan = plan
        self._element = element
        self._log = log
        self._stop = stop
        self._transports = transports
        self._resolver = resolver
        self._directory = locator.directory
        self._started = time.time()
        self._watching: set[Connection] = set()
        self.server: ControlServer | None = None
        self.ahead = False
        """Whether the next SIGHUP is for the other workers: this one has loaded the script."""
        self.collector: Collector | None = None

    def methods(self) -> Mapping[str, Method]:
        """The dispatch table."""
        return {
            "node.status": self.status,
            "node.counters": self.counters,
            "node.log": self.log_lines,
            "node.stop": self.stop,
            "script.reload": self.reload,
            "sip.calls": self.calls,
            "sip.destinations": self.destinations,
            "sip.drain": self.drain,
            "sip.explain": self.explain,
            "sip.messages": self.messages,
            "sip.watch": self.watch,
        }

    def status(self, _: Connection, __: Params) -> Json:
        """What the node is."""
        element = self._element
        workers = element.workers
        return {
            "name": self._plan.name,
            "kind": "proxy",
            "pid": os.getpid(),
            "version": __version__,
            "started": self._started,
            "uptime": time.time() - self._started,
            "script": str(self._plan.script_file),
            "reloads": element.stats.reloads,
            "refusals": element.stats.refusals,
            "worker": 0 if workers is None else workers.index,
            "workers": self._plan.settings.workers,
            "listen": [
                {
                    "transport": item.transport.value,
                    "address": written(item.local),
                    "advertised": written(item.advertised),
                }
                for item in element.identity.listeners
            ],
        }

    def counters(self, _: Connection, __: Params) -> Json:
        """What has happened since this process began."""
        element = self._element
        layer = element.proxy.layer
        answer: dict[str, Json] = {
            "transactions": {
                **asdict(layer.counters),
                "servers": len(layer.servers),
                "clients": len(layer.clients),
            },
            "refused": {**element.proxy.refused},
            "discarded": {**element.proxy.discarded},
            "script": cast("Json", asdict(element.stats)),
            "transports": cast("Json", self._transports.counters()),
            "dns": self._dns(),
            "stores": cast("Json", element.services.counters()),
            "credentials": {**element.services.users.counters()},
            "flows": {
                "registered": len(element.services.registrations.flows),
                **asdict(element.services.registrations.flows.counters),
            },
            "recorder": {
                "forgotten": element.recorder.forgotten,
                "passed_over": element.recorder.passed_over,
            },
        }
        if isinstance(element.proxy, StatelessProxy):
            answer["stateless"] = cast("Json", asdict(element.proxy.counters))
        if self.collector is not None:
            answer["hep"] = cast("Json", asdict(self.collector.counters))
        if element.workers is not None:
            answer["workers"] = cast("Json", asdict(element.workers.counters))
        return answer

    def _dns(self) -> Json:
        directory = self._directory
        return {
            **asdict(self._resolver.counters),
            **asdict(self._resolver.wire),
            "waited": directory.counters.asked,
            "known": directory.counters.now,
            "penalties": directory.health.penalties,
            "penalised": len(directory.health),
        }

    def log_lines(self, _: Connection, params: Params) -> Json:
        """The last lines of the log."""
        limit = bounded(params, "limit", int, 1, _MOST, 100)
        return [str(line) for line in list(self._log.lines)[-limit:]]

    def stop(self, _: Connection, __: Params) -> Json:
        """End the node."""
        if self._plan.settings.workers > 1:
            os.kill(os.getppid(), signal.SIGTERM)
        else:
            self._stop()
        return {}

    async def reload(self, _: Connection, __: Params) -> Json:
        """Load the script anew; one that cannot be used is refused, with its traceback."""
        script = await self._element.reload(lambda: load_script(self._plan.script_file))
        if self._plan.settings.workers > 1:
            self.ahead = True
            os.kill(os.getppid(), signal.SIGHUP)
        self._log("SCRIPT", 5, "RELOADED", script.path)
        return {"script": script.path}

    def calls(self, _: Connection, params: Params) -> Json:
        """The calls seen last."""
        limit = bounded(params, "limit", int, 1, _MOST, 20)
        prefix = param(params, "prefix", str, "")
        found = calls_of(self._element.recorder, limit, prefix)
        offset = self.offset()
        return [cast("Json", {**asdict(call), "time": call.time + offset}) for call in found]

    def destinations(self, _: Connection, params: Params) -> Json:
        """Sets of destinations, and what is known of each destination."""
        name = param(params, "set", str, "")
        sets = self._element.destinations.sets
        if name and name not in sets:
            known = ", ".join(sets) or "none"
            raise TrunklineError(
                "proxy.no-destination", f"no set of destinations {name!r}; there are: {known}"
            )
        wanted = [sets[name]] if name else sets.values()
        return [cast("Json", each.as_json(self.offset())) for each in wanted]

    def drain(self, _: Connection, params: Params) -> Json:
        """Let a destination take no new calls, or take them again: for all workers."""
        uri, drained = param(params, "uri", str), param(params, "drained", bool, True)
        sets = self._element.destinations.drain(uri, drained, param(params, "set", str, ""))
        return {"uri": uri, "drained": drained, "sets": [*sets]}

    def explain(self, _: Connection, params: Params) -> Json:
        """One call's story."""
        call_id = param(params, "call_id", str)
        offset = self.offset()
        return [
            {
                "time": step.time + offset,
                "kind": step.kind,
                "text": step.text,
                "details": [*step.details],
                "record": cast("Json", step.record),
            }
            for step in story_of(self._element.recorder, call_id)
        ]

    def messages(self, _: Connection, params: Params) -> Json:
        """Messages as they were on the wire."""
        call_id = param(params, "call_id", str, "")
        limit = bounded(params, "limit", int, 1, _MOST, 1000)
        offset = self.offset()
        found = list(self._element.recorder.messages(call_id or None))[-limit:]
        return [self._message(seen, offset) for seen in found]

    def watch(self, connection: Connection, params: Params) -> Json:
        """From now on every message is kept and published as ``sip``, until the client leaves."""
        if connection not in self._watching:
            self._watching.add(connection)
            connection.topics |= {"sip"}
            connection.on_close.append(lambda: self._unwatch(connection))
            if len(self._watching) == 1:
                self._element.recorder.taps.append(self._publish)
        return {}

    def _unwatch(self, connection: Connection) -> None:
        self._watching.discard(connection)
        if not self._watching:
            self._element.recorder.taps.remove(self._publish)

    def _publish(self, seen: SeenMessage) -> None:
        if self.server is not None:
            self.server.publish("sip", self._message(seen, self.offset()))

    def publish_log(self, line: LogLine) -> None:
        """Tell subscribers of a line of the log."""
        if self.server is not None and self.server.wanted("log"):
            self.server.publish(
                "log",
                {"node": self._plan.name, "time": line.time, "kind": "log", "line": str(line)},
            )

    def _message(self, seen: SeenMessage, offset: float) -> dict[str, Json]:
        flow = seen.flow
        answer: dict[str, Json] = {
            "node": self._plan.name,
            "kind": "sip",
            "time": seen.time + offset,
            "sent": seen.sent,
            "transport": flow.transport.value,
            "remote": [*flow.remote],
            "local": [*flow.local],
            "text": seen.data.decode("utf-8", "replace"),
        }
        if "\ufffd" in str(answer["text"]):
            answer["base64"] = base64.b64encode(seen.data).decode("ascii")
        return answer

    def offset(self) -> float:
        """What has to be added to the element's time to make it seconds since the epoch.

        That of the loop is the monotonic clock's, which it may be a little behind.
        """
        return time.time() - time.monotonic()
