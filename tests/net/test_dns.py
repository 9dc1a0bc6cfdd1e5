"""The resolver against servers that behave, and against those that do not."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.dns_server import (
    Behaviour,
    DnsServer,
    Reply,
    records,
    says,
    serving,
    silent,
    zone,
)

from trunkline.errors import TrunklineError
from trunkline.net.dns import Locator, Resolver, ResolverSettings
from trunkline.net.dns.client import ClientCounters, _decoded
from trunkline.net.dns.hosts import HostsFile
from trunkline.net.dns.servers import NameServer, parse_server, read_resolv_conf
from trunkline.net.loop import new_event_loop
from trunkline.sip.locate import Answer, Candidate, Failure, Outcome, Question, RecordType, Rules
from trunkline.sip.locate.records import Naptr, Record, Srv
from trunkline.sip.uri import Uri

A, AAAA, SRV, NAPTR = RecordType.A, RecordType.AAAA, RecordType.SRV, RecordType.NAPTR
X = Question("x.example", A)

T = TypeVar("T")


@pytest.fixture(params=["asyncio", "the node's"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[None, None, T]], T]]:
    """Runs on asyncio's own loop and on the one that nodes have."""
    loop = asyncio.new_event_loop() if request.param == "asyncio" else new_event_loop()
    yield loop.run_until_complete
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


Run = Callable[[Coroutine[None, None, T]], T]


def resolver(*servers: DnsServer | str, **changes: object) -> Resolver:
    texts = tuple(each if isinstance(each, str) else each.text for each in servers)
    values: dict[str, object] = {"timeout": 0.3, "attempts": 1, "hosts": None, **changes}
    return Resolver(ResolverSettings(servers=texts, servers_source="test", **values))  # type: ignore[arg-type]


def refusing_port() -> str:
    """A port of the loopback where nothing listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


# Answers


def test_every_type_is_read(run: Run[list[Answer]]) -> None:
    lines = (
        "x.example. 60 IN A 192.0.2.1",
        "x.example. 60 IN A 192.0.2.2",
        "x.example. 61 IN AAAA 2001:db8::1",
        "_sip._udp.x.example. 62 IN SRV 1 2 5060 A.X.Example.",
        "none.x.example. 62 IN SRV 0 0 0 .",
        'x.example. 63 IN NAPTR 10 50 "s" "SIP+D2U" "" _sip._udp.x.example.',
        'x.example. 63 IN NAPTR 20 50 "u" "E2U+sip" "!^.*$!sip:\\\\1@x!" .',
    )

    async def ask() -> list[Answer]:
        with serving(zone(*lines)) as server:
            asker = resolver(server)
            questions = [
                X,
                Question("x.example", AAAA),
                Question("_sip._udp.x.example", SRV),
                Question("none.x.example", SRV),
                Question("x.example", NAPTR),
            ]
            found = [await asker.ask(question) for question in questions]
            assert len(set(server.ports)) == len(questions)  # each with a port of its own
            assert len({message.id for message in server.messages}) > 1
            assert all(message.payload == 1232 for message in server.messages)
            assert asker.states[0].answered == 5
            return found

    v4, v6, srv, root, naptr = run(ask())
    assert set(v4.records) == {"192.0.2.1", "192.0.2.2"}
    assert (v4.outcome, v4.ttl, v4.aliases) == (Outcome.FOUND, 60, ())
    assert (v6.records, v6.ttl) == (("2001:db8::1",), 61)
    assert srv.records == (Srv(1, 2, 5060, "a.x.example"),)
    assert root.records == (Srv(0, 0, 0, "."),)
    assert set(naptr.records) == {
        Naptr(10, 50, "s", "SIP+D2U", "", "_sip._udp.x.example"),
        Naptr(20, 50, "u", "E2U+sip", "!^.*$!sip:\\1@x!", "."),
    }
    assert len(v4.exchanges) == 1
    assert v4.exchanges[0].result == "answer"
    assert 0 < v4.seconds < 1


@pytest.mark.parametrize(
    ("lines", "outcome", "ttl"),
    [
        (("x.example. 60 IN AAAA 2001:db8::1",), Outcome.NO_DATA, 30),
        (("y.example. 60 IN A 192.0.2.1",), Outcome.NO_NAME, 30),
    ],
)
def test_negative_answers_live_as_the_soa_says(
    run: Run[Answer], lines: tuple[str, ...], outcome: Outcome, ttl: float
) -> None:
    with serving(zone(*lines)) as server:
        answer = run(resolver(server).ask(X))
        assert (answer.outcome, answer.ttl) == (outcome, ttl)
        server.behaviour = zone(*lines, soa=False)
        answer = run(resolver(server).ask(X))
        assert (answer.outcome, answer.ttl) == (outcome, 5)


def one(lines: str) -> Behaviour:
    """Answers only what was asked, and leaves the rest of an alias to us."""

    def answer(query: dns.message.Message, transport: str) -> list[Reply]:
        response = dns.message.make_response(query)
        for rrset in records(*lines.splitlines()):
            if rrset.name == query.question[0].name:
                response.answer.append(rrset)
        return [response]

    return answer


def test_aliases_are_followed_in_one_answer_and_over_several(run: Run[Answer]) -> None:
    lines = (
        "x.example. 60 IN CNAME y.example.\n"
        "y.example. 20 IN CNAME z.example.\n"
        "z.example. 60 IN A 192.0.2.3"
    )
    with serving(zone(*lines.splitlines())) as server:
        answer = run(resolver(server).ask(X))
        assert (answer.records, answer.ttl) == (("192.0.2.3",), 20)
        assert answer.aliases == ("y.example", "z.example")
        assert len(server.queries) == 1
        server.behaviour = one(lines)
        again = run(resolver(server).ask(X))
        assert (again.records, again.ttl, again.aliases) == (answer.records, 20, answer.aliases)
        assert server.queries[1:] == ["udp A x.example.", "udp A y.example.", "udp A z.example."]


@pytest.mark.parametrize("together", [True, False])
def test_aliases_in_a_circle_end(run: Run[Answer], together: bool) -> None:
    lines = "x.example. 60 IN CNAME y.example.\ny.example. 60 IN CNAME x.example."
    with serving(zone(*lines.splitlines()) if together else one(lines)) as server:
        answer = run(resolver(server).ask(X))
        assert answer.outcome is Outcome.FAILED
        assert len(server.queries) <= 4


def test_a_chain_of_aliases_that_never_ends(run: Run[Answer]) -> None:
    def endless(query: dns.message.Message, transport: str) -> list[Reply]:
        response = dns.message.make_response(query)
        name = query.question[0].name
        response.answer += records(f"{name} 60 IN CNAME a{len(name[0])}{name}")
        return [response]

    with serving(endless) as server:
        answer = run(resolver(server).ask(X))
        assert "aliases" in answer.note
        assert len(server.queries) == 9


def test_what_does_not_fit_comes_over_tcp(run: Run[Answer]) -> None:
    whole = zone(*(f"x.example. 60 IN A 10.0.{each >> 8}.{each & 255}" for each in range(200)))

    def truncated(query: dns.message.Message, transport: str) -> list[Reply]:
        if transport == "tcp":
            return whole(query, transport)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.TC
        # Cut off in the middle of a record, as some servers do.
        return [response.to_wire() + b"\xc0\x0c\x00\x01"]

    with serving(truncated) as server:
        asker = resolver(server)
        answer = run(asker.ask(X))
        assert len(answer.records) == 200
        assert server.queries == ["udp A x.example.", "tcp A x.example."]
        assert (asker.wire.udp, asker.wire.tcp) == (1, 1)


def test_truncation_over_tcp_or_a_broken_connection_is_no_answer(run: Run[Answer]) -> None:
    def broken(query: dns.message.Message, transport: str) -> list[Reply]:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.TC
        return [response if transport == "udp" or truncates else None]

    truncates = True
    with serving(broken) as server:
        assert "over TCP with something else" in run(resolver(server).ask(X)).note
        truncates = False
        assert "closed the TCP connection" in run(resolver(server).ask(X)).note


# What is not believed


def forged(query: dns.message.Message, address: str) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.answer += records(f"{query.question[0].name} 60 IN A {address}")
    return response


def test_answers_with_another_identifier_or_question_are_waited_over(run: Run[Answer]) -> None:
    def spoofed(query: dns.message.Message, transport: str) -> list[Reply]:
        other_id = forged(query, "192.0.2.66")
        other_id.id = query.id ^ 1
        other_question = forged(query, "192.0.2.66")
        other_question.question = dns.message.make_query("y.example.", "A").question
        return [
            other_id,
            b"\x00",
            other_question,
            query.to_wire(),  # our own query, sent back
            query.id.to_bytes(2, "big") + b"\x80\x00\x00\x01" + bytes(3),  # ours, and garbage
            forged(query, "192.0.2.1"),
        ]

    with serving(spoofed) as server:
        asker = resolver(server)
        answer = run(asker.ask(X))
        assert answer.records == ("192.0.2.1",)
        assert asker.wire.mismatched == 4
        assert asker.wire.malformed == 1


def test_datagrams_from_elsewhere_do_not_reach_us(run: Run[Answer]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:

        def elsewhere(query: dns.message.Message, transport: str) -> list[Reply]:
            attacker.sendto(forged(query, "192.0.2.66").to_wire(), ("127.0.0.1", server.ports[-1]))
            return [forged(query, "192.0.2.1")]

        with serving(elsewhere) as server:
            assert run(resolver(server).ask(X)).records == ("192.0.2.1",)


@given(
    data=st.binary(max_size=60), flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)))
)
@settings(max_examples=200, deadline=None)
def test_no_octets_are_more_than_a_counted_drop(data: bytes, flips: list[tuple[int, int]]) -> None:
    query = dns.message.make_query("x.example.", "NAPTR", use_edns=0)
    response = dns.message.make_response(query)
    response.answer += records(
        'x.example. 60 IN NAPTR 10 50 "s" "SIP+D2U" "" _sip._udp.x.example.',
        "x.example. 60 IN CNAME y.example.",
    )
    octets = bytearray(response.to_wire())
    for place, value in flips:
        octets[2 + place % (len(octets) - 2)] = value
    for wire in (bytes(octets), query.id.to_bytes(2, "big") + data, data):
        counters = ClientCounters()
        decoded = _decoded(wire, query, counters)
        assert (decoded is None) == (counters.mismatched + counters.malformed == 1)


# Servers that fail


@pytest.mark.parametrize(
    ("rcode", "why"),
    [
        (dns.rcode.SERVFAIL, "SERVFAIL"),
        (dns.rcode.REFUSED, "REFUSED: it does not serve this name to us"),
        (dns.rcode.NOTIMP, "NOTIMP"),
    ],
)
def test_the_next_server_is_asked_when_one_has_no_answer(
    run: Run[Answer], rcode: dns.rcode.Rcode, why: str
) -> None:
    with serving(says(rcode)) as bad, serving(zone("x.example. 60 IN A 192.0.2.1")) as good:
        asker = resolver(bad, good)
        answer = run(asker.ask(X))
        assert answer.records == ("192.0.2.1",)
        assert [each.result for each in answer.exchanges] == [why, "answer"]
        assert asker.states[0].down_until == 0.0  # it lives
        assert (asker.states[0].refused, asker.states[1].answered) == (1, 1)
        alone = run(resolver(bad).ask(X))
        assert (alone.outcome, alone.note) == (Outcome.FAILED, f"{bad.text}: {why}")


def test_a_lame_server_is_none(run: Run[Answer]) -> None:
    def lame(query: dns.message.Message, transport: str) -> list[Reply]:
        response = dns.message.make_response(query)
        response.authority += records("example. 60 IN NS ns.example.")
        return [response]

    with serving(lame) as bad, serving(zone("x.example. 60 IN A 192.0.2.1")) as good:
        answer = run(resolver(bad, good).ask(X))
        assert answer.exchanges[0].result.startswith("a referral")
        assert answer.records == ("192.0.2.1",)


def test_a_dead_server_is_asked_last_until_it_answers_again(run: Run[Answer]) -> None:
    good = zone("x.example. 60 IN A 192.0.2.1", "y.example. 60 IN A 192.0.2.2")
    with serving(silent) as dead, serving(good) as live:
        asker = resolver(dead, live, penalty=0.6)
        first = run(asker.ask(X))
        assert [each.result for each in first.exchanges] == ["no answer within 0.3 s", "answer"]
        second = run(asker.ask(Question("y.example", A)))
        assert [each.server for each in second.exchanges] == [live.text]
        dead.behaviour = good
        run(asyncio.sleep(0.7))  # type: ignore[arg-type]
        third = run(asker.ask(X))
        assert [each.server for each in third.exchanges] == [dead.text]


def test_a_name_that_gets_no_answer_says_nothing_of_a_server_that_answers_others(
    run: Run[None],
) -> None:
    good = zone("x.example. 60 IN A 192.0.2.1")

    def some(query: dns.message.Message, transport: str) -> list[Reply]:
        return [None] if "tarpit" in query.question[0].to_text() else good(query, transport)

    async def ask() -> None:
        with serving(some) as server:
            asker = resolver(server, attempts=1)
            waiting = asyncio.create_task(asker.ask(Question("tarpit.example", A)))
            await asyncio.sleep(0.05)
            assert (await asker.ask(X)).records == ("192.0.2.1",)
            assert (await waiting).outcome is Outcome.FAILED
            assert asker.states[0].silent == 1
            assert asker.states[0].down_until == 0.0
            await asker.ask(Question("tarpit.example", A))  # and alone it does
            assert asker.states[0].down_until > 0.0

    run(ask())


def test_nothing_listening_is_known_at_once(run: Run[Answer]) -> None:
    asker = resolver(refusing_port(), timeout=30.0, attempts=2)
    answer = run(asker.ask(X))
    assert answer.outcome is Outcome.FAILED
    assert "refused: nothing listens there" in answer.note
    assert len(answer.exchanges) == 2
    # While nobody gives a sign of life, one round must do.
    assert len(run(asker.ask(X)).exchanges) == 1


def test_all_servers_are_asked_again_before_it_fails(run: Run[Answer]) -> None:
    count = 0

    def second_time(query: dns.message.Message, transport: str) -> list[Reply]:
        nonlocal count
        count += 1
        return [forged(query, "192.0.2.1") if count > 1 else None]

    with serving(second_time) as server:
        answer = run(resolver(server, attempts=2).ask(X))
        assert answer.records == ("192.0.2.1",)
        assert len(answer.exchanges) == 2


def test_a_server_without_edns_is_asked_without(run: Run[Answer]) -> None:
    good = zone("x.example. 60 IN A 192.0.2.1")

    def old(query: dns.message.Message, transport: str) -> list[Reply]:
        return says(dns.rcode.FORMERR)(query, transport) if query.edns >= 0 else good(query, "")

    with serving(old) as server:
        asker = resolver(server)
        assert run(asker.ask(X)).records == ("192.0.2.1",)
        run(asker.ask(Question("y.example", A)))
        assert [message.edns for message in server.messages] == [0, -1, -1]


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", "é.example" * 60, "."])
def test_names_that_cannot_be_asked_for(run: Run[Answer], name: str) -> None:
    with serving(zone()) as server:
        assert run(resolver(server).ask(Question(name, A))).outcome in (
            Outcome.FAILED,
            Outcome.NO_NAME,
        )


# Many at a time


def test_the_same_question_is_asked_once_at_a_time(run: Run[list[Answer]]) -> None:
    async def together(asker: Resolver) -> list[Answer]:
        return list(await asyncio.gather(*(asker.ask(X) for _ in range(50))))

    with serving(zone("x.example. 60 IN A 192.0.2.1")) as server:
        asker = resolver(server)
        answers = run(together(asker))
        assert {answer.records for answer in answers} == {("192.0.2.1",)}
        assert len(server.queries) == 1
        assert (asker.counters.asked, asker.counters.shared) == (1, 49)
        run(together(asker))
        assert len(server.queries) == 2  # the cache is somebody else's


def test_who_stops_waiting_takes_nothing_from_the_others(run: Run[Answer]) -> None:
    async def ask(asker: Resolver) -> Answer:
        first = asyncio.ensure_future(asker.ask(X))
        second = asyncio.ensure_future(asker.ask(X))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    with serving(zone("x.example. 60 IN A 192.0.2.1")) as server:
        assert run(ask(resolver(server))).records == ("192.0.2.1",)


def test_questions_are_bounded(run: Run[list[Answer]]) -> None:
    async def many(asker: Resolver) -> list[Answer]:
        names = [Question(f"{each}.example", A) for each in range(40)]
        return list(await asyncio.gather(*map(asker.ask, names)))

    with serving(zone()) as server:
        asker = resolver(server, pending_limit=30, concurrent=4)
        answers = run(many(asker))
        assert sum(answer.outcome is Outcome.NO_NAME for answer in answers) == 30
        assert asker.counters.refused == 10
        assert "30 other questions are pending" in answers[-1].note


def test_closing_ends_what_is_under_way(run: Run[None]) -> None:
    async def close() -> None:
        with serving(silent) as server:
            asker = resolver(server, timeout=60.0)
            waiting = asyncio.ensure_future(asker.ask(X))
            await asyncio.sleep(0.05)
            await asker.close()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    run(close())


# Where the servers come from


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.53", "192.0.2.53", 53),
        ("192.0.2.53:5353", "192.0.2.53", 5353),
        ("2001:db8::53", "2001:db8::53", 53),
        ("[2001:db8::53]", "2001:db8::53", 53),
        ("[2001:db8::53]:5353", "2001:db8::53", 5353),
        ("fe80::1%eth0", "fe80::1%eth0", 53),
    ],
)
def test_name_servers_are_read(text: str, host: str, port: int) -> None:
    assert parse_server(text, "test") == NameServer(host, port, "test")


@pytest.mark.parametrize(
    "text", ["", "dns.example", "192.0.2.53:0", "192.0.2.53:99999", "192.0.2.300", "[::1]:x"]
)
def test_what_is_no_name_server(text: str) -> None:
    with pytest.raises(TrunklineError, match=r"as 192\.0\.2\.53:5353") as refused:
        parse_server(text, "--server")
    assert refused.value.code == "dns.server"


def test_resolv_conf_is_read_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# made by hand\n"
        "search ims.example corp.example\n"
        "nameserver 192.0.2.53 ; the one\n"
        "nameserver nonsense\n"
        "  nameserver\t2001:db8::53\n"
        "options ndots:2 timeout:3 attempts:9 rotate timeout:x\n"
    )
    found = read_resolv_conf(file)
    assert found.servers == (
        NameServer("192.0.2.53", 53, f"{file}:3"),
        NameServer("2001:db8::53", 53, f"{file}:5"),
    )
    assert (found.timeout, found.attempts) == (3.0, 5)
    asker = Resolver(ResolverSettings(resolv_conf=file))
    assert (asker.servers, asker.timeout, asker.attempts) == (found.servers, 3.0, 5)
    asker = Resolver(ResolverSettings(resolv_conf=file, timeout=1.0, attempts=1))
    assert (asker.timeout, asker.attempts) == (1.0, 1)


def test_without_a_line_it_is_the_loopback_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    [server] = read_resolv_conf(file).servers
    assert (server.host, server.loopback) == ("127.0.0.1", True)
    assert server.source == f"{file} cannot be read (No such file or directory): the default"
    file.write_text("search example\n")
    [server] = read_resolv_conf(file).servers
    assert server.source == f"not named by {file}: the default"


def test_a_resolv_conf_that_changes_is_read_again(
    run: Run[Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.net.dns.resolver._RESOLV_CONF_PERIOD", 0.0)
    monkeypatch.setattr("trunkline.net.dns.servers.DNS_PORT", 1)
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\n")
    asker = Resolver(ResolverSettings(resolv_conf=file, hosts=None))
    run(asker.ask(X))
    state = asker.states[0]
    file.write_text("nameserver 127.0.0.2\nnameserver 127.0.0.1\n")
    run(asker.ask(X))
    assert [server.host for server in asker.servers] == ["127.0.0.2", "127.0.0.1"]
    assert asker.states[1] is state  # what is known of it stays known


@pytest.mark.parametrize("name", ["timeout", "attempts", "concurrent", "pending_limit"])
def test_settings_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(TrunklineError, match=name) as refused:
        ResolverSettings(**{name: 0})  # type: ignore[arg-type]
    assert refused.value.code == "dns.settings"


# The hosts file


def test_the_hosts_file_goes_before_dns_for_addresses(run: Run[Answer], tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(
        "127.0.0.1 localhost\n# 192.0.2.9 x.example\n192.0.2.7\tX.Example. www  # ours\n"
        "nonsense x.example\n192.0.2.8 x.example\n2001:db8::7 six.example\n"
    )
    with serving(zone("_sip._udp.x.example. 60 IN SRV 0 0 5060 x.example.")) as server:
        asker = resolver(server, hosts=file)
        answer = run(asker.ask(X))
        assert answer.records == ("192.0.2.7", "192.0.2.8")
        assert answer.exchanges == ((f"{file}:3", 0.0, "answer"),)
        assert run(asker.ask(Question("x.example", AAAA))).outcome is Outcome.NO_DATA
        assert run(asker.ask(Question("six.example", AAAA))).records == ("2001:db8::7",)
        assert server.queries == []
        assert len(run(asker.ask(Question("_sip._udp.x.example", SRV))).records) == 1
        assert run(asker.ask(Question("y.example", A))).outcome is Outcome.NO_NAME
        assert asker.counters.from_hosts == 3
        file.write_text("192.0.2.70 x.example\n")
        os.utime(file, (1, 1))
        assert run(asker.ask(X)).records == ("192.0.2.70",)


def test_a_hosts_file_that_is_not_there_has_no_names(tmp_path: Path) -> None:
    assert HostsFile(tmp_path / "hosts").find("localhost") is None


# At the start


def test_a_loopback_server_that_does_not_answer_is_named_with_its_line(
    run: Run[None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.net.dns.servers.DNS_PORT", int(refusing_port()[10:]))
    file = tmp_path / "resolv.conf"
    file.write_text("# stub\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n")

    async def probe() -> None:
        [check] = await Resolver(ResolverSettings(resolv_conf=file)).probe()
        assert check.problem is not None
        assert check.problem.code == "dns.loopback"
        text = str(check.problem)
        assert f"({file}:2) is this machine itself, and does not answer: refused" in text
        assert "name the server that knows your SIP domains" in text

    run(probe())


def test_every_server_is_probed_and_any_answer_will_do(run: Run[None]) -> None:
    async def probe() -> None:
        with serving(says(dns.rcode.REFUSED)) as good, serving(silent) as dead:
            asker = resolver(good, dead)
            first, second = await asker.probe()
            assert (first.problem, first.server.port) == (None, good.port)
            assert second.problem is not None
            assert "no answer within 0.3 s" in str(second.problem)
            assert good.queries == ["udp A localhost."]
            assert asker.states[1].down_until > 0.0

    run(probe())


def test_a_silent_server_elsewhere_has_its_own_code() -> None:
    from trunkline.net.dns.resolver import _silent

    problem = _silent(NameServer("192.0.2.53", 53, "/etc/resolv.conf:1"), "no answer within 2 s")
    assert problem.code == "dns.silent"
    assert "(/etc/resolv.conf:1) does not answer: no answer within 2 s" in str(problem)


# The locator

POOL = (
    'x.example. 60 IN NAPTR 10 50 "s" "SIP+D2U" "" _sip._udp.x.example.',
    "_sip._udp.x.example. 60 IN SRV 0 1 5060 a.x.example.",
    "_sip._udp.x.example. 60 IN SRV 1 1 5060 b.x.example.",
    "a.x.example. 60 IN A 192.0.2.1",
    "b.x.example. 60 IN A 192.0.2.2",
)
URI = Uri.parse("sip:x.example")


def test_a_target_is_located_once_and_then_known(run: Run[None]) -> None:
    async def locate() -> None:
        with serving(zone(*POOL)) as server:
            locator = Locator(resolver(server))
            assert locator.try_now(URI) is None
            all_at_once = await asyncio.gather(*(locator.locate(URI) for _ in range(100)))
            assert {str(found.next(locator.now())) for found in all_at_once} == {
                "UDP 192.0.2.1:5060"
            }
            assert sorted(server.queries) == [
                "udp A a.x.example.",
                "udp A b.x.example.",
                "udp AAAA a.x.example.",
                "udp AAAA b.x.example.",
                "udp NAPTR x.example.",
                "udp SRV _sip._udp.x.example.",
            ]
            found = locator.try_now(URI)
            assert found is not None
            first = found.next(locator.now())
            assert first is not None
            locator.failed(first, Failure.ERROR)
            assert str(found.next(locator.now())) == "UDP 192.0.2.2:5060"
            again = await locator.locate(URI)
            assert str(again.next(locator.now())) == "UDP 192.0.2.2:5060"
            locator.answered(first)
            again = await locator.locate(URI)
            assert again.next(locator.now()) == first
            assert (locator.directory.counters.asked, len(server.queries)) == (100, 6)

    run(locate())


def test_a_response_is_located_by_its_via(run: Run[None]) -> None:
    async def locate() -> None:
        with serving(zone(*POOL)) as server:
            locator = Locator(resolver(server), Rules(families=(4,)))
            for _ in range(2):
                found = await locator.locate_response("UDP", "x.example", None)
                assert str(found.next(locator.now())) == "UDP 192.0.2.1:5060"
            assert "udp NAPTR x.example." not in server.queries
            assert len(server.queries) == 3

    run(locate())


def test_one_dead_name_does_not_hold_up_the_others(run: Run[None]) -> None:
    whole = zone(*POOL)

    def half(query: dns.message.Message, transport: str) -> list[Reply]:
        return [None] if "b.x" in query.question[0].to_text() else whole(query, transport)

    async def locate() -> None:
        with serving(half) as server:
            rules = Rules(families=(4,), patience=0.2, failure_ttl=60.0)
            locator = Locator(resolver(server, timeout=0.5, attempts=2), rules)
            begun = locator.now()
            found = await locator.locate(URI)
            assert 0.2 <= locator.now() - begun < 0.7
            assert [str(each.candidate) for each in found.decision(begun).order] == [
                "UDP 192.0.2.1:5060"
            ]
            # The one that was late is there when it has come.
            server.behaviour = whole
            await asyncio.sleep(0.6)
            found = await locator.locate(URI)
            assert len(found.decision(locator.now()).order) == 2
            await locator.close()

    run(locate())


def test_a_server_that_is_no_server_leaves_a_problem_that_says_so(run: Run[None]) -> None:
    async def locate() -> None:
        port = refusing_port()
        locator = Locator(resolver(port))
        found = await locator.locate(URI)
        assert found.next(locator.now()) is None
        assert found.problem is not None
        assert found.problem.code == "locate.dns"
        assert f"{port}: refused: nothing listens there" in found.problem.message
        # And that is known for a while.
        assert locator.try_now(URI) is not None

    run(locate())


def test_a_locator_may_be_given_answers_by_a_test(run: Run[None]) -> None:
    class Fixed:
        async def ask(self, question: Question) -> Answer:
            return Answer(question, Outcome.FOUND, ("192.0.2.9",), 60.0)

    async def locate() -> None:
        locator = Locator(Fixed(), Rules(families=(4,)), draw=lambda highest: 0, now=lambda: 5.0)
        found = await locator.locate(Uri.parse("sip:x.example:5070"))
        assert found.next(5.0) == Candidate(Rules().transports[0], "192.0.2.9", 5070, "x.example")
        await locator.close()

    run(locate())


def test_a_domain_has_its_share_of_the_questions_and_no_more(run: Run[None]) -> None:
    class Many:
        """Knows a domain of many servers."""

        def __init__(self) -> None:
            self.asked = self.under_way = self.most = 0

        async def ask(self, question: Question) -> Answer:
            self.asked += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0)
            self.under_way -= 1
            name, kind = question
            found: tuple[Record, ...] = ()
            if kind is RecordType.NAPTR:
                found = tuple(Naptr(1, n, "s", "SIP+D2U", "", f"s{n}.{name}") for n in range(1500))
            elif kind is RecordType.SRV:
                found = tuple(Srv(1, 1, 5060, f"h{n}.{name}") for n in range(40))
            outcome = Outcome.FOUND if found else Outcome.NO_DATA
            return Answer(question, outcome, found, 60.0)

    async def locate() -> None:
        asks = Many()
        locator = Locator(asks)
        found = await locator.locate(Uri.parse("sip:hostile.example"))
        assert found.problem is not None
        assert asks.asked == 1 + 16 + 64 * 2
        assert asks.most == 16
        await locator.close()

    run(locate())


def test_of_very_many_records_the_preferred_ones_are_kept(run: Run[Answer]) -> None:
    lines = [f"x.example. 60 IN SRV {600 - n} 1 5060 h{n}.x.example." for n in range(600)]
    with serving(zone(*lines)) as server:
        answer = run(resolver(server).ask(Question("x.example", RecordType.SRV)))
        found = [record for record in answer.records if isinstance(record, Srv)]
        assert [record.priority for record in found] == [*range(1, 257)]


def test_a_stateless_proxy_draws_by_its_key(run: Run[None]) -> None:
    lines = [f"_sip._udp.x.example. 60 IN SRV 0 10 5060 n{each}.x.example." for each in range(5)]
    lines += [f"n{each}.x.example. 60 IN A 192.0.2.{each}" for each in range(5)]

    async def locate() -> None:
        with serving(zone(*lines)) as server:
            uri = Uri.parse("sip:x.example;transport=udp")
            workers = [Locator(resolver(server), Rules(families=(4,))) for _ in range(2)]
            seen = set()
            for number in range(40):
                key = f"z9hG4bK{number}".encode()
                drawn = {str((await each.locate(uri, key=key)).next(0.0)) for each in workers}
                assert len(drawn) == 1
                seen |= drawn
            assert len(seen) == 5

    run(locate())
