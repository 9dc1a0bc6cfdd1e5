"""Items as the reference's API writes them, and as rows: one is the other, whatever the kind."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.config.cgrates.files import COLUMNS
from trunkline.config.cgrates.items import LAYOUTS, Layout, Member, Value, ValueType, key_of_row

words = st.text("abcXYZ*_-0123 ,\"'é", min_size=1, max_size=6).map(str.strip).filter(bool)
VALUES: dict[ValueType, st.SearchStrategy[Value]] = {
    ValueType.TEXT: words | st.just(""),
    ValueType.NUMBER: st.decimals(0, 1000, places=3).map(
        lambda number: int(number) if number == number.to_integral_value() else number
    ),
    ValueType.INTEGER: st.integers(-1, 1000),
    ValueType.FLAG: st.booleans(),
    ValueType.LIST: st.lists(words, min_size=1, max_size=3, unique=True) | st.none(),
    ValueType.INTERVAL: st.none()
    | st.fixed_dictionaries(
        {"ActivationTime": st.just("2026-01-01T00:00:00Z"), "ExpiryTime": words | st.just("")}
    ),
}


def items(layout: Layout) -> st.SearchStrategy[dict[str, Value]]:
    def member(each: Member) -> st.SearchStrategy[Value]:
        if not each.column:
            return st.none() if each.type is ValueType.LIST else st.just("")
        if each.column in layout.key or (each.column and each in layout.part_members[:2]):
            return words if each.type is ValueType.TEXT else VALUES[each.type]
        return VALUES[each.type]

    def of(members: tuple[Member, ...]) -> st.SearchStrategy[dict[str, Value]]:
        return st.fixed_dictionaries({each.name: member(each) for each in members})

    if not layout.parts:
        return of(layout.members)
    parts: st.SearchStrategy[list[Value]]
    if len(layout.part_members) == 1:
        parts = st.lists(words, min_size=1, max_size=3).map(list)
    else:
        parts = st.lists(of(layout.part_members), min_size=1, max_size=3).map(list)
    return st.tuples(of(layout.members), parts).map(lambda pair: pair[0] | {layout.parts: pair[1]})


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind)
def test_an_item_is_its_rows(layout: Layout) -> None:
    @settings(max_examples=10, deadline=None)
    @given(items(layout))
    def same(item: dict[str, Value]) -> None:
        if layout.kind == "ActionTriggers":
            for part in item[layout.parts]:  # type: ignore[union-attr]
                part["Id"] = item["ID"]  # type: ignore[index]
        rows = layout.rows(item)
        keys = {key_of_row(layout.kind, row) for row in rows}
        assert len(keys) == 1
        expected = {
            name: None if value == {"ActivationTime": "", "ExpiryTime": ""} else value
            for name, value in item.items()
        }
        assert layout.item(rows) == expected

    same()


def test_every_column_is_a_member_of_something() -> None:
    for layout in LAYOUTS:
        named = {each.column for each in (*layout.members, *layout.part_members)}
        assert set(COLUMNS[layout.kind]) - named <= {"EeIDs"}, layout.kind


def test_what_an_item_has_once_stands_in_its_first_row() -> None:
    [filters] = [layout for layout in LAYOUTS if layout.kind == "Filters"]
    rules: list[Value] = [
        {"Type": "*string", "Element": "~*req.A", "Values": ["1", "2"]},
        {"Type": "*exists", "Element": "~*req.B", "Values": None},
    ]
    item: dict[str, Value] = {
        "Tenant": "cgrates.org",
        "ID": "F",
        "ActivationInterval": {"ActivationTime": "2014-07-14T14:25:00Z", "ExpiryTime": ""},
        "Filters": rules,
    }
    assert filters.rows(item) == [
        "cgrates.org,F,*string,~*req.A,1;2,2014-07-14T14:25:00Z",
        "cgrates.org,F,*exists,~*req.B,,",
    ]
    assert filters.item(filters.rows(item)) == item


def test_metrics_that_share_a_row() -> None:
    [stats] = [layout for layout in LAYOUTS if layout.kind == "Stats"]
    item = stats.item(["cgrates.org,S,,,100,-1,0,*acd;*tcd,FLT,true,false,20,"])
    assert item["Metrics"] == [
        {"FilterIDs": ["FLT"], "MetricID": "*acd"},
        {"FilterIDs": ["FLT"], "MetricID": "*tcd"},
    ]
    assert item["Weight"] == Decimal(20)


def test_rows_of_the_old_name_are_routes() -> None:
    row = "cgrates.org,LC,,,,,c,,,,,,,,,"
    assert key_of_row("Suppliers", row) == ("Routes", ("cgrates.org", "LC"))
