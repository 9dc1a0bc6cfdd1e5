"""Alarms against a plain model of them."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trunkline.sip.dialog.alarms import Alarms, Sleeper


class Owner:
    def on_alarm(self, name: str, now: float) -> None:
        """Nothing: the test looks at what is due."""


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.alarms = Alarms()
        self.owners: list[Sleeper] = [Owner() for _ in range(3)]
        self.known: dict[tuple[int, str], float] = {}
        self.now = 0.0

    @rule(owner=st.integers(0, 2), name=st.sampled_from("ab"), after=st.integers(0, 50))
    def set(self, owner: int, name: str, after: int) -> None:
        self.alarms.set(self.owners[owner], name, self.now + after)
        self.known[owner, name] = self.now + after

    @rule(owner=st.integers(0, 2), name=st.sampled_from("ab"), times=st.integers(2, 200))
    def move_again_and_again(self, owner: int, name: str, times: int) -> None:
        for number in range(times):
            self.set(owner, name, number % 50)

    @rule(owner=st.integers(0, 2), names=st.sampled_from(["", "a", "ab"]))
    def clear(self, owner: int, names: str) -> None:
        self.alarms.clear(self.owners[owner], *names)
        for name in names or "ab":
            self.known.pop((owner, name), None)

    @rule(seconds=st.integers(0, 30))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        due = [(self.owners.index(owner), name) for owner, name in self.alarms.due(self.now)]
        wanted = {key for key, at in self.known.items() if at <= self.now}
        assert len(due) == len(set(due))
        assert set(due) == wanted
        times = [self.known.pop(key) for key in due]
        assert times == sorted(times)

    @invariant()
    def the_same(self) -> None:
        assert len(self.alarms) == len(self.known)
        assert self.alarms.next_timeout() == min(self.known.values(), default=None)
        assert len(self.alarms._heap) <= 2 * len(self.known) + 65  # those called off are swept
        for number, owner in enumerate(self.owners):
            for name in "ab":
                assert self.alarms.at(owner, name) == self.known.get((number, name))


TestAlarms = Model.TestCase
TestAlarms.settings = settings(max_examples=50, stateful_step_count=30)


def test_one_that_another_calls_off_does_not_come() -> None:
    alarms = Alarms()
    first, second = Owner(), Owner()
    alarms.set(first, "a", 1.0)
    alarms.set(second, "a", 2.0)
    seen = []
    for owner, _ in alarms.due(5.0):
        seen.append(owner)
        alarms.clear(second)
    assert seen == [first]
