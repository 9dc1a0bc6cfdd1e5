"""User agents behind a NAT: contacts mended by a script, flows kept open, and given up."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from trunkline.config.network import load_network
from trunkline.elements.proxy.flows import TICK, RegisteredFlows
from trunkline.elements.proxy.services import keep_alive_of
from trunkline.sip.binding import Binding
from trunkline.sip.nat import KeepAlive, KeepAliveMethod
from trunkline.sip.transport import Flow, Transport
from trunkline.testing import Harness, Sent

SCRIPT = """
from trunkline.script import *

@on_request("REGISTER")
async def register(request):
    await request.register()

@on_request("INVITE")
def invite(request):
    if request.behind_nat:
        request.fix_contact()
    request.relay("sip:bob@192.0.2.50")

@on_reply("INVITE")
async def reply(request, response):
    await request.app.sleep(0.1)
    request.fix_contact(response)

@on_request("MESSAGE")
async def message(request):
    contacts = await request.lookup()
    if not contacts:
        return request.reply(480)
    request.fork(*contacts)
"""
NAT = ("192.0.2.20", 40000)
PING = KeepAlive(KeepAliveMethod.CRLF, interval=25)
ASK = KeepAlive(KeepAliveMethod.OPTIONS, interval=25)
INSTANCE = '+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def register(
    proxy: Harness,
    user: str = "bob",
    contact: str = "<sip:bob@10.1.1.1:5062>",
    *,
    source: tuple[str, int] = NAT,
    cseq: int = 1,
) -> Sent:
    rows = [
        ("To", f"<sip:{user}@example.org>"),
        ("Contact", contact),
        ("Call-ID", f"reg-{user}-{source}"),
        ("CSeq", f"{cseq} REGISTER"),
        ("Supported", "outbound, path"),
    ]
    via = f"SIP/2.0/UDP 10.1.1.1:5062;branch=z9hG4bK{user}{source[1]}{cseq};rport"
    [answer] = proxy.receive(
        proxy.request("REGISTER", "sip:example.org", source=source, headers=[("Via", via), *rows])
    )
    assert answer.status == 200
    return answer


# contacts


def test_contacts_are_mended_on_both_sides(script: Path) -> None:
    with Harness(script) as proxy:
        contact = ("Contact", '"Al" <sip:alice@10.2.2.2:5064;ob>;expires=60')
        _, invite = proxy.receive(
            proxy.request("INVITE", "sip:bob@example.org", source=NAT, headers=[contact])
        )
        assert invite.headers.get("Contact") == '"Al" <sip:alice@192.0.2.20:40000;ob>;expires=60'
        answer = invite.answer(200, headers=[("Contact", "<sip:bob@10.3.3.3>")])
        assert proxy.receive(answer) == []
        [ok] = proxy.advance(0.2)
        assert ok.headers.get("Contact") == "<sip:bob@192.0.2.50:5060>"
        # and so requests within the dialog find their way
        [bye] = proxy.receive(proxy.request("BYE", "sip:bob@192.0.2.50:5060", within=ok))
        assert bye.to == ("192.0.2.50", 5060)


def test_who_is_not_behind_a_nat_keeps_its_contact(script: Path) -> None:
    with Harness(script) as proxy:
        contact = "<sip:alice@192.0.2.10:5060>"
        _, invite = proxy.receive(
            proxy.request("INVITE", "sip:bob@example.org", headers=[("Contact", contact)])
        )
        assert invite.headers.get("Contact") == contact
        # nor is one whose request came by another proxy
        rows = [
            ("Via", "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKedge"),
            ("Via", "SIP/2.0/UDP 10.2.2.2:5060;branch=z9hG4bKphone"),
            ("Contact", "<sip:alice@10.2.2.2>"),
        ]
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org", headers=rows))
        assert invite.headers.get("Contact") == "<sip:alice@10.2.2.2>"


def test_only_a_reply_handlers_response_can_be_mended(script: Path) -> None:
    text = SCRIPT.replace(
        "request.relay(", "request.fix_contact(Response.build(200)); request.relay("
    )
    script.write_text(text, encoding="utf-8")
    with Harness(script) as proxy:
        _, answer = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert answer.status == 500
        assert "fix_contact takes the response that a reply handler was given" in proxy.lines[0]


# keep-alives


def test_off_by_default(script: Path) -> None:
    with Harness(script) as proxy:
        register(proxy)
        assert proxy.advance(100) == []
        assert proxy.pings == []


def test_four_octets_every_so_often(script: Path) -> None:
    with Harness(script, keep_alive=PING) as proxy:
        register(proxy)
        assert proxy.advance(101) == []
        assert [remote for _, remote in proxy.pings] == [NAT] * 4
        times = [time for time, _ in proxy.pings]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps == pytest.approx([25] * 3, abs=0.3)


def test_who_showed_no_nat_is_left_alone(script: Path) -> None:
    with Harness(script, keep_alive=PING) as proxy:
        rows = [("Contact", "<sip:bob@192.0.2.20:5060>"), ("To", "<sip:bob@example.org>")]
        proxy.receive(
            proxy.request("REGISTER", "sip:example.org", source=("192.0.2.20", 5060), headers=rows)
        )
        proxy.advance(60)
        assert proxy.pings == []
        assert len(proxy.element.services.registrations.flows) == 0


def test_it_ends_with_the_registration(script: Path) -> None:
    with Harness(script, keep_alive=PING) as proxy:
        register(proxy)
        register(proxy, "carol", "<sip:carol@10.1.1.1:5062>;expires=60")
        proxy.advance(30)
        register(proxy, contact="<sip:bob@10.1.1.1:5062>;expires=0", cseq=2)
        assert len(proxy.element.services.registrations.flows) == 1  # carol's, the same
        proxy.advance(120)
        assert len(proxy.element.services.registrations.flows) == 0
        assert max(time for time, _ in proxy.pings) < 90


def test_many_that_register_at_once_are_spread(script: Path) -> None:
    with Harness(script, keep_alive=PING) as proxy:
        for number in range(500):
            register(proxy, f"u{number}", source=("192.0.2.20", 20000 + number))
        proxy.advance(26)
        per_second = Counter(int(time) for time, _ in proxy.pings)
        assert max(per_second.values()) <= 22  # 500 in 25 s are 20 a second
        assert len(set(proxy.pings)) >= 499
        per_phone = Counter(remote for _, remote in proxy.pings)
        assert (len(per_phone), len(proxy.pings) - len(per_phone) < 10) == (500, True)


def test_an_answer_to_options_keeps_and_three_without_give_up(script: Path) -> None:
    with Harness(script, keep_alive=ASK) as proxy:
        register(proxy)
        for _ in range(3):
            while not (sent := proxy.advance(0.1)):
                assert proxy.now < 80
            [options] = sent
            assert (options.method, options.uri, options.to) == (
                "OPTIONS",
                "sip:bob@10.1.1.1:5062",
                NAT,
            )
            proxy.receive(options.answer(404))  # any answer
        counters = proxy.element.services.registrations.flows.counters
        assert (counters.kept_alive, counters.unanswered) == (3, 0)
        proxy.advance(50)
        [message] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert message.to == NAT  # two were not answered, and it is called all the same
        proxy.receive(message.answer(200))
        proxy.advance(50)
        assert (counters.unanswered, counters.lost) == (3, 1)
        [no] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert no.status == 480


def test_icmp_ends_a_flow_of_outbound_and_no_other(script: Path) -> None:
    with Harness(script) as proxy:
        register(proxy, contact=f"<sip:bob@10.1.1.1:5062>;{INSTANCE};reg-id=1")
        register(proxy, "carol", "<sip:carol@10.1.1.1:5062>", source=("192.0.2.21", 40000))
        for user, left in (("bob", 480), ("carol", 0)):
            [message] = proxy.receive(proxy.request("MESSAGE", f"sip:{user}@example.org"))
            [answer] = proxy.fail(message)
            assert answer.status == 500
            [again] = proxy.receive(proxy.request("MESSAGE", f"sip:{user}@example.org"))
            assert again.status == left


def test_the_settings_of_a_network_file(tmp_path: Path, script: Path) -> None:
    file = tmp_path / "network.toml"
    file.write_text(
        '[node.A.proxy]\nscript = "script.py"\nlisten = ["udp:192.0.2.1:5060"]\n'
        'domains = ["example.org"]\nkeep_alive = "10s"\nkeep_alive_method = "crlf"\n',
        encoding="utf-8",
    )
    with Harness.from_network(file) as proxy:
        register(proxy)
        proxy.advance(31)
        assert len(proxy.pings) == 3
    settings = load_network(file).nodes["A"].proxy
    assert settings is not None
    policy = keep_alive_of(settings)
    assert policy == KeepAlive(KeepAliveMethod.CRLF, interval=10)


# the table


def flow_from(port: int) -> Flow:
    return Flow(Transport.UDP, ("192.0.2.20", port), ("192.0.2.1", 5060))


def binding(port: int, *, node: str = "n", expires: float = 100.0, nat: bool = True) -> Binding:
    flow = flow_from(port)
    return Binding("sip:x@10.1.1.1", "c", 1, expires, 0.0, 0.0, flow=flow, node=node, nat=nat)


def test_a_flow_belongs_to_whoever_registered_by_it_last() -> None:
    flows = RegisteredFlows("n")
    flows.registered("sip:a@x", [binding(1), binding(2)])
    flows.registered("sip:b@x", [binding(2)])
    flows.registered("sip:a@x", [binding(3)])  # from another port: its old flows are left
    assert len(flows) == 2
    flow = flow_from(2)
    assert flows.get(flow_from(1)) is None
    assert flows.get(flow_from(3)) is not None
    assert flows.lost(flow) == ["sip:b@x"]
    assert flows.lost(flow) == []
    assert flows.counters.lost == 1


def test_what_is_none_of_ours_is_not_noticed() -> None:
    flows = RegisteredFlows("n", limit=2)
    flows.registered("sip:a@x", [binding(1, node="other"), binding(2, nat=False)])
    assert len(flows) == 0
    flows.registered("sip:a@x", [binding(port) for port in range(1, 6)])
    assert len(flows) == 2
    assert flows.counters.refused == 3


def test_a_round_takes_the_interval_whatever_their_number() -> None:
    for count in (1, 7, 250, 10_000):
        flows = RegisteredFlows("n")
        for port in range(count):
            flows.registered(f"sip:{port}@x", [binding(port)])
        ticks = [list(flows.visit(25.0, 0.0)) for _ in range(round(2 * 25 / TICK))]
        visits = Counter(each.flow for tick in ticks for each in tick)
        assert len(visits) == count
        assert set(visits.values()) <= {1, 2}
        assert max(map(len, ticks)) - min(map(len, ticks)) <= 1


def test_a_tick_has_a_bound_and_what_expired_is_forgotten() -> None:
    flows = RegisteredFlows("n")
    for port in range(1, 60_001):
        flows.registered(f"sip:{port}@x", [binding(port)])
    assert len(list(flows.visit(1.0, 0.0))) == 500
    for _ in range(300):  # the fewer there are, the fewer are visited
        assert list(flows.visit(1.0, 101.0)) == []
    assert len(flows) == 0
