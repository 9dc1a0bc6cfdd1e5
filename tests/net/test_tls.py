"""SIP over TLS: whose certificate it is, who may come, and what is said when it fails."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.net.streams import Recorder, World, client_of, message, to

from trunkline.errors import TrunklineError
from trunkline.net.loop import new_event_loop
from trunkline.net.stream import StreamTransport
from trunkline.net.tls import Certificate, TlsSettings, identities, server_context
from trunkline.sip.transport import Flow, Transport

PATTERN = b"".join(number.to_bytes(4, "big") for number in range(50_000))


class Authority:
    """A certificate authority and a folder for what it issues."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def settings(self, *names: str, trusts: Authority | None = None, **more: object) -> TlsSettings:
        file = self.folder / f"{names[0]}.pem"
        self.ca.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(file)
        authorities = (trusts or self).file
        return TlsSettings(file, authorities=authorities, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "theirs")


@pytest.fixture(params=[asyncio.new_event_loop, new_event_loop], ids=["asyncio", "installed"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    loop: asyncio.AbstractEventLoop = request.param()
    made = World(loop)
    yield made
    made.close()
    loop.close()


def pair(
    world: World, server: TlsSettings, client: TlsSettings
) -> tuple[StreamTransport, Recorder, StreamTransport, Recorder]:
    sip, user = world.open(Transport.TLS, tls=server)
    user.answer = lambda request: message(2)
    other, other_user = world.open(Transport.TLS, tls=client)
    return sip, user, other, other_user


def test_a_request_and_its_answer(world: World, authority: Authority) -> None:
    sip, user, other, other_user = pair(
        world, authority.settings("example.org"), authority.settings("client.example")
    )
    other.send(to(sip, other, domain="Example.ORG"), message(1, PATTERN))
    world.until(lambda: other_user.messages)
    assert user.messages == [message(1, PATTERN)]
    assert user.flows[0].transport is Transport.TLS
    other.send(to(sip, other, domain="example.org"), message(3))
    world.until(lambda: len(other_user.messages) == 2)
    assert sip.stats.accepted == 1


def test_many_large_messages_arrive_as_they_were(world: World, authority: Authority) -> None:
    # Records of TLS and the reads of the loop end at different places.
    sip, user = world.open(Transport.TLS, tls=authority.settings("example.org"))
    other, other_user = world.open(
        Transport.TLS, tls=authority.settings("client.example"), write_buffer=1 << 22
    )
    sent = [message(number, PATTERN[number : number + 9973]) for number in range(200)]
    for one in sent:
        other.send(to(sip, other, domain="example.org"), one)
        world.turns(0)
    world.until(lambda: len(user.messages) == len(sent))
    assert user.messages == sent
    assert not other_user.failures


def test_an_address_may_be_what_the_certificate_is_for(world: World, authority: Authority) -> None:
    sip, _, other, other_user = pair(
        world, authority.settings("127.0.0.1"), authority.settings("client.example")
    )
    other.send(to(sip, other), message(1))
    world.until(lambda: other_user.messages)


def test_another_name_is_refused_and_the_message_is_not_sent(
    world: World, authority: Authority
) -> None:
    sip, user, other, other_user = pair(
        world, authority.settings("example.org"), authority.settings("client.example")
    )
    other.send(to(sip, other, domain="example.com"), message(1))
    world.until(lambda: other_user.failures)
    [(_, error, unsent)] = other_user.failures
    assert (error.code, unsent) == ("stream.tls-name", [message(1)])
    assert "for example.org, not for example.com" in str(error)
    assert not user.messages
    world.until(lambda: other_user.served)
    assert other_user.served == [(to(sip, other, domain="example.com"),)]


def test_settings_of_tls_mean_nothing_to_tcp(world: World, authority: Authority) -> None:
    sip, user = world.open(Transport.TCP, tls=authority.settings("example.org"))
    other, _ = world.open(Transport.TCP, tls=authority.settings("client.example"))
    other.send(to(sip, other, domain="example.com"), message(1))
    world.until(lambda: user.messages)


def test_wildcards_mean_nothing(world: World, authority: Authority) -> None:
    sip, user, other, other_user = pair(
        world, authority.settings("*.example.org"), authority.settings("client.example")
    )
    other.send(to(sip, other, domain="sip.example.org"), message(1))
    world.until(lambda: other_user.failures)
    assert other_user.failure_codes == ["stream.tls-name"]
    assert not user.messages


def test_a_connection_is_shared_only_within_the_domain_it_was_checked_for(
    world: World, authority: Authority
) -> None:
    both = authority.settings("example.org", "example.com")
    sip, _, other, other_user = pair(world, both, authority.settings("client.example"))
    other.send(to(sip, other, domain="example.org"), message(1))
    other.send(to(sip, other, domain="example.com"), message(2))
    world.until(lambda: len(other_user.messages) == 2)
    assert sip.stats.accepted == 2


def test_a_certificate_of_a_stranger_is_refused(
    world: World, authority: Authority, stranger: Authority
) -> None:
    sip, user, other, other_user = pair(
        world, stranger.settings("example.org"), authority.settings("client.example")
    )
    other.send(to(sip, other, domain="example.org"), message(1))
    world.until(lambda: other_user.failures and user.ends)
    [(_, error, unsent)] = other_user.failures
    assert (error.code, unsent) == ("stream.tls", [message(1)])
    assert "certificate: self-signed certificate" in str(error)
    assert (user.end_codes, sip.stats.not_opened, other.stats.not_opened) == (["stream.tls"], 1, 1)


def test_a_lab_may_do_without_the_check(
    world: World, authority: Authority, stranger: Authority
) -> None:
    sip, _, other, other_user = pair(
        world,
        stranger.settings("example.org"),
        authority.settings("client.example", verify_server=False),
    )
    other.send(to(sip, other, domain="whatever.example"), message(1))
    world.until(lambda: other_user.messages)


@pytest.mark.parametrize("rule", ["required", "optional"])
def test_a_client_that_shows_a_bad_certificate_is_refused(
    world: World, authority: Authority, stranger: Authority, rule: str
) -> None:
    sip, user, other, other_user = pair(
        world,
        authority.settings("example.org", verify_client=rule),
        stranger.settings("client.example", trusts=authority),
    )
    other.send(to(sip, other, domain="example.org"), message(1))
    world.until(lambda: user.ends and other_user.ends)
    assert not user.messages
    assert user.end_codes == ["stream.tls"]


def test_a_client_without_a_certificate_comes_where_it_need_not_have_one(
    world: World, authority: Authority
) -> None:
    bare = TlsSettings(authorities=authority.file)
    for rule, comes in (("optional", True), ("required", False)):
        sip, user = world.open(
            Transport.TLS, tls=authority.settings("example.org", verify_client=rule)
        )
        context = ssl.create_default_context(cafile=str(bare.authorities))
        with client_of(sip) as raw:
            raw.setblocking(False)
            end = ssl.SSLContext.wrap_socket(
                context, raw, server_hostname="example.org", do_handshake_on_connect=False
            )
            with end:
                talk(world, end)
                world.until(lambda user=user: user.messages or user.ends)  # type: ignore[misc]
                assert bool(user.messages) is comes


def talk(world: World, end: ssl.SSLSocket) -> None:
    """Do the handshake and send a message, as far as the server lets it."""

    def shaken() -> bool:
        try:
            end.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    world.until(shaken)
    end.send(message(1))


def test_an_alias_holds_for_the_names_of_the_certificate_alone(
    world: World, authority: Authority
) -> None:
    server = authority.settings("example.org", verify_client="optional")
    sip, user, other, other_user = pair(world, server, authority.settings("client.example"))
    other.send(to(sip, other, domain="example.org"), message(1))
    world.until(lambda: other_user.messages)
    listens = ("127.0.0.1", 1)
    sip.alias(user.flows[0], listens)
    sip.send(Flow(Transport.TLS, listens, sip.local, domain="client.example"), message(3))
    world.until(lambda: len(other_user.messages) == 2)
    sip.send(Flow(Transport.TLS, listens, sip.local, domain="other.example"), message(4))
    world.until(lambda: user.failures)
    assert user.failure_codes == ["stream.refused"], "that went to the address itself"


def test_a_client_that_does_not_shake_hands_is_closed(world: World, authority: Authority) -> None:
    sip, user = world.open(Transport.TLS, tls=authority.settings("example.org"))
    with client_of(sip) as silent, client_of(sip) as plain:
        plain.sendall(message(1))
        world.until(lambda: len(user.ends) == 2)
        world.is_ended(plain)
        world.is_ended(silent)
    assert user.end_codes == ["stream.tls", "stream.tls"]
    assert (len(sip), sip.stats.not_opened) == (0, 2)
    assert not user.messages


def test_a_server_that_does_not_speak_tls_fails(world: World, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        other, user = world.open(Transport.TLS, tls=authority.settings("client.example"))
        other.send(Flow(Transport.TLS, silent.getsockname(), other.local), message(1))
        world.until(lambda: user.failures)
    assert user.failure_codes == ["stream.tls"]


def test_one_that_is_shaking_hands_makes_room(world: World, authority: Authority) -> None:
    sip, user = world.open(
        Transport.TLS, tls=authority.settings("example.org"), connections=1, handshake_timeout=9
    )
    with client_of(sip) as first:
        world.until(lambda: len(sip) == 1)
        with client_of(sip):
            world.until(lambda: user.ends)
            assert user.end_codes == ["stream.evicted"]
            world.is_ended(first)
            assert len(sip) == 1


def test_closing_does_not_wait_for_a_peer_that_is_stuck(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.net.connection._LINGER", 0.1)
    sip, user = world.open(Transport.TLS, tls=authority.settings("example.org"))
    context = ssl.create_default_context(cafile=str(authority.file))
    with client_of(sip) as raw:
        raw.setblocking(False)
        with context.wrap_socket(
            raw, server_hostname="example.org", do_handshake_on_connect=False
        ) as end:
            talk(world, end)
            world.until(lambda: user.messages)
            world.close(sip)  # the peer never answers its closing alert


# Files


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    good = authority.settings("example.org")
    assert good.certificate is not None
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("")
    for settings, named in (
        (TlsSettings(), "needs a certificate"),
        (TlsSettings(missing), "missing.pem .* No such file"),
        (TlsSettings(empty), "empty.pem"),
        (TlsSettings(good.certificate, authority.file), "with the key .*ca.pem"),
        (TlsSettings(good.certificate, authorities=missing), "missing.pem cannot be used"),
        (TlsSettings(good.certificate, authorities=empty), "empty.pem cannot be used"),
    ):
        with pytest.raises(TrunklineError, match=named) as refused:
            server_context(settings)
        assert refused.value.code == "stream.tls-settings"


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        ({"subjectAltName": (("URI", "sip:Example.org"), ("DNS", "host.example.org"))},
         {"example.org"}),
        ({"subjectAltName": (("URI", "sip:alice@example.org"), ("DNS", "Host.example.org"))},
         {"host.example.org"}),
        ({"subjectAltName": (("URI", "sips:example.org"), ("URI", "sip:example.net;lr"))},
         {"example.net"}),
        ({"subjectAltName": (("IP Address", "0:0:0:0:0:0:0:1\n"), ("DNS", "a.example"))},
         {"::1", "a.example"}),
        ({"subject": ((("commonName", "Old.example"),), (("countryName", "DE"),))},
         {"old.example"}),
        ({"subject": ((("commonName", "old.example"),),), "subjectAltName": (("DNS", "a.b"),)},
         {"a.b"}),
        ({}, set()),
    ],
)  # fmt: skip
def test_whom_a_certificate_speaks_for(certificate: Certificate, expected: set[str]) -> None:
    assert identities(certificate) == expected
