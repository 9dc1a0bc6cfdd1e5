"""The location service in memory."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.location import contract
from tests.store.location.contract import ALICE, BOB, NOW, binding, setting

from trunkline.errors import TrunklineError
from trunkline.store.location import Count, MemoryLocation


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(check: contract.Check) -> None:
    async def run() -> None:
        await check(MemoryLocation())

    asyncio.run(run())


def test_it_is_bounded() -> None:
    store = MemoryLocation(limit=2)
    asyncio.run(contract.fills_up(store))
    assert store.refused == 1


def test_a_limit_is_not_checked_against_removal() -> None:
    store = MemoryLocation(limit=1)
    store.update_now(ALICE, setting(binding()))
    with pytest.raises(TrunklineError, match="the limit is 1"):
        store.update_now(BOB, setting(binding()))
    store.update_now(ALICE, setting())
    store.update_now(BOB, setting(binding()))


def test_the_next_expiry_is_known() -> None:
    store = MemoryLocation()
    assert store.next_expiry() is None
    store.update_now(ALICE, setting(binding(ends=50)))
    store.update_now(BOB, setting(binding(ends=20)))
    assert store.next_expiry() == NOW + 20
    store.expire_now(NOW + 20)
    assert store.next_expiry() == NOW + 50


def test_who_shortens_again_and_again_does_not_fill_the_heap() -> None:
    store = MemoryLocation()
    for ends in range(20_000, 0, -1):
        store.update_now(ALICE, setting(binding(ends=ends)))
    assert len(store._ends) < 1100
    assert [g.binding.expires for g in store.expire_now(NOW + 1)] == [NOW + 1]


def test_who_comes_and_goes_does_not_fill_the_heap() -> None:
    store = MemoryLocation()
    for number in range(20_000):
        store.update_now(f"sip:{number}@h", setting(binding()))
        store.update_now(f"sip:{number}@h", setting())
    assert len(store._ends) < 1100
    assert len(store._scheduled) < 1100
    assert store.count_now() == Count(0, 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ALICE, BOB, "sip:carol@atlanta.example"]),
            st.lists(st.integers(1, 60), max_size=3),
            st.integers(0, 20),
            st.integers(1, 3),
        ),
        max_size=40,
    )
)
def test_against_a_plain_dictionary(steps: list[tuple[str, list[int], int, int]]) -> None:
    store = MemoryLocation()
    plain: dict[str, dict[str, float]] = {}
    now = NOW
    for aor, ends, pause, limit in steps:
        new = [binding(f"sip:a@{n}", now - NOW + end) for n, end in enumerate(ends)]
        store.update_now(aor, setting(*new))
        plain[aor] = {b.contact: b.expires for b in new}
        now += pause
        while gone := store.expire_now(now, limit):
            assert len(gone) <= limit
            for g in gone:
                assert plain[g.aor].pop(g.binding.contact) <= now
        for name, contacts in plain.items():
            assert all(end > now for end in contacts.values())
            assert {b.contact for b in store.get_now(name, now)} == set(contacts)
        alive = [contacts for contacts in plain.values() if contacts]
        assert store.count_now() == Count(len(alive), sum(map(len, alive)))
