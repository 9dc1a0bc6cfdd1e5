"""Whom to try for one message, one after the other: RFC 2782's order, drawn as it is needed.

A new transaction makes new candidates; its retransmissions, its CANCEL and the ACK to its failure
go where the request went (RFC 3263 section 4). When a candidate fails (section 4.3), the next one
gets the request with a new branch.

The addresses of one server are equals (RFC 2181 section 5: a set without order). A cache would
freeze whatever order they came in, so each message begins at one that is drawn.
"""

from __future__ import annotations

from collections.abc import Callable

from trunkline.sip.locate.decision import Candidate, Decision, Problem, Tried
from trunkline.sip.locate.health import Health
from trunkline.sip.locate.ordering import Draw, Drawn, Pool
from trunkline.sip.locate.plan import Plan, Server

__all__ = ["Candidates", "LiteralCandidates"]


class Candidates:
    """The candidates of one message."""

    __slots__ = (
        "_draw",
        "_drawn",
        "_given",
        "_health",
        "_later",
        "_picked",
        "_plan",
        "_pool",
        "_ready",
        "_tier",
        "late",
    )

    def __init__(self, plan: Plan, draw: Draw, health: Health | None) -> None:
        """``health`` None: the order depends on ``draw`` alone, as a stateless proxy needs it."""
        self._plan = plan
        self._draw = draw
        self._health = health
        self._tier = 0
        self._pool: Pool | None = plan.tiers[0].pool if plan.tiers else None
        self._picked: int | None = None  # from the pool, and not yet taken out
        self._ready: list[Candidate] = []  # last first
        self._later: list[Candidate] = []
        self._given: list[Candidate] = []
        self._drawn: list[tuple[Server, Drawn | None, list[Candidate]]] = []
        self.late = False
        """Whether the last one given failed lately: all others had had their turn."""

    @property
    def plan(self) -> Plan:
        """What they are drawn from."""
        return self._plan

    @property
    def problem(self) -> Problem | None:
        """Why there is nobody to try; None if there is somebody."""
        return self.plan.problem

    def next(self, now: float) -> Candidate | None:
        """The next to try, once each; None when all have been."""
        health = self._health
        while self._ready or self._draw_server():
            candidate = self._ready.pop()
            if candidate in self._given or candidate in self._later:
                continue  # one server by two names
            if health and not health.admits(candidate, now):
                self._later.append(candidate)
                continue
            self._given.append(candidate)
            return candidate
        if not self._later:
            return None
        candidate = self._later.pop(0)
        self._given.append(candidate)
        self.late = True
        return candidate

    def decision(self, now: float) -> Decision:
        """The record: the order so far, and how it would go on if nothing changed."""
        ready = self._ready[::-1]
        while self._draw_server():
            ready += self._ready[::-1]
        self._ready = ready[::-1]
        health = self._health
        entries: dict[Candidate, Tried] = {}
        for server, drawn, candidates in self._drawn:
            for place, each in enumerate(candidates):
                penalty = health.penalty(each, now) if health else 0.0
                entries.setdefault(each, _tried(server, each, None if place else drawn, penalty))
        told = dict.fromkeys([*self._given, *self._later])
        rest = [each for each in dict.fromkeys(ready) if each not in told]
        order = [
            *self._given,
            *(each for each in rest if not entries[each].penalty),
            *self._later,
            *(each for each in rest if entries[each].penalty),
        ]
        plan = self.plan
        tried = tuple(entries[each] for each in order)
        return Decision(plan.target, plan.steps, tried, plan.problem, plan.warnings)

    def _draw_server(self) -> bool:
        """Draw the next server that has an address; False when there is none."""
        while True:
            if self._picked is not None and self._pool is not None:
                self._pool = self._pool.without(self._picked)
            while self._pool is None:
                self._tier += 1
                if self._tier >= len(self._plan.tiers):
                    return False
                self._pool = self._plan.tiers[self._tier].pool
            self._picked, drawn = self._pool.pick(self._draw)
            server = self._plan.tiers[self._tier].servers[self._picked]
            if not server.families:
                continue
            order: list[Candidate] = []
            for equals in server.families:
                first = self._draw(len(equals) - 1) if len(equals) > 1 else 0
                order += equals[first:] + equals[:first]
            self._drawn.append((server, drawn, order))
            self._ready = order[::-1]
            return True


def _tried(server: Server, candidate: Candidate, drawn: Drawn | None, penalty: float) -> Tried:
    return Tried(candidate, server.name, server.priority, server.weight, drawn, penalty)


class LiteralCandidates(Candidates):
    """The one candidate that a URI with an IP literal names: nothing to ask, nothing to draw."""

    __slots__ = ("_make_plan",)

    def __init__(self, candidate: Candidate, make_plan: Callable[[], Plan]) -> None:
        """``make_plan`` is called when somebody wants to know why."""
        self._given = []
        self._ready = [candidate]
        self.late = False
        self._make_plan = make_plan

    @property
    def plan(self) -> Plan:
        """The plan, made now."""
        return self._make_plan()

    @property
    def problem(self) -> None:
        """None: there is somebody to try."""
        return None

    def next(self, now: float) -> Candidate | None:
        """The candidate, once."""
        return self._ready.pop() if self._ready else None

    def decision(self, now: float) -> Decision:
        """The record."""
        return Candidates(self._make_plan(), _nothing_to_draw, None).decision(now)


def _nothing_to_draw(highest: int) -> int:
    raise AssertionError("one address is not drawn")
