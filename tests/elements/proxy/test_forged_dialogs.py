"""A To tag lets nobody past a script: what belongs to a dialog has come by what we recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.elements.proxy.process import kept_secret
from trunkline.elements.proxy.script import Function
from trunkline.script import Request, in_dialog, on_request
from trunkline.testing import Harness

FORGED = ("To", "<sip:x@example.org>;tag=1")
EDGE = Path(__file__).parents[3] / "examples/sip/edge/network.toml"


@on_request()
def refuse(request: Request) -> None:
    if request.target.username == "bob":
        request.relay("sip:bob@192.0.2.50")
    else:
        request.reply(403)


@in_dialog()
def later(request: Request) -> None:
    request.relay()


@pytest.mark.parametrize("handlers", [[refuse], [refuse, later]])
@pytest.mark.parametrize("method", ["INVITE", "REFER", "MESSAGE", "BYE", "ACK"])
@pytest.mark.parametrize(
    "route",
    [
        "",
        "<sip:192.0.2.1;lr>",
        "<sip:192.0.2.1:5060;lr;k=0000000000000000>",
        "<sip:192.0.2.1:5060;k=short;lr>",
        "<sip:192.0.2.1:5060;lr;k=0000000000000000000000>",
        "<sip:192.0.2.1:5060;lr;k=>",
        "<sip:192.0.2.1:5060;lr;k=\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e90000000a>",
        "<sip:192.0.2.99;lr>",
        "another dialog's",
    ],
)
@pytest.mark.parametrize("stateless", [False, True])
def test_a_forged_to_tag_is_answered_481(
    handlers: list[Function], method: str, route: str, stateless: bool
) -> None:
    with Harness(handlers, stateless=stateless) as proxy:
        if route == "another dialog's":
            invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[-1]
            route = invite.headers["Record-Route"][0]
            assert ";k=" in route
        rows = [FORGED, *([("Route", route)] if route else [])]
        made = proxy.request(method, "sip:0900@203.0.113.9", headers=rows)
        statuses = [each.status for each in proxy.receive(made) if each.status != 100]
        refused = 481 if route.isascii() else 400  # that is no URI
        assert statuses == ([] if method == "ACK" else [refused])


@pytest.mark.parametrize("stateless", [False, True])
def test_what_we_have_recorded_leads_on(stateless: bool) -> None:
    with Harness([refuse], stateless=stateless) as proxy:
        invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[-1]
        [ok] = proxy.receive(invite.answer(200))
        for method in ("ACK", "INVITE", "BYE"):
            sent = proxy.receive(proxy.request(method, "sip:bob@192.0.2.50", within=ok))[-1]
            assert (sent.method, sent.status, sent.to) == (method, 0, ("192.0.2.50", 5060))
            assert "Route" not in sent.headers


def test_a_handler_sees_whether_a_dialog_began_here() -> None:
    seen: list[bool] = []

    @in_dialog()
    def look(request: Request) -> None:
        seen.append(request.routed)
        request.relay("sip:192.0.2.50")

    with Harness([refuse, look]) as proxy:
        invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[-1]
        [ok] = proxy.receive(invite.answer(200))
        proxy.receive(proxy.request("INFO", "sip:bob@192.0.2.50", within=ok))
        proxy.receive(proxy.request("INFO", "sip:bob@192.0.2.50", headers=[FORGED]))
    assert seen == [True, False]


@pytest.mark.parametrize("method", ["INVITE", "REFER"])
@pytest.mark.parametrize("uri", ["sip:0900123456@127.0.0.1:5080", "sip:0900@203.0.113.9"])
def test_the_edge_is_no_relay_for_strangers(method: str, uri: str) -> None:
    with Harness.from_network(EDGE) as proxy:
        made = proxy.request(method, uri, source=("198.51.100.66", 5060), headers=[FORGED])
        assert proxy.receive(made)[-1].status == 481


def test_two_values_of_ours_where_the_sides_differ() -> None:
    """RFC 5658: the other side's comes first for the one that was called; each has the seal."""
    listen = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"]

    @on_request()
    def over(request: Request) -> None:
        request.relay("sip:bob@192.0.2.50;transport=tcp")

    with Harness([over], listen=listen) as proxy:
        invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[-1]
        values = invite.headers.tokens("Record-Route")
        assert len(values) == 2
        assert len({value.partition(";k=")[2] for value in values}) == 1
        [ok] = proxy.receive(invite.answer(200))
        [bye] = proxy.receive(proxy.request("BYE", "sip:bob@192.0.2.50;transport=tcp", within=ok))
        assert (bye.method, bye.status) == ("BYE", 0)


def test_a_strict_router_before_us_puts_our_value_into_the_request_uri() -> None:
    """Section 16.4: the target is the last Route then."""
    with Harness([refuse]) as proxy:
        invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[-1]
        [ok] = proxy.receive(invite.answer(200))
        recorded = ok.headers["Record-Route"][0]
        bye = proxy.request(
            "BYE", recorded.strip("<>"), within=ok, headers=[("Route", "<sip:bob@192.0.2.50>")]
        )
        [sent] = proxy.receive(bye)
        assert (sent.method, sent.uri, sent.status) == ("BYE", "sip:bob@192.0.2.50", 0)


def test_a_node_that_starts_again_knows_its_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    secret = kept_secret("net", "Edge")
    assert len(secret) == 32
    assert kept_secret("net", "Edge") == secret != kept_secret("net", "Other")
    [file] = tmp_path.rglob("Edge.secret")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"short")
    assert kept_secret("net", "Edge") not in (secret, b"short")
