"""Tests of route.py: no network, no waiting."""

from pathlib import Path

from trunkline.testing import Harness

HERE = Path(__file__).parent
INVITE = (HERE / "invite.sip").read_text(encoding="utf-8")


def test_the_values_of_an_offer() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        _, invite = proxy.receive(INVITE)
        assert proxy.lines == [
            "offered by alice, at 192.0.2.33",
            "session 111, version 222",
            "audio to 192.0.2.34 port 4002: PCMA, telephone-event",
        ]
        assert invite.body.decode().replace("\r\n", "\n") == INVITE.partition("\n\n")[2]


def test_a_call_without_an_offer_goes_on_all_the_same() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@192.0.2.50"))
        assert invite.to == ("192.0.2.50", 5060)
        assert proxy.lines == []
