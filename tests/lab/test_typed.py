"""The course's lines, typed word for word into routers fresh from their box."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.net.control import ControlClient, Json, socket_path

SEED = Path(__file__).parent.parent.parent / "examples" / "four-countries" / "seed"
NODES = ("CountryA", "CountryB", "CountryC", "CountryD")
PROMPT = re.compile(r"^Country[A-D](\([a-z0-9-]+\))?#")


@pytest.fixture
def routers(runtime: Path, tmp_path: Path) -> Iterator[dict[str, ControlClient]]:
    """Four running routers of which nothing is configured but the name."""
    lines = ["[network]", 'name = "typed"', "[sctp]", f"udp_port = {_free_port()}"]
    for name in NODES:
        (tmp_path / f"{name}.cfg").write_text(f"hostname {name}\n")
        lines += [f"[node.{name}]", f'config = ["{name}.cfg"]']
    file = tmp_path / "network.toml"
    file.write_text("\n".join(lines))
    command = [sys.executable, "-m", "trunkline", "run", str(file), "--node"]
    processes = [subprocess.Popen([*command, name], stdout=subprocess.DEVNULL) for name in NODES]
    clients: dict[str, ControlClient] = {}
    try:
        for name in NODES:
            clients[name] = _client(name)
        yield clients
    finally:
        for client in clients.values():
            client.close()
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(20) for process in processes] == [0] * len(processes)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.5.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _client(name: str) -> ControlClient:
    deadline = time.monotonic() + 20
    while True:
        try:
            return ControlClient(socket_path("typed", name), timeout=20)
        except TrunklineError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _call(client: ControlClient, method: str, **params: Json) -> dict[str, Json]:
    answer = client.call(method, params)
    assert isinstance(answer, dict)
    return answer


def test_parts_three_and_four_typed_into_unconfigured_routers(
    routers: dict[str, ControlClient],
) -> None:
    assert _call(routers["CountryA"], "node.status")["point_code"] is None
    for name, client in routers.items():
        session = _call(client, "shell.open")["session"]
        typed = (SEED / f"{name}.cfg").read_text().splitlines()
        commands = [PROMPT.sub("", line) for line in typed if PROMPT.match(line)]
        for command in ["conf t", *commands]:
            answer = _call(client, "shell.execute", session=session, line=command)
            # part 4 takes away a route that the text shows in a picture only
            refused = str(answer["output"]).startswith("%") or "^" in str(answer["output"])
            assert not refused or command.startswith("no update"), (name, command, answer)
    for origin, destination in (
        ("CountryA", "4.5.6"),
        ("CountryA", "7.7.1"),
        ("CountryA", "7.8.1"),
        ("CountryC", "1.2.3"),
        ("CountryD", "1.2.3"),
    ):
        assert _reached(routers[origin], destination), (origin, destination)
    shown = str(_call(routers["CountryB"], "exec", line="show cs7 linkset")["output"])
    assert (
        "lsn=ToCountryA          apc=1.2.3         state=avail     avail/links=1/1\n"
        "  SLC  Interface                    Service   PeerState         Inhib\n"
        "  00   10.0.5.1 1024 1024           avail     InService         -----\n"
    ) in shown


def _reached(client: ControlClient, destination: str) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        ping = _call(client, "ss7.ping", destination=destination, timeout=1.0)
        if ping["received"] == 1:
            return True
        time.sleep(0.2)
    return False
