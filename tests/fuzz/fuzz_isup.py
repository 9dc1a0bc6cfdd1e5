"""ISUP: any octets are one message, kept exactly, or one DecodeError; a machine survives them all.

The first octet chooses how the rest is used: as one message for the codec and the typed views, or
as a series of messages (length, octets) for an exchange with calls in every state.
"""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.ss7.isup.call import Trunks
from trunkline.ss7.isup.codec import parse
from trunkline.ss7.isup.parameters import VIEWS
from trunkline.ss7.isup.settings import Settings
from trunkline.ss7.isup.table import State

_IAM = bytes.fromhex("040001000000 0a03 02 07 05 0390 3005 0f 0a 06 0413 44616960 00")

SEEDS = [
    b"\0" + _IAM,
    b"\0" + bytes.fromhex("0100 06 1604 01 29 01 01 00"),
    b"\0" + bytes.fromhex("0100 0c 02 00 02 80 90"),
    b"\0" + bytes.fromhex("0100 2f 02 00 03 84 e3 f4"),
    b"\0" + bytes.fromhex("0100 18 00 01 02 03 0a"),
    b"\1" + bytes((len(_IAM),)) + _IAM + bytes.fromhex("08 0400 0c 0200 028090 03 010012"),
    b"\1" + bytes.fromhex("06 0100 17 01 01 03 04 0100 13 00 05 0100 fe 0102"),
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    if data[:1] and data[0] & 1:
        _machine(data[1:])
    else:
        _codec(data[1:])


def _codec(octets: bytes) -> None:
    try:
        message = parse(octets)
    except DecodeError:
        return
    assert message.to_bytes() == octets
    for parameter in message.parameters:
        view = VIEWS.get(parameter.code)
        if view is not None:
            try:
                value = view.parse(parameter.value)
            except DecodeError:
                continue
            assert value.to_bytes() == parameter.value


def _machine(octets: bytes) -> None:
    trunks = Trunks(Settings(), 1001)
    trunks.add_group("peer", 2002, range(1, 9))
    for _ in range(2):
        trunks.setup("peer", "1", "", 0.0)
    at = 0
    now = 0.0
    while at < len(octets):
        size = octets[at]
        trunks.receive(2002, octets[at + 1 : at + 1 + size], now)
        at += 1 + size
        now += 7.0
        trunks.on_timeout(now)
    circuits = trunks.groups["peer"].circuits.values()
    on_circuits = {c.call.id for c in circuits if c.call is not None}
    assert on_circuits == set(trunks.calls)
    assert trunks.groups["peer"].idle == sum(
        c.state is State.IDLE and not c.blocked for c in circuits
    )
    for circuit in circuits:
        clearing = circuit.state in (State.IDLE, State.WAIT_FOR_RLC, State.RESETTING)
        assert (circuit.call is None) == clearing
        assert circuit.state is not State.IDLE or not circuit.timers
    for _, _, sent in trunks.data_to_send():
        assert parse(sent).canonical
