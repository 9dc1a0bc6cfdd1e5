"""What the transport alone can do: SCTP over UDP, 100-octet messages, one process per role.

Two figures:

- *one hop*: generator → sink, two processes;
- *two hops*: generator → forwarder → sink, three processes; the forwarder only receives a batch
  and sends it on. That is the ceiling of any signalling transfer point on this transport, and
  ``two_hop`` is the denominator of the product's own bench.

The sink returns a credit every so many messages, so that at most ``window`` are under way, as
M2PA's acknowledgements do; it checks that the numbers in the messages come in order, none missing.

    python bench/transport.py [--json] [--runs 5] [--messages 200000] [--python INTERPRETER]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from trunkline.net.loop import new_event_loop
from trunkline.net.sctp import Association, AssociationSettings, Settings, open_stack

_PORT = 3565
_PPID = 5
_CREDIT = 128
_ADDRESSES = {"generator": "10.98.0.1", "forwarder": "10.98.0.2", "sink": "10.98.0.3"}


@dataclass(frozen=True, slots=True)
class Result:
    """One run. Rates in messages per second, CPU in microseconds per message."""

    hops: int
    messages: int
    rate: float
    cpu: dict[str, float]
    packets: float
    """SCTP packets that the generator sent, a message."""

    @property
    def cpu_total(self) -> float:
        """All processes together."""
        return sum(self.cpu.values())


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, and by whom."""

    size: int = 100
    """Octets a message."""
    window: int = 2048
    """Messages under way."""
    mtu: int = 1500
    interpreter: str = sys.executable


def one_hop(messages: int = 200_000, load: Load = Load()) -> Result:
    """Run generator → sink once."""
    return _run(("generator", "sink"), messages, load)


def two_hop(messages: int = 200_000, load: Load = Load()) -> Result:
    """Run generator → forwarder → sink once: the ceiling of a transfer point."""
    return _run(("generator", "forwarder", "sink"), messages, load)


def _run(roles: tuple[str, ...], messages: int, load: Load) -> Result:
    processes = {}
    udp_port = 20000 + os.getpid() % 20000  # two benches at a time do not meet
    for index, role in enumerate(roles):
        neighbours = [roles[i] for i in (index - 1, index + 1) if 0 <= i < len(roles)]
        command = [load.interpreter, __file__, "--role", role, "--neighbours", *neighbours]
        command += ["--messages", str(messages), "--size", str(load.size)]
        command += ["--window", str(load.window), "--mtu", str(load.mtu)]
        command += ["--udp-port", str(udp_port)]
        processes[role] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    reports = {}
    try:
        for role, process in processes.items():
            output, _ = process.communicate(timeout=300)
            if process.returncode:
                raise RuntimeError(f"{role} ended with {process.returncode}")
            reports[role] = json.loads(output)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    sink = reports["sink"]
    if sink["received"] != messages or sink["disorder"]:
        raise RuntimeError(f"lost or out of order: {sink}")
    cpu = {role: report["cpu"] / messages * 1e6 for role, report in reports.items()}
    packets = reports["generator"]["packets"] / messages
    return Result(len(roles) - 1, messages, messages / sink["seconds"], cpu, packets)


class _Role:
    """A process of the bench: counts its own CPU from the first message to the last."""

    def __init__(self, messages: int) -> None:
        self.loop = new_event_loop()
        self.messages_expected = messages
        self.others_up = 0
        self.cpu = 0.0
        self.report: dict[str, float] = {}
        self.links: list[Association] = []

    def association_up(self, now: float) -> None:
        self.others_up += 1
        if self.others_up == len(self.links):
            self.ready()

    def association_down(self, now: float, reason: str) -> None:
        self.loop.stop()

    def association_restart(self, now: float) -> None: ...

    def path_changed(self, address: str, reachable: bool, now: float) -> None: ...

    def ready(self) -> None:
        self.cpu = time.process_time()

    def finish(self, **report: float) -> None:
        self.report = {"cpu": time.process_time() - self.cpu, **report}
        self.loop.call_later(0.3, self.loop.stop)


class _Generator(_Role):
    """Sends numbered messages as fast as the credits allow, once the way is open."""

    def __init__(self, messages: int, size: int, window: int) -> None:
        super().__init__(messages)
        self._filling = bytes(size - 8)
        self._next = 0
        self._credits = window

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        self._credits += sum(data == b"credit" for _, data in batch) * _CREDIT
        self._send()
        if any(data == b"done" for _, data in batch):
            self.finish()

    def _send(self) -> None:
        count = min(self._credits, self.messages_expected - self._next)
        filling, first = self._filling, self._next
        self._next += count
        self._credits -= count
        self.links[0].send(
            [(1, number.to_bytes(8, "big") + filling) for number in range(first, first + count)]
        )


class _Forwarder(_Role):
    """Passes every batch on to the other side; only the sink's last message ends it."""

    def ready(self) -> None:
        super().ready()
        self.links[0].send([(1, b"ready")])

    def attach(self, index: int) -> _Side:
        return _Side(self, index)


class _Side:
    def __init__(self, role: _Forwarder, index: int) -> None:
        self._role = role
        self._other = 1 - index
        self.association_up = role.association_up
        self.association_down = role.association_down
        self.association_restart = role.association_restart
        self.path_changed = role.path_changed

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        self._role.links[self._other].send(batch)
        if batch[-1][1] == b"done":
            self._role.finish()


class _Sink(_Role):
    """Checks the numbers and gives credit."""

    alone = False
    """No forwarder comes before it: the generator waits for its word."""
    received = 0
    disorder = 0
    started = 0.0
    _owed = 0

    def ready(self) -> None:
        super().ready()
        if self.alone:
            self.links[0].send([(1, b"ready")])

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        if not self.received:
            self.started = time.perf_counter()
        expected = self.received
        for _, data in batch:
            if int.from_bytes(data[:8], "big") != expected:
                self.disorder += 1
            expected += 1
        self.received = expected
        due, self._owed = divmod(self._owed + len(batch), _CREDIT)
        replies = [(1, b"credit")] * due
        if expected == self.messages_expected:
            replies.append((1, b"done"))
            seconds = time.perf_counter() - self.started
            self.finish(seconds=seconds, received=expected, disorder=self.disorder)
        if replies:
            self.links[0].send(replies)


def _play(arguments: argparse.Namespace) -> None:
    own = _ADDRESSES[arguments.role]
    role: _Role
    if arguments.role == "generator":
        role = _Generator(arguments.messages, arguments.size, arguments.window)
    elif arguments.role == "forwarder":
        role = _Forwarder(arguments.messages)
    else:
        role = _Sink(arguments.messages)
        role.alone = arguments.neighbours == ["generator"]
    settings = Settings(backend="udp", udp_port=arguments.udp_port, mtu=arguments.mtu)
    stack = open_stack(role.loop, settings)
    for index, neighbour in enumerate(arguments.neighbours):
        remote = _ADDRESSES[neighbour]
        handler = role.attach(index) if isinstance(role, _Forwarder) else role
        role.links.append(
            stack.open(AssociationSettings((own,), _PORT, (remote,), _PORT, _PPID), handler)
        )
    role.loop.run_forever()
    role.report["packets"] = stack.stats.packets_out
    stack.close()
    print(json.dumps(role.report))
    sys.exit(0 if "cpu" in role.report else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--udp-port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--neighbours", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        _play(arguments)
        return
    load = Load(arguments.size, arguments.window, arguments.mtu, str(arguments.python))
    report = {}
    for name, bench in (("one_hop", one_hop), ("two_hop", two_hop)):
        runs = [bench(arguments.messages, load) for _ in range(arguments.runs)]
        rates = [run.rate for run in runs]
        median = min(runs, key=lambda run: abs(run.rate - statistics.median(rates)))
        report[name] = {
            **asdict(median),
            "cpu_total": median.cpu_total,
            "lowest": min(rates),
            "highest": max(rates),
        }
        if not arguments.json:
            cpu = ", ".join(f"{role} {value:.1f}" for role, value in median.cpu.items())
            print(
                f"{name}: {median.rate:,.0f} messages/s ({min(rates):,.0f}-{max(rates):,.0f}),"
                f" CPU {median.cpu_total:.1f} us a message ({cpu}),"
                f" {median.packets:.3f} packets a message"
            )
    if arguments.json:
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
