"""Tests of route.py: with a zone in place of DNS."""

from collections import Counter
from pathlib import Path

from trunkline.testing import Harness

HERE = Path(__file__).parent
ZONE = (HERE / "ims.zone").read_text(encoding="utf-8")


def registrations(node: str, count: int) -> tuple[Counter[str], set[str]]:
    """Send so many REGISTERs; return where they went, and what DNS was asked for."""
    went: Counter[str] = Counter()
    with Harness.from_network(HERE / "network.toml", node, dns=ZONE) as proxy:
        for _ in range(count):
            [register] = proxy.receive(proxy.request("REGISTER", "sip:ims.example"))
            assert register.uri == "sip:ims.example"
            went[register.to[0]] += 1
        return went, {str(question) for question in proxy.dns.asked}


def test_without_a_port_the_load_is_spread_by_weight() -> None:
    went, asked = registrations("WithoutPort", 1000)
    assert {"NAPTR scscf.ims.example", "SRV _sip._udp.scscf.ims.example"} <= asked
    assert set(went) == {"127.0.0.11", "127.0.0.12"}
    assert 540 < went["127.0.0.11"] < 660


def test_with_a_port_all_go_to_the_address_of_the_name() -> None:
    went, asked = registrations("WithPort", 100)
    assert went == {"127.0.0.11": 100}
    assert asked == {"A scscf.ims.example"}


def test_a_server_that_is_down_costs_no_registration() -> None:
    with Harness.from_network(HERE / "network.toml", "WithoutPort", dns=ZONE) as proxy:
        [first] = proxy.receive(proxy.request("REGISTER", "sip:ims.example"))
        [second] = proxy.fail(first)
        assert {first.to[0], second.to[0]} == {"127.0.0.11", "127.0.0.12"}
        [ok] = proxy.receive(second.answer(200))
        assert ok.status == 200
