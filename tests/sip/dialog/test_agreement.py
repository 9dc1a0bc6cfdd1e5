"""Whatever a network does to the messages for a while, both ends agree in the end.

Calls are made, changed, transferred and ended at random moments while messages are lost, doubled
and overtake each other. When the network has been well again for longer than any transaction lasts,
either both have the session, with the same descriptions, or neither has; and when both have hung
up, nothing of it is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sip.dialog.network import DELAY, End, Network, Sent, sdp

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.call import Call
from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Ended,
    IncomingCall,
    OfferAccepted,
    Offered,
    Progress,
    ReferArrived,
    SubscribeArrived,
    SubscriptionEnded,
    SubscriptionFailed,
)
from trunkline.sip.dialog.refer import refer_to
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_table import SessionState

TROUBLED = 25.0
"""Seconds that the network is not well."""
QUIET = 150.0
"""By then every transaction that the trouble touched has ended."""

FATES: list[tuple[float, ...]] = [(DELAY,), (DELAY,), (), (), (DELAY, 2 * DELAY), (0.4,), (3.0,)]
ACTIONS = ["hang up", "hold", "resume", "update", "refer", "cancel", "info"]

moments = st.integers(0, int(TROUBLED * 4)).map(lambda quarter: quarter / 4)
scripts = st.lists(
    st.tuples(moments, st.sampled_from(["alice", "bob"]), st.sampled_from(ACTIONS)), max_size=6
)
fates = st.lists(st.sampled_from(FATES), min_size=1, max_size=60)


class Trial:
    """One call with a script and a network that is not well."""

    def __init__(self, fates: list[tuple[float, ...]]) -> None:
        self.network = network = Network()
        for name in ("alice", "bob"):
            network.add(name, capabilities=Capabilities(user=name, events=("presence",)))
        self.alice, self.bob = network.ends["alice"], network.ends["bob"]
        self.fates = fates
        self.count = 0
        self.versions = 1
        network.fate = self.fate
        for end in (self.alice, self.bob):
            end.on(Offered, lambda event: self.answer(event.session))
            end.on(Answered, self.accepted)
            end.on(OfferAccepted, self.accepted)
            end.on(Progress, self.accepted)
            end.on(ReferArrived, self.referred)

    def fate(self, sent: Sent) -> Iterable[float]:
        self.count += 1
        if sent.time > TROUBLED:
            return (DELAY,)
        return self.fates[self.count % len(self.fates)]

    def answer(self, session: Session) -> None:
        owner = session.core.capabilities.user
        self.versions += 1
        with contextlib.suppress(TrunklineError):
            session.answer(self.network.now, description=sdp(owner, version=self.versions))

    def accepted(self, event: Answered | OfferAccepted | Progress) -> None:
        if event.offer is not None and event.session is not None:
            self.answer(event.session)

    def referred(self, event: ReferArrived) -> None:
        event.referral.accept(self.network.now)
        referral = event.referral
        self.network.at(self.network.now + 2, lambda: referral.report(180, self.network.now))
        self.network.at(self.network.now + 4, lambda: referral.report(486, self.network.now))

    def act(self, end: End, action: str, call: Call | None) -> None:
        now = self.network.now
        if action == "cancel":
            if call is not None:
                call.cancel(now)
            return
        sessions = [event.session for event in end.of(Answered)]
        sessions += [event.session for event in end.of(IncomingCall)]
        sessions += [event.session for event in end.of(Progress) if event.session is not None]
        for session in sessions[:1]:
            with contextlib.suppress(TrunklineError):
                match action:
                    case "hang up":
                        session.hang_up(now)
                    case "hold":
                        session.hold(now)
                    case "resume":
                        session.resume(now)
                    case "update":
                        self.versions += 1
                        owner = session.core.capabilities.user
                        change = sdp(owner, version=self.versions)
                        session.offer(change, now, method="UPDATE")
                    case "refer":
                        session.refer(refer_to("sip:carol@192.0.2.9"), now)
                    case "info":
                        session.request("OPTIONS", now)

    def check_agreement(self) -> None:
        dialogs = [set(end.ua.core.dialogs) for end in (self.alice, self.bob)]
        mirrored = {(call, remote, local) for call, local, remote in dialogs[1]}
        assert {tuple(item) for item in dialogs[0]} == mirrored
        for dialog in self.alice.ua.core.dialogs.values():
            [ours] = [usage for usage in dialog.usages if isinstance(usage, Session)]
            assert ours.state is SessionState.CONFIRMED
            [theirs] = [
                event.session
                for event in self.bob.of(IncomingCall)
                if event.session.dialog.local_tag == dialog.remote_tag
            ]
            assert theirs.state is SessionState.CONFIRMED
            assert str(ours.exchange.local) == str(theirs.exchange.remote)
            assert str(ours.exchange.remote) == str(theirs.exchange.local)

    def check_events(self) -> None:
        """What begins ends once."""
        for end in (self.alice, self.bob):
            told = {id(event.session) for event in end.of(Answered)}
            told |= {id(event.session) for event in end.of(IncomingCall)}
            told |= {id(event.session) for event in end.of(Progress) if event.session is not None}
            ended = [id(event.session) for event in end.of(Ended)]
            assert sorted(ended) == sorted(told)

    def finish(self) -> None:
        for end in (self.alice, self.bob):
            for dialog in list(end.ua.core.dialogs.values()):
                for usage in list(dialog.usages):
                    if isinstance(usage, Session):
                        usage.hang_up(self.network.now)
        self.network.run()
        self.network.assert_forgotten()
        self.check_events()


@settings(max_examples=300, deadline=None)
@given(
    fates=fates,
    script=scripts,
    answer_after=st.sampled_from([0.0, 0.25, 2.0, 9.0, 60.0]),
    progress=st.sampled_from(["none", "180", "reliable", "early media"]),
    offers=st.booleans(),
)
def test_sessions(
    fates: list[tuple[float, ...]],
    script: list[tuple[float, str, str]],
    answer_after: float,
    progress: str,
    offers: bool,
) -> None:
    trial = Trial(fates)
    network = trial.network

    def incoming(event: IncomingCall) -> None:
        session = event.session
        described = False
        if progress == "180":
            session.progress(180, network.now)
        elif progress == "reliable" and offers:
            session.progress(180, network.now, reliable=True)
        elif progress == "early media" or progress == "reliable":
            session.progress(183, network.now, description=sdp("bob"), reliable=True)
            described = True

        def answer() -> None:
            with contextlib.suppress(TrunklineError):
                session.accept(network.now, description=None if described else sdp("bob"))

        network.at(network.now + answer_after, answer)

    trial.bob.on(IncomingCall, incoming)
    call = trial.alice.ua.invite(
        network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp() if offers else None
    )
    for moment, name, action in script:
        end = network.ends[name]
        network.at(
            moment,
            lambda end=end, action=action: trial.act(  # type: ignore[misc]
                end, action, call if end is trial.alice else None
            ),
        )
    network.run(QUIET)
    trial.check_agreement()
    assert len(trial.alice.of(Answered)) + len(trial.alice.of(CallFailed)) == 1
    trial.finish()


@settings(max_examples=100, deadline=None)
@given(
    fates=fates,
    expires=st.sampled_from([0, 60, 90, 3600]),
    script=st.lists(
        st.tuples(moments, st.sampled_from(["notify", "end", "unsubscribe", "refresh"])),
        max_size=5,
    ),
)
def test_subscriptions(
    fates: list[tuple[float, ...]], expires: int, script: list[tuple[float, str]]
) -> None:
    trial = Trial(fates)
    network = trial.network
    state = [b"0"]

    def arrived(event: SubscribeArrived) -> None:
        event.notifier.accept(network.now, content_type="text/plain", body=state[0])

    trial.bob.on(SubscribeArrived, arrived)
    subscriber = trial.alice.ua.subscribe(
        network.uri("bob"), "sip:alice@example.org", "presence", 0.0, expires=expires
    )

    def act(action: str, number: int) -> None:
        with contextlib.suppress(TrunklineError):
            for event in trial.bob.of(SubscribeArrived):
                if action == "notify":
                    state[0] = str(number).encode()
                    event.notifier.notify(network.now, "text/plain", state[0])
                elif action == "end":
                    event.notifier.end(network.now)
            for subscription in list(subscriber.subscriptions):
                if action == "unsubscribe":
                    subscription.unsubscribe(network.now)
                elif action == "refresh":
                    subscription.refresh(network.now)

    for number, (moment, action) in enumerate(script):
        network.at(moment, lambda action=action, number=number: act(action, number))  # type: ignore[misc]
    network.run(QUIET)
    ours = set(trial.alice.ua.core.dialogs)
    theirs = {(call, remote, local) for call, local, remote in trial.bob.ua.core.dialogs}
    assert {tuple(item) for item in ours} == theirs
    over = len(trial.alice.of(SubscriptionFailed)) + len(trial.alice.of(SubscriptionEnded))
    assert over + len(subscriber.subscriptions) >= 1
    subscriber.unsubscribe(network.now)
    network.run()
    network.assert_forgotten()
