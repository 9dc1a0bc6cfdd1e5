"""Transactions: what each keeps, and the actions of the tables' rows.

The tables are compiled once into rows of functions: a transaction holds the rows of its present
state, and a trigger picks one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from trunkline.sip.message import Message, Request, Response
from trunkline.sip.transaction.events import (
    AckReceived,
    Event,
    ResponseReceived,
    TimedOut,
    TransportFailed,
)
from trunkline.sip.transaction.hop import ack_for
from trunkline.sip.transaction.table import TABLES, Action, Machine, Row, State, Trigger
from trunkline.sip.transport import Flow
from trunkline.sip.validity import Problem

if TYPE_CHECKING:
    from trunkline.sip.transaction.layer import TransactionLayer

__all__ = ["ClientTransaction", "ServerTransaction", "Transaction", "fire"]


Judge: TypeAlias = "Callable[[Response], Problem | None]"
NOBODY: Final = object()
"""The user of a transaction that the layer began by itself, a CANCEL's: no events come of it."""


class Transaction:
    """One transaction; ``user`` is whatever its user wants to find again with it."""

    __slots__ = (
        "_pause",
        "_rows",
        "flow",
        "key",
        "last",
        "method",
        "request",
        "state",
        "traced",
        "user",
    )

    flow: Flow
    """By which its messages are sent."""
    method: str
    last: bytes
    """The last message sent, while it may have to be sent again."""
    request: Request | None
    """The request, while something may have to be made from it: an ACK or CANCEL, or a 100."""

    def __init__(self, machine: Machine, key: str, method: str, flow: Flow, user: object) -> None:
        self.key = key
        self.method = method
        self.flow = flow
        self.user = user
        self.request = None
        self.last = b""
        self.traced = False
        """Whether its messages are shown to the layer's tap."""
        self.state, self._rows = _BEGIN[machine]
        self._pause = 0.0

    def expects(self, name: str) -> bool:
        """Whether the timer ``name`` means anything in the present state."""
        return name in self._rows

    @property
    def terminated(self) -> bool:
        """Whether it is over."""
        return self.state is State.TERMINATED

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.state} {self.key}>"


class ServerTransaction(Transaction):
    """A request that was received."""

    __slots__ = ("source",)

    source: Flow
    """From where the request came; ``flow`` is to where its responses go (section 18.2.2)."""


class ClientTransaction(Transaction):
    """A request that was sent."""

    __slots__ = ("branch", "cancelled", "judge", "waiting_cancel")

    branch: str
    judge: Judge | None
    """Says what is wrong with a response; it is asked before the response has any effect."""
    cancelled: bool
    """Whether its CANCEL has been asked for (section 9.1)."""
    waiting_cancel: Request | None
    """The CANCEL, while it waits for a 1xx."""


_Act: TypeAlias = "Callable[[TransactionLayer, Transaction, object, float], Event | None]"


@dataclass(slots=True)
class _Compiled:
    acts: tuple[_Act, ...]
    state: State
    rows: dict[str, _Compiled]
    drops: bool
    """Whether the next state never sends the last message again."""


def fire(
    layer: TransactionLayer, transaction: Transaction, trigger: str, what: object, now: float
) -> Event | None:
    """Carry out the row for ``trigger``: state first, then its actions; the user's event, if any.

    ``what`` is the message or reason that came with the trigger. KeyError: the trigger has no row,
    which is a fault of the caller.
    """
    row = transaction._rows[trigger]
    if transaction._rows is not row.rows:
        transaction.state = row.state
        transaction._rows = row.rows
        if row.state is State.TERMINATED:
            layer.forget(transaction)
    event = None
    for act in row.acts:
        event = act(layer, transaction, what, now) or event
    if row.drops:
        transaction.last = b""
    return event


# Actions


def _pass(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    if isinstance(transaction, ClientTransaction):
        assert isinstance(what, Response)
        if what.status >= 200:
            transaction.request = None  # nothing has to be made from it any more
        elif transaction.waiting_cancel is not None:
            layer.send_cancel(transaction, transaction.waiting_cancel, now)
            transaction.waiting_cancel = None
        return ResponseReceived(transaction, what) if transaction.user is not NOBODY else None
    assert isinstance(what, Request)
    assert isinstance(transaction, ServerTransaction)
    return AckReceived(what, transaction.source)


def _send(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    assert isinstance(what, Message)
    transaction.request = None
    transaction.last = what.to_bytes()
    layer.put(transaction, now)
    return None


def _send_trying(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    assert transaction.request is not None
    return _send(layer, transaction, Response.answer(transaction.request, 100), now)


def _resend(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    if transaction.last:
        layer.counters.retransmitted += 1
        layer.put(transaction, now)
    return None


def _send_ack(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    assert isinstance(transaction, ClientTransaction)
    assert isinstance(what, Response)
    if transaction.request is not None:
        transaction.last = ack_for(transaction.request, what).to_bytes()
        transaction.request = None
    else:
        layer.counters.retransmitted += 1
    layer.put(transaction, now)
    return None


def _inform(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    if transaction.user is NOBODY:
        return None
    assert isinstance(transaction, ClientTransaction | ServerTransaction)
    return TransportFailed(transaction, str(what))


def _timeout(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    if transaction.user is NOBODY:
        return None
    assert isinstance(transaction, ClientTransaction | ServerTransaction)
    return TimedOut(transaction)


def _silence(
    layer: TransactionLayer, transaction: Transaction, what: object, now: float
) -> Event | None:
    """Wait for a request that comes again: over a reliable transport, none does."""
    transaction.request = None
    if transaction.flow.transport.reliable:
        fire(layer, transaction, Trigger.EXPIRED, None, now)
    return None


def _doubling(trigger: Trigger, *, capped: bool) -> _Act:
    """Timers A, E and G: T1, then twice as long each time, where nothing else delivers."""

    def start(
        layer: TransactionLayer, transaction: Transaction, what: object, now: float
    ) -> Event | None:
        if not transaction.flow.transport.reliable:
            pause = transaction._pause * 2 or layer.timers.t1
            transaction._pause = min(pause, layer.timers.t2) if capped else pause
            layer.queue.start(transaction, trigger, transaction._pause, now)
        return None

    return start


def _fixed(trigger: Trigger, length: str, *, reliable_too: bool = False) -> _Act:
    """A timer of one length; on a reliable transport it is over at once unless it counts there."""

    def start(
        layer: TransactionLayer, transaction: Transaction, what: object, now: float
    ) -> Event | None:
        if reliable_too or not transaction.flow.transport.reliable:
            layer.queue.start(transaction, trigger, getattr(layer.timers, length), now)
        else:
            fire(layer, transaction, trigger, None, now)
        return None

    return start


_ACTS: dict[Action, _Act | None] = {
    Action.DISCARD: None,
    Action.PASS: _pass,
    Action.SEND: _send,
    Action.SEND_TRYING: _send_trying,
    Action.RESEND: _resend,
    Action.SEND_ACK: _send_ack,
    Action.INFORM: _inform,
    Action.TIMEOUT: _timeout,
    Action.START_A: _doubling(Trigger.A, capped=False),
    Action.START_E: _doubling(Trigger.E, capped=True),
    Action.START_E_T2: _fixed(Trigger.E, "t2"),
    Action.START_G: _doubling(Trigger.G, capped=True),
    Action.START_D: _fixed(Trigger.D, "d"),
    Action.START_H: _fixed(Trigger.H, "transaction", reliable_too=True),
    Action.START_I: _fixed(Trigger.I, "t4"),
    Action.START_J: _fixed(Trigger.J, "transaction"),
    Action.START_K: _fixed(Trigger.K, "t4"),
    Action.START_L: _fixed(Trigger.L, "transaction", reliable_too=True),
    Action.START_M: _fixed(Trigger.M, "transaction", reliable_too=True),
    Action.START_EXPIRED: _fixed(Trigger.EXPIRED, "expired", reliable_too=True),
    Action.SILENCE: _silence,
}


def _repeats(state: State, row: Row) -> bool:
    """Whether a row sends again what was sent before; an ACK is made on leaving a state."""
    again = Action.SEND_ACK in row.actions and row.next is state
    return again or Action.RESEND in row.actions


def _compile(machine: Machine) -> tuple[State, dict[str, _Compiled]]:
    table = TABLES[machine]
    states: Mapping[State, dict[str, _Compiled]] = {
        state: {} for state in (*table, State.TERMINATED)
    }
    repeats = {
        state: any(_repeats(state, row) for row in rows.values()) for state, rows in table.items()
    }
    for state, rows in table.items():
        for trigger, row in rows.items():
            acts = tuple(act for action in row.actions if (act := _ACTS[action]) is not None)
            drops = not repeats.get(row.next)
            states[state][trigger] = _Compiled(acts, row.next, states[row.next], drops)
    first = next(iter(table))
    return first, states[first]


_BEGIN: Final = {machine: _compile(machine) for machine in Machine}
