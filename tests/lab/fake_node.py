"""A stand-in for a node's process: answers the control protocol, carries nothing.

``python -m tests.lab.fake_node NETWORK-FILE NODE [--fail]`` comes up with its links rising one
layer after the other, and obeys ``link.block`` and ``node.stop``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from trunkline.lab.network import read_network
from trunkline.net.control import Connection, ControlServer, Json, Params, socket_path

RISE = 0.05  # seconds for each layer


class FakeNode:
    def __init__(self, file: Path, name: str) -> None:
        network = read_network(file)
        self.node = network.routers[name]
        self.started = time.monotonic()
        self.stopped = asyncio.Event()
        self.blocked: set[tuple[str, int]] = set()
        self.capture = ""
        self.server = ControlServer(
            socket_path(network.name, name),
            {
                "node.status": self.status,
                "node.counters": lambda *_: {"links": {}, "discards": {}, "lost": 0},
                "node.stop": self.stop,
                "link.block": self.block,
                "ss7.explain": lambda *_: {"outcome": "forward"},
                "capture.start": self.capture_start,
                "capture.stop": self.capture_stop,
                "exec": self.execute,
                "shell.open": lambda *_: {"session": "s1", "prompt": f"{name}#"},
                "shell.execute": self.shell_execute,
                "shell.help": lambda _, params: {"text": f"help on {params['line']!r}"},
                "shell.complete": lambda *_: {"candidates": ["show", "shutdown"]},
                "calls.list": self.calls,
                "calls.show": self.call,
                "calls.originate": lambda _, params: {"id": f"id-{params['called']}"},
                "calls.release": lambda *_: {},
            },
        )

    def status(self, _: Connection, __: Params) -> Json:
        age = time.monotonic() - self.started
        links: list[Json] = []
        for linkset in self.node.config.linksets.values():
            for slc in linkset.links:
                cut = (linkset.name, slc) in self.blocked
                up = 0 if cut else int(age / RISE)
                links.append(
                    {
                        "linkset": linkset.name,
                        "slc": slc,
                        "sctp": "up" if up > 0 else "down",
                        "m2pa": "IS" if up > 1 else "OOS",
                        "mtp3": "avail" if up > 2 else "unavail",
                        "blocked": cut,
                    }
                )
        return {
            "name": self.node.name,
            "pid": os.getpid(),
            "version": "0",
            "started": 0.0,
            "point_code": self.node.point_code_text,
            "variant": self.node.config.variant.name,
            "network_indicator": "international",
            "uptime": age,
            "links": links,
            "exchange": self.node.exchange,
        }

    def block(self, _: Connection, params: Params) -> Json:
        key = (str(params["linkset"]), int(str(params["slc"])))
        if params["blocked"]:
            self.blocked.add(key)
        else:
            self.blocked.discard(key)
        return {}

    def capture_start(self, _: Connection, params: Params) -> Json:
        self.capture = str(params["file"])
        return {}

    def capture_stop(self, _: Connection, __: Params) -> Json:
        Path(self.capture).write_bytes(b"capture")
        return {"packets": 7, "dropped": 0}

    def execute(self, _: Connection, params: Params) -> Json:
        if params["json"]:
            return {"line": params["line"]}
        return {"output": f"{self.node.name}: {params['line']}\n"}

    def shell_execute(self, _: Connection, params: Params) -> Json:
        line = str(params["line"])
        return {
            "output": f"did {line}\n",
            "prompt": f"{self.node.name}(config)#" if line == "conf t" else f"{self.node.name}#",
            "closed": line == "exit",
            "log": [f"*log of {line}"],
        }

    def calls(self, _: Connection, __: Params) -> Json:
        return [self.record(1), self.record(2)] if self.node.exchange else []

    def call(self, connection: Connection, params: Params) -> Json:
        return self.record(1)

    def record(self, number: int) -> dict[str, Json]:
        return {
            "id": f"{number}-{self.node.name}",
            "exchange": self.node.name,
            "direction": "outgoing",
            "calling": "3005",
            "called": "61412345678",
            "start": 1000.0 + number,
            "answer": 1001.5 + number,
            "end": 1005.5 + number,
            "duration": 4.0,
            "cause": 16,
            "cause_text": "normal call clearing",
            "opc": "1.2.4",
            "dpc": "7.8.2",
            "cic": number,
        }

    def stop(self, _: Connection, __: Params) -> Json:
        self.stopped.set()
        return {}

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stopped.set)
        await self.server.start()
        print(f"{self.node.name} is up", flush=True)
        await self.stopped.wait()
        await self.server.close()


async def main() -> None:
    await FakeNode(Path(sys.argv[1]), sys.argv[2]).run()


if __name__ == "__main__":
    if "--fail" in sys.argv:
        sys.exit("no such thing as a bad morning")
    asyncio.run(main())
