"""Sets of destinations: servers that stand in for one another, and what is known of each.

States are `trunkline.elements.proxy.board`, probes `trunkline.elements.proxy.probing`; which of a
set gets a request is `trunkline.elements.proxy.selection`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from trunkline.config.proxy import DestinationSettings, DestinationTarget
from trunkline.elements.proxy.board import Board, Probe, State
from trunkline.elements.proxy.hops import Located
from trunkline.errors import TrunklineError
from trunkline.sip.locate.ordering import Draw, Pool
from trunkline.sip.proxy import Hops
from trunkline.sip.uri import Uri, parse_uri

__all__ = ["Destination", "DestinationSet", "Destinations", "rows_of"]


class Destination:
    """One server of a set."""

    __slots__ = ("_board", "_worker", "known", "literal", "locating", "row", "target")

    def __init__(self, target: DestinationTarget, board: Board, row: int, worker: int) -> None:
        self.target = target
        self.row = row
        uri = parse_uri(target.uri)
        self.literal = isinstance(uri, Uri) and uri.address is not None
        """Whether it is an address: nothing is looked up."""
        self.known: Located | None = None
        """Where its name led when it was last looked up with success, or at all."""
        self.locating = False
        """Whether it is being looked up."""
        self._board = board
        self._worker = worker

    @property
    def uri(self) -> str:
        """Its URI."""
        return self.target.uri

    @property
    def state(self) -> State:
        """What its probes say: ``State.UP``, ``State.SUSPECT``, ``State.DOWN``."""
        return self._board.state(self.row)

    @property
    def up(self) -> bool:
        """Whether it gets new calls: it is not down, nor drained."""
        return self.state is not State.DOWN and not self.drained

    @property
    def drained(self) -> bool:
        """Whether it takes no new calls. Requests within a dialog go on."""
        return self._board.drained(self.row)

    @drained.setter
    def drained(self, value: bool) -> None:
        self._board.drain(self.row, value)

    @property
    def sent(self) -> int:
        """How many requests were sent there."""
        return self._board.sent(self.row)

    @property
    def failed(self) -> int:
        """How many of them it failed: no response, a 503, or they could not be delivered."""
        return self._board.failed(self.row)

    @property
    def probes(self) -> int:
        """How often it was probed."""
        return self._board.probes(self.row)

    @property
    def missed(self) -> int:
        """How many probes failed."""
        return self._board.missed(self.row)

    @property
    def last_probe(self) -> Probe | None:
        """What the last probe came to."""
        return self._board.last_probe(self.row)

    def as_json(self, offset: float) -> dict[str, object]:
        """What is known of it; ``offset`` makes the node's time one since the epoch."""
        probe = self.last_probe
        return {
            "uri": self.uri,
            "priority": self.target.priority,
            "weight": self.target.weight,
            "state": self.state.value,
            "drained": self.drained,
            "sent": self.sent,
            "failed": self.failed,
            "probes": self.probes,
            "missed": self.missed,
            "last_probe": None
            if probe is None
            else {
                "time": probe.time + offset,
                "status": probe.status,
                "seconds": round(probe.delay, 6),
            },
        }

    def leads(self, place: str, hops: Hops) -> Hops:
        """Remember where its name leads, unless that is nowhere now and was somewhere before.

        Returns the hops to use: where DNS fails, those by the last answers that it gave. ``place``
        is what was looked up; of another than its URI, such as the same with SIPS, nothing is kept.
        """
        if isinstance(hops, Located) and place == self.uri:
            if self.known is None or hops.problem is None:
                self.known = hops
            elif hops.problem.code == "locate.dns" and self.known.problem is None:
                return self.known.again()
        return hops

    def probed(self, probe: Probe, answered: bool, enough: int) -> State | None:
        """Take what came of a probe: ``enough`` in a row decide. Return the state if it changed."""
        return self._board.probed(self.row, probe, answered, enough)

    def wants_probe(self) -> bool:
        """Whether a request failed there since this was asked last."""
        return self._board.asked(self.row)

    def taken(self) -> None:
        """Count a request that is sent there."""
        self._board.count_sent(self.row, self._worker)

    def gave_up(self) -> None:
        """Count a request that it failed, and have it probed."""
        self._board.count_failed(self.row, self._worker)
        self._board.ask(self.row)


class DestinationSet:
    """A set; iterate over it for its destinations, in the order of the settings."""

    def __init__(
        self,
        name: str,
        settings: DestinationSettings,
        board: Board,
        first: int,
        worker: int,
        draw: Draw,
    ) -> None:
        self.name = name
        self.settings = settings
        self.board = board
        self.draw = draw
        self._rows = (first, first + len(settings.targets))
        self._all = [
            Destination(target, board, first + index, worker)
            for index, target in enumerate(settings.targets)
        ]
        self._unfound = [each for each in self._all if not each.literal]
        self._seen = b""
        self._tiers: tuple[Pool, ...] = ()
        self._desperate = False
        weights = [target.weight for target in settings.targets]
        by_priority = sorted(range(len(weights)), key=lambda at: settings.targets[at].priority)
        self._weights = weights
        self._priorities = [
            [*group]
            for _, group in groupby(by_priority, key=lambda at: settings.targets[at].priority)
        ]

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Destination:
        return self._all[index]

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._all)

    def tiers(self) -> tuple[Pool, ...]:
        """The destinations that may be chosen now, priority by priority."""
        seen = self.board.signature(*self._rows)
        if seen != self._seen:
            takes = {at for at, each in enumerate(self._all) if not each.drained}
            up = {at for at in takes if self._all[at].state is not State.DOWN}
            self._desperate = not up
            chosen = up or takes
            groups = ([at for at in group if at in chosen] for group in self._priorities)
            self._tiers = tuple(Pool(self._weights, group) for group in groups if group)
            self._seen = seen
        return self._tiers

    def as_json(self, offset: float) -> dict[str, object]:
        """What is known of the set, as JSON values."""
        probe = self.settings.probe
        return {
            "name": self.name,
            "probe": None if probe is None else probe.seconds,
            "destinations": [each.as_json(offset) for each in self._all],
        }

    def unfound(self) -> list[Destination]:
        """Those whose name was never looked up."""
        if self._unfound:
            self._unfound = [each for each in self._unfound if each.known is None]
        return self._unfound

    @property
    def desperate(self) -> bool:
        """Whether all are down, so that those are chosen from all the same."""
        self.tiers()
        return self._desperate


class Destinations:
    """All sets of a node, by name.

    ``board`` has a row for each destination of ``settings``, in order; ``worker`` is the number of
    this process. ``draw`` gives a whole number from 0 to its argument, inclusive.
    """

    def __init__(
        self,
        settings: Mapping[str, DestinationSettings],
        draw: Draw,
        board: Board | None = None,
        worker: int = 0,
    ) -> None:
        self.board = board or Board(rows_of(settings))
        self.sets: dict[str, DestinationSet] = {}
        first = 0
        for name, each in settings.items():
            self.sets[name] = DestinationSet(name, each, self.board, first, worker, draw)
            first += len(each.targets)

    def drain(self, uri: str, drained: bool, name: str = "") -> list[str]:
        """Let a destination take no new calls, or take them again, in all sets or in one.

        Returns the names of the sets. Raises TrunklineError, ``proxy.no-destination``: none has it.
        """
        found = []
        for each in self.sets.values():
            for destination in each:
                if destination.uri == uri and name in ("", each.name):
                    destination.drained = drained
                    found.append(each.name)
        if not found:
            known = ", ".join(dict.fromkeys(d.uri for each in self.sets.values() for d in each))
            raise TrunklineError(
                "proxy.no-destination",
                f"{uri!r} is no destination{f' of {name}' if name else ''}; there are:"
                f" {known or 'none'}",
            )
        return found


def rows_of(settings: Mapping[str, DestinationSettings]) -> int:
    """How many rows the board of these sets has."""
    return sum(len(each.targets) for each in settings.values())
