"""Circuits, circuit groups, the calls on them, and their timers (Q.764 2.9.1.3, Table A.1).

Circuit selection is method 2 of Q.764 2.9.1.3, which keeps dual seizures rare on bothway circuits:
of the circuits that this exchange controls the one idle the longest is taken; when none is left, of
the others the one idle the shortest. The exchange with the higher point code controls the even
circuits, the other one the odd (2.9.1.4).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from trunkline.ss7.isup.codec import Message
from trunkline.ss7.isup.table import State

__all__ = ["Call", "Circuit", "Control", "Group", "Timer", "TimerQueue", "controls_even"]

Control = Literal["point-code", "even", "odd"]
"""Which circuits of a group this exchange controls; ``point-code`` is the rule of 2.9.1.4."""

_COMPACT_FROM: Final = 1024


class Timer(Enum):
    """The timers of Q.764 Table A.1 that run on a circuit."""

    T1 = "T1"
    T5 = "T5"
    T7 = "T7"
    T9 = "T9"
    T16 = "T16"
    T17 = "T17"


def controls_even(control: Control, own_pc: int, dpc: int) -> bool:
    """Whether this exchange controls the even circuits (else the odd ones)."""
    return own_pc > dpc if control == "point-code" else control == "even"


@dataclass(slots=True, eq=False)
class Call:
    """A call, from its IAM to its release. Read it; only the machine writes it."""

    id: int
    outgoing: bool
    group: str
    dpc: int
    """The exchange at the other end of the circuit."""
    cic: int
    called: str
    calling: str
    ref: str
    """What the caller of ``setup`` gave; empty for an incoming call."""
    iam: Message
    attempts: int = 1
    """IAMs sent for this call."""
    answered: bool = False
    circuit: Circuit | None = None
    """``None`` when the call has ended."""


@dataclass(slots=True, eq=False)
class Circuit:
    """One circuit towards one exchange."""

    group: Group
    cic: int
    controlled: bool
    """In a dual seizure on this circuit, this exchange's call wins."""
    state: State = State.IDLE
    blocked: bool = False
    """The peer sent BLO: no calls from here (2.8.2)."""
    call: Call | None = None
    release: bytes = b""
    """The REL to be repeated until RLC comes."""
    timers: dict[Timer, int] = field(default_factory=dict)
    """Serial number of the queue entry of each running timer."""


class Group:
    """The circuits towards one exchange that calls may choose among."""

    __slots__ = ("_others", "_own", "circuits", "dpc", "even", "name")

    def __init__(self, name: str, dpc: int, cics: Sequence[int], *, even: bool) -> None:
        self.name = name
        self.dpc = dpc
        self.even = even
        self.circuits = {cic: Circuit(self, cic, (cic % 2 == 0) == even) for cic in cics}
        # In the order of release, the circuit idle the longest first.
        self._own: OrderedDict[int, Circuit] = OrderedDict()
        self._others: OrderedDict[int, Circuit] = OrderedDict()
        for circuit in self.circuits.values():
            self.offer(circuit)

    @property
    def idle(self) -> int:
        """How many circuits a call could take now."""
        return len(self._own) + len(self._others)

    def offer(self, circuit: Circuit) -> None:
        """Make the circuit available for selection, if it is idle and not blocked."""
        if circuit.state is State.IDLE and not circuit.blocked:
            idle = self._own if circuit.controlled else self._others
            idle[circuit.cic] = circuit
            idle.move_to_end(circuit.cic)

    def withdraw(self, circuit: Circuit) -> None:
        """Take the circuit out of selection."""
        idle = self._own if circuit.controlled else self._others
        idle.pop(circuit.cic, None)

    def take(self, avoid: int | None = None) -> Circuit | None:
        """Select a circuit by method 2 of 2.9.1.3, not the one with CIC ``avoid``."""
        for idle, last in ((self._own, False), (self._others, True)):
            for cic in reversed(idle) if last else idle:
                if cic != avoid:
                    return idle.pop(cic)
        return None


class TimerQueue:
    """The running timers of all circuits, in the order of their deadlines.

    A timer that is stopped or restarted leaves its old entry behind; the entry is recognised by
    its serial number, and the queue is compacted when such entries outnumber the live ones.
    """

    __slots__ = ("_heap", "_live", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Circuit, Timer]] = []
        self._serial = 0
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def start(self, circuit: Circuit, timer: Timer, deadline: float) -> None:
        """Start the timer, anew if it runs."""
        if timer not in circuit.timers:
            self._live += 1
        self._serial += 1
        circuit.timers[timer] = self._serial
        heapq.heappush(self._heap, (deadline, self._serial, circuit, timer))
        if len(self._heap) > _COMPACT_FROM and len(self._heap) > 2 * self._live:
            self._heap = [entry for entry in self._heap if self._is_live(entry)]
            heapq.heapify(self._heap)

    def stop(self, circuit: Circuit, timer: Timer) -> None:
        """Stop the timer if it runs."""
        if circuit.timers.pop(timer, None) is not None:
            self._live -= 1

    def stop_all(self, circuit: Circuit) -> None:
        """Stop every timer of the circuit."""
        self._live -= len(circuit.timers)
        circuit.timers.clear()

    def next_deadline(self) -> float | None:
        """When the next timer expires; ``None`` if none runs."""
        heap = self._heap
        while heap:
            if self._is_live(heap[0]):
                return heap[0][0]
            heapq.heappop(heap)
        return None

    def expired(self, now: float) -> Iterator[tuple[Circuit, Timer]]:
        """Each timer whose deadline has come; timers started meanwhile are seen too."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, _, circuit, timer = heapq.heappop(self._heap)
            del circuit.timers[timer]
            self._live -= 1
            yield circuit, timer

    @staticmethod
    def _is_live(entry: tuple[float, int, Circuit, Timer]) -> bool:
        return entry[2].timers.get(entry[3]) == entry[1]
