"""REFER (RFC 3515), Replaces (RFC 3891), Referred-By (RFC 3892): transfers as in RFC 5359."""

from __future__ import annotations

import pytest
from tests.sip.dialog.network import Network, sdp

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.dialog import DialogId
from trunkline.sip.dialog.events import (
    Answered,
    Cause,
    Confirmed,
    Ended,
    IncomingCall,
    Progress,
    ReferArrived,
    ReferProgress,
    ResponseArrived,
    SubscriptionEnded,
    SubscriptionFailed,
)
from trunkline.sip.dialog.refer import Reference, refer_to
from trunkline.sip.dialog.replaces import replaces_value, resolve
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.dialog.sipfrag import status_line, status_of
from trunkline.sip.message import Request


def office(*names: str) -> Network:
    """User agents that answer every call after a second, and follow every reference."""
    network = Network(*names)
    for name in names:
        end = network.ends[name]

        def incoming(event: IncomingCall, name: str = name) -> None:
            event.session.progress(180, network.now)
            network.at(
                network.now + 1, lambda: event.session.accept(network.now, description=sdp(name))
            )

        def referred(event: ReferArrived, name: str = name) -> None:
            event.referral.accept(network.now)
            network.ends[name].ua.invite_referred(
                event.referral, f"sip:{name}@example.org", network.now, offer=sdp(name)
            )

        end.on(IncomingCall, incoming)
        end.on(ReferArrived, referred)
    return network


def connect(network: Network, caller: str, callee: str) -> Session:
    """A call that is answered; the caller's session."""
    end = network.ends[caller]
    end.ua.invite(network.uri(callee), f"sip:{caller}@example.org", network.now, offer=sdp(caller))
    network.run(network.now + 3)
    return end.of(Answered)[-1].session


def test_transfer_unattended_as_in_rfc_5359_2_4() -> None:
    # Alice calls Bob, who has her call Carol
    network = office("alice", "bob", "carol")
    connect(network, "alice", "bob")
    bob, alice, carol = (network.ends[name] for name in ("bob", "alice", "carol"))
    network.sent.clear()
    session = bob.one(IncomingCall).session
    session.refer(
        refer_to(network.uri("carol")),
        network.now,
        headers=[("Referred-By", "<sip:bob@example.org>")],
    )
    network.run(10.0)
    assert [line for line in network.ladder() if "alice" in line or "bob" in line][:4] == [
        "bob REFER",
        "alice 202 REFER",
        "alice NOTIFY",
        "alice INVITE",
    ]
    progress = [(event.status, event.reason) for event in bob.of(ReferProgress)]
    assert progress == [(100, "Trying"), (180, "Ringing"), (200, "OK")]
    [invite] = network.messages("alice", "INVITE")
    assert invite.headers.get("referred-by") == "<sip:bob@example.org>"  # RFC 3892 2.2
    first, _, third = network.messages("alice", "NOTIFY")
    assert first.headers.get("event") == "refer"
    assert first.headers.get("content-type") == "message/sipfrag;version=2.0"
    assert first.body == b"SIP/2.0 100 Trying\r\n"
    assert first.headers.get("subscription-state") == "active;expires=300"
    assert third.headers.get("subscription-state") == "terminated;reason=noresource"
    ended = bob.one(SubscriptionEnded)
    assert (ended.reason, ended.again) == ("noresource", None)
    session.hang_up(network.now)
    network.run(20.0)
    carol.one(Confirmed)
    assert alice.one(Ended).cause is Cause.BYE
    assert len(alice.ua.core.dialogs) == len(carol.ua.core.dialogs) == 1


def test_transfer_attended_as_in_rfc_5359_2_5() -> None:
    # Alice talks to Bob; Bob talks to Carol, and then has Alice take his place there
    network = office("alice", "bob", "carol")
    connect(network, "alice", "bob")
    bob, alice, carol = (network.ends[name] for name in ("bob", "alice", "carol"))
    with_carol = connect(network, "bob", "carol")
    with_alice = bob.one(IncomingCall).session
    target = with_carol.dialog.remote_target
    with_alice.refer(refer_to(target, replaces=with_carol.dialog), network.now)
    network.run(20.0)
    [_, taking_over] = carol.of(IncomingCall)
    assert taking_over.replaces is not None
    assert taking_over.replaces.dialog.id == carol.of(IncomingCall)[0].session.dialog.id
    assert [event.status for event in bob.of(ReferProgress)][-1] == 200
    # Carol has ended the call with Bob by BYE
    assert carol.one(Ended).cause is Cause.REPLACED
    assert bob.one(Ended).session is with_carol
    with_alice.hang_up(network.now)
    network.run(30.0)
    assert len(alice.ua.core.dialogs) == len(carol.ua.core.dialogs) == 1
    assert bob.ua.core.dialogs == {}


def test_a_reference_that_fails() -> None:
    network = office("alice", "bob", "carol")
    session = connect(network, "alice", "bob")
    network.ends["carol"].on(IncomingCall, lambda event: event.session.reject(486, network.now))
    session.refer(refer_to(network.uri("carol")), network.now)
    network.run(10.0)
    alice = network.ends["alice"]
    assert [event.status for event in alice.of(ReferProgress)] == [100, 486]
    assert alice.one(SubscriptionEnded).reason == "noresource"
    assert session.state is SessionState.CONFIRMED


def test_the_second_refer_of_a_dialog_has_an_id() -> None:
    # RFC 3515 section 2.4.6
    network = office("alice", "bob", "carol")
    session = connect(network, "alice", "bob")
    network.ends["bob"].on(ReferArrived, lambda event: event.referral.accept(network.now))
    first = session.refer(refer_to(network.uri("carol")), network.now)
    second = session.refer(refer_to(network.uri("bob")), network.now)
    network.run(network.now + 1)
    alice, bob = network.ends["alice"], network.ends["bob"]
    for arrived, status in zip(bob.of(ReferArrived), (200, 503), strict=True):
        arrived.referral.report(status, network.now)
    network.run(network.now + 1)
    events = [message.headers.get("event") for message in network.messages("bob", "NOTIFY")]
    second_number = (second.outgoing.sent.headers.get("cseq") or "").split()[0]  # type: ignore[union-attr]
    assert events == ["refer", f"refer;id={second_number}"] * 2
    told = [(e.subscription.subscriber, e.status) for e in alice.of(ReferProgress)]
    assert told == [(first, 100), (second, 100), (first, 200), (second, 503)]


def test_refer_outside_of_a_dialog_as_in_rfc_3515_4_1() -> None:
    network = office("alice", "bob", "carol")
    alice = network.ends["alice"]
    alice.ua.refer(network.uri("bob"), "sip:alice@example.org", refer_to(network.uri("carol")), 0.0)
    network.run(10.0)
    assert [event.status for event in alice.of(ReferProgress)] == [100, 180, 200]
    assert alice.one(ResponseArrived).response.status == 202
    assert alice.ua.core.dialogs == {}
    assert network.ends["bob"].one(ReferArrived).session is None


def test_progress_within_a_second_is_told_as_one() -> None:
    # 3.10
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    bob = network.ends["bob"]
    bob.on(ReferArrived, lambda event: event.referral.accept(network.now))
    session.refer(refer_to("sip:x@192.0.2.9"), network.now)
    network.run(network.now + 0.25)
    referral = bob.one(ReferArrived).referral
    for status in (180, 181, 183):
        referral.report(status, network.now)
    network.run(network.now + 2)
    referral.report(180, network.now)
    referral.report(181, network.now)
    referral.report(200, network.now)
    referral.report(486, network.now)  # too late
    network.run(network.now + 2)
    statuses = [event.status for event in network.ends["alice"].of(ReferProgress)]
    assert statuses == [100, 183, 180, 200]


def test_a_refer_is_refused() -> None:
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    network.ends["bob"].on(ReferArrived, lambda event: event.referral.reject(603, network.now))
    subscriber = session.refer(refer_to("sip:x@192.0.2.9"), network.now)
    network.run(network.now + 40)
    failed = network.ends["alice"].one(SubscriptionFailed)
    assert (failed.subscriber, failed.response.status) == (subscriber, 603)
    assert session.state is SessionState.CONFIRMED
    assert session.dialog.usages == [session]


def test_a_refer_without_a_subscription() -> None:
    # RFC 4488
    network = office("alice", "bob", "carol")
    session = connect(network, "alice", "bob")
    session.refer(refer_to(network.uri("carol")), network.now, headers=[("Refer-Sub", "false")])
    network.run(network.now + 50)
    response = network.ends["alice"].one(ResponseArrived).response
    assert response.headers.get("refer-sub") == "false"
    with pytest.raises(TrunklineError) as caught:
        network.ends["bob"].one(ReferArrived).referral.accept(network.now)
    assert caught.value.code == "dialog.state"
    assert network.messages("bob", "NOTIFY") == []
    assert network.ends["alice"].of(SubscriptionFailed) == []
    network.ends["carol"].one(Confirmed)


def test_unsubscribing_does_not_stop_the_reference() -> None:
    # 2.4.4
    network = office("alice", "bob", "carol")
    session = connect(network, "alice", "bob")
    subscriber = session.refer(refer_to(network.uri("carol")), network.now)
    network.run(network.now + 0.25)
    subscriber.unsubscribe(network.now)
    network.run(network.now + 5)
    network.ends["carol"].one(Confirmed)
    assert network.messages("bob", "CANCEL") == []
    statuses = [event.status for event in network.ends["alice"].of(ReferProgress)]
    assert statuses == [100, 100]  # the last NOTIFY has the state too


def test_a_dialog_lives_until_its_last_usage_ends() -> None:
    # RFC 6665 section 4.5.2
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    bob = network.ends["bob"]
    bob.on(ReferArrived, lambda event: event.referral.accept(network.now))
    session.refer(refer_to("sip:x@192.0.2.9"), network.now)
    network.run(network.now + 1)
    session.hang_up(network.now)
    network.run(network.now + 1)
    alice = network.ends["alice"]
    assert len(alice.ua.core.dialogs) == len(bob.ua.core.dialogs) == 1
    bob.one(ReferArrived).referral.report(200, network.now)
    network.run(network.now + 1)
    assert [event.status for event in alice.of(ReferProgress)] == [100, 200]
    assert alice.ua.core.dialogs == bob.ua.core.dialogs == {}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "<sip:a@x>, <sip:b@x>",
        "nonsense",
        "<sip:a@x?Subject=%>",
        "<sip:a@x?Subject=a%0D%0AX:y>",
        "",
    ],
)
def test_a_refer_to_that_is_none(value: str | None) -> None:
    # 2.4.2: 400
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    rows = [] if value is None else [("Refer-To", value)]
    session.request("REFER", network.now, headers=rows)
    network.run(network.now + 1)
    assert network.sent[-1].what == "400 REFER"
    assert network.ends["bob"].of(ReferArrived) == []


@pytest.mark.parametrize(
    ("value", "uri", "method", "headers"),
    [
        ("sip:alice@atlanta.example.com", "sip:alice@atlanta.example.com", "INVITE", ()),
        (
            "<sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3B"
            "to-tag%3D12345%3Bfrom-tag%3D5FFE-3994>",
            "sip:dave@denver.example.org",
            "INVITE",
            (("Replaces", "12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994"),),
        ),
        (
            "<sip:carol@cleveland.example.org;method=SUBSCRIBE>",
            "sip:carol@cleveland.example.org",
            "SUBSCRIBE",
            (),
        ),
        ("http://www.ietf.org", "http://www.ietf.org", "", ()),
        # RFC 3261 section 19.1.5: what would be dangerous is left out
        (
            "<sip:a@x?Call-ID=1&From=b&Route=%3Csip:evil%3E&Via=x&Subject=hello>",
            "sip:a@x",
            "INVITE",
            (("Subject", "hello"),),
        ),
    ],
)
def test_what_a_refer_to_says(
    value: str, uri: str, method: str, headers: tuple[tuple[str, str], ...]
) -> None:
    # the examples of 2.1
    request = Request.build("REFER", "sip:b@x", [("Refer-To", value)])
    assert Reference.of(request) == Reference(uri, method, headers)


def test_two_refer_to_rows_are_refused() -> None:
    request = Request.build("REFER", "sip:b@x", [("Refer-To", "<sip:a@x>"), ("r", "<sip:b@x>")])
    with pytest.raises(DecodeError) as caught:
        Reference.of(request)
    assert caught.value.code == "dialog.message"


def test_a_reference_with_replaces_comes_back_as_it_was() -> None:
    network = office("alice", "bob")
    dialog = connect(network, "alice", "bob").dialog
    request = Request.build(
        "REFER", "sip:b@x", [("Refer-To", refer_to("sip:c@x", replaces=dialog))]
    )
    assert Reference.of(request).headers == (("Replaces", replaces_value(dialog)),)


def test_sipfrag() -> None:
    assert status_line(486) == b"SIP/2.0 486 Busy Here\r\n"
    assert status_of(status_line(180, "Ringing é")) == (180, "Ringing é")
    assert status_of(b"SIP/2.0 200 OK\r\nTo: x\r\n") == (200, "OK")
    assert status_of(b"SIP/2.0 200") == (200, "")
    for wrong in (b"", b"INVITE sip:x SIP/2.0", b"SIP/2.0 999 X", b"SIP/2.0 20"):
        assert status_of(wrong) == (0, "")


# Replaces


def replacing(network: Network, value: str, *, method: str = "INVITE") -> Request:
    return Request.build(
        method,
        network.uri("bob"),
        [
            ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKreplacing"),
            ("From", "<sip:x@example.org>;tag=x"),
            ("To", "<sip:bob@example.org>"),
            ("Call-ID", "replacing"),
            ("CSeq", f"1 {method}"),
            ("Contact", "<sip:x@192.0.2.1>"),
            ("Replaces", value),
        ],
    )


def test_the_rules_of_rfc_3891_3() -> None:
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    value = replaces_value(session.dialog)
    core = network.ends["bob"].ua.core
    confirmed = network.ends["bob"].one(IncomingCall).session
    assert resolve(core, replacing(network, value)).session is confirmed
    early_only = resolve(core, replacing(network, f"{value};early-only"))
    assert early_only.status == 486
    assert resolve(core, replacing(network, "unknown;to-tag=1;from-tag=2")).status == 481
    assert resolve(core, replacing(network, "no-tags")).status == 400
    assert resolve(core, replacing(network, value, method="REFER")).status == 400
    twice = replacing(network, value)
    twice.headers.add("Replaces", value)
    assert resolve(core, twice).status == 400
    joining = replacing(network, value)
    joining.headers.add("Join", value)
    assert resolve(core, joining).status == 400
    session.hang_up(network.now)
    network.run()
    terminated = resolve(core, replacing(network, value))
    assert terminated.status == 603


def test_an_early_dialog_that_the_other_end_began_is_not_replaced() -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.progress(180, network.now))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run(1.0)
    [dialog] = network.ends["alice"].ua.core.dialogs.values()
    assert resolve(bob.ua.core, replacing(network, replaces_value(dialog))).status == 481


def test_a_tag_of_zero_is_a_missing_one_too() -> None:
    # 6.1
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    core = network.ends["bob"].ua.core
    [dialog] = core.dialogs.values()
    value = replaces_value(session.dialog)
    core.dialogs = {DialogId(dialog.call_id, dialog.local_tag, ""): dialog}
    value = f"{dialog.call_id};to-tag={dialog.local_tag};from-tag=0"
    assert resolve(core, replacing(network, value)).session is not None
    core.dialogs[DialogId(dialog.call_id, dialog.local_tag, "0")] = dialog
    assert resolve(core, replacing(network, value)).status == 481  # more than one


def test_call_pickup_as_in_rfc_3891_7_1() -> None:
    # Alice calls Bob's desk; Bob takes the call in the lab: her early call is cancelled
    network = Network("alice", "desk", "lab")
    alice, desk, lab = (network.ends[name] for name in ("alice", "desk", "lab"))
    desk.on(IncomingCall, lambda event: event.session.progress(180, network.now))
    alice.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp()))
    alice.ua.invite(network.uri("desk"), "sip:alice@example.org", 0.0, offer=sdp())
    network.run(1.0)
    [dialog] = desk.ua.core.dialogs.values()
    lab.ua.invite(
        dialog.remote_target,
        "sip:bob@example.org",
        network.now,
        offer=sdp("bob"),
        headers=[("Replaces", f"{replaces_value(dialog)};early-only"), ("Require", "replaces")],
    )
    network.run(5.0)
    lab.one(Answered)
    assert alice.one(IncomingCall).replaces is alice.one(Progress).session
    assert desk.one(Ended).cause is Cause.CANCELLED
    assert alice.one(Ended).cause is Cause.REPLACED
    assert len(alice.ua.core.dialogs) == 1


def test_a_refused_replacement_leaves_the_dialog_alone() -> None:
    network = office("alice", "bob", "carol")
    session = connect(network, "alice", "bob")
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.reject(403, network.now))
    network.ends["carol"].ua.invite(
        network.uri("bob"),
        "sip:carol@example.org",
        network.now,
        offer=sdp("carol"),
        headers=[("Replaces", replaces_value(session.dialog))],
    )
    network.run(network.now + 5)
    assert session.state is SessionState.CONFIRMED
    assert len(bob.ua.core.dialogs) == 1


def test_a_referral_is_answered_once() -> None:
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    bob = network.ends["bob"]
    bob.on(ReferArrived, lambda event: event.referral.accept(network.now))
    session.refer(refer_to("sip:x@192.0.2.9"), network.now)
    network.run(network.now + 1)
    with pytest.raises(TrunklineError) as caught:
        bob.one(ReferArrived).referral.reject(603, network.now)
    assert caught.value.code == "dialog.state"


def test_who_does_not_know_replaces_refuses_what_requires_it() -> None:
    network = Network("alice")
    network.add("bob", capabilities=Capabilities(extensions=("timer",)))
    network.ends["alice"].ua.invite(
        network.uri("bob"),
        "sip:a@x",
        0.0,
        offer=sdp(),
        headers=[("Replaces", "1;to-tag=1;from-tag=2"), ("Require", "replaces")],
    )
    network.run(1.0)
    assert "bob 420 INVITE" in network.ladder()


def test_a_422_on_the_way_is_no_failure_of_the_reference() -> None:
    network = Network("alice", "bob")
    network.add("carol", capabilities=Capabilities(user="carol", min_se=4000))
    alice, bob = network.ends["alice"], network.ends["bob"]
    for name in ("bob", "carol"):
        network.ends[name].on(
            IncomingCall, lambda event: event.session.accept(network.now, description=sdp("x"))
        )

    def referred(event: ReferArrived) -> None:
        event.referral.accept(network.now)
        bob.ua.invite_referred(event.referral, "sip:b@example.org", network.now, offer=sdp("bob"))

    bob.on(ReferArrived, referred)
    alice.ua.invite(network.uri("bob"), "sip:a@example.org", 0.0, offer=sdp())
    network.run(1.0)
    alice.one(Answered).session.refer(refer_to(network.uri("carol")), network.now)
    network.run(20.0)
    assert [event.status for event in alice.of(ReferProgress)] == [100, 200]


def test_a_reference_whose_first_notify_is_the_last_does_not_fail() -> None:
    for inside in (False, True):
        network = office("alice", "bob")
        alice, bob = network.ends["alice"], network.ends["bob"]

        def refuse(event: ReferArrived, network: Network = network) -> None:
            event.referral.accept(network.now, longest=0)

        bob.on(ReferArrived, refuse)
        if inside:
            connect(network, "alice", "bob").refer(refer_to("sip:x@192.0.2.9"), network.now)
        else:
            alice.ua.refer(network.uri("bob"), "sip:a@x", refer_to("sip:x@192.0.2.9"), 0.0)
        network.run(200.0)
        assert len(alice.of(SubscriptionEnded)) == 1
        assert alice.of(SubscriptionFailed) == []


def test_a_refer_that_is_accepted_after_the_bye() -> None:
    # RFC 6665 section 4.5.2: the dialog lives as long as a usage
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    alice, bob = network.ends["alice"], network.ends["bob"]
    bob.on(ReferArrived, lambda event: None)
    session.refer(refer_to("sip:x@192.0.2.9"), network.now)
    network.run(network.now + 1)
    session.hang_up(network.now)
    network.run(network.now + 1)
    referral = bob.one(ReferArrived).referral
    referral.accept(network.now)
    referral.report(200, network.now + 2)
    network.run()
    assert [event.status for event in alice.of(ReferProgress)] == [100, 200]
    network.assert_forgotten()


def test_a_refer_that_nobody_answers_is_forgotten() -> None:
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    network.ends["bob"].on(ReferArrived, lambda event: None)
    session.refer(refer_to("sip:x@192.0.2.9"), network.now)
    network.run(network.now + 1)
    session.hang_up(network.now)
    network.run()
    network.assert_forgotten()
    with pytest.raises(TrunklineError, match="answered before"):
        network.ends["bob"].one(ReferArrived).referral.accept(network.now)


def test_a_refer_that_is_refused_after_the_bye() -> None:
    network = office("alice", "bob")
    session = connect(network, "alice", "bob")
    network.ends["bob"].on(ReferArrived, lambda event: None)
    session.refer(refer_to("sip:x@192.0.2.9"), network.now)
    network.run(network.now + 1)
    session.hang_up(network.now)
    network.run(network.now + 1)
    network.ends["bob"].one(ReferArrived).referral.reject(603, network.now)
    network.run()
    network.assert_forgotten()
