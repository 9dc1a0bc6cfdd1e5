"""The topmost Via, whatever stands in it: RFC 3261 sections 18.2.1 and 20.42, RFC 3581."""

from __future__ import annotations

import pytest

from trunkline.sip import via as room
from trunkline.sip.message import Request
from trunkline.sip.via import mark_source, top_via

SOURCE = ("192.0.2.10", 5070)


def marked(params: str) -> tuple[str, str, bool]:
    """What becomes of a Via with these parameters: itself, its branch, whether it is symmetric."""
    value = f"SIP/2.0/UDP h{params}, SIP/2.0/UDP other;rport"
    request = Request.build("OPTIONS", "sip:x", [("Via", value)])
    via = top_via(value)
    assert via is not None
    mark_source(request, 0, via, SOURCE)
    written = request.headers["via"][0]
    assert written.endswith(", SIP/2.0/UDP other;rport")
    return written.partition(",")[0].removeprefix("SIP/2.0/UDP h"), via.branch, via.symmetric


@pytest.mark.parametrize(
    ("params", "becomes", "symmetric"),
    [
        (";branch=z1", ";branch=z1;received=192.0.2.10", False),
        (";branch=z1;rport", ";branch=z1;rport=5070;received=192.0.2.10", True),
        (";rport;branch=z1;Received=9.9.9.9", ";rport=5070;branch=z1;received=192.0.2.10", True),
        # in quotes stands no parameter
        (';x=";received=1";branch=z1', ';x=";received=1";branch=z1;received=192.0.2.10', False),
        (';x=";rport";branch=z1', ';x=";rport";branch=z1;received=192.0.2.10', False),
        (';x=";branch=no";branch=z1', ';x=";branch=no";branch=z1;received=192.0.2.10', False),
        (
            r';x="\";rport;";rport;received=1;branch=z1',
            r';x="\";rport;";rport=5070;branch=z1;received=192.0.2.10',
            True,
        ),
    ],
)
def test_what_is_written_into_it(params: str, becomes: str, symmetric: bool) -> None:
    assert marked(params) == (becomes, "z1", symmetric)


def test_places_are_remembered_within_bounds() -> None:
    room._PLACES.clear()
    assert top_via(f"SIP/2.0/UDP {'h' * 255};branch=z9hG4bK1") is not None
    assert top_via(f"SIP/2.0/UDP {'h' * 256};branch=z9hG4bK1") is None
    assert top_via(f"SIP/2.0/{'U' * 60_000} h;branch=z9hG4bK1") is not None
    assert not [place for place in room._PLACES if len(place) > 256]
