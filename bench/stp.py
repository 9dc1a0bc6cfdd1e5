"""The product as a signalling transfer point: M2PA in, M2PA out, 100-octet messages.

Three processes: a generator, the product's own node (``trunkline run``, from a router
configuration, with counters, link tests and acknowledgements on), a sink. The generator and the
sink speak M2PA with the product's machine but have no MTP3: they answer link tests and no more.
The sink checks the number in every message, in order for each SLS, none missing, and returns
credit through the node, so that at most ``window`` messages are under way.

Its denominator is ``transport.two_hop`` in the same run: the same path without M2PA and MTP3.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import transport
from trunkline.lab.answers import NodeStatus, read
from trunkline.net.control import ControlClient, socket_path
from trunkline.net.loop import TimerWheel, new_event_loop
from trunkline.net.sctp import Association, AssociationSettings, Settings, open_stack
from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3.message import Msu, parse
from trunkline.ss7.pointcode import ITU

_UDP_PORT = 19898
_PORT = 3565
_PPID = 5
_CREDIT = 128
_ADDRESSES = {"generator": "10.97.0.1", "stp": "10.97.0.2", "sink": "10.97.0.3"}
_POINT_CODES = {"generator": "1.1.1", "stp": "2.2.2", "sink": "3.3.3"}
_NETWORK = "bench-stp"

_CONFIG = """\
hostname STP
cs7 variant itu
cs7 network-indicator international
cs7 point-code 2.2.2
cs7 local-peer 3565
 local-ip 10.97.0.2
cs7 linkset ToGenerator 1.1.1
 link 0 sctp 10.97.0.1 3565 3565
cs7 linkset ToSink 3.3.3
 link 0 sctp 10.97.0.3 3565 3565
"""
_FILE = f"""\
[network]
name = "{_NETWORK}"
[sctp]
backend = "udp"
udp_port = {_UDP_PORT}
[node.STP]
config = ["stp.cfg"]
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One run. ``rate`` in messages per second, CPU in microseconds per message."""

    messages: int
    rate: float
    cpu_stp: float
    cpu_generator: float
    cpu_sink: float
    lost: int
    disorder: int


def forward(
    messages: int = 200_000,
    *,
    size: int = 100,
    window: int = 2048,
    interpreter: str = sys.executable,
    environment: dict[str, str] | None = None,
) -> Result:
    """Run the node under ``interpreter`` between a generator and a sink once.

    Raises:
        RuntimeError: a message was lost, came twice or out of order.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stp.cfg").write_text(_CONFIG)
        (Path(folder) / "network.toml").write_text(_FILE)
        command = [interpreter, "-m", "trunkline", "run", f"{folder}/network.toml"]
        with (Path(folder) / "log").open("wb") as log:
            node = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
            )
            peers = {
                role: subprocess.Popen(
                    [
                        *(sys.executable, "-m", "bench.stp", "--role", role),
                        *("--messages", str(messages), "--size", str(size)),
                        *("--window", str(window)),
                    ],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for role in ("generator", "sink")
            }
            try:
                reports = {}
                for role, process in peers.items():
                    try:
                        output, _ = process.communicate(timeout=30)
                    except subprocess.TimeoutExpired:
                        output = ""
                    if not output:
                        said = (Path(folder) / "log").read_text()
                        raise RuntimeError(f"{role} does not end; the node said:\n{said}")
                    reports[role] = json.loads(output)
                cpu_before = reports["generator"]["node_cpu"]
                cpu_after = _cpu(node.pid)
            finally:
                for process in peers.values():
                    process.kill()
                    process.wait()
                node.terminate()
                node.wait()
    sink = reports["sink"]
    if sink["received"] != messages or sink["disorder"]:
        raise RuntimeError(f"lost or out of order: {sink}")
    return Result(
        messages=messages,
        rate=messages / sink["seconds"],
        cpu_stp=(cpu_after - cpu_before) / messages * 1e6,
        cpu_generator=reports["generator"]["cpu"] / messages * 1e6,
        cpu_sink=sink["cpu"] / messages * 1e6,
        lost=messages - sink["received"],
        disorder=sink["disorder"],
    )


def compare(
    runs: int = 5,
    messages: int = 200_000,
    interpreter: str = sys.executable,
    environment: dict[str, str] | None = None,
) -> dict[str, object]:
    """Alternate the node and the bare transport ``runs`` times; medians, spreads and the ratio."""
    node: list[Result] = []
    bare: list[transport.Result] = []
    for _ in range(runs):
        bare.append(transport.two_hop(messages))
        node.append(forward(messages, interpreter=interpreter, environment=environment))
    ratios = [mine.rate / ceiling.rate for mine, ceiling in zip(node, bare, strict=True)]
    return {
        "messages": messages,
        "runs": runs,
        "rate": statistics.median(result.rate for result in node),
        "rate_lowest": min(result.rate for result in node),
        "rate_highest": max(result.rate for result in node),
        "ceiling": statistics.median(result.rate for result in bare),
        "ratio": statistics.median(ratios),
        "ratio_lowest": min(ratios),
        "ratio_highest": max(ratios),
        "cpu_stp": statistics.median(result.cpu_stp for result in node),
        "cpu_bare_forwarder": statistics.median(result.cpu["forwarder"] for result in bare),
        "cpu_generator": statistics.median(result.cpu_generator for result in node),
        "cpu_sink": statistics.median(result.cpu_sink for result in node),
    }


def _cpu(pid: int) -> float:
    """Seconds of CPU of all threads of a process (schedstat counts nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class _Peer:
    """One adjacent signalling point: an M2PA link that answers link tests."""

    def __init__(self, role: str, messages: int) -> None:
        self.role = role
        self.total = messages
        self.loop = new_event_loop()
        self.wheel = TimerWheel(self.loop)
        self.level2 = m2pa.Link()
        self.association: Association | None = None
        self.own = ITU.parse(_POINT_CODES[role])
        self.report: dict[str, float] = {}
        self.cpu = 0.0
        self._tested = False

    def run(self) -> dict[str, float]:
        stack = open_stack(self.loop, Settings(backend="udp", udp_port=_UDP_PORT))
        self.association = stack.open(
            AssociationSettings(
                (_ADDRESSES[self.role],), _PORT, (_ADDRESSES["stp"],), _PORT, _PPID
            ),
            self,
        )
        self.level2.set_emergency(True, self.loop.time())
        self.level2.start(self.loop.time())
        self._tick()
        self.loop.run_forever()
        stack.close()
        return self.report

    def _tick(self) -> None:
        now = self.loop.time()
        deadline = self.level2.next_timeout()
        if deadline is not None and deadline <= now:
            self.level2.on_timeout(now)
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

    def association_restart(self, now: float) -> None: ...

    def path_changed(self, address: str, reachable: bool, now: float) -> None: ...

    def user_messages(self, msus: list[bytes], now: float) -> None: ...

    def begin(self) -> None:
        self.cpu = time.process_time()

    def finish(self, **report: float) -> None:
        self.report = {"cpu": time.process_time() - self.cpu, **report}
        self.loop.call_later(0.5, self.loop.stop)

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        msus: list[bytes] = []
        for item in self.level2.receive(batch, now):
            if type(item) is not bytes:
                continue
            if item[0] & 15 == 5:
                msus.append(item)
            elif item[0] & 15 == 1:
                self._answer_test(item, now)
        if msus:
            self.user_messages(msus, now)
        self.flush()

    def _answer_test(self, octets: bytes, now: float) -> None:
        test = parse(octets, ITU)
        if test.payload[0] != 0x11:  # SLTM, Q.707 section 5.4
            return
        answer = Msu(
            ni=test.ni,
            priority=0,
            si=1,
            dpc=test.opc,
            opc=test.dpc,
            sls=test.sls,
            payload=b"\x21" + test.payload[1:],
        )
        self.level2.send([answer.to_bytes(ITU)], now)
        if not self._tested:
            self._tested = True
            self.loop.call_later(1.0, self.begin)

    def message(self, to: str, sls: int, payload: bytes) -> bytes:
        return Msu(
            ni=0,
            priority=0,
            si=5,
            dpc=ITU.parse(_POINT_CODES[to]),
            opc=self.own,
            sls=sls,
            payload=payload,
        ).to_bytes(ITU)


class _Generator(_Peer):
    """Sends numbered messages over all 16 SLS, as fast as the credits allow."""

    def __init__(self, messages: int, size: int, window: int) -> None:
        super().__init__("generator", messages)
        heads = [self.message("sink", sls, b"") for sls in range(16)]
        self._heads = heads
        self._filling = bytes(size - len(heads[0]) - 4)
        self._next = 0
        self._credits = window
        self._node_cpu = 0.0

    def begin(self) -> None:
        with ControlClient(socket_path(_NETWORK, "STP")) as client:
            status = read(client.call("node.status"), NodeStatus)
        if not all(link.up for link in status.links):
            self.loop.call_later(0.1, self.begin)
            return
        self._node_cpu = _cpu(status.pid)
        super().begin()
        self._send(self.loop.time())

    def user_messages(self, msus: list[bytes], now: float) -> None:
        self._credits += len(msus) * _CREDIT
        if any(msu.endswith(b"done") for msu in msus):
            self.finish(node_cpu=self._node_cpu)
            return
        self._send(now)

    def _send(self, now: float) -> None:
        count = min(self._credits, self.total - self._next)
        heads, filling, first = self._heads, self._filling, self._next
        self._next += count
        self._credits -= count
        if count:
            self.level2.send(
                [
                    heads[n & 15] + n.to_bytes(4, "big") + filling
                    for n in range(first, first + count)
                ],
                now,
            )
            self.flush()


class _Sink(_Peer):
    """Checks the numbers for each SLS and gives credit."""

    def __init__(self, messages: int) -> None:
        super().__init__("sink", messages)
        self._credit = self.message("generator", 0, b"credit")
        self._done = self.message("generator", 0, b"done")
        self._expected = list(range(16))
        self._received = 0
        self._disorder = 0
        self._owed = 0
        self._started = 0.0

    def user_messages(self, msus: list[bytes], now: float) -> None:
        if not self._received:
            self._started = time.perf_counter()
            self.cpu = time.process_time()
        expected = self._expected
        for msu in msus:
            number = int.from_bytes(msu[5:9], "big")
            sls = msu[4] >> 4
            if number != expected[sls]:
                self._disorder += 1
            expected[sls] = number + 16
        self._received += len(msus)
        due, self._owed = divmod(self._owed + len(msus), _CREDIT)
        replies = [self._credit] * due
        if self._received == self.total:
            replies.append(self._done)
            self.finish(
                seconds=time.perf_counter() - self._started,
                received=self._received,
                disorder=self._disorder,
            )
        if replies:
            self.level2.send(replies, now)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--role", choices=("generator", "sink"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "generator":
        print(json.dumps(_Generator(options.messages, options.size, options.window).run()))
    elif options.role == "sink":
        print(json.dumps(_Sink(options.messages).run()))
    else:
        print(json.dumps(compare(options.runs, options.messages, options.python), indent=2))


if __name__ == "__main__":
    main()
