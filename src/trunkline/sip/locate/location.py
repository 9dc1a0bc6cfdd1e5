"""The machine of RFC 3263: from a target to a plan, by questions and answers.

It follows sections 4.1 (transport), 4.2 (port and address) and 5 (responses), which differ only in
where the target comes from. ``data_to_send`` gives the questions, ``receive`` takes the answers in
any order, ``plan`` is there when it is done. One table has the procedure; ``docs/sip-locate.md``
shows it.

Left out: SCTP (SIP+D2S); the address records in the additional section of SRV answers, which RFC
2782 lets one use: they do not tell a family that is absent from one that did not fit in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from math import inf
from types import MappingProxyType
from typing import NamedTuple

from trunkline.sip.locate.decision import Candidate, Judged, Lookup, Problem, Reason, Stage, Step
from trunkline.sip.locate.ordering import Draw
from trunkline.sip.locate.plan import Plan, Server, tiers
from trunkline.sip.locate.records import Answer, Naptr, Outcome, Question, Record, RecordType
from trunkline.sip.locate.rules import FAMILIES, Rules
from trunkline.sip.locate.selection import (
    SrvSet,
    at_most,
    by_order,
    default_transport,
    srv_set,
    transport_of,
    unusable,
    without_udp,
)
from trunkline.sip.locate.target import NAPTR_SERVICES, Target, srv_name
from trunkline.sip.transport import Transport

__all__ = ["TABLE", "Event", "Location", "Phase", "Row"]


class Phase(Enum):
    """What is being waited for."""

    BEGIN = "begin"
    NAPTR = "NAPTR"
    SRV = "SRV"
    ADDRESSES = "addresses"
    DONE = "done"


class Event(Enum):
    """What the target, or the answers of a phase, turn out to be."""

    IMPOSSIBLE = "nothing that we could send"
    NUMERIC = "an IP literal"
    PORT = "a domain with a port"
    TRANSPORT = "a domain with a transport and no port"
    BARE = "a domain alone"
    USABLE = "records that serve"
    NONE = "no record that serves"
    NEXT = "no record that serves, but a NAPTR record of a higher order"
    SILENT = "no answer, where TLS was known or nobody could be asked"
    REFUSED = "the target '.' and nothing else"
    ANSWERED = "all answered, or patience with the rest at its end"


class Row(NamedTuple):
    """What follows an event."""

    next: Phase
    action: str
    clause: str


TABLE = MappingProxyType(
    {
        (Phase.BEGIN, Event.IMPOSSIBLE): Row(Phase.DONE, "give_up", "RFC 3263 4.1"),
        (Phase.BEGIN, Event.NUMERIC): Row(Phase.DONE, "use_literal", "RFC 3263 4.2"),
        (Phase.BEGIN, Event.PORT): Row(Phase.ADDRESSES, "ask_domain_at_port", "RFC 3263 4.2"),
        (Phase.BEGIN, Event.TRANSPORT): Row(Phase.SRV, "ask_srv_of_transport", "RFC 3263 4.2"),
        (Phase.BEGIN, Event.BARE): Row(Phase.NAPTR, "ask_naptr", "RFC 3263 4.1"),
        (Phase.NAPTR, Event.USABLE): Row(Phase.SRV, "ask_srv_of_naptr", "RFC 3263 4.2"),
        (Phase.NAPTR, Event.NONE): Row(Phase.SRV, "ask_srv_of_each", "RFC 3263 4.1"),
        (Phase.NAPTR, Event.SILENT): Row(Phase.DONE, "give_up", "RFC 3263 7"),
        (Phase.SRV, Event.USABLE): Row(Phase.ADDRESSES, "ask_servers", "RFC 2782"),
        (Phase.SRV, Event.NEXT): Row(Phase.SRV, "ask_srv_of_naptr", "RFC 3403 4.1"),
        (Phase.SRV, Event.NONE): Row(Phase.ADDRESSES, "ask_domain", "RFC 3263 4.2"),
        (Phase.SRV, Event.REFUSED): Row(Phase.DONE, "give_up", "RFC 2782"),
        (Phase.ADDRESSES, Event.ANSWERED): Row(Phase.DONE, "finish", "RFC 3263 4.2"),
    }
)
"""The procedure."""

_ORIGINS = {"host": Reason.HOST, "maddr": Reason.MADDR, "sent-by": Reason.SENT_BY}


class _Service(NamedTuple):
    """SRV records to ask for, and what they stand for."""

    transport: Transport
    name: str
    naptr: Naptr | None = None


class Location:
    """One target being located. What was answered once is not asked again."""

    def __init__(
        self,
        target: Target,
        rules: Rules,
        draw: Draw,
        *,
        stream: bool = False,
        sips: bool = False,
    ) -> None:
        """Begin; what can be decided without a question is decided at once.

        ``draw`` chooses whom to look up of a set that is larger than ``rules.server_limit``.
        ``stream``: the request is too large for UDP (RFC 3261 section 18.1.1). ``sips``: the
        domain's NAPTR records had SIPS when they were asked for last (RFC 3263 section 7).
        """
        self.target = target
        self.stream = stream
        self.phase = Phase.BEGIN
        self.plan: Plan | None = None
        """What it came to, as soon as ``phase`` is ``DONE``."""
        self._rules = rules
        self._draw = draw
        self._sips = sips
        self._transports = without_udp(rules.transports) if stream else rules.transports
        self._steps: list[Step] = []
        self._answers: dict[Question, tuple[Answer, bool]] = {}
        self._awaited: set[Question] = set()
        self._unsent: list[Question] = []
        self._expires = inf
        self._deadline: float | None = None
        self._transport: Transport | None = None
        self._naptr: dict[Naptr, Reason] = {}
        self._orders: list[list[Naptr]] = []
        self._secure_failed = False
        self._services: list[_Service] = []
        self._sets: dict[_Service, SrvSet] = {}
        self._servers: list[list[Server]] = []  # by service
        self._best: frozenset[str] = frozenset()
        self._problem: Problem | None = None
        self._begin()

    # -- what comes in, what goes out

    def data_to_send(self) -> tuple[Question, ...]:
        """The questions that have come up since the last call; they may be asked all at once."""
        questions = tuple(self._unsent)
        self._unsent.clear()
        return questions

    def receive(self, answer: Answer, now: float, *, cached: bool = False) -> None:
        """Take an answer; one that is not waited for is ignored.

        ``cached`` is for the record. ``answer.ttl`` is what is left of it at ``now``.
        """
        if answer.question not in self._awaited:
            return
        self._awaited.discard(answer.question)
        self._answers[answer.question] = answer, cached
        self._expires = min(self._expires, now + answer.ttl)
        if self._deadline is None and answer.records and answer.question.name in self._best:
            self._deadline = now + self._rules.patience
        if not self._awaited:
            self._advance()

    def next_timeout(self) -> float | None:
        """When to call :meth:`on_timeout`, or None."""
        return self._deadline if self.phase is Phase.ADDRESSES else None

    def on_timeout(self, now: float) -> None:
        """Go on without the addresses that are still out; there are others."""
        deadline = self.next_timeout()
        if deadline is not None and now >= deadline:
            self._expires = min(self._expires, now + self._rules.failure_ttl)
            self._awaited.clear()
            self._advance()

    def _ask(self, questions: Iterable[Question]) -> None:
        for question in questions:
            if question not in self._answers and question not in self._awaited:
                self._awaited.add(question)
                self._unsent.append(question)

    def _advance(self) -> None:
        """All that this phase has asked is answered."""
        if self.phase is Phase.NAPTR:
            self._go(self._judge_naptr())
        elif self.phase is Phase.SRV:
            self._go(self._judge_srv())
        else:
            self._go(Event.ANSWERED)

    def _go(self, event: Event) -> None:
        row = TABLE[self.phase, event]
        self.phase = row.next
        action: Callable[[Location], None] = getattr(Location, f"_{row.action}")
        action(self)
        if self.phase is not Phase.DONE and not self._awaited:
            self._advance()  # an earlier phase has asked it all

    def _add(
        self, stage: Stage, reason: Reason, result: str, lookups: Iterable[Lookup] = ()
    ) -> None:
        self._steps.append(Step(stage, reason, result, tuple(lookups)))

    def _lookup(self, question: Question, judged: Iterable[tuple[Record, Reason]]) -> Lookup:
        answer, cached = self._answers[question]
        return Lookup(answer, tuple(Judged(str(record), why) for record, why in judged), cached)

    # -- the target (4), and what follows from it alone (4.1)

    def _begin(self) -> None:
        target = self.target
        self._add(Stage.TARGET, _ORIGINS[target.origin], str(target))
        chosen = transport_of(target, self._transports)
        if isinstance(chosen, Problem):
            self._problem = chosen
        elif target.port == 0:
            self._problem = Problem("locate.port", f"{target}: nothing can be sent to port 0")
        elif target.version is not None and target.version not in self._rules.families:
            self._problem = Problem(
                "locate.family",
                f"{target} is an IPv{target.version} address, and this node does not send by "
                f"IPv{target.version}: let it listen on an address of that version",
            )
        if isinstance(chosen, Problem) or self._problem is not None:
            self._go(Event.IMPOSSIBLE)
            return
        if target.transport is None and target.port is None and target.version is None:
            self._go(Event.BARE)
            return
        self._choose(chosen, self._why(chosen))
        if target.version is not None:
            self._go(Event.NUMERIC)
        elif target.port is not None:
            self._go(Event.PORT)
        else:
            self._go(Event.TRANSPORT)

    def _why(self, chosen: Transport) -> Reason:
        target = self.target
        if chosen is Transport.TCP and target.transport in (None, "udp"):
            return Reason.STREAM if Transport.UDP in self._rules.transports else Reason.NO_UDP
        if target.origin == "sent-by":
            return Reason.VIA
        if target.transport is not None:
            return Reason.PARAMETER
        return Reason.PORT if target.version is None else Reason.NUMERIC

    def _choose(self, transport: Transport, reason: Reason, lookups: Iterable[Lookup] = ()) -> None:
        self._transport = transport
        self._add(Stage.TRANSPORT, reason, transport.value, lookups)

    def _give_up(self) -> None:
        if self._sets:
            self._add_servers(Reason.REFUSED, "none")
            self._problem = Problem(
                "locate.no-service",
                f"{self.target.host} has no such service, by its own word; ask its administrator",
            )
        self._make_plan()

    def _use_literal(self) -> None:
        host, port = self.target.host, self.target.port or self._chosen.default_port
        only = Candidate(self._chosen, host, port, host)
        self._servers = [[Server(self._chosen, host, port, ((only,),))]]
        self._add(Stage.SERVERS, Reason.NUMERIC_SERVER, f"port {port}")
        self._make_plan()

    @property
    def _chosen(self) -> Transport:
        assert self._transport is not None, "no row leads here without a transport"
        return self._transport

    # -- NAPTR (4.1)

    def _ask_naptr(self) -> None:
        self._ask([Question(self.target.host, RecordType.NAPTR)])

    def _judge_naptr(self) -> Event:
        answer, _ = self._answers[Question(self.target.host, RecordType.NAPTR)]
        if answer.outcome is Outcome.FAILED and self._may_be_secure(answer):
            self._problem = Problem(
                "locate.dns",
                f"DNS does not tell the transport of {self.target.host}, which may be TLS:"
                f" {answer.note}; `trunkline sip locate` shows which servers are asked",
            )
            self._add(
                Stage.TRANSPORT, Reason.NO_ANSWER, "none", [self._lookup(answer.question, ())]
            )
            return Event.SILENT
        records = [record for record in answer.records if isinstance(record, Naptr)]
        usable = []
        for record in sorted(set(records)):
            reason = unusable(record, self.target.secure, self._transports)
            self._naptr[record] = reason or Reason.NAPTR_LATER
            if reason is None:
                usable.append(record)
        self._orders = by_order(usable, self._transports, self._rules.naptr_limit)
        if len(usable) > self._rules.naptr_limit:
            for record in set(usable).difference(*self._orders):
                self._naptr[record] = Reason.NAPTR_LIMIT
        return Event.USABLE if usable else Event.NONE

    def _may_be_secure(self, failure: Answer) -> bool:
        """Whether going on without the domain's NAPTR records may be what an attacker wants.

        Section 7: "a client MAY reject the request" where SIPS was there before. That nobody was
        asked is what somebody else's many questions may have brought about.
        """
        ours = any(transport.secure for transport in self._transports)
        return ours and not self.target.secure and (self._sips or not failure.asked)

    def _ask_srv_of_naptr(self) -> None:
        self._ask_srv(
            _Service(NAPTR_SERVICES[record.service.upper()], record.replacement, record)
            for record in self._orders.pop(0)
        )

    # -- SRV (4.1, 4.2)

    def _ask_srv_of_each(self) -> None:
        # '"_sip" for SIP URIs and "_sips" for SIPS URIs'; who has nothing but TLS wishes for TLS.
        ours = [each for each in self._transports if each.secure == self.target.secure]
        self._ask_srv(
            _Service(transport, srv_name(transport, self.target.host))
            for transport in ours or self._transports
        )

    def _ask_srv_of_transport(self) -> None:
        self._ask_srv([_Service(self._chosen, srv_name(self._chosen, self.target.host))])

    def _ask_srv(self, services: Iterable[_Service]) -> None:
        self._services = list(services)
        self._ask(Question(service.name, RecordType.SRV) for service in self._services)

    def _judge_srv(self) -> Event:
        found: list[_Service] = []
        for service in self._services:
            secure = service.transport.secure
            answer, _ = self._answers[Question(service.name, RecordType.SRV)]
            self._sets[service] = srv_set(answer)
            reason = Reason.NAPTR_NO_SRV
            if self._sets[service].usable:
                # Section 7: nobody who breaks the secure servers gets the message in the clear.
                if not secure and self._secure_first(found):
                    reason = Reason.NAPTR_DOWNGRADE
                else:
                    reason = Reason.NAPTR_NEXT if found else Reason.NAPTR_USED
                    found.append(service)
            if service.naptr is not None:
                self._naptr[service.naptr] = reason
                self._secure_failed |= secure and answer.outcome is Outcome.FAILED
        if found:
            self._services = found
            return Event.USABLE
        if self._orders:
            return Event.NEXT
        self._services = [each for each in self._sets if not self._sets[each].refused]
        return Event.NONE if self._services else Event.REFUSED

    def _secure_first(self, found: list[_Service]) -> bool:
        """Whether a secure service is preferred, be it that nobody told of its servers."""
        return self._secure_failed or bool(found and found[0].transport.secure)

    def _ask_servers(self) -> None:
        first = self._services[0]
        if self._transport is None:
            self._choose_by_dns(
                first.transport, Reason.BY_SRV if first.naptr is None else Reason.BY_NAPTR
            )
        room = self._rules.server_limit
        for service in self._services:
            usable = self._sets[service].usable
            kept = at_most(room, usable, self._draw)
            room -= len(kept)
            for record in usable:
                if record not in kept:
                    self._sets[service].verdicts[record] = Reason.SRV_LIMIT
            self._servers.append(
                [
                    Server(
                        service.transport, each.target, each.port, (), each.priority, each.weight
                    )
                    for each in sorted(kept)
                ]
            )
        wanted = sum(map(len, self._servers))
        self._add_servers(Reason.SRV_SERVERS, f"{wanted} of {first.name}")
        self._ask_addresses()

    # -- the domain's own addresses (4.2)

    def _ask_domain_at_port(self) -> None:
        assert self.target.port is not None, "the row is for a target with a port"
        port = self.target.port
        self._servers = [[Server(self._chosen, self.target.host, port, ())]]
        self._add(Stage.SERVERS, Reason.PORT_SERVER, f"port {port}")
        self._ask_addresses()

    def _ask_domain(self) -> None:
        if self._transport is None:
            first = self._services[0]
            offered = [service.transport for service in self._services]
            chosen = default_transport(offered, self.target.secure)
            self._choose_by_dns(
                first.transport if first.naptr or chosen is None else chosen, Reason.DEFAULT
            )
        port = self._chosen.default_port
        self._servers = [[Server(self._chosen, self.target.host, port, ())]]
        self._add_servers(Reason.NO_SRV, f"port {port}")
        self._ask_addresses()

    # -- the addresses (4.2), and what came of it all

    def _ask_addresses(self) -> None:
        # "A client MUST attempt to contact the target host with the lowest-numbered priority"
        first = self._servers[0]
        priority = min(server.priority or 0 for server in first)
        self._best = frozenset(each.name for each in first if (each.priority or 0) == priority)
        self._ask(
            Question(name, FAMILIES[version])
            for name in self._names()
            for version in self._rules.families
        )

    def _names(self) -> list[str]:
        return list(dict.fromkeys(server.name for each in self._servers for server in each))

    def _finish(self) -> None:
        names = self._names()
        lookups: list[Lookup] = []
        found = {name: self._addresses_of(name, lookups) for name in names}
        self._servers = [
            [self._with_addresses(server, found[server.name]) for server in servers]
            for servers in self._servers
        ]
        total = sum(len(equals) for families in found.values() for equals in families)
        self._add(Stage.ADDRESSES, Reason.ADDRESSES, f"{total} found", lookups)
        if not total:
            self._problem = self._no_address(names)
        self._make_plan()

    def _addresses_of(self, name: str, lookups: list[Lookup]) -> list[list[str]]:
        """The addresses of ``name`` by version of IP, with the look-ups added to the record."""
        room = self._rules.address_limit
        families: list[list[str]] = []
        for version in self._rules.families:
            question = Question(name, FAMILIES[version])
            if question not in self._answers:
                late = f"no answer yet after {self._rules.patience:g} s"
                self._answers[question] = Answer(question, Outcome.FAILED, note=late), False
            # Sorted: the order of a set means nothing, and every process must see the same.
            addresses = sorted(
                record for record in self._answers[question][0].records if isinstance(record, str)
            )
            families.append(addresses[:room])
            judged = [(each, Reason.ADDRESS_USED) for each in addresses[:room]]
            judged += [(each, Reason.ADDRESS_LIMIT) for each in addresses[room:]]
            room -= len(families[-1])
            lookups.append(self._lookup(question, judged))
        return families

    def _with_addresses(self, server: Server, families: list[list[str]]) -> Server:
        transport, port, domain = server.transport, server.port, self.target.host
        return server._replace(
            families=tuple(
                tuple(Candidate(transport, address, port, domain) for address in addresses)
                for addresses in families
                if addresses
            )
        )

    def _no_address(self, names: list[str]) -> Problem:
        shown = names[0]
        if len(names) > 1:
            shown = f"none of {len(names)} servers has an address: {names[0]}, for one,"
        answers = [answer for answer, _ in self._answers.values()]
        for answer in answers:
            if answer.outcome is Outcome.FAILED and answer.question.name in names:
                return Problem(
                    "locate.dns",
                    f"DNS does not tell the address of {names[0]}: {answer.note}; "
                    "`trunkline sip locate` shows which servers are asked",
                )
        kinds = " or ".join(FAMILIES[version].name for version in self._rules.families)
        gone = all(
            answer.outcome is Outcome.NO_NAME for answer in answers if answer.question.name in names
        )
        return Problem(
            "locate.no-address",
            f"{shown} {'does not exist' if gone else f'has no {kinds} record'}: check the name, "
            "or add the record to its zone",
        )

    def _make_plan(self) -> None:
        self.plan = Plan(
            self.target,
            () if self._problem else tiers(self._servers),
            tuple(self._steps),
            self._expires,
            self._problem,
            tuple(self._warnings()),
        )

    def _warnings(self) -> Iterable[str]:
        named = {
            server.name
            for servers in self._servers
            for server in servers
            if server.priority is not None
        }
        failed = []
        for answer, _ in self._answers.values():
            name, kind = answer.question
            if answer.outcome is Outcome.FAILED and kind in (RecordType.NAPTR, RecordType.SRV):
                failed.append(str(answer.question))
            if answer.aliases and name in named:
                yield f"{name} is the target of an SRV record and an alias, which RFC 2782 forbids"
        if failed and self._problem is None:
            yield f"no answer to {', '.join(failed)}: went on as if there were no such records"

    # -- the record

    def _choose_by_dns(self, transport: Transport, reason: Reason) -> None:
        question = Question(self.target.host, RecordType.NAPTR)
        self._choose(transport, reason, [self._lookup(question, self._naptr.items())])

    def _add_servers(self, reason: Reason, result: str) -> None:
        self._add(
            Stage.SERVERS,
            reason,
            result,
            [
                self._lookup(Question(service.name, RecordType.SRV), found.verdicts.items())
                for service, found in self._sets.items()
            ],
        )
