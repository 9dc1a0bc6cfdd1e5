"""Raw SCTP between two network namespaces: needs root, iproute2 and raw sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from tests.net.processes import PeerProcess, ip, namespaces, peers

BOTH_LEFT, BOTH_RIGHT = "10.71.0.1,10.72.0.1", "10.71.0.2,10.72.0.2"
QUICK = (
    "heartbeat=0.2",
    "rto_initial=0.1",
    "rto_min=0.1",
    "rto_max=0.3",
    "sack_delay=0.02",
    "path_max_retrans=1",
    "association_max_retrans=20",  # a machine that is busy elsewhere is not a dead peer
    "reconnect_delay=0.2",
)


@pytest.fixture
def two_links() -> Iterator[tuple[str, str]]:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, 132).close()
    except OSError as error:
        pytest.skip(f"raw SCTP sockets take root: {error.strerror}")
    with namespaces(links=2) as names:
        yield names


def test_multihomed_association_survives_a_cut_and_uses_the_mended_path(
    two_links: tuple[str, str],
) -> None:
    left_ns, right_ns = two_links
    with peers(
        (left_ns, ("raw", BOTH_LEFT, BOTH_RIGHT, *QUICK)),
        (right_ns, ("raw", BOTH_RIGHT, BOTH_LEFT, *QUICK)),
    ) as (left, right):
        assert left.wait_for("started")["backend"] == "raw"
        left.wait_for("up")
        right.wait_for("up")
        left.command("send 500 100")
        assert right.wait_for("received") == received(500)
        # On a slow machine a HEARTBEAT to the second address can overtake the COOKIE ECHO; the
        # peer, knowing of nothing yet, aborts (RFC 9260 8.4), and it is set up once more.
        left.events.clear()
        right.events.clear()
        time.sleep(1.0)  # the second address is in use only when a HEARTBEAT has proved it (5.4)

        ip("-n", left_ns, "link", "set", "l1", "down")
        left.command("send 500 100")
        assert right.wait_for("received") == received(500)
        assert left.wait_for("path") == path("10.71.0.2", False)

        ip("-n", left_ns, "link", "set", "l1", "up")
        assert left.wait_for("path") == path("10.71.0.2", True)
        right.command("send 500 100")
        assert left.wait_for("received") == received(500)

        for end in (left, right):
            assert not [event for event in end.events if event["event"] == "down"], end.events
        assert left.close() == 0
        assert right.close() == 0


def test_abort_shutdown_and_restart(two_links: tuple[str, str]) -> None:
    left_ns, right_ns = two_links
    # No heartbeats: one that reaches the new process before it has sent its INIT would be answered
    # by ABORT (RFC 9260 8.4), and rightly so.
    silent = (*QUICK, "heartbeat=60")
    arguments = ("raw", "10.71.0.2", "10.71.0.1", *silent)
    with peers((left_ns, ("raw", "10.71.0.1", "10.71.0.2", *silent)), (right_ns, arguments)) as (
        left,
        right,
    ):
        left.wait_for("up")
        right.wait_for("up")
        left.command("abort")
        assert right.wait_for("down")["reason"] == "aborted by the peer"
        assert left.wait_for("down")["reason"] == "aborted"
        left.wait_for("up")
        right.wait_for("up")
        left.command("shutdown")
        assert right.wait_for("down")["reason"] == "shut down by the peer"
        assert left.wait_for("down")["reason"] == "shut down"
        left.wait_for("up")
        right.wait_for("up")
        right.kill()
        again = PeerProcess(*arguments, namespace=right_ns)
        try:
            again.wait_for("up")
            left.wait_for("restart")
            again.command("send 10 100")
            assert left.wait_for("received") == received(10)
        finally:
            again.kill()


def test_the_tap_sees_both_directions(two_links: tuple[str, str]) -> None:
    left_ns, right_ns = two_links
    with peers(
        (left_ns, ("raw", "10.71.0.1", "10.71.0.2", *QUICK, "tap=true")),
        (right_ns, ("raw", "10.71.0.2", "10.71.0.1", *QUICK)),
    ) as (left, right):
        left.wait_for("up")
        right.wait_for("up")
        left.command("send 10 100")
        right.command("send 10 100")
        left.wait_for("received")
        right.wait_for("received")
        left.command("stats")
        tapped = left.wait_for("stats")["tapped"]
        assert isinstance(tapped, list)
        data = 0  # chunk type (RFC 9260 3.2)
        assert {f"to 10.71.0.2: {data}", f"from 10.71.0.2: {data}"} <= set(tapped)
        assert not [seen for seen in tapped if "10.71.0.2" not in seen]


def received(count: int) -> dict[str, object]:
    return {"event": "received", "count": count, "disorder": 0}


def path(address: str, reachable: bool) -> dict[str, object]:
    return {"event": "path", "address": address, "reachable": reachable}
