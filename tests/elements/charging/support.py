"""A charging node in a thread of its own, and which requests of the documents a test sends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar, cast

from trunkline.config.network import load_network
from trunkline.elements.charging.process import ChargingNode, ChargingPlan
from trunkline.net.jsonrpc import Peer
from trunkline.net.loop import new_event_loop

NOBODY = cast("Peer", SimpleNamespace(two_way=False, closed=False))
"""Who calls where no connection is."""

_F = TypeVar("_F")


def documented(*methods: str) -> Callable[[_F], _F]:
    """Mark a test that sends a request as the reference documents it to these methods, and compares
    the whole answer: in ``docs/charging-api.md`` they are the ``same``.
    """
    assert methods

    def mark(test: _F) -> _F:
        return test

    return mark


def write_folder(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def network_file(folder: Path, name: str, node: str = "OCS", **settings: str) -> Path:
    """A network file with one charging node on free ports."""
    lines = {
        "rpc_json": "127.0.0.1:0",
        "http": "127.0.0.1:0",
        "rpc_bijson": "127.0.0.1:0",
        "ledger": f"sqlite:///{folder}/ledger.sqlite",
        **settings,
    }
    text = "\n".join(f'{key} = "{value}"' for key, value in lines.items())
    path = folder / "network.toml"
    path.write_text(f'[network]\nname = "{name}"\n[node.{node}.charging]\n{text}\n')
    return path


@contextmanager
def running(path: Path) -> Iterator[ChargingNode]:
    """The node of a network file, served by another thread."""
    network = load_network(path)
    [(name, found)] = network.nodes.items()
    assert found.charging is not None
    plan = ChargingPlan(network, name, found.charging)
    loop = new_event_loop()
    started: list[ChargingNode] = []
    ready = threading.Event()

    async def main() -> None:
        node = ChargingNode(plan, loop)
        try:
            await node.start()
            started.append(node)
            ready.set()
            await node.stopped.wait()
        finally:
            await node.close()
            ready.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(main())
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(10)
        yield started[0]
    finally:
        if started:
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(started[0].stopped.set)
        thread.join(20)
