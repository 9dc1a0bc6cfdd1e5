"""What scripts ask of the proxy core: targets, ends, failures; and a node without state."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config.network import load_network
from trunkline.elements.proxy.process import ProxyPlan, database_url
from trunkline.elements.proxy.script import load_script
from trunkline.errors import TrunklineError
from trunkline.sip.message import Request
from trunkline.testing import Harness, Sent

A, B, C = "192.0.2.51", "192.0.2.52", "192.0.2.53"


def written(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(f"from trunkline.script import *\n{text}", encoding="utf-8")
    return path


def cancel_of(call: bytes) -> str:
    return call.replace(b"INVITE sip", b"CANCEL sip").replace(b" INVITE", b" CANCEL").decode()


def ack_to(failure: Sent, uri: str = "sip:bob@example.org") -> str:
    rows = [f"{name}: {failure.headers.get(name)}" for name in ("Via", "From", "To", "Call-ID")]
    number = (failure.headers.get("CSeq") or "").split()[0]
    return "\n".join(
        [f"ACK {uri} SIP/2.0", *rows, f"CSeq: {number} ACK", "Max-Forwards: 70", "", ""]
    )


# Targets


def test_a_target_is_tried_once(tmp_path: Path) -> None:
    """RFC 3261 section 16.5."""
    program = """
@on_request()
def f(request):
    request.fork(["sip:a@192.0.2.51", "sip:a@192.0.2.51"], "sip:a@192.0.2.51", "sip:b@192.0.2.52")
"""
    with Harness(written(tmp_path, program)) as proxy:
        _, a = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        _, b = proxy.receive(a.answer(404))
        assert b.to[0] == B


def test_the_same_target_by_another_gateway_is_another_try(tmp_path: Path) -> None:
    program = """
@on_request()
def f(request):
    request.relay(via="sip:192.0.2.51")

@on_failure()
def g(request, response):
    if "tried" not in request.attributes:
        request.attributes["tried"] = True
        request.relay(via="sip:192.0.2.52")
"""
    with Harness(written(tmp_path, program)) as proxy:
        _, a = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        _, b = proxy.receive(a.answer(404))
        assert (a.to[0], b.to[0], a.uri, b.uri) == (A, B, "sip:bob@example.org", a.uri)


def test_the_way_to_a_sips_target_is_by_sips(tmp_path: Path) -> None:
    """RFC 3261 section 16.6 step 7: whatever the next hop's own URI says."""
    program = """
@on_request()
def f(request):
    request.relay(via="sip:192.0.2.51")
"""
    listen = ["udp:192.0.2.1:5060", "tls:192.0.2.1:5061"]
    with Harness(written(tmp_path, program), listen=listen) as proxy:
        [invite] = proxy.receive(proxy.request("INVITE", "sips:bob@example.org"))[1:]
        assert (invite.flow.transport.value, invite.to) == ("TLS", (A, 5061))
        [invite] = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[1:]
        assert (invite.flow.transport.value, invite.to) == ("UDP", (A, 5060))


def test_a_sips_target_where_there_is_no_tls(tmp_path: Path) -> None:
    with Harness(written(tmp_path, "@on_request()\ndef f(r): r.relay(via='sip:192.0.2.51')")) as p:
        _, answer = p.receive(p.request("INVITE", "sips:bob@example.org"))
        assert answer.status == 480


@pytest.mark.parametrize("call", ["fork()", "fork([])", "fork([], [])"])
def test_a_fork_to_nobody_finds_nobody(call: str, tmp_path: Path) -> None:
    with Harness(written(tmp_path, f"@on_request()\ndef f(r): r.{call}")) as proxy:
        _, answer = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert answer.status == 480  # RFC 3261 section 16.5
        assert proxy.lines == []


def test_a_relay_that_fails_is_no_decision(tmp_path: Path) -> None:
    """Something else may be decided; and if nothing is, the answer is 500."""
    program = """
@on_request("INVITE")
def f(request):
    try:
        request.relay(12)
    except Exception:
        request.reply(404)

@on_request("MESSAGE")
def g(request):
    request.relay(12)
"""
    with Harness(written(tmp_path, program)) as proxy:
        _, answer = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert answer.status == 404
        [answer] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert answer.status == 500


@pytest.mark.parametrize("place", ["192.0.2.51", "gw.example"])
def test_what_a_script_broke_costs_its_request(place: str, tmp_path: Path) -> None:
    """Also where the way had to be found first, and the handler has returned."""
    program = f"""
@on_request()
def f(request):
    request.headers.set("Max-Forwards", "many")
    request.relay("sip:bob@{place}")
"""
    with Harness(written(tmp_path, program), dns="gw.example. 60 IN A 192.0.2.51") as proxy:
        [answer] = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[1:]
        assert answer.status == 500
        assert proxy.element.stats.errors == {"f": 1}


def test_a_maddr_that_leads_elsewhere_is_not_for_us(tmp_path: Path) -> None:
    program = "@on_request()\ndef f(r): r.reply(200 if r.for_us else 404)"
    with Harness(written(tmp_path, program)) as proxy:
        for uri, status in (
            ("sip:bob@example.org", 200),
            ("sip:bob@example.org;maddr=192.0.2.1", 200),  # it led here, and was taken off
            ("sip:bob@example.org;maddr=192.0.2.9", 404),
            ("sip:bob@example.org;maddr=192.0.2.1;transport=tcp", 404),
        ):
            [answer] = proxy.receive(proxy.request("MESSAGE", uri))
            assert answer.status == status, uri


# Ends


def test_what_comes_of_a_relay_is_known_though_it_ended_at_once(tmp_path: Path) -> None:
    """Awaited after the end: a target without a way, a caller who gave up, a call long answered."""
    program = """
@on_request("INVITE")
async def f(request):
    outcome = request.relay(request.uri)
    if "slow" in request.uri:
        await request.app.sleep(5)
    response = await outcome
    request.app.log(f"{request.uri}: {response.status}")

@on_reply()
def g(request, response):
    pass
"""
    with Harness(written(tmp_path, program)) as proxy:
        proxy.receive(proxy.request("INVITE", "sip:no@nowhere.example"))
        proxy.advance(1)
        call = proxy.request("INVITE", f"sip:slow@{A}")
        _, invite = proxy.receive(call)
        proxy.receive(invite.answer(180))
        proxy.receive(cancel_of(call.data))
        proxy.receive(invite.answer(487))
        _, invite = proxy.receive(proxy.request("INVITE", f"sip:slow2@{A}"))
        proxy.receive(invite.answer(200))
        proxy.advance(6)
        assert sorted(proxy.lines) == [
            "sip:no@nowhere.example: 480",
            f"sip:slow2@{A}: 200",
            f"sip:slow@{A}: 487",
        ]


def test_after_a_6xx_nothing_else_is_tried(tmp_path: Path) -> None:
    """RFC 3261 section 16.7 step 5; but the answer may be another."""
    program = """
@on_request()
def f(request):
    request.relay("sip:a@192.0.2.51")

@on_failure()
def g(request, response):
    if "again" in request.uri:
        request.relay("sip:voicemail@192.0.2.52")
    elif "other" in request.uri:
        request.reply(480)
"""
    with Harness(written(tmp_path, program)) as proxy:
        for uri, status in (("sip:x@e", 603), ("sip:again@e", 603), ("sip:other@e", 480)):
            _, invite = proxy.receive(proxy.request("INVITE", uri))
            ack, answer = proxy.receive(invite.answer(603))
            assert (ack.method, answer.status) == ("ACK", status)


def test_a_call_that_is_dropped_stays_without_an_answer(tmp_path: Path) -> None:
    with Harness(written(tmp_path, "@on_request()\ndef f(r): r.drop()")) as proxy:
        [trying] = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert trying.status == 100
        assert proxy.advance(60) == []
        assert proxy.element.proxy.layer.servers == {}


def test_503_with_retry_after_leaves_the_server_alone_for_so_long(tmp_path: Path) -> None:
    """RFC 3261 section 21.5.4; a 503 without it counts for its request alone."""
    zone = """
        _sip._udp.gw.example. 60 IN SRV 1 0 5060 one.gw.example.
        _sip._udp.gw.example. 60 IN SRV 2 0 5060 two.gw.example.
        one.gw.example. 60 IN A 192.0.2.51
        two.gw.example. 60 IN A 192.0.2.52
    """
    program = "@on_request()\ndef f(r): r.relay('sip:bob@gw.example')"
    with Harness(written(tmp_path, program), dns=zone) as proxy:

        def first() -> Sent:
            return proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))[1]

        proxy.receive(first().answer(503))
        assert first().to[0] == A
        proxy.receive(first().answer(503, headers=[("Retry-After", "20")]))
        assert first().to[0] == B
        proxy.advance(21)
        assert first().to[0] == A


# Without state


STATELESS = """
@on_request("INVITE", "MESSAGE")
def f(request):
    request.relay(via="sip:192.0.2.51")

@in_dialog()
def g(request):
    request.relay()
"""


def test_a_call_through_a_stateless_node(tmp_path: Path) -> None:
    with Harness(written(tmp_path, STATELESS), stateless=True) as proxy:
        call = proxy.request("INVITE", "sip:bob@example.org")
        [invite] = proxy.receive(call)
        assert invite.to[0] == A
        [again] = proxy.receive(call)
        assert again.message.to_bytes() == invite.message.to_bytes()
        [ringing] = proxy.receive(invite.answer(180))
        assert (ringing.status, ringing.to) == (180, ("192.0.2.10", 5060))
        [ok] = proxy.receive(invite.answer(200, headers=[("Contact", f"<sip:bob@{B}>")]))
        [ack] = proxy.receive(proxy.request("ACK", f"sip:bob@{B}", within=ok))
        [bye] = proxy.receive(proxy.request("BYE", f"sip:bob@{B}", within=ok))
        assert {ack.to[0], bye.to[0]} == {B}
        assert proxy.receive(bye.answer(200))[0].status == 200
        assert proxy.advance(100) == []
        assert proxy.element.proxy.layer.counters.requests == 0


def test_cancel_and_the_ack_to_a_failure_go_where_the_invite_went(tmp_path: Path) -> None:
    """16.11: through the handler of INVITE, since only that knows where."""
    with Harness(written(tmp_path, STATELESS), stateless=True) as proxy:
        call = proxy.request("INVITE", "sip:bob@example.org")
        [invite] = proxy.receive(call)
        [cancel] = proxy.receive(cancel_of(call.data))
        [busy] = proxy.receive(invite.answer(486))
        [ack] = proxy.receive(ack_to(busy))
        assert [(s.method, s.to[0]) for s in (cancel, ack)] == [("CANCEL", A), ("ACK", A)]
        branches = {s.headers.get("Via") for s in (invite, cancel, ack)}
        assert len(branches) == 1


def test_what_a_stateless_node_answers_itself(tmp_path: Path) -> None:
    program = """
@on_request("INVITE")
def f(request):
    request.reply(404)

@on_request("MESSAGE")
def g(request):
    request.relay("sip:nobody@nowhere.example")

@on_request("NOTIFY")
def h(request):
    request.reply(180)

@on_request("PUBLISH")
def i(request):
    request.fork("sip:a@192.0.2.51", "sip:b@192.0.2.52")

@on_request("INFO")
def j(request):
    raise ValueError("no")

@on_request("UPDATE")
def k(request):
    request.drop()

@on_request("REFER")
def l(request):
    request.target.user.nothing
"""
    with Harness(written(tmp_path, program), stateless=True) as proxy:
        [answer] = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert answer.status == 404
        assert proxy.receive(ack_to(answer)) == []
        assert proxy.advance(60) == []  # nothing is repeated
        expected = {
            "MESSAGE": [480],
            "NOTIFY": [500],
            "PUBLISH": [500],
            "INFO": [500],
            "UPDATE": [],
            "SUBSCRIBE": [405],  # no handler
            "OPTIONS": [200],
        }
        for method, statuses in expected.items():
            got = proxy.receive(proxy.request(method, "sip:example.org"))
            assert [sent.status for sent in got] == statuses, method
        assert proxy.element.proxy.layer.servers == {}


def test_a_cancel_that_no_handler_of_invite_takes(tmp_path: Path) -> None:
    with Harness(written(tmp_path, "@on_request('MESSAGE')\ndef f(r): pass"), stateless=True) as p:
        call = p.request("INVITE", "sip:bob@example.org")
        assert [sent.status for sent in p.receive(cancel_of(call.data))] == [481]


def test_equal_servers_are_shared_by_transaction_and_kept_to(tmp_path: Path) -> None:
    """RFC 3263 section 4.4."""
    zone = "\n".join(
        [f"_sip._udp.gw.example. 60 IN SRV 1 10 5060 gw{n}.example." for n in range(4)]
        + [f"gw{n}.example. 60 IN A 192.0.2.6{n}" for n in range(4)]
    )
    program = "@on_request()\ndef f(r): r.relay(via='sip:gw.example')"
    with Harness(written(tmp_path, program), dns=zone, stateless=True) as proxy:
        places: list[str] = []
        for _ in range(20):
            call = proxy.request("INVITE", "sip:bob@example.org")
            went = {sent.to[0] for _ in range(3) for sent in proxy.receive(call)}
            went |= {sent.to[0] for sent in proxy.receive(cancel_of(call.data))}
            assert len(went) == 1
            places += went
        assert len(set(places)) == 4


def test_an_async_handler_and_a_request_of_its_own(tmp_path: Path) -> None:
    program = """
@on_request()
async def f(request):
    await request.app.sleep(1)
    assert await request.relay(via="sip:192.0.2.51") is None

@on_start
def begin(app):
    pass

@every(10)
async def job(app):
    response = await app.send_request("OPTIONS", "sip:192.0.2.52")
    app.log(f"{response.status}")
"""
    with Harness(written(tmp_path, program), stateless=True) as proxy:
        assert proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org")) == []
        [sent] = proxy.advance(1.5)
        assert sent.to[0] == A
        [options, *_] = [sent for sent in proxy.advance(9) if sent.method == "OPTIONS"]
        assert isinstance(options.message, Request)
        proxy.receive(options.answer(200))
        assert proxy.lines == ["200"]


@pytest.mark.parametrize("mark", ["on_reply", "on_failure", "on_branch"])
def test_handlers_that_are_never_called_are_refused(mark: str, tmp_path: Path) -> None:
    text = f"@on_request()\ndef f(r): pass\n@{mark}()\ndef g(request, message): pass\n"
    script = written(tmp_path, text)
    with pytest.raises(TrunklineError) as raised:
        Harness(script, stateless=True)
    assert raised.value.code == "script.stateless"
    assert f"{script}:4: g: a stateless proxy calls no @{mark}" in raised.value.message
    good = written(tmp_path / "..", "@on_request()\ndef f(r): pass")
    with Harness(good, stateless=True) as proxy:
        with pytest.raises(TrunklineError):
            proxy.reload(tmp_path / "script.py")
        assert proxy.element.script.path == load_script(good).path
    good.unlink()


@pytest.mark.parametrize(("listen", "fine"), [("udp", True), ("tcp", False)])
def test_a_stateless_node_listens_on_udp_alone(listen: str, fine: bool, tmp_path: Path) -> None:
    written(tmp_path, "@on_request()\ndef f(r): pass")
    file = tmp_path / "network.toml"
    file.write_text(
        '[node.Edge.proxy]\nscript = "script.py"\nstateless = true\n'
        f'listen = ["udp:127.0.0.1:5060", "{listen}:127.0.0.1:5062"]\n'
    )
    network = load_network(file)
    settings = network.nodes["Edge"].proxy
    assert settings is not None
    if fine:
        assert ProxyPlan(network, "Edge", settings).stateless is not None
        with Harness.from_network(file) as proxy:
            assert proxy.receive(proxy.request("MESSAGE", "sip:x@y")) != []
    else:
        with pytest.raises(TrunklineError) as raised:
            ProxyPlan(network, "Edge", settings)
        assert raised.value.code == "proxy.stateless"


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("sqlite:///numbers.sqlite", "sqlite:////net/numbers.sqlite"),
        ("sqlite+aiosqlite:///a/b.db?timeout=1", "sqlite+aiosqlite:////net/a/b.db?timeout=1"),
        ("sqlite:////var/lib/numbers.sqlite", None),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("sqlite:///", None),
        ("sqlite:///file:x?mode=memory&uri=true", None),
        ("postgresql://user@host/name", None),
    ],
)
def test_a_database_lies_beside_the_network_file(url: str, used: str | None) -> None:
    assert database_url(url, Path("/net")) == (used or url)
