"""Four workers on one port; every message is delivered to the wrong one on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from trunkline.elements.log import RouterLog
from trunkline.elements.proxy.element import ProxyElement
from trunkline.elements.proxy.hops import Finder
from trunkline.elements.proxy.script import load_script
from trunkline.elements.proxy.services import Registrations, Services, Users
from trunkline.elements.proxy.workers import Shared, Workers
from trunkline.errors import TrunklineError
from trunkline.net.dns import Locator, ZoneResolver
from trunkline.net.virtual import VirtualLoop
from trunkline.sip.digest import KnownUsers
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.proxy import Identity, Listener
from trunkline.sip.transport import Address, Flow, Transport

ME: Address = ("192.0.2.1", 5060)
CALLER: Address = ("192.0.2.10", 5060)
FROM_CALLER = Flow(Transport.UDP, CALLER, ME)
COUNT = 4

SCRIPT = """
from trunkline.script import on_request

@on_request()
def all(request):
    request.fork(["sip:a@192.0.2.51", "sip:b@192.0.2.52"])
"""


def services(loop: VirtualLoop) -> Services:
    clock, random = loop.time, Random(0).randbytes
    users = Users(KnownUsers({}), realm="x", secret=bytes(16), clock=clock, random=random)
    return Services(users, Registrations(None, None, node="x", clock=clock, random=random))


def listen(workers: Workers, loop: VirtualLoop, element: ProxyElement) -> None:
    workers.listen(
        loop,
        element.take_over,
        element.transports.send,
        element.lost,
        element.failed,
    )


class Cluster:
    """Four elements of four workers on one loop; what they send is collected with their number."""

    def __init__(self, script: Path) -> None:
        self.loop = VirtualLoop()
        self.loop.keep_failures()
        self.shared = Shared(COUNT)
        self.sent: list[tuple[int, Flow, bytes]] = []
        self.workers: list[Workers] = []
        self.elements: list[ProxyElement] = []
        for index in range(COUNT):
            workers = Workers(self.shared, index, clock=self.loop.time)
            identity = Identity([Listener(Transport.UDP, ME, ME)])
            numbers = itertools.count(1)
            element = ProxyElement(
                self.loop,
                identity,
                load_script(script),
                _Sender(index, self.sent),
                Finder(identity, Locator(ZoneResolver(""), now=self.loop.time)),
                name="cluster",
                log=RouterLog(),
                token=lambda n=numbers, p=workers.prefix: f"{p}{next(n)}",  # type: ignore[misc]
                workers=workers,
                services=services(self.loop),
            )
            listen(workers, self.loop, element)
            self.workers.append(workers)
            self.elements.append(element)

    def deliver(self, index: int, data: bytes, flow: Flow) -> list[tuple[int, Flow, bytes]]:
        """Deliver octets to worker ``index``, whoever they are for; what was sent then."""
        self.elements[index].receive([(data, flow)])
        self.loop.settle()
        assert self.loop.failures() == []
        found = self.sent.copy()
        self.sent.clear()
        return found

    def close(self) -> None:
        for workers, element in zip(self.workers, self.elements, strict=True):
            workers.deafen(self.loop)
            self.loop.run_until_complete(element.close())
        self.shared.close()
        self.loop.close()


class _Sender:
    def __init__(self, index: int, sent: list[tuple[int, Flow, bytes]]) -> None:
        self._index = index
        self._sent = sent

    def send(self, flow: Flow, data: bytes) -> None:
        self._sent.append((self._index, flow, data))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    made = Cluster(script)
    yield made
    made.close()


def request(method: str, branch: str, to_tag: str = "", route: str = "") -> bytes:
    rows = [
        ("Via", f"SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{branch}"),
        *([("Route", route)] if route else []),
        ("From", "<sip:alice@192.0.2.10>;tag=1"),
        ("To", f"<sip:bob@example.org>{to_tag}"),
        ("Call-ID", "c1"),
        ("CSeq", f"1 {method}"),
    ]
    return Request.build(method, "sip:bob@192.0.2.60", rows).to_bytes()


def answer(forwarded: tuple[int, Flow, bytes], status: int) -> tuple[bytes, Flow]:
    message = parse(forwarded[2])
    assert isinstance(message, Request)
    return Response.answer(message, status, to_tag="callee").to_bytes(), forwarded[1]


def status_of(sent: tuple[int, Flow, bytes]) -> int:
    message = parse(sent[2])
    return message.status if isinstance(message, Response) else 0


@pytest.mark.parametrize("owner", range(COUNT))
def test_everything_finds_its_transaction(cluster: Cluster, owner: int) -> None:
    others = [index for index in range(COUNT) if index != owner]
    _, a, b = cluster.deliver(owner, request("INVITE", "x"), FROM_CALLER)
    # a retransmission is answered by the worker that has the transaction, and forwarded by none
    [again] = cluster.deliver(others[0], request("INVITE", "x"), FROM_CALLER)
    assert (again[0], status_of(again)) == (owner, 100)
    # responses of both forks
    [ringing] = cluster.deliver(others[1], *answer(a, 180))
    assert (ringing[0], status_of(ringing)) == (owner, 180)
    [ringing] = cluster.deliver(others[2], *answer(b, 180))
    assert (ringing[0], status_of(ringing)) == (owner, 180)
    # CANCEL, and again
    ok, *cancels = cluster.deliver(others[1], request("CANCEL", "x"), FROM_CALLER)
    assert (ok[0], status_of(ok)) == (owner, 200)
    assert len(cancels) == 2
    [ok] = cluster.deliver(others[2], request("CANCEL", "x"), FROM_CALLER)
    assert (ok[0], status_of(ok)) == (owner, 200)
    # both forks are terminated, so is the call
    [ack] = cluster.deliver(others[0], *answer(a, 487))
    assert ack[0] == owner
    ack, final = cluster.deliver(others[2], *answer(b, 487))
    assert (final[0], status_of(final)) == (owner, 487)
    # the ACK is consumed: nobody forwards it
    assert cluster.deliver(others[0], request("ACK", "x", ";tag=callee"), FROM_CALLER) == []
    cluster.loop.advance(4)
    # no retransmission of the 487: its ACK was seen
    assert not [sent for sent in cluster.sent if status_of(sent)]
    assert sum(element.proxy.layer.counters.requests for element in cluster.elements) == 2
    assert sum(worker.counters.handed_over for worker in cluster.workers) == 8


def recorded(cluster: Cluster, index: int) -> str:
    """The Route by which a dialog that began at worker ``index`` goes on."""
    _, invite, _ = cluster.deliver(index, request("INVITE", "x"), FROM_CALLER)
    return parse(invite[2]).headers["Record-Route"][0]


def test_requests_of_a_dialog_go_to_the_worker_that_saw_it_begin(cluster: Cluster) -> None:
    route = recorded(cluster, 2)
    assert route.startswith("<sip:192.0.2.1:5060;lr;w=2;k=")
    [forwarded] = cluster.deliver(0, request("BYE", "y", ";tag=callee", route), FROM_CALLER)
    assert forwarded[0] == 2
    assert b"Route:" not in forwarded[2]
    [done] = cluster.deliver(1, *answer(forwarded, 200))
    assert (done[0], status_of(done)) == (2, 200)


@pytest.mark.parametrize("written", ["", ";w=77"])
def test_any_worker_knows_what_another_has_recorded(cluster: Cluster, written: str) -> None:
    """A number that no worker has is our own business."""
    route = recorded(cluster, 2).replace(";w=2", written)
    [forwarded] = cluster.deliver(1, request("BYE", "y", ";tag=callee", route), FROM_CALLER)
    assert (forwarded[0], status_of(forwarded)) == (1, 0)


def test_a_worker_that_does_not_listen_costs_its_strays_and_nothing_else(
    cluster: Cluster,
) -> None:
    _, a, _ = cluster.deliver(0, request("INVITE", "x"), FROM_CALLER)
    cluster.workers[0].deafen(cluster.loop)
    data, flow = answer(a, 180)
    for _ in range(5000):
        cluster.elements[1].receive([(data, flow)])
    assert cluster.workers[1].counters.dropped > 0
    counters = cluster.workers[1].counters
    assert counters.dropped + counters.handed_over == 5000
    assert len(cluster.deliver(1, request("INVITE", "z"), FROM_CALLER)) == 3
    element = cluster.elements[0]
    listen(cluster.workers[0], cluster.loop, element)


@pytest.mark.parametrize("first", [b"\0", b"\1", b"\2", b"\1\xff", b"S", b"L", b"R", b"M"])
def test_octets_from_the_network_are_a_message_and_nothing_else(
    cluster: Cluster, first: bytes
) -> None:
    """Whatever they begin with: no worker sends them on, or loses what came with them."""
    _, a, _ = cluster.deliver(0, request("INVITE", "x"), FROM_CALLER)
    forged = first + request("OPTIONS", "y", route="<sip:192.0.2.1;lr;w=0>")
    ringing = answer(a, 180)
    cluster.elements[1].receive([ringing, (forged, FROM_CALLER), ringing])
    cluster.loop.settle()
    assert cluster.loop.failures() == []
    assert not [sent for sent in cluster.sent if sent[2] in forged]
    assert [status_of(sent) for sent in cluster.sent].count(180) == 2


def test_what_other_workers_say_may_fail_and_messages_still_arrive(cluster: Cluster) -> None:
    _, a, _ = cluster.deliver(0, request("INVITE", "x"), FROM_CALLER)
    refused = TrunklineError("udp.unreachable", "not text: \udcff")
    cluster.elements[1].receive([answer(a, 180)])
    assert cluster.workers[3].give_back(a[1], refused, b"no message \xff branch=z9hG4bKw0.1")
    cluster.workers[2].tell_lost(a[1], "not text: \udcff")
    cluster.loop.settle()
    assert cluster.loop.failures() == []
    assert [status_of(sent) for sent in cluster.sent] == [180]


@pytest.mark.parametrize("octets", [70_000, 150_000, 300_000])
def test_large_messages_are_handed_over_whole(cluster: Cluster, octets: int) -> None:
    if octets > cluster.shared.largest:
        pytest.skip("net.core.wmem_max allows less")
    came = Flow(Transport.TCP, CALLER, ME, 7)
    bye = request("BYE", "y", ";tag=callee", recorded(cluster, 2))
    large = bye.replace(b"Content-Length: 0", b"Content-Length: %d" % octets) + b"x" * octets
    [forwarded] = cluster.deliver(0, large, came)
    assert forwarded[0] == 2
    assert len(parse(forwarded[2]).body) == octets
    assert cluster.workers[0].send_by(1, came, large)
    cluster.loop.settle()
    [lent] = cluster.sent
    assert lent == (1, came, large)


def test_what_is_too_large_to_be_handed_over_is_dealt_with_where_it_came(cluster: Cluster) -> None:
    cluster.workers[0]._largest = octets = 1000  # net.core.wmem_max may allow more than we take
    came = Flow(Transport.TCP, CALLER, ME, 7)
    bye = request("BYE", "y", ";tag=callee", recorded(cluster, 2))
    large = bye.replace(b"Content-Length: 0", b"Content-Length: %d" % octets) + b"x" * octets
    [forwarded] = cluster.deliver(0, large, came)
    assert forwarded[0] == 0
    assert len(parse(forwarded[2]).body) == octets
    assert not cluster.workers[0].send_by(1, came, large)
    assert cluster.workers[0].counters.oversized == 1
    cluster.loop.settle()
    assert cluster.sent == []


def test_a_job_is_done_by_the_first_worker_for_all(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from trunkline.script import every\n@every(10)\ndef tick(app):\n    app.log('tick')\n"
    )
    cluster = Cluster(script)
    try:
        for element in cluster.elements:
            cluster.loop.run_until_complete(element.start())
        cluster.loop.advance(25)
        ticks = []
        for element in cluster.elements:
            assert isinstance(element.log, RouterLog)
            ticks.append([line.text for line in element.log.lines])
        assert ticks == [["tick", "tick"], [], [], []]
    finally:
        cluster.close()


def test_icmp_that_another_worker_hears_of_reaches_the_one_that_sent(cluster: Cluster) -> None:
    _, a, b = cluster.deliver(0, request("INVITE", "x"), FROM_CALLER)
    refused = TrunklineError("udp.unreachable", "192.0.2.51:5060: port unreachable")
    for forwarded in (a, b):
        head = forwarded[2][:300]  # as much as a router quotes
        assert cluster.workers[3].give_back(forwarded[1], refused, head)
    assert not cluster.workers[0].give_back(a[1], refused, a[2])
    assert not cluster.workers[0].give_back(a[1], refused, b"SIP/2.0 200 OK\r\n\r\n")
    cluster.loop.settle()
    [answer] = cluster.sent
    assert (answer[0], status_of(answer)) == (0, 500)


def test_the_end_of_a_connection_reaches_the_worker_that_sent_by_it(cluster: Cluster) -> None:
    layer = cluster.elements[0].proxy.layer
    ours, other, any_ = (Flow(Transport.TCP, CALLER, ME, number) for number in (7, 8, 0))
    for number, flow in enumerate((ours, other, any_)):
        message = Request.build("MESSAGE", "sip:x@y", [("Via", f"SIP/2.0/TCP h;branch=z9{number}")])
        layer.request(message, f"z9{number}", flow, 0.0, None)
    cluster.workers[2].tell_lost(ours, "connection reset")
    cluster.loop.settle()
    assert [each.flow for each in layer.clients.values()] == [other, any_]


def test_a_cancel_finds_its_invite_however_long_it_rings(cluster: Cluster) -> None:
    _, a, b = cluster.deliver(0, request("INVITE", "x"), FROM_CALLER)
    cluster.deliver(1, *answer(a, 180))
    cluster.deliver(1, *answer(b, 180))
    for _ in range(7):  # 13.3.1.1: once a minute
        cluster.loop.advance(60)
        cluster.deliver(2, *answer(a, 180))
        cluster.deliver(2, *answer(b, 180))
    cluster.loop.advance(100)
    cluster.sent.clear()
    ok, *cancels = cluster.deliver(3, request("CANCEL", "x"), FROM_CALLER)
    assert (ok[0], status_of(ok)) == (0, 200)
    assert len(cancels) == 2


def test_the_claim_of_an_invite_lasts_while_it_rings() -> None:
    shared = Shared(2)
    now = [0.0]
    one, two = (Workers(shared, index, clock=lambda: now[0]) for index in range(2))
    try:
        assert one.claim("a INVITE") == one.claim("b INVITE") == -1
        now[0] = 210.0
        assert two.find("a INVITE") == two.claim("b INVITE") == 0
        one.renew("a INVITE", True)
        one.renew("b INVITE", False)
        one.renew("c INVITE", True)  # displaced, or never there: nothing to renew
        now[0] = 400.0
        assert (two.find("a INVITE"), two.find("b INVITE"), two.find("c INVITE")) == (0, -1, -1)
        assert two.claim("b INVITE") == -1
        now[0] = 500.0
        assert two.find("a INVITE") == -1
    finally:
        shared.close()


def test_claims_expire_and_are_displaced_only_when_the_table_is_full() -> None:
    shared = Shared(2)
    now = [0.0]
    one, two = (Workers(shared, index, clock=lambda: now[0]) for index in range(2))
    try:
        assert one.claim("a") == -1
        assert one.claim("a") == -1
        assert two.claim("a") == two.find("a") == 0
        assert one.find("a") == -1
        now[0] = 41.0
        assert two.find("a") == -1
        assert two.claim("a") == -1
        assert one.find("a") == 1
        for number in range(200_000):
            one.claim(f"key {number}")
        assert one.counters.displaced < 400  # of 200,000, at a fifth of the room
    finally:
        shared.close()
