"""M2PA between the SCTP of a Linux kernel, in a guest, and libusrsctp over UDP on this machine.

The guest comes from the folder named by TRUNKLINE_PEERS (``qemu-sctp``): its kernel has SCTP, and
takes it encapsulated in UDP (RFC 6951); the emulator forwards a UDP port of this machine to it. It
runs our kernel back end on a Python with nothing but the standard library.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.net.processes import PeerProcess, Talker

import trunkline

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

LINK_END = Path(__file__).with_name("m2pa_peer.py")
GUEST, HOST = "10.0.2.15", "10.0.2.2"  # as the guest sees them
FORWARDED_PORT = 19899
START = f"""
stty -echo
export PYTHONPATH=/root PYTHONDONTWRITEBYTECODE=1
exec python3 -u /root/{LINK_END.name} kernel {GUEST} {HOST} echo=true
"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talker]:
    named = os.environ.get("TRUNKLINE_PEERS")
    recipe = Path(named or "", "qemu-sctp")
    if not named or not recipe.is_dir():
        pytest.skip(f"no guest with kernel SCTP: TRUNKLINE_PEERS={named!r} has no qemu-sctp")
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("cpio", "cpio")):
        if shutil.which(program) is None:
            pytest.skip(f"no guest with kernel SCTP: install {package}")
    folder = tmp_path_factory.mktemp("guest")
    start = folder / "guest.sh"
    start.write_text(START)
    extra = [Path(trunkline.__file__).parent, LINK_END, start]
    built = subprocess.run(
        ["bash", recipe / "build.sh", folder],
        env={**os.environ, "EXTRA": " ".join(map(str, extra))},
        capture_output=True,
        text=True,
    )
    if built.returncode:
        pytest.skip(f"no guest with kernel SCTP: {built.stderr.strip()[-200:]}")
    running = Talker(["bash", str(recipe / "run.sh"), str(folder), "noshell"])
    try:
        assert running.wait_for("started", 90)["backend"] == "kernel"
        yield running
    finally:
        running.kill()


def start_host() -> PeerProcess:
    addresses = f'{{"{HOST}":"127.0.0.1","{GUEST}":"127.0.0.1"}}'
    ports = f'{{"{GUEST}":{FORWARDED_PORT}}}'
    options = (f"address_map={addresses}", f"remote_udp_ports={ports}")
    return PeerProcess("udp", HOST, GUEST, *options, script=LINK_END)


@pytest.fixture
def host() -> Iterator[PeerProcess]:
    running = start_host()
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()


def in_service(*ends: Talker) -> None:
    for end in ends:
        end.wait_for("InService", 30)


def carries(host: Talker, guest: Talker, count: int) -> None:
    """Send MSUs to the guest, which sends them back."""
    host.command(f"send {count}")
    for end in (guest, host):
        assert end.wait_for("received", 30) == {
            "event": "received",
            "count": count,
            "disorder": 0,
        }


def test_the_link_aligns_and_carries_data(guest: Talker, host: PeerProcess) -> None:
    in_service(host, guest)
    carries(host, guest, 500)


def test_an_abort_from_either_side_is_seen_and_overcome(guest: Talker, host: PeerProcess) -> None:
    in_service(host, guest)
    for one, other in ((host, guest), (guest, host)):
        one.command("abort")
        assert one.wait_for("down", 10)["reason"] == "aborted"
        assert other.wait_for("down", 10)["reason"] == "aborted by the peer"
        in_service(one, other)
        carries(host, guest, 20)


def test_a_shutdown_from_either_side_is_seen_and_overcome(guest: Talker, host: PeerProcess) -> None:
    in_service(host, guest)
    for one, other in ((host, guest), (guest, host)):
        one.command("shutdown")
        assert one.wait_for("down", 10)["reason"] == "shut down"
        assert other.wait_for("down", 10)["reason"] == "shut down by the peer"
        in_service(one, other)
        carries(host, guest, 20)


def test_a_killed_peer_restarts_the_association(guest: Talker, host: PeerProcess) -> None:
    in_service(host, guest)
    host.kill()
    again = start_host()
    try:
        guest.wait_for("restart", 20)
        in_service(again, guest)
        carries(again, guest, 20)
    finally:
        again.kill()
