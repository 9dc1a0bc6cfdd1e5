"""What each connection to an SQLite file of ours is given.

Write-ahead logging: several processes of one machine share the file, and no reader waits for the
one that writes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["on_connect"]

_SWITCHING = 5.0  # s; the driver's own patience for a lock
_BETWEEN = 0.01  # s


def on_connect(busy_timeout: float) -> Callable[[DBAPIConnection, ConnectionPoolEntry], None]:
    """A listener for an engine's ``connect``.

    It sets write-ahead logging, and ``busy_timeout`` seconds of patience with another's lock.
    """

    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        deadline = time.monotonic() + _SWITCHING
        while True:
            try:
                cursor.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as problem:
                # SQLite does not wait here for one that is about to write, as those do that
                # find a file new and come up at once: it cannot tell who would go first.
                if problem.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_BETWEEN)
            else:
                break
        cursor.execute("PRAGMA synchronous=NORMAL")  # WAL: durable over a crash of the process
        cursor.execute(f"PRAGMA busy_timeout={round(busy_timeout * 1000)}")
        cursor.close()

    return prepare
