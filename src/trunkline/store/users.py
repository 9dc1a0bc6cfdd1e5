"""Users and their secrets in an SQL table, such as the `subscriber` of Kamailio and OpenSIPS.

The columns are those of :mod:`trunkline.sip.digest.credentials`; which of them a table has is seen
at each look-up. Names are compared octet by octet, whatever the column does: to SIP ``Bob`` and
``bob`` are two users (RFC 3261 section 19.1.4), and who logs in as the one is not the other.
"""

from __future__ import annotations

from trunkline.errors import TrunklineError
from trunkline.sip.digest import Secret
from trunkline.sip.digest.credentials import secret_of
from trunkline.store.sql import Sql

__all__ = ["SqlUsers"]


class SqlUsers:
    """Looks users up for :meth:`trunkline.sip.digest.Challenger.judge`.

    Args:
        sql: the database; its errors (``store.sql-…``) come through.
        table: where the users are.
        by_domain: a user is one of a realm (column ``domain``); else names alone tell them apart.

    Raises:
        TrunklineError: ``store.users-table`` for a name that is none.
    """

    def __init__(self, sql: Sql, *, table: str = "subscriber", by_domain: bool = True) -> None:
        if not table.isidentifier() or not table.isascii():
            raise TrunklineError(
                "store.users-table", f"{table!r} is no name of a table: letters, digits and _"
            )
        self._sql = sql
        self._by_domain = by_domain
        self._statement = f"SELECT * FROM {table} WHERE username = :user" + (
            " AND domain = :realm" if by_domain else ""
        )

    async def lookup(self, user: str, realm: str) -> Secret | None:
        """The secret of ``user`` (without ``@realm``); ``None`` if there is no such user."""
        if "\0" in user or not _is_text(user):
            return None  # no column could hold it, and some databases refuse to look
        values = {"user": user, "realm": realm} if self._by_domain else {"user": user}
        for row in await self._sql.fetch_all(self._statement, **values):
            if row.get("username") == user:
                return secret_of(row) or Secret()
        return None


def _is_text(name: str) -> bool:
    """Whether no octets are in it that were not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
