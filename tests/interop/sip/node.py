"""A proxy node, started by the real command from a network file of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import dedent, indent
from typing import cast

from tests.interop.sip.programs import Program, free_port, until

from trunkline.errors import TrunklineError
from trunkline.net.control import ControlClient, Json

__all__ = ["Node"]


class Node(Program):
    """``trunkline run`` of a network with one proxy in it, whose first address is a free UDP port.

    ``settings`` are further lines of its table, and tables beneath it.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        script: str,
        *,
        runtime: Path,
        listen: Sequence[str] = (),
        workers: int = 1,
        settings: str = "",
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.workers = workers
        self.address = f"127.0.0.1:{self.port}"
        self.script = folder / f"{name}.py"
        self.write(script)
        places = ", ".join(f'"{place}"' for place in (f"udp:{self.address}", *listen))
        self._sockets = runtime / "trunkline" / f"net-{name}"
        network = folder / f"{name}.toml"
        network.write_text(
            dedent(f"""\
            [network]
            name = "net-{name}"
            [node.{name}.proxy]
            script = "{name}.py"
            listen = [{places}]
            workers = {workers}
            """)
            + dedent(settings)
        )
        super().__init__(
            folder,
            name,
            [sys.executable, "-m", "trunkline", "run", str(network)],
            {"XDG_RUNTIME_DIR": str(runtime)},
        )
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every worker answers."""
        for worker in range(self.workers):
            self.ready(partial(self.pid, worker))

    def wait_restarted(self, worker: int, pid: int) -> None:
        """Wait until a worker that had this process id has another."""
        until(lambda: self.pid(worker) not in (0, pid), f"worker {worker} is there again")

    def write(self, script: str) -> None:
        """Write the script; it is not loaded by that."""
        self.script.write_text("from trunkline.script import *\n" + dedent(script))

    # control

    def call(self, method: str, worker: int = 0, **parameters: Json) -> dict[str, Json]:
        """Ask a worker's control socket."""
        path = self._sockets / (f"{self.name}.{worker}.sock" if worker else f"{self.name}.sock")
        with ControlClient(path, timeout=10.0) as client:
            return cast("dict[str, Json]", client.call(method, parameters))

    def pid(self, worker: int = 0) -> int:
        """The process id of a worker; 0 if it does not answer."""
        try:
            return cast("int", self.call("node.status", worker)["pid"])
        except TrunklineError:
            return 0

    def counters(self, *path: str) -> dict[str, int]:
        """The counters of a group, or of one of its tables: the sums over all workers."""
        found: dict[str, int] = {}
        for worker in range(self.workers):
            table: Json = self.call("node.counters", worker)
            for name in path:
                assert isinstance(table, dict)
                table = table.get(name, {})
            assert isinstance(table, dict)
            for name, value in table.items():
                if isinstance(value, int):
                    found[name] = found.get(name, 0) + value
        return found

    def counter(self, *path: str) -> int:
        """The sum of a counter over all workers."""
        return self.counters(*path[:-1]).get(path[-1], 0)

    def reload(self, how: str = "signal") -> None:
        """Have the script loaded anew; wait until every worker has it."""
        before = self.counter("script", "reloads")
        if how == "signal":
            self.send_signal(signal.SIGHUP)
        else:
            self.call("script.reload")
        wanted = before + self.workers
        until(
            lambda: self.counter("script", "reloads") == wanted, "every worker has the new script"
        )

    def healthy(self) -> None:
        """No exception in code of ours, and none in the script."""
        assert self.counter("script", "faults") == 0, indent(self.printed, "  ")
        assert self.counter("script", "script_errors") == 0, indent(self.printed, "  ")
