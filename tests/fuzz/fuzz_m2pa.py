"""M2PA messages: what is accepted encodes to the same octets, the rest is a ``DecodeError``.

The link is fed too: whatever the peer sends, it raises nothing.
"""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.ss7.m2pa import Link, LinkStatus, Status, UserData, parse

_START = 0xFFFFFF
_MSU = bytes.fromhex("85 13e80206 050001 0000000000")

SEEDS = [
    *(LinkStatus(_START, _START, state).to_bytes() for state in Status),
    LinkStatus(_START, _START, Status.PROVING_NORMAL, bytes(range(40))).to_bytes(),
    UserData(_START, 0, msu=_MSU).to_bytes(),
    UserData(_START, _START).to_bytes(),
]


def _link() -> Link:
    link = Link()
    link.communication_up(0.0)
    link.set_emergency(True, 0.0)
    link.start(0.0)
    for state in (Status.ALIGNMENT, Status.PROVING_NORMAL):
        link.receive([(0, LinkStatus(_START, _START, state).to_bytes())], 0.0)
    link.on_timeout(1.0)
    link.receive([(0, LinkStatus(_START, _START, Status.READY).to_bytes())], 1.0)
    return link


def run(data: bytes) -> None:
    """Raise when the codec's invariant, or the link, breaks."""
    link = _link()
    assert link.state == "in service"
    link.receive([(1, data), (0, data), (1, data[:16])], 1.0)
    link.data_to_send()
    try:
        message = parse(data)
    except DecodeError:
        return
    assert message.to_bytes() == data
