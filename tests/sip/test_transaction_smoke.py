"""One call through the transaction layer, both ends."""

from __future__ import annotations

import itertools

from trunkline.sip.message import Request, Response
from trunkline.sip.transaction import (
    AckReceived,
    RequestReceived,
    ResponseReceived,
    State,
    TransactionLayer,
)
from trunkline.sip.transport import Flow, Transport

A, B = ("10.0.0.1", 5060), ("10.0.0.2", 5060)
TO_B = Flow(Transport.UDP, B, A)
TO_A = Flow(Transport.UDP, A, B)


def layer(name: str) -> TransactionLayer:
    numbers = itertools.count()
    return TransactionLayer(lambda: f"{name}{next(numbers)}")


def test_a_failed_call_is_acknowledged_and_forgotten() -> None:
    near, far = layer("a"), layer("b")
    branch = near.new_branch()
    request = Request.build(
        "INVITE",
        "sip:b@10.0.0.2",
        [
            ("Via", f"SIP/2.0/UDP 10.0.0.1;branch={branch}"),
            ("From", "<sip:a@x>;tag=1"),
            ("To", "<sip:b@x>"),
            ("Call-ID", "1"),
            ("CSeq", "1 INVITE"),
        ],
    )
    client = near.request(request, branch, TO_B, 0.0, "user")
    [(_, data)] = near.data_to_send()
    received = far.receive(data, TO_A, 0.0)
    assert isinstance(received, RequestReceived)
    server = received.transaction
    assert far.receive(data, TO_A, 0.1) is None  # absorbed
    far.respond(server, Response.answer(received.request, 486, to_tag="t"), 0.2)
    [(_, busy)] = far.data_to_send()
    answer = near.receive(busy, TO_B, 0.2)
    assert isinstance(answer, ResponseReceived)
    assert answer.response.status == 486
    [(_, ack)] = near.data_to_send()
    assert far.receive(ack, TO_A, 0.3) is None
    assert server.state is State.CONFIRMED
    assert client.state is State.COMPLETED
    for end in (near, far):
        while (due := end.next_timeout()) is not None:
            assert end.on_timeout(due) == []
        assert not end.clients
        assert not end.servers
        assert len(end.queue) == 0


def test_an_ack_for_nothing_is_the_users() -> None:
    ack = b"ACK sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n\r\n"
    assert isinstance(layer("b").receive(ack, TO_A, 0.0), AckReceived)
