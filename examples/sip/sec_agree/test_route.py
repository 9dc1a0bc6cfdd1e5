"""Tests of route.py: a call, put on hold."""

from pathlib import Path

from trunkline.testing import Harness, Sent

NETWORK = Path(__file__).with_name("network.toml")
SERVER = ("127.0.0.1", 5061)
REQUIRED = [("Require", "sec-agree"), ("Proxy-Require", "sec-agree")]


def required(sent: Sent) -> list[str]:
    """What the request asks of others."""
    return sent.headers.tokens("Require") + sent.headers.tokens("Proxy-Require")


def test_neither_the_call_nor_putting_it_on_hold_requires_sec_agree() -> None:
    with Harness.from_network(NETWORK) as proxy:
        call = proxy.request("INVITE", "sip:conference@ims.example", headers=REQUIRED)
        _, invite = proxy.receive(call)
        assert invite.to == SERVER
        assert invite.uri == "sip:conference@ims.example"
        assert required(invite) == []
        contact = ("Contact", "<sip:conference@127.0.0.1:5061>")
        [ok] = proxy.receive(invite.answer(200, headers=[contact]))
        proxy.receive(proxy.request("ACK", "sip:conference@127.0.0.1:5061", within=ok))
        hold = proxy.request("INVITE", "sip:conference@127.0.0.1:5061", within=ok, headers=REQUIRED)
        _, again = proxy.receive(hold)
        assert (again.method, again.to) == ("INVITE", SERVER)
        assert required(again) == []


def test_what_else_is_required_stays() -> None:
    with Harness.from_network(NETWORK) as proxy:
        rows = [("Require", "100rel, Sec-Agree, precondition")]
        _, invite = proxy.receive(proxy.request("INVITE", "sip:x@ims.example", headers=rows))
        assert required(invite) == ["100rel", "precondition"]


def test_other_option_tags_in_proxy_require_are_not_ours_to_take_out() -> None:
    with Harness.from_network(NETWORK) as proxy:
        rows = [("Proxy-Require", "sec-agree, unheard-of")]
        [refused] = proxy.receive(proxy.request("INVITE", "sip:x@ims.example", headers=rows))
        assert refused.status == 420
        assert refused.headers.get("Unsupported") == "unheard-of"
