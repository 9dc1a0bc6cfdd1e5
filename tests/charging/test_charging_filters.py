"""Filters: every type with its negation, stored and inline, intervals, explanations, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.charging.event import Event, EventError, Scope
from trunkline.charging.filter_types import WITHOUT_VALUES
from trunkline.charging.filters import (
    TYPES,
    Filters,
    Finding,
    ProfilesError,
    Reason,
    Rule,
    read_inline,
)
from trunkline.charging.rows import ALWAYS, Activation, FilterRow
from trunkline.charging.sources import TariffSources
from trunkline.errors import DecodeError
from trunkline.rating.errors import Source
from trunkline.rating.model import Destination, Timing
from trunkline.rating.tariff import Tariff

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
TARIFF = Tariff.build(
    destinations=[
        Destination("DST_AUS", ("61",)),
        Destination("DST_AUS_Mobile", ("614",)),
        Destination("DST_DE", ("49", "+49")),
        Destination("DST_EU", ("49", "33")),
    ],
    rates=[],
    destination_rates=[],
    rating_plans=[],
    rating_profiles=[],
)
SOURCES = TariffSources(
    TARIFF,
    timings={"WORK": Timing("WORK", week_days=(1, 2, 3, 4, 5), start=8 * 3600, end=17 * 3600)},
    items={
        "*stats": lambda tenant, item: {"*acd": Decimal(90)} if item == "STAT_1" else None,
        "*resources": lambda tenant, item: {"TotalUsage": 3} if item == "RES_1" else None,
        "*accounts": lambda tenant, item: {"Disabled": False} if item == "1001" else None,
    },
)


def scope(fields: Mapping[str, object] = {}, now: datetime = NOW) -> Scope:
    event = Event(fields=fields, opts={"*context": "*sessions"})
    return Scope(event, now, SOURCES)


# (element, values) with events that hold, and events that do not
CASES: dict[str, list[tuple[str, str, list[dict[str, object]], list[dict[str, object]]]]] = {
    "*string": [
        ("~*req.A", "1001;1002", [{"A": "1001"}, {"A": 1002}], [{"A": "100"}, {"a": "1001"}, {}]),
        ("~*req.A", "true", [{"A": True}], [{"A": "True"}]),
        ("~*req.A", "~*req.B;x", [{"A": "1", "B": 1}, {"A": "x"}], [{"A": "1"}, {"B": "1"}]),
        (r"~*req.A:s/^0(\d+)$/$1/", "12", [{"A": "012"}, {"A": "12"}], [{"A": "0012"}]),
        ("~*req.A{*duration_seconds}", "60", [{"A": "1m"}], [{"A": "61s"}]),
        ("~*opts.*context", "*sessions", [{}], []),
        ("~*tenant", "cgrates.org", [{}], []),
        ("~*req.A", "", [{"A": ""}, {"A": None}], [{}, {"A": "x"}]),
    ],
    "*contains": [("~*req.A", "bc;x", [{"A": "abcd"}, {"A": "x"}], [{"A": "b"}, {}])],
    "*prefix": [
        ("~*req.A", "49;+49", [{"A": "491"}, {"A": "+49"}, {"A": 49}], [{"A": "4"}, {"A": ""}, {}]),
        ("~*req.A", "~*req.B", [{"A": "491", "B": "49"}], [{"A": "491"}, {"A": "1", "B": "2"}]),
    ],
    "*suffix": [
        ("~*req.A", "00;1", [{"A": "100"}, {"A": "1"}], [{"A": "10"}, {}]),
        ("~*req.A", "~*req.B", [{"A": "491", "B": 1}], [{"A": "1"}]),
    ],
    "*empty": [
        (
            "~*req.A",
            "",
            [{}, {"A": ""}, {"A": None}, {"A": []}, {"A": {}}],
            [{"A": "x"}, {"A": 0}, {"A": False}, {"A": [1]}, {"A": {"x": 1}}],
        ),
        ("~*stats.STAT_2.*acd", "", [{}], []),
    ],
    "*exists": [
        ("~*req.A", "", [{"A": ""}, {"A": None}, {"A": 0}], [{}, {"a": 1}]),
        ("~*req.A.B", "", [{"A": {"B": 1}}], [{"A": {"C": 1}}, {"A": 1}, {}]),
        ("~*stats.STAT_1.*acd", "", [{}], []),
        ("~*stats.<~*req.S>.*acd", "", [{"S": "STAT_1"}], [{"S": "STAT_2"}, {}]),
    ],
    "*timings": [
        (
            "~*req.T",
            "NO;WORK",
            [{"T": "2024-05-15T10:00:00Z"}, {"T": 1715767200}, {"T": "2024-05-15T16:59:59Z"}],
            [{"T": "2024-05-18T10:00:00Z"}, {"T": "2024-05-15T17:00:00Z"}, {}],
        ),
        ("~*req.T", "*any", [{"T": "*now"}], [{}]),
    ],
    "*rsr": [
        ("~*req.A", "~^1\\d$;x", [{"A": "12"}, {"A": "x"}], [{"A": "1"}, {"A": ""}, {}]),
        ("~*req.A", "!~^1", [{"A": "2"}], [{"A": "1"}, {}]),
        ("~*req.A", "^10", [{"A": "101"}], [{"A": "210"}]),
        ("~*req.A", "10$", [{"A": "210"}], [{"A": "101"}]),
        ("~*req.A", "^10$", [{"A": "10"}], [{"A": "101"}, {"A": "210"}, {}]),
        ("~*req.A", "^$", [{}, {"A": ""}], [{"A": "1"}]),
        ("~*req.A", ">=10", [{"A": "10"}, {"A": 11}], [{"A": 9}]),
        ("~*req.A", "<=10", [{"A": "10"}], [{"A": 11}]),
        ("~*req.A", ">10", [{"A": "11"}], [{"A": 10}]),
        ("~*req.A", "<1m", [{"A": "59s"}], [{"A": "60s"}]),
        ("~*req.A", "!10", [{"A": "11"}], [{"A": 10}]),
        ("~*req.A", "!", [], [{"A": "11"}, {"A": ""}]),
        (
            "",
            "~*req.A(~^1&!^10);~*req.B",
            [{"A": "11", "B": 1}],
            [{"A": "10", "B": 1}, {"A": "11"}],
        ),
        ("", r"~*req.A:s/^(0)(\d)$/$2/(5)", [{"A": "05"}], [{"A": "06"}]),
    ],
    "*destinations": [
        (
            "~*req.A",
            "DST_AUS;DST_DE",
            [{"A": "61"}, {"A": "61299"}, {"A": "61499"}, {"A": "+4930"}],
            [{"A": "6"}, {"A": "331"}, {"A": ""}, {}],
        ),
        ("~*req.A", "DST_AUS_Mobile", [{"A": "6149"}], [{"A": "6129"}]),
        ("~*req.A", "DST_EU", [{"A": "4930"}, {"A": "33"}], [{"A": "+4930"}]),
        ("~*req.A", "~*req.D", [{"A": "6149", "D": "DST_AUS"}], [{"A": "6149"}]),
    ],
    "*ipnet": [
        (
            "~*req.A",
            "10.0.0.0/8;2001:db8::/32",
            [{"A": "10.1.2.3"}, {"A": "2001:db8::1"}],
            [{"A": "11.0.0.1"}, {"A": "x"}, {"A": ""}, {}],
        ),
        ("~*req.A", "~*req.N", [{"A": "10.1.2.3", "N": "10.0.0.0/8"}], [{"A": "10.1.2.3"}]),
        ("~*req.A", "~*req.N", [], [{"A": "10.1.2.3", "N": "x"}]),
    ],
    "*cidr": [("~*req.A", "192.168.1.7/24", [{"A": "192.168.1.1"}], [{"A": "192.168.2.1"}])],
    "*eq": [
        ("~*req.A", "10;20", [{"A": "10"}, {"A": 20.0}], [{"A": 11}, {}]),
        ("~*req.A", "60s", [{"A": "1m"}, {"A": 60_000_000_000}], [{"A": "59s"}]),
        ("~*req.A", "abc", [{"A": "abc"}], [{"A": "abd"}]),
    ],
    "*gt": [
        ("~*req.A", "10", [{"A": "11"}, {"A": 10.5}], [{"A": 10}, {"A": "9"}, {}]),
        ("~*req.A", "9;100", [{"A": "10"}], [{"A": "9"}]),
    ],
    "*gte": [
        ("~*req.A", "10", [{"A": "10"}, {"A": "10.0"}], [{"A": 9.99}, {}]),
        ("~*stats.STAT_1.*acd", "60", [{}], []),
        ("~*stats.STAT_2.*acd", "60", [], [{}]),
    ],
    "*lt": [
        ("~*req.A", "1m", [{"A": "59.9s"}, {"A": 5}], [{"A": "60s"}, {}]),
        ("~*resources.RES_1.TotalUsage", "10", [{}], []),
        ("~*req.A", "~*req.B", [{"A": 1, "B": 2}], [{"A": 2, "B": 1}, {"A": 1}]),
    ],
    "*lte": [
        (
            "~*req.T",
            "2024-05-15T10:00:00Z",
            [{"T": "2024-05-15 10:00:00"}, {"T": "2024-05-15T11:00:00+02:00"}],
            [{"T": "2024-05-15T10:00:01Z"}],
        )
    ],
    "*regex": [
        ("~*req.A", r"^\+?49\d+$;^x", [{"A": "4930"}, {"A": "xy"}], [{"A": "49"}, {"A": "yx"}, {}]),
        ("~*req.A", r"(?i)^abc$", [{"A": "ABC"}], [{"A": "abc\n"}]),
    ],
    "*ai": [
        (
            "~*req.T",
            "2024-05-15T10:00:00Z;2024-05-15T11:00:00Z",
            [{"T": "2024-05-15T10:00:00Z"}, {"T": "1715767200"}, {"T": "2024-05-15 10:59:59"}],
            [{"T": "2024-05-15T11:00:00Z"}, {"T": "2024-05-15T09:59:59Z"}, {}],
        ),
        ("~*req.T", ";2024-05-15T11:00:00Z", [{"T": "*now"}], [{"T": "2025-01-01T00:00:00Z"}]),
        ("~*req.T", "2024-05-15T11:00:00Z", [{"T": "2025-01-01T00:00:00Z"}], [{"T": "*now"}]),
        ("~*now", "~*req.S", [{"S": "2024-05-15T10:00:00Z"}], [{"S": "2024-05-15T10:00:01Z"}]),
    ],
    "*activation_interval": [
        ("~*req.T", "2024-05-15T10:00:00Z", [{"T": "2024-05-15T10:00:00Z"}], [{}]),
    ],
}  # fmt: skip


def test_every_type_has_a_test() -> None:
    assert set(CASES) == set(TYPES)


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_a_type_and_its_negation(type_: str) -> None:
    negation = f"*not{type_[1:]}"
    for element, text, holding, failing in CASES[type_]:
        values = text.split(";") if text or type_ == "*string" else []
        rule, negated = Rule.make(type_, element, values), Rule.make(negation, element, values)
        for fields in holding:
            assert rule.holds(scope(fields)), (element, values, fields)
            assert not negated.holds(scope(fields))
        for fields in failing:
            assert not rule.holds(scope(fields)), (element, values, fields)
            assert negated.holds(scope(fields))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("*string:~*req.Account:1001;1002", ("*string", "~*req.Account", ("1001", "1002"))),
        ("*string:~*req.Account:1001|1002", ("*string", "~*req.Account", ("1001", "1002"))),
        ("*exists:~*req.Account:", ("*exists", "~*req.Account", ())),
        ("*exists:~*req.Account", ("*exists", "~*req.Account", ())),
        (
            "*ai:~*req.AnswerTime:2014-07-14T14:35:00Z|2014-07-14T14:36:00Z",
            ("*ai", "~*req.AnswerTime", ("2014-07-14T14:35:00Z", "2014-07-14T14:36:00Z")),
        ),
        (
            r"*prefix:~*req.A:s/^0(\d)\/:/$1/{*round:2}:a:b",
            ("*prefix", r"~*req.A:s/^0(\d)\/:/$1/{*round:2}", ("a:b",)),
        ),
        ("*rsr::~*req.A(^1)", ("*rsr", "", ("~*req.A(^1)",))),
        ("*string:`x`:~*req.A", ("*string", "`x`", ("~*req.A",))),
        ("*string:~*req.A:`a;b`|c", ("*string", "~*req.A", ("`a;b`", "c"))),
    ],
)
def test_inline_filters_are_read(text: str, parts: tuple[str, str, tuple[str, ...]]) -> None:
    assert read_inline(text) == parts


def test_an_inline_filter_is_judged_as_a_stored_one() -> None:
    condition = Filters().condition("cgrates.org", ["*string:~*req.Account:1001;1002"])
    assert condition.holds(scope({"Account": "1002"}))
    assert not condition.holds(scope({"Account": "1003"}))


@pytest.mark.parametrize(
    ("type_", "element", "values", "code", "words"),
    [
        ("*strings", "~*req.A", ["1"], "charging.filter-type", "choose of"),
        ("string", "~*req.A", ["1"], "charging.filter-type", "no filter type 'string'"),
        ("", "~*req.A", ["1"], "charging.filter-type", "choose of"),
        ("*notnothing", "~*req.A", ["1"], "charging.filter-type", "choose of"),
        ("*stats", "", ["STAT_1:*gt:1"], "charging.filter-type", r"~\*stats.STAT_1"),
        ("*notresources", "", ["RES_1:*gt:1"], "charging.filter-type", r"~\*resources.RES_1"),
        ("*threshold", "", ["THD"], "charging.filter-type", r"~\*thresholds"),
        ("*accounts", "", ["1001"], "charging.filter-type", r"~\*accounts"),
        ("*apiban", "~*req.A", ["*all"], "charging.filter-type", "ipnet"),
        ("*http#[http://x]", "~*req.A", [""], "charging.filter-type", "asks a server"),
        ("*string", "~*req.A", [], "charging.filter-value", "needs values"),
        ("*string", "", ["1"], "charging.filter-element", "an element"),
        ("*string", "Account", ["1001"], "charging.filter-element", r"write ~\*req.Account"),
        ("*string", "~Account", ["1001"], "charging.path", r"write \*req.Account"),
        ("*regex", "~*req.A", ["(?=x)"], "charging.regex", "Go has no"),
        ("*rsr", "~*req.A", ["~("], "charging.regex", "not closed"),
        ("*ipnet", "~*req.A", ["10.0.0.0/33"], "charging.filter-value", "10.0.0.0/8"),
        ("*ai", "~*req.A", ["", "", ""], "charging.filter-value", "start;end"),
        ("*ai", "~*req.A", ["2024-13-01T00:00:00Z"], "charging.filter-value", "is no time"),
        ("*rsr", "", ["1001(^1)"], "charging.filter-element", "no event"),
    ],
)
def test_what_is_no_rule(
    type_: str, element: str, values: list[str], code: str, words: str
) -> None:
    with pytest.raises(DecodeError, match=words) as refused:
        Rule.make(type_, element, values)
    assert refused.value.code == code


@pytest.mark.parametrize("text", ["*string", "x:y:z", ""])
def test_what_is_no_inline_filter(text: str) -> None:
    with pytest.raises(DecodeError):
        Filters().condition("cgrates.org", [text])


@pytest.mark.parametrize(
    ("rule", "fields", "code"),
    [
        ("*gt:~*req.A:10", {"A": "abc"}, "charging.incomparable"),
        ("*notgt:~*req.A:10", {"A": "abc"}, "charging.incomparable"),
        ("*lte:~*req.A:abc", {"A": "abc"}, "charging.incomparable"),
        ("*gte:~*req.A:10", {"A": True}, "charging.incomparable"),
        ("*eq:~*req.A:10", {"A": "x"}, "charging.incomparable"),
        ("*lt:~*req.A:2024-05-15T10:00:00Z", {"A": 5}, "charging.incomparable"),
        ("*lt:~*req.A:5", {"A": "2024-05-15T10:00:00Z"}, "charging.incomparable"),
        ("*eq:~*req.A:x", {"A": 5}, "charging.incomparable"),
        ("*timings:~*req.A:WORK", {"A": "x"}, "charging.field"),
        ("*ai:~*req.A:2024-05-15T10:00:00Z", {"A": "x"}, "charging.field"),
        ("*ai:~*req.A:~*req.B", {"A": "*now"}, "charging.field"),
        ("*gt:~*thresholds.THD.Hits:3", {}, "charging.no-source"),
        ("*exists:~*thresholds.THD.Hits", {}, "charging.no-source"),
        ("*string:~*req.A{*duration}:1", {"A": "x"}, "charging.convert"),
    ],
)
def test_what_cannot_be_judged_is_refused(rule: str, fields: dict[str, object], code: str) -> None:
    condition = Filters().condition("cgrates.org", [rule])
    with pytest.raises(EventError) as refused:
        condition.holds(scope(fields))
    assert refused.value.code == code


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("type_", sorted(TYPES))
@settings(max_examples=60)
@given(value=ANYTHING)
def test_whatever_a_field_is_each_type_judges_it_or_refuses(type_: str, value: object) -> None:
    element, text = CASES[type_][0][:2]
    values = text.split(";") if text else []
    rules = [Rule.make(f"{start}{type_[1:]}", element, values) for start in ("*", "*not")]
    fields = {"A": value, "T": value}
    try:
        held, failed = (rule.holds(scope(fields)) for rule in rules)
    except EventError:
        return
    assert held is not failed


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_each_type_needs_what_it_looks_at_and_by(type_: str) -> None:
    for kind in (type_, f"*not{type_[1:]}"):
        with pytest.raises(DecodeError) as refused:
            Rule.make(kind, "", [] if type_ in WITHOUT_VALUES else ["1001"])
        assert refused.value.code in ("charging.filter-element", "charging.path")
        if type_ not in WITHOUT_VALUES:
            with pytest.raises(DecodeError) as refused:
                Rule.make(kind, "~*req.A", [])
            assert refused.value.code == "charging.filter-value"


@pytest.mark.parametrize("rule", ["*timings:~*req.A:WORK", "*destinations:~*req.A:DST"])
def test_rules_that_ask_a_tariff_are_refused_without_one(rule: str) -> None:
    here = Scope(Event(fields={"A": "2024-05-15T10:00:00Z"}), NOW)
    with pytest.raises(EventError) as refused:
        Filters().condition("cgrates.org", [rule]).holds(here)
    assert refused.value.code == "charging.no-source"


# Stored filters


def row(
    id_: str, type_: str, element: str, values: str, line: int = 1, **more: Activation
) -> FilterRow:
    return FilterRow(
        tenant="cgrates.org",
        id=id_,
        type=type_,
        element=element,
        values=tuple(values.split(";")) if values else (),
        source=Source("Filters.csv", line),
        **more,
    )


def test_all_rules_of_one_id_must_hold() -> None:
    filters = Filters.from_rows(
        [
            row("FLT", "*string", "~*req.A", "1"),
            row("OTHER", "*string", "~*req.A", "9"),
            row("FLT", "*prefix", "~*req.B", "2"),
        ]
    )
    condition = filters.condition("cgrates.org", ["FLT"])
    assert condition.holds(scope({"A": "1", "B": "23"}))
    assert not condition.holds(scope({"A": "1", "B": "3"}))
    assert not condition.holds(scope({"B": "2"}))
    assert not filters.condition("cgrates.org", ["FLT", "OTHER"]).holds(scope({"A": "1", "B": "2"}))
    assert filters.condition("cgrates.org", []).holds(scope())


def test_a_filter_belongs_to_its_tenant() -> None:
    filters = Filters.from_rows([row("FLT", "*string", "~*req.A", "1")])
    with pytest.raises(DecodeError, match=r"no filter 'FLT' of example\.org") as refused:
        filters.condition("example.org", ["FLT"])
    assert refused.value.code == "charging.filter-unknown"


def test_a_filter_out_of_its_interval_is_passed_over_but_not_the_only_one() -> None:
    soon = Activation(start=NOW + timedelta(hours=1), end=NOW + timedelta(hours=2))
    filters = Filters.from_rows(
        [
            row("LATER", "", "", "", activation=soon),  # an interval, and no rule
            row("LATER", "*string", "~*req.A", "1"),
            row("ALWAYS", "*string", "~*req.B", "1"),
        ]
    )
    both = filters.condition("cgrates.org", ["LATER", "ALWAYS"])
    alone = filters.condition("cgrates.org", ["LATER"])
    assert filters.get("cgrates.org", "LATER").rules[0].type == "*string"
    assert both.holds(scope({"B": "1"}))
    assert not alone.holds(scope({"A": "1"}))
    for hours, active in ((1, True), (1.99, True), (2, False)):
        at = NOW + timedelta(hours=hours)
        assert both.holds(scope({"B": "1"}, at)) is not active
        assert alone.holds(scope({"A": "1"}, at)) is active
    trace: list[Finding] = []
    alone.holds(scope(), trace)
    assert [each.reason for each in trace] == [Reason.INACTIVE, Reason.NONE_ACTIVE]


def test_all_that_is_wrong_is_told_with_file_and_line() -> None:
    with pytest.raises(ProfilesError) as refused:
        Filters.from_rows(
            [
                row("FLT", "*string", "~*req.A", "1", 1),
                row("FLT", "*strin", "~*req.A", "1", 2),
                row("FLT", "*regex", "~*req.A", "(", 3),
                row("*X", "*string", "~*req.A", "1", 4),
                row("NONE", "*string", "~*req.A", "", 5),
            ]
        )
    assert [(each.code, str(each.source)) for each in refused.value.problems] == [
        ("charging.filter-type", "Filters.csv:2"),
        ("charging.regex", "Filters.csv:3"),
        ("charging.filter-id", "Filters.csv:4"),
        ("charging.filter-value", "Filters.csv:5"),
    ]
    assert "Filters.csv:2: filter FLT: there is no filter type '*strin'" in str(refused.value)


def test_an_explanation_is_the_decision_itself() -> None:
    filters = Filters.from_rows(
        [row("FLT", "*string", "~*req.A", "1;2"), row("FLT", "*gte", "~*req.B", "10", 2)]
    )
    condition = filters.condition("cgrates.org", ["FLT", "*prefix:~*req.C:49"])
    trace: list[Finding] = []
    assert not condition.holds(scope({"A": "1", "B": "9"}), trace)
    assert [str(each) for each in trace] == [
        "FLT *string:~*req.A:1|2 [filter.held], found '1' (Filters.csv:1)",
        "FLT *gte:~*req.B:10 [filter.failed], found '9' (Filters.csv:2)",
    ]
    trace.clear()
    assert not condition.holds(scope({"A": "1", "B": 10}), trace)
    assert str(trace[-1]) == "*prefix:~*req.C:49 [filter.missing]"


def test_rules_that_look_under_one_root_can_be_judged_later() -> None:
    filters = Filters.from_rows(
        [
            row("FLT", "*string", "~*req.A", "1"),
            row("FLT", "*lte", "~*vars.Cost", "5"),
            row(
                "SOON", "*lte", "~*vars.Cost", "1", activation=Activation(start=NOW + timedelta(1))
            ),
        ]
    )
    early, late = filters.condition("cgrates.org", ["FLT", "SOON"]).divided("*vars")
    assert early.holds(scope({"A": "1"}))
    assert not early.holds(scope({"A": "2"}))
    for cost, holds in ((5, True), (6, False)):
        assert late.holds(Scope(Event(), NOW, vars={"Cost": cost})) is holds
    assert filters.get("cgrates.org", "FLT").activation is ALWAYS


def test_a_filter_as_the_references_json_has_it() -> None:
    interval = Activation(start=NOW)
    filters = Filters.from_rows(
        [
            row("FLT", "*string", "~*req.A", "1;2", activation=interval),
            row("B", "*exists", "~*req.B", ""),
        ]
    )
    assert [each.as_reply() for each in filters.stored("cgrates.org")] == [
        {
            "Tenant": "cgrates.org",
            "ID": "FLT",
            "Rules": [{"Type": "*string", "Element": "~*req.A", "Values": ["1", "2"]}],
            "ActivationInterval": {
                "ActivationTime": "2024-05-15T10:00:00Z",
                "ExpiryTime": "0001-01-01T00:00:00Z",
            },
        },
        {
            "Tenant": "cgrates.org",
            "ID": "B",
            "Rules": [{"Type": "*exists", "Element": "~*req.B", "Values": []}],
            "ActivationInterval": None,
        },
    ]
    assert filters.stored("example.org") == []
