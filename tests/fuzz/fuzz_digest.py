"""Digest: any text in the headers is read or refused, and nothing is accepted that was not sent so.

The input stands in for the value of a header: of challenges for the client, of credentials for the
server, and of what the server says of itself for the client.
"""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.sip.digest import (
    AuthenticationInfo,
    Challenge,
    Challenger,
    Client,
    Credentials,
    KnownUsers,
    Login,
    Result,
    Secret,
    Settings,
    answer,
)

_NOW = 1_700_000_000.0
_URI = "sip:atlanta.example"
_SETTINGS = Settings("atlanta.example", b"sixteen octets !", qop=("auth", "auth-int"))
_USERS = KnownUsers({("alice", "atlanta.example"): Secret("wonderland")})
_CHALLENGE = Challenger(_SETTINGS).challenges(_NOW, b"randomness")[0]
_SENT = answer(_CHALLENGE, Login("alice", "wonderland"), "REGISTER", _URI, cnonce="c0ffee")

SEEDS = [
    str(_CHALLENGE).encode(),
    str(_SENT).encode(),
    b'nextnonce="n", qop=auth, rspauth="00", cnonce="c0ffee", nc=00000001',
    b'Digest username="alice", realm="atlanta.example", nonce="", uri="", response=""',
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    value = data.decode("utf-8", "surrogateescape")
    for kind in (Challenge, Credentials, AuthenticationInfo):
        try:
            read = kind.parse(value)
        except DecodeError:
            continue
        assert kind.parse(str(read)) == read
    challenger = Challenger(_SETTINGS)
    result = challenger.verify([value], "REGISTER", _URI, _USERS, _NOW)
    if result.accepted:
        _assert_unchanged(result)
    client = Client(lambda challenge: Login("alice", "wonderland"))
    client.challenged([value], [value])
    for _, row in client.rows("REGISTER", _URI, "c0ffee"):
        assert Credentials.parse(row).username == "alice"
    client.confirmed([value])


def _assert_unchanged(result: Result) -> None:
    """All that the digest and the checks cover is what was sent."""
    found = result.credentials
    assert found is not None
    names = ("username", "realm", "nonce", "uri", "cnonce", "qop", "nc")
    for name in names:
        assert getattr(found, name) == getattr(_SENT, name), name
    assert found.response.lower() == _SENT.response
    assert found.opaque in (None, _SENT.opaque)
