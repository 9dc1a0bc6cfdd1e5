"""A site: a folder, and whatever a test starts there, which is ended with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.interop.bind import Named
from tests.interop.sip.kamailio import Kamailio
from tests.interop.sip.node import Node
from tests.interop.sip.programs import Program
from tests.interop.sip.repeater import Repeater
from tests.interop.sip.scenarios import CALL, CALLEE, Scenario
from tests.interop.sip.sipp import Sipp
from tests.store.servers import RedisServer

__all__ = ["Site"]


class Site:
    """What a test starts; the names must differ."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self._runtime = runtime
        self._programs: list[Program] = []
        self._others: list[Named | RedisServer | Repeater] = []

    def node(
        self,
        script: str,
        *,
        name: str = "Edge",
        listen: tuple[str, ...] = (),
        workers: int = 1,
        settings: str = "",
        port: int | None = None,
    ) -> Node:
        """Start a proxy node with this script."""
        node = Node(
            self.folder,
            name,
            script,
            runtime=self._runtime,
            listen=listen,
            workers=workers,
            settings=settings,
            port=port,
        )
        self._programs.append(node)
        return node

    def callee(
        self,
        scenario: Scenario = CALLEE,
        *arguments: str,
        name: str = "callee",
        port: int | None = None,
        transport: str = "u1",
        wire: bool = False,
    ) -> Sipp:
        """Start a sipp that waits for calls."""
        return self._sipp(
            Sipp(self.folder, name, scenario, *arguments, port=port, transport=transport, wire=wire)
        )

    def caller(
        self,
        to: str,
        scenario: Scenario = CALL,
        *arguments: str,
        name: str = "caller",
        calls: int = 1,
        rate: int = 20,
        transport: str = "u1",
        wire: bool = False,
        host: str = "127.0.0.1",
    ) -> Sipp:
        """Start a sipp that makes calls to an address."""
        return self._sipp(
            Sipp(
                self.folder,
                name,
                scenario,
                *arguments,
                to=to,
                calls=calls,
                rate=rate,
                transport=transport,
                wire=wire,
                host=host,
            )
        )

    def _sipp(self, sipp: Sipp) -> Sipp:
        self._programs.append(sipp)
        return sipp

    def kamailio(self, routes: str, *, name: str = "kamailio") -> Kamailio:
        """Start a Kamailio with this routing."""
        kamailio = Kamailio(self.folder, name, routes)
        self._programs.append(kamailio)
        return kamailio

    def named(self, zones: dict[str, str]) -> Named:
        """Start a BIND with these zones."""
        named = Named(self.folder, zones)
        self._others.append(named)
        return named

    def redis(self) -> RedisServer:
        """Start a Redis."""
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is absent: install it")
        server = RedisServer(self.folder)
        server.start()
        self._others.append(server)
        return server

    def repeater(self, to: int, times: int) -> Repeater:
        """Start a wire to a port that delivers everything so many times."""
        repeater = Repeater(to, times)
        self._others.append(repeater)
        return repeater

    def close(self) -> None:
        """End everything."""
        for program in reversed(self._programs):
            if isinstance(program, Sipp):
                program.kill()
            else:
                program.stop()
        for other in self._others:
            other.stop()
