"""The server's side: challenges, and the judgement on the credentials that answer them.

RFC 7616 sections 3.3 to 3.7, as RFC 8760 section 2 and RFC 3261 section 22 apply them. The steps:

1. :meth:`Challenger.examine` picks the credentials of our realm and checks what needs no secret;
2. the caller looks the user's secret up, where it may wait for a database;
3. :meth:`Challenger.judge` compares digests and spends the nonce count.

:meth:`Challenger.verify` does the three at once for users in memory. Every answer is a
:class:`Result`, whose :class:`Reason` is what `explain` shows.

CANCEL and ACK are never challenged (RFC 3261 section 22.1): do not bring them here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.digest.algorithm import (
    DEFAULT_ALGORITHMS,
    Algorithm,
    digest_response,
    octets,
    session_key,
)
from trunkline.sip.digest.credentials import Secret, UserSource, split_user
from trunkline.sip.digest.nonce import NonceMaker, NonceUse, ReplayWindow
from trunkline.sip.digest.parameters import AuthenticationInfo, Challenge, Credentials, scheme_of
from trunkline.sip.uri import Uri, parse_uri

__all__ = ["REASONS", "Attempt", "Challenger", "Reason", "Result", "Settings", "UriMatch"]


class Reason(Enum):
    """Why credentials were accepted or not."""

    ACCEPTED = "accepted"
    NO_CREDENTIALS = "no-credentials"
    OTHER_REALM = "other-realm"
    EMPTY = "empty"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    QOP = "qop"
    OPAQUE = "opaque"
    URI_MISMATCH = "uri-mismatch"
    UNKNOWN_USER = "unknown-user"
    NO_SECRET = "no-secret"
    WRONG_RESPONSE = "wrong-response"
    UNKNOWN_NONCE = "unknown-nonce"
    STALE = "stale"
    REPLAY = "replay"


REASONS: Final = MappingProxyType(
    {
        Reason.ACCEPTED: "the user has proved to know the password",
        Reason.NO_CREDENTIALS: "the request has no Digest credentials",
        Reason.OTHER_REALM: "its credentials are for other realms only",
        Reason.EMPTY: "credentials without a response: the client asks for a challenge",
        Reason.MALFORMED: "the credentials cannot be read, or lack what they must have",
        Reason.ALGORITHM: "the algorithm is none that was offered",
        Reason.QOP: "the quality of protection is none that was offered",
        Reason.OPAQUE: "opaque did not come back as it was sent",
        Reason.URI_MISMATCH: "the digest is for another URI than the request",
        Reason.UNKNOWN_USER: "the realm has no such user",
        Reason.NO_SECRET: "of this user neither password nor a hash for the algorithm is known",
        Reason.WRONG_RESPONSE: "the digest is wrong: another password, or the request was changed",
        Reason.UNKNOWN_NONCE: "the digest is right, but the nonce is not ours",
        Reason.STALE: "the digest is right, but the nonce is too old or given up",
        Reason.REPLAY: "the digest is right, but its nonce count was used before",
    }
)
"""Every reason, in words."""

_FAILED: Final = frozenset((Reason.UNKNOWN_USER, Reason.WRONG_RESPONSE))
_STALE: Final = frozenset((Reason.UNKNOWN_NONCE, Reason.STALE, Reason.REPLAY))
# RFC 7616 section 3.4: improper parameters get "a 4xx error code"; 3.4.6: 400 for another URI.
_BAD_REQUEST: Final = frozenset((Reason.MALFORMED, Reason.URI_MISMATCH))


class UriMatch(Enum):
    """How the ``uri`` of the credentials compares to the Request-URI (RFC 8760 2.6, bullet 6)."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"
    """By the rules of RFC 3261 section 19.1.4."""
    DIFFERENT = "different"
    """A proxy on the way has changed the Request-URI, or the client is careless."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a realm is guarded. Raises ``sip.digest-settings`` for what cannot work."""

    realm: str
    secret: bytes = field(repr=False)
    """Seals the nonces; the same in all processes of the realm, 16 octets at least."""
    proxy: bool = False
    """Challenge by 407 and the Proxy- headers, else by 401 (RFC 3261 section 22.1)."""
    algorithms: tuple[Algorithm, ...] = DEFAULT_ALGORITHMS
    """One challenge each, best first. A realm that keeps MD5 hashes only must offer MD5 only."""
    qop: tuple[str, ...] = ("auth",)
    """``auth-int`` protects bodies too, and fails where a node on the way edits them."""
    nonce_lifetime: float = 300.0
    """Seconds; an older nonce is stale."""
    clock_skew: float = 5.0
    """Seconds that the clocks of our hosts may differ by."""
    replay_limit: int = 65_536
    """Nonces whose counts are remembered; beyond, see :class:`ReplayWindow`."""
    maker: int = 0
    """The number of this process among those of the realm, 0 to 65535."""
    share_nonces: bool = True
    """Accept nonces made by other processes; counts are remembered by each process alone."""
    require_qop: bool = False
    """Refuse the digests of RFC 2069, which have no count; else each spends its nonce."""
    hosts: frozenset[str] | None = None
    """A digest whose URI is not equivalent to the Request-URI is refused, unless the host of its
    URI is one of these: a proxy may have changed it on the way. ``None``: any, it is only told."""

    def __post_init__(self) -> None:
        if not self.algorithms or len(set(self.algorithms)) != len(self.algorithms):
            raise TrunklineError(
                "sip.digest-settings", "algorithms: name one or more, each once (RFC 8760 2.3)"
            )
        if not self.qop or not {"auth", "auth-int"}.issuperset(self.qop):
            raise TrunklineError("sip.digest-settings", f"qop {self.qop}: auth, auth-int or both")
        if self.nonce_lifetime <= 0 or self.clock_skew < 0 or self.replay_limit < 1:
            raise TrunklineError(
                "sip.digest-settings",
                "nonce_lifetime and replay_limit are above 0, clock_skew is not negative",
            )


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the credentials of a request."""

    reason: Reason
    user: str = ""
    """Of the credentials, without ``@realm``: proved only if accepted."""
    credentials: Credentials | None = None
    algorithm: Algorithm | None = None
    uri_match: UriMatch | None = None
    """For the caller to refuse a URI that it serves for nobody (RFC 8760 2.6, bullet 6)."""
    detail: str = ""
    """What was malformed."""
    key: str = field(default="", repr=False)
    """H(A1) of accepted credentials, for Authentication-Info."""

    @property
    def accepted(self) -> bool:
        """Whether the user is who he says."""
        return self.reason is Reason.ACCEPTED

    @property
    def failed(self) -> bool:
        """Whether a user or a password was wrong: what somebody who guesses brings about."""
        return self.reason in _FAILED

    @property
    def stale(self) -> bool:
        """Whether the password was right: a new nonce is enough, nobody need be asked again."""
        return self.reason in _STALE

    @property
    def bad_request(self) -> bool:
        """Whether the answer is 400 rather than a challenge (RFC 7616 sections 3.4, 3.4.6)."""
        return self.reason in _BAD_REQUEST


@dataclass(frozen=True, slots=True)
class Attempt:
    """Credentials that are sound as far as can be said without a secret."""

    credentials: Credentials
    algorithm: Algorithm
    user: str
    """Whose secret is to be looked up, in the realm of the settings."""
    qualified: bool
    """The user wrote his name as ``user@realm``."""
    count: int
    """The nonce count; 0 without qop."""
    uri_match: UriMatch
    method: str
    body: bytes = field(repr=False)


class Challenger:
    """Guards one realm. ``counters`` has a figure for each reason.

    ``replays``, where two guard the same realm by one secret, is shared: their nonces are the same.

    Raises:
        TrunklineError: ``sip.digest-settings`` for a short secret or a maker out of range.
    """

    def __init__(self, settings: Settings, replays: ReplayWindow | None = None) -> None:
        self.settings = settings
        self.counters = dict.fromkeys(Reason, 0)
        if replays is None:
            replays = ReplayWindow(settings.nonce_lifetime, settings.replay_limit)
        self.replays = replays
        self._nonces = NonceMaker(settings.secret, settings.realm, settings.maker)
        self._opaque = hmac.new(
            settings.secret, b"opaque\0" + octets(settings.realm), hashlib.sha256
        ).hexdigest()[:16]
        prefix = "Proxy-" if settings.proxy else ""
        self.status = 407 if settings.proxy else 401
        """Of the response that carries the challenges."""
        self.challenge_header = "Proxy-Authenticate" if settings.proxy else "WWW-Authenticate"
        self.credentials_header = f"{prefix}Authorization"
        """The header whose values :meth:`examine` is to be given."""
        self.info_header = f"{prefix}Authentication-Info"

    def challenges(self, now: float, random: bytes, *, stale: bool = False) -> list[Challenge]:
        """The challenges of a response, one for each algorithm, in the order they are to stand in.

        Args:
            now: seconds since the epoch.
            random: 7 octets or more, fresh.
            stale: :attr:`Result.stale` of the credentials that are refused.
        """
        nonce = self._nonces.make(now, random)
        return [
            Challenge(
                realm=self.settings.realm,
                nonce=nonce,
                algorithm=algorithm.token,
                qop=self.settings.qop,
                opaque=self._opaque,
                stale=stale,
            )
            for algorithm in self.settings.algorithms
        ]

    def rows(self, now: float, random: bytes, *, stale: bool = False) -> list[tuple[str, str]]:
        """The header rows of the response, as :meth:`challenges`."""
        challenges = self.challenges(now, random, stale=stale)
        return [(self.challenge_header, str(challenge)) for challenge in challenges]

    def examine(
        self, values: Sequence[str], method: str, request_uri: str, body: bytes = b""
    ) -> Attempt | Result:
        """Pick our realm's credentials and check what needs no secret.

        Args:
            values: of all rows of :attr:`credentials_header`, in order.
            method: of the request.
            request_uri: of the request, as it arrived.
            body: of the request.

        Returns:
            An :class:`Attempt` whose user is to be looked up and which :meth:`judge` decides, or
            the :class:`Result` if there is nothing to decide.
        """
        result = self._examined(values, method, request_uri, body)
        if isinstance(result, Result):
            self.counters[result.reason] += 1
        return result

    def _examined(
        self, values: Sequence[str], method: str, request_uri: str, body: bytes
    ) -> Attempt | Result:
        settings = self.settings
        reason, detail = Reason.NO_CREDENTIALS, ""
        ours: list[Credentials] = []
        for value in values:
            if scheme_of(value) != "digest":
                continue  # Basic MUST NOT be accepted (RFC 3261 section 22)
            try:
                credentials = Credentials.parse(value)
            except DecodeError as problem:
                reason, detail = Reason.MALFORMED, problem.message
                continue
            # Another realm's are not ours to consume (RFC 3261 section 22.3).
            if credentials.realm == settings.realm:
                ours.append(credentials)
            elif reason is Reason.NO_CREDENTIALS:
                reason = Reason.OTHER_REALM
        if not ours:
            return Result(reason, detail=detail)
        # A client may answer several of our challenges: the one that we like best counts.
        rank = {algorithm: place for place, algorithm in enumerate(settings.algorithms)}
        named = [(Algorithm.named(credentials.algorithm), credentials) for credentials in ours]
        algorithm, credentials = min(
            named, key=lambda pair: len(rank) if pair[0] is None else rank.get(pair[0], len(rank))
        )
        user, qualified = split_user(credentials.username, settings.realm)
        reason, detail = self._shape(credentials, algorithm)
        if reason is not Reason.ACCEPTED or algorithm is None:
            return Result(reason, user, credentials, algorithm, detail=detail)
        match = _compare(credentials.uri, request_uri)
        if match is UriMatch.DIFFERENT and not self._served(credentials.uri):
            return Result(Reason.URI_MISMATCH, user, credentials, algorithm, match)
        count = credentials.count or 0
        return Attempt(credentials, algorithm, user, qualified, count, match, method, body)

    def _served(self, text: str) -> bool:
        """RFC 8760 2.6: does it correspond "to a user for whom the UAS is willing to accept" it?"""
        hosts = self.settings.hosts
        if hosts is None:
            return True
        try:
            uri = parse_uri(text)
        except DecodeError:
            return False
        return isinstance(uri, Uri) and uri.host.lower() in hosts

    def _shape(self, credentials: Credentials, algorithm: Algorithm | None) -> tuple[Reason, str]:
        settings = self.settings
        if not credentials.response or not credentials.nonce:
            return Reason.EMPTY, ""  # RFC 8760 section 2.7
        if algorithm not in settings.algorithms:
            return Reason.ALGORITHM, credentials.algorithm
        if credentials.qop:
            if credentials.qop not in settings.qop:
                return Reason.QOP, credentials.qop
            if credentials.count is None or not credentials.cnonce:
                return Reason.MALFORMED, "qop needs cnonce, and nc of eight hexadecimal digits"
        elif settings.require_qop or algorithm.session:
            return Reason.QOP, "none"
        if credentials.opaque is not None and credentials.opaque != self._opaque:
            return Reason.OPAQUE, ""  # one that is missing altogether is let pass: a SHOULD
        return Reason.ACCEPTED, ""

    def judge(self, attempt: Attempt, secret: Secret | None, now: float) -> Result:
        """Compare the digest and spend the nonce count.

        Args:
            attempt: from :meth:`examine`.
            secret: of ``attempt.user``; ``None`` if the realm has no such user.
            now: seconds since the epoch.
        """
        reason, key = self._judged(attempt, secret, now)
        self.counters[reason] += 1
        return Result(
            reason,
            attempt.user,
            attempt.credentials,
            attempt.algorithm,
            attempt.uri_match,
            key=key if reason is Reason.ACCEPTED else "",
        )

    def _judged(self, attempt: Attempt, secret: Secret | None, now: float) -> tuple[Reason, str]:
        credentials, algorithm = attempt.credentials, attempt.algorithm
        known = secret or _NOBODY  # who is unknown costs as much time as who is known
        ha1 = known.hashed(
            algorithm, credentials.username, credentials.realm, qualified=attempt.qualified
        )
        if ha1 is None:
            return Reason.NO_SECRET, ""
        key = session_key(algorithm, ha1, credentials.nonce, credentials.cnonce)
        expected = digest_response(
            algorithm,
            key,
            nonce=credentials.nonce,
            method=attempt.method,
            uri=credentials.uri,
            qop=credentials.qop,
            nc=credentials.nc,
            cnonce=credentials.cnonce,
            body=attempt.body,
        )
        right = hmac.compare_digest(octets(expected), octets(credentials.response.lower()))
        if secret is None:
            return Reason.UNKNOWN_USER, ""
        if not right:
            return Reason.WRONG_RESPONSE, ""
        return self._nonce_reason(credentials.nonce, attempt.count, now), key

    def _nonce_reason(self, text: str, count: int, now: float) -> Reason:
        settings = self.settings
        nonce = self._nonces.open(text)
        if nonce is None:
            return Reason.UNKNOWN_NONCE
        age = now - nonce.issued
        foreign = nonce.maker != settings.maker and not settings.share_nonces
        if foreign or age > settings.nonce_lifetime or age < -settings.clock_skew:
            return Reason.STALE
        # Without a count, a nonce is good for one request.
        used = self.replays.use(text, nonce.issued, count or 1, now)
        if used is NonceUse.FORGOTTEN:
            return Reason.STALE
        return Reason.ACCEPTED if used is NonceUse.FRESH else Reason.REPLAY

    def verify(
        self,
        values: Sequence[str],
        method: str,
        request_uri: str,
        users: UserSource,
        now: float,
        body: bytes = b"",
    ) -> Result:
        """:meth:`examine` and :meth:`judge` in one, for users in memory."""
        attempt = self.examine(values, method, request_uri, body)
        if isinstance(attempt, Result):
            return attempt
        return self.judge(attempt, users.lookup(attempt.user, self.settings.realm), now)

    def info(self, result: Result, body: bytes = b"", nextnonce: str = "") -> AuthenticationInfo:
        """What proves to the client that we know the password too (RFC 7616 section 3.5).

        Args:
            result: accepted.
            body: of the response, for ``auth-int``.
            nextnonce: the nonce to use from now on, of :meth:`challenges`; empty: the same.
        """
        credentials, algorithm = result.credentials, result.algorithm
        if not result.accepted or credentials is None or algorithm is None:
            raise TrunklineError(
                "sip.digest-settings", f"Authentication-Info after {result.reason.value}"
            )
        rspauth = digest_response(
            algorithm,
            result.key,
            nonce=credentials.nonce,
            method="",
            uri=credentials.uri,
            qop=credentials.qop,
            nc=credentials.nc,
            cnonce=credentials.cnonce,
            body=body,
        )
        return AuthenticationInfo(
            nextnonce=nextnonce,
            qop=credentials.qop,
            rspauth=rspauth,
            cnonce=credentials.cnonce if credentials.qop else "",
            nc=credentials.nc if credentials.qop else "",
        )


_NOBODY: Final = Secret(password="")


def _compare(ours: str, theirs: str) -> UriMatch:
    if ours == theirs:
        return UriMatch.IDENTICAL
    try:
        same = parse_uri(ours).equivalent(parse_uri(theirs))
    except DecodeError:
        return UriMatch.DIFFERENT
    return UriMatch.EQUIVALENT if same else UriMatch.DIFFERENT
