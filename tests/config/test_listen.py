"""Addresses that a proxy listens on, and what they are called outside."""

from __future__ import annotations

import pytest

from trunkline.config.proxy import Listen


@pytest.mark.parametrize(
    ("text", "advertised"),
    [
        ("udp:10.0.0.1:5060", ("10.0.0.1", 5060)),
        ("udp:10.0.0.1:5060 as SIP.example.org", ("sip.example.org", 5060)),
        ("udp:10.0.0.1:5060 as sip.example.org:5070", ("sip.example.org", 5070)),
        ("tls:0.0.0.0:5061 as 192.0.2.1:5061", ("192.0.2.1", 5061)),
        ("udp:[::]:5060 as [2001:db8::1]", ("2001:db8::1", 5060)),
        ("udp:[::]:5060 as [2001:db8::1]:5070", ("2001:db8::1", 5070)),
    ],
)
def test_what_it_is_called(text: str, advertised: tuple[str, int]) -> None:
    assert Listen.parse(text).advertised == advertised


@pytest.mark.parametrize(
    "name",
    [
        "2001:db8::1",
        "a;b",
        "<a>",
        "a@b",
        "a,b",
        "sip:example.org",
        "[a]",
        "0.0.0.0",
        "[::]",
        "é",
        "-",
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="udp:"):
        Listen.parse(f"udp:10.0.0.1:5060 as {name}")
