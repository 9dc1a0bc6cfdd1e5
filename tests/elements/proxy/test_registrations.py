"""Registrations that end without their phones: many that expire at once, flows lost while the store
is away."""

from __future__ import annotations

import pytest

from trunkline.elements.proxy.request import IncomingRequest
from trunkline.errors import TrunklineError
from trunkline.script import on_request
from trunkline.sip.binding import Binding, Bindings
from trunkline.sip.transport import Flow, Transport
from trunkline.store.location import MemoryLocation
from trunkline.store.location.interface import Compute, T
from trunkline.testing import Harness

FLOW = Flow(Transport.TCP, ("192.0.2.20", 40_000), ("192.0.2.1", 5060), 7)
AORS = [f"sip:u{number}@example.org" for number in range(4)]


class Away(MemoryLocation):
    """A store that does not take what is about some addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.refused_aors: set[str] = set()

    async def update(self, aor: str, compute: Compute[T]) -> T:
        if aor in self.refused_aors:
            raise TrunklineError("store.redis-unavailable", "redis.main: away")
        return self.update_now(aor, compute)


@on_request()
def relay(request: IncomingRequest) -> None:
    request.relay()


def put(location: MemoryLocation, aor: str, *bindings: Binding) -> None:
    def compute(_: Bindings) -> tuple[Bindings, None]:
        return bindings, None

    location.update_now(aor, compute)


def binding(number: int, expires: float = 1e9) -> Binding:
    return Binding(
        f"sip:u{number}@192.0.2.20;ob",
        f"c{number}",
        1,
        expires,
        0.0,
        0.0,
        instance="urn:x:1",
        reg_id=1,
        flow=FLOW,
        node="harness",
    )


def test_what_expires_at_once_is_forgotten_at_once() -> None:
    with Harness([relay]) as proxy:
        location = proxy.element.services.registrations.location
        assert isinstance(location, MemoryLocation)
        for number in range(3500):
            put(location, f"sip:u{number}@example.org", binding(number, expires=10.0))
        proxy.advance(9)
        assert location.count_now().contacts == 3500
        proxy.advance(3)
        assert location.count_now().contacts == 0


@pytest.fixture
def proxy() -> Harness:
    return Harness([relay])


def registered(proxy: Harness) -> Away:
    registrations = proxy.element.services.registrations
    location = registrations.location = Away()
    for number, aor in enumerate(AORS):
        put(location, aor, binding(number))
        registrations.flows.registered(aor, [binding(number)])
    return location


def test_a_lost_flow_ends_every_registration_that_the_store_takes(proxy: Harness) -> None:
    with proxy:
        location = registered(proxy)
        location.refused_aors = {AORS[0], AORS[2]}
        proxy.element.lost(FLOW, "reset")
        proxy.settle()
        assert [aor for aor in AORS if location.get_now(aor, 0.0)] == [AORS[0], AORS[2]]
        assert proxy.lines == ["redis.main: away"]
        location.refused_aors = {AORS[2]}
        proxy.advance(11)
        assert [aor for aor in AORS if location.get_now(aor, 0.0)] == [AORS[2]]
        location.refused_aors = set()
        proxy.advance(11)
        assert location.count_now().contacts == 0
        assert proxy.lines == ["redis.main: away"]


def test_who_registered_anew_since_stays(proxy: Harness) -> None:
    with proxy:
        location = registered(proxy)
        location.refused_aors = set(AORS)
        proxy.element.lost(FLOW, "reset")
        proxy.settle()
        location.refused_aors = set()
        proxy.element.services.registrations.flows.registered(AORS[1], [binding(1)])
        proxy.advance(11)
        assert [aor for aor in AORS if location.get_now(aor, 0.0)] == [AORS[1]]


def test_a_store_that_stays_away_is_not_asked_for_ever(proxy: Harness) -> None:
    with proxy:
        location = registered(proxy)
        location.refused_aors = set(AORS)
        proxy.element.lost(FLOW, "reset")
        proxy.advance(400)
        location.refused_aors = set()
        proxy.advance(60)
        assert location.count_now().contacts == 4  # until they expire
