"""A zone in a dict, a clock to set by hand, and numbers instead of chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from trunkline.sip.locate import (
    Answer,
    Candidates,
    Decision,
    Directory,
    Location,
    Outcome,
    Question,
    RecordType,
    Rules,
    Target,
)
from trunkline.sip.locate.location import Phase
from trunkline.sip.locate.ordering import Draw
from trunkline.sip.locate.plan import Plan
from trunkline.sip.locate.records import Naptr, Record, Srv
from trunkline.sip.transport import Transport
from trunkline.sip.uri import Uri

Records: TypeAlias = "Mapping[str, Sequence[Record] | None]"
"""Records by ``"TYPE name"``; None where no server answers."""

A, AAAA, SRV, NAPTR = RecordType.A, RecordType.AAAA, RecordType.SRV, RecordType.NAPTR
UDP, TCP, TLS, WS, WSS = Transport

V4 = Rules(families=(4,))
"""Rules of most tests: one look-up for an address."""


def naptr(order: int, preference: int, service: str, replacement: str, **other: str) -> Naptr:
    return Naptr(
        order, preference, other.get("flags", "s"), service, other.get("regexp", ""), replacement
    )


def scripted(*numbers: int) -> Draw:
    """Draws these numbers, and fails when there are no more or one does not fit."""
    left = list(numbers)

    def draw(highest: int) -> int:
        number = left.pop(0)
        assert 0 <= number <= highest
        return number

    return draw


def lowest(highest: int) -> int:
    return 0


class Zone:
    """Records by ``"TYPE name"``; a failure stands there as ``None``. Remembers what was asked."""

    def __init__(self, records: Records, *, ttl: float = 60.0) -> None:
        self.records = dict(records)
        self.ttl = ttl
        self.asked: list[str] = []

    def answer(self, question: Question) -> Answer:
        text = str(question)
        self.asked.append(text)
        found = self.records.get(text, ())
        if found is None:
            return Answer(question, Outcome.FAILED, note="192.0.2.53:53: SERVFAIL")
        if found:
            return Answer(question, Outcome.FOUND, tuple(found), self.ttl)
        known = any(key.partition(" ")[2] == question.name for key in self.records)
        return Answer(question, Outcome.NO_DATA if known else Outcome.NO_NAME, (), self.ttl / 2)


def plan_of(target: Target, zone: Zone, directory: Directory, *, stream: bool = False) -> Plan:
    location, questions = directory.search(target, 0.0, stream=stream)
    drive(location, questions, zone, directory)
    return directory.settle(location, 0.0)


def drive(location: Location, questions: list[Question], zone: Zone, directory: Directory) -> None:
    while location.plan is None:
        assert questions, "waits for nothing"
        following: list[Question] = []
        for question in questions:
            answer = directory.keep(zone.answer(question), 0.0)
            following += directory.receive(location, answer, 0.0)
        questions = following


def locate(
    uri: str | Target,
    records: Records | Zone,
    rules: Rules = V4,
    draw: Draw = lowest,
    *,
    stream: bool = False,
) -> Decision:
    """The decision for ``uri``, with everything drawn."""
    zone = records if isinstance(records, Zone) else Zone(records)
    directory = Directory(rules, draw)
    target = Target.of(Uri.parse(uri)) if isinstance(uri, str) else uri
    plan = plan_of(target, zone, directory, stream=stream)
    return directory.candidates(plan).decision(0.0)


def order(decision: Decision) -> list[str]:
    return [str(each.candidate) for each in decision.order]


def reasons(decision: Decision) -> list[str]:
    return [step.reason.code for step in decision.steps]


def verdicts(decision: Decision) -> dict[str, str]:
    """What became of every NAPTR and SRV record."""
    return {
        judged.record: judged.reason.code
        for lookup in decision.lookups
        for judged in lookup.judged
        if lookup.answer.question.type in (SRV, NAPTR)
    }


def tried(candidates: Candidates, now: float = 0.0) -> list[str]:
    """All that ``candidates`` still have."""
    found = []
    while (candidate := candidates.next(now)) is not None:
        found.append(str(candidate))
    return found


def srv(priority: int, weight: int, target: str, port: int = 5060) -> Srv:
    return Srv(priority, weight, port, target)


def state(location: Location) -> tuple[Phase, Plan | None]:
    """Read again: a checker would take what was read before for still true."""
    return location.phase, location.plan
