"""Header values, multipart bodies: any text is one value, kept to the letter, or one DecodeError.

The first octet chooses the view; what a view can be asked is asked, and may be a DecodeError too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from trunkline.errors import DecodeError
from trunkline.sip import headers
from trunkline.sip.headers import NameAddr, Via, Weighted, split_list
from trunkline.sip.multipart import Multipart

_WORDS: tuple[type[Weighted], ...] = (
    headers.MediaType,
    headers.Disposition,
    headers.RetryAfter,
    headers.Reason,
    headers.SecurityMechanism,
    headers.Replaces,
    headers.SessionExpires,
    headers.Event,
    headers.SubscriptionState,
)

SEEDS = [
    b'\0"A. \\"Bell\\"" <sip:agb@bell.example;lr?a=b> ;tag=a48s;q=0.5;expires=60;x="a,b"',
    b"\0sip:+12125551212@server.example;tag=887s",
    b"\1SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7",
    b"\1SIP/2.0/TCP [2001:db8::1]:5060;rport;received=2001:db8::9",
    b"\2multipart/mixed;boundary=b, text/*;q=0.3, */*",
    b"\x04120 (in a (long) meeting);duration=5",
    b'\x05Q.850;cause=16;text="a"',
    b"\x07425928@b.example;to-tag=7743;from-tag=6472;early-only",
    b"\x0aterminated;reason=timeout;retry-after=5",
    b"\x0b0314 INVITE",
    b"\x0c--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--",
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    choice, octets = (data[0] if data else 0) % 13, data[1:]
    with contextlib.suppress(DecodeError):
        if choice == 12:
            _multipart(octets)
            return
        text = octets.decode(errors="surrogateescape")
        for part in [text, *split_list(text)]:
            with contextlib.suppress(DecodeError):
                _view(choice, part)


def _view(choice: int, text: str) -> None:
    if choice == 0:
        address = NameAddr.parse(text)
        assert str(address) == text.strip(" \t\r\n")
        changed = address.with_params({"x-new": "a b"})
        assert changed.params["x-new"] == "a b"
        assert changed.uri_text == address.uri_text
        assert changed.display_name == address.display_name
        _ask(lambda: address.uri)
        _ask(lambda: (address.q, address.expires, address.tag))
    elif choice == 1:
        via = Via.parse(text)
        assert str(via) == text.strip(" \t\r\n")
        changed_via = via.with_params({"received": "::1", "rport": "1"})
        assert (changed_via.received, changed_via.rport) == ("::1", 1)
        assert (changed_via.host, changed_via.port) == (via.host, via.port)
        _ask(lambda: (via.rport, via.branch))
        _ask(lambda: via.ttl)
    elif choice == 11:
        _ask(lambda: headers.CSeq.parse(text))
        _ask(lambda: headers.RAck.parse(text))
        _ask(lambda: headers.integer(text))
        _ask(lambda: headers.parse_date(text))
    else:
        kind = _WORDS[choice - 2]
        value = kind.parse(text)
        assert str(value) == text.strip(" \t\r\n")
        assert kind.build(value.value, value.params).value == value.value
        for name in dir(kind):
            if isinstance(getattr(kind, name), property) and name != "q":
                getattr(value, name)


def _ask(ask: Callable[[], object]) -> None:
    with contextlib.suppress(DecodeError):
        ask()


def _multipart(octets: bytes) -> None:
    multipart = Multipart.parse(octets, "multipart/mixed;boundary=b")
    assert multipart.to_bytes() == octets
    for part in multipart.walk():
        assert part.octets.endswith(part.body)
        assert part.headers.count("content-type") < 100
