from __future__ import annotations

import itertools
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from trunkline.lab.layout import arrange

COUNTRIES = ["CountryA", "CountryB", "CountryC", "CountryD", "ExchangeA", "ExchangeD"]
LINKS = [
    ("CountryA", "CountryB"),
    ("CountryB", "CountryC"),
    ("CountryB", "CountryD"),
    ("CountryC", "CountryD"),
    ("ExchangeA", "CountryA"),
    ("ExchangeD", "CountryD"),
]


def test_the_four_countries_run_from_left_to_right() -> None:
    layout = arrange(COUNTRIES, LINKS)
    assert layout.columns == (
        ("ExchangeA",),
        ("CountryA",),
        ("CountryB",),
        ("CountryC", "CountryD"),
        ("ExchangeD",),
    )
    assert layout.rows["ExchangeA"] == layout.rows["CountryA"] == layout.rows["CountryB"]
    assert layout.rows["CountryD"] == layout.rows["ExchangeD"]


def test_a_star_has_leaves_on_both_sides() -> None:
    layout = arrange(["hub", "a", "b", "c", "d"], [("hub", leaf) for leaf in "abcd"])
    assert layout.columns == (("a", "b"), ("hub",), ("c", "d"))


def test_separate_parts_stand_below_each_other() -> None:
    layout = arrange(["a", "b", "c", "d"], [("a", "b"), ("c", "d")])
    assert layout.rows["c"] > max(layout.rows["a"], layout.rows["b"])


def test_nothing_at_all() -> None:
    assert arrange([], []).columns == ()


@given(
    st.integers(1, 9).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.sets(
                st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(
                    lambda pair: pair[0] < pair[1]
                )
            )
            if size > 1
            else st.just(set()),
        )
    )
)
def test_no_two_nodes_share_a_place(graph: tuple[int, Iterable[tuple[int, int]]]) -> None:
    size, pairs = graph
    names = [f"n{index}" for index in range(size)]
    edges = [(names[first], names[second]) for first, second in sorted(pairs)]
    layout = arrange(names, edges)
    assert sorted(itertools.chain(*layout.columns)) == sorted(names)
    for column in layout.columns:
        rows = [layout.rows[name] for name in column]
        assert all(below - above >= 1 for above, below in itertools.pairwise(rows))
    # The drawings count on this: an edge never jumps over a column.
    for first, second in edges:
        assert abs(layout.column(first) - layout.column(second)) <= 1
