"""Subscriptions between two user agents: RFC 6665."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sip.dialog.network import DELAY, End, Network, lose_all, lose_first

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import (
    Notified,
    NotifierEnded,
    SubscribeArrived,
    SubscriptionEnded,
    SubscriptionFailed,
)
from trunkline.sip.dialog.notifier import Notifier
from trunkline.sip.dialog.subscription import Subscriber, same
from trunkline.sip.dialog.subscription_table import (
    NOTIFIER,
    SUBSCRIBER,
    NotifierState,
    SubscriberState,
    SubscriberTrigger,
    again,
)
from trunkline.sip.headers import Event
from trunkline.sip.message import Request, Response
from trunkline.sip.transport import Flow

PIDF = "application/pidf+xml"


def watching(
    *, expires: int = 3600, pending: bool = False, longest: int = 3600, event: str = "presence"
) -> tuple[Network, Subscriber]:
    """Alice subscribes to Bob, who grants it at once (or asks first)."""
    network = Network("alice")
    network.add("bob", capabilities=Capabilities(user="bob", events=("presence", "reg")))
    network.ends["bob"].on(
        SubscribeArrived,
        lambda arrived: arrived.notifier.accept(
            network.now, content_type=PIDF, body=b"one", pending=pending, longest=longest
        ),
    )
    subscriber = network.ends["alice"].ua.subscribe(
        network.uri("bob"), "sip:alice@example.org", event, 0.0, expires=expires, accept=[PIDF]
    )
    return network, subscriber


def notifier_of(end: End) -> Notifier:
    return end.one(SubscribeArrived).notifier


def bodies(end: End) -> list[bytes]:
    return [event.request.body for event in end.of(Notified)]


def test_subscribe_notify_refresh_and_unsubscribe() -> None:
    network, subscriber = watching()
    network.run(1.0)
    alice, bob = network.ends["alice"], network.ends["bob"]
    assert network.ladder() == [
        "alice SUBSCRIBE",
        "bob 200 SUBSCRIBE",
        "bob NOTIFY",
        "alice 200 NOTIFY",
    ]
    [subscribe] = network.messages("alice", "SUBSCRIBE")
    [ok] = network.messages("bob", "200 SUBSCRIBE")
    [notify] = network.messages("bob", "NOTIFY")
    assert subscribe.headers.get("event") == "presence"
    assert subscribe.headers.get("accept") == PIDF
    assert subscribe.headers.get("contact") == "<sip:alice@192.0.2.1:5060>"
    assert ok.headers.get("expires") == "3600"
    assert ok.headers.get("contact") == "<sip:bob@192.0.2.2:5060>"
    assert notify.headers.get("subscription-state") == "active;expires=3600"
    assert notify.headers.get("event") == "presence"
    assert notify.headers.get("content-type") == PIDF
    notified = alice.one(Notified)
    assert (notified.state, notified.request.body) == ("active", b"one")
    [subscription] = subscriber.subscriptions
    assert subscription is notified.subscription

    notifier = notifier_of(bob)
    notifier.notify(network.now, PIDF, b"two")
    network.run(2.0)
    assert bodies(alice) == [b"one", b"two"]
    assert network.messages("bob", "NOTIFY")[1].headers.get("subscription-state") == (
        "active;expires=3599"
    )

    network.run(4000.0)  # refreshed 64*T1+T4 before its time is over
    [refreshed] = network.times("alice", "SUBSCRIBE")[1:]
    assert refreshed == pytest.approx(3600 - 37, abs=0.1)
    assert bodies(alice) == [b"one", b"two", b"two"]

    subscription.unsubscribe(network.now)
    network.run()
    [*_, last] = network.messages("alice", "SUBSCRIBE")
    assert last.headers.get("expires") == "0"
    [*_, final] = network.messages("bob", "NOTIFY")
    assert final.headers.get("subscription-state") == "terminated;reason=timeout"
    ended = alice.one(SubscriptionEnded)
    assert (ended.trigger, ended.reason, ended.again) == (
        SubscriberTrigger.TERMINATED,
        "timeout",
        None,
    )
    assert bob.one(NotifierEnded).reason == "timeout"
    network.assert_forgotten()


@pytest.mark.parametrize("lost", ["SUBSCRIBE", "200 SUBSCRIBE", "NOTIFY", "200 NOTIFY"])
def test_one_loss_does_not_matter(lost: str) -> None:
    network, _ = watching(expires=200)
    network.lose = lose_first(lost)
    network.run(10.0)
    assert bodies(network.ends["alice"]) == [b"one"]
    assert notifier_of(network.ends["bob"]).state is NotifierState.ACTIVE


def test_a_notify_before_the_200() -> None:
    # 4.1.2.4: it makes the dialog, and the response is not missed
    network, subscriber = watching()
    network.lose = lose_all("200 SUBSCRIBE")
    network.run(100.0)
    assert bodies(network.ends["alice"]) == [b"one"]
    [subscription] = subscriber.subscriptions
    assert subscription.state is SubscriberState.ACTIVE
    assert network.ends["alice"].of(SubscriptionFailed) == []


def test_timer_n() -> None:
    # 4.1.2.4
    network, subscriber = watching()
    network.lose = lose_all("NOTIFY")
    network.run()
    failed = network.ends["alice"].one(SubscriptionFailed)
    assert (failed.subscriber, failed.response.status) == (subscriber, 408)
    [(when, _)] = network.ends["alice"].events
    assert when == 32.0
    # the notifier removes it when the NOTIFY times out (4.2.2)
    assert network.ends["bob"].one(NotifierEnded).reason == "failed"
    network.assert_forgotten()


def test_a_refresh_that_nobody_answers() -> None:
    # 4.1.2.2, Timer N
    network, _ = watching(expires=200)
    network.run(100.0)
    network.lose = lambda sent: True
    network.run()
    ended = network.ends["alice"].one(SubscriptionEnded)
    assert ended.trigger is SubscriberTrigger.TIMER_N
    assert ended.again == 0.0
    assert network.ends["bob"].one(NotifierEnded).reason == "timeout"
    network.assert_forgotten()


@pytest.mark.parametrize("status", [404, 481, 489, 604])
def test_a_refresh_that_is_refused_for_good(status: int) -> None:
    network, _ = watching(expires=200)
    network.run(100.0)
    network.refuse("bob", "SUBSCRIBE", status)
    network.run(190.0)
    ended = network.ends["alice"].one(SubscriptionEnded)
    assert ended.trigger is SubscriberTrigger.REFUSED
    assert isinstance(ended.message, Response)
    assert ended.message.status == status


def test_a_refresh_that_fails_is_tried_again() -> None:
    # 4.1.2.2: the subscription goes on until its time is over
    network, subscriber = watching(expires=200)
    network.run(100.0)
    network.refuse("bob", "SUBSCRIBE", 500)
    network.run(190.0)
    [subscription] = subscriber.subscriptions
    assert subscription.state is SubscriberState.ACTIVE
    assert len(network.times("alice", "SUBSCRIBE")) > 2
    network.lose = lose_all("NOTIFY")
    network.run(300.0)
    assert network.ends["alice"].one(SubscriptionEnded).trigger is SubscriberTrigger.EXPIRED


def test_a_refresh_that_no_notify_follows() -> None:
    # 4.1.2.2, RFC 5839: 204 calls Timer N off
    network, subscriber = watching(expires=3600)
    network.run(100.0)
    network.refuse("bob", "SUBSCRIBE", 204)
    [subscription] = subscriber.subscriptions
    subscription.refresh(network.now)
    network.run(200.0)
    assert subscription.state is SubscriberState.ACTIVE


def test_who_subscribes_and_is_gone_is_forgotten() -> None:
    # 4.2.1.4
    network, _ = watching(expires=200)
    network.run(1.0)
    network.lose = lambda sent: sent.sender == "alice"
    network.run()
    [*_, last] = network.messages("bob", "NOTIFY")
    assert last.headers.get("subscription-state") == "terminated;reason=timeout"
    network.assert_forgotten()


def test_pending_and_then_granted() -> None:
    # 4.2.1.3; nothing is told before
    network, _ = watching(pending=True)
    network.run(1.0)
    alice, bob = network.ends["alice"], network.ends["bob"]
    assert [event.state for event in alice.of(Notified)] == ["pending"]
    assert bodies(alice) == [b""]
    notifier_of(bob).notify(network.now, PIDF, b"two")
    network.run(2.0)
    assert bodies(alice) == [b"", b""]
    notifier_of(bob).grant(network.now)
    network.run(3.0)
    assert [event.state for event in alice.of(Notified)][-1] == "active"
    assert bodies(alice)[-1] == b"two"


def test_pending_and_then_denied() -> None:
    network, _ = watching(pending=True)
    network.run(1.0)
    notifier_of(network.ends["bob"]).end(network.now, "rejected")
    network.run()
    ended = network.ends["alice"].one(SubscriptionEnded)
    assert (ended.reason, ended.again) == ("rejected", None)
    assert bodies(network.ends["alice"]) == [b"", b""]
    network.assert_forgotten()


def test_asking_once() -> None:
    # 4.4.3
    network, _ = watching(expires=0)
    network.run()
    alice = network.ends["alice"]
    notified = alice.one(Notified)
    assert (notified.state, notified.request.body) == ("terminated", b"one")
    assert alice.one(SubscriptionEnded).reason == "timeout"
    assert network.ends["bob"].one(NotifierEnded).reason == "timeout"
    network.assert_forgotten()


def test_the_notifier_may_shorten_it() -> None:
    network, subscriber = watching(expires=7200, longest=600)
    network.run(1.0)
    [ok] = network.messages("bob", "200 SUBSCRIBE")
    assert ok.headers.get("expires") == "600"
    assert subscriber.subscriptions[0].expires_at == pytest.approx(600, abs=0.1)
    network.run(700.0)
    assert network.times("alice", "SUBSCRIBE")[1] == pytest.approx(563, abs=0.1)


def test_states_that_follow_at_once_are_told_as_one() -> None:
    network, _ = watching()
    network.run(1.0)
    notifier = notifier_of(network.ends["bob"])
    for state in (b"two", b"three", b"four"):
        notifier.notify(network.now, PIDF, state)
    network.run(2.0)
    assert bodies(network.ends["alice"]) == [b"one", b"two", b"four"]


def test_the_end_waits_for_the_notify_before() -> None:
    network, _ = watching()
    network.run(1.0)
    notifier = notifier_of(network.ends["bob"])
    notifier.notify(network.now, PIDF, b"two")
    notifier.end(network.now, "probation", retry_after=30)
    too_late: list[Callable[[], None]] = [
        lambda: notifier.notify(network.now, PIDF, b"three"),
        lambda: notifier.grant(network.now),
        lambda: notifier.end(network.now),
    ]
    for late in too_late:
        with pytest.raises(TrunklineError) as caught:
            late()
        assert caught.value.code == "dialog.state"
    network.run()
    [*_, last] = network.messages("bob", "NOTIFY")
    assert last.headers.get("subscription-state") == "terminated;reason=probation;retry-after=30"
    assert network.ends["alice"].one(SubscriptionEnded).again == 30.0
    network.assert_forgotten()


def test_a_subscription_is_refused() -> None:
    network, subscriber = watching()
    network.ends["bob"].on(SubscribeArrived, lambda event: event.notifier.reject(403, network.now))
    network.run()
    failed = network.ends["alice"].one(SubscriptionFailed)
    assert (failed.subscriber, failed.response.status) == (subscriber, 403)
    network.assert_forgotten()


@pytest.mark.parametrize(
    ("event", "status", "row"),
    [("unknown", 489, ("allow-events", "presence, reg")), ("refer", 403, None)],
)
def test_what_is_not_notified_of(event: str, status: int, row: tuple[str, str] | None) -> None:
    network, _ = watching(event=event)
    network.run()
    response = network.ends["alice"].one(SubscriptionFailed).response
    assert response.status == status
    if row is not None:
        assert response.headers.get(row[0]) == row[1]
    assert network.ends["bob"].of(SubscribeArrived) == []


def test_too_brief_and_the_retry() -> None:
    # 4.2.1.1
    network, subscriber = watching(expires=10)
    network.run(1.0)
    [refused] = network.messages("bob", "423 SUBSCRIBE")
    assert refused.headers.get("min-expires") == "60"
    first, second = network.messages("alice", "SUBSCRIBE")
    assert second.headers.get("expires") == "60"
    assert second.headers.get("cseq") == "2 SUBSCRIBE"
    assert first.headers.get("call-id") == second.headers.get("call-id")
    assert len(subscriber.subscriptions) == 1


def test_a_forked_subscribe_makes_a_subscription_at_each() -> None:
    # 4.1.4, 4.4.1
    network = Network("alice")
    for name in ("bob", "carol"):
        end = network.add(name, capabilities=Capabilities(events=("presence",)))
        end.on(
            SubscribeArrived,
            lambda event, name=name: event.notifier.accept(  # type: ignore[misc]
                network.now, content_type=PIDF, body=name.encode()
            ),
        )
    network.add_proxy("proxy", all=["bob", "carol"])
    alice = network.ends["alice"]
    subscriber = alice.ua.subscribe(
        "sip:all@192.0.2.4", "sip:alice@example.org", "presence", 0.0, expires=300
    )
    network.run(40.0)
    assert sorted(bodies(alice)) == [b"bob", b"carol"]
    assert len(subscriber.subscriptions) == 2
    # the proxy asks to stay in the SUBSCRIBE only, so the notifiers' requests pass it
    assert len(alice.ua.core.dialogs) == 2
    for name in ("bob", "carol"):
        [ok] = network.messages(name, "200 SUBSCRIBE")
        assert "record-route" in ok.headers
        assert "route" in network.messages(name, "NOTIFY")[0].headers
    subscriber.unsubscribe(network.now)
    network.run()
    assert len(alice.of(SubscriptionEnded)) == 2
    assert "record-route" not in network.messages("bob", "200 SUBSCRIBE")[-1].headers
    network.assert_forgotten()


def test_after_timer_n_no_further_notifier_is_taken() -> None:
    network, subscriber = watching()
    network.run(40.0)
    [notify] = network.messages("bob", "NOTIFY")
    other = notify.copy()
    other.headers.set("From", "<sip:bob@192.0.2.2>;tag=another")
    other.headers.set("Via", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKanother")
    alice = network.ends["alice"]
    alice.tell(alice.ua.receive(other.to_bytes(), network.sent[0].flow, network.now))
    network.carry()
    assert network.sent[-1].what == "481 NOTIFY"
    assert len(subscriber.subscriptions) == 1


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ({"Subscription-State": ""}, 400),
        ({"Event": "presence;id=7"}, 481),
        ({"Event": "Presence"}, 481),
        ({"Event": "presence;other=1"}, 200),
        ({"Contact": "<mailto:x@y>"}, 400),
    ],
)
def test_a_notify_that_is_not_right(rows: dict[str, str], status: int) -> None:
    network, _ = watching()
    network.run(1.0)
    [notify] = network.messages("bob", "NOTIFY")
    other = notify.copy()
    for name, value in rows.items():
        other.headers.set(name, value)
    other.headers.set("CSeq", "77 NOTIFY")
    other.headers.set("Via", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKanother")
    alice = network.ends["alice"]
    back = network.sent[1].flow
    source = Flow(back.transport, back.local, back.remote)
    alice.tell(alice.ua.receive(other.to_bytes(), source, network.now))
    network.carry()
    assert network.sent[-1].what == f"{status} NOTIFY"


def test_subscribing_in_the_dialog_of_another() -> None:
    # 4.5.2
    network, subscriber = watching()
    network.run(1.0)
    [subscription] = subscriber.subscriptions
    core = network.ends["alice"].ua.core
    core.within(
        subscription.dialog,
        "SUBSCRIBE",
        lambda outgoing, response, now: None,
        network.now,
        headers=[("Event", "reg"), ("Expires", "300")],
    )
    network.run(2.0)
    assert network.sent[-1].what == "403 SUBSCRIBE"


def test_a_subscription_is_answered_once() -> None:
    network, _ = watching()
    network.run(1.0)
    notifier = notifier_of(network.ends["bob"])
    for wrong in (notifier.accept, lambda now: notifier.reject(403, now)):
        with pytest.raises(TrunklineError) as caught:
            wrong(network.now)
        assert caught.value.code == "dialog.state"


def test_unsubscribing_before_the_first_notify() -> None:
    network, subscriber = watching()
    subscriber.unsubscribe(0.0)
    network.run()
    assert network.ends["alice"].one(SubscriptionEnded).again is None
    network.assert_forgotten()


@pytest.mark.parametrize(
    ("reason", "retry_after", "seconds"),
    [
        ("deactivated", 50, 0.0),
        ("probation", 50, 50.0),
        ("probation", None, 60.0),
        ("rejected", 50, None),
        ("timeout", 50, 0.0),
        ("giveup", 50, 50.0),
        ("giveup", None, 0.0),
        ("noresource", 50, None),
        ("invariant", 50, None),
        ("something", None, 0.0),
        (None, 50, 50.0),
    ],
)
def test_when_to_subscribe_again(
    reason: str | None, retry_after: int | None, seconds: float | None
) -> None:
    # 4.1.3
    assert again(reason, retry_after) == seconds


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("foo; id=1234", "foo; param=abcd; id=1234", True),
        ("foo; id=1234", "foo", False),
        ("foo; id=1234", "Foo; id=1234", False),
        ("foo;id=1", "foo;id=2", False),
    ],
)
def test_events_compare_octet_by_octet(one: str, other: str, equal: bool) -> None:
    # the examples of 8.2.1
    assert same(Event.parse(one), Event.parse(other)) == equal


def test_every_row_has_its_clause() -> None:
    rows = [row for rows in SUBSCRIBER.values() for row in rows.values()]
    rows += [row for rows in NOTIFIER.values() for row in rows.values()]
    assert all(row.clause for row in rows)
    assert SUBSCRIBER[SubscriberState.TERMINATED] == {}
    assert NOTIFIER[NotifierState.TERMINATED] == {}


def test_times_of_the_first_exchange() -> None:
    network, _ = watching()
    network.run(1.0)
    assert network.times("bob", "NOTIFY") == [DELAY]


@pytest.mark.parametrize("unsubscribed_at", [None, 5.0])
def test_what_has_been_told_does_not_fail(unsubscribed_at: float | None) -> None:
    # asked once (4.4.3), or ended by us while Timer N runs (4.1.2.4)
    network, subscriber = watching(expires=0 if unsubscribed_at is None else 3600)
    if unsubscribed_at is not None:
        network.run(unsubscribed_at)
        subscriber.unsubscribe(network.now)
    network.run()
    alice = network.ends["alice"]
    assert len(alice.of(SubscriptionEnded)) == 1
    assert alice.of(SubscriptionFailed) == []
    network.assert_forgotten()


def test_a_lost_answer_says_less_than_a_notify() -> None:
    network, _ = watching(expires=0)
    network.lose = lose_all("200 SUBSCRIBE")
    network.run()
    assert network.ends["alice"].of(SubscriptionFailed) == []


@pytest.mark.parametrize("headers", [(), (("Retry-After", "7"),)])
def test_unsubscribing_that_fails_is_tried_again(headers: tuple[tuple[str, str], ...]) -> None:
    network, subscriber = watching()
    network.run(100.0)
    network.refuse("bob", "SUBSCRIBE", 503, *headers, times=2)
    subscriber.unsubscribe(network.now)
    network.run()
    asked = [message.headers.get("expires") for message in network.messages("alice", "SUBSCRIBE")]
    assert asked == ["3600", "0", "0", "0"]
    assert network.now < 300  # not only at half of what is left
    assert network.ends["bob"].one(NotifierEnded).reason == "timeout"


def test_the_answers_to_subscribe_and_notify_move_the_target() -> None:
    # RFC 3261 section 12.2.1.2; both are target refresh requests
    network, subscriber = watching()
    network.run(1.0)
    for name, what in (("alice", "200 SUBSCRIBE"), ("bob", "200 NOTIFY")):
        network.alter(name, what, lambda data: data.replace(b":5060>", b":5060;new=1>"))
    network.lose = lose_all("NOTIFY")
    subscriber.subscriptions[0].refresh(network.now)
    network.run(2.0)
    subscriber.subscriptions[0].refresh(network.now)
    network.run(2.5)
    network.lose = lambda sent: False
    network.run(8.0)
    notifier_of(network.ends["bob"]).notify(network.now, PIDF, b"two")
    network.run(9.0)
    [*_, subscribe] = network.messages("alice", "SUBSCRIBE")
    [*_, notify] = network.messages("bob", "NOTIFY")
    assert isinstance(subscribe, Request)
    assert isinstance(notify, Request)
    assert subscribe.uri == "sip:bob@192.0.2.2:5060;new=1"
    assert notify.uri == "sip:alice@192.0.2.1:5060;new=1"
