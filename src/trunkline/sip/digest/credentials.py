"""What a server knows of its users: passwords, or their hashes, by name and realm.

The columns are those of the `subscriber` table that Kamailio and OpenSIPS share, so that an
exported one can be used as it is: `username`, `domain`, `password`, `ha1` (MD5 over
username:realm:password), `ha1b` (MD5 over username@domain:realm:password), and the newer
`ha1_sha256` and `ha1_sha512t256`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from trunkline.errors import TrunklineError
from trunkline.sip.digest.algorithm import Algorithm, Hash, hashed_password

__all__ = ["COLUMNS", "KnownUsers", "Secret", "UserSource", "read_csv", "secret_of", "split_user"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A password, or the hashes made of it. It never shows in a text representation."""

    password: str | bytes | None = field(default=None, repr=False)
    """Octets for AKA: RES (RFC 3310 section 3.3)."""
    ha1: Mapping[Hash, str] = field(default_factory=dict, repr=False)
    """H(user:realm:password) in hexadecimal digits."""
    ha1_qualified: Mapping[Hash, str] = field(default_factory=dict, repr=False)
    """H(user@realm:realm:password), for clients that give their name so."""

    def hashed(
        self, algorithm: Algorithm, username: str, realm: str, *, qualified: bool
    ) -> str | None:
        """H(username:realm:password); ``None`` if neither password nor that hash is known.

        Args:
            algorithm: whose hash is meant.
            username: as the client wrote it.
            realm: of the challenge.
            qualified: the name ends in ``@realm``.
        """
        if self.password is not None:
            return hashed_password(algorithm.hash, username, realm, self.password)
        return (self.ha1_qualified if qualified else self.ha1).get(algorithm.hash)


class UserSource(Protocol):
    """Who knows the users' secrets, without waiting."""

    def lookup(self, user: str, realm: str) -> Secret | None:
        """The secret of ``user`` (without ``@realm``); ``None`` if there is no such user."""


class KnownUsers:
    """Users in memory, by (user, realm)."""

    def __init__(self, secrets: Mapping[tuple[str, str], Secret]) -> None:
        self._secrets = dict(secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def lookup(self, user: str, realm: str) -> Secret | None:
        """See :class:`UserSource`."""
        return self._secrets.get((user, realm))


def split_user(username: str, realm: str) -> tuple[str, bool]:
    """The user in a ``username`` parameter, and whether it was written as ``user@realm``."""
    user, at, domain = username.rpartition("@")
    if at and user and domain.lower() == realm.lower():
        return user, True
    return username, False


COLUMNS: Final = ("username", "domain", "password", "ha1", "ha1b", "ha1_sha256", "ha1_sha512t256")
"""Columns of a table of users that are read; others are passed over."""


def secret_of(row: Mapping[str, object]) -> Secret | None:
    """The secret in a row of the columns :data:`COLUMNS`; ``None`` if the row has none.

    Empty columns count as absent. A password goes before hashes, since it fits every algorithm.
    """
    text = {name: str(row[name]) for name in COLUMNS if row.get(name)}
    named = {Hash.MD5: "ha1", Hash.SHA_256: "ha1_sha256", Hash.SHA_512_256: "ha1_sha512t256"}
    ha1 = {hash_: text[name].lower() for hash_, name in named.items() if name in text}
    qualified = {Hash.MD5: text["ha1b"].lower()} if "ha1b" in text else {}
    if "password" not in text and not ha1 and not qualified:
        return None
    return Secret(text.get("password"), ha1, qualified)


def read_csv(lines: Iterable[str], realm: str, name: str = "users") -> KnownUsers:
    """Read users from comma-separated lines whose first has the column names.

    Args:
        lines: of the file.
        realm: of the users of whom the column ``domain`` says none.
        name: of the file, for messages.

    Raises:
        TrunklineError: ``sip.digest-users``, with file and line.
    """
    rows = csv.DictReader(lines, skipinitialspace=True)
    columns = [column.strip() for column in rows.fieldnames or ()]
    rows.fieldnames = columns
    if "username" not in columns or not set(COLUMNS[2:]).intersection(columns):
        raise TrunklineError(
            "sip.digest-users",
            f"{name}:1: the columns are {columns}: username and one of "
            f"{', '.join(COLUMNS[2:])} are needed",
        )
    found: dict[tuple[str, str], Secret] = {}
    for row in rows:
        where = f"{name}:{rows.line_num}"
        if None in row:
            raise TrunklineError(
                "sip.digest-users", f"{where}: more fields than columns: quote what has a comma"
            )
        user = (row["username"], row.get("domain") or realm)
        secret = secret_of(row)
        if not user[0] or secret is None:
            raise TrunklineError(
                "sip.digest-users", f"{where}: {user[0]!r} has no name, or no password or hash"
            )
        if user in found:
            raise TrunklineError(
                "sip.digest-users", f"{where}: {user[0]!r} of {user[1]!r} stands there twice"
            )
        found[user] = secret
    return KnownUsers(found)
