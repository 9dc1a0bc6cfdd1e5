"""Every branch of RFC 3263 sections 4.1, 4.2 and 5, as tables of zones and what comes of them."""

from __future__ import annotations

import pytest
from tests.sip.locate.support import (
    NAPTR,
    TCP,
    TLS,
    UDP,
    V4,
    WS,
    WSS,
    Records,
    Zone,
    locate,
    lowest,
    naptr,
    order,
    plan_of,
    reasons,
    scripted,
    srv,
    state,
    verdicts,
)

from trunkline.sip.locate import Answer, Directory, Outcome, Rules, Target
from trunkline.sip.locate.location import TABLE, Event, Location, Phase
from trunkline.sip.locate.records import Record
from trunkline.sip.transport import Transport
from trunkline.sip.uri import Uri

X = "x.example"
ADDRESS: Records = {"A x.example": ["192.0.2.1"]}
UDP_SRV: Records = {
    "SRV _sip._udp.x.example": [srv(0, 1, "u.x.example", 5070)],
    "A u.x.example": ["192.0.2.2"],
}
TCP_SRV: Records = {
    "SRV _sip._tcp.x.example": [srv(0, 1, "t.x.example", 5071)],
    "A t.x.example": ["192.0.2.3"],
}
TLS_SRV: Records = {
    "SRV _sips._tcp.x.example": [srv(0, 1, "s.x.example", 5072)],
    "A s.x.example": ["192.0.2.4"],
}
WS_SRV: Records = {
    "SRV _sip._ws.x.example": [srv(0, 1, "w.x.example", 8080)],
    "A w.x.example": ["192.0.2.5"],
}
ALL_SRV: Records = {**ADDRESS, **UDP_SRV, **TCP_SRV, **TLS_SRV}
TO_UDP = naptr(20, 50, "SIP+D2U", "_sip._udp.x.example")
TO_TCP = naptr(20, 60, "SIP+D2T", "_sip._tcp.x.example")
TO_TLS = naptr(10, 50, "SIPS+D2T", "_sips._tcp.x.example")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        # A numeric TARGET: nothing is asked.
        ("sip:192.0.2.9", "UDP 192.0.2.9:5060"),
        ("sip:192.0.2.9:5080", "UDP 192.0.2.9:5080"),
        ("sips:192.0.2.9", "TLS 192.0.2.9:5061"),
        ("sips:192.0.2.9:5062", "TLS 192.0.2.9:5062"),
        ("sip:192.0.2.9;transport=tcp", "TCP 192.0.2.9:5060"),
        ("sip:192.0.2.9;transport=TLS", "TLS 192.0.2.9:5061"),
        ("sips:192.0.2.9;transport=tcp", "TLS 192.0.2.9:5061"),
        ("sip:192.0.2.9;transport=ws", "WS 192.0.2.9:80"),
        ("sips:192.0.2.9;transport=ws", "WSS 192.0.2.9:443"),
        ("sip:192.0.2.9:8443;transport=wss", "WSS 192.0.2.9:8443"),
        ("sip:[2001:DB8:0::9]:5080", "UDP [2001:db8::9]:5080"),
        ("sip:192.000.002.009", "UDP 192.0.2.9:5060"),
        # maddr goes before the host.
        ("sip:x.example;maddr=192.0.2.9", "UDP 192.0.2.9:5060"),
        ("sip:x.example:5080;maddr=192.0.2.9;transport=tcp", "TCP 192.0.2.9:5080"),
        ("sip:x.example;maddr=[2001:db8::9]", "UDP [2001:db8::9]:5060"),
    ],
)
def test_a_numeric_target_is_used_as_it_is(uri: str, expected: str) -> None:
    zone = Zone({})
    decision = locate(uri, zone, Rules(transports=(UDP, TCP, TLS, WS, WSS)))
    assert order(decision) == [expected]
    assert zone.asked == []
    assert reasons(decision)[-1] == "server-numeric"


@pytest.mark.parametrize(
    ("uri", "expected", "why"),
    [
        ("sip:x.example:5060", "UDP 192.0.2.1:5060", "transport-port"),
        ("sip:x.example:5061", "UDP 192.0.2.1:5061", "transport-port"),
        ("sips:x.example:5061", "TLS 192.0.2.1:5061", "transport-port"),
        ("sip:x.example:5060;transport=tcp", "TCP 192.0.2.1:5060", "transport-parameter"),
        ("sip:other.example:5060;maddr=x.example", "UDP 192.0.2.1:5060", "transport-port"),
        ("sip:X.Example.:5060", "UDP 192.0.2.1:5060", "transport-port"),
    ],
)
def test_a_port_means_addresses_only_even_5060(uri: str, expected: str, why: str) -> None:
    zone = Zone({**ALL_SRV, "NAPTR x.example": [TO_UDP]})
    decision = locate(uri, zone)
    assert order(decision) == [expected]
    assert zone.asked == ["A x.example"]
    assert reasons(decision)[1:3] == [why, "server-port"]


@pytest.mark.parametrize(
    ("uri", "asked", "expected"),
    [
        ("sip:x.example;transport=udp", "SRV _sip._udp.x.example", "UDP 192.0.2.2:5070"),
        ("sip:x.example;transport=tcp", "SRV _sip._tcp.x.example", "TCP 192.0.2.3:5071"),
        # 'if the client wishes to use TLS, it also uses the service identifier "_sips"'
        ("sip:x.example;transport=tls", "SRV _sips._tcp.x.example", "TLS 192.0.2.4:5072"),
        ("sips:x.example;transport=tcp", "SRV _sips._tcp.x.example", "TLS 192.0.2.4:5072"),
        ("sip:x.example;transport=ws", "SRV _sip._ws.x.example", "WS 192.0.2.5:8080"),
    ],
)
def test_a_transport_means_its_srv_records_and_no_naptr(
    uri: str, asked: str, expected: str
) -> None:
    zone = Zone({**ALL_SRV, **WS_SRV, "NAPTR x.example": [TO_UDP]})
    decision = locate(uri, zone, Rules(transports=(UDP, TCP, TLS, WS, WSS), families=(4,)))
    assert order(decision) == [expected]
    assert zone.asked[0] == asked
    assert not any(question.startswith("NAPTR") for question in zone.asked)
    assert reasons(decision)[1:3] == ["transport-parameter", "server-srv"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:x.example;transport=udp", "UDP 192.0.2.1:5060"),
        ("sip:x.example;transport=tls", "TLS 192.0.2.1:5061"),
        ("sips:x.example;transport=tcp", "TLS 192.0.2.1:5061"),
        ("sip:x.example;transport=ws", "WS 192.0.2.1:80"),
        ("sips:x.example;transport=ws", "WSS 192.0.2.1:443"),
        ("sip:x.example", "UDP 192.0.2.1:5060"),
        ("sips:x.example", "TLS 192.0.2.1:5061"),
    ],
)
def test_without_srv_records_it_is_the_domain_at_the_default_port(uri: str, expected: str) -> None:
    decision = locate(uri, ADDRESS, Rules(transports=(UDP, TCP, TLS, WS, WSS), families=(4,)))
    assert order(decision) == [expected]
    assert "server-no-srv" in reasons(decision)


@pytest.mark.parametrize(
    ("uri", "records", "expected", "used"),
    [
        # The most preferred that we support; SIPS too for a SIP URI.
        ("sip:x.example", [TO_UDP, TO_TCP, TO_TLS], ["TLS 192.0.2.4:5072"], TO_TLS),
        ("sip:x.example", [TO_UDP], ["UDP 192.0.2.2:5070"], TO_UDP),
        # "a client resolving a SIPS URI MUST discard any services that do not contain SIPS"
        ("sips:x.example", [TO_UDP, TO_TCP, TO_TLS], ["TLS 192.0.2.4:5072"], TO_TLS),
        # The same order: by preference, and the others after it.
        ("sip:x.example", [TO_TCP, TO_UDP], ["UDP 192.0.2.2:5070", "TCP 192.0.2.3:5071"], TO_UDP),
        # Case does not count.
        (
            "sip:x.example",
            [naptr(1, 1, "sip+d2t", "_sip._tcp.x.example", flags="S")],
            ["TCP 192.0.2.3:5071"],
            naptr(1, 1, "sip+d2t", "_sip._tcp.x.example", flags="S"),
        ),
        # Equal in order and preference: what we prefer.
        (
            "sip:x.example",
            [TO_TCP._replace(preference=50), TO_UDP],
            ["UDP 192.0.2.2:5070", "TCP 192.0.2.3:5071"],
            TO_UDP,
        ),
    ],
)
def test_naptr_records_choose_the_transport(
    uri: str, records: list[Record], expected: list[str], used: Record
) -> None:
    decision = locate(uri, {**ALL_SRV, "NAPTR x.example": records})
    assert order(decision) == expected
    assert reasons(decision)[1:3] == ["transport-naptr", "server-srv"]
    assert verdicts(decision)[str(used)] == "naptr-used"


@pytest.mark.parametrize(
    ("uri", "record", "why"),
    [
        ("sip:x.example", naptr(1, 1, "SIP+D2S", "_sip._sctp.x.example"), "naptr-transport"),
        ("sip:x.example", naptr(1, 1, "SIPS+D2U", "_sips._udp.x.example"), "naptr-transport"),
        ("sip:x.example", naptr(1, 1, "SIP+D2W", "_sip._ws.x.example"), "naptr-transport"),
        ("sip:x.example", naptr(1, 1, "E2U+sip", "x.example"), "naptr-service"),
        ("sip:x.example", naptr(1, 1, "SIP", "x.example"), "naptr-service"),
        ("sip:x.example", naptr(1, 1, "", "x.example"), "naptr-service"),
        ("sips:x.example", naptr(1, 1, "SIP+D2T", "_sip._tcp.x.example"), "naptr-not-sips"),
        ("sip:x.example", naptr(1, 1, "SIP+D2U", "u.x.example", flags="a"), "naptr-shape"),
        ("sip:x.example", naptr(1, 1, "SIP+D2U", "u.x.example", flags=""), "naptr-shape"),
        ("sip:x.example", naptr(1, 1, "SIP+D2U", ".", regexp="!^.*$!x!"), "naptr-shape"),
        ("sip:x.example", naptr(1, 1, "SIP+D2U", "."), "naptr-shape"),
    ],
)
def test_naptr_records_that_do_not_apply_are_discarded(uri: str, record: Record, why: str) -> None:
    decision = locate(uri, {**ALL_SRV, "NAPTR x.example": [record]})
    assert verdicts(decision)[str(record)] == why
    # And what is left counts as none: SRV for each transport.
    assert reasons(decision)[1] == "transport-srv"
    expected = "TLS 192.0.2.4:5072" if uri.startswith("sips") else "UDP 192.0.2.2:5070"
    assert order(decision)[0] == expected


def test_a_replacement_may_lie_in_another_domain() -> None:
    record = naptr(1, 1, "SIP+D2U", "_sip._udp.provider.example")
    zone: Records = {
        "NAPTR x.example": [record],
        "SRV _sip._udp.provider.example": [srv(0, 0, "p.provider.example")],
        "A p.provider.example": ["192.0.2.7"],
    }
    decision = locate("sip:x.example", zone)
    assert order(decision) == ["UDP 192.0.2.7:5060"]
    assert decision.order[0].candidate.domain == X


def test_a_naptr_record_without_servers_gives_way_to_the_next_order() -> None:
    first = naptr(1, 1, "SIP+D2T", "_sip._tcp.nowhere.example")
    decision = locate("sip:x.example", {**UDP_SRV, "NAPTR x.example": [first, TO_UDP]})
    assert order(decision) == ["UDP 192.0.2.2:5070"]
    assert verdicts(decision)[str(first)] == "naptr-no-srv"
    assert verdicts(decision)[str(TO_UDP)] == "naptr-used"


def test_when_no_naptr_record_has_servers_the_most_preferred_transport_stays() -> None:
    first = naptr(1, 1, "SIP+D2T", "_sip._tcp.nowhere.example")
    second = naptr(2, 1, "SIP+D2U", "_sip._udp.nowhere.example")
    decision = locate("sip:x.example", {**ADDRESS, "NAPTR x.example": [second, first]})
    assert order(decision) == ["TCP 192.0.2.1:5060"]
    assert reasons(decision)[1:3] == ["transport-default", "server-no-srv"]


def test_a_secure_server_is_not_backed_up_by_one_that_is_not() -> None:
    # Section 7: whoever can break the secure servers would get the message in the clear.
    plain = TO_UDP._replace(order=10, preference=90)
    decision = locate("sip:x.example", {**ALL_SRV, "NAPTR x.example": [plain, TO_TLS]})
    assert order(decision) == ["TLS 192.0.2.4:5072"]
    assert verdicts(decision)[str(plain)] == "naptr-downgrade"
    # The other way round nothing is lost.
    secure = TO_TLS._replace(order=20, preference=90)
    decision = locate("sip:x.example", {**ALL_SRV, "NAPTR x.example": [TO_UDP, secure]})
    assert order(decision) == ["UDP 192.0.2.2:5070", "TLS 192.0.2.4:5072"]
    assert verdicts(decision)[str(secure)] == "naptr-next"


@pytest.mark.parametrize(
    ("uri", "transports", "asked", "expected"),
    [
        (
            "sip:x.example",
            (UDP, TCP, TLS),
            ["_sip._udp", "_sip._tcp"],
            ["UDP 192.0.2.2:5070", "TCP 192.0.2.3:5071"],
        ),
        (
            "sip:x.example",
            (TCP, UDP, TLS),
            ["_sip._tcp", "_sip._udp"],
            ["TCP 192.0.2.3:5071", "UDP 192.0.2.2:5070"],
        ),
        ("sips:x.example", (UDP, TCP, TLS), ["_sips._tcp"], ["TLS 192.0.2.4:5072"]),
        ("sip:x.example", (TLS,), ["_sips._tcp"], ["TLS 192.0.2.4:5072"]),
        ("sip:x.example", (TCP,), ["_sip._tcp"], ["TCP 192.0.2.3:5071"]),
    ],
)
def test_without_naptr_srv_is_asked_for_each_of_our_transports(
    uri: str, transports: tuple[Transport, ...], asked: list[str], expected: list[str]
) -> None:
    zone = Zone(ALL_SRV)
    decision = locate(uri, zone, Rules(transports=transports, families=(4,)))
    assert zone.asked[: len(asked) + 1] == [
        "NAPTR x.example",
        *(f"SRV {each}.x.example" for each in asked),
    ]
    assert order(decision) == expected
    assert reasons(decision)[1:3] == ["transport-srv", "server-srv"]


def test_priorities_then_weights_then_addresses() -> None:
    zone: Records = {
        "SRV _sip._udp.x.example": [
            srv(2, 0, "c.x.example"),
            srv(1, 30, "b.x.example"),
            srv(1, 70, "a.x.example", 5080),
        ],
        "A a.x.example": ["192.0.2.11", "192.0.2.12"],
        "A b.x.example": ["192.0.2.13"],
        "A c.x.example": ["192.0.2.14"],
    }
    # 31 of 100 is in the share of a (30 is b's); then its second address is drawn.
    decision = locate("sip:x.example;transport=udp", zone, draw=scripted(31, 1))
    assert order(decision) == [
        "UDP 192.0.2.12:5080",
        "UDP 192.0.2.11:5080",
        "UDP 192.0.2.13:5060",
        "UDP 192.0.2.14:5060",
    ]
    first = decision.order[0]
    assert (first.name, first.priority, first.weight) == ("a.x.example", 1, 70)
    assert first.drawn == (31, 100, 2)
    assert [each.drawn for each in decision.order[1:]] == [None, None, None]


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        ((6, 4), ["UDP [2001:db8::1]:5060", "UDP 192.0.2.1:5060"]),
        ((4, 6), ["UDP 192.0.2.1:5060", "UDP [2001:db8::1]:5060"]),
        ((6,), ["UDP [2001:db8::1]:5060"]),
        ((4,), ["UDP 192.0.2.1:5060"]),
    ],
)
def test_both_versions_of_ip_in_our_order(families: tuple[int, ...], expected: list[str]) -> None:
    zone = Zone({"A x.example": ["192.0.2.1"], "AAAA x.example": ["2001:db8::1"]})
    assert order(locate("sip:x.example:5060", zone, Rules(families=families))) == expected
    assert len(zone.asked) == len(families)


# The target "."

ROOT = srv(0, 0, ".", 0)


@pytest.mark.parametrize(
    ("uri", "records"),
    [
        ("sip:x.example;transport=udp", {"SRV _sip._udp.x.example": [ROOT]}),
        (
            "sip:x.example",
            {"SRV _sip._udp.x.example": [ROOT], "SRV _sip._tcp.x.example": [ROOT]},
        ),
        ("sip:x.example", {"SRV _sip._udp.x.example": [ROOT], "NAPTR x.example": [TO_UDP]}),
    ],
)
def test_a_lone_root_means_no_such_service_and_no_addresses_are_asked(
    uri: str, records: Records
) -> None:
    zone = Zone({**ADDRESS, **records})
    decision = locate(uri, zone)
    assert order(decision) == []
    assert decision.problem is not None
    assert decision.problem.code == "locate.no-service"
    assert "A x.example" not in zone.asked
    assert "server-refused" in reasons(decision)
    assert verdicts(decision)[str(ROOT)] == "srv-refused"


def test_a_transport_that_is_refused_is_passed_over() -> None:
    decision = locate("sip:x.example", {**TCP_SRV, "SRV _sip._udp.x.example": [ROOT]})
    assert order(decision) == ["TCP 192.0.2.3:5071"]
    # Nothing known of the others: the default, but for what is refused.
    decision = locate("sip:x.example", {**ADDRESS, "SRV _sip._udp.x.example": [ROOT]})
    assert order(decision) == ["TCP 192.0.2.1:5060"]


def test_a_root_beside_others_and_a_port_0_name_no_server() -> None:
    bad = srv(0, 5, "u.x.example", 0)
    records: Records = {"SRV _sip._udp.x.example": [ROOT, bad, srv(1, 1, "u.x.example")]}
    decision = locate("sip:x.example;transport=udp", {**records, "A u.x.example": ["192.0.2.2"]})
    assert order(decision) == ["UDP 192.0.2.2:5060"]
    assert verdicts(decision)[str(ROOT)] == "srv-root"
    assert verdicts(decision)[str(bad)] == "srv-port-0"


# Transports and addresses that we do not have


@pytest.mark.parametrize(
    ("uri", "rules", "code", "words"),
    [
        ("sip:x.example;transport=sctp", V4, "locate.transport", "transport=sctp is asked for"),
        ("sip:192.0.2.9;transport=tls", Rules((UDP,)), "locate.transport", "sends by UDP"),
        ("sip:192.0.2.9;transport=", V4, "locate.transport", "transport= is asked"),
        ("sips:x.example", Rules((UDP, TCP)), "locate.transport", "a sips URI takes TLS"),
        ("sips:192.0.2.9", Rules((UDP, TCP)), "locate.transport", "a sips URI takes TLS"),
        ("sips:x.example;transport=udp", V4, "locate.sips-udp", "reliable transport"),
        ("sip:[2001:db8::1]", V4, "locate.family", "does not send by IPv6"),
        ("sip:192.0.2.9", Rules(families=(6,)), "locate.family", "does not send by IPv4"),
        ("sip:192.0.2.9:0", V4, "locate.port", "port 0"),
        ("sip:x.example:0", V4, "locate.port", "port 0"),
    ],
)
def test_what_cannot_be_sent_is_said_without_a_question(
    uri: str, rules: Rules, code: str, words: str
) -> None:
    zone = Zone(ADDRESS)
    decision = locate(uri, zone, rules)
    assert decision.problem is not None
    assert (decision.problem.code, zone.asked, order(decision)) == (code, [], [])
    assert words in decision.problem.message


@pytest.mark.parametrize(
    ("uri", "expected", "why"),
    [
        ("sip:192.0.2.9", "TCP 192.0.2.9:5060", "transport-no-udp"),
        ("sip:x.example:5080", "TCP 192.0.2.1:5080", "transport-no-udp"),
    ],
)
def test_without_udp_the_default_is_the_next_of_ours(uri: str, expected: str, why: str) -> None:
    decision = locate(uri, ADDRESS, Rules((TCP, TLS), families=(4,)))
    assert order(decision) == [expected]
    assert reasons(decision)[1] == why


@pytest.mark.parametrize(
    ("uri", "expected", "why"),
    [
        ("sip:192.0.2.9", "TCP 192.0.2.9:5060", "transport-stream"),
        ("sip:192.0.2.9;transport=udp", "TCP 192.0.2.9:5060", "transport-stream"),
        ("sip:x.example:5080", "TCP 192.0.2.1:5080", "transport-stream"),
        ("sip:x.example", "TCP 192.0.2.3:5071", "transport-srv"),
        ("sips:192.0.2.9", "TLS 192.0.2.9:5061", "transport-numeric"),
    ],
)
def test_what_is_too_large_for_udp_goes_by_tcp(uri: str, expected: str, why: str) -> None:
    decision = locate(uri, ALL_SRV, stream=True)
    assert order(decision) == [expected]
    assert reasons(decision)[1] == why


def test_a_large_request_skips_the_naptr_record_of_udp() -> None:
    decision = locate(
        "sip:x.example", {**ALL_SRV, "NAPTR x.example": [TO_UDP, TO_TCP]}, stream=True
    )
    assert order(decision) == ["TCP 192.0.2.3:5071"]


# What DNS does not tell


@pytest.mark.parametrize(
    ("records", "code", "words"),
    [
        ({}, "locate.no-address", "x.example does not exist"),
        ({"TXT x.example": ["x"]}, "locate.no-address", "x.example has no A record"),
        ({"A x.example": None}, "locate.dns", "192.0.2.53:53: SERVFAIL"),
        (
            {"SRV _sip._udp.x.example": [srv(0, 1, "a.x.example"), srv(0, 1, "b.x.example")]},
            "locate.no-address",
            "none of 2 servers has an address: a.x.example, for one, does not exist",
        ),
    ],
)
def test_no_address_is_a_problem_with_a_reason(records: Records, code: str, words: str) -> None:
    decision = locate("sip:x.example", records)
    assert decision.problem is not None
    assert decision.problem.code == code
    assert words in decision.problem.message


def test_a_look_up_that_fails_counts_as_none_with_a_warning() -> None:
    failing: Records = {"NAPTR x.example": None, "SRV _sip._tcp.x.example": None}
    decision = locate("sip:x.example", {**failing, **UDP_SRV})
    assert order(decision) == ["UDP 192.0.2.2:5070"]
    assert decision.warnings == (
        "no answer to NAPTR x.example, SRV _sip._tcp.x.example: went on as if there were no "
        "such records",
    )


SECURE_FIRST: Records = {
    "NAPTR x.example": [
        naptr(1, 1, "SIPS+D2T", "_sips._tcp.x.example"),
        naptr(2, 1, "SIP+D2U", "_sip._udp.x.example"),
    ],
    "SRV _sip._udp.x.example": [srv(0, 1, "u.x.example")],
    "A x.example": ["192.0.2.1"],
    "A u.x.example": ["192.0.2.2"],
}


def test_a_secure_service_whose_look_up_fails_is_not_backed_up_in_the_clear() -> None:
    assert order(locate("sip:x.example", SECURE_FIRST)) == ["UDP 192.0.2.2:5060"]
    decision = locate("sip:x.example", {**SECURE_FIRST, "SRV _sips._tcp.x.example": None})
    assert order(decision) == ["TLS 192.0.2.1:5061"]
    assert "naptr-downgrade" in verdicts(decision).values()


def test_a_domain_that_had_tls_is_not_sent_to_in_the_clear_as_its_records_are_not_told() -> None:
    directory = Directory(V4, lowest)
    target = Target.of(Uri.parse("sip:x.example"))
    failing = Zone({**SECURE_FIRST, "NAPTR x.example": None})
    assert plan_of(target, failing, directory).problem is None  # nothing is known of it
    directory.clear()
    plan_of(target, Zone(SECURE_FIRST), directory)
    directory.clear()
    plan = plan_of(target, failing, directory)
    assert plan.problem is not None
    assert plan.problem.code == "locate.dns"
    assert "SERVFAIL" in plan.problem.message
    decision = directory.candidates(plan).decision(0.0)
    assert reasons(decision) == ["host", "transport-no-answer"]
    assert failing.asked[-1] == "NAPTR x.example"
    directory.clear()
    assert plan_of(Target.of(Uri.parse("sips:x.example")), failing, directory).problem is None
    without = Directory(Rules(transports=(UDP,), families=(4,)), lowest)
    without._sips["x.example"] = True
    assert plan_of(target, failing, without).problem is None  # it has no TLS anyway


def test_a_question_that_nobody_was_asked_is_asked_anew() -> None:
    directory = Directory(V4, lowest)
    target = Target.of(Uri.parse("sip:x.example"))
    location, [question] = directory.search(target, 0.0)
    answer = Answer(question, Outcome.FAILED, note="4096 other questions are pending", asked=False)
    assert directory.receive(location, directory.keep(answer, 0.0), 0.0) == []
    plan = directory.settle(location, 0.0)
    assert plan.problem is not None
    assert "4096 other questions are pending" in plan.problem.message
    assert len(directory.cache) == 0
    assert directory.try_target(target, 0.0) is None
    assert plan_of(target, Zone(UDP_SRV), directory).problem is None


def test_no_more_naptr_records_than_some_are_used() -> None:
    services = [naptr(9 - number // 3, number, "SIP+D2U", f"s{number}.e") for number in range(30)]
    zone = Zone({"NAPTR x.example": services, "A x.example": ["192.0.2.1"]})
    decision = locate("sip:x.example", zone)
    asked = [text.removeprefix("SRV ") for text in zone.asked if text.startswith("SRV ")]
    preferred = sorted(services, key=lambda each: (each.order, each.preference))
    assert asked == [each.replacement for each in preferred[:16]]
    assert [*verdicts(decision).values()].count("naptr-limit") == 14


def test_servers_without_an_address_are_passed_over() -> None:
    zone: Records = {
        "SRV _sip._udp.x.example": [srv(0, 9, "gone.x.example"), srv(0, 1, "u.x.example")],
        "A u.x.example": ["192.0.2.2"],
    }
    decision = locate("sip:x.example;transport=udp", zone, draw=scripted(10, 0))
    assert order(decision) == ["UDP 192.0.2.2:5060"]


def test_two_names_of_one_server_are_tried_once() -> None:
    zone: Records = {
        "SRV _sip._udp.x.example": [srv(0, 9, "a.x.example"), srv(1, 1, "b.x.example")],
        "A a.x.example": ["192.0.2.2"],
        "A b.x.example": ["192.0.2.2"],
    }
    assert order(locate("sip:x.example;transport=udp", zone)) == ["UDP 192.0.2.2:5060"]


def test_addresses_beyond_the_limit_are_left_out_and_shown() -> None:
    many = [f"192.0.2.{number}" for number in range(100, 120)]
    rules = Rules(families=(4,), address_limit=3)
    decision = locate("sip:x.example:5060", {"A x.example": many}, rules)
    assert len(decision.order) == 3
    reasons_of_addresses = [judged.reason.code for judged in decision.lookups[0].judged]
    assert reasons_of_addresses == ["address-used"] * 3 + ["address-limit"] * 17


# Section 5: responses


@pytest.mark.parametrize(
    ("transport", "host", "port", "asked", "expected"),
    [
        ("UDP", "192.0.2.9", None, [], ["UDP 192.0.2.9:5060"]),
        ("TLS", "192.0.2.9", None, [], ["TLS 192.0.2.9:5061"]),
        ("TCP", "2001:db8::9", 5070, [], ["TCP [2001:db8::9]:5070"]),
        ("TCP", "[2001:db8::9]", 5070, [], ["TCP [2001:db8::9]:5070"]),
        ("UDP", "x.example", 5060, ["A x.example"], ["UDP 192.0.2.1:5060"]),
        ("TLS", "x.example", 5099, ["A x.example"], ["TLS 192.0.2.1:5099"]),
        ("UDP", X, None, ["SRV _sip._udp.x.example", "A u.x.example"], ["UDP 192.0.2.2:5070"]),
        ("tcp", X, None, ["SRV _sip._tcp.x.example", "A t.x.example"], ["TCP 192.0.2.3:5071"]),
        ("TLS", X, None, ["SRV _sips._tcp.x.example", "A s.x.example"], ["TLS 192.0.2.4:5072"]),
    ],
)
def test_responses_go_by_the_topmost_via(
    transport: str, host: str, port: int | None, asked: list[str], expected: list[str]
) -> None:
    zone = Zone({**ALL_SRV, "NAPTR x.example": [TO_UDP]})
    decision = locate(Target.sent_by(transport, host, port), zone, Rules() if ":" in host else V4)
    assert order(decision) == expected
    assert zone.asked == asked
    assert reasons(decision)[:2] == ["sent-by", "transport-via"]


def test_a_response_by_a_transport_that_is_none_of_ours() -> None:
    decision = locate(Target.sent_by("SCTP", X, None), {})
    assert decision.problem is not None
    assert decision.problem.code == "locate.transport"


# The table


def test_every_row_has_an_action_and_every_phase_a_row() -> None:
    for row in TABLE.values():
        assert callable(getattr(Location, f"_{row.action}"))
    phases = {phase for phase, _ in TABLE}
    assert phases == set(Phase) - {Phase.DONE}
    assert {event for _, event in TABLE} == set(Event)


def test_an_answer_that_nobody_waits_for_is_ignored() -> None:
    location = Location(Target("x.example", None, None, False, None, "host"), V4, scripted())
    [question] = location.data_to_send()
    assert question == ("x.example", NAPTR)
    zone = Zone(ALL_SRV)
    other = question._replace(name="other.example")
    location.receive(zone.answer(other), 0.0)
    assert state(location)[0] is Phase.NAPTR
    location.receive(zone.answer(question), 0.0)
    assert state(location)[0] is Phase.SRV
    location.receive(zone.answer(question), 0.0)
    assert len(location.data_to_send()) == 2


def test_patience_ends_with_what_is_known() -> None:
    rules = Rules(families=(4,), patience=0.5, failure_ttl=5.0)
    location = Location(Target("x.example", None, "udp", False, None, "host"), rules, scripted(1))
    zone = Zone(
        {
            "SRV _sip._udp.x.example": [srv(0, 1, "a.x.example"), srv(0, 9, "b.x.example")],
            "A b.x.example": ["192.0.2.2"],
        }
    )
    [question] = location.data_to_send()
    location.receive(zone.answer(question), 10.0)
    assert location.next_timeout() is None
    slow, quick = location.data_to_send()
    location.receive(zone.answer(quick), 11.0)
    assert location.next_timeout() == 11.5
    location.on_timeout(11.4)
    assert state(location)[1] is None
    location.on_timeout(11.5)
    assert location.plan is not None
    assert location.plan.expires == 16.5  # and then it is looked whether the answer has come
    assert [server.name for server in location.plan.tiers[0].servers if server.families] == [
        "b.x.example"
    ]
    late = location.plan.steps[-1].lookups[0].answer
    assert (late.question, late.note) == (slow, "no answer yet after 0.5 s")


def test_a_backup_is_no_reason_to_be_impatient() -> None:
    rules = Rules(families=(4,), patience=0.5)
    location = Location(Target("x.example", None, "udp", False, None, "host"), rules, scripted())
    zone = Zone(
        {
            "SRV _sip._udp.x.example": [srv(0, 1, "a.x.example"), srv(1, 1, "b.x.example")],
            "A a.x.example": ["192.0.2.1"],
            "A b.x.example": ["192.0.2.2"],
        }
    )
    location.receive(zone.answer(location.data_to_send()[0]), 0.0)
    first, backup = location.data_to_send()
    location.receive(zone.answer(backup), 0.0)
    assert location.next_timeout() is None
    location.on_timeout(60.0)
    location.receive(zone.answer(first), 60.0)
    assert location.plan is not None
    assert [tier.servers[0].name for tier in location.plan.tiers] == ["a.x.example", "b.x.example"]


def test_a_plan_holds_until_the_first_of_its_answers_expires() -> None:
    location = Location(Target("x.example", 5060, None, False, None, "host"), Rules(), scripted())
    zone = Zone(ADDRESS, ttl=60.0)
    first, second = location.data_to_send()
    location.receive(zone.answer(first), 100.0)  # no AAAA, known for 30 s
    location.receive(zone.answer(second), 120.0)
    assert location.plan is not None
    assert location.plan.expires == 130.0
