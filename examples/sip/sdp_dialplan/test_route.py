"""Tests of route.py: no network, no waiting."""

from pathlib import Path

from trunkline.elements.proxy.dialplan import LiveDialplan
from trunkline.testing import Harness

HERE = Path(__file__).parent
INVITE = (HERE / "invite.sip").read_text(encoding="utf-8")


def test_port_and_addresses() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        proxy.receive(INVITE)
        assert proxy.lines == [
            "m-line: m=audio 4002 RTP/AVP 8 101",
            "Translated m_port_b_leg is: 4002",
            "Translated o_line_port_1 is: 111",
            "Translated o_line_port_2 is: 222",
            "Translated o_ip_b_leg is: 192.0.2.33",
        ]


def test_an_address_of_ipv6_is_not_what_the_rows_look_for() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        proxy.receive(INVITE.replace("IP4 192.0.2.33", "IP6 2001:db8::33"))
        assert proxy.lines[-1] == "Translated o_ip_b_leg is: nothing"


def test_a_d_in_place_of_a_digit_is_found_all_the_same() -> None:
    """The rows say `d*` where `\\d*` is meant: they fit, because the dots take any character."""
    rows = LiveDialplan.from_csv(HERE / "dialplan.csv")
    assert rows.translate(401, "o=- 1 2 IN IP4 10.0.1.5")
    assert rows.translate(401, "o=- 1 2 IN IP4 10xddd0x1x5")


def test_a_call_without_an_offer_goes_on_all_the_same() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@192.0.2.50"))
        assert invite.to == ("192.0.2.50", 5060)
        assert proxy.lines == []
