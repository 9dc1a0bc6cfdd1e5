"""The client's sessions, with our server at the other end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.sip.digest import (
    Challenge,
    Challenger,
    Client,
    Credentials,
    KnownUsers,
    Login,
    Outcome,
    Reason,
    Secret,
    Settings,
    answer,
    choose,
)
from trunkline.sip.digest.client import MAX_REALMS

NOW = 1_700_000_000.0
REALM = "atlanta.example"
URI = "sip:atlanta.example"
USERS = KnownUsers({("alice", REALM): Secret("wonderland")})
SETTINGS = Settings(REALM, b"sixteen octets !")


def alice(challenge: Challenge) -> Login | None:
    return Login("alice", "wonderland") if challenge.realm == REALM else None


def values(challenger: Challenger, *, now: float = NOW, stale: bool = False) -> list[str]:
    return [value for _, value in challenger.rows(now, b"random octets", stale=stale)]


def credentials_in(rows: list[tuple[str, str]], header: str = "Authorization") -> list[str]:
    return [value for name, value in rows if name == header]


def test_a_session_goes_on_with_its_nonce() -> None:
    challenger, client = Challenger(SETTINGS), Client(alice)
    assert client.rows("REGISTER", URI, "c1") == []
    assert client.challenged(values(challenger), []) is Outcome.RETRY
    for number in (1, 2, 3):
        rows = client.rows("REGISTER", URI, f"c{number}")
        [value] = credentials_in(rows)
        assert Credentials.parse(value).count == number
        assert challenger.verify([value], "REGISTER", URI, USERS, NOW).accepted


@pytest.mark.parametrize("algorithm", ["MD5-sess", "SHA-256-sess"])
def test_a_session_algorithm_keeps_its_first_cnonce(algorithm: str) -> None:
    client = Client(alice)
    client.challenged([f'Digest realm="{REALM}", nonce="n", algorithm={algorithm}, qop="auth"'], [])
    sent = [credentials_in(client.rows("INVITE", URI, f"c{n}"))[0] for n in (1, 2)]
    assert [Credentials.parse(value).cnonce for value in sent] == ["c1", "c1"]


def test_a_stale_nonce_is_replaced_a_wrong_password_is_not_tried_twice() -> None:
    challenger, client = Challenger(SETTINGS), Client(alice)
    client.challenged(values(challenger), [])
    client.rows("REGISTER", URI, "c")
    assert client.challenged(values(challenger, now=NOW + 1, stale=True), []) is Outcome.RETRY
    client.rows("REGISTER", URI, "c")
    assert client.challenged(values(challenger, now=NOW + 2), []) is Outcome.REJECTED
    # A later request of the user's begins anew.
    assert client.rows("REGISTER", URI, "c") == []
    assert client.challenged(values(challenger, now=NOW + 3), []) is Outcome.RETRY


def test_a_session_that_worked_may_be_challenged_anew() -> None:
    challenger, client = Challenger(SETTINGS), Client(alice)
    client.challenged(values(challenger), [])
    client.rows("REGISTER", URI, "c")
    client.rows("REGISTER", URI, "c")
    assert client.challenged(values(challenger, now=NOW + 9), []) is Outcome.RETRY


def test_the_counts_of_a_nonce_only_rise() -> None:
    challenger, client = Challenger(SETTINGS), Client(alice)
    client.challenged(values(challenger), [])
    client.rows("REGISTER", URI, "c")
    client.challenged(values(challenger, stale=True), [])
    [value] = credentials_in(client.rows("REGISTER", URI, "c"))
    assert Credentials.parse(value).count == 2


def test_the_topmost_challenge_that_is_understood_is_taken() -> None:
    texts = [
        f'Digest realm="{REALM}", nonce="1", algorithm=SHA-3, qop="auth"',
        f'Digest realm="{REALM}", nonce="2", algorithm=SHA-256, qop="gold"',
        'Digest realm="elsewhere", nonce="3", algorithm=MD5, qop="auth"',
        f'Digest realm="{REALM}", nonce="4", algorithm=SHA-512-256, qop="gold,auth"',
        f'Digest realm="{REALM}", nonce="5", algorithm=MD5, qop="auth"',
    ]
    chosen = choose([Challenge.parse(text) for text in texts], alice)
    assert [(challenge.nonce, login.username) for challenge, login in chosen] == [("4", "alice")]


def test_nothing_to_answer() -> None:
    client = Client(alice)
    others = ['Digest realm="elsewhere", nonce="n"', 'Basic realm="atlanta.example"', "Digest"]
    assert client.challenged(others, others) is Outcome.NO_LOGIN
    assert client.rows("INVITE", URI, "c") == []


def test_proxies_and_servers_are_answered_together() -> None:
    """RFC 8760 section 2.5: a fork may come back with challenges of both kinds and many realms."""
    realms = {"a.example": "pa", "b.example": "pb", REALM: "wonderland"}
    client = Client(lambda challenge: Login("alice", realms[challenge.realm]))
    server = Challenger(SETTINGS)
    proxies = [
        Challenger(Settings(realm, b"sixteen octets !", proxy=True))
        for realm in ("a.example", "b.example")
    ]
    asked = [value for proxy in proxies for value in values(proxy)]
    assert client.challenged(values(server), asked) is Outcome.RETRY
    rows = client.rows("INVITE", URI, "c")
    assert [name for name, _ in rows] == ["Authorization"] + ["Proxy-Authorization"] * 2
    assert server.verify(credentials_in(rows), "INVITE", URI, USERS, NOW).accepted
    for proxy in proxies:
        realm = proxy.settings.realm
        users = KnownUsers({("alice", realm): Secret(realms[realm])})
        found = credentials_in(rows, "Proxy-Authorization")
        assert proxy.verify(found, "INVITE", URI, users, NOW).accepted


@pytest.mark.parametrize("integrity", [False, True])
def test_the_server_proves_itself_and_gives_the_next_nonce(integrity: bool) -> None:
    challenger = Challenger(replace(SETTINGS, qop=("auth", "auth-int")))
    client = Client(alice, integrity=integrity)
    client.challenged(values(challenger), [])
    [value] = credentials_in(client.rows("INVITE", URI, "c", b"offer"))
    result = challenger.verify([value], "INVITE", URI, USERS, NOW, b"offer")
    assert result.accepted
    following = challenger.challenges(NOW + 1, b"other octets")[0].nonce
    info = challenger.info(result, b"answer", following)
    assert info.qop == ("auth-int" if integrity else "auth")
    assert not client.confirmed([str(info)], b"answer", proxy=True)
    assert not client.confirmed([str(replace(info, rspauth="0" * 64))], b"answer")
    assert not client.confirmed([str(replace(info, nc="00000002"))], b"answer")
    assert not client.confirmed(["qop=", ""], b"answer")
    assert not (integrity and client.confirmed([str(info)], b"changed"))
    assert client.confirmed([str(info)], b"answer")
    [value] = credentials_in(client.rows("INVITE", URI, "c", b"offer"))
    sent = Credentials.parse(value)
    assert (sent.nonce, sent.count) == (following, 1)
    assert challenger.verify([value], "INVITE", URI, USERS, NOW + 1, b"offer").accepted


def test_aka_makes_the_login_out_of_the_nonce() -> None:
    def sim(challenge: Challenge) -> Login | None:
        return Login("alice", challenge.nonce.encode()[::-1])

    client = Client(sim)
    challenge = f'Digest realm="{REALM}", nonce="randautn", algorithm=AKAv1-MD5, qop="auth"'
    assert client.challenged([challenge], []) is Outcome.RETRY
    [value] = credentials_in(client.rows("REGISTER", URI, "c"))
    expected = answer(
        Challenge.parse(challenge), Login("alice", b"ntuadnar"), "REGISTER", URI, cnonce="c"
    )
    assert Credentials.parse(value) == expected
    # A new RES is a new login: the old one's refusal does not hold against it.
    assert client.challenged([challenge.replace("rand", "next")], []) is Outcome.RETRY


def test_aka_asks_to_synchronize() -> None:
    challenge = Challenge.parse(f'Digest realm="{REALM}", nonce="n", algorithm=AKAv1-MD5')
    credentials = answer(challenge, Login("alice", b"", "QVVUUw=="), "REGISTER", URI, cnonce="c")
    assert credentials.auts == "QVVUUw=="
    assert credentials.response == answer(
        challenge, Login("alice", ""), "REGISTER", URI, cnonce="c"
    ).response  # fmt: skip


def test_an_unknown_algorithm_cannot_be_answered() -> None:
    challenge = Challenge(REALM, "n", "SHA-3")
    with pytest.raises(ValueError, match="SHA-3"):
        answer(challenge, Login("alice", "w"), "REGISTER", URI, cnonce="c")


def test_sessions_are_bounded() -> None:
    client = Client(lambda challenge: Login("alice", "w"))
    for number in range(MAX_REALMS + 5):
        client.challenged([f'Digest realm="r{number}", nonce="n", qop="auth"'], [])
    rows = client.rows("INVITE", URI, "c")
    assert len(rows) == MAX_REALMS
    assert 'realm="r5"' in rows[0][1]


def test_every_reason_that_is_stale_is_worth_a_retry() -> None:
    """A replay is answered as stale, so a client that lost count finds its way back."""
    challenger, client = Challenger(SETTINGS), Client(alice)
    client.challenged(values(challenger), [])
    [value] = credentials_in(client.rows("REGISTER", URI, "c"))
    challenger.verify([value], "REGISTER", URI, USERS, NOW)
    result = challenger.verify([value], "REGISTER", URI, USERS, NOW)
    assert result.reason is Reason.REPLAY
    again = values(challenger, now=NOW + 1, stale=result.stale)
    assert client.challenged(again, []) is Outcome.RETRY
    [value] = credentials_in(client.rows("REGISTER", URI, "c"))
    assert challenger.verify([value], "REGISTER", URI, USERS, NOW + 1).accepted
