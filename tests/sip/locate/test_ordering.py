"""RFC 2782's order: to the letter, over every number that can be drawn, and by its shares."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sip.locate.support import scripted, srv

from trunkline.sip.locate.ordering import Draw, Pool, seeded
from trunkline.sip.locate.selection import at_most


def shares(weights: Sequence[int]) -> list[Fraction]:
    """The shares of the first place by the text: every arrangement, every number 0 to the sum."""
    zeros = [index for index, weight in enumerate(weights) if not weight]
    others = [index for index, weight in enumerate(weights) if weight]
    arrangements = [
        [*first, *rest]
        for first in itertools.permutations(zeros)
        for rest in itertools.permutations(others)
    ]
    total = sum(weights)
    found: Counter[int] = Counter()
    for arranged in arrangements:
        for number in range(total + 1):
            running = 0
            for index in arranged:
                running += weights[index]
                if running >= number:
                    found[index] += 1
                    break
    every = len(arrangements) * (total + 1)
    return [Fraction(found[index], every) for index in range(len(weights))]


def ours(weights: Sequence[int]) -> list[Fraction]:
    """The shares of :meth:`Pool.pick`, over everything that can be drawn."""
    found = [Fraction(0)] * len(weights)

    def every_way(numbers: list[int], probability: Fraction) -> None:
        """Draw ``numbers``, then each number there is."""
        asked: list[int] = []

        def draw(highest: int) -> int:
            asked.append(highest)
            return numbers[len(asked) - 1] if len(asked) <= len(numbers) else 0

        index, _ = Pool(weights).pick(draw)
        if len(asked) <= len(numbers):
            found[index] += probability
            return
        highest = asked[len(numbers)]
        for number in range(highest + 1):
            every_way([*numbers, number], probability / (highest + 1))

    every_way([], Fraction(1))
    return found


@pytest.mark.parametrize(
    "weights",
    [
        (5,),
        (1, 1),
        (0, 0),
        (0, 1),
        (1, 3),
        (0, 0, 2),
        (2, 1, 1),
        (0, 3, 1),
        (0, 0, 1, 2),
        (4, 4, 1),
    ],
)
def test_the_shares_are_those_of_the_text_over_all_arrangements(weights: tuple[int, ...]) -> None:
    assert ours(weights) == shares(weights)


def test_equal_weights_share_equally_however_small() -> None:
    assert shares((1, 1)) == [Fraction(1, 2)] * 2
    assert ours((1, 1, 1)) == [Fraction(1, 3)] * 3
    assert ours((0, 0)) == [Fraction(1, 2)] * 2


def test_weight_0_is_rare_but_possible() -> None:
    assert ours((0, 99)) == [Fraction(1, 100), Fraction(99, 100)]


def test_the_whole_permutation_follows_the_running_sums() -> None:
    # The sums are 10, 40, 100, and 11 is in the second share; then 10 and 70; then one is left.
    weights = (10, 30, 60)
    pool: Pool | None = Pool(weights)
    draw = scripted(11, 70)
    order = []
    drawn = []
    while pool is not None:
        index, draws = pool.pick(draw)
        order.append(weights[index])
        drawn.append(draws)
        pool = pool.without(index)
    assert order == [30, 60, 10]
    assert drawn == [(11, 100, 3), (70, 70, 2), None]


@pytest.mark.parametrize(
    ("number", "expected"), [(1, 10), (10, 10), (11, 30), (40, 30), (41, 60), (100, 60)]
)
def test_the_first_running_sum_that_reaches_the_number(number: int, expected: int) -> None:
    weights = (10, 30, 60)
    index, _ = Pool(weights).pick(scripted(number))
    assert weights[index] == expected


def drawing(seed: int) -> Draw:
    source = random.Random(seed)
    return lambda highest: source.randint(0, highest)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "weights", [(60, 30, 10), (1, 1), (0, 0, 0), (0, 500, 500), tuple(range(1, 13))]
)
def test_the_spread_of_many_draws(weights: tuple[int, ...], seed: int) -> None:
    count = 20_000
    draw = drawing(seed)
    pool = Pool(weights)
    seen = Counter(pool.pick(draw)[0] for _ in range(count))
    expected = ours(weights)
    chi_square = sum(
        (seen[index] - float(share) * count) ** 2 / (float(share) * count)
        for index, share in enumerate(expected)
        if share
    )
    # The 99.9 % point for up to 11 degrees of freedom is 31.3; for 1 it is 10.8.
    assert chi_square < {1: 10.8, 2: 13.8}.get(len(weights) - 1, 31.3)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=40), st.integers(0, 2**32))
def test_every_record_comes_exactly_once(weights: list[int], seed: int) -> None:
    draw = drawing(seed)
    pool: Pool | None = Pool(weights)
    order = []
    while pool is not None:
        index, _ = pool.pick(draw)
        order.append(index)
        pool = pool.without(index)
    assert sorted(order) == list(range(len(weights)))


# A stateless proxy's numbers


@given(st.binary(max_size=100), st.lists(st.integers(0, 65535 * 64), max_size=10))
def test_a_key_always_gives_the_same_numbers(key: bytes, highest: list[int]) -> None:
    first, second = seeded(key), seeded(key)
    numbers = [first(each) for each in highest]
    assert numbers == [second(each) for each in highest]
    assert all(0 <= number <= each for number, each in zip(numbers, highest, strict=True))


def test_the_numbers_of_keys_are_the_same_in_every_version_of_ours() -> None:
    draw = seeded(b"z9hG4bK776asdhds")
    assert [draw(99), draw(99), draw(99)] == [57, 63, 89]


def test_keys_spread_like_chance() -> None:
    count = 5000
    pool = Pool((70, 20, 10))
    seen = Counter(pool.pick(seeded(f"z9hG4bK{each}".encode()))[0] for each in range(count))
    expected = [float(share) * count for share in ours((70, 20, 10))]
    assert sum((seen[i] - e) ** 2 / e for i, e in enumerate(expected)) < 13.8


# Sets that are too large


def test_of_a_large_set_the_best_priorities_are_kept() -> None:
    records = [
        srv(priority, 1, f"{priority}-{each}.example")
        for priority in (1, 2, 3)
        for each in range(10)
    ]
    kept = at_most(15, records, drawing(1))
    assert len(kept) == 15
    assert sum(record.priority == 1 for record in kept) == 10
    assert sum(record.priority == 2 for record in kept) == 5
    assert at_most(30, records, scripted()) == set(records)


def test_of_a_large_priority_everybody_gets_his_turn_by_weight() -> None:
    records = [srv(0, 1 + each, f"{each}.example") for each in range(40)]
    draw = drawing(7)
    seen = Counter(record for _ in range(200) for record in at_most(10, records, draw))
    assert len(seen) == 40
    assert seen[records[39]] > seen[records[0]]
