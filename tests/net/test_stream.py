"""SIP over TCP on real sockets: framing on the wire, reuse, bounds, deadlines, ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.net.streams import FAST, World, client_of, message, to

from trunkline.errors import TrunklineError
from trunkline.net.loop import new_event_loop
from trunkline.net.stream import StreamTransport
from trunkline.sip.message import Limits
from trunkline.sip.transport import Address, Flow, Transport


@pytest.fixture(params=[asyncio.new_event_loop, new_event_loop], ids=["asyncio", "installed"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    loop: asyncio.AbstractEventLoop = request.param()
    made = World(loop)
    yield made
    made.close()
    loop.close()


@pytest.fixture(autouse=True)
def _short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.net.connection._LINGER", 0.3)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Messages


def test_messages_in_one_write_are_one_batch_with_the_flow_of_the_connection(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(message(1) + message(2, b"v=0\r\n\r\n") + b"\r\n" + message(3))
        world.until(lambda: user.messages)
        assert user.batches == [[message(1), message(2, b"v=0\r\n\r\n"), message(3)]]
        [flow] = set(user.flows)
        assert flow == Flow(Transport.TCP, client.getsockname(), sip.local, flow.connection)
        assert flow.connection > 0
        assert sip.is_open(flow)


def test_octet_by_octet(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in message(1, b"body") + message(2):
            client.sendall(bytes((octet,)))
            world.turns(0)
        world.until(lambda: len(user.messages) == 2)
        assert user.messages == [message(1, b"body"), message(2)]


def test_a_large_body_arrives_whole(world: World) -> None:
    sip, user = world.open()
    large = message(1, bytes(range(256)) * 4000)
    with client_of(sip) as client:
        client.setblocking(False)
        world.loop.run_until_complete(world.loop.sock_sendall(client, large))
        world.until(lambda: user.messages)
    assert user.messages == [large]


def test_answers_of_one_batch_leave_in_order_on_the_connection_of_the_request(world: World) -> None:
    sip, user = world.open()
    user.answer = lambda request: b"answer to " + request
    with client_of(sip) as first, client_of(sip) as second:
        first.sendall(message(1) + message(2))
        second.sendall(message(3))
        expected = b"answer to " + message(1) + b"answer to " + message(2)
        assert world.reply(first, len(expected)) == expected
        assert world.reply(second, len(message(3)) + 10) == b"answer to " + message(3)
    assert (sip.stats.received, sip.stats.sent, sip.stats.accepted) == (3, 3, 2)


def test_pings_are_answered_between_messages(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(b"\r\n\r\n")
        assert world.reply(client, 2) == b"\r\n"
        client.sendall(message(1) + b"\r\n\r\n\r\n\r\n" + message(2))
        assert world.reply(client, 4) == b"\r\n\r\n"
        assert user.messages == [message(1), message(2)]
    world.until(lambda: user.ends)
    assert sip.stats.pings == 3


def test_ipv6(world: World) -> None:
    try:
        sip, user = world.open(host="::1")
    except TrunklineError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    other, other_user = world.open(host="::1")
    user.answer = lambda request: message(2)
    other.send(to(sip, other), message(1))
    world.until(lambda: other_user.messages)
    assert (user.messages, other_user.messages) == ([message(1)], [message(2)])
    assert user.flows[0].remote[0] == "::1"


# Which connection


def test_requests_to_one_address_share_a_connection_and_answers_use_it(world: World) -> None:
    sip, user = world.open()
    other, other_user = world.open()
    user.answer = lambda request: message(9)
    other.send(to(sip, other), message(1))
    other.send(to(sip, other), message(2))
    world.until(lambda: len(other_user.messages) == 2)
    other.send(to(sip, other), message(3))
    world.until(lambda: len(other_user.messages) == 3)
    assert user.messages == [message(1), message(2), message(3)]
    assert (sip.stats.accepted, other.stats.opened) == (1, 1)
    assert len(set(other_user.flows)) == 1
    assert other_user.flows[0].local == other.local, "the address on which we listen"


def test_a_connection_of_the_peer_is_used_for_requests_to_its_source(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: user.messages)
        sip.send(replace(user.flows[0], connection=0), message(2))
        assert world.reply(client, len(message(2))) == message(2)
    assert sip.stats.opened == 0


def test_an_alias_leads_to_the_connection_of_the_peer(world: World) -> None:
    sip, user = world.open()
    listens: Address = ("192.0.2.7", 5060)
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: user.messages)
        sip.alias(user.flows[0], listens)
        sip.send(Flow(Transport.TCP, listens, sip.local), message(2))
        assert world.reply(client, len(message(2))) == message(2)
        assert sip.stats.opened == 0
    world.until(lambda: user.ends)
    assert not sip._by_remote, "with the connection its names go"
    sip.alias(user.flows[0], listens)
    assert not sip._by_remote


def test_what_is_sent_on_a_closed_connection_fails_and_is_not_sent_elsewhere(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: user.messages)
    world.until(lambda: user.ends)
    [flow] = user.flows
    assert not sip.is_open(flow)
    sip.send(flow, message(2))
    assert not user.failures, "told from within send"
    world.until(lambda: user.failures)
    [(failed, error, unsent)] = user.failures
    assert (failed, error.code, unsent) == (flow, "stream.closed", [message(2)])
    assert sip.stats.opened == 0


def test_a_peer_that_comes_back_is_reached_by_a_new_connection(world: World) -> None:
    sip, user = world.open()
    other, other_user = world.open()
    other.send(to(sip, other), message(1))
    world.until(lambda: user.messages)
    world.close(sip)
    world.until(lambda: other_user.ends)
    assert other_user.end_codes == [None], "closed in order"
    again, again_user = world.open(port=sip.local[1])
    other.send(to(again, other), message(2))
    world.until(lambda: again_user.messages)
    assert again_user.messages == [message(2)]
    assert other.stats.opened == 2


# When there is nobody


def test_a_refused_connection_fails_every_message_that_waited_for_it(world: World) -> None:
    sip, user = world.open()
    nobody = Flow(Transport.TCP, ("127.0.0.1", free_port()), sip.local)
    sip.send(nobody, message(1))
    sip.send(nobody, message(2))
    world.until(lambda: user.failures)
    [(flow, error, unsent)] = user.failures
    assert (flow.remote, unsent) == (nobody.remote, [message(1), message(2)])
    assert error.code == "stream.refused", "a reason to try UDP (section 18.1.1)"
    assert "Connection refused" in str(error)
    assert (sip.stats.not_opened, sip.stats.unsent, len(sip)) == (1, 2, 0)


def test_an_address_that_does_not_answer_fails_in_time(world: World) -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # its queue is full: further attempts get no answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        sip, user = world.open(connect_timeout=0.1)
        sip.send(Flow(Transport.TCP, full.getsockname(), sip.local), message(1))
        world.until(lambda: user.failures)
    assert user.failure_codes == ["stream.connect"]
    assert "no answer within 0.1 s" in str(user.failures[0][1])


def test_an_address_that_is_none_fails(world: World) -> None:
    sip, user = world.open()
    sip.send(Flow(Transport.TCP, ("255.255.255.255", 5060), sip.local), message(1))
    world.until(lambda: user.failures)
    assert user.failure_codes == ["stream.connect"]


# Ends


def test_a_peer_that_closes_ends_the_connection_in_order(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: user.messages)
    world.until(lambda: user.ends)
    assert user.ends == [(user.flows[0], None)]
    assert (len(sip), sip.stats.closed) == (0, 1)


def test_a_peer_that_resets_is_an_error(world: World) -> None:
    sip, user = world.open()
    client = client_of(sip)
    client.sendall(message(1))
    world.until(lambda: user.messages)
    reset(client)
    world.until(lambda: user.ends)
    assert user.end_codes == ["stream.lost"]
    assert "reset" in str(user.ends[0][1])


def test_half_a_close_is_a_close_but_answers_given_at_once_are_sent(world: World) -> None:
    sip, user = world.open()
    user.answer = lambda request: message(2)
    with client_of(sip) as client:
        client.sendall(message(1))
        client.shutdown(socket.SHUT_WR)
        assert world.reply(client, len(message(2))) == message(2)
        assert world.is_ended(client)
    world.until(lambda: user.ends)
    assert user.end_codes == [None]


def test_we_may_end_a_connection_after_a_last_word(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: user.messages)
        sip.send(user.flows[0], message(2))
        sip.disconnect(user.flows[0])
        assert not sip.is_open(user.flows[0])
        sip.send(user.flows[0], message(3))
        assert world.reply(client, len(message(2))) == message(2)
        assert world.is_ended(client)
    world.until(lambda: user.ends)
    assert user.failure_codes == ["stream.closed"]
    assert user.end_codes == [None]


def test_closing_ends_everything_also_what_is_being_opened(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: user.messages)
        sip.send(Flow(Transport.TCP, ("127.0.0.1", free_port()), sip.local), message(2))
        with client_of(sip):
            sip._accept()  # accepted, and its task has not begun
            world.close(sip)
        assert world.is_ended(client)
    assert len(sip) == 0
    assert [unsent for _, _, unsent in user.failures] == [[message(2)]]
    sip.send(Flow(Transport.TCP, ("127.0.0.1", 9), sip.local), message(3))
    world.until(lambda: len(user.failures) == 2)


# What breaks a stream


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (message(1).replace(b"Content-Length: 0", b"X: y"), "stream.no-content-length"),
        (message(1).replace(b"Length: 0", b"Length: many"), "stream.content-length"),
        (message(1).replace(b"Length: 0", b"Length: 9000000"), "stream.too-large"),
    ],
)
def test_a_broken_stream_is_answered_then_closed(world: World, bad: bytes, code: str) -> None:
    sip, user = world.open()
    answer = b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    with client_of(sip) as client:
        # What follows stays unread at our side; it must not reset the answer away.
        client.sendall(message(1) + bad + b"x" * 100_000)
        assert world.reply(client, len(answer)) == answer
        assert world.is_ended(client)
    world.until(lambda: user.ends)
    [(flow, error, head)] = user.refusals
    assert (flow, error.code, head) == (user.flows[0], code, bad)
    assert user.messages == [message(1)]
    assert user.end_codes == [code]
    assert sip.stats.broken == 1


def test_other_protocols_are_closed_without_an_answer(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        assert world.is_ended(client)
    world.until(lambda: user.ends)
    assert user.end_codes == ["stream.garbage"]


def test_a_peer_that_goes_on_after_it_broke_the_stream_is_cut_off(world: World) -> None:
    sip, user = world.open()
    client = client_of(sip)
    client.sendall(b"\0")
    world.until(lambda: user.refusals)
    client.setblocking(False)

    def goes_on() -> bool:
        with contextlib.suppress(BlockingIOError):
            client.send(b"x" * 1000)
        return bool(user.ends)

    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        world.until(goes_on)
    world.until(lambda: user.ends)
    client.close()


def test_a_message_that_trickles_in_ends_the_connection(world: World) -> None:
    sip, user = world.open(patience=0.2)
    with client_of(sip) as client:
        client.setblocking(False)
        trickle = iter(message(1, bytes(100_000)))

        def trickles() -> bool:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.send(bytes((next(trickle),)))
            return bool(user.ends)

        world.until(trickles, 3)
        assert user.end_codes == ["stream.slow"]
    assert not user.messages


def test_slow_but_whole_messages_are_welcome(world: World) -> None:
    sip, user = world.open(patience=0.2)
    with client_of(sip) as client:
        for number in range(3):
            client.sendall(message(number)[:20])
            world.turns(0.1)
            client.sendall(message(number)[20:])
            world.turns(0.1)
        assert user.messages == [message(0), message(1), message(2)]
        assert not user.ends


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(world: World) -> None:
    sip, user = world.open(idle=0.3)
    with client_of(sip) as idle, client_of(sip) as busy, client_of(sip) as pinged:
        world.until(lambda: len(sip) == 3)
        sip.send(Flow(Transport.TCP, busy.getsockname(), sip.local), message(0))
        for _ in range(4):
            pinged.sendall(b"\r\n\r\n")
            world.turns(0.1)
            sip.send(Flow(Transport.TCP, busy.getsockname(), sip.local), message(0))
        assert user.end_codes == ["stream.idle"]
        assert world.is_ended(idle)
        assert len(sip) == 2
    assert sip.stats.idle == 1


# Bounds


def test_a_peer_that_does_not_read_gets_a_bounded_number_of_octets(world: World) -> None:
    sip, user = world.open()
    sip._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    with client_of(sip) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(message(1))
        world.until(lambda: user.messages)
        [flow] = user.flows
        sent = 0
        while not user.failures:
            sip.send(flow, message(2, bytes(20_000)))
            sent += 1
            world.turns(0)
            assert sent < 1000
        assert set(user.failure_codes) == {"stream.backlog"}
        assert sip.stats.unsent == len(user.failures)
        size = len(message(2, bytes(20_000)))
        expected = (sent - len(user.failures)) * size
        assert len(world.reply(client, expected)) == expected, "what was taken arrives"
        sip.send(flow, message(3))
        assert world.reply(client, len(message(3))) == message(3)


def test_ending_a_connection_tells_what_its_peer_did_not_take(world: World) -> None:
    sip, user = world.open()
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: user.messages)
        [flow] = user.flows
        while not user.failures:
            sip.send(flow, message(2, bytes(20_000)))
            world.turns(0)
        before = len(user.failures)
        sip.disconnect(flow)
        assert len(user.failures) == before, "told from within a call"
        world.until(lambda: user.ends)
    [(_, error, unsent)] = user.failures[before:]
    assert (error.code, len(unsent)) == ("stream.closed", 4)


def test_pings_of_a_peer_that_does_not_read_are_not_answered_for_ever(world: World) -> None:
    sip, user = world.open()
    sip._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    with client_of(sip) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        world.until(lambda: len(sip) == 1 and next(iter(sip._connections.values())).opening is None)
        connection = next(iter(sip._connections.values()))
        for _ in range(300):
            with contextlib.suppress(BlockingIOError):
                client.send(b"\r\n\r\n" * 16384)
            world.turns(0)
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 400_000
        assert not user.ends


def test_what_waits_for_a_connection_is_bounded(world: World) -> None:
    sip, user = world.open(write_buffer=1000)
    flow = Flow(Transport.TCP, ("127.0.0.1", free_port()), sip.local)
    for number in range(10):
        sip.send(flow, message(number, bytes(200)))
    world.until(lambda: "stream.refused" in user.failure_codes)
    assert user.failure_codes == ["stream.backlog"] * 7 + ["stream.refused"]
    assert len(user.failures[-1][2]) == 3


def test_one_address_has_a_bounded_number_of_connections(world: World) -> None:
    sip, user = world.open(per_address=2)
    elsewhere: Address = ("127.0.0.2", 0)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client_of(sip)) for _ in range(3)]
        other = stack.enter_context(client_of(sip, elsewhere))
        for client in (*clients[:2], other):
            client.sendall(message(1))
        world.until(lambda: len(user.messages) == 3)
        assert world.is_ended(clients[2])
        assert (sip.stats.refused, len(sip)) == (1, 3)
        clients[0].close()
        world.until(lambda: len(sip) == 2)
        again = stack.enter_context(client_of(sip))
        again.sendall(message(2))
        world.until(lambda: len(user.messages) == 4)
    world.until(lambda: len(sip) == 0)
    assert sip._per_address == {}


def test_a_full_table_drops_the_oldest_that_never_spoke(world: World) -> None:
    sip, user = world.open(connections=3)
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(client_of(sip)) for _ in range(3))
        first.sendall(message(1))
        world.until(lambda: user.messages)
        world.until(lambda: len(sip) == 3)
        fourth = stack.enter_context(client_of(sip))
        fourth.sendall(message(4))
        world.until(lambda: len(user.messages) == 2)
        world.is_ended(second)
        third.sendall(message(3))
        world.until(lambda: len(user.messages) == 3)
        assert user.end_codes == ["stream.evicted"]
        # Now all three have carried a message: nobody makes room.
        fifth = stack.enter_context(client_of(sip))
        assert world.is_ended(fifth)
        sip.send(Flow(Transport.TCP, ("127.0.0.1", 9), sip.local), message(5))
        world.until(lambda: user.failures)
        assert user.failure_codes == ["stream.full"]
        assert (sip.stats.refused, sip.stats.evicted, len(sip)) == (1, 1, 3)


def test_without_descriptors_accepting_pauses_and_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.net.stream._ACCEPT_PAUSE", 0.05)
    sip, user = world.open()
    real = sip._listener

    class Full:
        def accept(self) -> tuple[socket.socket, Address]:
            raise OSError(errno.EMFILE, "no descriptors")

        def fileno(self) -> int:
            return real.fileno()

    sip._listener = Full()  # type: ignore[assignment]
    with client_of(sip) as client:
        client.sendall(message(1))
        world.until(lambda: sip.stats.accept_errors == 1)
        world.turns(0.02)
        assert sip.stats.accept_errors == 1, "it does not spin"
        sip._listener = real
        world.until(lambda: user.messages)


# Addresses


def test_several_processes_may_share_a_port_and_others_may_not(world: World) -> None:
    sip, _ = world.open(reuse_port=True)
    second, _ = world.open(port=sip.local[1], reuse_port=True)
    assert second.local == sip.local
    with pytest.raises(TrunklineError, match="nobody else have the port") as refused:
        world.open(port=sip.local[1])
    assert refused.value.code == "stream.bind"


def test_connections_leave_from_the_address_that_we_listen_on(world: World) -> None:
    sip, user = world.open()
    other, _ = world.open(host="127.0.0.3")
    anywhere, _ = world.open(host="0.0.0.0")
    other.send(to(sip, other), message(1))
    anywhere.send(to(sip, anywhere), message(2))
    world.until(lambda: len(user.messages) == 2)
    assert sorted(flow.remote[0] for flow in user.flows) == ["127.0.0.1", "127.0.0.3"]


def test_limits_of_messages_are_settings(world: World) -> None:
    sip, user = world.open(settings=replace(FAST, limits=Limits(body=10)))
    with client_of(sip) as client:
        client.sendall(message(1, bytes(11)))
        world.until(lambda: user.refusals)
    assert isinstance(sip, StreamTransport)
    assert user.refusals[0][1].code == "stream.too-large"


def test_connections_without_websocket_need_no_library_for_it() -> None:
    # A node on a bare interpreter has only what its own rooms import.
    script = "import sys; sys.modules['wsproto'] = None; import trunkline.net.stream"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
