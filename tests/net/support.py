"""What the transport's tests share: two stacks, handlers that remember, and waiting for a fact."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from trunkline.net.sctp import Association, AssociationSettings, Settings, Stack, Tap, open_stack

LEFT, RIGHT = "10.71.5.1", "10.71.5.2"
PORT = 3565
M2PA = 5

FAST = Settings(
    backend="udp",
    udp_port=20000 + os.getpid() % 10000 * 2,
    rto_initial=0.1,
    rto_min=0.08,
    rto_max=0.2,
    sack_delay=0.02,
    heartbeat=0.2,
    association_max_retrans=3,
    reconnect_delay=0.1,
)
"""Everything a tenth of what a network would use; UDP ports of this test run's own."""


@dataclass
class Recorder:
    """A handler that remembers what it was told."""

    ups: int = 0
    restarts: int = 0
    downs: list[str] = field(default_factory=list)
    received: list[tuple[int, bytes]] = field(default_factory=list)
    batches: int = 0
    paths: list[tuple[str, bool]] = field(default_factory=list)

    def association_up(self, now: float) -> None:
        self.ups += 1

    def association_down(self, now: float, reason: str) -> None:
        self.downs.append(reason)

    def association_restart(self, now: float) -> None:
        self.restarts += 1

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        self.batches += 1
        self.received += batch

    def path_changed(self, address: str, reachable: bool, now: float) -> None:
        self.paths.append((address, reachable))


@dataclass
class End:
    """One side of an association."""

    stack: Stack
    handler: Recorder
    association: Association


def towards(local: str, remote: str, **changes: int) -> AssociationSettings:
    """Return the settings of an association between two addresses."""
    return replace(
        AssociationSettings((local,), PORT, (remote,), PORT, M2PA),
        **changes,  # type: ignore[arg-type]  # only integer fields are changed
    )


async def until(fact: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until ``fact()`` is true; fail if that takes longer than ``seconds``."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not fact():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def stacks(*settings: Settings, tap: Tap | None = None) -> AsyncIterator[list[Stack]]:
    """Open a stack per ``settings``; the first gets the tap."""
    loop = asyncio.get_running_loop()
    opened: list[Stack] = []
    try:
        for index, one in enumerate(settings):
            opened.append(open_stack(loop, one, tap=None if index else tap))
        yield opened
    finally:
        for stack in opened:
            stack.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def pair(
    settings: Settings = FAST, *, tap: Tap | None = None
) -> AsyncIterator[tuple[End, End]]:
    """Open two stacks with an association between them, and wait until it is up."""
    async with stacks(settings, settings, tap=tap) as (one, other):
        left, right = Recorder(), Recorder()
        ends = (
            End(one, left, one.open(towards(LEFT, RIGHT), left)),
            End(other, right, other.open(towards(RIGHT, LEFT), right)),
        )
        await until(lambda: left.ups and right.ups)
        yield ends
