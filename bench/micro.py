"""The protocol rooms by themselves: what one message or call costs without any transport.

Each figure is the CPU time of one operation in microseconds, in batches of 64 where the room
works in batches: the median of several repetitions, in one process per runtime.

    python -m bench.micro [--repeat 7] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Sequence

from bench.figures import Figure, show
from bench.runtimes import CPYTHON, Runtime, pypy
from trunkline.sip import message as sip
from trunkline.sip import sdp
from trunkline.ss7 import m2pa
from trunkline.ss7.isup import codec as isup
from trunkline.ss7.isup import events as isup_events
from trunkline.ss7.isup.call import Trunks
from trunkline.ss7.isup.settings import Settings as IsupSettings
from trunkline.ss7.m2pa.codec import UserData
from trunkline.ss7.mtp3 import message as mtp3
from trunkline.ss7.mtp3 import slt
from trunkline.ss7.mtp3.router import Router
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.pointcode import ITU

__all__ = ["TITLES", "measure"]

_BATCH = 64
_SIZE = 100
_SECONDS = 0.15  # one repetition
_WARM_UP = 1.0  # seconds that a JIT gets first

TITLES = {
    "link": "M2PA machine: one MSU in (sequence, acknowledgement) and one out",
    "transit": "MTP3 machine: one MSU in transit, its flow in the cache",
    "explain": "MTP3: one destination explained, the winner and the others",
    "m2pa": "M2PA codec: User Data parsed and written",
    "mtp3": "MTP3 codec: MSU parsed and written",
    "isup": "ISUP codec: IAM parsed and written",
    "call": "ISUP machine: one call, IAM to RLC, both exchanges",
    "point code": "point code parsed and printed",
    "sip read": "SIP: INVITE read, five header fields looked at",
    "sip": "SIP: the same, and written again",
    "sdp": "SDP of that INVITE: read, port and address looked at",
}

# Called 3005 ST, calling +4416960600
_IAM = bytes.fromhex("a365 01 00 2001 0a 03 02 07 05 83 90 0350 0f 0a 07 04 13 44 61 69 60 00 00")


# As the caller of the SIP bench sends it: twelve header fields and SDP
_SDP = "\r\n".join(
    (
        "v=0",
        "o=user1 53655765 2353687637 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        "m=audio 6000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=sendrecv",
        "",
    )
).encode()
_INVITE = sip.Request.build(
    "INVITE",
    "sip:bob@127.0.0.1:5070",
    [
        ("Via", "SIP/2.0/UDP 127.0.0.1:5090;branch=z9hG4bK-2541-1-0"),
        ("Max-Forwards", "70"),
        ("From", '"Alice" <sip:alice@ims.mnc001.mcc001.3gppnetwork.org>;tag=2541t1'),
        ("To", '"Bob" <sip:bob@ims.mnc001.mcc001.3gppnetwork.org>'),
        ("Call-ID", "1-2541@127.0.0.1"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:alice@127.0.0.1:5090;transport=UDP>"),
        ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE"),
        ("Supported", "100rel, timer, replaces"),
        ("User-Agent", "bench/1"),
        ("Subject", "Performance Test"),
        ("Content-Type", "application/sdp"),
    ],
    _SDP,
).to_bytes()


def _read_invite() -> sip.Request | sip.Response:
    found = sip.parse(_INVITE)
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        found.headers.get(name)
    return found


def _read_sdp() -> tuple[int, str]:
    found = sdp.parse(_SDP)
    return found.media[0].port, found.origin.address


class _Peer:
    """Two M2PA links, brought in service; ``pass_on`` carries what one has to send."""

    def __init__(self) -> None:
        self.near, self.far = m2pa.Link(), m2pa.Link()
        self.now = 0.0
        for link in (self.near, self.far):
            link.communication_up(self.now)
            link.set_emergency(True, self.now)
            link.start(self.now)
        while self.near.state is not m2pa.State.IN_SERVICE or self.near.state != self.far.state:
            self.pass_on()
            self.now += 0.1
            for link in (self.near, self.far):
                link.on_timeout(self.now)
        self.pass_on()

    def pass_on(self) -> None:
        for one, other in ((self.near, self.far), (self.far, self.near)):
            other.receive(one.data_to_send(), self.now)


class _Level2:
    """The least that a router takes for a link."""

    unacknowledged = 0

    def __init__(self) -> None:
        self.sent: Sequence[bytes] = ()

    def start(self, now: float) -> Sequence[object]:
        return ()

    def stop(self, now: float) -> Sequence[object]:
        return ()

    def set_emergency(self, flag: bool, now: float) -> Sequence[object]:
        return ()

    def send(self, msus: Sequence[bytes], now: float) -> Sequence[object]:
        self.sent = msus
        return ()

    def covers(self, fsnc: int) -> bool:
        return True

    def retrieve_bsnt(self) -> int:
        return 0

    def retrieve(self, fsnc: int | None) -> list[bytes]:
        return []


def _link() -> Callable[[], None]:
    peer = _Peer()
    near, far, now = peer.near, peer.far, peer.now
    msus = [bytes(_SIZE)] * _BATCH

    def run() -> None:
        # out at one end and in at the other: together, what a node does for a message
        near.send(msus, now)
        far.receive(near.data_to_send(), now)
        near.receive(far.data_to_send(), now)

    return run


def _router() -> tuple[Router, Callable[[], None]]:
    router = Router(Mtp3Settings(ITU, 0, 100))
    links = []
    for name, apc in (("in", 200), ("out", 300)):
        router.add_linkset(name, apc)
        level2 = _Level2()
        link = router.add_link(name, 0, level2)
        router.on_timeout(0.0)
        router.receive(link, [m2pa.InService()], 0.0)
        test = mtp3.parse(level2.sent[0], ITU)
        pattern = slt.parse(test.payload)
        answer = slt.LinkTest(slt.SLTA, pattern.pattern, pattern.low).to_bytes()
        msu = mtp3.Msu(0, 0, test.si, test.opc, test.dpc, test.sls, answer)
        router.receive(link, [msu.to_bytes(ITU)], 0.0)
        links.append(link)
    msus = [mtp3.Msu(0, 0, 5, 300, 200, k % 16, bytes(95)).to_bytes(ITU) for k in range(_BATCH)]
    before = links[1].counters.tx_msus

    def run() -> None:
        router.receive(links[0], msus, 6.0)

    run()
    if links[1].counters.tx_msus != before + _BATCH:
        raise RuntimeError("the router does not forward")
    return router, run


def _call() -> Callable[[], None]:
    low, high = Trunks(IsupSettings(), 100), Trunks(IsupSettings(), 200)
    low.add_group("high", 200, range(1, 31))
    high.add_group("low", 100, range(1, 31))

    def carry() -> list[object]:
        events: list[object] = []
        while True:
            going, coming = low.data_to_send(), high.data_to_send()
            if not going and not coming:
                return events
            for _, __, octets in going:
                events += high.receive(100, octets, 0.0)
            for _, __, octets in coming:
                events += low.receive(200, octets, 0.0)

    carry()

    def run() -> None:
        mine = low.setup("high", "3005", "614", 0.0).id
        theirs = next(e.call_id for e in carry() if isinstance(e, isup_events.IncomingCall))
        high.alert(theirs, 0.0)
        carry()
        high.answer(theirs, 0.0)
        carry()
        low.release(mine, 16, 0.0)
        carry()

    return run


def _operations() -> dict[str, tuple[Callable[[], object], int]]:
    """The operations, and how many messages or calls each is."""
    router, transit = _router()
    data = UserData(1, 2, msu=bytes(_SIZE)).to_bytes()
    msu = mtp3.Msu(0, 0, 5, 300, 200, 3, bytes(95)).to_bytes(ITU)
    return {
        "link": (_link(), _BATCH),
        "transit": (transit, _BATCH),
        "explain": (lambda: router.explain(300), 1),
        "m2pa": (lambda: m2pa.parse(data).to_bytes(), 1),
        "mtp3": (lambda: mtp3.parse(msu, ITU).to_bytes(ITU), 1),
        "isup": (lambda: isup.parse(_IAM).to_bytes(), 1),
        "sip read": (_read_invite, 1),
        "sip": (lambda: _read_invite().to_bytes(), 1),
        "sdp": (_read_sdp, 1),
        "call": (_call(), 1),
        "point code": (lambda: ITU.format(ITU.parse("4.5.6")), 1),
    }


def _play(repeat: int) -> dict[str, list[float]]:
    """Measure in this process; microseconds of CPU for each repetition."""
    clock = time.process_time
    found: dict[str, list[float]] = {}
    for name, (operation, size) in _operations().items():
        count = 1
        end = clock() + _WARM_UP
        while clock() < end:
            begin = clock()
            for _ in range(count):
                operation()
            spent = clock() - begin
            count = max(count, int(count * min(4.0, _SECONDS / max(spent, 1e-6))))
        found[name] = []
        for _ in range(repeat):
            begin = clock()
            for _ in range(count):
                operation()
            found[name].append((clock() - begin) / count / size * 1e6)
    return found


def measure(
    repeat: int = 7,
    runtimes: tuple[Runtime, ...] = (CPYTHON,),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Figure]]:
    """Microseconds of CPU by runtime and operation."""
    figures: dict[str, dict[str, Figure]] = {}
    for runtime in runtimes:
        progress(f"rooms by themselves on {runtime.title}")
        output = subprocess.run(
            [runtime.interpreter, "-m", "bench.micro", "--play", "--repeat", str(repeat)],
            env=runtime.variables(),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        figures[runtime.name] = {
            name: Figure.of(values) for name, values in json.loads(output).items()
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        print(json.dumps(_play(options.repeat)))
        return
    other = pypy()
    runtimes = (CPYTHON,) if other is None else (CPYTHON, other)
    show(measure(options.repeat, runtimes), as_json=options.json)


if __name__ == "__main__":
    main()
