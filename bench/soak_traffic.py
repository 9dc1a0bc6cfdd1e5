"""What a soak does to its lab: calls, pings, cuts and kills, each in a thread of its own.

Every call has a pair of numbers of its own, so that the records of both exchanges are matched
without trusting any identifier of theirs.
"""

from __future__ import annotations

import random
import signal
import threading
from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass, field

from trunkline.errors import TrunklineError
from trunkline.lab.answers import ActiveCall, Ping, read
from trunkline.lab.client import LabClient
from trunkline.lab.network import Network
from trunkline.lab.runtime import end_process, read_state
from trunkline.lab.topology import TopologyLink

__all__ = ["Caller", "Pinger", "Placed", "Saboteur", "Worker"]

_EXCHANGES = ("ExchangeA", "ExchangeD")
_PREFIXES = {
    "ExchangeA": ("614", "612", "613", "617", "618", "611300", "611800", "619"),
    "ExchangeD": ("3005",),
}
"""What each routes to the other; 619 is nobody's, and is refused there."""
_OWN = {"ExchangeA": "3005", "ExchangeD": "614"}
_PINGS = (
    ("CountryA", "7.7.1"),
    ("CountryA", "7.8.1"),
    ("CountryC", "1.2.3"),
    ("CountryD", "1.2.3"),
    ("CountryB", "7.8.1"),
)
_DOWN = (1.0, 8.0)  # seconds
_BETWEEN = (5.0, 20.0)
_KILLED = ("CountryB", "CountryC")
"""Killed now and then; not exchanges, whose calls and records would die with them."""


class Worker(threading.Thread):
    """A thread that repeats ``step`` until it is told to stop; a failure is kept, not lost."""

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.client = LabClient(network.name, network.nodes)
        self.random = random.Random(seed)
        self.halt = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Repeat ``step``."""
        try:
            while not self.halt.is_set():
                self.step()
            self.clean_up()
        except BaseException as problem:
            self.failure = problem
        finally:
            self.client.close()

    def end(self) -> None:
        """Stop after the step in hand, and clean up."""
        self.halt.set()
        self.join()

    @abstractmethod
    def step(self) -> None:
        """Do one thing and wait."""

    def clean_up(self) -> None:
        """Leave the lab in order."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that an exchange has accepted."""

    exchange: str
    id: str
    calling: str
    called: str


class Caller(Worker):
    """Places ``rate`` calls a second, in both directions, some to a number that nobody has."""

    def __init__(self, network: Network, seed: int, rate: float) -> None:
        super().__init__(network, seed)
        self._rate = rate
        self.placed: list[Placed] = []
        self.refused: Counter[str] = Counter()
        """By error code."""

    def step(self) -> None:
        """Place one call."""
        exchange = self.random.choice(_EXCHANGES)
        number = len(self.placed) + self.refused.total()
        calling = f"{_OWN[exchange]}{number:07}"
        called = f"{self.random.choice(_PREFIXES[exchange])}{number:07}"
        try:
            answer = self.client.call(
                exchange,
                "calls.originate",
                {"calling": calling, "called": called, "hold": self.random.uniform(0.2, 5.0)},
            )
            self.placed.append(Placed(exchange, read(answer, ActiveCall).id, calling, called))
        except TrunklineError as problem:
            self.refused[problem.code] += 1
        self.halt.wait(self.random.expovariate(self._rate))


class Pinger(Worker):
    """Pings from country to country; what is lost while links are down is no fault."""

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__(network, seed)
        self.sent = 0
        self.received = 0
        self.unanswered = 0
        """Pings that ended with their node, which was killed."""

    def step(self) -> None:
        """Send five test messages."""
        node, destination = self.random.choice(_PINGS)
        try:
            answer = self.client.call(
                node,
                "ss7.ping",
                {"destination": destination, "count": 5, "interval": 0.05, "timeout": 1.0},
            )
            ping = read(answer, Ping)
            self.sent += ping.sent
            self.received += ping.received
        except TrunklineError as problem:
            if problem.code not in ("control.unreachable", "node.ping-ended"):
                raise
            self.unanswered += 1
        self.halt.wait(1.0)


@dataclass(slots=True)
class _Havoc:
    cuts: int = 0
    kills: int = 0
    touched: set[str] = field(default_factory=set)
    """Links that were cut, or whose node was killed: their ends' counters differ."""


class Saboteur(Worker):
    """Cuts links and heals them; now and then kills a node, which the lab starts again."""

    def __init__(
        self, network: Network, seed: int, links: tuple[TopologyLink, ...], kills: bool
    ) -> None:
        super().__init__(network, seed)
        self._network = network.name
        self._links = links
        self._kills = kills
        self.havoc = _Havoc()

    def step(self) -> None:
        """Do one harm, and mend it."""
        if self.halt.wait(self.random.uniform(*_BETWEEN)):
            return
        if self._kills and self.random.random() < 0.15:
            self._kill(self.random.choice(_KILLED))
            return
        link = self.random.choice(self._links)
        self.client.block([link], True)
        self.havoc.cuts += 1
        self.havoc.touched.add(link.name)
        self.halt.wait(self.random.uniform(*_DOWN))
        self._heal(link)

    def clean_up(self) -> None:
        """Heal everything."""
        for link in self._links:
            self._heal(link)

    def _heal(self, link: TopologyLink) -> None:
        while self.client.block([link], False):  # an end whose node is not back yet
            self.halt.wait(0.2)

    def _kill(self, node: str) -> None:
        state = read_state(self._network)
        assert state is not None
        process = state.nodes[node]
        if end_process(process.pid, process.started, signal.SIGKILL):
            self.havoc.kills += 1
            self.havoc.touched |= {
                link.name for link in self._links if node in (end.node for end in link.ends)
            }
            self.halt.wait(self.random.uniform(*_DOWN))
