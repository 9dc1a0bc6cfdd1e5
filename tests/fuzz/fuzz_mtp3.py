"""MTP3: every codec parses and writes back the same octets, or raises DecodeError; and a router
that gets such messages on its links, in any order with what level 2 may say, never raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trunkline.errors import DecodeError
from trunkline.ss7.m2pa.events import InService, OutOfService
from trunkline.ss7.mtp3 import management, message, slt, traffic_test
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.message import Msu
from trunkline.ss7.mtp3.router import Router
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.pointcode import ANSI, CHINA, ITU, JAPAN, Prefix, Variant

OWN, NEIGHBOUR, OTHER, FAR = (ITU.parse(pc) for pc in ("1.1.1", "2.2.2", "3.3.3", "7.7.1"))


def _msu(si: int, payload: bytes, dpc: int = OWN, opc: int = NEIGHBOUR, sls: int = 0) -> bytes:
    return Msu(0, 0, si, dpc, opc, sls, payload).to_bytes(ITU)


def _joined(*messages: bytes) -> bytes:
    return b"".join(bytes((len(m),)) + m for m in messages)


_TFP = Management(Heading.TFP, pc=FAR).to_bytes(ITU)
_TFA = Management(Heading.TFA, pc=FAR).to_bytes(ITU)
_XCO = Management(Heading.XCO, fsn=3).to_bytes(ITU)
_XCA = Management(Heading.XCA, fsn=0).to_bytes(ITU)
_SLTM = slt.LinkTest(slt.SLTM, b"\x11\x12").to_bytes()
_PING = traffic_test.TrafficTest(traffic_test.REQUEST, 1, 2, b"abc").to_bytes()

# A sequence: length and message, or 0xFE and 0xFF for "in service" and "out of service".
SEEDS = [
    _joined(_msu(5, b"isup", FAR), _msu(0, _TFP), _msu(5, b"isup", FAR), _msu(0, _TFA)),
    _joined(_msu(0, _XCO, sls=1), _msu(0, _XCA, sls=1), _msu(1, _SLTM), _msu(8, _PING)),
    _joined(_msu(3, b"sccp", OTHER), _msu(5, b"own")) + b"\xff\xfe" + _joined(_msu(0, _XCO, sls=1)),
]


class _Level2:
    """Keeps nothing, answers nothing."""

    unacknowledged = 3

    def start(self, now: float) -> Sequence[object]:
        return ()

    def stop(self, now: float) -> Sequence[object]:
        return ()

    def set_emergency(self, flag: bool, now: float) -> Sequence[object]:
        return ()

    def send(self, msus: Sequence[bytes], now: float) -> Sequence[object]:
        assert all(type(m) is bytes for m in msus)
        self.last = msus[-1]
        return ()

    def retrieve_bsnt(self) -> int | None:
        return 7

    def covers(self, fsnc: int) -> bool:
        return fsnc < 100

    def retrieve(self, fsnc: int | None) -> list[bytes]:
        return [_msu(5, b"again", FAR, OWN)]


def run(data: bytes) -> None:
    for variant in (ITU, ANSI, CHINA, JAPAN):
        _same(data, lambda d, v=variant: message.parse(d, v).to_bytes(v))  # type: ignore[misc]
        _same(data, lambda d, v=variant: management.parse(d, v).to_bytes(v))  # type: ignore[misc]
    _same(data, lambda d: slt.parse(d).to_bytes())
    _same(data, lambda d: traffic_test.parse(d).to_bytes())
    _feed(data)


def _same(data: bytes, there_and_back: Callable[[bytes], bytes]) -> None:
    try:
        again = there_and_back(data)
    except DecodeError:
        return
    assert again == data


def _router(variant: Variant) -> Router:
    router = Router(Mtp3Settings(variant, 0, OWN, told_limit=8, flow_limit=8))
    router.add_linkset("A", NEIGHBOUR)
    router.add_linkset("B", OTHER)
    for name in ("A", "A", "B"):
        slc = len(router.linksets[name].links)
        level2 = _Level2()
        slink = router.add_link(name, slc, level2)
        router.on_timeout(0.0)
        router.receive(slink, [InService()], 0.0)
        pattern = slt.parse(message.parse(level2.last, variant).payload).pattern
        answer = slt.LinkTest(slt.SLTA, pattern).to_bytes()
        apc = router.linksets[name].apc
        router.receive(slink, [_msu(1, answer, opc=apc, sls=slc)], 0.0)
    router.add_route(Prefix.of(FAR, 3, variant), "B", None, 0.0)
    router.add_route(Prefix.of(FAR, 11, variant), "A", 6, 0.0)
    return router


def _feed(data: bytes) -> None:
    router = _router(ITU)
    links = [*router.linksets["A"].links.values(), *router.linksets["B"].links.values()]
    now = 1.0
    at = 0
    while at < len(data):
        length = data[at]
        slink = links[length % 3 if length >= 0xFE else at % 3]
        item: object
        if length >= 0xFE:
            item = InService() if length == 0xFE else OutOfService("fuzz")
        else:
            item = data[at + 1 : at + 1 + length]
            at += length
        at += 1
        router.receive(slink, [item], now)
        now += 0.25
        router.on_timeout(now)
        router.explain(FAR)
    router.on_timeout(now + 100)
    assert router.linksets["A"].hold is None
