"""RFC 3263 against the zones of a real BIND: every record that we read is one that it wrote."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.bind import Named

from trunkline.net.dns import Locator, Resolver, ResolverSettings
from trunkline.net.loop import new_event_loop
from trunkline.sip.locate import Candidates, Decision, Failure, Outcome, Question, RecordType, Rules
from trunkline.sip.locate.decision import Reason
from trunkline.sip.transport import Transport
from trunkline.sip.uri import Uri

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

HEAD = """\
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 25
@ NS ns
ns A 127.0.0.1
"""
LARGE = "\n".join(
    [f"_sip._udp.large SRV 0 1 5060 n{each}.large" for each in range(90)]
    + [f"n{each}.large A 10.1.0.{each}" for each in range(90)]
)
IMS = f"""{HEAD}
@ NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp
@ NAPTR 20 50 "s" "SIP+D2U" "" _sip._udp
@ NAPTR 30 50 "s" "SIP+D2T" "" _sip._tcp
@ NAPTR 90 10 "u" "E2U+sip" "!^.*$!sip:info@ims.example!" .
_sips._tcp 30 SRV 0 1 5061 tls
_sip._udp SRV 0 60 5060 a
_sip._udp SRV 0 30 5070 b
_sip._udp SRV 0 10 5060 c
_sip._udp SRV 0 0 5060 z
_sip._udp SRV 5 0 5060 backup
_sip._tcp SRV 0 1 5060 a
a A 10.0.0.1
b A 10.0.0.2
c A 10.0.0.3
z A 10.0.0.4
backup A 10.0.0.5
backup AAAA 2001:db8::5
tls AAAA 2001:db8::6
tls A 10.0.0.6
; The seed's S-CSCF: a pool by SRV, and an address of its own.
scscf NAPTR 10 50 "s" "SIP+D2U" "" _sip._udp.scscf
_sip._udp.scscf SRV 0 50 5060 a
_sip._udp.scscf SRV 0 50 5070 b
scscf A 10.0.0.21
; No NAPTR: SRV for each transport.
_sip._tcp.nonaptr SRV 0 1 5080 a
nonaptr A 10.0.0.31
; Nothing but an address.
plain A 10.0.0.41
; No such service.
_sip._udp.none SRV 0 0 0 .
none A 10.0.0.51
; Aliases.
alias CNAME far.other.example.
_sip._udp.aliased SRV 0 1 5060 alias
loop1 CNAME loop2
loop2 CNAME loop1
{LARGE}
"""
OTHER = f"""{HEAD}
far A 10.9.0.1
"""


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    zones = {"ims.example": IMS, "other.example": OTHER}
    running = Named(tmp_path_factory.mktemp("named"), zones)
    yield running
    running.stop()


V4 = Rules(families=(4,))


def settings(*servers: str) -> ResolverSettings:
    return ResolverSettings(servers=servers, hosts=None, timeout=1.0, attempts=2)


def locate(named: Named, uri: str, rules: Rules = V4) -> Decision:
    async def run() -> Decision:
        locator = Locator(Resolver(settings(named.server)), rules)
        found: Candidates = await locator.locate(Uri.parse(uri))
        await locator.close()
        return found.decision(locator.now())

    return new_event_loop().run_until_complete(run())


def order(decision: Decision) -> list[str]:
    return [str(each.candidate) for each in decision.order]


def asked(decision: Decision) -> list[str]:
    return [str(lookup.answer.question) for lookup in decision.lookups]


def test_naptr_prefers_sips_and_both_versions_of_ip(named: Named) -> None:
    decision = locate(named, "sip:ims.example", Rules())
    assert order(decision) == ["TLS [2001:db8::6]:5061", "TLS 10.0.0.6:5061"]
    assert decision.lookups[0].answer.ttl == 60
    assert decision.lookups[1].answer.ttl == 30
    assert [judged.reason for judged in decision.lookups[0].judged] == [
        Reason.NAPTR_USED,
        Reason.NAPTR_LATER,
        Reason.NAPTR_LATER,
        Reason.NAPTR_SERVICE,
    ]


def test_without_tls_it_is_udp_with_its_priorities(named: Named) -> None:
    rules = Rules((Transport.UDP, Transport.TCP), families=(4,))
    found = order(locate(named, "sip:ims.example", rules))
    assert sorted(found[:4]) == [
        "UDP 10.0.0.1:5060",
        "UDP 10.0.0.2:5070",
        "UDP 10.0.0.3:5060",
        "UDP 10.0.0.4:5060",
    ]
    assert found[4:] == ["UDP 10.0.0.5:5060"]


def test_the_port_of_the_seed_keeps_srv_away(named: Named) -> None:
    decision = locate(named, "sip:scscf.ims.example:5060")
    assert asked(decision) == ["A scscf.ims.example"]
    assert order(decision) == ["UDP 10.0.0.21:5060"]
    decision = locate(named, "sip:scscf.ims.example")
    assert asked(decision)[:2] == ["NAPTR scscf.ims.example", "SRV _sip._udp.scscf.ims.example"]
    assert sorted(order(decision)) == ["UDP 10.0.0.1:5060", "UDP 10.0.0.2:5070"]


@pytest.mark.parametrize(
    ("uri", "expected", "problem"),
    [
        ("sip:nonaptr.ims.example", ["TCP 10.0.0.1:5080"], None),
        ("sip:plain.ims.example", ["UDP 10.0.0.41:5060"], None),
        ("sips:plain.ims.example", ["TLS 10.0.0.41:5061"], None),
        ("sip:none.ims.example;transport=udp", [], "locate.no-service"),
        ("sip:nowhere.ims.example", [], "locate.no-address"),
        ("sip:alias.ims.example:5060", ["UDP 10.9.0.1:5060"], None),
        ("sip:aliased.ims.example;transport=udp", ["UDP 10.9.0.1:5060"], None),
        ("sip:loop1.ims.example:5060", [], "locate.dns"),
        ("sip:not-served.example", [], "locate.dns"),
    ],
)
def test_the_other_branches(
    named: Named, uri: str, expected: list[str], problem: str | None
) -> None:
    decision = locate(named, uri)
    assert order(decision) == expected
    assert (decision.problem and decision.problem.code) == problem
    if "aliased" in uri:
        assert "RFC 2782 forbids" in decision.warnings[0]
    if "not-served" in uri:
        assert decision.problem is not None
        assert "REFUSED: it does not serve this name to us" in decision.problem.message


def test_a_negative_answer_lives_as_its_soa_says(named: Named) -> None:
    answer = locate(named, "sip:nowhere.ims.example").lookups[0].answer
    assert (answer.outcome, answer.ttl) == (Outcome.NO_NAME, 25)


def test_a_set_too_large_for_udp_comes_over_tcp(named: Named) -> None:
    async def run() -> None:
        resolver = Resolver(settings(named.server))
        answer = await resolver.ask(Question("_sip._udp.large.ims.example", RecordType.SRV))
        assert len(answer.records) == 90
        assert resolver.wire.tcp == 1
        locator = Locator(resolver, V4)
        found = await locator.locate(Uri.parse("sip:large.ims.example;transport=udp"))
        assert len(found.decision(0.0).order) == 64

    new_event_loop().run_until_complete(run())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_spread_of_2000_calls_follows_the_weights(named: Named, seed: int) -> None:
    source = random.Random(seed)

    async def run() -> Counter[str]:
        locator = Locator(
            Resolver(settings(named.server)),
            Rules((Transport.UDP,), families=(4,)),
            draw=lambda highest: source.randint(0, highest),
        )
        seen: Counter[str] = Counter()
        uri = Uri.parse("sip:ims.example")
        for _ in range(2000):
            found = locator.try_now(uri) or await locator.locate(uri)
            candidate = found.next(locator.now())
            assert candidate is not None
            seen[candidate.host] += 1
        assert locator.directory.counters.asked == 1
        return seen

    seen = new_event_loop().run_until_complete(run())
    # The draw is from 0 to 100, and 0 is the one with weight 0.
    expected = {"10.0.0.1": 60, "10.0.0.2": 30, "10.0.0.3": 10, "10.0.0.4": 1}
    chi_square = sum(
        (seen[host] - 2000 * share / 101) ** 2 / (2000 * share / 101)
        for host, share in expected.items()
    )
    assert set(seen) <= set(expected)
    assert chi_square < 16.3, seen  # 99.9 %, three degrees of freedom


def test_a_pool_without_one_server_goes_on_by_weight(named: Named) -> None:
    async def run() -> None:
        locator = Locator(Resolver(settings(named.server)), Rules((Transport.UDP,), families=(4,)))
        uri = Uri.parse("sip:ims.example")
        found = await locator.locate(uri)
        while (candidate := found.next(locator.now())) is not None and candidate.host != "10.0.0.1":
            pass
        assert candidate is not None
        locator.failed(candidate, Failure.TIMEOUT)
        seen: Counter[str] = Counter()
        for _ in range(400):
            found = await locator.locate(uri)
            first = found.next(locator.now())
            assert first is not None
            seen[first.host] += 1
        assert "10.0.0.1" not in seen
        # In the draw with a, b and c, whoever follows a has b's and c's weights.
        assert 2 < seen["10.0.0.2"] / seen["10.0.0.3"] < 5

    new_event_loop().run_until_complete(run())


def test_a_server_that_dies_and_comes_back(named: Named, tmp_path: Path) -> None:
    async def run(own: Named) -> None:
        resolver = Resolver(
            ResolverSettings(
                servers=(own.server, named.server), hosts=None, timeout=0.5, penalty=0.5
            )
        )
        locator = Locator(resolver, Rules(families=(4,), max_ttl=0.05, max_negative_ttl=0.05))
        uri = Uri.parse("sip:plain.ims.example:5060")

        async def who() -> list[str]:
            await asyncio.sleep(0.06)
            found = await locator.locate(uri)
            assert order(found.decision(0.0)) == ["UDP 10.0.0.41:5060"]
            return [each.server for each in found.decision(0.0).lookups[0].answer.exchanges]

        assert await who() == [own.server]
        own.stop()
        assert await who() == [own.server, named.server]
        assert await who() == [named.server]
        own.start()
        await asyncio.sleep(0.5)
        assert await who() == [own.server]
        checks = await resolver.probe()
        assert [check.problem for check in checks] == [None, None]

    own = Named(tmp_path, {"ims.example": IMS})
    try:
        new_event_loop().run_until_complete(run(own))
    finally:
        own.stop()


def test_the_command_tells_the_seeds_story(named: Named) -> None:
    command = [sys.executable, "-m", "trunkline", "sip", "locate", "--json", "-s", named.server]
    with_port, without = (
        json.loads(
            subprocess.run([*command, uri], capture_output=True, check=True, text=True).stdout
        )
        for uri in ("sip:scscf.ims.example:5060", "sip:scscf.ims.example")
    )
    assert {lookup["type"] for step in with_port["steps"] for lookup in step["lookups"]} == {
        "A",
        "AAAA",
    }
    assert with_port["steps"][2]["reason"] == "server-port"
    assert without["steps"][2]["reason"] == "server-srv"
    assert len(without["order"]) == 2
