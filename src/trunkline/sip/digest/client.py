"""The client's side: choosing a challenge, answering it, and keeping the session.

RFC 7616 sections 3.4 to 3.6; RFC 8760 section 2.4 on several challenges and realms; RFC 3261
sections 22.2 and 22.3 on when to try again.

A challenge without ``qop`` is answered without (RFC 2617 section 3.2.2.1), although RFC 8760
section 2.6 wants ``qop=auth`` there: servers that leave it out do not count it either, and would
refuse.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from trunkline.errors import DecodeError
from trunkline.sip.digest.algorithm import (
    Algorithm,
    digest_response,
    hashed_password,
    octets,
    session_key,
)
from trunkline.sip.digest.parameters import AuthenticationInfo, Challenge, Credentials

__all__ = ["Client", "Login", "Outcome", "answer", "choose"]

MAX_REALMS: Final = 32
"""Sessions that a client keeps; beyond, the one that was not used the longest is forgotten."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who a client is in a realm. The password never shows in a text representation."""

    username: str
    password: str | bytes = field(repr=False)
    """Octets for AKA: RES (RFC 3310 section 3.3), empty with ``auts``."""
    auts: str = field(default="", repr=False)
    """Base64 of AUTS, to synchronize (RFC 3310 section 3.4)."""


Logins: TypeAlias = Callable[[Challenge], "Login | None"]
"""The login for a challenge's realm, if there is one; AKA makes it out of the nonce."""


def choose(challenges: Sequence[Challenge], logins: Logins) -> list[tuple[Challenge, Login]]:
    """The challenges to answer: of each realm with a login, the topmost that is understood.

    One that names an unknown algorithm, or only unknown qualities, is passed over (RFC 8760 section
    2.4; RFC 7616 section 3.3).
    """
    chosen: dict[str, tuple[Challenge, Login]] = {}
    for challenge in challenges:
        if challenge.realm in chosen or Algorithm.named(challenge.algorithm) is None:
            continue
        if challenge.qop and not {"auth", "auth-int"}.intersection(challenge.qop):
            continue
        login = logins(challenge)
        if login is not None:
            chosen[challenge.realm] = (challenge, login)
    return list(chosen.values())


def answer(
    challenge: Challenge,
    login: Login,
    method: str,
    uri: str,
    *,
    cnonce: str,
    count: int = 1,
    body: bytes = b"",
    integrity: bool = False,
) -> Credentials:
    """The credentials that answer a challenge.

    Args:
        challenge: one that :func:`choose` gave.
        login: for its realm.
        method: of the request.
        uri: its Request-URI.
        cnonce: fresh and random; for a ``-sess`` algorithm, that of the session's first request.
        count: requests made with this nonce, this one included.
        body: of the request.
        integrity: take ``auth-int`` where it is offered; else only where nothing else is.

    Raises:
        ValueError: for an algorithm that is not known.
    """
    credentials, _ = _answered(challenge, login, method, uri, cnonce, count, body, integrity)
    return credentials


def _answered(
    challenge: Challenge,
    login: Login,
    method: str,
    uri: str,
    cnonce: str,
    count: int,
    body: bytes,
    integrity: bool,
) -> tuple[Credentials, str]:
    algorithm = Algorithm.named(challenge.algorithm)
    if algorithm is None:
        raise ValueError(f"{challenge.algorithm!r} is no algorithm known here: see choose")
    qop = ""
    if challenge.qop:
        int_only = "auth" not in challenge.qop
        qop = "auth-int" if int_only or (integrity and "auth-int" in challenge.qop) else "auth"
    counted = bool(qop) or algorithm.session  # else no cnonce: RFC 3261 section 22.4, point 8
    nc = f"{count:08x}" if qop else ""
    cnonce = cnonce if counted else ""
    ha1 = hashed_password(algorithm.hash, login.username, challenge.realm, login.password)
    key = session_key(algorithm, ha1, challenge.nonce, cnonce)
    response = digest_response(
        algorithm,
        key,
        nonce=challenge.nonce,
        method=method,
        uri=uri,
        qop=qop,
        nc=nc,
        cnonce=cnonce,
        body=body,
    )
    credentials = Credentials(
        username=login.username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        response=response,
        algorithm=challenge.algorithm,
        cnonce=cnonce,
        opaque=challenge.opaque,
        qop=qop,
        nc=nc,
        auts=login.auts or None,
    )
    return credentials, key


class Outcome(Enum):
    """What a client makes of a 401 or 407."""

    RETRY = "retry"
    """Send the request again, with the rows of :meth:`Client.rows` and a higher CSeq."""
    REJECTED = "rejected"
    """The same login was refused before: do not try again (RFC 3261 section 22.1)."""
    NO_LOGIN = "no-login"
    """No challenge has an algorithm known here and a realm with a login."""


@dataclass(slots=True)
class _Session:
    challenge: Challenge
    login: Login
    cnonce: str = ""
    """Of the first request, kept for ``-sess`` algorithms."""
    count: int = 0
    """Requests made with the nonce."""
    answers: int = 0
    """Requests made since the challenge."""
    sent: Credentials | None = None
    key: str = ""


class Client:
    """The sessions of one user agent, in all realms that it was challenged in.

    Challenges of WWW-Authenticate are answered in Authorization, those of Proxy-Authenticate in
    Proxy-Authorization. Keep one client for each registration and each dialog: RFC 3261 section
    22.3 forbids to carry a proxy's credentials from one dialog to another.
    """

    def __init__(self, logins: Logins, *, integrity: bool = False) -> None:
        self._logins = logins
        self._integrity = integrity
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    def challenged(
        self, www_authenticate: Sequence[str], proxy_authenticate: Sequence[str]
    ) -> Outcome:
        """Take the challenges of a 401 or 407, which may carry both kinds (RFC 8760 section 2.5).

        Args:
            www_authenticate: the values of all rows of WWW-Authenticate.
            proxy_authenticate: those of Proxy-Authenticate.
        """
        outcome = Outcome.NO_LOGIN
        for header, values in (
            ("Authorization", www_authenticate),
            ("Proxy-Authorization", proxy_authenticate),
        ):
            for challenge, login in choose(_understood(values), self._logins):
                place = (header, challenge.realm)
                before = self._sessions.pop(place, None)
                session = _Session(challenge, login)
                if before is not None:
                    first = before.answers == 1 and before.login == login
                    if first and not challenge.stale:
                        return Outcome.REJECTED
                    if before.challenge.nonce == challenge.nonce:
                        session.count = before.count  # counts of a nonce only rise
                self._sessions[place] = session
                outcome = Outcome.RETRY
        while len(self._sessions) > MAX_REALMS:
            self._sessions.popitem(last=False)
        return outcome

    def rows(self, method: str, uri: str, cnonce: str, body: bytes = b"") -> list[tuple[str, str]]:
        """The header rows for a request; also for one that was not challenged yet.

        Args:
            method: of the request.
            uri: its Request-URI.
            cnonce: fresh and random, printable ASCII.
            body: of the request.
        """
        rows = []
        for (header, _), session in self._sessions.items():
            session.count += 1
            session.answers += 1
            session.cnonce = session.cnonce or cnonce
            algorithm = Algorithm.named(session.challenge.algorithm)
            keep = algorithm is not None and algorithm.session
            session.sent, session.key = _answered(
                session.challenge,
                session.login,
                method,
                uri,
                session.cnonce if keep else cnonce,
                session.count,
                body,
                self._integrity,
            )
            rows.append((header, str(session.sent)))
        return rows

    def confirmed(self, values: Sequence[str], body: bytes = b"", *, proxy: bool = False) -> bool:
        """Take the Authentication-Info of a 2xx; whether it proves that the server is the one.

        A value says no realm: it is held against each session of its kind. ``nextnonce`` of a
        proven value begins the next session (RFC 7616 section 3.5).

        Args:
            values: of all rows of Authentication-Info, or Proxy-Authentication-Info.
            body: of the response.
            proxy: it is Proxy-Authentication-Info.
        """
        kind = "Proxy-Authorization" if proxy else "Authorization"
        proven = False
        for value in values:
            try:
                info = AuthenticationInfo.parse(value)
            except DecodeError:
                continue
            for (header, _), session in self._sessions.items():
                if header == kind and _proves(session, info, body):
                    proven = True
                    if info.nextnonce:
                        _renew(session, info.nextnonce)
        return proven


def _understood(values: Sequence[str]) -> list[Challenge]:
    challenges = []
    for value in values:
        try:
            challenges.append(Challenge.parse(value))
        except DecodeError:
            continue  # "MUST ignore any challenge it does not understand" (RFC 8760 section 2.4)
    return challenges


def _proves(session: _Session, info: AuthenticationInfo, body: bytes) -> bool:
    sent, algorithm = session.sent, Algorithm.named(session.challenge.algorithm)
    if sent is None or algorithm is None or not info.rspauth:
        return False
    if sent.qop and (info.cnonce, info.nc.lower()) != (sent.cnonce, sent.nc):
        return False
    expected = digest_response(
        algorithm,
        session.key,
        nonce=sent.nonce,
        method="",
        uri=sent.uri,
        qop=sent.qop,
        nc=sent.nc,
        cnonce=sent.cnonce,
        body=body,
    )
    return hmac.compare_digest(octets(expected), octets(info.rspauth.lower()))


def _renew(session: _Session, nonce: str) -> None:
    old = session.challenge
    session.challenge = Challenge(
        old.realm, nonce, old.algorithm, old.qop, old.opaque, others=old.others
    )
    session.count, session.cnonce = 0, ""
