"""The tables of the ledger.

Amounts are decimal text: no database's own number keeps every digit of every amount. Keys are
compared octet by octet, in all three databases.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias, cast

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import LONGTEXT, VARCHAR
from sqlalchemy.types import TypeEngine

from trunkline.charging.documents import account_from_json, account_to_json
from trunkline.charging.model import Account, Movement
from trunkline.charging.session_documents import session_from_json, session_to_json
from trunkline.store.ledger.model import (
    ACCOUNT,
    RECORD,
    SESSION,
    TASK,
    RecordRow,
    SessionRow,
    Stored,
    TaskRow,
)

__all__ = [
    "ACCOUNTS",
    "ANSWERS",
    "ANSWER_COLUMNS",
    "METADATA",
    "MOVEMENTS",
    "MOVEMENT_COLUMNS",
    "RECORDS",
    "SCHEMA",
    "SESSIONS",
    "SHARING_MANY",
    "TASKS",
    "VERSION",
    "Cell",
    "Cells",
    "Shelf",
    "account_of",
    "account_text",
    "movement_row",
    "sharing_of",
    "shelves",
]

SHARING_MANY: Final = ";*;"
_LONGEST: Final = 255  # characters of a key

Cell: TypeAlias = str | int | float | None
Cells: TypeAlias = tuple[Cell, ...]


def _varchar(length: int) -> TypeEngine[str]:
    exact = VARCHAR(length, charset="utf8mb4", collation="utf8mb4_nopad_bin")
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(exact, "mysql", "mariadb")
    )


def _key(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, _varchar(255), primary_key=primary_key, nullable=False)


def _long(name: str) -> Column[str]:
    text = Text().with_variant(LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
    return Column(name, text, nullable=False)


def _number(name: str) -> Column[int]:
    """A primary key that counts up."""
    integer = BigInteger().with_variant(Integer(), "sqlite")
    return Column(name, integer, primary_key=True, autoincrement=True)


METADATA = MetaData()
VERSION: Final = 1
"""Of the tables. A ledger that tells none is older; see `upgrade`."""

SCHEMA = Table("ledger_schema", METADATA, Column("version", BigInteger, nullable=False))

ACCOUNTS = Table(
    "ledger_accounts",
    METADATA,
    _key("id", primary_key=True),
    Column("version", BigInteger, nullable=False),
    _long("document"),
    _key("sharing"),
    Index("ledger_accounts_sharing", "sharing"),
    sqlite_with_rowid=False,  # one tree instead of two
)
MOVEMENTS = Table(
    "ledger_movements",
    METADATA,
    _number("seq"),
    Column("time", Double, nullable=False),
    _key("account"),
    _key("balance"),
    _key("type"),
    Column("amount", String(100), nullable=False),
    Column("value", String(100), nullable=False),
    _key("cause"),
    _key("reference"),
    Index("ledger_movements_account", "account", "seq"),
    Index("ledger_movements_reference", "reference"),
    sqlite_autoincrement=True,
)
SESSIONS = Table(
    "ledger_sessions",
    METADATA,
    _key("id", primary_key=True),
    Column("version", BigInteger, nullable=False),
    _key("account"),
    Column("lease_until", Double, nullable=False),
    _long("document"),
    Index("ledger_sessions_account", "account"),
    Index("ledger_sessions_lease", "lease_until"),
    sqlite_with_rowid=False,
)
RECORDS = Table(
    "ledger_records",
    METADATA,
    _number("order_id"),
    Column("id", _varchar(255), unique=True, nullable=False),  # of two names: see record_key
    Column("version", BigInteger, nullable=False),
    _key("record"),
    _key("run"),
    _key("tenant"),
    _key("account"),
    _key("subject"),
    _key("destination"),
    _key("category"),
    _key("type"),
    _key("request_type"),
    _key("origin_id"),
    _key("origin_host"),
    _key("source"),
    Column("time", Double, nullable=False),
    Column("setup_time", Double),
    Column("answer_time", Double),
    Column("created", Double),
    Column("updated", Double),
    Column("usage", BigInteger, nullable=False),
    Column("cost", String(100)),
    _key("reference"),
    _long("document"),
    Index("ledger_records_record", "record"),
    Index("ledger_records_account", "account", "time"),
    Index("ledger_records_time", "time"),
    Index("ledger_records_origin", "origin_id"),
    sqlite_autoincrement=True,
)
TASKS = Table(
    "ledger_tasks",
    METADATA,
    _key("id", primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("due", Double, nullable=False),
    _long("document"),
    Index("ledger_tasks_due", "due"),
    sqlite_with_rowid=False,
)
ANSWERS = Table(
    "ledger_answers",
    METADATA,
    _key("id", primary_key=True),
    Column("expires", Double, nullable=False),
    _long("answer"),
    Index("ledger_answers_expires", "expires"),
    sqlite_with_rowid=False,
)

MOVEMENT_COLUMNS = tuple(column.name for column in MOVEMENTS.columns)[1:]
ANSWER_COLUMNS = tuple(column.name for column in ANSWERS.columns)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A table of versioned documents, and how one of them becomes a row and back."""

    kind: str
    table: Table
    columns: tuple[str, ...]
    """Besides ``id`` and ``version``."""
    dump: Callable[[Stored], Cells]
    """The cells of ``columns``."""
    load: Callable[[str, Cells], Stored]
    """From the key and the cells of ``columns``."""
    cached: int
    """So many are remembered."""


def exact(amount: Decimal) -> str:
    """An amount as text that every database and program reads: no exponent."""
    return format(amount, "f")


def movement_row(time: float, movement: Movement) -> Cells:
    """The cells of :data:`MOVEMENT_COLUMNS`."""
    return (
        time,
        movement.account,
        movement.balance,
        movement.type,
        exact(movement.amount),
        exact(movement.value),
        movement.cause,
        movement.reference,
    )


def _session_cells(stored: Stored) -> Cells:
    row = cast(SessionRow, stored)
    return row.account, row.lease_until, _compact(session_to_json(row.session))


def _session(_: str, cells: Cells) -> Stored:
    account, lease_until, document = cells
    session = session_from_json(json.loads(cast(str, document)))
    return SessionRow(cast(str, account), cast(float, lease_until), session)


_RECORD_TEXTS = (
    "tenant",
    "account",
    "subject",
    "destination",
    "category",
    "type",
    "request_type",
    "origin_id",
    "origin_host",
    "source",
)


def _record_cells(stored: Stored) -> Cells:
    record = cast(RecordRow, stored)
    return (
        record.id,
        record.run,
        *(getattr(record, name) for name in _RECORD_TEXTS),
        record.time,
        record.setup_time,
        record.answer_time,
        record.created,
        record.updated,
        record.usage,
        None if record.cost is None else exact(record.cost),
        record.reference,
        record.document,
    )


def _record(_: str, cells: Cells) -> Stored:
    texts = dict(zip(_RECORD_TEXTS, cast("tuple[str, ...]", cells[2:-9]), strict=True))
    identifier, run = cast("tuple[str, str]", cells[:2])
    time, setup_time, answer_time, created, updated = cells[-9:-4]
    usage, cost, reference, document = cells[-4:]
    return RecordRow(
        id=identifier,
        run=run,
        document=cast(str, document),
        tenant=texts["tenant"],
        account=texts["account"],
        subject=texts["subject"],
        destination=texts["destination"],
        category=texts["category"],
        type=texts["type"],
        request_type=texts["request_type"],
        origin_id=texts["origin_id"],
        origin_host=texts["origin_host"],
        source=texts["source"],
        time=cast(float, time),
        setup_time=cast("float | None", setup_time),
        answer_time=cast("float | None", answer_time),
        created=cast("float | None", created),
        updated=cast("float | None", updated),
        usage=cast(int, usage),
        cost=None if cost is None else Decimal(cast(str, cost)),
        reference=cast(str, reference),
    )


def _task_cells(stored: Stored) -> Cells:
    task = cast(TaskRow, stored)
    return task.due, task.document


def _task(key: str, cells: Cells) -> Stored:
    due, document = cells
    return TaskRow(key, float(cast(float, due)), cast(str, document))  # SQLite: 20 for 20.0


def account_text(account: Account) -> str:
    """The document of an account."""
    return _compact(account_to_json(account))


_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""The shortest JSON of a document. (``json.dumps`` makes an encoder each time.)"""


def account_of(text: str) -> Account:
    """The account of a document."""
    return account_from_json(json.loads(text))


def sharing_of(account: Account) -> str:
    """The shared groups of an account's balances, as ``;A;B;``; ``;*;``: too many to be named."""
    names = sorted({name for each in account.balances for name in each.shared_groups})
    text = f";{';'.join(names)};" if names else ""
    return text if len(text) <= _LONGEST else SHARING_MANY


def _account_cells(stored: Stored) -> Cells:
    account = cast(Account, stored)
    return account_text(account), sharing_of(account)


def _account(_: str, cells: Cells) -> Stored:
    return account_of(cast(str, cells[0]))


def shelves(*, cached: int) -> tuple[Shelf, ...]:
    """The four tables; ``cached`` accounts, and as many sessions, are remembered."""

    def columns(table: Table) -> tuple[str, ...]:
        names = (column.name for column in table.columns)
        return tuple(name for name in names if name not in ("id", "version", "order_id"))

    return (
        Shelf(ACCOUNT, ACCOUNTS, columns(ACCOUNTS), _account_cells, _account, cached),
        Shelf(SESSION, SESSIONS, columns(SESSIONS), _session_cells, _session, cached),
        Shelf(RECORD, RECORDS, columns(RECORDS), _record_cells, _record, 0),
        Shelf(TASK, TASKS, columns(TASKS), _task_cells, _task, 0),
    )
