"""AttributeS: every type, selection, runs, blockers, removal, rows and refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.charging.attributes import TYPES, Attribute, AttributeProfile, Attributes
from trunkline.charging.event import Event, EventError
from trunkline.charging.filters import Filters, ProfilesError
from trunkline.charging.rows import ALWAYS, Activation, AttributeRow
from trunkline.charging.rsr import parse
from trunkline.charging.selection import Judged, Verdict
from trunkline.errors import DecodeError
from trunkline.rating.errors import Source

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
TENANT = "cgrates.org"

# type: value, fields before, what *req.X is afterwards
CASES: dict[str, list[tuple[str, dict[str, object], str]]] = {
    "*constant": [("*rated", {}, "*rated"), ("a;b", {}, "ab"), ("", {"X": "y"}, "")],
    "*variable": [
        ("~*req.A", {"A": 1001}, "1001"),
        (r"~*req.A:s/^0(\d+)$/+49$1/", {"A": "030"}, "+4930"),
        ("~*req.A;-;~*opts.*context", {"A": "1"}, "1-*sessions"),
        ("~*tenant", {}, TENANT),
    ],
    "*composed": [("-;~*req.A", {"A": "1", "X": "x"}, "x-1"), ("1", {}, "1")],
    "*prefix": [("+;~*req.A", {"A": "49", "X": "30"}, "+4930")],
    "*suffix": [("~*req.A", {"A": "49", "X": "30"}, "3049")],
    "*usage_difference": [
        ("~*req.B;~*req.A", {"A": "2024-05-15T10:00:00Z", "B": "2024-05-15T10:01:30Z"}, "1m30s"),
        ("~*req.A;~*req.B", {"A": "2024-05-15T10:00:00Z", "B": "1715767290"}, "-1m30s"),
    ],
    "*value_exponent": [
        ("~*req.A;4", {"A": "1.23"}, "12300"),
        ("~*req.A;~*req.E", {"A": 12345678, "E": -4}, "1234.5678"),
        ("12345678;-6", {}, "12.34568"),  # five decimals, half up
    ],
    "*cc_usage": [
        ("~*req.N;~*req.U;5m", {"N": 3, "U": "10m"}, "20m0s"),
        ("~*req.N;~*req.U;5m", {"N": 0, "U": "10m"}, "10m0s"),
    ],
    "*unix_timestamp": [("~*req.A", {"A": "2024-05-15T10:00:00Z"}, "1715767200")],
    "*datetime": [("~*req.A", {"A": "1715767200"}, "2024-05-15T10:00:00Z")],
    "*sipcid": [("~*req.C;~*req.F;~*req.T", {"C": "id", "F": "b", "T": "a"}, "id;a;b")],
    "*sip_cid": [("~*req.C;~*req.F;~*req.T", {"C": "id", "T": "a"}, "id;a")],
    "*sum": [
        ("~*req.A;10", {"A": 5}, "15"),
        ("0.1;0.2", {}, "0.3"),
        ("~*req.A;10s;500", {"A": "1m"}, "1m10.0000005s"),
        ("~*req.A;1h", {"A": "2024-05-15T10:00:00Z"}, "2024-05-15T11:00:00Z"),
    ],
    "*difference": [
        ("~*req.A;10;1", {"A": 5}, "-6"),
        ("1m;~*req.A", {"A": "10s"}, "50s"),
        ("~*req.A;1h", {"A": "2024-05-15T10:00:00Z"}, "2024-05-15T09:00:00Z"),
        ("~*req.A;1h;2024-05-15T08:00:00Z", {"A": "2024-05-15T10:00:00Z"}, "1h0m0s"),
    ],
    "*multiply": [("~*req.A;1024;2", {"A": 3}, "6144"), ("1.5;2", {}, "3"), ("1m;2", {}, "2m0s")],
    "*divide": [
        ("~*req.A;4", {"A": 10}, "2"),  # whole numbers: what is left over is cut off
        ("~*req.A;4", {"A": 10.5}, "2.625"),
        ("1m;2", {}, "30s"),
        ("-7;2", {}, "-3"),
    ],
}


def event(**fields: object) -> Event:
    return Event(tenant=TENANT, id="ev1", fields=fields, opts={"*context": "*sessions"})


def profile(id_: str = "ATTR", *attributes: Attribute, **more: object) -> AttributeProfile:
    settings: dict[str, object] = {"tenant": TENANT, "id": id_, "attributes": attributes, **more}
    return AttributeProfile(**settings)  # type: ignore[arg-type]


def change(path: str, type_: str, value: str) -> Attribute:
    return Attribute.make(path, type_, parse(value))


def test_every_type_has_a_test() -> None:
    assert set(CASES) == set(TYPES)


@pytest.mark.parametrize(
    ("type_", "value", "before", "after"),
    [(type_, *case) for type_, cases in CASES.items() for case in cases],
)
def test_types(type_: str, value: str, before: dict[str, object], after: str) -> None:
    held = Attributes([profile("ATTR", change("*req.X", type_, value))])
    asked = event(**before)
    result = held.process(asked, NOW)
    assert result.event.fields == {**before, "X": after}
    assert result.altered_fields == ("*req.X",)
    assert result.matched_profiles == ("ATTR",)
    assert asked.fields == before


@pytest.mark.parametrize(
    ("type_", "value", "fields", "code"),
    [
        ("*variable", "~*req.A", {}, "charging.not-found"),
        ("*prefix", "1", {}, "charging.not-found"),
        ("*sum", "1;~*req.A", {}, "charging.not-found"),
        ("*sipcid", "~*req.A", {}, "charging.not-found"),
        ("*sum", "1;x", {}, "charging.convert"),
        ("*sum", "true;1", {}, "charging.convert"),
        ("*sum", "x;1", {}, "charging.convert"),
        ("*divide", "1;0", {}, "charging.convert"),
        ("*divide", "9223372036854775807;1e-99", {}, "charging.convert"),
        ("*sum", "9999-12-31T00:00:00Z;90000h", {}, "charging.convert"),
        ("*usage_difference", "x;~*now", {}, "charging.convert"),
        ("*value_exponent", "1;0.5", {}, "charging.convert"),
        ("*value_exponent", "1;99999", {}, "charging.convert"),
        ("*value_exponent", "x;1", {}, "charging.convert"),
        ("*cc_usage", "1;x;5m", {}, "charging.convert"),
        ("*unix_timestamp", "x", {}, "charging.convert"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    type_: str, value: str, fields: dict[str, object], code: str
) -> None:
    held = Attributes([profile("ATTR", change("*req.X", type_, value))])
    with pytest.raises(EventError) as refused:
        held.process(event(**fields), NOW)
    assert refused.value.code == code
    assert refused.value.reference == ("NOT_FOUND" if "not-found" in code else "SERVER_ERROR")


@given(st.lists(st.decimals(-(10**12), 10**12, places=6), min_size=2, max_size=6))
def test_sums_are_exact(numbers: list[Decimal]) -> None:
    texts = [format(number, "f") for number in numbers]
    held = Attributes([profile("ATTR", change("*req.X", "*sum", ";".join(texts)))])
    assert Decimal(held.process(event(), NOW).event.text("X")) == sum(numbers)


@pytest.mark.parametrize(
    ("path", "type_", "value", "code"),
    [
        ("*req.X", "*sums", "1;2", "charging.attribute-type"),
        ("*req.X", "*subtract", "1;2", "charging.attribute-type"),
        ("*req.X", "*sum", "1", "charging.attribute-value"),
        ("*req.X", "*usage_difference", "1;2;3", "charging.attribute-value"),
        ("*req.X", "*variable", "", "charging.attribute-value"),
        ("*req.X", "*constant", "~*req.A", "charging.attribute-value"),
        ("X", "*constant", "1", "charging.path"),
        ("~*req.X", "*constant", "1", "charging.path"),
        ("*req", "*constant", "1", "charging.path"),
        ("*stats.X.y", "*constant", "1", "charging.path"),
    ],
)
def test_what_is_no_attribute(path: str, type_: str, value: str, code: str) -> None:
    with pytest.raises(DecodeError) as refused:
        change(path, type_, value)
    assert refused.value.code == code


# What is written


def test_paths_that_are_written() -> None:
    inner = {"Kept": 1, "Old": 2}
    asked = event(Deep=inner, Gone="x", Legs=[{"Id": 1}])
    held = Attributes(
        [
            profile(
                "ATTR",
                change("*req.Deep.New", "*constant", "1"),
                change("*req.A.B.C", "*constant", "2"),
                change("*opts.*extra", "", "~*req.Deep.New"),  # sees what was written before
                change("*req.Gone", "*constant", "*remove"),
                change("*req.Deep.None", "*constant", "*remove"),
                change("*req.Deep.Old", "*constant", "*remove"),
                change("*req.None.None", "*constant", "*remove"),
                change("*tenant", "*constant", "example.org"),
                change("*req.Tenant", "*variable", "~*tenant"),
            )
        ]
    )
    result = held.process(asked, NOW)
    assert result.event.tenant == "example.org"
    assert result.event.opts == {"*context": "*sessions", "*extra": "1"}
    assert result.event.fields == {
        "Deep": {"Kept": 1, "New": "1"},
        "A": {"B": {"C": "2"}},
        "Legs": [{"Id": 1}],
        "Tenant": "example.org",
    }
    assert inner == {"Kept": 1, "Old": 2}
    assert result.altered_fields[:2] == ("*req.Deep.New", "*req.A.B.C")
    assert result.digest == "Tenant:example.org"
    reply = result.as_reply()
    assert reply["MatchedProfiles"] == ["ATTR"]
    assert reply["Tenant"] == "example.org"
    with pytest.raises(EventError, match="list"):
        Attributes([profile("A", change("*req.Legs[0].Id", "*constant", "1"))]).process(asked, NOW)


def test_an_attributes_own_filters_see_what_was_changed_before() -> None:
    condition = Filters().condition(TENANT, ["*string:~*req.A:2"])
    held = Attributes(
        [
            profile(
                "ATTR",
                Attribute.make("*req.B", "*constant", parse("no"), condition),
                change("*req.A", "*constant", "2"),
                Attribute.make("*req.C", "*constant", parse("yes"), condition),
            )
        ]
    )
    result = held.process(event(A="1"), NOW)
    assert result.event.fields == {"A": "2", "C": "yes"}
    assert result.altered_fields == ("*req.A", "*req.C")


# Which profile, and how often


def test_the_heaviest_that_matches_in_the_context_runs() -> None:
    prepaid = Filters().condition(TENANT, ["*string:~*req.RequestType:*prepaid"])
    soon = Activation(start=NOW + timedelta(hours=1))
    held = Attributes(
        [
            profile("ANY", change("*req.X", "*constant", "any"), weight=Decimal(1)),
            profile(
                "CDRS", change("*req.X", "*constant", "cdrs"),
                contexts=("*cdrs",), weight=Decimal(30),
            ),
            profile(
                "PREPAID", change("*req.X", "*constant", "prepaid"),
                condition=prepaid, weight=Decimal(20),
            ),
            profile(
                "SOON", change("*req.X", "*constant", "soon"), activation=soon, weight=Decimal(40)
            ),
            profile("LIGHT", contexts=("*any",)),
        ]
    )  # fmt: skip

    def run(context: str = "", at: datetime | None = None, **fields: object) -> str:
        asked = Event(tenant=TENANT, fields=fields, time=at)
        return held.process(asked, NOW, context=context).event.text("X")

    assert run() == run("*sessions") == "any"
    assert run("*cdrs", RequestType="*prepaid") == "cdrs"
    assert run(RequestType="*prepaid") == "prepaid"
    assert run(at=NOW + timedelta(hours=2)) == "soon"  # the event's own time counts
    trace: list[Judged] = []
    winner = held.for_event(event(), NOW, trace=trace)
    assert winner is not None
    assert winner.id == "ANY"
    assert [(each.profile, each.verdict) for each in trace] == [
        ("SOON", Verdict.INACTIVE),
        ("CDRS", Verdict.CONTEXT),
        ("PREPAID", Verdict.FILTERED),
        ("ANY", Verdict.MATCHED),
        ("LIGHT", Verdict.LOWER_WEIGHT),
    ]
    with pytest.raises(EventError) as refused:
        held.process(Event(tenant="example.org"), NOW)
    assert (refused.value.code, refused.value.reference) == ("charging.not-found", "NOT_FOUND")


def chain(*, blocker: bool = False) -> Attributes:
    filters = Filters()
    return Attributes(
        [
            profile(
                "ONE",
                change("*req.A", "*constant", "2"),
                condition=filters.condition(TENANT, ["*string:~*req.A:1"]),
                weight=Decimal(10),
                blocker=blocker,
            ),
            profile(
                "TWO",
                change("*req.B", "*variable", "~*vars.*processRuns"),
                condition=filters.condition(TENANT, ["*string:~*req.A:2"]),
            ),
        ]
    )


def test_several_runs_hand_the_event_on() -> None:
    once = chain().process(event(A="1"), NOW)
    assert (once.matched_profiles, dict(once.event.fields)) == (("ONE",), {"A": "2"})
    for runs in (2, 5):  # a profile does not run twice in a row, and nothing else matches
        twice = chain().process(event(A="1"), NOW, process_runs=runs)
        assert twice.matched_profiles == ("ONE", "TWO")
        assert twice.event.fields == {"A": "2", "B": "2"}
        assert twice.altered_fields == ("*req.A", "*req.B")
    blocked = chain(blocker=True).process(event(A="1"), NOW, process_runs=5)
    assert blocked.matched_profiles == ("ONE",)


def test_a_later_run_that_lacks_a_field_changes_nothing() -> None:
    held = Attributes(
        [
            profile("ONE", change("*req.A", "*constant", "2"), weight=Decimal(10)),
            profile(
                "TWO", change("*req.B", "*constant", "x"), change("*req.C", "*variable", "~*req.D")
            ),
        ]
    )
    result = held.process(event(), NOW, process_runs=2)
    assert result.matched_profiles == ("ONE",)
    assert result.event.fields == {"A": "2"}


def test_profiles_can_be_named_or_spelled_out() -> None:
    held = chain()
    with pytest.raises(EventError, match="no attribute profile"):  # filters hold for them, too
        held.process(event(A="1"), NOW, profile_ids=["TWO"])
    assert held.process(event(A="1"), NOW, profile_ids=["TWO", "ONE"]).matched_profiles == ("ONE",)
    trace: list[Judged] = []
    light = "*constant:*req.X:1"
    held.process(event(A="1"), NOW, profile_ids=["TWO", "ONE", "NONE", light], trace=trace)
    assert [(each.profile, each.verdict) for each in trace] == [
        ("ONE", Verdict.MATCHED),
        ("TWO", Verdict.LOWER_WEIGHT),
        (light, Verdict.LOWER_WEIGHT),
    ]
    trace.clear()
    held.process(event(A="2"), NOW, profile_ids=["TWO", "ONE"], process_runs=2, trace=trace)
    assert [(each.profile, each.verdict) for each in trace] == [
        ("ONE", Verdict.FILTERED),
        ("TWO", Verdict.LAST),
    ]
    assert [each.found for each in trace[0].findings] == ["2"]
    inline = "*constant:*req.RequestType:*rated;*sum:*req.N:1&~*req.M&2"
    result = held.process(event(A="1", M=5), NOW, profile_ids=[inline])
    assert result.event.fields == {"A": "1", "M": 5, "RequestType": "*rated", "N": "8"}
    assert result.matched_profiles == (inline,)
    for wrong in ("*constant:*req.A", "*nothing:*req.A:1"):
        with pytest.raises(EventError):
            held.process(event(), NOW, profile_ids=[wrong])


def test_what_is_to_come_from_attributes_has_to_come() -> None:
    held = Attributes([profile("ATTR", change("*req.A", "*constant", "1"))])
    assert held.process(event(A="*attributes"), NOW).event.fields == {"A": "1"}
    for asked in (event(B="*attributes"), Event(tenant="x", fields={"B": "*attributes"})):
        with pytest.raises(EventError) as refused:
            held.process(asked, NOW)
        assert refused.value.reference == "MANDATORY_IE_MISSING: [B]"


# Rows


def row(
    id_: str = "ATTR",
    line: int = 1,
    *,
    contexts: tuple[str, ...] = (),
    filters: tuple[str, ...] = (),
    activation: Activation = ALWAYS,
    attribute_filters: tuple[str, ...] = (),
    path: str = "",
    type_: str = "",
    value: str = "",
    blocker: bool = False,
    weight: str = "0",
) -> AttributeRow:
    return AttributeRow(
        tenant=TENANT,
        id=id_,
        contexts=contexts,
        filters=filters,
        activation=activation,
        attribute_filters=attribute_filters,
        path=path,
        type=type_,
        value=value,
        blocker=blocker,
        weight=Decimal(weight),
        source=Source("Attributes.csv", line),
    )


def test_rows_of_one_id_are_one_profile() -> None:
    interval = Activation(start=NOW)
    held = Attributes.from_rows(
        [
            row(
                contexts=("*cdrs",),
                filters=("*string:~*req.A:1",),
                activation=interval,
                blocker=True,
                weight="20",
            ),
            row("OTHER", path="*req.Z", type_="*constant", value="z"),
            row(
                contexts=("*sessions",),
                filters=("*string:~*req.A:1", "*exists:~*req.B"),
                attribute_filters=("*exists:~*req.C",),
                path="*req.X",
                type_="*constant",
                value="1",
            ),
            row(path="*req.Y", value="~*req.B"),
        ],
        Filters(),
    )
    made = held.selection.get(TENANT, "ATTR")
    assert made is not None
    assert made.contexts == ("*cdrs", "*sessions")
    assert made.filter_ids == ("*string:~*req.A:1", "*exists:~*req.B")
    assert (made.activation, made.blocker, made.weight) == (interval, True, Decimal(20))
    assert [str(each.path) for each in made.attributes] == ["*req.X", "*req.Y"]
    assert str(made.source) == "Attributes.csv:1"
    assert made.as_reply() == {
        "Tenant": TENANT,
        "ID": "ATTR",
        "Contexts": ["*cdrs", "*sessions"],
        "FilterIDs": ["*string:~*req.A:1", "*exists:~*req.B"],
        "ActivationInterval": {
            "ActivationTime": "2024-05-15T10:00:00Z",
            "ExpiryTime": "0001-01-01T00:00:00Z",
        },
        "Attributes": [
            {
                "FilterIDs": ["*exists:~*req.C"],
                "Path": "*req.X",
                "Type": "*constant",
                "Value": [{"Rules": "1"}],
            },
            {
                "FilterIDs": [],
                "Path": "*req.Y",
                "Type": "*variable",
                "Value": [{"Rules": "~*req.B"}],
            },
        ],
        "Blocker": True,
        "Weight": Decimal(20),
    }
    result = held.process(event(A="1", B="2"), NOW, context="*cdrs")
    assert result.event.fields == {"A": "1", "B": "2", "Y": "2"}


def test_a_profile_without_contexts_is_for_all() -> None:
    assert profile("A").as_reply()["Contexts"] == ["*any"]


def test_all_that_is_wrong_is_told_with_file_and_line() -> None:
    with pytest.raises(ProfilesError) as refused:
        Attributes.from_rows(
            [
                row(line=1, path="*req.X", type_="*constants", value="1"),
                row(line=2, filters=("FLT",)),
                row(line=3, path="X", value="1"),
                row(line=4, type_="*constant", value="1"),
                row(line=5, path="*req.X", value="~*req.A:s/(/x/"),
                row(line=7, value="1"),
                row(line=8, attribute_filters=("*exists:~*req.A",)),
                row(line=6, path="*req.X", value="1", attribute_filters=("*nothing:~*req.A:1",)),
            ],
            Filters(),
        )
    assert [(each.code, str(each.source)) for each in refused.value.problems] == [
        ("charging.attribute-type", "Attributes.csv:1"),
        ("charging.filter-unknown", "Attributes.csv:2"),
        ("charging.path", "Attributes.csv:3"),
        ("charging.path", "Attributes.csv:4"),
        ("charging.regex", "Attributes.csv:5"),
        ("charging.path", "Attributes.csv:7"),
        ("charging.path", "Attributes.csv:8"),
        ("charging.filter-type", "Attributes.csv:6"),
    ]
