"""DNS: any octets are one response, or a counted drop; whatever it says, RFC 3263 comes to an end.

The first two octets are the identifier, which is made ours. All questions get the same records.
"""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from trunkline.net.dns.client import ClientCounters, _decoded
from trunkline.net.dns.reading import no_use, read
from trunkline.sip.locate import Answer, Directory, Outcome, Rules, Target
from trunkline.sip.locate.records import Naptr, RecordType, Srv

_QUERIES = {
    kind: dns.message.make_query("x.example.", kind.name, id=0x1234, use_edns=0)
    for kind in RecordType
}


def _seed(
    kind: str, *lines: tuple[str, str, str], rcode: dns.rcode.Rcode = dns.rcode.NOERROR
) -> bytes:
    response = dns.message.make_response(_QUERIES[RecordType[kind]])
    response.set_rcode(rcode)
    for name, rdtype, text in lines:
        section = response.authority if rdtype in ("SOA", "NS") else response.answer
        section.append(dns.rrset.from_text(name, 60, "IN", rdtype, text))
    return response.to_wire()


_SOA = ("example.", "SOA", "ns.example. root.example. 1 2 3 4 5")
SEEDS = [
    _seed("A", ("x.example.", "A", "192.0.2.1")),
    _seed("AAAA", ("x.example.", "AAAA", "2001:db8::1"), ("x.example.", "A", "192.0.2.1")),
    _seed("SRV", ("x.example.", "SRV", "0 1 5060 x.example.")),
    _seed("SRV", ("x.example.", "SRV", "0 0 0 .")),
    _seed("NAPTR", ("x.example.", "NAPTR", '1 1 "s" "SIP+D2U" "" x.example.')),
    _seed("A", ("x.example.", "CNAME", "y.example."), ("y.example.", "CNAME", "x.example.")),
    _seed("A", ("x.example.", "CNAME", "y.example."), ("y.example.", "A", "192.0.2.1")),
    _seed("NAPTR", _SOA),
    _seed("A", _SOA, rcode=dns.rcode.NXDOMAIN),
    _seed("A", ("example.", "NS", "ns.example.")),
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    data = b"\x12\x34" + data[2:]
    for query in _QUERIES.values():
        counters = ClientCounters()
        response = _decoded(data, query, counters)
        assert (response is None) == (counters.mismatched + counters.malformed == 1)
        if response is None or response.flags & dns.flags.TC or no_use(response):
            continue
        found = read(response)
        assert found.ttl >= 0
        for record in found.records:
            assert isinstance(record, str | Srv | Naptr)
            assert str(record).isprintable()
        if found.outcome is not None:
            _locate(found.outcome, found.records, found.ttl)


def _locate(outcome: Outcome, records: tuple[str | Srv | Naptr, ...], ttl: float) -> None:
    directory = Directory(Rules(), lambda highest: highest)
    target = Target("x.example", None, None, False, None, "host")
    location, questions = directory.search(target, 0.0)
    while location.plan is None:
        question = questions.pop()
        answer = directory.keep(Answer(question, outcome, records, ttl), 0.0)
        questions += directory.receive(location, answer, 0.0)
    candidates = directory.candidates(directory.settle(location, 0.0))
    decision = candidates.decision(0.0)
    assert [each.candidate for each in decision.order] == list(
        iter(lambda: candidates.next(0.0), None)
    )
