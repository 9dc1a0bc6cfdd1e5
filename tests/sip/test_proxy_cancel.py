"""The proxy core and CANCELs that are not as they should be (RFC 3261 sections 9.2 and 16.10)."""

from __future__ import annotations

import itertools

import pytest

from trunkline.sip.message import Request, Response, parse
from trunkline.sip.proxy import Identity, Listener, Proxy, ResponseContext, Target
from trunkline.sip.proxy.branches import listed
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow, Transport

ME = ("192.0.2.9", 5060)
CALLER = Flow(Transport.UDP, ("192.0.2.1", 5060), ME)
CALLED = Flow(Transport.UDP, ("192.0.2.2", 5060), ME)
INVITE = (
    b"INVITE sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n"
    b"Max-Forwards: 7\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 INVITE\r\n\r\n"
)


@pytest.mark.parametrize(
    ("extra", "answers"),
    [
        (b"Reason: SIP;cause=200\r\n", [("192.0.2.1", "200"), ("192.0.2.2", "CANCEL")]),
        (b"Reason: a\rb\r\n", [("192.0.2.1", "400")]),
        (b"no header\r\n", [("192.0.2.1", "400")]),
    ],
)
def test_a_cancel_that_could_not_be_passed_on_is_refused(
    extra: bytes, answers: list[tuple[str, str]]
) -> None:
    numbers = itertools.count()
    layer = TransactionLayer(lambda: f"t{next(numbers)}")
    identity = Identity([Listener(Transport.UDP, ME, ME)], [])
    proxy = Proxy(layer, identity, tag=lambda: f"g{next(numbers)}")
    context = proxy.receive(INVITE, CALLER, 0.0)
    assert isinstance(context, ResponseContext)
    context.fork([[Target("sip:b@192.0.2.2", listed(CALLED))]], 0.0)
    [forwarded] = [data for flow, data in proxy.data_to_send() if flow == CALLED]
    invite = parse(forwarded)
    assert isinstance(invite, Request)
    proxy.receive(Response.answer(invite, 180, to_tag="z").to_bytes(), CALLED, 0.0)
    proxy.data_to_send()
    cancel = INVITE.replace(b"INVITE", b"CANCEL").replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n")
    assert proxy.receive(cancel, CALLER, 0.0) is None
    sent = [(flow.remote[0], data.decode("latin-1").split()) for flow, data in proxy.data_to_send()]
    assert [(to, words[words[0] == "SIP/2.0"]) for to, words in sent] == answers
