"""Which profiles match: by the index and by a scan, which are the same."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.charging.event import Event, EventError, Scope
from trunkline.charging.filters import Condition, Filters, active_at, read_inline
from trunkline.charging.rows import ALWAYS, Activation, FilterRow
from trunkline.charging.selection import Judged, Selection, Verdict

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
TENANT = "cgrates.org"


@dataclass(frozen=True)
class Plain:
    id: str
    condition: Condition
    weight: Decimal = Decimal(0)
    activation: Activation = ALWAYS
    tenant: str = TENANT


FIELDS = ("A", "B", "C")
NUMBERS = ("", "1", "12", "123", "2", "20", "x")
rules = st.builds(
    lambda kind, field, way, values: f"{kind}:~*req.{field}{way}:{'|'.join(values)}",
    st.sampled_from(
        ["*string", "*string", "*prefix", "*prefix", "*exists", "*suffix", "*gte", "*notstring",
         "*notprefix", "*notexists", "*empty", "*regex"]
    ),
    st.sampled_from(FIELDS),
    st.sampled_from(["", "", "", r":s/^1(.*)$/$1/", "{*len}"]),
    st.lists(st.sampled_from(NUMBERS[1:-1]), min_size=1, max_size=3, unique=True),
)  # fmt: skip
intervals = st.sampled_from(
    [
        ALWAYS,
        ALWAYS,
        Activation(),
        Activation(start=NOW + timedelta(hours=1)),
        Activation(end=NOW + timedelta(hours=1)),
    ]
)
events = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from([*NUMBERS, 12, None, True]))


@st.composite
def profiles(draw: st.DrawFn) -> list[Plain]:
    """Profiles with inline filters and with stored ones, of several rules and with intervals."""
    rows = [
        FilterRow(
            tenant=TENANT,
            id=f"FLT_{draw(st.integers(0, 3))}",
            type=kind,
            element=element,
            values=values,
            activation=draw(intervals),
        )
        for kind, element, values in (
            read_inline(rule) for rule in draw(st.lists(rules, max_size=6))
        )
    ]
    filters = Filters.from_rows(rows)
    stored = sorted({row.id for row in rows})
    names = st.one_of(rules, st.sampled_from(stored)) if stored else rules
    return [
        Plain(
            f"P{number}",
            filters.condition(TENANT, draw(st.lists(names, max_size=3))),
            Decimal(draw(st.integers(0, 2))),
            draw(intervals),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


def answer(
    selection: Selection[Plain], fields: dict[str, object], at: datetime, *, indexed: bool
) -> list[str] | str:
    """The profiles, or the refusal, and what had been found before it."""
    scope = Scope(Event(fields=fields), at)
    found: list[str] = []
    try:
        for profile in selection.matching(scope, at, indexed=indexed):
            found.append(profile.id)  # noqa: PERF401
    except EventError as error:
        return f"{found} {error}"
    return found


@settings(max_examples=300)
@given(profiles(), st.lists(events, min_size=1, max_size=4), st.sampled_from([0, 1, 2]))
def test_the_index_never_changes_the_answer(
    held: list[Plain], asked: list[dict[str, object]], hours: int
) -> None:
    selection = Selection(held)
    at = NOW + timedelta(hours=hours)
    for fields in asked:
        scanned = answer(selection, fields, at, indexed=False)
        assert answer(selection, fields, at, indexed=True) == scanned
        # And neither changes what each profile alone would say. Its rules are in another order
        # there, so one that cannot be judged may be met in one of the two only.
        if isinstance(scanned, str):
            continue
        scope = Scope(Event(fields=fields), at)
        with contextlib.suppress(EventError):
            assert scanned == [
                each.id
                for each in sorted(held, key=lambda each: -each.weight)
                if active_at(each.activation, at) and each.condition.holds(scope)
            ]


@settings(max_examples=100)
@given(profiles(), events)
def test_what_is_explained_is_what_is_done(held: list[Plain], fields: dict[str, object]) -> None:
    selection = Selection(held)
    scope = Scope(Event(fields=fields), NOW)
    trace: list[Judged] = []
    try:
        winner = selection.first(scope, NOW)
    except EventError:
        return
    traced = selection.first(scope, NOW, trace)
    assert winner is traced
    assert {each.profile for each in trace} == {each.id for each in held}
    matched = [each.profile for each in trace if each.verdict is Verdict.MATCHED]
    assert matched == ([] if winner is None else [winner.id])


def many(count: int) -> Selection[Plain]:
    filters = Filters()
    return Selection(
        Plain(
            f"P{number}",
            filters.condition(
                TENANT,
                [
                    "*string:~*req.RequestType:*prepaid",
                    f"*string:~*req.Account:{number}"
                    if number % 2
                    else f"*prefix:~*req.Destination:{number:06d}",
                ],
            ),
        )
        for number in range(count)
    )


def looked_at(selection: Selection[Plain], **fields: object) -> int:
    held = selection._tenants[TENANT]
    return len(list(held.candidates(Scope(Event(fields=fields), NOW))))


def test_thousands_of_profiles_cost_no_scan() -> None:
    small, large = many(20), many(5_000)
    for selection in (small, large):
        # Filed under the rule that few share, not under the one that all do.
        fields = {"RequestType": "*prepaid", "Account": "7", "Destination": "000008123"}
        assert looked_at(selection, **fields) == 2
        assert looked_at(selection, Account="none") == 0
    scope = Scope(
        Event(fields={"RequestType": "*prepaid", "Account": "7", "Destination": "000008123"}), NOW
    )
    assert [each.id for each in large.matching(scope, NOW)] == ["P7", "P8"]
    began = time.perf_counter()
    for _ in range(200):
        large.first(scope, NOW)
    assert (time.perf_counter() - began) / 200 < 0.001


def test_a_rule_is_a_key_only_while_it_is_active() -> None:
    row = FilterRow(
        tenant=TENANT,
        id="FLT",
        type="*string",
        element="~*req.A",
        values=("1",),
        activation=Activation(end=NOW),
    )
    condition = Filters.from_rows([row]).condition(TENANT, ["FLT", "*suffix:~*req.B:2"])
    selection = Selection([Plain("P", condition)])
    before = NOW - timedelta(seconds=1)
    for at, number in ((before, 0), (NOW, 1)):
        held = selection._tenants[TENANT]
        assert len(list(held.candidates(Scope(Event(fields={"B": "32"}), at)))) == number
        assert answer(selection, {"B": "32"}, at, indexed=True) == ["P"] * number


def test_a_judgement_prints_its_rules() -> None:
    condition = Filters().condition(TENANT, ["*string:~*req.A:1"])
    trace: list[Judged] = []
    Selection([Plain("P", condition)]).first(Scope(Event(fields={"A": "2"}), NOW), NOW, trace)
    assert str(trace[0]) == "P [profile.filtered]\n  *string:~*req.A:1 [filter.failed], found '2'"
