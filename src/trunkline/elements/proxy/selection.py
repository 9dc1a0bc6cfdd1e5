"""Which destination of a set gets a request: ``request.relay(via=app.destinations("gateways"))``.

A set has priorities, of which the lowest goes first, and weights within a priority, drawn as for
SRV records (RFC 2782). Not chosen are those that are drained; those that are down, while any is
better; and those that had this request already. Who failed a request lately (RFC 3263 section 4.3)
comes after all others. When a destination fails, by no response, a 503 or a transport that does not
work, the next one gets the request with a new branch.

A choice is made when a request needs a hop, one at a time; `Choice` is its own record.

A server may be a name: then the first that is drawn is looked up before the request leaves, and the
others meanwhile. When one of them is needed and its answers are too old, the old ones serve; and so
they do for all while DNS fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from trunkline.elements.proxy.board import State
from trunkline.elements.proxy.destinations import Destination, DestinationSet
from trunkline.elements.proxy.hops import Located
from trunkline.sip.locate.ordering import Drawn, Pool, seeded
from trunkline.sip.proxy import Hops
from trunkline.sip.transport import Flow

if TYPE_CHECKING:
    from trunkline.elements.proxy.element import ProxyElement

__all__ = ["Choice", "Reason", "Selection", "Tell", "Verdict"]


class Reason(Enum):
    """Why a destination was chosen or passed over: code, words."""

    CHOSEN = ("chosen", "gets the request")
    WEIGHT = ("weight", "the draw by weight went to another of its priority")
    PRIORITY = ("lower-priority", "one of a better priority is there")
    TRIED = ("tried", "had this request already, and failed it")
    LATELY = ("failed-lately", "failed a request a short while ago: comes after all others")
    DOWN = ("down", "does not answer OPTIONS, and another does")
    DRAINED = ("drained", "takes no new calls")
    UNKNOWN = ("not-located", "its name has not been found yet")
    NO_HOP = ("no-hop", "there is no address for its name, or no transport of ours leads there")

    def __init__(self, code: str, words: str) -> None:
        self.code = code
        self.words = words


@dataclass(frozen=True, slots=True)
class Verdict:
    """One destination in a choice."""

    uri: str
    priority: int
    weight: int
    state: State
    reason: Reason
    drawn: Drawn | None = None
    """The draw that chose it; ``None``: there was nothing to draw."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets a request, and why not the others."""

    name: str
    """The set's."""
    flow: Flow | None
    """By which the request goes there; ``None``: there is nobody."""
    verdicts: tuple[Verdict, ...]
    """Of every destination, in the order of the settings."""

    @property
    def octets(self) -> int:
        """What it costs to remember, about."""
        return 200 * len(self.verdicts)

    @property
    def winner(self) -> Verdict | None:
        """Who gets it."""
        return next((v for v in self.verdicts if v.reason is Reason.CHOSEN), None)

    def __str__(self) -> str:
        winner = self.winner
        return f"{self.name}: nobody is left" if winner is None else f"{self.name}: {winner.uri}"

    def lines(self) -> Iterator[str]:
        """What to say of each, the winner marked."""
        for each in self.verdicts:
            mark = "*" if each.reason is Reason.CHOSEN else "-"
            drawn = ""
            if each.drawn is not None:
                draw = each.drawn
                drawn = f": drew {draw.number} of 0 to {draw.highest} among {draw.among}"
            yield (
                f"{mark} {each.uri}, priority {each.priority}, weight {each.weight},"
                f" {each.state.value}: {each.reason.words}{drawn}"
            )

    def as_json(self) -> dict[str, object]:
        """The record as JSON values."""
        flow = self.flow
        winner = self.winner
        return {
            "set": self.name,
            "winner": None if winner is None else winner.uri,
            "transport": None if flow is None else flow.transport.value,
            "remote": None if flow is None else [*flow.remote],
            "destinations": [
                {
                    "uri": each.uri,
                    "priority": each.priority,
                    "weight": each.weight,
                    "state": each.state.value,
                    "reason": each.reason.code,
                    "drawn": None
                    if each.drawn is None
                    else {
                        "number": each.drawn.number,
                        "highest": each.drawn.highest,
                        "among": each.drawn.among,
                    },
                }
                for each in self.verdicts
            ],
        }


class Tell(Protocol):
    """Takes a kind of step and its details: see `trunkline.elements.proxy.story`."""

    def __call__(self, kind: str, *details: object) -> None:
        """Take a step."""


class Selection:
    """The hops of one request over a set, chosen one by one: `trunkline.sip.proxy.Hops`.

    ``place`` gives what a destination's URI is for this request (a SIPS target's hops are SIPS).
    ``key`` as for the locator: the same one chooses the same destination, whoever failed lately.
    ``tell`` is told each choice.
    """

    __slots__ = (
        "_current",
        "_desperate",
        "_draw",
        "_drawn",
        "_element",
        "_first",
        "_hops",
        "_key",
        "_later",
        "_picked",
        "_place",
        "_pool",
        "_reasons",
        "_set",
        "_tell",
        "_tier",
        "_tiers",
        "_undrawn",
    )

    def __init__(
        self,
        destinations: DestinationSet,
        element: ProxyElement,
        place: Callable[[str], str],
        *,
        key: bytes | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._set = destinations
        self._element = element
        self._place = place
        self._key = key
        self._tell = tell
        self._draw = destinations.draw if key is None else seeded(key)
        self._tiers = destinations.tiers()
        self._desperate = destinations.desperate
        self._tier = 0
        self._pool: Pool | None = self._tiers[0] if self._tiers else None
        self._picked: int | None = None  # from the pool, and not yet taken out
        self._drawn: Drawn | None = None
        self._reasons: dict[int, Reason] = {}
        self._later: list[tuple[int, Hops, Flow]] = []
        self._current: int | None = None
        self._hops: Hops | None = None
        self._undrawn: int | None = None
        self._first: Flow | None = None

    # before the request leaves

    def prepare(self, now: float) -> str | None:
        """Choose the first; if its name has to be looked up for that, return it for ``located``."""
        self._first = self._next(now, wait=True)
        for destination in self._set.unfound():
            self._look_up(destination)
        return None if self._undrawn is None else self._place(self._set[self._undrawn].uri)

    def located(self, hops: Hops, now: float) -> str | None:
        """Go on with what the look-up brought, as ``prepare``."""
        at = self._undrawn
        assert at is not None, "nothing was looked up"
        self._undrawn = None
        destination = self._set[at]
        hops = destination.leads(self._place(destination.uri), hops)
        self._first = self._consider(at, hops, now)
        return None if self._first is not None else self.prepare(now)

    # what the branch calls

    def __call__(self, now: float) -> Flow | None:
        """Return the next hop; asking for another says that the one before failed."""
        flow, self._first = self._first, None
        if flow is None:
            if self._current is not None:
                assert self._hops is not None
                flow = self._hops(now)
                if flow is not None:
                    return flow  # another address of the same destination
                self._set[self._current].gave_up()
                self._reasons[self._current] = Reason.TRIED
                self._current = None
            flow = self._next(now)
        if self._current is not None:
            self._set[self._current].taken()
        if self._tell is not None:
            self._tell("chosen", self._choice(flow))
            if isinstance(self._hops, Located) and self._current is not None:
                uri = self._place(self._set[self._current].uri)
                self._tell("located", uri, self._hops.decision(now))
        return flow

    # inside

    def _next(self, now: float, *, wait: bool = False) -> Flow | None:
        """Choose the next; with ``wait`` not before its name was looked up."""
        while (at := self._pick()) is not None:
            hops = self._hops_of(self._set[at], wait)
            if hops is not None:
                flow = self._consider(at, hops, now)
                if flow is not None:
                    return flow
            elif wait:
                self._undrawn = at
                return None
            else:
                self._reasons[at] = Reason.UNKNOWN
        while self._later:
            at, hops, flow = self._later.pop(0)
            if not self._set[at].drained:
                self._drawn = None
                self._current, self._hops = at, hops
                return flow
            self._reasons[at] = Reason.DRAINED
        return None

    def _pick(self) -> int | None:
        """Draw the next; it may have been drained meanwhile, or have gone down."""
        while True:
            if self._picked is not None and self._pool is not None:
                self._pool, self._picked = self._pool.without(self._picked), None
            while self._pool is None:
                self._tier += 1
                if self._tier >= len(self._tiers):
                    return None
                self._pool = self._tiers[self._tier]
            self._picked, self._drawn = self._pool.pick(self._draw)
            destination = self._set[self._picked]
            if destination.drained:
                self._reasons[self._picked] = Reason.DRAINED
            elif destination.state is State.DOWN and not self._desperate:
                self._reasons[self._picked] = Reason.DOWN
            else:
                return self._picked

    def _consider(self, at: int, hops: Hops, now: float) -> Flow | None:
        flow = hops(now)
        if flow is None:
            self._reasons[at] = Reason.NO_HOP
            return None
        if self._key is None and not self._element.locator.in_turn(hops, flow, now):
            self._reasons[at] = Reason.LATELY
            self._later.append((at, hops, flow))
            return None
        self._current, self._hops = at, hops
        return flow

    def _hops_of(self, destination: Destination, wait: bool) -> Hops | None:
        """The hops of a destination; where nobody may wait, by answers past their time, too."""
        place = self._place(destination.uri)
        hops = self._element.hops_now(place, self._key)
        if hops is not None:
            return destination.leads(place, hops)
        if not wait:
            self._look_up(destination)
            if destination.known is not None and place == destination.uri:
                return destination.known.again()
        return None

    def _look_up(self, destination: Destination) -> None:
        """See that its name is known when it is needed."""
        if not destination.locating:
            destination.locating = True
            self._element.spawn(_find(destination, self._element))

    def _choice(self, flow: Flow | None) -> Choice:
        verdicts = []
        for at, destination in enumerate(self._set):
            target, won = destination.target, at == self._current
            reason = Reason.CHOSEN if won else self._reason(at, destination)
            drawn = self._drawn if won else None
            verdicts.append(
                Verdict(
                    target.uri, target.priority, target.weight, destination.state, reason, drawn
                )
            )
        return Choice(self._set.name, flow, tuple(verdicts))

    def _reason(self, at: int, destination: Destination) -> Reason:
        known = self._reasons.get(at)
        if known is not None:
            return known
        for number, tier in enumerate(self._tiers):
            if at in tier.indices:
                return Reason.PRIORITY if number > self._tier else Reason.WEIGHT
        return Reason.DRAINED if destination.drained else Reason.DOWN


async def _find(destination: Destination, element: ProxyElement) -> None:
    try:
        destination.leads(destination.uri, await element.hops_of(destination.uri))
    finally:
        destination.locating = False
