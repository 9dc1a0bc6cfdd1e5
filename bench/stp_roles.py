"""The two ends of ``bench.stp``: a generator and a sink, each a process of its own.

They speak M2PA with the product's machine but have no MTP3: they answer link tests and no more.
The generator sends numbered messages over all 16 SLS; the sink checks the numbers, in order for
each SLS, none missing, and returns credit through the node, so that at most ``window`` messages
are under way. A warm-up comes first; its end is acknowledged before the measured part begins.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time
from typing import TypedDict, cast

from bench.processes import cpu_of
from trunkline.net.control import ControlClient, socket_path
from trunkline.net.loop import TimerWheel, new_event_loop
from trunkline.net.sctp import Association, AssociationSettings, Settings, open_stack
from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3.message import Msu, parse
from trunkline.ss7.pointcode import ITU

__all__ = ["ADDRESSES", "NETWORK", "POINT_CODES", "PORT", "UDP_PORT"]

UDP_PORT = 19898
PORT = 3565
ADDRESSES = {"generator": "10.97.0.1", "stp": "10.97.0.2", "sink": "10.97.0.3"}
POINT_CODES = {"generator": "1.1.1", "stp": "2.2.2", "sink": "3.3.3"}
NETWORK = "bench-stp"

_PPID = 5  # M2PA
_CREDIT = 128
_USER_PART = 5
_TEST = 1
_SLTM, _SLTA = 0x11, 0x21  # Q.707 section 5.4
_STOPPED = {m2pa.State.ASSOCIATION_DOWN, m2pa.State.OUT_OF_SERVICE}


class _Status(TypedDict):
    pid: int
    links: list[dict[str, str]]


class _Peer:
    """One adjacent signalling point: an M2PA link that answers link tests."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.loop = new_event_loop()
        self.wheel = TimerWheel(self.loop)
        self.level2 = m2pa.Link()
        self.association: Association | None = None
        self.own = ITU.parse(POINT_CODES[role])
        self.report: dict[str, float] = {}
        self.cpu = 0.0
        self._tested = False

    def run(self) -> dict[str, float]:
        """Take part until the last message; return what was measured."""
        stack = open_stack(self.loop, Settings(backend="udp", udp_port=UDP_PORT))
        self.association = stack.open(
            AssociationSettings((ADDRESSES[self.role],), PORT, (ADDRESSES["stp"],), PORT, _PPID),
            self,
        )
        self._tick()
        self.loop.run_forever()
        stack.close()
        return self.report

    def _tick(self) -> None:
        now = self.loop.time()
        deadline = self.level2.next_timeout()
        if deadline is not None and deadline <= now:
            self.level2.on_timeout(now)
        if self.level2.state in _STOPPED:  # at first, and after an alignment that failed
            self.level2.set_emergency(True, now)
            self.level2.start(now)
        self.flush()
        self.wheel.call_later(0.02, self._tick)

    def flush(self) -> None:
        assert self.association is not None
        batch = self.level2.data_to_send()
        if batch:
            self.association.send(batch)

    def association_up(self, now: float) -> None:
        self.level2.communication_up(now)
        self.flush()

    def association_down(self, now: float, reason: str) -> None:
        if self.cpu and not self.report:
            print(f"association lost: {reason}", file=sys.stderr)
            self.loop.stop()
        self.level2.communication_lost(now, reason)

    def association_restart(self, now: float) -> None: ...

    def path_changed(self, address: str, reachable: bool, now: float) -> None: ...

    def user_messages(self, msus: list[bytes], now: float) -> None: ...

    def begin(self) -> None: ...

    def measure(self) -> None:
        """Count this process's CPU from here on."""
        self.cpu = time.process_time()

    def finish(self, **report: float) -> None:
        self.report = {"cpu": time.process_time() - self.cpu, **report}
        self.loop.call_later(0.5, self.loop.stop)

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        items = self.level2.receive(batch, now)
        msus = [item for item in items if type(item) is bytes and item[0] & 15 == _USER_PART]
        if len(msus) < len(items):
            for item in items:
                if type(item) is bytes and item[0] & 15 == _TEST:
                    self._answer_test(item, now)
        if msus:
            self.user_messages(msus, now)
        self.flush()

    def _answer_test(self, octets: bytes, now: float) -> None:
        test = parse(octets, ITU)
        if test.payload[0] != _SLTM:
            return
        answer = Msu(
            ni=test.ni,
            priority=0,
            si=_TEST,
            dpc=test.opc,
            opc=test.dpc,
            sls=test.sls,
            payload=bytes((_SLTA,)) + test.payload[1:],
        )
        self.level2.send([answer.to_bytes(ITU)], now)
        if not self._tested:
            self._tested = True
            self.loop.call_later(1.0, self.begin)

    def message(self, to: str, sls: int, payload: bytes) -> bytes:
        return Msu(
            ni=0,
            priority=0,
            si=_USER_PART,
            dpc=ITU.parse(POINT_CODES[to]),
            opc=self.own,
            sls=sls,
            payload=payload,
        ).to_bytes(ITU)


class _Generator(_Peer):
    """Sends the warm-up, then the measured part, as fast as the credits allow."""

    def __init__(self, warm_up: int, messages: int, size: int, window: int, clear: bool) -> None:
        super().__init__("generator")
        self._heads = [self.message("sink", sls, b"") for sls in range(16)]
        self._filling = bytes(size - len(self._heads[0]) - 4)
        self._rounds = [warm_up, warm_up + messages] if warm_up else [messages]
        self._clear = clear
        self._next = 0
        self._credits = window
        self._node_cpu = 0.0

    def begin(self) -> None:
        with ControlClient(socket_path(NETWORK, "STP")) as client:
            status = cast(_Status, client.call("node.status"))
            if not all(link["mtp3"] == "avail" for link in status["links"]):
                self.loop.call_later(0.1, self.begin)
                return
            if len(self._rounds) == 1:
                if self._clear:
                    client.call("bench.clear")
                self._node_cpu = cpu_of(status["pid"])
                self.measure()
        self._send(self.loop.time())

    def user_messages(self, msus: list[bytes], now: float) -> None:
        if not msus[-1].endswith(b"done"):
            self._credits += len(msus) * _CREDIT
            self._send(now)
            return
        self._credits += (len(msus) - 1) * _CREDIT
        self._rounds.pop(0)
        if self._rounds:
            self.loop.call_later(0.3, self.begin)
        else:
            self.finish(node_cpu=self._node_cpu)

    def _send(self, now: float) -> None:
        count = min(self._credits, self._rounds[0] - self._next)
        heads, filling, first = self._heads, self._filling, self._next
        self._next += count
        self._credits -= count
        if count:
            numbers = range(first, first + count)
            msus = [heads[n & 15] + n.to_bytes(4, "big") + filling for n in numbers]
            self.level2.send(msus, now)
            self.flush()


class _Sink(_Peer):
    """Checks the numbers for each SLS and gives credit."""

    def __init__(self, warm_up: int, messages: int) -> None:
        super().__init__("sink")
        self._warm_up = warm_up
        self._total = warm_up + messages
        self._credit = self.message("generator", 0, b"credit")
        self._done = self.message("generator", 0, b"done")
        self._expected: list[int] | None = None
        """The next number of each SLS, once they no longer come in order altogether."""
        self._received = 0
        self._disorder = 0
        self._owed = 0
        self._started = 0.0

    def user_messages(self, msus: list[bytes], now: float) -> None:
        if self._received == self._warm_up:
            self._started = time.perf_counter()
            self.measure()
        first, self._received = self._received, self._received + len(msus)
        wanted = struct.pack(f">{len(msus)}I", *range(first, self._received))
        if self._expected is None and b"".join([msu[5:9] for msu in msus]) != wanted:
            # Not in order altogether; from here on, each SLS by itself.
            self._expected = [first + (sls - first & 15) for sls in range(16)]
        if self._expected is not None:
            self._follow(msus, self._expected)
        due, self._owed = divmod(self._owed + len(msus), _CREDIT)
        replies = [self._credit] * due
        if self._received in (self._warm_up, self._total):
            replies.append(self._done)
        if self._received == self._total:
            self.finish(
                seconds=time.perf_counter() - self._started,
                received=self._received,
                disorder=self._disorder,
            )
        if replies:
            self.level2.send(replies, now)

    def _follow(self, msus: list[bytes], expected: list[int]) -> None:
        for msu in msus:
            number = int.from_bytes(msu[5:9], "big")
            sls = msu[4] >> 4
            if number != expected[sls]:
                self._disorder += 1
            expected[sls] = number + 16


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("role", choices=("generator", "sink"))
    parser.add_argument("--warm-up", type=int, required=True)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--clear", action="store_true")
    options = parser.parse_args()
    peer: _Peer
    if options.role == "generator":
        peer = _Generator(
            options.warm_up, options.messages, options.size, options.window, options.clear
        )
    else:
        peer = _Sink(options.warm_up, options.messages)
    print(json.dumps(peer.run()))


if __name__ == "__main__":
    main()
