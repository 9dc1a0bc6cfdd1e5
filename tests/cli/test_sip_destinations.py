"""Sets of destinations of a proxy that runs, with two workers: shown, drained, probed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.cli.sip_phones import Phone, free_port, running
from typer.testing import CliRunner, Result

from trunkline.cli.app import build
from trunkline.cli.rpc import as_dict, as_list
from trunkline.errors import TrunklineError
from trunkline.net.control import ControlClient
from trunkline.sip.message import Request, Response, parse

SCRIPT = """
from trunkline.script import on_request

@on_request()
def to_gateways(request):
    request.relay(via=request.app.destinations("gateways"))
"""


def trunkline(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["sip", *arguments])


def answer_probes(phone: Phone, seconds: float) -> int:
    """Answer OPTIONS for a while; how many there were."""
    count, end = 0, time.monotonic() + seconds
    phone.socket.settimeout(0.05)
    while time.monotonic() < end:
        try:
            data, source = phone.socket.recvfrom(65_535)
        except TimeoutError:
            continue
        probe = parse(data)
        assert isinstance(probe, Request)
        assert probe.method == "OPTIONS"
        phone.socket.sendto(Response.answer(probe, 200, to_tag="g").to_bytes(), source)
        count += 1
    phone.socket.settimeout(10.0)
    return count


def test_states_are_the_same_in_every_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, nobody = Phone(), free_port()
    up, dead = f"sip:127.0.0.1:{gateway.port}", f"sip:127.0.0.1:{nobody}"
    table = f'probe = "500ms", timeout = "300ms", targets = ["{up}", "{dead}"]'
    settings = [f"destinations = {{ gateways = {{ {table} }} }}"]
    with running(tmp_path, workers=2, settings=settings) as proxied:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(proxied.runtime))
        proxied.script.write_text(SCRIPT, encoding="utf-8")
        assert trunkline("reload", "Edge").exit_code == 0
        assert answer_probes(gateway, 2.5) >= 3
        for number in range(2):
            name = "Edge.sock" if not number else "Edge.1.sock"
            with ControlClient(proxied.socket.parent / name) as client:
                sets = [as_dict(each) for each in as_list(client.call("sip.destinations"))]
            members = map(as_dict, as_list(sets[0]["destinations"]))
            assert [each["state"] for each in members] == ["up", "down"]
        shown = trunkline("destinations", "Edge")
        assert shown.exit_code == 0
        assert "gateways  probed every 0.5 s" in shown.output
        assert "200 after" in shown.output
        # whichever worker gets the call, it goes to the one that is up
        for number in range(8):
            proxied.caller.send(proxied.request("MESSAGE", f"m{number}"), proxied.port)
            while (message := gateway.receive()).start_line.startswith("OPTIONS"):
                pass
            assert isinstance(message, Request)
            gateway.send(Response.answer(message, 200, to_tag="g"), proxied.port)
            assert proxied.final().status == 200
        answer = json.loads(trunkline("destinations", "Edge", "--json").output)
        assert [each["sent"] for each in answer[0]["destinations"]] == [8, 0]
        # drained by one worker, it is for the other
        told = trunkline("drain", "Edge", up)
        assert told.output == f"{up} of gateways gets no new calls\n"
        for number in range(4):
            proxied.caller.send(proxied.request("MESSAGE", f"n{number}"), proxied.port)
        assert all(proxied.final().status == 500 for _ in range(4))
        answer_probes(gateway, 1.2)  # it may have been silent for too long meanwhile
        shown = trunkline("destinations", "Edge")
        assert (shown.exit_code, "up, drained" in shown.output) == (1, True)
        assert json.loads(trunkline("undrain", "Edge", up, "--json").output) == {
            "uri": up,
            "drained": False,
            "sets": ["gateways"],
        }
        with pytest.raises(TrunklineError, match="is no destination; there are: sip:127"):
            CliRunner().invoke(
                build(), ["sip", "drain", "Edge", "sip:192.0.2.9"], catch_exceptions=False
            )
    gateway.close()
