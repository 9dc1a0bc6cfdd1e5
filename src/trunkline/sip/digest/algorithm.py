"""Algorithms and the arithmetic of a digest (RFC 7616 section 3.4, RFC 8760 section 2).

An algorithm is a hash, in its plain or its session variant (RFC 7616 section 3.3), with a password
that is the user's or comes out of AKA (RFC 3310 section 3.1: `AKAv1-MD5`; RFC 4169: `AKAv2-MD5`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = [
    "DEFAULT_ALGORITHMS",
    "MD5",
    "SHA_256",
    "SHA_512_256",
    "Algorithm",
    "Hash",
    "digest_response",
    "hashed_password",
    "octets",
    "session_key",
]


class Hash(Enum):
    """A hash of the registry of RFC 7616 section 6.1; the value is its token."""

    SHA_256 = "SHA-256"
    SHA_512_256 = "SHA-512-256"
    MD5 = "MD5"

    def hex(self, data: bytes) -> str:
        """The hash of ``data`` in lower-case hexadecimal digits (RFC 8760 section 2.2)."""
        if self is Hash.SHA_256:
            return hashlib.sha256(data).hexdigest()
        if self is Hash.MD5:
            # Where the system forbids MD5 as a protection, a peer that knows no better still asks.
            return hashlib.md5(data, usedforsecurity=False).hexdigest()
        return hashlib.new("sha512_256", data).hexdigest()


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The ``algorithm`` of a challenge."""

    hash: Hash
    session: bool = False
    """The ``-sess`` variant: H(A1) takes in nonce and cnonce (RFC 7616 section 3.4.2)."""
    aka: int = 0
    """Version of AKA that makes the password; 0 = none."""

    @property
    def token(self) -> str:
        """The algorithm as it is written."""
        return f"{f'AKAv{self.aka}-' if self.aka else ''}{self.hash.value}" + (
            "-sess" if self.session else ""
        )

    @classmethod
    def named(cls, token: str) -> Algorithm | None:
        """The algorithm with this token, in any case; MD5 for none (RFC 7616 section 3.3).

        ``None`` when the token names no algorithm known here.
        """
        return _NAMED.get(token.lower()) if token else MD5


MD5: Final = Algorithm(Hash.MD5)
SHA_256: Final = Algorithm(Hash.SHA_256)
SHA_512_256: Final = Algorithm(Hash.SHA_512_256)

DEFAULT_ALGORITHMS: Final = (SHA_256, SHA_512_256, MD5)
"""What a server offers, best first: the mandatory one, the reserve, the old one (RFC 7616 3.7)."""

_NAMED: Final = {
    algorithm.token.lower(): algorithm
    for algorithm in (
        Algorithm(hash_, session, aka)
        for hash_ in Hash
        for session in (False, True)
        for aka in (0, 1, 2)
    )
}


def octets(text: str) -> bytes:
    """The octets behind a text of a message: UTF-8, what is not stays as it came."""
    return text.encode("utf-8", "surrogateescape")


def hashed_password(hash_: Hash, username: str, realm: str, password: str | bytes) -> str:
    """H(username ":" realm ":" password), what user tables call HA1.

    A password of octets is taken as it is (RFC 3310 section 3.3: RES).
    """
    if isinstance(password, str):
        password = octets(password)
    return hash_.hex(octets(f"{username}:{realm}:") + password)


def session_key(algorithm: Algorithm, ha1: str, nonce: str, cnonce: str) -> str:
    """H(A1) of RFC 7616 section 3.4.2, out of :func:`hashed_password`."""
    if not algorithm.session:
        return ha1
    return algorithm.hash.hex(octets(f"{ha1}:{nonce}:{cnonce}"))


def digest_response(
    algorithm: Algorithm,
    key: str,
    *,
    nonce: str,
    method: str,
    uri: str,
    qop: str = "",
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """The value of ``response`` (RFC 7616 section 3.4.1); with an empty method, of ``rspauth``.

    Args:
        algorithm: of the challenge.
        key: H(A1), from :func:`session_key`.
        nonce: of the challenge.
        method: of the request; empty for ``rspauth`` (section 3.5).
        uri: the ``uri`` parameter as it is written between its quotes.
        qop: ``auth``, ``auth-int`` or, where the client sent none, empty (RFC 2617 3.2.2.1).
        nc: the nonce count as written, eight hexadecimal digits.
        cnonce: the client's nonce.
        body: the message's body, hashed for ``auth-int`` (RFC 8760 section 2.6, bullet 7).
    """
    hash_ = algorithm.hash
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        a2 = f"{a2}:{hash_.hex(body)}"
    count = f"{nc}:{cnonce}:{qop}:" if qop else ""
    return hash_.hex(octets(f"{key}:{nonce}:{count}{hash_.hex(octets(a2))}"))
