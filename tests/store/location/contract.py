"""What every location service must do; each store's tests run these on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from trunkline.errors import TrunklineError
from trunkline.sip.binding import Binding, Bindings
from trunkline.store.location import Count, Location

Check = Callable[[Location], Awaitable[None]]
NOW = float(int(time.time()))
"""The present, because a server may let go by its own clock what has long expired."""
ALICE, BOB = "sip:alice@atlanta.example", "sip:bob@atlanta.example"


def binding(contact: str = "sip:a@192.0.2.1", ends: float = 100.0, cseq: int = 1) -> Binding:
    return Binding(contact, "id", cseq, NOW + ends, NOW, NOW, path=("<sip:p;lr>",), q=0.5)


def setting(*bindings: Binding) -> Callable[[Bindings], tuple[Bindings | None, int]]:
    """An update that stores these and answers how many there were."""

    def compute(old: Bindings) -> tuple[Bindings | None, int]:
        return bindings, len(old)

    return compute


def adding(new: Binding) -> Callable[[Bindings], tuple[Bindings | None, int]]:
    def compute(old: Bindings) -> tuple[Bindings | None, int]:
        return (*old, new), len(old)

    return compute


async def what_is_stored_is_found(store: Location) -> None:
    assert await store.get(ALICE, NOW) == ()
    two = (binding(), binding("sip:é\udcff@192.0.2.2", 200))
    assert await store.update(ALICE, setting(*two)) == 0
    assert await store.get(ALICE, NOW) == two
    assert await store.get(ALICE, NOW + 100) == two[1:]
    assert await store.get(BOB, NOW) == ()
    assert await store.update(ALICE, setting()) == 2
    assert await store.get(ALICE, NOW) == ()


async def nothing_is_written_where_nothing_changes(store: Location) -> None:
    await store.update(ALICE, setting(binding()))
    assert await store.update(ALICE, lambda old: (None, old)) == (binding(),)
    assert await store.get(ALICE, NOW) == (binding(),)
    assert await store.update(BOB, lambda old: (None, old)) == ()
    assert await store.count() == Count(1, 1)


async def an_update_sees_what_has_expired(store: Location) -> None:
    await store.update(ALICE, setting(binding(ends=-1)))
    assert await store.get(ALICE, NOW) == ()
    assert await store.update(ALICE, setting(binding())) == 1


async def an_update_that_fails_leaves_all_as_it_was(store: Location) -> None:
    await store.update(ALICE, setting(binding()))

    def failing(old: Bindings) -> tuple[Bindings | None, None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.update(ALICE, failing)
    assert await store.get(ALICE, NOW) == (binding(),)
    assert await store.update(ALICE, setting()) == 1


async def contacts_are_counted(store: Location) -> None:
    assert await store.count() == Count(0, 0)
    await store.update(ALICE, setting(binding(), binding("sip:a@2")))
    await store.update(BOB, setting(binding()))
    assert await store.count() == Count(2, 3)
    await store.update(ALICE, setting(binding(cseq=2)))
    assert await store.count() == Count(2, 2)
    await store.update(BOB, setting())
    await store.update(BOB, setting())
    assert await store.count() == Count(1, 1)
    await store.expire(NOW + 1000)
    assert await store.count() == Count(0, 0)


async def what_expires_is_told_once(store: Location) -> None:
    early, late = binding("sip:early@1", 10), binding("sip:late@1", 20)
    await store.update(ALICE, setting(early, late))
    await store.update(BOB, setting(early))
    assert await store.expire(NOW + 9.9) == []
    gone = await store.expire(NOW + 10)
    assert sorted((g.aor, g.binding.contact) for g in gone) == [
        (ALICE, "sip:early@1"),
        (BOB, "sip:early@1"),
    ]
    assert await store.expire(NOW + 10) == []
    assert await store.get(ALICE, NOW) == (late,)
    assert [g.binding for g in await store.expire(NOW + 20)] == [late]
    assert await store.expire(NOW + 9999) == []


async def expiry_comes_in_batches(store: Location) -> None:
    names = [f"sip:{number}@atlanta.example" for number in range(7)]
    for name in names:
        await store.update(name, setting(binding("sip:a@1", 10), binding("sip:a@2", 11)))
    found = []
    sizes = []
    while gone := await store.expire(NOW + 12, limit=4):
        found += [(g.aor, g.binding.contact) for g in gone]
        sizes.append(len(gone))
    assert sorted(found) == sorted((n, c) for n in names for c in ("sip:a@1", "sip:a@2"))
    assert max(sizes) <= 4
    assert all(size == 4 for size in sizes[:-1])
    assert await store.count() == Count(0, 0)


async def refreshed_and_shortened_contacts_expire_when_they_should(store: Location) -> None:
    await store.update(ALICE, setting(binding(ends=10)))
    await store.update(ALICE, setting(binding(ends=50, cseq=2)))
    assert await store.expire(NOW + 30) == []
    await store.update(ALICE, setting(binding(ends=40, cseq=3)))
    assert [g.binding.cseq for g in await store.expire(NOW + 40)] == [3]
    await store.update(BOB, setting(binding(ends=90)))
    await store.update(BOB, setting())
    await store.update(BOB, setting(binding(ends=60)))
    assert [g.aor for g in await store.expire(NOW + 60)] == [BOB]


async def all_are_seen(store: Location) -> None:
    expected = {}
    for number in range(25):
        one = (binding(f"sip:a@{number}"),)
        expected[f"sip:{number}@atlanta.example"] = one
        await store.update(f"sip:{number}@atlanta.example", setting(*one))
    await store.update(ALICE, setting(binding(ends=-1)))
    found = [pair async for pair in store.every(NOW)]
    assert len(found) == len(expected)
    assert dict(found) == expected


async def two_who_register_at_once_lose_nothing(store: Location) -> None:
    await racing(store, store)


async def racing(one: Location, other: Location) -> None:
    """Two nodes add contacts to one address at the same time."""
    both = (one, other)
    tasks = [
        both[number % 2].update(ALICE, adding(binding(f"sip:a@{number}", cseq=number)))
        for number in range(12)
    ]
    answers = await asyncio.gather(*tasks)
    assert sorted(answers) == list(range(12))
    found = await one.get(ALICE, NOW)
    assert {b.contact for b in found} == {f"sip:a@{number}" for number in range(12)}
    assert await other.count() == Count(1, 12)


async def expiry_and_registration_at_once_lose_nothing(store: Location) -> None:
    await store.update(ALICE, setting(binding("sip:old@1", 1)))

    def renewed(old: Bindings) -> tuple[Bindings | None, list[str]]:
        kept = tuple(b for b in old if b.expires > NOW + 5)
        return (*kept, binding("sip:new@1", 99)), [b.contact for b in old]

    answer, gone, more = await asyncio.gather(
        store.update(ALICE, renewed), store.expire(NOW + 5), store.expire(NOW + 5)
    )
    told = [g.binding.contact for g in gone + more] + answer
    assert told == ["sip:old@1"]  # by one of the three
    assert [b.contact for b in await store.get(ALICE, NOW)] == ["sip:new@1"]
    assert await store.count() == Count(1, 1)


async def fills_up(store: Location) -> None:
    """On a store whose limit is 2."""
    await store.update(ALICE, setting(binding(), binding("sip:a@2")))
    with pytest.raises(TrunklineError) as caught:
        await store.update(BOB, setting(binding()))
    assert caught.value.code == "store.location-full"
    assert await store.get(BOB, NOW) == ()
    assert await store.count() == Count(1, 2)
    refreshed = (replace(binding(), cseq=2), binding("sip:a@2"))
    await store.update(ALICE, setting(*refreshed))
    assert await store.get(ALICE, NOW) == refreshed
    await store.update(ALICE, setting(binding()))
    await store.update(BOB, setting(binding()))
    assert await store.count() == Count(2, 2)


CHECKS: list[Check] = [
    what_is_stored_is_found,
    nothing_is_written_where_nothing_changes,
    an_update_sees_what_has_expired,
    an_update_that_fails_leaves_all_as_it_was,
    contacts_are_counted,
    what_expires_is_told_once,
    expiry_comes_in_batches,
    refreshed_and_shortened_contacts_expire_when_they_should,
    all_are_seen,
    two_who_register_at_once_lose_nothing,
    expiry_and_registration_at_once_lose_nothing,
]
