"""Random forks through a bad network: what must hold of every one of them.

A caller sends one request, perhaps gives up, and acknowledges failures. Callees answer as they
like, late or never; a network loses messages and refuses some. Whatever happens, RFC 3261 section
16.7 step 5 holds at the caller, and in the end nothing is left at the proxy.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sip.proxy.rig import CALLER, FROM_CALLER, Rig, Sent, follow, host_of, request, target

from trunkline.sip.message import Request, Response
from trunkline.sip.proxy import Target
from trunkline.sip.transport import Flow

LETTERS = "abcdefgh"


@dataclass(frozen=True, slots=True)
class Callee:
    """What one place does with a request: (seconds, status) after it, the last one final or not."""

    answers: tuple[tuple[float, int], ...]
    refuses: bool = False
    """Whether nothing can be delivered to it."""
    obeys: bool = True
    """Whether it answers 487 when it is cancelled."""


@dataclass(frozen=True, slots=True)
class Story:
    """All that is random, but for losses."""

    method: str
    groups: tuple[tuple[str, ...], ...]
    """Of targets, each with its next hops by their letters."""
    callees: dict[str, Callee]
    breadth: int
    gives_up: float | None
    loss: float
    seed: int


finals = st.sampled_from([200, 200, 486, 404, 302, 401, 407, 408, 480, 487, 500, 503, 503, 600])
moments = st.sampled_from([0.01, 0.3, 1.0, 1.01, 5.0, 20.0, 40.0, 100.0, 170.0, 250.0])
rings = st.sampled_from([0.01, 0.3, 0.3, 1.0, 5.0, 20.0, 31.0])


@st.composite
def callees(draw: st.DrawFn) -> Callee:
    answers = [(draw(rings), 180 + number) for number in range(draw(st.sampled_from([1, 1, 2, 0])))]
    answers += [(draw(moments), draw(finals)) for _ in range(draw(st.sampled_from([1, 1, 2, 0])))]
    return Callee(
        tuple(sorted(answers)),
        refuses=draw(st.sampled_from([False] * 9 + [True])),
        obeys=draw(st.sampled_from([True] * 4 + [False])),
    )


@st.composite
def stories(draw: st.DrawFn) -> Story:
    letters = draw(st.permutations(LETTERS))
    groups: list[tuple[str, ...]] = []
    at = 0
    for size in draw(st.sampled_from([(2,), (3,), (2, 1), (1, 2), (4, 2), (1,), (1, 1, 1)])):
        group = []
        for _ in range(size):
            hops = draw(st.sampled_from([1, 1, 2, 3]))
            if letters[at : at + hops]:
                group.append("".join(letters[at : at + hops]))
            at += hops
        if group:
            groups.append(tuple(group))
    return Story(
        method=draw(st.sampled_from(["INVITE"] * 4 + ["MESSAGE"])),
        groups=tuple(groups),
        callees={letter: draw(callees()) for letter in LETTERS},
        breadth=draw(st.sampled_from([60, 2, 60, 1])),
        gives_up=draw(st.one_of(st.none(), st.none(), moments)),
        loss=draw(st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.3])),
        seed=draw(st.integers(0, 1 << 16)),
    )


@dataclass
class World:
    """The proxy, its surroundings, and the time."""

    story: Story
    rig: Rig = field(default_factory=Rig)
    sent: list[Sent] = field(default_factory=list)
    received: list[tuple[float, Response]] = field(default_factory=list)
    """What reached the caller."""
    finals: dict[str, float] = field(default_factory=dict)
    """When the proxy was given a final response, by branch."""
    rang: dict[str, float] = field(default_factory=dict)
    """When it was first given a provisional one."""
    given_up: float | None = None
    closed: float | None = None
    """When it knew that nothing new may begin."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.story.seed)
        self.later: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.running: dict[str, bool] = {}
        """Requests at the callees by branch, and whether they have ended there."""
        self.request = request(
            self.story.method, headers=[("Max-Breadth", str(self.story.breadth))]
        )

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.later, (self.rig.now + seconds, next(self.numbers), action))

    def lost(self) -> bool:
        return self.chance.random() < self.story.loss

    def run(self) -> None:
        rig, story = self.rig, self.story
        context = rig.context(self.request)
        groups = [[target(hops) for hops in group] for group in story.groups]
        self.carry()
        context.fork(groups, rig.now)
        if story.gives_up is not None and story.method == "INVITE":
            self.at(story.gives_up, self.give_up)
        self.carry()
        while self.later or rig.proxy.next_timeout() is not None:
            due = rig.proxy.next_timeout()
            if self.later and (due is None or self.later[0][0] <= due):
                rig.now, _, action = heapq.heappop(self.later)
                action()
            else:
                assert due is not None
                rig.now = max(rig.now, due)
                rig.proxy.on_timeout(rig.now)
            self.carry()
            assert rig.now < 2000

    def carry(self) -> None:
        """Let what the proxy sent arrive, or not."""
        for sent in self.rig.take():
            self.sent.append(sent)
            if sent.flow.remote == CALLER:
                if self.closed is None and sent.status >= 200 and sent.method != "CANCEL":
                    self.closed = sent.time
                if not self.lost():
                    self.at(0.001, lambda sent=sent: self.at_caller(sent))  # type: ignore[misc]
                continue
            letter = next(each for each in LETTERS if host_of(each) == sent.to)
            callee = self.story.callees[letter]
            if callee.refuses:
                self.at(0.001, lambda sent=sent: self.refuse(sent))  # type: ignore[misc]
            elif not self.lost():
                self.at(0.001, lambda sent=sent, callee=callee: self.at_callee(sent, callee))  # type: ignore[misc]

    def refuse(self, sent: Sent) -> None:
        self.rig.proxy.transport_failed(
            sent.flow, [sent.message.to_bytes()], "refused", self.rig.now
        )

    def at_caller(self, sent: Sent) -> None:
        assert isinstance(sent.message, Response)
        if sent.method == "CANCEL":
            return
        self.received.append((self.rig.now, sent.message))
        if sent.status >= 300 and self.story.method == "INVITE":
            ack = follow(self.request, "ACK")
            ack.headers.set("To", sent.headers.get("To") or "")
            if not self.lost():
                self.rig.receive(ack)

    def give_up(self) -> None:
        self.given_up = self.rig.now
        if self.closed is None:
            self.closed = self.rig.now
        self.rig.receive(follow(self.request, "CANCEL"))

    def at_callee(self, sent: Sent, callee: Callee) -> None:
        message = sent.message
        assert isinstance(message, Request)
        if message.method == "CANCEL":
            self.answer(sent, 200)
            if callee.obeys and self.running.get(sent.branch) is False:
                self.running[sent.branch] = True
                invite = message.copy()
                invite.method = "INVITE"
                invite.headers.set("CSeq", "1 INVITE")
                origin = next(s for s in self.sent if s.branch == sent.branch)
                self.answer(origin, 487)
        elif message.method != "ACK" and sent.branch not in self.running:
            self.running[sent.branch] = False
            for seconds, status in callee.answers:
                self.at(seconds, lambda status=status: self.respond(sent, status))  # type: ignore[misc]

    def respond(self, sent: Sent, status: int) -> None:
        if not self.running[sent.branch]:
            self.running[sent.branch] = status >= 200
            self.answer(sent, status)

    def answer(self, sent: Sent, status: int) -> None:
        assert isinstance(sent.message, Request)
        response = Response.answer(sent.message, status, to_tag=f"at-{sent.to}")
        if self.lost():
            return

        def arrive() -> None:
            known = f"{sent.branch} {sent.method}" in self.rig.layer.clients
            if known and sent.method != "CANCEL" and sent.branch not in self.finals:
                if status < 200:
                    self.rang.setdefault(sent.branch, self.rig.now)
                else:
                    self.finals[sent.branch] = self.rig.now
                if status >= 600 and self.closed is None:
                    self.closed = self.rig.now
            self.rig.receive(response, Flow(sent.flow.transport, sent.flow.remote, sent.flow.local))

        self.at(0.001, arrive)


def finals_of(world: World) -> list[Response]:
    """Final responses that the proxy sent to the caller, each once."""
    found: dict[bytes, Response] = {}
    for sent in world.sent:
        if sent.flow.remote == CALLER and sent.status >= 200 and sent.method != "CANCEL":
            assert isinstance(sent.message, Response)
            found.setdefault(sent.message.to_bytes(), sent.message)
    return list(found.values())


def branches_of(world: World) -> dict[str, Sent]:
    """The requests that were forwarded, by branch, as they were first sent."""
    found: dict[str, Sent] = {}
    for sent in world.sent:
        if sent.method == world.story.method and not sent.status:
            found.setdefault(sent.branch, sent)
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_what_holds_of_every_fork(story: Story) -> None:
    world = World(story)
    world.run()
    finals = finals_of(world)
    branches = branches_of(world)
    statuses = [response.status for response in finals]

    # 16.7 step 5, RFC 4320
    if story.method == "INVITE":
        assert len(statuses) == 1 or (statuses and all(each < 300 for each in statuses)), statuses
    else:
        assert len(statuses) <= 1, statuses
        assert 408 not in statuses

    # 16.7 steps 5 and 10, 16.10: nothing begins when it is known that nothing may
    closed = world.closed
    if closed is not None:
        late = [sent for sent in branches.values() if sent.time > closed + 0.002]
        assert not late, (closed, late)

    # 16.6 step 8: each attempt has a branch of its own, with our cookie
    assert all(branch.startswith("z9hG4bK") for branch in branches)

    # 16.7 step 10, 9.1, 16.8: what rang and had no final response was cancelled
    cancels = {sent.branch for sent in world.sent if sent.method == "CANCEL" and not sent.status}
    assert cancels <= world.rang.keys()
    for branch, rang in world.rang.items() if story.method == "INVITE" else ():
        over = world.finals.get(branch, 2000.0)
        if closed is not None and max(rang, closed) < over:
            assert branch in cancels
        if rang + 300 < over:
            assert branch in cancels

    # RFC 5393 section 5.3.3: at any time no more branches than asked for
    for sent in branches.values():
        going = [
            other
            for other in branches.values()
            if other.time <= sent.time and not ended_by(world, other, sent.time)
        ]
        assert sum(int(each.headers.get("Max-Breadth") or 0) for each in going) <= story.breadth

    # in the end nothing is left
    rig = world.rig
    assert rig.layer.clients == {}
    assert rig.layer.servers == {}
    assert len(rig.layer.queue) == 0
    assert FROM_CALLER.remote == CALLER


def ended_by(world: World, sent: Sent, time: float) -> bool:
    """Whether a branch was over: answered, refused, or silent for 64*T1."""
    final = world.finals.get(sent.branch)
    callee = world.story.callees[next(c for c in LETTERS if host_of(c) == sent.to)]
    return (
        (final is not None and final <= time)
        or (callee.refuses and sent.time < time)
        or sent.time + 32.0 <= time
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "ab", "c", "nowhere"]), min_size=1, max_size=6), st.data())
def test_answers_are_in_the_end_the_best_of_those_given(
    names: list[str], data: st.DataObject
) -> None:
    """Everybody answers a failure: what the caller gets is one of them, of the lowest class."""
    rig = Rig()
    targets = [
        Target(f"sip:{at}@x", lambda now: None)
        if name == "nowhere"
        else target(name, f"sip:{at}@x")
        for at, name in enumerate(names)
    ]
    under_way = rig.fork(rig.context(), targets)
    given = [480] * names.count("nowhere")
    while any(each.method == "INVITE" and not each.status for each in under_way):
        sent = under_way.pop(0)
        if sent.method != "INVITE" or sent.status:
            continue
        status = data.draw(st.sampled_from([302, 401, 404, 486, 500, 604]))
        given.append(status)
        under_way += rig.answer(sent, status)
    [final] = rig.to_caller()
    if any(status >= 600 for status in given):
        assert final == 604
    else:
        assert final in given
        assert final // 100 == min(given) // 100
    rig.receive(follow(request(), "ACK"))
    rig.assert_forgotten()
