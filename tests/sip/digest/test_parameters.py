"""Header values of the scheme Digest: read, written, refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.sip.digest import AuthenticationInfo, Challenge, Credentials
from trunkline.sip.digest.parameters import scheme_of

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._", min_size=1, max_size=12)
NAMES = TOKEN.filter(
    lambda name: name
    not in ("realm", "nonce", "algorithm", "qop", "opaque", "stale", "username", "uri", "response",
            "cnonce", "nc", "auts")
)  # fmt: skip
OTHERS = st.dictionaries(NAMES, TEXT, max_size=3)


def test_rfc_3261_section_22_2() -> None:
    challenge = Challenge.parse(
        'Digest  realm="biloxi.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert challenge.realm == "biloxi.com"
    assert challenge.qop == ("auth", "auth-int")
    assert challenge.algorithm == ""
    credentials = Credentials.parse(
        'Digest username="bob", realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'uri="sip:bob@biloxi.com", qop=auth, nc=00000001, cnonce="0a4f113b", '
        'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert credentials.count == 1
    assert credentials.answers(challenge)


def test_what_clients_write_without_or_with_too_many_quotation_marks() -> None:
    read = Credentials.parse(
        'DIGEST username=bob,realm="r"  ,nonce=n,uri=sip:b@h;transport=tcp, response="ab" ,'
        'qop="auth",nc="0000000A",cnonce=c,algorithm="MD5",'
    )
    assert (read.username, read.uri, read.qop, read.count) == (
        "bob",
        "sip:b@h;transport=tcp",
        "auth",
        10,
    )
    assert read.algorithm == "MD5"


@given(
    st.builds(
        Challenge,
        realm=TEXT,
        nonce=TEXT,
        algorithm=st.just("") | TOKEN,
        qop=st.lists(TOKEN, max_size=3).map(tuple),
        opaque=st.none() | TEXT,
        stale=st.booleans(),
        others=OTHERS,
    )
)
def test_challenges_go_round(challenge: Challenge) -> None:
    assert Challenge.parse(str(challenge)) == challenge


@given(
    st.builds(
        Credentials,
        username=TEXT,
        realm=TEXT,
        nonce=TEXT,
        uri=TEXT,
        response=TEXT,
        algorithm=st.just("") | TOKEN,
        cnonce=TEXT,
        opaque=st.none() | TEXT,
        qop=st.just("") | TOKEN,
        nc=st.just("") | TOKEN,
        auts=st.none() | TEXT,
        others=OTHERS,
    )
)
def test_credentials_go_round(credentials: Credentials) -> None:
    assert Credentials.parse(str(credentials)) == credentials


@given(
    st.builds(
        AuthenticationInfo,
        nextnonce=TEXT,
        qop=st.just("") | TOKEN,
        rspauth=TEXT,
        cnonce=TEXT,
        nc=st.just("") | TOKEN,
    )
)
def test_information_goes_round(info: AuthenticationInfo) -> None:
    assert AuthenticationInfo.parse(str(info)) == info


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Digest",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        'Digest realm="r"',
        'Digest realm="r", nonce="n", realm="r"',
        'Digest realm="r, nonce="n"',
        'Digest realm="r" nonce="n"',
        'Digest realm="r", nonce=n n',
        'Digest realm="r", nonce="n", =x',
        'Digest realm="r", nonce="n", algorithm="two words"',
    ],
)
def test_refusals(value: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Challenge.parse(value)
    assert caught.value.code == "sip.digest-syntax"


@given(st.text(max_size=60).map("Digest ".__add__) | st.text(max_size=60))
def test_any_text_is_read_or_refused(value: str) -> None:
    scheme_of(value)
    for kind in (Challenge, Credentials, AuthenticationInfo):
        try:
            read = kind.parse(value)
        except DecodeError as problem:
            assert problem.code == "sip.digest-syntax"  # noqa: PT017 - any text may be either
        else:
            assert kind.parse(str(read)) == read


@pytest.mark.parametrize("nc", ["", "0", "1", "000000001", "0000000g", "00000000", "+0000001"])
def test_what_is_no_count(nc: str) -> None:
    assert Credentials("u", "r", "n", "uri", "x", nc=nc).count is None
