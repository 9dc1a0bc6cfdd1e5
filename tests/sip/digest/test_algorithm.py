"""The arithmetic of a digest, against the examples of the RFCs."""

from __future__ import annotations

import hashlib

import pytest

from trunkline.sip.digest import Algorithm, Hash, digest_response, hashed_password, session_key
from trunkline.sip.digest.algorithm import MD5, SHA_256, SHA_512_256


def test_rfc_2617_section_3_5() -> None:
    key = hashed_password(Hash.MD5, "Mufasa", "testrealm@host.com", "Circle Of Life")
    assert key == "939e7578ed9e3c518a452acee763bce9"  # section 5 of RFC 2617 prints it
    response = digest_response(
        MD5,
        key,
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        method="GET",
        uri="/dir/index.html",
        qop="auth",
        nc="00000001",
        cnonce="0a4f113b",
    )
    assert response == "6629fae49393a05397450978507c4ef1"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_section_3_9_1(algorithm: Algorithm, expected: str) -> None:
    key = hashed_password(algorithm.hash, "Mufasa", "http-auth@example.org", "Circle of Life")
    response = digest_response(
        algorithm,
        key,
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        method="GET",
        uri="/dir/index.html",
        qop="auth",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert response == expected


def test_rfc_7616_section_3_9_2_printed_a_truncated_sha_512() -> None:
    """The RFC's figures are those of SHA-512 cut to half; ours are not."""
    user, realm, password = "J\u00e4s\u00f8n Doe", "api@example.org", "Secret, or not?"

    def calculated(digest: bytes | None = None) -> str:
        def hex_of(data: bytes) -> str:
            return (
                Hash.SHA_512_256.hex(data)
                if digest is None
                else hashlib.sha512(data).hexdigest()[:64]
            )

        key = hex_of(f"{user}:{realm}:{password}".encode())
        a2 = hex_of(b"GET:/doe.json")
        nonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK"
        cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
        return hex_of(f"{key}:{nonce}:00000001:{cnonce}:auth:{a2}".encode())

    printed = "ae66e67d6b427bd3f120414a82e4acff38e8ecd9101d6c861229025f607a79dd"
    assert calculated(b"truncated") == printed
    ours = digest_response(
        SHA_512_256,
        hashed_password(Hash.SHA_512_256, user, realm, password),
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        method="GET",
        uri="/doe.json",
        qop="auth",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert ours == calculated()
    assert ours == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


def test_sha_512_256_of_fips_180_4() -> None:
    assert (
        Hash.SHA_512_256.hex(b"abc")
        == "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"
    )


@pytest.mark.parametrize(
    ("hash_", "expected"),
    [
        (Hash.MD5, "d41d8cd98f00b204e9800998ecf8427e"),  # RFC 3261 section 22.4, point 7
        (Hash.SHA_256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ],
)
def test_the_empty_body_of_rfc_8760_section_2_6(hash_: Hash, expected: str) -> None:
    assert hash_.hex(b"") == expected


def test_auth_int_takes_the_body_in() -> None:
    def response(body: bytes) -> str:
        return digest_response(
            MD5, "k", nonce="n", method="INVITE", uri="sip:a", qop="auth-int", nc="1", cnonce="c",
            body=body,
        )  # fmt: skip

    assert response(b"v=0") != response(b"v=1")
    a2 = Hash.MD5.hex(f"INVITE:sip:a:{Hash.MD5.hex(b'v=0')}".encode())
    assert response(b"v=0") == Hash.MD5.hex(f"k:n:1:c:auth-int:{a2}".encode())


def test_a_session_key_takes_nonce_and_cnonce_in() -> None:
    assert session_key(SHA_256, "ha1", "n", "c") == "ha1"
    session = Algorithm(Hash.SHA_256, session=True)
    assert session_key(session, "ha1", "n", "c") == Hash.SHA_256.hex(b"ha1:n:c")


def test_a_password_may_be_octets() -> None:
    res = bytes(range(0x80, 0x90))
    assert hashed_password(Hash.MD5, "u", "r", res) == Hash.MD5.hex(b"u:r:" + res)


@pytest.mark.parametrize(
    ("token", "algorithm"),
    [
        ("", MD5),
        ("md5", MD5),
        ("MD5-sess", Algorithm(Hash.MD5, session=True)),
        ("SHA-256", SHA_256),
        ("sha-512-256", SHA_512_256),
        ("SHA-512-256-sess", Algorithm(Hash.SHA_512_256, session=True)),
        ("AKAv1-MD5", Algorithm(Hash.MD5, aka=1)),
        ("akav2-sha-256", Algorithm(Hash.SHA_256, aka=2)),
        ("SHA-1", None),
        ("AKAv3-MD5", None),
    ],
)
def test_names(token: str, algorithm: Algorithm | None) -> None:
    assert Algorithm.named(token) == algorithm
    if algorithm is not None:
        assert Algorithm.named(algorithm.token) == algorithm
