"""Call flows of RFC 3665 and RFC 5359 between user agents, with a proxy where the RFC has one.

Those that stand elsewhere: 3665 3.1 and 3.8, 5359 2.1 (`test_session`, `test_changes`), 2.4, 2.5
and 2.16 (`test_refer`). Those of 5359 that need a device's own logic, or event packages that are
not here, are left out: 2.6, 2.10 to 2.14, 2.17, 2.18.
"""

from __future__ import annotations

from tests.sip.dialog.network import Network, sdp

from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Cause,
    Confirmed,
    Ended,
    IncomingCall,
    OfferAccepted,
    Offered,
    Progress,
    ReferArrived,
    ReferProgress,
)
from trunkline.sip.dialog.refer import refer_to
from trunkline.sip.dialog.replaces import replaces_value
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.digest.client import Login

CHALLENGE = 'Digest realm="example.org", nonce="n1", algorithm=MD5, qop="auth"'


def answering(network: Network, *names: str) -> None:
    """Let these ring at once, answer after a second, and agree to every change."""
    for name in names:
        end = network.ends[name]

        def incoming(event: IncomingCall, name: str = name) -> None:
            event.session.progress(180, network.now)
            network.at(
                network.now + 1, lambda: event.session.accept(network.now, description=sdp(name))
            )

        def offered(event: Offered, name: str = name) -> None:
            local = event.session.exchange.local
            assert local is not None
            event.session.answer(network.now, description=local)

        end.on(IncomingCall, incoming)
        end.on(Offered, offered)


def calls(network: Network, caller: str, uri: str) -> Session:
    end = network.ends[caller]
    end.ua.invite(uri, f"sip:{caller}@example.org", network.now, offer=sdp(caller))
    network.run(network.now + 3)
    return end.of(Answered)[-1].session


def held(session: Session) -> bool:
    """Whether the peer holds us."""
    remote = session.exchange.remote
    return remote is not None and remote.held


def ladder(network: Network, *whats: str) -> list[str]:
    """What was sent of these."""
    return [line for line in network.ladder() if line.partition(" ")[2] in whats]


# RFC 3665


def test_3665_3_2_session_establishment_through_two_proxies() -> None:
    network = Network("bob")
    network.add("alice", logins=lambda challenge: Login("alice", "secret"))
    network.add_proxy("proxy1", bob=["proxy2"])
    network.add_proxy("proxy2", proxy2=["bob"], bob=["bob"])
    answering(network, "bob")
    session = calls(network, "alice", f"sip:bob@{network.addresses['proxy1'][0]}")
    assert len(session.dialog.route_set) == 2
    session.hang_up(network.now)
    network.run()
    assert [s.sender for s in network.sent if s.what == "ACK"] == ["alice", "proxy1", "proxy2"]
    assert [s.sender for s in network.sent if s.what == "BYE"] == ["alice", "proxy1", "proxy2"]
    network.assert_forgotten()


def test_3665_3_2_with_a_challenge() -> None:
    network = Network("bob")
    network.add("alice", logins=lambda challenge: Login("alice", "secret"))
    bob = network.ends["bob"]

    def incoming(event: IncomingCall) -> None:
        if "authorization" not in event.request.headers:
            event.session.reject(401, network.now, headers=[("WWW-Authenticate", CHALLENGE)])
        else:
            event.session.accept(network.now, description=sdp("bob"))

    bob.on(IncomingCall, incoming)
    calls(network, "alice", network.uri("bob"))
    assert ladder(network, "INVITE", "401 INVITE", "ACK", "200 INVITE") == [
        *("alice INVITE", "bob 401 INVITE", "alice ACK"),
        *("alice INVITE", "bob 200 INVITE", "alice ACK"),
    ]


def test_3665_3_3_a_proxy_that_does_not_record_route_is_not_met_again() -> None:
    network = Network("alice", "bob")
    network.add_proxy("proxy", record_route=False, bob=["bob"])
    answering(network, "bob")
    session = calls(network, "alice", f"sip:bob@{network.addresses['proxy'][0]}")
    session.hang_up(network.now)
    network.run()
    assert [s.sender for s in network.sent if s.what in ("ACK", "BYE")] == ["alice", "alice"]


def test_3665_3_7_with_a_re_invite_from_the_callee() -> None:
    network = Network("alice", "bob")
    network.add_proxy("proxy", bob=["bob"])
    answering(network, "alice", "bob")
    calls(network, "alice", f"sip:bob@{network.addresses['proxy'][0]}")
    callee = network.ends["bob"].one(IncomingCall).session
    callee.offer(sdp("bob", version=2, port=5000), network.now)
    network.run(network.now + 1)
    network.ends["bob"].one(OfferAccepted)
    assert [s.sender for s in network.sent if s.what == "INVITE"][-2:] == ["bob", "proxy"]


def test_3665_3_9_busy() -> None:
    network = Network("alice", "bob")
    network.add_proxy("proxy", bob=["bob"])
    network.ends["bob"].on(IncomingCall, lambda event: event.session.reject(486, network.now))
    network.ends["alice"].ua.invite("sip:bob@192.0.2.3", "sip:a@x", 0.0, offer=sdp())
    network.run()
    assert network.ends["alice"].one(CallFailed).response.status == 486
    assert ladder(network, "ACK") == ["proxy ACK", "alice ACK"]  # hop by hop
    network.assert_forgotten()


def test_3665_3_10_no_response() -> None:
    network = Network("alice", "bob")
    network.add_proxy("proxy", bob=["bob"])
    network.lose = lambda sent: sent.flow.remote == network.addresses["bob"]
    network.ends["alice"].ua.invite("sip:bob@192.0.2.3", "sip:a@x", 0.0, offer=sdp())
    network.run()
    assert network.ends["alice"].one(CallFailed).response.status == 408
    network.assert_forgotten()


def test_3665_3_11_not_available() -> None:
    network = Network("alice", "bob")
    network.ends["bob"].on(IncomingCall, lambda event: event.session.reject(480, network.now))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run()
    assert network.ends["alice"].one(CallFailed).response.status == 480


# RFC 5359


def test_5359_2_2_consultation_hold() -> None:
    # Bob holds Alice, asks Carol, and comes back
    network = Network("alice", "bob", "carol")
    answering(network, "alice", "bob", "carol")
    first = calls(network, "alice", network.uri("bob"))
    with_alice = network.ends["bob"].one(IncomingCall).session
    with_alice.hold(network.now)
    network.run(network.now + 1)
    assert held(first)
    with_carol = calls(network, "bob", network.uri("carol"))
    with_carol.hang_up(network.now)
    with_alice.resume(network.now)
    network.run(network.now + 1)
    assert str(first.exchange.remote) == str(with_alice.exchange.local)
    assert not held(first)
    assert network.ends["carol"].one(Ended).cause is Cause.BYE
    assert first.state is SessionState.CONFIRMED


def test_5359_2_7_call_forwarding_unconditional() -> None:
    network = Network("alice", "bob", "carol")
    answering(network, "carol")
    alice = network.ends["alice"]
    moved = [("Contact", f"<{network.uri('carol')}>")]
    network.ends["bob"].on(
        IncomingCall, lambda event: event.session.reject(302, network.now, headers=moved)
    )

    def failed(event: CallFailed) -> None:
        [contact] = event.response.headers.tokens("contact")
        alice.ua.invite(
            contact.strip("<>"),
            "sip:alice@example.org",
            network.now,
            to="<sip:bob@example.org>",
            offer=sdp(),
        )

    alice.on(CallFailed, failed)
    calls(network, "alice", network.uri("bob"))
    network.ends["carol"].one(Confirmed)
    [invite] = [s.message for s in network.sent if s.what == "INVITE"][1:]
    assert invite.headers.get("to") == "<sip:bob@example.org>"


def test_5359_2_9_call_forwarding_no_answer() -> None:
    network = Network("alice", "bob", "carol")
    answering(network, "carol")
    network.ends["bob"].on(IncomingCall, lambda event: event.session.progress(180, network.now))
    alice = network.ends["alice"]
    alice.on(
        CallFailed,
        lambda event: alice.ua.invite(
            network.uri("carol"), "sip:alice@example.org", network.now, offer=sdp()
        ),
    )
    alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp(), expires=10)
    network.run(20.0)
    assert network.ends["bob"].one(Ended).cause is Cause.CANCELLED
    network.ends["carol"].one(Confirmed)


def test_5359_2_15_call_park_and_retrieval() -> None:
    # Bob parks Alice at the park server; Carol takes the call from there
    network = Network("alice", "bob", "carol", "park")
    answering(network, "alice", "bob", "park")
    alice, bob, park = (network.ends[name] for name in ("alice", "bob", "park"))
    first = calls(network, "alice", network.uri("bob"))

    def referred(event: ReferArrived) -> None:
        event.referral.accept(network.now)
        park.ua.invite_referred(
            event.referral, "sip:park@example.org", network.now, offer=sdp("park")
        )

    park.on(ReferArrived, referred)
    # the park server calls Alice in Bob's place
    with_alice = bob.one(IncomingCall).session
    reference = refer_to(first.dialog.local_contact.strip("<>"), replaces=with_alice.dialog)
    bob.ua.refer(network.uri("park"), "sip:bob@example.org", reference, network.now)
    alice.on(
        IncomingCall, lambda event: event.session.accept(network.now, description=sdp("alice"))
    )
    network.run(network.now + 5)
    assert [event.status for event in bob.of(ReferProgress)][-1] == 200
    assert alice.one(IncomingCall).replaces is first
    assert bob.one(Ended).cause is Cause.BYE
    parked = park.one(Answered).session
    # Carol retrieves it, with a Replaces that names the park server's dialog at Alice's
    carol = network.ends["carol"]
    carol.ua.invite(
        parked.dialog.remote_target,
        "sip:carol@example.org",
        network.now,
        offer=sdp("carol"),
        headers=[("Replaces", replaces_value(parked.dialog))],
    )
    network.run(network.now + 5)
    carol.one(Answered)
    assert park.one(Ended).cause is Cause.BYE
    assert len(alice.ua.core.dialogs) == len(carol.ua.core.dialogs) == 1
    assert park.ua.core.dialogs == bob.ua.core.dialogs == {}


def test_5359_2_3_ringing_that_goes_on_while_one_waits() -> None:
    # a callee may ring as long as it likes (13.3.1.1), and the caller may give up
    network = Network("alice", "bob")
    network.ends["bob"].on(IncomingCall, lambda event: event.session.progress(180, network.now))
    call = network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run(185.0)
    assert len(network.ends["alice"].of(Progress)) == 4
    call.cancel(network.now)
    network.run()
    network.assert_forgotten()
