"""Whatever DNS says, in whatever order: the machine ends, asks nothing twice, invents nothing."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sip.locate.support import Zone, drive, tried

from trunkline.sip.locate import (
    Answer,
    Directory,
    Location,
    Outcome,
    Question,
    RecordType,
    Rules,
    Target,
)
from trunkline.sip.locate.decision import Reason
from trunkline.sip.locate.records import Naptr, Record, Srv
from trunkline.sip.locate.report import as_json, as_text
from trunkline.sip.transport import Transport

NAMES = [
    "x.example",
    "a.x.example",
    "b.x.example",
    "_sip._udp.x.example",
    "_sips._tcp.x.example",
    ".",
]
names = st.sampled_from(NAMES)
numbers = st.sampled_from([0, 1, 2, 100, 65535])
addresses = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"])
srvs = st.builds(Srv, numbers, numbers, st.sampled_from([0, 5060, 5070]), names)
services = st.sampled_from(["SIP+D2U", "sip+d2t", "SIPS+D2T", "SIP+D2S", "SIP+D2W", "E2U+sip", ""])
naptrs = st.builds(
    Naptr, numbers, numbers, st.sampled_from(["s", "S", "a", ""]), services, st.just(""), names
)
records: dict[RecordType, st.SearchStrategy[list[Record]]] = {
    RecordType.A: st.lists(addresses, max_size=4),
    RecordType.AAAA: st.lists(addresses, max_size=4),
    RecordType.SRV: st.lists(srvs, max_size=6),
    RecordType.NAPTR: st.lists(naptrs, max_size=6),
}
targets = st.builds(
    Target,
    st.just("x.example"),
    st.sampled_from([None, 0, 5060]),
    st.sampled_from([None, "udp", "tcp", "tls", "ws", "sctp"]),
    st.booleans(),
    st.none(),
    st.sampled_from(["host", "maddr", "sent-by"]),
)
rules = st.builds(
    Rules,
    transports=st.lists(st.sampled_from(Transport), min_size=1, unique=True).map(tuple),
    families=st.sampled_from([(4,), (6,), (4, 6), (6, 4)]),
    server_limit=st.sampled_from([1, 2, 64]),
    address_limit=st.sampled_from([1, 3]),
)


class AnyZone:
    """Answers as the data draws them, the same each time."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.asked: list[Question] = []
        self.given: set[str] = set()

    def answer(self, question: Question) -> Answer:
        assert question not in self.asked
        self.asked.append(question)
        if self.data.draw(st.integers(0, 5)) == 0:
            return Answer(question, Outcome.FAILED, note="timeout")
        found = tuple(self.data.draw(records[question.type]))
        self.given.update(each for each in found if isinstance(each, str))
        outcome = Outcome.FOUND if found else Outcome.NO_DATA
        return Answer(question, outcome, found, 60.0)


@settings(max_examples=400, deadline=None)
@given(target=targets, rules=rules, stream=st.booleans(), data=st.data())
def test_any_zone(target: Target, rules: Rules, stream: bool, data: st.DataObject) -> None:
    directory = Directory(rules, lambda highest: data.draw(st.integers(0, highest)))
    zone = AnyZone(data)
    location, questions = directory.search(target, 0.0, stream=stream)
    while location.plan is None:
        assert questions
        following: list[Question] = []
        for index in data.draw(st.permutations(range(len(questions)))):
            question = questions[index]
            following += directory.receive(
                location, directory.keep(zone.answer(question), 0.0), 0.0
            )
        questions = following
    candidates = directory.candidates(directory.settle(location, 0.0))
    decision = candidates.decision(0.0)
    # The record's winner is the action taken, to the end.
    assert tried(candidates) == [str(each.candidate) for each in decision.order]
    assert bool(decision.order) == (decision.problem is None)
    for each in decision.order:
        candidate = each.candidate
        assert candidate.host in zone.given
        assert candidate.transport in rules.transports
        assert candidate.transport.secure or not target.secure
        assert candidate.port
        ip_address(candidate.host)
    # A better service of a domain is not backed up by one in the clear.
    if decision.order and decision.order[0].candidate.transport.secure:
        assert all(each.candidate.transport.secure for each in decision.order)
    if target.port:
        assert {question.type for question in zone.asked} <= {RecordType.A, RecordType.AAAA}
    assert len(decision.order) <= rules.server_limit * rules.address_limit
    assert as_text(decision)
    assert as_json(decision)
    used = [each for lookup in decision.lookups for each in lookup.judged]
    assert all(isinstance(each.reason, Reason) for each in used)


@settings(max_examples=100, deadline=None)
@given(target=targets, data=st.data())
def test_patience_may_end_at_any_time(target: Target, data: st.DataObject) -> None:
    location = Location(target, Rules(), lambda highest: 0)
    zone = AnyZone(data)
    questions = list(location.data_to_send())
    now = 0.0
    while location.plan is None:
        answers = data.draw(st.integers(0, 3)) > 0
        if questions and answers:
            location.receive(zone.answer(questions.pop(0)), now)
        else:
            deadline = location.next_timeout()
            if deadline is not None:
                now = deadline
                location.on_timeout(now)
            elif questions:
                location.receive(zone.answer(questions.pop(0)), now)
        questions += location.data_to_send()
    assert location.next_timeout() is None
    location.on_timeout(now + 1000)


def test_driving_needs_three_rounds_at_most() -> None:
    # NAPTR, SRV, addresses: how long it takes is a matter of rounds.
    zone = Zone({})
    directory = Directory(Rules(), lambda highest: 0)
    target = Target("x.example", None, None, False, None, "host")
    drive(*directory.search(target, 0.0), zone, directory)
    assert [text.partition(" ")[0] for text in zone.asked] == ["NAPTR", "SRV", "SRV", "AAAA", "A"]
