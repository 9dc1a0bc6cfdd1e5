"""Tests of route.py: registrations run out while nobody waits."""

from pathlib import Path

import pytest

from trunkline.testing import Harness

NETWORK = Path(__file__).with_name("network.toml")


def register(proxy: Harness, user: str, seconds: int) -> None:
    """Register a user for so long."""
    rows = [
        ("To", f"<sip:{user}@example.org>"),
        ("Contact", f"<sip:{user}@192.0.2.10>"),
        ("Expires", str(seconds)),
    ]
    [answer] = proxy.receive(proxy.request("REGISTER", "sip:example.org", headers=rows))
    assert answer.status == 200


def test_an_alarm_when_one_runs_out_and_word_when_he_is_back() -> None:
    with Harness.from_network(NETWORK) as proxy:
        register(proxy, "alice", 3600)
        register(proxy, "bob", 90)
        assert proxy.advance(61) == []
        alarm, *_ = proxy.advance(60)  # and what goes again until it is answered
        assert alarm.to == ("127.0.0.1", 5061)
        assert alarm.headers.get("Subject") == "Alarm"
        assert alarm.body == b"1 registered, 2 is the least"
        proxy.receive(alarm.answer(200))
        assert proxy.advance(120) == []  # it is said once
        register(proxy, "bob", 3600)
        word, *_ = proxy.advance(60)
        assert word.headers.get("Subject") == "Well again"
        proxy.receive(word.answer(200))


def test_an_operator_who_does_not_answer_is_in_the_log() -> None:
    with Harness.from_network(NETWORK) as proxy:
        proxy.advance(60 + 33)
        assert proxy.lines == [
            "0 registered, 2 is the least",
            "the operator was not reached: 408 Request Timeout",
        ]


@pytest.mark.parametrize("registered", [2, 3])
def test_no_alarm_while_enough_are_there(registered: int) -> None:
    with Harness.from_network(NETWORK) as proxy:
        for number in range(registered):
            register(proxy, f"user{number}", 3600)
        assert proxy.advance(600) == []
