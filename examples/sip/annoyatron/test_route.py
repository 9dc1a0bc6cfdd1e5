"""Tests of route.py: hours of it, in no time."""

from pathlib import Path

from trunkline.testing import Harness

NETWORK = Path(__file__).with_name("network.toml")


def test_a_message_every_minute() -> None:
    with Harness.from_network(NETWORK) as proxy:
        assert proxy.advance(59) == []
        for minute in range(1, 61):
            [message] = proxy.advance(1)
            assert (message.method, message.to) == ("MESSAGE", ("127.0.0.1", 5061))
            assert round(message.time) == 60 * minute
            assert proxy.receive(message.answer(200)) == []
            assert proxy.lines[-1] == "The phone answered 200 OK"
            assert proxy.advance(59) == []


def test_what_the_message_looks_like() -> None:
    with Harness.from_network(NETWORK) as proxy:
        message = proxy.advance(60.1)[0]
        assert message.uri == "sip:127.0.0.1:5061"
        sender = message.headers.get("From") or ""
        assert sender.startswith('"Annoyatron 2000" <sip:annoyatron2000@example.org>;tag=')
        assert message.headers.get("To") == "<sip:thisphone@example.org>"
        assert message.headers.get("Subject") == "Hello"
        assert message.headers.get("Content-Type") == "text/plain"
        assert message.body == b"Hi Buddy. Just here to irritate you."


def test_a_phone_that_is_off_is_given_up_after_half_a_minute() -> None:
    with Harness.from_network(NETWORK) as proxy:
        proxy.advance(60 + 33)
        assert proxy.lines == [
            "Sending annoying message",
            "The phone answered 408 Request Timeout",
        ]
