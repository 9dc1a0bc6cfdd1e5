"""The registrar on a store, against a plain model of RFC 3261 section 10.3.

The model keeps one row a contact and applies the rules as they are told in the text; it knows
neither bindings nor stores.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.sip.registrar.support import AOR, NOW, register, settings

from trunkline.sip.binding import Bindings
from trunkline.sip.registrar import Change, Order, Registrar, Registration
from trunkline.store.location import MemoryLocation

# Two spellings of each contact, equal by section 19.1.4.
CONTACTS = [(f"sip:u{n}@host{n}.example", f"sip:%75{n}@HOST{n}.example;x={n}") for n in range(5)]
NUMBER = {spelling: n for n, both in enumerate(CONTACTS) for spelling in both}
MOST = 4
EXPIRES = st.sampled_from([0, 30, 60, 300, 7200, 99999])


@dataclass
class Row:
    call_id: str
    cseq: int
    ends: float


class Registrations(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.registrar = Registrar(settings(max_contacts=MOST))
        self.store = MemoryLocation()
        self.rows: dict[int, Row] = {}
        self.now = NOW
        self.known: set[int] = set()  # by the changes told

    def process(self, *contacts: str, expires: str | None, call_id: str, cseq: int) -> int:
        order = self.registrar.examine(
            register(*contacts, expires=expires, call_id=call_id, cseq=cseq)
        )
        if isinstance(order, Registration):
            return order.status
        ready = order

        def compute(bindings: Bindings) -> tuple[Bindings | None, Registration]:
            answer = ready.apply(bindings, self.now)
            return answer.bindings, answer

        assert isinstance(ready, Order)
        answer = self.store.update_now(AOR, compute)
        for changed in answer.changes:
            self.tell(changed.change, changed.binding.contact)
        return answer.status

    def tell(self, change: Change, contact: str) -> None:
        number = NUMBER[contact]
        if change is Change.REGISTERED:
            assert number not in self.known
            self.known.add(number)
        elif change in (Change.REFRESHED, Change.SHORTENED):
            assert number in self.known
        else:
            self.known.remove(number)

    def model(self, wishes: list[tuple[int, int]], call_id: str, cseq: int) -> int:
        """All of them or none; the status."""
        if any(0 < expires < 60 for _, expires in wishes):
            return 423
        rows = {n: row for n, row in self.rows.items() if row.ends > self.now}
        before = len(rows)
        put: set[int] = set()
        for number, expires in wishes:
            row = rows.get(number)
            late = row is not None and row.call_id == call_id and cseq <= row.cseq
            if late and number not in put:
                return 500
            if expires == 0:
                rows.pop(number, None)
                put.discard(number)
            else:
                rows[number] = Row(call_id, cseq, self.now + min(expires, 7200))
                put.add(number)
        if len(rows) > max(MOST, before):
            return 403
        self.rows = rows
        return 200

    @rule(
        wishes=st.lists(
            st.tuples(st.integers(0, 4), st.booleans(), EXPIRES), min_size=1, max_size=5
        ),
        call_id=st.sampled_from(["a", "b"]),
        cseq=st.integers(0, 9),
    )
    def register(self, wishes: list[tuple[int, bool, int]], call_id: str, cseq: int) -> None:
        contacts = [f"<{CONTACTS[n][other]}>;expires={expires}" for n, other, expires in wishes]
        expected = self.model([(n, expires) for n, _, expires in wishes], call_id, cseq)
        assert self.process(*contacts, expires=None, call_id=call_id, cseq=cseq) == expected

    @rule(call_id=st.sampled_from(["a", "b"]), cseq=st.integers(0, 9))
    def remove_all(self, call_id: str, cseq: int) -> None:
        rows = {n: row for n, row in self.rows.items() if row.ends > self.now}
        late = any(row.call_id == call_id and cseq <= row.cseq for row in rows.values())
        if not late:
            self.rows = {}
        status = self.process("*", expires="0", call_id=call_id, cseq=cseq)
        assert status == (500 if late else 200)

    @rule()
    def fetch(self) -> None:
        assert self.process(expires=None, call_id="x", cseq=0) == 200

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 400]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(limit=st.integers(1, 3))
    def expire(self, limit: int) -> None:
        for gone in self.store.expire_now(self.now, limit):
            assert gone.binding.expires <= self.now
            self.tell(Change.EXPIRED, gone.binding.contact)

    @invariant()
    def the_same_contacts_until_the_same_time(self) -> None:
        found = {
            NUMBER[b.contact]: (b.call_id, b.cseq, b.expires)
            for b in self.store.get_now(AOR, self.now)
        }
        assert found == {
            n: (row.call_id, row.cseq, row.ends)
            for n, row in self.rows.items()
            if row.ends > self.now
        }

    @invariant()
    def what_was_told_is_what_is_stored(self) -> None:
        stored = self.store.update_now(AOR, lambda old: (None, old))
        assert {NUMBER[b.contact] for b in stored} == self.known
        assert self.store.count_now().contacts == len(self.known)


Registrations.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestRegistrations = Registrations.TestCase
