"""What a node remembers of where to send: answers, plans made of them, servers that failed.

The way of a message: :meth:`Directory.try_now` gives the candidates when nothing has to be asked,
which is nearly always. Otherwise :meth:`Directory.search` begins a :class:`.location.Location`,
whoever can ask DNS asks what it wants to know, :meth:`Directory.keep` and :meth:`Directory.receive`
take each answer, and :meth:`Directory.settle` ends it. ``trunkline.net.dns.Locator`` is who asks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from trunkline.sip.host import IPAddress
from trunkline.sip.locate.cache import AnswerCache
from trunkline.sip.locate.candidates import Candidates, LiteralCandidates
from trunkline.sip.locate.decision import Candidate
from trunkline.sip.locate.health import Failure, Health
from trunkline.sip.locate.location import Location
from trunkline.sip.locate.ordering import Draw, seeded
from trunkline.sip.locate.plan import Plan
from trunkline.sip.locate.records import Answer, Naptr, Outcome, Question, RecordType
from trunkline.sip.locate.rules import Rules
from trunkline.sip.locate.selection import transport_of, without_udp
from trunkline.sip.locate.target import Target
from trunkline.sip.transport import Transport
from trunkline.sip.uri import Uri

__all__ = ["Counters", "Directory"]

_LONGEST = 256
"""Characters of what is remembered by its text: what is longer is worked out anew each time."""

_USUAL = 16
"""Records that a plan took, beyond which it takes the room of several."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(slots=True)
class Counters:
    """What happened."""

    now: int = 0
    """Messages whose candidates were known at once."""
    asked: int = 0
    """Messages that had to wait for an answer."""
    forgotten: int = 0
    """Plans forgotten because the table was full."""
    sips_vanished: int = 0
    """Domains that had SIPS in their NAPTR records and have it no longer (RFC 3263 section 7)."""


class Directory:
    """The memory of one node. Everything in it is bounded by its ``Rules``."""

    def __init__(self, rules: Rules, draw: Draw) -> None:
        """``draw`` gives the randomness: a whole number from 0 to its argument, inclusive."""
        self.rules = rules
        self.draw = draw
        self.health = Health(rules)
        self.cache = AnswerCache(rules)
        self.counters = Counters()
        self._plans: dict[tuple[Target, bool], Plan] = {}
        self._records = 0
        self._targets: dict[tuple[str, str, str], Target] = {}
        self._literal: dict[tuple[str, str, bool], Transport | None] = {}
        self._addresses: dict[str, str] = {}
        self._sips: dict[str, bool] = {}

    # -- one message

    def try_now(
        self, uri: Uri, now: float, *, stream: bool = False, key: bytes | None = None
    ) -> Candidates | None:
        """The candidates for a request to ``uri``, or None when DNS has to be asked first.

        ``stream``: the request is too large for UDP (RFC 3261 section 18.1.1). ``key``: a stateless
        proxy's; the same key gives the same candidates (section 4.4), whoever may have failed.
        """
        address = uri.address
        if address is not None and uri.port != 0 and address.version in self.rules.families:
            found = (uri.scheme, uri.parameters, stream)
            try:
                transport = self._literal[found]
            except KeyError:
                transport = self._remember_literal(uri, found)
            if transport is not None:
                self.counters.now += 1
                host = self._addresses.get(uri.host) or self._remember_address(uri.host, address)
                candidate = Candidate(transport, host, uri.port or transport.default_port, host)
                return LiteralCandidates(candidate, partial(self._plan_of_literal, uri, stream))
        return self.try_target(self.target_of(uri), now, stream=stream, key=key)

    def try_target(
        self, target: Target, now: float, *, stream: bool = False, key: bytes | None = None
    ) -> Candidates | None:
        """The candidates for ``target``, or None when DNS has to be asked first."""
        plan = self._plans.get((target, stream))
        if plan is None or plan.expires <= now:
            location, _ = self.search(target, now, stream=stream)
            if location.plan is None:
                return None
            plan = self.settle(location, now)
        self.counters.now += 1
        return self.candidates(plan, key)

    def candidates(self, plan: Plan, key: bytes | None = None) -> Candidates:
        """Candidates of ``plan`` for one message; ``key`` as in :meth:`try_now`."""
        if key is None:
            return Candidates(plan, self.draw, self.health)
        return Candidates(plan, seeded(key), None)

    def target_of(self, uri: Uri) -> Target:
        """The TARGET of ``uri``."""
        text = uri.scheme, uri.hostport, uri.parameters
        target = self._targets.get(text)
        if target is None:
            target = Target.of(uri)
            if sum(map(len, text)) <= _LONGEST:
                _make_room(self._targets, self.rules.plan_limit)
                self._targets[text] = target
        return target

    # -- what became of a message

    def failed(
        self, candidate: Candidate, failure: Failure, now: float, retry_after: float | None = None
    ) -> None:
        """A request to ``candidate`` failed (section 4.3). ``retry_after``: a 503's, in seconds."""
        self.health.failed(candidate, failure, now, retry_after)

    def answered(self, candidate: Candidate) -> None:
        """Some response came from ``candidate``."""
        if self.health:
            self.health.answered(candidate)

    # -- what DNS is asked

    def search(
        self, target: Target, now: float, *, stream: bool = False
    ) -> tuple[Location, list[Question]]:
        """Begin to locate ``target``; the second value is what has to be asked for it."""
        sips = self._sips.get(target.host, False)
        location = Location(target, self.rules, self.draw, stream=stream, sips=sips)
        return location, self._feed(location, now)

    def keep(self, answer: Answer, now: float) -> Answer:
        """Keep ``answer`` for its time; returns it with the TTL that was made of its own."""
        return self.cache.put(answer, now)

    def receive(self, location: Location, answer: Answer, now: float) -> list[Question]:
        """Give ``location`` an answer that was kept; returns what has to be asked next."""
        location.receive(answer, now)
        return self._feed(location, now)

    def _feed(self, location: Location, now: float) -> list[Question]:
        unknown: list[Question] = []
        while questions := location.data_to_send():
            for question in questions:
                answer = self.cache.get(question, now)
                if answer is None:
                    unknown.append(question)
                else:
                    location.receive(answer, now, cached=True)
        return unknown

    def settle(self, location: Location, now: float) -> Plan:
        """Keep the plan of ``location``, which is done, and return it."""
        plan = location.plan
        assert plan is not None, "a location that is not done has no plan"
        if self._sips_vanished(plan):
            self.counters.sips_vanished += 1
            warning = (
                f"the NAPTR records of {plan.target.host} had SIPS services and have them no "
                "longer: did somebody tamper with them? (RFC 3263 section 7)"
            )
            plan = replace(plan, warnings=(*plan.warnings, warning))
        target = plan.target
        if plan.expires > now and len(target.host) + len(target.transport or "") <= _LONGEST:
            self._keep(plan, location.stream)
        return plan

    def forget(self, target: Target, stream: bool) -> None:
        """Forget the plan of ``target``: an answer that it was made without has come."""
        plan = self._plans.pop((target, stream), None)
        if plan is not None:
            self._records -= _records_of(plan)

    def clear(self) -> None:
        """Forget answers and plans, not the servers that failed."""
        self.cache.clear()
        self._plans.clear()
        self._records = 0

    def _keep(self, plan: Plan, stream: bool) -> None:
        self.forget(plan.target, stream)
        records = _records_of(plan)
        limit = self.rules.plan_limit
        if len(self._plans) >= limit or self._records + records > limit * _USUAL:
            self.counters.forgotten += len(self._plans)
            self._plans.clear()
            self._records = 0
        self._plans[plan.target, stream] = plan
        self._records += records

    def _sips_vanished(self, plan: Plan) -> bool:
        """Whether the domain's NAPTR records lack a SIPS that they had when last asked."""
        for step in plan.steps:
            for lookup in step.lookups:
                answer = lookup.answer
                if (
                    answer.question.type is RecordType.NAPTR
                    and answer.outcome is not Outcome.FAILED
                ):
                    has = any(
                        isinstance(record, Naptr) and record.service.upper().startswith("SIPS+")
                        for record in answer.records
                    )
                    had = self._sips.pop(answer.question.name, False)
                    if has:
                        _make_room(self._sips, self.rules.plan_limit)
                        self._sips[answer.question.name] = True
                    return had and not has
        return False

    # -- literals

    def _remember_literal(self, uri: Uri, found: tuple[str, str, bool]) -> Transport | None:
        """The transport of every URI with an IP literal, that scheme and those parameters.

        None: its parameters call for more than that.
        """
        target = Target.of(uri)
        transports = self.rules.transports
        chosen = transport_of(target, without_udp(transports) if found[2] else transports)
        transport = None
        if isinstance(chosen, Transport) and target.origin == "host":
            transport = chosen
        if len(uri.parameters) <= _LONGEST:
            _make_room(self._literal, self.rules.plan_limit)
            self._literal[found] = transport
        return transport

    def _remember_address(self, host: str, address: IPAddress) -> str:
        """``address`` as every message to it writes it, whatever zeros the URI has."""
        _make_room(self._addresses, self.rules.plan_limit)
        return self._addresses.setdefault(host, str(address))

    def _plan_of_literal(self, uri: Uri, stream: bool) -> Plan:
        plan = Location(Target.of(uri), self.rules, self.draw, stream=stream).plan
        assert plan is not None, "a literal needs no answer"
        return plan


def _records_of(plan: Plan) -> int:
    return sum(len(lookup.judged) for step in plan.steps for lookup in step.lookups)


def _make_room(table: dict[_Key, _Value], limit: int) -> int:
    """Empty ``table`` if it is full; how many entries that were."""
    if len(table) < limit:
        return 0
    count = len(table)
    table.clear()
    return count
