"""Events, paths, text and types, and the little language of rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.charging.converters import CONVERTERS, make_converter
from trunkline.charging.event import (
    MISSING,
    Duration,
    Event,
    EventError,
    Path,
    Scope,
    read_time,
    to_text,
    typed,
)
from trunkline.charging.rsr import Parser, parse, split
from trunkline.charging.sources import TariffSources
from trunkline.errors import DecodeError
from trunkline.rating.tariff import Tariff

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
NOTHING: dict[str, Any] = {
    "destinations": [],
    "rates": [],
    "destination_rates": [],
    "rating_plans": [],
    "rating_profiles": [],
}


def scope(sources: TariffSources | None = None, /, **fields: object) -> Scope:
    event = Event(tenant="cgrates.org", fields=fields, opts={"*context": "*sessions"})
    return Scope(event, NOW, sources, vars={"*processRuns": 1})


# Values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (5.0, "5"),
        (1e9, "1000000000"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (Decimal("12.50"), "12.5"),
        (Decimal("1E+3"), "1000"),
        (Duration(60_000_000_000), "1m0s"),
        (Duration(-1_500_000_000), "-1.5s"),
        (datetime(2024, 5, 15, 10, 0, 0, 5, tzinfo=UTC), "2024-05-15T10:00:00Z"),
        (
            datetime(2024, 5, 15, 10, tzinfo=timezone(timedelta(hours=2))),
            "2024-05-15T10:00:00+02:00",
        ),
        ([1, "a"], '[1,"a"]'),
        ({"a": Decimal("1.50")}, '{"a":1.5}'),
        (float("inf"), "inf"),
    ],
)
def test_every_value_has_a_text(value: object, text: str) -> None:
    assert to_text(value) == text


def test_what_has_no_text_is_refused() -> None:
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    for value in (deep, {1, 2}, object(), [float("nan")]):
        with pytest.raises(EventError) as refused:
            to_text(value)
        assert refused.value.code == "charging.field"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("10", 10),
        ("-3", -3),
        ("1", 1),  # a number before it is a truth
        ("true", True),
        ("F", False),
        ("1.5", Decimal("1.5")),
        ("1e3", Decimal("1e3")),
        ("99999999999999999999", Decimal("99999999999999999999")),
        ("2024-05-15T10:00:00Z", NOW),
        ("2024-05-15 10:00:00", NOW),
        ("+1h", NOW + timedelta(hours=1)),
        ("*monthly", datetime(2024, 6, 15, 10, tzinfo=UTC)),
        ("*prepaid", "*prepaid"),
        ("10s", Duration(10_000_000_000)),
        ("-1m", Duration(-60_000_000_000)),
        ("abc", "abc"),
        ("1.2.3", "1.2.3"),
        ("1e999999999", "1e999999999"),
        ("hours", "hours"),
    ],
)
def test_text_is_read_as_what_it_looks_like(text: str, value: object) -> None:
    found = typed(text, NOW)
    assert found == value
    assert type(found) is type(value)


@given(st.text(max_size=30))
def test_any_text_is_something_and_stays_text_in_the_end(text: str) -> None:
    to_text(typed(text, NOW))


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_come_back(number: int) -> None:
    assert typed(to_text(number), NOW) == number


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-15T10:00:00Z", NOW),
        ("2024-05-15T12:00:00+02:00", NOW),
        ("2024-05-15T12:00:00+0200", NOW),
        ("2024-05-15T10:00:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ("2024-05-15T10:00:00.1Z", NOW + timedelta(microseconds=100_000)),
        (" 2024-05-15 10:00:00 ", NOW),
        ("2024-05-15 10:00:00 +0000", NOW),
        ("20240515100000", NOW),
        ("1715767200", NOW),
        ("1715767200000", NOW),
        ("1715767200000000", NOW),
        ("1715767200000000000", NOW),
        ("*now", NOW),
        ("+30m", NOW + timedelta(minutes=30)),
        ("+x", None),
        ("2024-13-15T10:00:00Z", None),
        ("20241315100000", None),
        ("yesterday", None),
        ("", None),
        ("123", None),
        ("２０２４-05-15 10:00:00", None),
        ("15/05/2024 10:00:00", NOW),
    ],
)
def test_times_are_detected(text: str, time: datetime | None) -> None:
    assert read_time(text, NOW) == time


def test_a_time_without_a_zone_is_the_tenants() -> None:
    two = timezone(timedelta(hours=2))
    tariff = Tariff.build(**NOTHING, tenant_time_zones={"cgrates.org": two})
    sources = TariffSources(tariff)
    here = Scope(Event(), NOW, sources)
    assert here.typed("2024-05-15 12:00:00") == NOW


# Paths and scopes


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("*req.Account", Path("*req", ("Account",))),
        ("~*req.Account", Path("*req", ("Account",))),
        ("*req.Legs[0].Id", Path("*req", ("Legs", "0", "Id"))),
        ("*req.A[x][1]", Path("*req", ("A", "x", "1"))),
        ("*tenant", Path("*tenant")),
    ],
)
def test_paths(text: str, path: Path) -> None:
    assert Path.parse(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "Account",
        "",
        "*req.",
        "*req..A",
        "*req.A]",
        "*req.A[1",
        "*rqe.A",
        "*nothing",
        "*req.<~*req.A>",
    ],
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(DecodeError) as refused:
        Path.parse(text)
    assert refused.value.code == "charging.path"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("*req.Account", "1001"),
        ("*req.account", MISSING),  # names are as they are written
        ("*req.Nothing", None),
        ("*req.Legs[1].Id", "b"),
        ("*req.Legs[2].Id", MISSING),
        ("*req.Legs.Id", MISSING),
        ("*req.Account[0]", MISSING),
        ("*req.Number[0]", MISSING),
        ("*opts.*context", "*sessions"),
        ("*vars.*processRuns", 1),
        ("*tenant", "cgrates.org"),
        ("*now", NOW),
        ("*hdr.Account", MISSING),
    ],
)
def test_what_paths_find(path: str, found: object) -> None:
    here = scope(Account="1001", Nothing=None, Number=5, Legs=[{"Id": "a"}, {"Id": "b"}])
    assert here.find(Path.parse(path)) == found


def test_things_that_count_come_from_their_source() -> None:
    kept: dict[str, Any] = {"STAT_1": {"*acd": Decimal(60)}}
    tariff = Tariff.build(**NOTHING)
    sources = TariffSources(tariff, items={"*stats": lambda tenant, item: kept.get(item)})
    here = scope(sources, Id="STAT_1")
    assert Parser("~*stats.STAT_1.*acd").text(here) == "60"
    assert Parser("~*stats.<~*req.Id>.*acd").text(here) == "60"
    assert Parser("~*stats.<~*req.None>.*acd").text(here) is None
    assert Parser("~*stats.STAT_2.*acd").text(here) is None
    for without, path in ((here, "~*resources.RES.TotalUsage"), (scope(), "~*accounts.1001.ID")):
        with pytest.raises(EventError, match="keeps") as refused:
            Parser(path).text(without)
        assert refused.value.code == "charging.no-source"


def test_typed_access_to_an_event() -> None:
    event = Event(fields={"Usage": "1m", "N": 5, "F": 2.0, "At": "1715767200", "T": NOW, "X": "x"})
    assert event.usage() == 60_000_000_000
    assert (event.usage("N"), event.usage("F"), event.usage("Nothing")) == (5, 2, None)
    assert event.when("At", NOW) == event.when("T", NOW) == NOW
    assert event.when("Nothing", NOW) is None
    empty = Event(fields={"Usage": "", "At": "", "T": datetime(2024, 5, 15, 12)})
    assert (empty.usage(), empty.when("At", NOW)) == (None, None)
    assert empty.when("T", NOW, timezone(timedelta(hours=2))) == NOW
    assert (event.text("N"), event.text("Nothing", "-")) == ("5", "-")
    for wrong in (lambda: event.usage("X"), lambda: event.when("X", NOW)):
        with pytest.raises(EventError) as refused:
            wrong()
        assert refused.value.code == "charging.field"
    assert event.tenant_or_default == "cgrates.org"
    assert Event(id="1", time=NOW, fields={"A": 1}).as_reply() == {
        "Tenant": "",
        "ID": "1",
        "Time": "2024-05-15T10:00:00Z",
        "Event": {"A": 1},
        "APIOpts": {},
    }


# Rules


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("~*req.Account", "1001"),
        ("~*req.None", None),
        ("abc", "abc"),
        (r"~*req.Destination:s/^\+49(\d+)$/0$1/", "01511"),
        (r"~*req.Destination:s/^\+44(\d+)$/0$1/", "+491511"),  # no match: as it is
        (r"~*req.Destination:s/49/x/", "x"),  # a match: the replacement alone
        (r"~*req.Destination:s/^\+(\d+)$/00$1/:s/^00(\d)/$1/", "4"),
        (r"~*req.Path:s/^\/a\/(.*)$/$1/", "b"),
        (r"~*req.Path:s/^/a/(.*)$/$1/", "b"),  # the last two slashes count
        (r"~*req.Destination:s/^.*$//", ""),
        ("~*req.Usage{*duration_seconds}", "90.5"),
        ("~*req.Usage{*duration_seconds&*round}", "91"),
        ("~*req.Usage{*duration_seconds&*round:0:*down}", "90"),
        ("~*req.Account;-;~*req.Category", "1001-call"),
        ("~*req.Account;~*req.None", None),
        ("`a;b`;c", "a;bc"),
        ("10s{*duration_seconds}", "10"),
        ("", ""),
    ],
)
def test_rules(rule: str, text: str | None) -> None:
    here = scope(
        Account="1001", Category="call", Destination="+491511", Usage="1m30.5s", Path="/a/b"
    )
    assert parse(rule).text(here) == text


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("~Account", "charging.path"),
        ("~*req.A:s/a/b", "charging.rule"),
        ("~*req.A:s/a/", "charging.rule"),
        (r"~*req.A:s/a\/b\/", "charging.rule"),
        ("~*req.A:s/(/b/", "charging.regex"),
        ("~*req.A{*nothing}", "charging.converter"),
        ("~*req.A{*round:x}", "charging.converter"),
        ("~*req.A{*round:2:*sideways}", "charging.converter"),
        ("~*req.A{*divide:0}", "charging.converter"),
        ("~*req.A{*multiply}", "charging.converter"),
        ("~*req.A{*time_string:2006}", "charging.converter"),
        ("~*req.A{*strip:*prefix:2}", "charging.converter"),
        ("~*req.A{*round}x", "charging.rule"),
        ("~*stats.<~*req.A.*acd", "charging.rule"),
        ("x{*duration}", "charging.converter"),
    ],
)
def test_what_is_no_rule(rule: str, code: str) -> None:
    with pytest.raises(DecodeError) as refused:
        parse(rule)
    assert refused.value.code == code


def test_separators_between_backquotes_or_brackets_do_not_separate() -> None:
    assert split("a;b") == ["a", "b"]
    assert split("`a;b`;c") == ["`a;b`", "c"]
    assert split("~*stats.<~*req.A;~*req.B>.x;c") == ["~*stats.<~*req.A;~*req.B>.x", "c"]
    assert split("a|b;c", ";|") == ["a", "b", "c"]


CONVERSIONS: dict[str, list[tuple[str, object, str]]] = {
    "*divide": [("*divide:4", "10", "2.5"), ("*divide:3", "1", "0.33333333333333333")],
    "*duration": [("*duration", "60000000000", "1m0s"), ("*duration", "90s", "1m30s")],
    "*duration_nanoseconds": [("*duration_nanoseconds", "1s", "1000000000")],
    "*duration_seconds": [("*duration_seconds", "1500ms", "1.5")],
    "*e164": [("*e164", "8.7.6.5.4.3.2.1.e164.arpa", "12345678")],
    "*e164Domain": [("*e164Domain", "8.7.6.e164.arpa", "e164.arpa")],
    "*float64": [("*float64", "1.50", "1.5")],
    "*ip2hex": [("*ip2hex", "10.0.0.1", "0x0a000001"), ("*ip2hex", "x", "")],
    "*join": [("*slice&*join", "[1,2]", "1,2"), ("*slice&*join:-", '["a","b"]', "a-b")],
    "*len": [("*len", "abc", "3"), ("*slice&*len", "[1,2]", "2")],
    "*multiply": [("*multiply:1024", "2", "2048")],
    "*round": [
        ("*round:2", "12.345", "12.35"),
        ("*round:2", "12.3", "12.3"),
        ("*round:1:*up", "0.01", "0.1"),
        ("*round:1:*down", "0.09", "0"),
    ],
    "*sipuri_host": [("*sipuri_host", "<sip:a@b.org:5060;x=y>", "b.org")],
    "*sipuri_method": [("*sipuri_method", "INVITE sip:a@b SIP/2.0", "INVITE")],
    "*sipuri_user": [
        ("*sipuri_user", "sip:a@b.org", "a"),
        ("*sipuri_user", "x", ""),
        ("*sipuri_user", '"A" < sip:a@b>', "a"),
        ("*sipuri_user", " " * 500_000, ""),
    ],
    "*slice": [
        ("*slice", "[1, 2]", "[1,2]"),
        ("*slice", "[x", "[x"),
        ("*slice", "[x]", "[x]"),
        ("*slice&*join", "[NaN]", "[NaN]"),
        ("*slice&*join", "[1e999999999]", "[1e999999999]"),
    ],
    "*string2hex": [("*string2hex", "ab", "0x6162"), ("*string2hex", "", "")],
    "*time_string": [("*time_string", "1715767200", "2024-05-15T10:00:00Z")],
    "*unixtime": [("*unixtime", "2024-05-15T10:00:00Z", "1715767200")],
    "*urldecode": [("*urldecode", "a%2Bb", "a+b")],
    "*urlencode": [("*urlencode", "a+b", "a%2Bb")],
}


def test_every_converter_has_a_test() -> None:
    assert set(CONVERSIONS) == set(CONVERTERS)


@pytest.mark.parametrize(
    ("converter", "value", "text"), [case for cases in CONVERSIONS.values() for case in cases]
)
def test_converters(converter: str, value: str, text: str) -> None:
    assert Parser(f"~*req.A{{{converter}}}").text(scope(A=value)) == text


@pytest.mark.parametrize(
    ("converter", "value"),
    [
        ("*round", "x"),
        ("*duration_seconds", "x"),
        ("*unixtime", "x"),
        ("*unixtime", "*now"),
        ("*e164", "x"),
        ("*float64", ""),
        ("*float64", "1e999"),
    ],
)
def test_what_cannot_be_converted_is_refused(converter: str, value: str) -> None:
    with pytest.raises(EventError) as refused:
        make_converter(converter)(value)
    assert refused.value.code == "charging.convert"
