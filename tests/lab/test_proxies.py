"""SIP proxies in a lab: real ones come up, are seen, come back after a kill, and go."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from trunkline.cli import lab as lab_commands
from trunkline.errors import TrunklineError
from trunkline.lab.lifecycle import bring_down, running_network
from trunkline.lab.runtime import known_labs
from trunkline.lab.status import lab_status

SCRIPT = """
from trunkline.script import on_request

@on_request("OPTIONS")
def f(request):
    request.reply(200, request.app.name)
"""
NODE = """
[node.{name}.proxy]
script = "route.py"
listen = ["udp:{host}:{port}"]
workers = {workers}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(lab_commands.app, list(arguments))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def file(runtime: Path, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "route.py").write_text(SCRIPT, encoding="utf-8")
    file = tmp_path / "network.toml"
    port = free_port()
    file.write_text(
        '[network]\nname = "sip"\n'
        + NODE.format(name="One", host="127.0.0.1", port=port, workers=1)
        + NODE.format(name="Two", host="127.0.0.3", port=port, workers=2),
        encoding="utf-8",
    )
    yield file
    for name in known_labs():
        bring_down(name)


def options(port: int, host: str) -> str:
    """Ask a proxy for its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(10)
        phone.bind(("127.0.0.1", 0))
        own = phone.getsockname()[1]
        rows = [
            f"OPTIONS sip:{host}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{time.monotonic_ns()}",
            "Max-Forwards: 70",
            "From: <sip:a@127.0.0.1>;tag=1",
            f"To: <sip:{host}:{port}>",
            f"Call-ID: {time.monotonic_ns()}",
            "CSeq: 1 OPTIONS",
            "",
            "",
        ]
        phone.sendto("\r\n".join(rows).encode(), (host, port))
        return phone.recv(4096).split(b"\r\n")[0].decode().removeprefix("SIP/2.0 200 ")


def test_proxies_of_a_network_run_each_in_processes_of_its_own(file: Path) -> None:
    checked = run("check", str(file))
    assert checked.stdout == "sip: scripts, users and dialplans of One, Two can be loaded\n"
    up = run("up", str(file))
    assert up.exit_code == 0, up.output
    lines = [line.split()[:5] for line in up.stdout.splitlines()]
    assert lines[0][:4] == ["SIP", "proxy", "Listens", "on"]
    status = lab_status(running_network(None))
    assert status.all_up
    one, two = status.proxies
    assert (one.name, one.workers, two.name, two.workers) == ("One", 1, "Two", 2)
    port = int(one.listen[0].rpartition(":")[2])
    assert one.listen == [f"UDP 127.0.0.1:{port}"]
    assert options(port, "127.0.0.1") == "One"
    assert options(port, "127.0.0.3") == "Two"

    os.kill(one.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:
        again = lab_status(running_network(None)).proxies[0]
        if again.restarts == 1 and again.answers:
            break
        assert time.monotonic() < deadline, again
        time.sleep(0.1)
    assert options(port, "127.0.0.1") == "One"

    found = json.loads(run("status", "--json").stdout)
    assert [proxy["restarts"] for proxy in found["proxies"]] == [1, 0]
    assert run("down").stdout == "sip is down\n"


def test_a_script_that_cannot_be_used_is_found_before_anything_starts(file: Path) -> None:
    script = file.with_name("route.py")
    script.write_text("def f(:\n", encoding="utf-8")
    result = run("check", str(file))
    assert isinstance(result.exception, TrunklineError)
    assert result.exception.code == "script.error"
    result = run("up", str(file))
    assert isinstance(result.exception, TrunklineError)
    assert "does not start" in result.exception.message
    assert f"{script}:1: SyntaxError" in result.exception.message


def test_there_is_nothing_to_draw(file: Path) -> None:
    result = run("graph", str(file))
    assert isinstance(result.exception, TrunklineError)
    assert result.exception.code == "lab.no-routers"
