"""What these tests share: networks of real nodes on one loop, and a client to talk to them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.elements.fake_sctp import FakeAssociation, FakeStack, Wire

from trunkline.config.network import load_network
from trunkline.elements.node import Node, NodePlan
from trunkline.errors import TrunklineError

__all__ = ["EXAMPLES", "Client", "Lab", "running", "until"]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
FOUR = EXAMPLES / "four-countries"
SEED_NODES = ("CountryA", "CountryB", "CountryC", "CountryD")


async def until(fact: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait, by the loop's clock, until ``fact`` holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not fact():
        assert loop.time() < end, "it did not come true in time"
        await asyncio.sleep(0.05)


class Client:
    """A control client that shares the loop with the node."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self.events: list[dict[str, Any]] = []

    @classmethod
    async def to(cls, node: Node) -> Client:
        return cls(*await asyncio.open_unix_connection(node.server.path, limit=1 << 24))

    async def call(self, method: str, **params: object) -> Any:
        """The result, or the node's error raised."""
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._writer.write(json.dumps(request).encode() + b"\n")
        while True:
            line = await self._reader.readline()
            if not line:
                raise ConnectionError("closed")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                break
            self.events.append(answer["params"])
        if (error := answer.get("error")) is not None:
            code = error.get("data", {}).get("code", "control.error")
            raise TrunklineError(code, error["message"])
        return answer["result"]

    async def event(self) -> dict[str, Any]:
        """The next event of a subscription."""
        if not self.events:
            self.events.append(json.loads(await self._reader.readline())["params"])
        return self.events.pop(0)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
        await asyncio.sleep(0.01)


@dataclass
class Shell:
    """A shell on a node: what was typed gives what is printed."""

    client: Client
    number: int
    prompt: str
    log: list[str] = field(default_factory=list)

    async def type(self, *lines: str) -> str:
        """Type ``lines``; what the last one printed."""
        output = ""
        for line in lines:
            answer = await self.client.call("shell.execute", session=self.number, line=line)
            output, self.prompt = answer["output"], answer["prompt"]
            self.log += answer["log"]
        return output


class Lab:
    """Nodes on one loop, joined by a wire."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.nodes: dict[str, Node] = {}
        self.clients: dict[str, Client] = {}

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    async def add(self, plan: NodePlan) -> Node:
        loop = asyncio.get_running_loop()
        node = Node(plan, loop, self.wire.stack(loop), loop.time)
        self.nodes[plan.name] = node
        await node.start()
        return node

    async def call(self, node: str, method: str, **params: object) -> Any:
        if node not in self.clients:
            self.clients[node] = await Client.to(self.nodes[node])
        return await self.clients[node].call(method, **params)

    async def exec(self, node: str, line: str) -> str:
        return str((await self.call(node, "exec", line=line))["output"])

    async def view(self, node: str, line: str) -> Any:
        return await self.call(node, "exec", line=line, json=True)

    async def shell(self, node: str) -> Shell:
        opened = await self.call(node, "shell.open")
        return Shell(self.clients[node], opened["session"], opened["prompt"])

    def stack(self, node: str) -> FakeStack:
        stack = self.nodes[node].stack
        assert isinstance(stack, FakeStack)
        return stack

    def association(self, node: str, linkset: str, slc: int = 0) -> FakeAssociation:
        association = self.nodes[node].point.link(linkset, slc).association
        assert isinstance(association, FakeAssociation)
        return association

    def in_service(self) -> bool:
        """Whether every link that is not shut down is available, at both ends."""
        return all(
            driver.slink.state.value == "avail"
            for node in self.nodes.values()
            for driver in node.point.links.values()
            if not (driver.slink.shutdown or driver.slink.linkset.shutdown)
        )

    async def settle(self) -> None:
        await until(self.in_service)
        await asyncio.sleep(2.0)  # what the last link brings with it: diversion, TFA

    def counters(self, *names: str) -> dict[tuple[str, str, int, str], int]:
        """These counters of every link of every node."""
        return {
            (node.name, *key, name): getattr(driver.level2.counters, name)
            for node in self.nodes.values()
            for key, driver in node.point.links.items()
            for name in names
        }

    async def kill(self, name: str) -> None:
        """End a node without a word to its peers; its control socket is cleaned up."""
        node = self.nodes.pop(name)
        if (client := self.clients.pop(name, None)) is not None:
            await client.close()
        stack = node.stack
        assert isinstance(stack, FakeStack)
        stack.kill()
        node.wheel.close()
        await node.server.close()
        if node.store is not None:
            node.store.close()

    async def close(self) -> None:
        for client in self.clients.values():
            await client.close()
        for node in self.nodes.values():
            await node.close()


def plan_of(file: Path, name: str) -> NodePlan:
    """The plan of one node of a network file."""
    return NodePlan.of(load_network(file), name)


@asynccontextmanager
async def running(
    file: Path = FOUR / "network.toml", nodes: Sequence[str] = (), *, settled: bool = True
) -> AsyncIterator[Lab]:
    """The nodes of a network file, all of them unless named, with every link in service."""
    lab = Lab()
    try:
        for name in nodes or load_network(file).nodes:
            await lab.add(plan_of(file, name))
        if settled and not nodes:
            await lab.settle()
        yield lab
    finally:
        await lab.close()


def bare(line: str) -> str:
    """A log line without its stamp."""
    return re.sub(r"^\*\w{3} \d\d \d\d:\d\d:\d\d\.\d{3}: ", "", line)
