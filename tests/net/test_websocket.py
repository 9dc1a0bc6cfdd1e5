"""SIP over WebSocket: handshakes taken and turned away, frames of all kinds, and goodbyes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from tests.net.streams import FAST, Recorder, World, client_of, message, to
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from trunkline.net.loop import new_event_loop
from trunkline.net.stream import StreamTransport
from trunkline.net.tls import TlsSettings
from trunkline.net.websocket import Handshake, Refusal, WebSocketFramer
from trunkline.sip.message import Limits
from trunkline.sip.transport import Flow, Transport


@pytest.fixture(params=[asyncio.new_event_loop, new_event_loop], ids=["asyncio", "installed"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    loop: asyncio.AbstractEventLoop = request.param()
    made = World(loop)
    yield made
    made.close()
    loop.close()


class Client:
    """A client of WebSocket that is not ours: wsproto on a plain socket."""

    def __init__(
        self, world: World, server: StreamTransport, subprotocols: tuple[str, ...] = ("sip",)
    ) -> None:
        self.world = world
        self.socket = client_of(server)
        self.socket.setblocking(False)
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []
        self.ended = False
        headers = [(b"Origin", b"https://example.org"), (b"Cookie", b"session=1")]
        self.send(
            Request(
                host="example.org", target="/ws", subprotocols=[*subprotocols],
                extra_headers=headers,
            )
        )  # fmt: skip

    def send(self, event: Event) -> None:
        self.socket.sendall(self.ws.send(event))

    def look(self) -> list[Event]:
        try:
            while not self.ended:
                data = self.socket.recv(65536)
                self.ended = not data
                if data:
                    self.ws.receive_data(data)
                    self.events += self.ws.events()
        except BlockingIOError:
            pass
        return self.events

    def wait_for(self, kind: type[Event], number: int = 1) -> Event:
        def found() -> list[Event]:
            return [event for event in self.look() if isinstance(event, kind)]

        self.world.until(lambda: len(found()) >= number)
        return found()[number - 1]

    def wait_for_end(self) -> None:
        self.world.until(lambda: self.look() is not None and self.ended)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture
def server(world: World) -> tuple[StreamTransport, Recorder]:
    return world.open(Transport.WS)


def test_text_and_binary_messages_and_their_answers(
    world: World, server: tuple[StreamTransport, Recorder]
) -> None:
    sip, user = server
    user.answer = lambda request: request
    with Client(world, sip) as client:
        accepted = client.wait_for(AcceptConnection)
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "sip"
        no_utf8 = message(2, b"\xff\xfe")
        client.send(TextMessage(data=message(1).decode()))
        client.send(BytesMessage(data=no_utf8))
        text, binary = client.wait_for(TextMessage), client.wait_for(BytesMessage)
        assert isinstance(text, TextMessage)
        assert isinstance(binary, BytesMessage)
        assert (text.data.encode(), bytes(binary.data)) == (message(1), no_utf8)
        assert user.messages == [message(1), no_utf8]
        assert user.flows[0].transport is Transport.WS
        assert user.flows[0].remote == client.socket.getsockname()


def test_one_message_in_many_frames_with_a_ping_between(
    world: World, server: tuple[StreamTransport, Recorder]
) -> None:
    sip, user = server
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
        whole = message(1, "grün".encode() * 500)
        for at in range(0, len(whole), 97):
            client.send(
                BytesMessage(data=whole[at : at + 97], message_finished=at + 97 >= len(whole))
            )
            if at == 97:
                client.send(Ping(payload=b"there?"))
        pong = client.wait_for(Pong)
        assert isinstance(pong, Pong)
        assert pong.payload == b"there?"
        world.until(lambda: user.messages)
    assert user.messages == [whole]


def test_keep_alives_of_sip(world: World, server: tuple[StreamTransport, Recorder]) -> None:
    sip, user = server
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
        client.send(TextMessage(data="\r\n"))
        client.send(TextMessage(data="\r\n\r\n"))
        pong = client.wait_for(TextMessage)
        assert isinstance(pong, TextMessage)
        assert pong.data == "\r\n"
        client.send(TextMessage(data=""))
        client.send(TextMessage(data="OPTIONS"))
        world.until(lambda: user.messages)
        assert user.messages == [b"OPTIONS"]
    world.until(lambda: user.ends)
    assert sip.stats.pings == 1


def test_a_client_that_says_goodbye_is_answered(
    world: World, server: tuple[StreamTransport, Recorder]
) -> None:
    sip, user = server
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
        client.send(CloseConnection(code=1001, reason="going away"))
        goodbye = client.wait_for(CloseConnection)
        assert isinstance(goodbye, CloseConnection)
        client.wait_for_end()
    world.until(lambda: user.ends)
    assert user.end_codes == [None]


def test_we_say_goodbye_after_a_last_word(
    world: World, server: tuple[StreamTransport, Recorder]
) -> None:
    sip, user = server
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
        client.send(TextMessage(data=message(1).decode()))
        world.until(lambda: user.messages)
        sip.send(user.flows[0], message(2))
        sip.disconnect(user.flows[0])
        client.wait_for(TextMessage)
        goodbye = client.wait_for(CloseConnection)
        assert isinstance(goodbye, CloseConnection)
        assert goodbye.code == 1000


# Who is turned away


def refused(client: Client) -> tuple[int, dict[str, str], str]:
    answer = client.wait_for(RejectConnection)
    assert isinstance(answer, RejectConnection)
    client.wait_for_end()
    body = b"".join(event.data for event in client.events if isinstance(event, RejectData))
    headers = {name.decode().lower(): value.decode() for name, value in answer.headers}
    return answer.status_code, headers, body.decode()


@pytest.mark.parametrize("offered", [(), ("chat",), ("SIP2", "xmpp")])
def test_a_client_that_does_not_offer_sip(
    world: World, server: tuple[StreamTransport, Recorder], offered: tuple[str, ...]
) -> None:
    sip, user = server
    with Client(world, sip, offered) as client:
        status, _, text = refused(client)
    assert status == 400
    assert "subprotocol sip" in text
    world.until(lambda: user.ends)
    assert user.end_codes == ["stream.websocket"]


def test_a_client_that_offers_sip_among_others(
    world: World, server: tuple[StreamTransport, Recorder]
) -> None:
    with Client(world, server[0], ("chat", "sip")) as client:
        accepted = client.wait_for(AcceptConnection)
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "sip"


def test_the_upgrade_function_decides_by_headers(world: World) -> None:
    asked: list[Handshake] = []
    answers: list[Refusal | None] = [
        Refusal(401, "who are you?", (("WWW-Authenticate", 'Basic realm="sip"'),)),
        Refusal(),
        None,
    ]

    def upgrade(handshake: Handshake) -> Refusal | None:
        asked.append(handshake)
        return answers.pop(0)

    sip, _ = world.open(Transport.WS)
    sip._upgrade = upgrade
    with Client(world, sip) as client:
        status, headers, text = refused(client)
        assert (status, headers["www-authenticate"], text) == (
            401, 'Basic realm="sip"', "who are you?\n",
        )  # fmt: skip
        remote = client.socket.getsockname()
    with Client(world, sip) as client:
        assert refused(client)[0] == 403
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
    first = asked[0]
    assert (first.remote, first.target, first.host) == (remote, "/ws", "example.org")
    assert first.header("Origin") == "https://example.org"
    assert first.header("cookie") == "session=1"
    assert first.header("authorization") is None


GOOD = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status", "has"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"400", b"server for SIP over WebSocket"),
        (GOOD.replace(b"GET", b"POST"), b"400", b"must be GET"),
        (GOOD.replace(b": 13", b": 8"), b"426", b"Sec-WebSocket-Version: 13"),
        (GOOD.replace(b"Sec-WebSocket-Key", b"X"), b"400", b"Sec-WebSocket-Key"),
        (GOOD.replace(b"Connection: Upgrade", b"Connection: \xff"), b"400", b"close"),
        (GOOD.replace(b"Host: a", b"Host: \xff.\xfe"), b"400", b"close"),
        (message(1), b"400", b"close"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400", b"close"),
        (GOOD[:-2] + b"X: " + b"y" * 50_000, b"4", b"close"),
    ],
)
def test_what_is_no_handshake(
    world: World,
    server: tuple[StreamTransport, Recorder],
    request_: bytes,
    status: bytes,
    has: bytes,
) -> None:
    sip, user = server
    with client_of(sip) as client:
        client.sendall(request_)
        client.setblocking(False)
        received = bytearray()

        def ended() -> bool:
            try:
                while more := client.recv(65536):
                    received.extend(more)
            except BlockingIOError:
                return False
            return True

        world.until(ended)
    assert received.startswith(b"HTTP/1.1 " + status), bytes(received)
    assert has in received
    world.until(lambda: user.ends)
    assert user.end_codes == ["stream.websocket"]
    assert user.refusals[0][2] == b""


def test_a_handshake_must_be_done_in_time(
    world: World, server: tuple[StreamTransport, Recorder]
) -> None:
    sip, user = server
    with client_of(sip) as client:
        client.sendall(GOOD[:-2])
        world.until(lambda: user.refusals)
        assert world.is_ended(client)
    assert user.refusals[0][1].code == "stream.slow"


# What breaks it


def end_of(world: World, user: Recorder, client: Client) -> tuple[str | None, int]:
    goodbye = client.wait_for(CloseConnection)
    assert isinstance(goodbye, CloseConnection)
    client.wait_for_end()
    client.socket.close()
    world.until(lambda: user.ends)
    return user.end_codes[0], goodbye.code


def test_a_message_over_the_limit(world: World) -> None:
    sip, user = world.open(Transport.WS)
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
        limits = FAST.limits
        for _ in range((limits.head + limits.body) // 65536 + 1):
            frame = client.ws.send(BytesMessage(data=bytes(65536), message_finished=False))
            world.loop.run_until_complete(world.loop.sock_sendall(client.socket, frame))
        assert end_of(world, user, client) == ("stream.too-large", 1009)
    assert not user.messages


def test_empty_frames_take_no_room_and_no_more_time() -> None:
    framer = WebSocketFramer(
        ("192.0.2.1", 1), 0.0, limits=Limits(), handshake_timeout=1.0, patience=5.0
    )
    client = WSConnection(ConnectionType.CLIENT)
    framer.receive(client.send(Request(host="x", target="/", subprotocols=["sip"])), 0.0)
    client.receive_data(framer.data_to_send())
    empty = TextMessage(data="", message_finished=False)
    framer.receive(b"".join(client.send(empty) for _ in range(1000)), 10.0)
    assert framer._parts == []
    assert framer.next_timeout() == 15.0
    framer.receive(client.send(empty), 12.0)
    assert framer.next_timeout() == 15.0
    last = TextMessage(data=message(1).decode(), message_finished=True)
    assert framer.receive(client.send(last), 14.0) == [message(1)]


def test_a_message_that_trickles_in(world: World) -> None:
    sip, user = world.open(Transport.WS, patience=0.2)
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
        frame = client.ws.send(BytesMessage(data=bytes(1000)))
        sent = 0

        def trickles() -> bool:
            nonlocal sent
            if not user.refusals:
                client.socket.send(frame[sent : sent + 1])
                sent += 1
            return bool(user.refusals)

        world.until(trickles, 3)
        assert end_of(world, user, client) == ("stream.slow", 1008)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02hi", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x89\xfe\x01\x00\0\0\0\0", 1002),  # a long ping
        (b"\x81\x81\0\0\0\0\xff", 1007),  # text that is not UTF-8
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1002),  # 2**64 octets
    ],
)
def test_frames_against_the_rules(
    world: World, server: tuple[StreamTransport, Recorder], frame: bytes, code: int
) -> None:
    sip, user = server
    with Client(world, sip) as client:
        client.wait_for(AcceptConnection)
        client.send(TextMessage(data=message(1).decode()))
        client.socket.sendall(frame)
        assert end_of(world, user, client) == ("stream.websocket", code)
    assert user.messages == [message(1)], "what came before it is good"


# Our own client


def test_both_ends_are_ours(world: World) -> None:
    sip, user = world.open(Transport.WS)
    user.answer = lambda request: message(2, b"\xff" * 40_000)
    other, other_user = world.open(Transport.WS)
    other.send(to(sip, other, domain="example.org"), message(1))
    other.send(to(sip, other, domain="example.org"), message(3))
    world.until(lambda: len(other_user.messages) == 2)
    assert user.messages == [message(1), message(3)]
    assert other_user.messages == [message(2, b"\xff" * 40_000)] * 2
    assert sip.stats.accepted == 1
    world.close(other)
    world.until(lambda: user.ends)
    assert user.end_codes == [None]


def test_a_server_that_refuses_fails_the_message(world: World) -> None:
    sip, _ = world.open(Transport.WS)
    sip._upgrade = lambda handshake: Refusal(403)
    other, user = world.open(Transport.WS)
    other.send(to(sip, other), message(1))
    world.until(lambda: user.failures)
    [(_, error, unsent)] = user.failures
    assert (error.code, unsent) == ("stream.websocket", [message(1)])
    assert "403" in str(error)


@pytest.mark.parametrize(
    "answer", [b"SIP/2.0 400 Bad\r\n\r\n", b"HTTP/1.1 101 Fine\r\n\r\n", b"\0" * 10, b""]
)
def test_a_server_that_is_none_fails_the_message(world: World, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other, user = world.open(Transport.WS)
        other.send(Flow(Transport.WS, listener.getsockname(), other.local), message(1))
        world.until(lambda: other.stats.opened)
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(answer)
            world.until(lambda: user.failures)
    assert user.failure_codes[0] in ("stream.websocket", "stream.slow")
    assert [unsent for _, _, unsent in user.failures] == [[message(1)]]


def test_wss_goes_by_the_rules_of_http_for_names(world: World, tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("*.example.org").private_key_and_cert_chain_pem.write_to_path(tmp_path / "s.pem")
    tls = TlsSettings(tmp_path / "s.pem", authorities=tmp_path / "ca.pem")
    sip, user = world.open(Transport.WSS, tls=tls)
    other, other_user = world.open(Transport.WSS, tls=tls)
    other.send(to(sip, other, domain="sip.example.org"), message(1))
    world.until(lambda: user.messages)
    assert user.flows[0].transport is Transport.WSS
    other.send(to(sip, other, domain="example.com"), message(2))
    world.until(lambda: other_user.failures)
    assert other_user.failure_codes == ["stream.tls"]


# The framing alone


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 50))
def test_any_pieces_of_any_messages(bodies: list[bytes], piece: int) -> None:
    framer = WebSocketFramer(
        ("192.0.2.1", 1), 0.0, limits=Limits(), handshake_timeout=1.0, patience=1.0
    )
    assert framer.receive(GOOD, 0.0) == []
    assert framer.ready
    messages = [message(number, body) for number, body in enumerate(bodies)]
    frames = b"".join(masked(one) for one in messages)
    assert [
        found
        for at in range(0, len(frames), piece)
        for found in framer.receive(frames[at : at + piece], 0.0)
    ] == messages
    assert framer.next_timeout() is None


def masked(data: bytes) -> bytes:
    """A client's frame, made by hand: RFC 6455 section 5.2."""
    key = b"\x01\x02\x03\x04"
    size = len(data)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    octets = bytes(octet ^ key[at % 4] for at, octet in enumerate(data))
    return b"\x82" + length + key + octets
