"""What several workers tell is put in order; what is missing is said."""

from __future__ import annotations

import queue
import time

import pytest

from trunkline.cli.watching import Watched, _in_order
from trunkline.errors import TrunklineError


def told(*items: Watched) -> queue.SimpleQueue[Watched]:
    incoming: queue.SimpleQueue[Watched] = queue.SimpleQueue()
    for item in items:
        incoming.put(item)
    return incoming


def test_messages_of_several_workers_come_by_time() -> None:
    now = time.time()
    times = [now, now - 0.01, now + 0.01, now - 0.02]
    items = [Watched(moment, {"n": number}) for number, moment in enumerate(times)]
    passing = _in_order(told(*items), 2, now + 0.3)
    assert [item.event["n"] for item in passing] == [3, 1, 0, 2]
    assert time.time() >= now + 0.3


def test_one_workers_messages_come_at_once() -> None:
    items = [Watched(time.time() - number, {"n": number}) for number in range(3)]
    passing = _in_order(told(*items), 1, time.time() + 60)
    assert [next(passing).event["n"] for _ in items] == [0, 1, 2]


def test_when_every_worker_has_gone_it_is_over() -> None:
    now = time.time()
    items = [
        Watched(now, {}, gone="Edge"),
        Watched(now, {"lost": 3}),
        Watched(now, {}, gone="Edge.1"),
    ]
    passing = _in_order(told(*items), 2, None)
    seen = [next(passing), next(passing), next(passing)]
    assert [item.gone for item in seen] == ["Edge", "", "Edge.1"]
    assert [item.lost for item in seen] == [0, 3, 0]
    with pytest.raises(TrunklineError, match="went away"):
        next(passing)
