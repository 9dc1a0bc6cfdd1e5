"""Requests and settings that the tests of the registrar share."""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.sip.binding import Binding
from trunkline.sip.message import Request
from trunkline.sip.registrar import Order, Registrar, Registration, Settings
from trunkline.sip.transport import Flow, Transport

NOW = 1_700_000_000.0
DOMAIN = "atlanta.example"
AOR = "sip:alice@atlanta.example"
INSTANCE = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
FLOW = Flow(Transport.UDP, ("192.0.2.4", 5060), ("203.0.113.1", 5060))
RANDOM = b"ten octets"


def register(
    *contacts: str,
    expires: str | None = None,
    call_id: str = "1@192.0.2.4",
    cseq: int = 1,
    headers: Iterable[tuple[str, str]] = (),
    uri: str = f"sip:{DOMAIN}",
    to: str = "Alice <sip:alice@atlanta.example>",
    vias: int = 1,
) -> Request:
    rows = [("Via", f"SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK{i}") for i in range(vias)]
    rows += [
        ("From", f"{to};tag=1"),
        ("To", to),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} REGISTER"),
        *(("Contact", contact) for contact in contacts),
        *headers,
    ]
    if expires is not None:
        rows.append(("Expires", expires))
    return Request.build("REGISTER", uri, rows)


def settings(**changes: object) -> Settings:
    values: dict[str, object] = {"domains": frozenset((DOMAIN,)), **changes}
    return Settings(**values)  # type: ignore[arg-type]


def process(
    request: Request,
    bindings: Iterable[Binding] = (),
    *,
    now: float = NOW,
    using: Settings | None = None,
    flow: Flow | None = FLOW,
) -> Registration:
    order = Registrar(using or settings()).examine(request, flow=flow, node="n1")
    if isinstance(order, Order):
        return order.apply(tuple(bindings), now, RANDOM)
    return order


def stored(registration: Registration) -> tuple[Binding, ...]:
    assert registration.bindings is not None, registration
    return registration.bindings


def rows(registration: Registration, name: str) -> list[str]:
    return [value for known, value in registration.headers if known == name]
