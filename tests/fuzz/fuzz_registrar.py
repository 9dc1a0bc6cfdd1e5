"""Registrar: any REGISTER that is a message is answered, and what is stored can be told again."""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.sip.binding import dump_bindings, load_bindings
from trunkline.sip.gruu import GruuMaker
from trunkline.sip.message import Request, parse
from trunkline.sip.nat import alias_contact, fix_contact, nat_signs
from trunkline.sip.registrar import Order, Registrar, Settings
from trunkline.sip.transport import Flow, Transport

_NOW = 1_700_000_000.0
_FLOW = Flow(Transport.UDP, ("198.51.100.7", 1024), ("203.0.113.1", 5060))
_REGISTRAR = Registrar(
    Settings(
        domains=frozenset(("example.com",)),
        gruu=GruuMaker(b"sixteen octets !"),
        service_route=("<sip:hsp.example.com;lr>",),
        flow_timer=120,
    )
)

_HEAD = (
    b"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
    b"To: <sip:alice@example.com>\r\nFrom: <sip:alice@example.com>;tag=1\r\nCall-ID: 1\r\n"
    b"CSeq: 2 REGISTER\r\nMax-Forwards: 70\r\n"
)
SEEDS = [
    _HEAD + b"Contact: <sip:alice@10.0.0.1>;q=0.5;expires=60, <tel:+1>\r\nExpires: 600\r\n\r\n",
    _HEAD + b"m: *\r\nExpires: 0\r\n\r\n",
    _HEAD + b"\r\n",
    _HEAD + b"Supported: path, outbound, gruu\r\nPath: <sip:p1;lr;ob>\r\n"
    b'Contact: <sip:a@h>;reg-id=1;+sip.instance="<urn:uuid:f8-1>"\r\n\r\n',
    _HEAD + b"Require: path, gruu\r\nContact: sip:a@h;x=y\r\n\r\n",
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    try:
        message = parse(data)
    except DecodeError:
        return
    if not isinstance(message, Request):
        return
    nat_signs(message, _FLOW.remote)
    order = _REGISTRAR.examine(message, flow=_FLOW, node="n1")
    answer = order.apply((), _NOW, b"ten octets") if isinstance(order, Order) else order
    assert 200 <= answer.status < 600
    told = answer.response(message, "tag").to_bytes()
    response = parse(told)
    if answer.bindings is not None:
        assert load_bindings(dump_bindings(answer.bindings)) == answer.bindings
        assert len(response.headers.tokens("contact")) == len(answer.bindings)
    fixed = message.copy()
    alias_contact(fixed, _FLOW)
    fix_contact(fixed, _FLOW)
    fixed.to_bytes()
