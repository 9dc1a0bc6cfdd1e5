"""Tests of route.py: Redis is a store in memory here, and its clock the test's."""

from pathlib import Path

from trunkline.testing import Harness

NETWORK = Path(__file__).with_name("network.toml")


def ask(proxy: Harness, uri: str) -> list[str]:
    """Send an OPTIONS; return what was written to the log because of it."""
    before = len(proxy.lines)
    [answer] = proxy.receive(proxy.request("OPTIONS", uri))
    assert answer.status == 200
    return proxy.lines[before:]


def test_what_is_set_can_be_read_for_two_minutes() -> None:
    with Harness.from_network(NETWORK) as proxy:
        assert ask(proxy, "sip:one@example.org") == [
            "Value of foo is: bar",
            "192.0.2.10 asked for nothing before",
        ]
        proxy.advance(119)
        assert ask(proxy, "sip:two@example.org")[1].endswith(" sip:one@example.org before")
        proxy.advance(121)
        assert ask(proxy, "sip:six@example.org")[1].endswith(" nothing before")
