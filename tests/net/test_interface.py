"""Which back end is chosen, which address stands for which, and what is said if none can work."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.net.support import FAST, LEFT, RIGHT, Recorder

import trunkline.net.sctp as sctp
from trunkline.errors import TrunklineError
from trunkline.net.sctp import AssociationSettings, Backend, Settings, choose, open_stack, usrsctp
from trunkline.net.sctp.addresses import AddressMap, is_local
from trunkline.net.sctp.notifications import (
    KERNEL,
    USRSCTP,
    Dialect,
    Notification,
    Other,
    parse_notification,
)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_loopback_rule_replaces_the_first_octet() -> None:
    addresses = AddressMap({"10.0.5.9": "127.1.1.1"})
    assert addresses.real("10.0.5.1", 9899) == "127.0.5.1"
    assert addresses.real("127.0.5.2", 9899) == "127.0.5.2"
    assert addresses.real("10.0.5.9", 9899) == "127.1.1.1"
    assert addresses.real("172.0.5.1", 9900) == "127.0.5.1"  # told apart by the UDP port
    assert AddressMap(rule="identity").real("10.0.5.1", 9899) == "10.0.5.1"


@pytest.mark.parametrize(
    ("configured", "code"),
    [
        ("172.0.5.1", "sctp.address-collision"),  # 127.0.5.1 is taken by 10.0.5.1
        ("0.0.0.0", "sctp.address"),
        ("10.0.5", "sctp.address"),
        ("fe80::1", "sctp.address"),
        ("näh", "sctp.address"),
    ],
)
def test_addresses_that_cannot_be_mapped(configured: str, code: str) -> None:
    addresses = AddressMap(rule="identity" if configured == "0.0.0.0" else "loopback")
    addresses.real("10.0.5.1", 9899)
    with pytest.raises(TrunklineError) as raised:
        addresses.real(configured, 9899)
    assert raised.value.code == code


def test_is_local() -> None:
    assert is_local("127.0.0.1")
    assert not is_local("192.0.2.1")  # TEST-NET-1, on nobody's interface
    assert not is_local("0.0.0.0")


@pytest.mark.parametrize(
    ("local", "possible", "expected"),
    [
        ((), {socket.SOCK_SEQPACKET, socket.SOCK_RAW}, "udp"),
        (("192.0.2.1",), {socket.SOCK_SEQPACKET, socket.SOCK_RAW}, "udp"),
        (("127.0.0.1", "192.0.2.1"), {socket.SOCK_SEQPACKET}, "udp"),
        (("127.0.0.1",), {socket.SOCK_SEQPACKET, socket.SOCK_RAW}, "kernel"),
        (("127.0.0.1",), {socket.SOCK_RAW}, "udp"),
        (("198.51.100.1",), {socket.SOCK_RAW}, "raw"),
        (("198.51.100.1",), set(), "udp"),
    ],
)
def test_auto_takes_the_first_that_can_work(
    monkeypatch: pytest.MonkeyPatch,
    local: tuple[str, ...],
    possible: set[socket.SocketKind],
    expected: Backend,
) -> None:
    monkeypatch.setattr(sctp, "_may_open", lambda kind: kind in possible)
    monkeypatch.setattr(sctp, "is_local", lambda address: not address.startswith("192.0.2."))
    assert choose(Settings(local=local)) == expected
    assert choose(Settings(backend="raw", local=local)) == "raw"


def test_without_any_sctp_one_error_names_the_package(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    monkeypatch.setattr(usrsctp, "_NAMES", ("libusrsctp-that-is-not-there.so",))
    monkeypatch.setattr(sctp, "_may_open", lambda kind: False)
    usrsctp.load.cache_clear()
    try:
        with pytest.raises(TrunklineError, match="libusrsctp2") as raised:
            open_stack(loop, Settings())
        assert raised.value.code == "sctp.no-backend"
    finally:
        usrsctp.load.cache_clear()
        monkeypatch.undo()


def test_kernel_back_end_says_when_there_is_none(loop: asyncio.AbstractEventLoop) -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, 132).close()
    except OSError:
        with pytest.raises(TrunklineError, match="load the module sctp") as raised:
            open_stack(loop, Settings(backend="kernel"))
        assert raised.value.code == "sctp.no-kernel"
    else:
        pytest.skip("this kernel has SCTP")


def test_one_library_mode_per_process(loop: asyncio.AbstractEventLoop) -> None:
    stack = open_stack(loop, FAST)
    try:
        with pytest.raises(TrunklineError) as raised:
            open_stack(loop, Settings(backend="raw"))
        assert raised.value.code in {"sctp.one-mode", "sctp.raw-privilege"}
    finally:
        stack.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"backend": "smoke-signals"}, "sctp.backend"),
        ({"mtu": 20}, "sctp.settings"),
        ({"mtu": 100_000}, "sctp.settings"),
        ({"rto_min": 2.0, "rto_max": 1.0}, "sctp.settings"),
        ({"sack_delay": 0.3}, "sctp.settings"),
        ({"udp_port": 0}, "sctp.settings"),
    ],
)
def test_settings_that_cannot_be(
    loop: asyncio.AbstractEventLoop, changes: dict[str, object], code: str
) -> None:
    with pytest.raises(TrunklineError) as raised:
        open_stack(loop, Settings(**{"backend": "udp", **changes}))  # type: ignore[arg-type]
    assert raised.value.code == code


def test_two_configured_addresses_on_one_real_one(loop: asyncio.AbstractEventLoop) -> None:
    stack = open_stack(loop, FAST)
    try:
        with pytest.raises(TrunklineError) as raised:
            stack.open(AssociationSettings((LEFT,), 1, ("172" + LEFT[2:],), 1, 5), Recorder())
        assert raised.value.code == "sctp.address-collision"
        stack.open(AssociationSettings((LEFT,), 1, (RIGHT,), 1, 5), Recorder())
    finally:
        stack.close()


@given(st.binary(max_size=200), st.sampled_from([USRSCTP, KERNEL]))
def test_any_octets_are_some_notification(data: bytes, dialect: Dialect) -> None:
    parse_notification(data, dialect)


def test_notifications_of_both_dialects() -> None:
    for dialect, base in ((USRSCTP, 0), (KERNEL, 0x8000)):
        data = (base + 5).to_bytes(2, "little") + bytes(2) + (12).to_bytes(4, "little")
        data += (77).to_bytes(4, "little")
        assert parse_notification(data, dialect) == Notification(Other.SHUTDOWN_EVENT, 77)
