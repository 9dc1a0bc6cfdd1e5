"""The server's judgement, with our client at the other end."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.request import AbstractDigestAuthHandler, HTTPPasswordMgrWithDefaultRealm
from urllib.request import Request as UrlRequest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import TrunklineError
from trunkline.sip.digest import (
    REASONS,
    Algorithm,
    Attempt,
    Challenge,
    Challenger,
    Credentials,
    Hash,
    KnownUsers,
    Login,
    Reason,
    Result,
    Secret,
    Settings,
    UriMatch,
    answer,
    hashed_password,
)
from trunkline.sip.digest.algorithm import DEFAULT_ALGORITHMS, MD5, SHA_256

NOW = 1_700_000_000.0
REALM = "atlanta.example"
SECRET = b"sixteen octets !"
URI = "sip:atlanta.example"
USERS = KnownUsers({("alice", REALM): Secret("wonderland")})
ALICE = Login("alice", "wonderland")
ALL = tuple(Algorithm(hash_, session) for hash_ in Hash for session in (False, True))
EVERY = Challenger(Settings(REALM, SECRET, algorithms=ALL, qop=("auth", "auth-int")))


def guard(**changes: object) -> Challenger:
    return Challenger(replace(Settings(REALM, SECRET), **changes))  # type: ignore[arg-type]


def challenge_of(challenger: Challenger, algorithm: Algorithm = SHA_256) -> Challenge:
    [found] = [
        challenge
        for challenge in challenger.challenges(NOW, b"random octets")
        if challenge.algorithm == algorithm.token
    ]
    return found


def credentials_for(
    challenger: Challenger, login: Login = ALICE, count: int = 1, algorithm: Algorithm = SHA_256
) -> Credentials:
    challenge = challenge_of(challenger, algorithm)
    return answer(challenge, login, "REGISTER", URI, cnonce="c0ffee", count=count)


def verify(
    challenger: Challenger, credentials: Credentials, *, now: float = NOW, uri: str = URI
) -> Result:
    return challenger.verify([str(credentials)], "REGISTER", uri, USERS, now)


def test_challenges_stand_best_first_with_qop_and_one_nonce() -> None:
    rows = guard().rows(NOW, b"random octets")
    assert [name for name, _ in rows] == ["WWW-Authenticate"] * 3
    challenges = [Challenge.parse(value) for _, value in rows]
    assert [challenge.algorithm for challenge in challenges] == ["SHA-256", "SHA-512-256", "MD5"]
    assert {challenge.qop for challenge in challenges} == {("auth",)}
    assert len({(challenge.nonce, challenge.opaque) for challenge in challenges}) == 1
    assert not any("stale" in value for _, value in rows)
    # RFC 7616 section 3.3: which values have quotation marks, and which must not.
    assert re.fullmatch(
        r'Digest realm="[^"]+", nonce="[^"]+", opaque="[^"]+", algorithm=SHA-256, qop="auth", '
        r"stale=true",
        guard().rows(NOW, b"random octets", stale=True)[0][1],
    )


def test_a_proxy_has_headers_of_its_own() -> None:
    proxy = guard(proxy=True)
    assert proxy.status == 407
    assert proxy.rows(NOW, b"random octets")[0][0] == "Proxy-Authenticate"
    assert proxy.credentials_header == "Proxy-Authorization"
    assert proxy.info_header == "Proxy-Authentication-Info"


@given(
    algorithm=st.sampled_from(ALL),
    integrity=st.booleans(),
    body=st.binary(max_size=30),
    method=st.sampled_from(["REGISTER", "INVITE", "MESSAGE"]),
    number=st.integers(1, 0xFFFFFFFF),
    qualified=st.booleans(),
    random=st.binary(min_size=7, max_size=7),
)
def test_client_and_server_agree(
    algorithm: Algorithm,
    integrity: bool,
    body: bytes,
    method: str,
    number: int,
    qualified: bool,
    random: bytes,
) -> None:
    [challenge] = [c for c in EVERY.challenges(NOW, random) if c.algorithm == algorithm.token]
    EVERY.replays = Challenger(EVERY.settings).replays  # the same nonce may have come before
    login = Login(f"alice@{REALM}" if qualified else "alice", "wonderland")
    credentials = answer(
        challenge, login, method, URI, cnonce="x", count=number, body=body, integrity=integrity
    )
    result = EVERY.verify([str(credentials)], method, URI, USERS, NOW + 1, body)
    assert (result.reason, result.user) == (Reason.ACCEPTED, "alice")
    assert result.uri_match is UriMatch.IDENTICAL
    assert not result.stale


TAMPERED = st.sampled_from(
    [
        "username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop",
        "nc",
    ]
)  # fmt: skip


@given(
    field=TAMPERED,
    algorithm=st.sampled_from(ALL),
    integrity=st.booleans(),
    value=st.sampled_from(["", "0", "auth", "auth-int", "MD5", "SHA-256-sess", "00000002", "alicf"])
    | st.text("abcdef0123456789", max_size=64),
)
def test_what_is_changed_on_the_way_is_refused(
    field: str, algorithm: Algorithm, integrity: bool, value: str
) -> None:
    challenge = challenge_of(EVERY, algorithm)
    EVERY.replays = Challenger(EVERY.settings).replays
    body = b"v=0\r\n"
    sent = answer(challenge, ALICE, "INVITE", URI, cnonce="c0ffee", body=body, integrity=integrity)
    changed = replace(sent, **{field: value})  # type: ignore[arg-type]
    if changed == sent or (field == "algorithm" and Algorithm.named(value) == algorithm):
        return
    result = EVERY.verify([str(changed)], "INVITE", URI, USERS, NOW, body)
    assert not result.accepted
    assert not result.stale or field == "nonce"


def test_method_uri_and_body_are_part_of_the_digest() -> None:
    challenger = guard(qop=("auth-int",))
    credentials = answer(
        challenge_of(challenger), ALICE, "INVITE", URI, cnonce="c", body=b"v=0\r\n"
    )
    for method, body in (("BYE", b"v=0\r\n"), ("INVITE", b"v=1\r\n"), ("INVITE", b"")):
        result = challenger.verify([str(credentials)], method, URI, USERS, NOW, body)
        assert result.reason is Reason.WRONG_RESPONSE
    assert challenger.verify([str(credentials)], "INVITE", URI, USERS, NOW, b"v=0\r\n").accepted


def test_a_replayed_request_gets_a_new_nonce_not_the_service() -> None:
    challenger = guard()
    credentials = credentials_for(challenger)
    assert verify(challenger, credentials).accepted
    again = verify(challenger, credentials)
    assert again.reason is Reason.REPLAY
    assert again.stale
    assert challenger.counters[Reason.REPLAY] == 1
    assert verify(challenger, credentials_for(challenger, count=2)).accepted


def test_a_wrong_password_does_not_spend_the_count() -> None:
    challenger = guard()
    wrong = credentials_for(challenger, Login("alice", "wanderland"))
    assert verify(challenger, wrong).reason is Reason.WRONG_RESPONSE
    assert len(challenger.replays) == 0
    assert verify(challenger, credentials_for(challenger)).accepted


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (-5.1, Reason.STALE),
        (-4.9, Reason.ACCEPTED),
        (300.0, Reason.ACCEPTED),
        (300.1, Reason.STALE),
    ],
)
def test_a_nonce_lives_its_lifetime(after: float, reason: Reason) -> None:
    challenger = guard()
    result = verify(challenger, credentials_for(challenger), now=NOW + after)
    assert result.reason is reason
    assert result.stale == (reason is Reason.STALE)


def test_an_old_nonce_with_a_wrong_digest_is_not_stale() -> None:
    challenger = guard()
    wrong = credentials_for(challenger, Login("alice", "x"))
    result = verify(challenger, wrong, now=NOW + 1000)
    assert (result.reason, result.stale) == (Reason.WRONG_RESPONSE, False)


def test_after_a_change_of_secret_clients_are_told_stale() -> None:
    credentials = replace(credentials_for(Challenger(Settings(REALM, SECRET[::-1]))), opaque=None)
    result = verify(guard(), credentials)
    assert result.reason is Reason.UNKNOWN_NONCE
    assert result.stale


def test_processes_share_nonces_unless_told_not_to() -> None:
    made_by_one = credentials_for(guard(maker=1))
    assert verify(guard(maker=2), made_by_one).accepted
    strict = guard(maker=2, share_nonces=False)
    assert verify(strict, made_by_one).reason is Reason.STALE
    assert verify(strict, credentials_for(strict)).accepted


def test_a_full_table_asks_for_a_new_nonce() -> None:
    challenger = guard(replay_limit=1)
    first = credentials_for(challenger)
    assert verify(challenger, first).accepted
    later = challenger.challenges(NOW + 1, b"other octets")[0]
    assert verify(challenger, answer(later, ALICE, "REGISTER", URI, cnonce="c")).accepted
    assert challenger.replays.evicted == 1
    assert verify(challenger, credentials_for(challenger, count=2)).reason is Reason.STALE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"username": "mallory"}, Reason.UNKNOWN_USER),
        ({"response": "0" * 64}, Reason.WRONG_RESPONSE),
        ({"response": ""}, Reason.EMPTY),
        ({"nonce": "", "response": ""}, Reason.EMPTY),
        ({"realm": "biloxi.example"}, Reason.OTHER_REALM),
        ({"algorithm": "SHA-256-sess"}, Reason.ALGORITHM),
        ({"algorithm": "ROT13"}, Reason.ALGORITHM),
        ({"qop": "auth-int"}, Reason.QOP),
        ({"qop": "gold"}, Reason.QOP),
        ({"opaque": "another"}, Reason.OPAQUE),
        ({"nc": "1"}, Reason.MALFORMED),
        ({"cnonce": ""}, Reason.MALFORMED),
    ],
)
def test_each_fault_has_its_reason(changes: dict[str, str], reason: Reason) -> None:
    challenger = guard()
    credentials = replace(credentials_for(challenger), **changes)  # type: ignore[arg-type]
    result = verify(challenger, credentials)
    assert result.reason is reason
    assert challenger.counters[reason] == 1
    assert sum(challenger.counters.values()) == 1
    assert result.bad_request == (reason is Reason.MALFORMED)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], Reason.NO_CREDENTIALS),
        (["Basic YWxpY2U6d29uZGVybGFuZA=="], Reason.NO_CREDENTIALS),
        (["Digest nonsense"], Reason.MALFORMED),
    ],
)
def test_values_without_credentials(values: list[str], reason: Reason) -> None:
    assert guard().verify(values, "REGISTER", URI, USERS, NOW).reason is reason


def test_our_realm_is_found_among_others_and_broken_ones() -> None:
    challenger = guard()
    ours = credentials_for(challenger)
    others = [str(replace(ours, realm="biloxi.example")), "Digest ,", "NTLM x"]
    result = challenger.verify([*others, str(ours)], "REGISTER", URI, USERS, NOW)
    assert result.accepted


def test_of_several_answers_the_best_algorithm_counts() -> None:
    challenger = guard()
    both = [str(credentials_for(challenger, algorithm=a)) for a in (MD5, SHA_256)]
    unknown = str(replace(credentials_for(challenger), algorithm="ROT13"))
    result = challenger.verify([unknown, *both], "REGISTER", URI, USERS, NOW)
    assert result.algorithm == SHA_256


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        (URI, UriMatch.IDENTICAL),
        ("SIP:Atlanta.EXAMPLE", UriMatch.EQUIVALENT),
        ("sips:atlanta.example", UriMatch.DIFFERENT),
        ("sip:[", UriMatch.DIFFERENT),
        ("tel:+1", UriMatch.DIFFERENT),
    ],
)
def test_the_two_uris_are_compared_as_uris(uri: str, match: UriMatch) -> None:
    challenger = guard(hosts=frozenset())
    result = verify(challenger, credentials_for(challenger), uri=uri)
    assert result.uri_match is match
    assert result.accepted == (match is not UriMatch.DIFFERENT)


def test_a_changed_request_uri_is_told_or_refused() -> None:
    credentials = credentials_for(guard())
    elsewhere = "sip:alice@gateway.example"
    told = verify(guard(), credentials, uri=elsewhere)
    assert (told.accepted, told.uri_match) == (True, UriMatch.DIFFERENT)
    refused = verify(guard(hosts=frozenset({"other.example"})), credentials, uri=elsewhere)
    assert refused.reason is Reason.URI_MISMATCH
    assert refused.bad_request
    ours = verify(guard(hosts=frozenset({"atlanta.example"})), credentials, uri=elsewhere)
    assert (ours.accepted, ours.uri_match) == (True, UriMatch.DIFFERENT)


@pytest.mark.parametrize("uri", ["sip:[", "tel:+1", "sip:a@atlanta.example.net", "x:y"])
def test_a_digest_for_what_is_nobodys_here_is_refused(uri: str) -> None:
    challenger = guard(hosts=frozenset({"atlanta.example"}))
    credentials = replace(credentials_for(challenger), uri=uri)
    assert verify(challenger, credentials).reason is Reason.URI_MISMATCH


@pytest.mark.parametrize(
    ("hashes", "algorithm", "reason"),
    [
        ((Hash.MD5,), MD5, Reason.ACCEPTED),
        ((Hash.MD5,), SHA_256, Reason.NO_SECRET),
        ((Hash.SHA_256,), SHA_256, Reason.ACCEPTED),
    ],
)
@pytest.mark.parametrize("qualified", [False, True])
def test_users_known_by_hashes_only(
    hashes: tuple[Hash, ...], algorithm: Algorithm, reason: Reason, qualified: bool
) -> None:
    def ha1(username: str) -> dict[Hash, str]:
        return {hash_: hashed_password(hash_, username, REALM, "wonderland") for hash_ in hashes}

    secret = Secret(None, ha1("alice"), ha1(f"alice@{REALM}"))
    users = KnownUsers({("alice", REALM): secret})
    challenger = guard()
    login = Login(f"alice@{REALM}" if qualified else "alice", "wonderland")
    credentials = credentials_for(challenger, login, algorithm=algorithm)
    result = challenger.verify([str(credentials)], "REGISTER", URI, users, NOW)
    assert result.reason is reason


def test_the_digest_of_rfc_2069_spends_its_nonce() -> None:
    challenge = replace(challenge_of(guard(), MD5), qop=())
    credentials = answer(challenge, ALICE, "REGISTER", URI, cnonce="unused")
    assert (credentials.qop, credentials.cnonce, credentials.nc) == ("", "", "")
    challenger = guard()
    assert verify(challenger, credentials).accepted
    assert verify(challenger, credentials).reason is Reason.REPLAY
    assert verify(guard(require_qop=True), credentials).reason is Reason.QOP


def test_examine_leaves_the_looking_up_to_the_caller() -> None:
    challenger = guard()
    attempt = challenger.examine([str(credentials_for(challenger))], "REGISTER", URI)
    assert isinstance(attempt, Attempt)
    assert attempt.user == "alice"
    assert challenger.judge(attempt, None, NOW).reason is Reason.UNKNOWN_USER
    assert challenger.judge(attempt, Secret("wonderland"), NOW).accepted


def test_aka_gives_octets_for_a_password() -> None:
    """RFC 3310: the nonce is RAND and AUTN, which is not ours; the digest is judged."""
    aka = Algorithm(Hash.MD5, aka=1)
    challenger = guard(algorithms=(aka,))
    res = bytes.fromhex("a54211d5e3ba50bf")
    challenge = replace(challenge_of(challenger, aka), nonce="MzQ0a2xrbGtmbGtsZm9wb2tsc2tqaHJzZXNy")
    credentials = answer(challenge, Login("alice", res), "REGISTER", URI, cnonce="c")
    attempt = challenger.examine([str(credentials)], "REGISTER", URI)
    assert isinstance(attempt, Attempt)
    result = challenger.judge(attempt, Secret(res), NOW)
    assert result.reason is Reason.UNKNOWN_NONCE  # the digest was right


def test_nothing_secret_is_shown() -> None:
    challenger = guard()
    result = verify(challenger, credentials_for(challenger))
    assert result.key
    shown = f"{result!r} {ALICE!r} {Secret('wonderland', {Hash.MD5: 'ha1'})!r} {guard().settings!r}"
    for secret in (result.key, "wonderland", "ha1'", "sixteen"):
        assert secret not in shown


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithms": ()},
        {"algorithms": (MD5, MD5)},
        {"qop": ()},
        {"qop": ("gold",)},
        {"nonce_lifetime": 0.0},
        {"replay_limit": 0},
        {"clock_skew": -1.0},
        {"secret": b"short"},
    ],
)
def test_settings_that_cannot_work(changes: dict[str, object]) -> None:
    with pytest.raises(TrunklineError) as caught:
        guard(**changes)
    assert caught.value.code == "sip.digest-settings"


def test_every_reason_is_documented_in_its_own_words() -> None:
    page = Path(__file__).parents[3] / "docs" / "conformance" / "rfc7616-8760.md"
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", page.read_text("utf-8"), re.MULTILINE))
    assert rows == {reason.value: words for reason, words in REASONS.items()}
    assert set(REASONS) == set(Reason)
    assert DEFAULT_ALGORITHMS[0] == SHA_256


@pytest.mark.parametrize("qop", [True, False])
def test_the_standard_librarys_client_is_accepted(qop: bool) -> None:
    """A client that is not ours; it knows MD5 alone, and quotes what it should not."""
    challenger = guard(algorithms=(MD5,))
    challenge = challenger.challenges(NOW, b"random octets")[0]
    passwords = HTTPPasswordMgrWithDefaultRealm()
    request = UrlRequest("http://atlanta.example/alice", method="MESSAGE")
    passwords.add_password(REALM, "http://atlanta.example/", "alice", "wonderland")
    foreign = AbstractDigestAuthHandler(passwords)
    told = {"realm": REALM, "nonce": challenge.nonce, "opaque": challenge.opaque or ""}
    if qop:
        told["qop"] = "auth"
    written = f"Digest {foreign.get_authorization(request, told)}"
    result = challenger.verify([written], "MESSAGE", "/alice", USERS, NOW)
    assert result.accepted
