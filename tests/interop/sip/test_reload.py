"""A script is exchanged while calls pass: none is lost, and one that cannot be used is refused."""

from __future__ import annotations

import os
import signal

import pytest
from tests.interop.sip.programs import until
from tests.interop.sip.site import Site

from trunkline.errors import TrunklineError

pytestmark = pytest.mark.interop

VERSION = """
@on_request()
def route(request: Request) -> None:
    request.headers.add("X-Version", "{version}")
    request.relay(via="{callee}")
"""
MANY = 10_000  # calls: more than there is time for


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_under_load_costs_no_call(site: Site, workers: int) -> None:
    callee = site.callee(wire=True)
    node = site.node(VERSION.format(version=0, callee=callee.uri), workers=workers)
    caller = site.caller(node.address, calls=MANY, rate=100)
    for version in range(1, 7):
        caller.goes_on()
        node.write(VERSION.format(version=version, callee=callee.uri))
        node.reload("signal" if version % 2 else "control")
    caller.goes_on()
    callee.succeeded(caller.enough())
    used = {
        line.removeprefix("X-Version: ")
        for text in callee.texts("INVITE")
        for line in text.splitlines()
        if line.startswith("X-Version")
    }
    assert {"0", "6"} < used
    node.healthy()


def test_a_worker_that_is_started_again_has_the_present_script(site: Site) -> None:
    callee = site.callee(wire=True)
    node = site.node(VERSION.format(version=0, callee=callee.uri), workers=2)
    node.write(VERSION.format(version=1, callee=callee.uri))
    node.reload()
    until(lambda: "%SCRIPT-6-ADOPTED" in node.printed, "the parent has the new script")
    node.write("1 / 0\n")  # what lies there now was not taken by anybody
    before = [node.pid(0), node.pid(1)]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for worker, pid in enumerate(before):
        node.wait_restarted(worker, pid)
    caller = site.caller(node.address, calls=30, rate=60, transport="un")
    caller.succeeded()
    callee.succeeded(30)
    assert all("\nX-Version: 1\n" in text for text in callee.texts("INVITE"))
    node.healthy()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("def route(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("import sys\nsys.exit('enough')\n", "SystemExit: enough"),
        (
            "@on_start\ndef start(app):\n    raise RuntimeError('no number table')\n",
            "no number table",
        ),
        ("@on_request()\ndef route(one, two, three):\n    pass\n", "is called with (request)"),
    ],
    ids=["syntax", "raises", "exits", "start", "handler"],
)
def test_a_broken_script_is_refused_and_calls_go_on(site: Site, script: str, told: str) -> None:
    callee = site.callee()
    node = site.node(VERSION.format(version=0, callee=callee.uri), workers=2)
    caller = site.caller(node.address, calls=MANY, rate=100)
    node.write(script)
    # by the control socket: whoever asks is told
    with pytest.raises(TrunklineError) as refused:
        node.call("script.reload")
    assert told in refused.value.message
    # by a signal: the log says it, with file and line
    node.send_signal(signal.SIGHUP)
    until(lambda: node.printed.count("the present script stays") == 2, "both workers refused it")
    assert told in node.printed
    assert f"{node.script}:" in node.printed
    caller.goes_on()
    callee.succeeded(caller.enough())
    assert node.counter("script", "reloads") == 0
    node.healthy()
