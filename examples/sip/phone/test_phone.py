"""Two and three phones on this machine's loopback, with real sockets and the real clock."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from trunkline.sip.dialog.events import (
    Confirmed,
    Ended,
    Event,
    IncomingCall,
    OfferAccepted,
    Offered,
    ReferProgress,
)


@pytest.fixture(scope="module")
def phone() -> ModuleType:
    """The module under test, which is no package."""
    spec = importlib.util.spec_from_file_location("phone", Path(__file__).with_name("phone.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["phone"] = module
    spec.loader.exec_module(module)
    return module


class Office:
    """Phones that run in this process; what each was told."""

    def __init__(self, module: ModuleType, loop: asyncio.AbstractEventLoop) -> None:
        self.module, self.loop = module, loop
        self.phones: list[object] = []
        self.told: dict[str, list[Event]] = {}

    def phone(self, name: str, policy: Callable[[object, Event], None], kind: str = "udp") -> str:
        told = self.told[name] = []

        def react(phone: object, event: Event) -> None:
            told.append(event)
            policy(phone, event)

        made = self.module.Phone(self.loop, [f"{kind}:127.0.0.1:0"], react, user=name)
        self.phones.append(made)
        uri: str = made.uri
        return f"{uri};transport=tcp" if kind == "tcp" else uri

    def answering(self, name: str, *, reliable: bool = False, kind: str = "udp") -> str:
        return self.phone(name, self.module.Answering(0.05, None, reliable, True), kind)

    def call(self, name: str, uri: str, *options: str, kind: str = "udp") -> int:
        """Make calls; how many failed."""
        given = self.module.arguments().parse_args(
            ["--quiet", "call", "--seconds", "0.2", *options, uri]
        )
        policy = self.module.Calling(given)
        self.phone(name, policy, kind)
        policy.begin(self.phones[-1])
        self.loop.run_until_complete(asyncio.wait_for(policy.done.wait(), 20))
        failed: int = policy.failed
        return failed

    def until(self, name: str, kind: type[Event], count: int = 1) -> None:
        async def wait() -> None:
            while sum(isinstance(event, kind) for event in self.told[name]) < count:
                await asyncio.sleep(0.01)

        self.loop.run_until_complete(asyncio.wait_for(wait(), 20))

    def close(self) -> None:
        for made in self.phones:
            closing: Coroutine[object, object, None] = made.close()  # type: ignore[attr-defined]
            self.loop.run_until_complete(closing)


@pytest.fixture
def office(phone: ModuleType) -> Iterator[Office]:
    loop = phone.new_event_loop()
    asyncio.set_event_loop(loop)
    made = Office(phone, loop)
    try:
        yield made
    finally:
        made.close()
        loop.close()
        asyncio.set_event_loop(None)


def count(office: Office, name: str, kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in office.told[name])


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_calls_one_after_the_other(office: Office, kind: str) -> None:
    bob = office.answering("bob", kind=kind)
    assert office.call("alice", bob, "--calls", "3", kind=kind) == 0
    office.until("bob", Ended, 3)
    assert count(office, "bob", IncomingCall) == count(office, "bob", Confirmed) == 3


def test_early_media_and_the_offer_of_the_other_end(office: Office) -> None:
    bob = office.answering("bob", reliable=True)
    assert office.call("alice", bob, "--no-offer") == 0
    office.until("bob", Ended)
    assert count(office, "bob", OfferAccepted) == 1  # the answer came in the PRACK


def test_hold_and_resume(office: Office) -> None:
    bob = office.answering("bob")
    assert office.call("alice", bob, "--hold") == 0
    office.until("bob", Ended)
    offers = [event.offer for event in office.told["bob"] if isinstance(event, Offered)]
    assert [offer is not None and offer.held for offer in offers] == [True, False]
    assert count(office, "alice", OfferAccepted) == 2


def test_a_transfer(office: Office) -> None:
    bob, carol = office.answering("bob"), office.answering("carol")
    assert office.call("alice", bob, "--seconds", "1", "--transfer", carol) == 0
    office.until("carol", Confirmed)
    told = [event.status for event in office.told["alice"] if isinstance(event, ReferProgress)]
    assert told[0] == 100
    assert told[-1] == 200


def test_nobody_is_there(office: Office) -> None:
    # ICMP says so at once: RFC 3261 section 18.4
    assert office.call("alice", "sip:nobody@127.0.0.1:9") == 1


def test_a_codec_that_the_other_end_does_not_have(office: Office, phone: ModuleType) -> None:
    bob = office.answering("bob")
    streams = (phone.Stream("audio", 40_000, (phone.Codec(96, "opus", 48_000),)),)
    host = "127.0.0.1"
    other = phone.Media(phone.Origin("-", "1", 1, host), phone.Connection.of(host), streams)
    given = phone.arguments().parse_args(["--quiet", "call", bob])
    policy = phone.Calling(given)
    office.phone("alice", policy)
    made = office.phones[-1]
    made._media = other  # type: ignore[attr-defined]
    policy.begin(made)
    office.loop.run_until_complete(asyncio.wait_for(policy.done.wait(), 20))
    assert policy.failed == 1


def test_what_the_other_end_has_ended_stops_nothing(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    problems: list[object] = []
    office.loop.set_exception_handler(lambda loop, context: problems.append(context))
    answering = office.module.Answering(0.0, None, False, True)

    def hang_up(phone: object, event: Event) -> None:
        answering(phone, event)
        if isinstance(event, Confirmed):
            event.session.hang_up(phone.now)  # type: ignore[attr-defined]

    uri = office.phone("bob", hang_up)
    assert office.call("alice", uri, "--hold", "--calls", "2") == 0
    office.loop.run_until_complete(asyncio.sleep(0.3))
    assert problems == []
    assert "the session is" in capsys.readouterr().err


def test_refused_calls_come_one_after_the_other(office: Office) -> None:
    pending: list[int] = []

    def busy(phone: object, event: Event) -> None:
        if isinstance(event, IncomingCall):
            session = event.session
            pending.append(count(office, "bob", IncomingCall) - count(office, "bob", Ended))
            session.progress(180, phone.now)  # type: ignore[attr-defined]
            phone.later(0.05, lambda: session.reject(486, phone.now))  # type: ignore[attr-defined]

    uri = office.phone("bob", busy)
    assert office.call("alice", uri, "--calls", "3") == 3
    assert pending == [1, 1, 1]
