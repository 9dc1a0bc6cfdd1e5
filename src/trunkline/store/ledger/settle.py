"""A batch of changes, one after the other, to the rows that its transaction writes.

All changes of a batch are of one transaction, yet each stands for itself: one that is refused, or
that comes too late, or that was made before, leaves no trace, and the next one sees what those
before it left. Of an account that many of them change, only the last state is written.

No database here: what is stored comes in, what is to be written comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from secrets import randbits
from typing import TypeAlias, cast

from trunkline.charging.model import Account, Movement
from trunkline.charging.money import ZERO, add, subtract
from trunkline.errors import TrunklineError
from trunkline.store.ledger.model import (
    ACCOUNT,
    RECORD,
    SESSION,
    TASK,
    Change,
    Committed,
    Conflict,
    Duplicate,
    RecordRow,
    SessionRow,
    Slot,
    Stored,
    TaskRow,
    View,
    check_key,
)
from trunkline.store.ledger.schema import Cells, Shelf, movement_row

__all__ = ["Failed", "Item", "Outcome", "Rows", "Settlement", "State", "Writes", "view_of"]


@dataclass(frozen=True, slots=True)
class Failed:
    """The function, or what it returned, was no change: why."""

    problem: Exception


Outcome: TypeAlias = Committed[Change] | Duplicate | Conflict | Failed

State: TypeAlias = dict[Slot, tuple[int, Stored | None]]
"""Versions and documents; version 0 is what is not there."""


@dataclass(frozen=True, slots=True)
class Item:
    """One change of a batch, not computed yet."""

    slots: tuple[Slot, ...]
    """What it may look at and write."""
    function: Callable[[View], Change]
    versions: Mapping[Slot, int] | None = None
    """What it was made for, if it was made for one state only."""
    once: str = ""
    """Its idempotency key; empty: it has none."""
    expires: float = 0.0
    """Of the answer that is kept with it."""


@dataclass(slots=True)
class Writes:
    """What becomes of one table of documents; cells are id, version and the shelf's columns."""

    new: list[Cells] = field(default_factory=list)
    changed: list[Cells] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Rows:
    """What the transaction of a batch writes."""

    writes: dict[str, Writes] = field(default_factory=dict)
    """By kind."""
    movements: list[Cells] = field(default_factory=list)
    answers: list[Cells] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.writes or self.movements or self.answers)


class Settlement:
    """Takes one item after the other, from ``state`` on.

    ``state`` holds every slot of every item, and becomes what is afterwards; ``answers`` holds
    those of the items' idempotency keys that were used before, and gets the new ones.

    A document that is new begins at a version drawn at random: one that went and came again is
    never taken for what it was.
    """

    def __init__(self, state: State, answers: dict[str, str]) -> None:
        self.state = state
        self._answers = answers
        self._before: State = {}  # of what is changed, at the begin of the batch
        self._movements: list[Cells] = []
        self._new_answers: list[Cells] = []

    def settle(self, item: Item) -> Outcome:
        """What becomes of ``item``."""
        state = self.state
        if item.once and item.once in self._answers:
            return Duplicate(self._answers[item.once])
        if item.versions is not None:
            late = [slot for slot, known in item.versions.items() if state[slot][0] != known]
            if late:
                return Conflict(tuple(late))
        try:
            change = item.function(view_of(item.slots, state))
            puts = _puts(change)
            _check(item, change, puts, state)
            fresh = [(_name(each), each) for each in change.fresh]
            for slot, _ in fresh:
                check_key(slot[1])
            moved = [movement_row(change.time, movement) for movement in change.movements]
        except Exception as problem:
            return Failed(problem)
        for slot, stored in puts:
            version, _ = state[slot]
            self._before.setdefault(slot, state[slot])
            if stored is None:
                state[slot] = 0, None
            else:
                state[slot] = (version + 1 if version else randbits(62) + 1), stored
        for slot, stored in fresh:
            self._before.setdefault(slot, (0, None))
            state[slot] = randbits(62) + 1, stored
        self._movements += moved
        if item.once:
            self._answers[item.once] = change.answer
            self._new_answers.append((item.once, item.expires, change.answer))
        return Committed(change)

    def rows(self, shelves: Sequence[Shelf]) -> Rows:
        """What is different from before the batch, as cells; in the order of the keys."""
        rows = Rows(movements=self._movements, answers=self._new_answers)
        by_kind = {shelf.kind: shelf for shelf in shelves}
        for slot in sorted(self._before):
            kind, key = slot
            old, _ = self._before[slot]
            version, stored = self.state[slot]
            if not old and stored is None:
                continue  # it came and went within the batch
            writes = rows.writes.setdefault(kind, Writes())
            if stored is None:
                writes.gone.append(key)
                continue
            cells = (key, version, *by_kind[kind].dump(stored))
            (writes.changed if old else writes.new).append(cells)
        return rows


def view_of(slots: Sequence[Slot], state: State) -> View:
    """What a function is given to see."""
    accounts: dict[str, Account | None] = {}
    sessions: dict[str, SessionRow | None] = {}
    records: dict[str, RecordRow | None] = {}
    tasks: dict[str, TaskRow | None] = {}
    into = cast(
        "dict[str, dict[str, Stored | None]]",
        {ACCOUNT: accounts, SESSION: sessions, RECORD: records, TASK: tasks},
    )
    for slot in slots:
        kind, key = slot
        into[kind][key] = state[slot][1]
    return View(accounts, sessions, records, tasks)


def _puts(change: Change) -> list[tuple[Slot, Stored | None]]:
    puts: list[tuple[Slot, Stored | None]] = []
    kinds: tuple[tuple[str, Mapping[str, Stored | None]], ...] = (
        (ACCOUNT, change.accounts),
        (SESSION, change.sessions),
        (RECORD, change.records),
        (TASK, change.tasks),
    )
    for kind, documents in kinds:
        for key, stored in documents.items():
            puts.append(((kind, key), stored))
    return puts


def _check(
    item: Item, change: Change, puts: Sequence[tuple[Slot, Stored | None]], state: State
) -> None:
    allowed = item.slots if len(item.slots) < 16 else frozenset(item.slots)
    for slot, stored in puts:
        if slot not in allowed:
            raise TrunklineError(
                "store.ledger-undeclared",
                f"a change writes {slot[0]} {slot[1]!r}, which is not among its keys",
            )
        if stored is not None and _name(stored) != slot:
            raise TrunklineError(
                "store.ledger-undeclared",
                f"a change writes {_name(stored)[1]!r} as {slot[0]} {slot[1]!r}",
            )
    if change.accounts or change.movements:
        _balanced(change.accounts, change.movements, state)


def _name(stored: Stored) -> Slot:
    if isinstance(stored, Account):
        return ACCOUNT, stored.key
    if isinstance(stored, SessionRow):
        return SESSION, stored.id
    if isinstance(stored, RecordRow):
        return RECORD, stored.key
    return TASK, stored.id


def _values(account: Account | None) -> dict[str, Decimal]:
    return {} if account is None else {each.uuid: each.value for each in account.balances}


def _balanced(
    accounts: Mapping[str, Account | None], movements: Sequence[Movement], state: State
) -> None:
    """See that the movements explain the difference, balance by balance."""
    held: dict[tuple[str, str], Decimal] = {}
    for key in accounts:
        for uuid, value in _values(cast("Account | None", state[ACCOUNT, key][1])).items():
            held[key, uuid] = value
    for movement in movements:
        name = movement.account, movement.balance
        held[name] = add(held.get(name, ZERO), movement.amount)
        if held[name] != movement.value or movement.account not in accounts:
            raise TrunklineError(
                "store.ledger-unbalanced",
                f"{movement.account}, balance {movement.balance}: {movement.cause} of "
                f"{movement.amount} leads to {held[name]}, but {movement.value} is written down",
            )
    for key, account in accounts.items():
        after = _values(account)
        for name, value in held.items():
            if name[0] == key and value != after.pop(name[1], ZERO):
                raise _unexplained(key, name[1], account, value)
        for uuid, value in after.items():
            if value:
                raise _unexplained(key, uuid, account, ZERO)


def _unexplained(
    key: str, uuid: str, account: Account | None, explained: Decimal
) -> TrunklineError:
    value = _values(account).get(uuid, ZERO)
    return TrunklineError(
        "store.ledger-unbalanced",
        f"{key}, balance {uuid}: {subtract(value, explained)} of its {value} came or went without "
        "a movement",
    )
