"""Several workers on one port, and what becomes of calls when one of them is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.interop.sip.node import Node
from tests.interop.sip.programs import until
from tests.interop.sip.scenarios import (
    CALL,
    OK,
    RINGING,
    ack_failure,
    answer,
    cancel,
    expect,
    invite,
    keep,
    send,
)
from tests.interop.sip.site import Site

pytestmark = pytest.mark.interop

RELAY = """
@on_request()
def route(request: Request) -> None:
    request.relay(via="{}")
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that its parent has not looked after yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_calls_from_many_ports_over_four_workers(site: Site) -> None:
    callee = site.callee()
    node = site.node(RELAY.format(callee.uri), workers=4)
    caller = site.caller(node.address, calls=300, rate=150, transport="un")
    caller.succeeded()
    callee.succeeded(300)
    # Every request was dealt with once, wherever it came in; what was handed over was taken.
    assert node.counter("transactions", "requests") == 600
    assert node.counter("transactions", "strays") == 0
    handed, taken = (node.counter("workers", name) for name in ("handed_over", "taken_over"))
    assert handed == taken > 300  # of about six messages a call that may go astray, 3 of 4 do
    assert node.counter("workers", "dropped") == node.counter("workers", "displaced") == 0
    # every worker had its share
    for worker in range(4):
        transactions = node.call("node.counters", worker)["transactions"]
        assert isinstance(transactions, dict)
        assert transactions["requests"]
    node.healthy()


def test_cancels_find_their_calls_among_four_workers(site: Site) -> None:
    callee = site.callee(
        (
            *(expect("INVITE", do=keep()), RINGING, expect("CANCEL"), OK),
            send(answer("487 Request Terminated", kept=2), again=True),
            expect("ACK"),
        )
    )
    node = site.node(RELAY.format(callee.uri), workers=4)
    caller = site.caller(
        node.address,
        (
            *(send(invite(), again=True), expect(100, optional=True), expect(180)),
            *(send(cancel(), again=True), expect(200), expect(487), send(ack_failure())),
        ),
        calls=60,
        rate=60,
        transport="un",
    )
    caller.succeeded()
    callee.succeeded(60)
    node.healthy()


def test_a_killed_worker_costs_what_it_had_under_way_and_comes_back(site: Site) -> None:
    callee = site.callee()
    node = site.node(RELAY.format(callee.uri), workers=4)
    pids = [node.pid(worker) for worker in range(4)]
    caller = site.caller(
        node.address,
        CALL,
        *("-recv_timeout", "4000"),
        calls=10_000,  # more than there is time for
        rate=100,
        transport="un",
    )
    caller.goes_on(100)
    os.kill(pids[2], signal.SIGKILL)
    node.wait_restarted(2, pids[2])
    caller.goes_on(200)
    assert caller.enough(failed=10) > 150  # what failed is what the worker had under way
    assert [node.pid(worker) for worker in (0, 1, 3)] == [pids[0], pids[1], pids[3]]
    transactions = node.call("node.counters", 2)["transactions"]
    assert isinstance(transactions, dict)
    assert transactions["requests"]  # it has its share again
    node.healthy()
    assert "worker 2 ended (-9)" in node.printed


def test_workers_end_with_their_parent(site: Site) -> None:
    node = site.node(RELAY.format("sip:127.0.0.1:9"), workers=4)
    workers = [node.pid(worker) for worker in range(4)]
    assert all(alive(worker) for worker in workers)
    node.kill()
    until(lambda: not any(alive(worker) for worker in workers), "the workers have ended")


def test_a_stop_ends_all_workers(site: Site) -> None:
    node: Node = site.node(RELAY.format("sip:127.0.0.1:9"), workers=3)
    workers = [node.pid(worker) for worker in range(3)]
    node.call("node.stop", 1)
    assert node.process.wait(10) == 0
    assert not any(alive(worker) for worker in workers)
