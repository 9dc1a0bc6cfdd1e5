"""Tests of route.py: two phones, a stranger, a gateway and a voicemail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.testing import Harness, Sent

NETWORK = Path(__file__).with_name("network.toml")
PHONES = {"alice": ("192.0.2.11", 5060), "bob": ("192.0.2.12", 5060)}
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
GATEWAY, VOICEMAIL = ("127.0.0.1", 5080), ("127.0.0.1", 5090)


@pytest.fixture
def proxy() -> Iterator[Harness]:
    """The exchange, with both phones registered."""
    with Harness.from_network(NETWORK) as harness:
        for user, (host, port) in PHONES.items():
            rows = [("To", f"<sip:{user}@example.org>"), ("Contact", f"<sip:{user}@{host}>")]
            request = harness.request(
                "REGISTER", "sip:example.org", source=(host, port), headers=rows
            )
            [answer] = harness.receive(request, login=(user, PASSWORDS[user]))
            assert answer.status == 200
        yield harness


def call(proxy: Harness, called: str, caller: str = "alice", login: str = "") -> Sent:
    """Call somebody; the last message that the exchange sent because of it."""
    rows = [("From", f"<sip:{caller}@example.org>;tag=1")]
    request = proxy.request("INVITE", called, source=PHONES["alice"], headers=rows)
    user = login or caller
    return proxy.receive(request, login=(user, PASSWORDS[user]))[-1]


def test_one_phone_calls_the_other(proxy: Harness) -> None:
    invite = call(proxy, "sip:bob@example.org")
    assert invite.to == PHONES["bob"]
    assert "Proxy-Authorization" not in invite.headers
    [ringing] = proxy.receive(invite.answer(180))
    assert (ringing.status, ringing.to) == (180, PHONES["alice"])


def test_a_number_goes_to_the_gateway(proxy: Harness) -> None:
    invite = call(proxy, "sip:+61255501234@example.org")
    assert (invite.uri, invite.to) == ("sip:+61255501234@127.0.0.1:5080", GATEWAY)


def test_the_voicemail_answers_for_who_is_busy(proxy: Harness) -> None:
    invite = call(proxy, "sip:bob@example.org")
    _, again = proxy.receive(invite.answer(486))
    assert (again.uri, again.to) == ("sip:bob@127.0.0.1:5090", VOICEMAIL)
    *_, busy = proxy.receive(again.answer(486))
    assert busy.status == 486


def test_nobody_calls_under_another_name(proxy: Harness) -> None:
    assert call(proxy, "sip:bob@example.org", caller="alice", login="bob").status == 403


@pytest.mark.parametrize(
    ("called", "status"),
    [
        ("sip:bob@example.org", 0),
        ("sip:nobody@example.org", 480),
        ("sip:+61255501234@example.org", 480),
        ("sip:bob@192.0.2.99", 403),
    ],
)
def test_a_stranger_reaches_our_users_and_nobody_else(
    proxy: Harness, called: str, status: int
) -> None:
    rows = [("From", "<sip:mallory@elsewhere.example>;tag=1")]
    assert proxy.receive(proxy.request("INVITE", called, headers=rows))[-1].status == status


def test_phones_behind_a_nat_are_reached_where_they_were_seen(proxy: Harness) -> None:
    rows = [
        ("From", "<sip:mallory@elsewhere.example>;tag=1"),
        ("Contact", "<sip:mallory@10.0.0.5:5062>"),
    ]
    seen = ("192.0.2.20", 40000)
    request = proxy.request("INVITE", "sip:bob@example.org", source=seen, headers=rows)
    _, invite = proxy.receive(request)
    assert invite.headers.get("Contact") == "<sip:mallory@192.0.2.20:40000>"
    [ok] = proxy.receive(invite.answer(200, headers=[("Contact", "<sip:bob@10.0.0.5>")]))
    assert ok.headers.get("Contact") == "<sip:bob@192.0.2.12:5060>"
    [ack] = proxy.receive(proxy.request("ACK", "sip:bob@192.0.2.12:5060", within=ok))
    assert (ack.method, ack.to) == ("ACK", PHONES["bob"])
