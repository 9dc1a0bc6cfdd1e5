"""A proxy's messages for a collector (HEPv3), one by one as they pass."""

from __future__ import annotations

from collections.abc import Callable

from trunkline.errors import TrunklineError
from trunkline.net.collector import Collector
from trunkline.observe.hep import hep_of
from trunkline.observe.recorder import SeenMessage

__all__ = ["HepExport"]


class HepExport:
    """A tap of the recorder that sends what it is shown to ``collector``.

    ``offset`` gives what makes a message's time seconds since the epoch; ``capture_id`` is the
    number by which the collector knows who saw it.
    """

    def __init__(
        self, collector: Collector, *, offset: Callable[[], float], capture_id: int
    ) -> None:
        self.collector = collector
        self._offset = offset
        self._capture_id = capture_id

    def __call__(self, seen: SeenMessage) -> None:
        """Send a message on its way, or count it as dropped."""
        packet = hep_of(seen, self._offset(), capture_id=self._capture_id)
        try:
            data = None if packet is None else packet.to_bytes()
        except TrunklineError:
            data = None
        if data is None:  # too long for a datagram
            self.collector.counters.dropped += 1
        else:
            self.collector.send(data)
