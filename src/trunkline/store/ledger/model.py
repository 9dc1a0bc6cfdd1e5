"""What the ledger keeps, and a change of it.

Four kinds of documents, each with a name of its own and a version: accounts, sessions, records and
tasks. A `Change` says what some of them are to be, what moved between them, and what whoever asked
was answered. Times are UTC, in seconds since the epoch; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Generic, TypeAlias, TypeVar

from trunkline.charging.model import Account, Movement
from trunkline.charging.sessions import Session
from trunkline.errors import TrunklineError

__all__ = [
    "ACCOUNT",
    "RECORD",
    "SESSION",
    "TASK",
    "Change",
    "Committed",
    "Conflict",
    "Duplicate",
    "Function",
    "Keys",
    "Loaded",
    "RecordRow",
    "SessionRow",
    "Slot",
    "Stored",
    "TaskRow",
    "View",
    "record_key",
    "storable",
]

ACCOUNT: Final = "account"
SESSION: Final = "session"
RECORD: Final = "record"
TASK: Final = "task"

Slot: TypeAlias = tuple[str, str]
"""A kind and a key: ``("account", "cgrates.org:1001")``."""

_LONGEST = 255  # characters of a key: what an index of every database takes


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that is under way: what it reserved, and until when."""

    account: str
    """The key of the account that pays; empty: none does."""
    lease_until: float
    """After this time whoever held it may be taken for dead."""
    session: Session
    """The ledger does not look into it."""

    @property
    def id(self) -> str:
        """The name of the session in the ledger."""
        return self.session.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """A record of usage (CDR), once for each run of its charging."""

    id: str
    run: str
    """No ``/``."""
    document: str
    """JSON; the ledger does not look into it."""
    tenant: str = ""
    account: str = ""
    """The account's ID, without the tenant."""
    subject: str = ""
    destination: str = ""
    category: str = ""
    type: str = ""
    """``*voice``, ``*data``, ``*sms`` …"""
    request_type: str = ""
    """``*prepaid``, ``*postpaid`` …"""
    origin_id: str = ""
    origin_host: str = ""
    source: str = ""
    time: float = 0.0
    """Of the answer, or of the set-up where nobody answered."""
    setup_time: float | None = None
    answer_time: float | None = None
    created: float | None = None
    """When the record was stored first."""
    updated: float | None = None
    """When it was changed last."""
    usage: int = 0
    """Nanoseconds of voice, else units."""
    cost: Decimal | None = None
    """``None``: not rated."""
    reference: str = ""
    """The ``reference`` of the movements that paid for it; empty: nothing was moved."""
    order: int = 0
    """The ledger counts the records in the order in which they came; 0: not stored yet."""

    @property
    def key(self) -> str:
        """The name of the record in the ledger."""
        return record_key(self.id, self.run)


def record_key(identifier: str, run: str) -> str:
    """The name of the record of ``identifier`` and ``run`` in the ledger."""
    return f"{run}/{identifier}"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Something to be done at a time: an action of a plan."""

    id: str
    due: float
    document: str
    """JSON; the ledger does not look into it."""


Stored: TypeAlias = Account | SessionRow | RecordRow | TaskRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a change looks at or writes; nothing else is locked, and nothing else may be written."""

    accounts: Sequence[str] = ()
    sessions: Sequence[str] = ()
    records: Sequence[str] = ()
    """See :func:`record_key`."""
    tasks: Sequence[str] = ()

    def slots(self) -> tuple[Slot, ...]:
        """All of them.

        Raises:
            TrunklineError: ``store.ledger-key``.
        """
        found = (
            *((ACCOUNT, key) for key in self.accounts),
            *((SESSION, key) for key in self.sessions),
            *((RECORD, key) for key in self.records),
            *((TASK, key) for key in self.tasks),
        )
        for _, key in found:
            check_key(key)
        return found


def check_key(key: str) -> None:
    """See that every database takes ``key``, and tells it from every other."""
    if not key or not storable(key):
        raise TrunklineError(
            "store.ledger-key",
            f"{key!r} cannot be a key of the ledger: 1 to {_LONGEST} characters, and no NUL",
        )


def storable(text: str) -> bool:
    """Whether every database takes ``text`` in a column that can be searched."""
    if len(text) > _LONGEST or "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class View:
    """What is stored of the :class:`Keys` of a change; ``None`` where there is nothing."""

    accounts: Mapping[str, Account | None]
    sessions: Mapping[str, SessionRow | None]
    records: Mapping[str, RecordRow | None]
    tasks: Mapping[str, TaskRow | None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A :class:`View`, and the version of each thing in it; 0: it is not there."""

    view: View
    versions: Mapping[Slot, int]


_NOTHING: Final[Mapping[str, None]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be; ``None`` removes. All of it is written, or nothing.

    The movements explain the accounts: what a balance holds more or less than before is the sum of
    its movements in the same change. Removing a balance moves what it held out of it.
    """

    time: float
    """Of the movements."""
    accounts: Mapping[str, Account | None] = field(default_factory=lambda: _NOTHING)
    movements: Sequence[Movement] = ()
    sessions: Mapping[str, SessionRow | None] = field(default_factory=lambda: _NOTHING)
    records: Mapping[str, RecordRow | None] = field(default_factory=lambda: _NOTHING)
    tasks: Mapping[str, TaskRow | None] = field(default_factory=lambda: _NOTHING)
    fresh: Sequence[RecordRow | TaskRow] = ()
    """New ones, of names that are given once, such as UUIDs: they need not be among the keys."""
    answer: str = ""
    """JSON; kept with the idempotency key of the change, and given to whoever asks again."""


C = TypeVar("C", bound=Change)
_C_co = TypeVar("_C_co", bound=Change, covariant=True)

Function: TypeAlias = Callable[[View], C]
"""From what is stored to what is to be. Pure: it may be called again, on another view. What it
raises goes to whoever asked, and nothing is written."""


@dataclass(frozen=True, slots=True)
class Committed(Generic[_C_co]):
    """The change is on disk."""

    change: _C_co


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A change with this idempotency key was made before; this one was not."""

    answer: str
    """What was answered then."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was written: these are no longer at the versions that the change was made for."""

    slots: tuple[Slot, ...]
