"""A Kamailio of the distribution as an oracle; its module dialplan is asked by JSON-RPC."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.store.servers import free_port, wait_until

from trunkline.config.kamailio import COLUMNS, DialplanRow

_START = """#!KAMAILIO
debug=-1
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
mpath="{modules}/"
"""
_DIALPLAN = """
loadmodule "pv.so"
loadmodule "jsonrpcs.so"
loadmodule "db_sqlite.so"
loadmodule "dialplan.so"
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{folder}/rpc")
modparam("dialplan", "db_url", "sqlite:///{folder}/kamailio.db")
request_route {{ exit; }}
"""
_NONE = ("No translation", "Dialplan ID not matched", "Empty input parameter")
_PLACES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64")


class Kamailio:
    """A running Kamailio that has dialplan rows."""

    def __init__(self, folder: Path, timeout: float = 10) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "client"))
        self._socket.settimeout(timeout)

    def translate(self, dpid: int, text: str) -> tuple[str, str] | None:
        """Value and attributes, or ``None``."""
        answer = self._ask("dialplan.translate", [dpid, text])
        if "error" in answer:
            assert answer["error"]["message"] in _NONE
            return None
        result = answer["result"]
        return result["Output"] or "", result["Attributes"] or ""

    def _ask(self, method: str, params: list[object]) -> dict[str, dict[str, str | None]]:
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._socket.sendto(json.dumps(question).encode(), str(self._folder / "rpc"))
        answer: dict[str, dict[str, str | None]] = json.loads(self._socket.recv(1 << 16))
        return answer

    def close(self) -> None:
        self._socket.close()
        (self._folder / "client").unlink()


def modules() -> Path:
    """The folder of its modules; the test is skipped where one that is needed is missing."""
    if shutil.which("kamailio") is None:
        pytest.skip("kamailio is not installed")
    for place in _PLACES:
        folder = Path(place) / "kamailio" / "modules"
        if (folder / "dialplan.so").exists():
            if not (folder / "db_sqlite.so").exists():
                pytest.skip("kamailio-sqlite-modules is not installed")
            return folder
    pytest.skip("kamailio is installed without its modules")


def write_database(file: Path, rows: Iterable[DialplanRow]) -> None:
    marks = ",".join("?" * len(COLUMNS))
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE version (table_name TEXT, table_version INT)")
        database.execute("INSERT INTO version VALUES ('dialplan', 2)")
        database.execute(
            "CREATE TABLE dialplan (id INTEGER PRIMARY KEY, dpid INT, pr INT, match_op INT, "
            "match_exp TEXT, match_len INT, subst_exp TEXT, repl_exp TEXT, attrs TEXT)"
        )
        database.executemany(
            f"INSERT INTO dialplan VALUES ({marks})", [row.values() for row in rows]
        )


@contextmanager
def running(
    route: str, ready: Callable[[Path], bool], prepare: Callable[[Path], object] = Path.exists
) -> Iterator[tuple[Path, int]]:
    """Start one with this configuration; yields its folder, which has its log, and its UDP port.

    ``{folder}`` in ``route`` is that folder; ``prepare`` puts into it what is needed.
    """
    found = modules()
    folder = Path(mkdtemp(prefix="trunkline-", dir="/tmp"))  # a socket's path is short
    try:
        prepare(folder)
        port = free_port(socket.SOCK_DGRAM)
        config = folder / "kamailio.cfg"
        start = _START.format(port=port, modules=found)
        config.write_text(start + route.format(folder=folder))
        log = folder / "log"
        command = ["kamailio", "-DD", "-E", "-Y", str(folder), "-f", str(config)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_until(lambda: ready(folder), process, log)
        try:
            yield folder, port
        finally:
            process.terminate()
            process.wait(20)
    finally:
        shutil.rmtree(folder)


@contextmanager
def kamailio(rows: Iterable[DialplanRow]) -> Iterator[Kamailio]:
    """Start one with ``rows``; its log is shown if it refuses them."""

    def prepare(folder: Path) -> None:
        write_database(folder / "kamailio.db", rows)

    def ready(folder: Path) -> bool:
        """Its socket is there before the rows are read."""
        try:
            with closing(Kamailio(folder, timeout=0.2)) as peer:
                return peer.translate(-1, "anybody?") is None
        except OSError:
            return False

    with running(_DIALPLAN, ready, prepare) as (folder, _), closing(Kamailio(folder)) as peer:
        yield peer
