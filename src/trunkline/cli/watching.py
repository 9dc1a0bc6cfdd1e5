"""SIP messages as they pass, from all workers of the proxies that are up."""

from __future__ import annotations

import heapq
import itertools
import queue
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.cli.proxies import Worker, message_of
from trunkline.errors import TrunklineError
from trunkline.net.control import Json
from trunkline.observe.recorder import SeenMessage

__all__ = ["Watched", "end_on_sigterm", "watch"]

_SETTLING = 0.1
"""Seconds in which another process may still tell of something earlier."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A message that passed, or news of those who tell."""

    time: float
    event: dict[str, Json]
    seen: SeenMessage | None = None
    gone: str = ""
    """The worker that went away; there is no message then."""

    @property
    def lost(self) -> int:
        """Messages before this one that were not told, because they were too many."""
        count = self.event.get("lost")
        return count if isinstance(count, int) else 0


def watch(workers: list[Worker], seconds: float | None = None) -> Iterator[Watched]:
    """Watch from now on; the messages, in the order of time, for ``seconds`` or for good.

    Raises:
        TrunklineError: ``control.unreachable`` when every worker has gone away.
    """
    incoming: queue.SimpleQueue[Watched] = queue.SimpleQueue()
    for worker in workers:
        worker.client.call("sip.watch")
        threading.Thread(target=_listen, args=(worker, incoming), daemon=True).start()
    end = None if seconds is None else time.time() + seconds
    return _in_order(incoming, len(workers), end)


def _in_order(
    incoming: queue.SimpleQueue[Watched], left: int, end: float | None
) -> Iterator[Watched]:
    settling = _SETTLING if left > 1 else 0.0
    order = itertools.count()
    waiting: list[tuple[float, int, Watched]] = []
    while True:
        due = [waiting[0][0] + settling] if waiting else []
        due += [] if end is None else [end]
        try:
            item = incoming.get(timeout=max(0.0, min(due) - time.time()) if due else None)
        except queue.Empty:
            pass
        else:
            heapq.heappush(waiting, (item.time, next(order), item))
            left -= bool(item.gone)
        now = time.time()
        over = not left or (end is not None and now >= end)
        while waiting and (over or waiting[0][0] + settling <= now):
            yield heapq.heappop(waiting)[2]
        if over:
            break
    if not left:
        raise TrunklineError("control.unreachable", "the node went away")


def _listen(worker: Worker, incoming: queue.SimpleQueue[Watched]) -> None:
    for event in worker.client.subscribe(["sip"]):
        seen = message_of(event)
        incoming.put(Watched(seen.time, event, seen))
    name = worker.node.name + (f".{worker.index}" if worker.index else "")
    incoming.put(Watched(time.time(), {}, gone=name))


def end_on_sigterm() -> None:
    """From now on SIGTERM is what Ctrl-C is: files are finished and nothing is half printed."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what follows is to be finished
    raise KeyboardInterrupt
