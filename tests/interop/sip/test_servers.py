"""Servers named by a real BIND: calls spread by weight (RFC 2782), and go on when one dies."""

from __future__ import annotations

import json

import pytest
from tests.interop.bind import Named
from tests.interop.sip.node import Node
from tests.interop.sip.programs import until
from tests.interop.sip.scenarios import CALL
from tests.interop.sip.sipp import Sipp
from tests.interop.sip.site import Site

pytestmark = pytest.mark.interop

HEAD = """\
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 25
@ NS ns
ns A 127.0.0.1
here A 127.0.0.1
"""
SCRIPT = """
@on_request()
def route(request: Request) -> None:
    request.relay("sip:bob@pool.example")
"""
CHI_SQUARE = {1: 23.9, 2: 27.6}
"""By degrees of freedom: what a right spread exceeds once in a million runs."""


def zone(site: Site, *servers: tuple[Sipp, int, int]) -> Named:
    """A name server with an SRV record for each callee, priority and weight."""
    records = [
        f"_sip._udp SRV {priority} {weight} {callee.port} here\n"
        for callee, priority, weight in servers
    ]
    return site.named({"pool.example": HEAD + "".join(records)})


def test_2000_calls_spread_by_weight(site: Site) -> None:
    calls = 2000
    weights = {"a": 60, "b": 30, "c": 10}
    callees = {name: site.callee(name=name) for name in weights}
    backup = site.callee(name="backup")
    dns = zone(
        site,
        *((callees[name], 10, weight) for name, weight in weights.items()),
        (backup, 20, 100),
    )
    node = site.node(SCRIPT, settings=f'dns = ["{dns.server}"]')
    site.caller(node.address, calls=calls, rate=400).succeeded()
    backup.succeeded(0)
    counts = {}
    for name, callee in callees.items():
        callee.finish()
        assert callee.statistic("FailedCall") == 0
        counts[name] = callee.statistic("SuccessfulCall")
    assert sum(counts.values()) == calls
    expected = {name: calls * weight / 100 for name, weight in weights.items()}
    chi_square = sum((counts[name] - each) ** 2 / each for name, each in expected.items())
    assert chi_square < CHI_SQUARE[2], counts
    node.healthy()


def test_a_server_dies_in_the_middle_and_comes_back(site: Site) -> None:
    a, b = site.callee(name="a"), site.callee(name="b")
    dns = zone(site, (a, 10, 50), (b, 10, 50))
    node = site.node(SCRIPT, settings=f'dns = ["{dns.server}"]')
    caller = site.caller(node.address, CALL, "-recv_timeout", "4000", calls=10_000, rate=100)
    until(lambda: a.received("BYE") and b.received("BYE"), "both servers have calls")
    a.kill()
    caller.goes_on(100)  # at the other
    # Why, is told: the dead one is tried last for a while.
    until(lambda: "failed lately" in explained(node, caller), "the penalty is told")
    a = site.callee(name="a2", port=a.port)
    # Nobody waits for the end of a penalty where nobody else is left.
    b.kill()
    until(lambda: len(a.received("BYE")) > 20, "the first has calls again")
    caller.goes_on(100)
    assert caller.enough(failed=10) > 100  # what failed is what the dead servers had
    node.healthy()


def explained(node: Node, caller: Sipp) -> str:
    """What the node tells of the last call."""
    return json.dumps(node.call("sip.explain", call_id=caller.messages[-1].call_id))
