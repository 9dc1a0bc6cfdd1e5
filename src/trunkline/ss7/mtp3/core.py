"""What the parts of one node's MTP3 share: tables, timers, counters, and the way out.

The node is cut where Q.704 cuts it: message handling (:mod:`.traffic`), traffic management
(:mod:`.changeover`), link management (:mod:`.link_management`), route management
(:mod:`.route_management`). Each holds this core; what they want of each other are callbacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from trunkline.ss7.mtp3.counters import RouterCounters
from trunkline.ss7.mtp3.events import Discarded
from trunkline.ss7.mtp3.level2 import Item
from trunkline.ss7.mtp3.linkset import Linkset, SLink
from trunkline.ss7.mtp3.management import Management
from trunkline.ss7.mtp3.message import ServiceIndicator
from trunkline.ss7.mtp3.routes import RouteTable
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.mtp3.timers import Timers

__all__ = ["Core", "Timer"]


class Timer(Enum):
    """Kinds of deadlines; with the object concerned they make the key of a timer."""

    ACTIVATE = auto()
    """A link that has been configured is to be started at the next occasion."""
    T2 = auto()
    T3 = auto()
    T8 = auto()
    T10 = auto()
    T17 = auto()
    SLT_T1 = auto()
    SLT_T2 = auto()
    PING = auto()
    LOOP = auto()


class Core:
    """Shared state of one node."""

    __slots__ = (
        "_reports",
        "counters",
        "dirty",
        "events",
        "linksets",
        "routes",
        "settings",
        "sio_base",
        "timers",
        "to_process",
    )

    def __init__(self, settings: Mtp3Settings) -> None:
        self.settings = settings
        self.linksets: dict[str, Linkset] = {}
        self.routes = RouteTable(settings.variant, settings.point_code, settings.prohibited_limit)
        self.timers: Timers[tuple[Timer, object]] = Timers()
        self.counters = RouterCounters()
        self.events: list[object] = []
        """What the call in hand will return."""
        self.dirty: set[SLink] = set()
        """Links whose level 2 has been given something; the driver drains and clears it."""
        self.to_process: list[tuple[SLink, Sequence[Item]]] = []
        """What level 2 answered; the router works it off before it returns."""
        self.sio_base = settings.network_indicator << 6
        self._reports: dict[tuple[SLink | None, str], tuple[float, int]] = {}

    def take(self) -> list[object]:
        """Hand over the events gathered so far."""
        events = self.events
        self.events = []
        return events

    def discard(
        self, slink: SLink | None, code: str, detail: str, now: float, count: int = 1
    ) -> None:
        """Count ``count`` messages refused, and report them once per interval, link and code."""
        counters = self.counters.discarded if slink is None else slink.counters.discarded
        counters[code] = counters.get(code, 0) + count
        last, silent = self._reports.get((slink, code), (None, 0))
        if last is not None and now - last < self.settings.report_interval:
            self._reports[slink, code] = (last, silent + count)
            return
        self._reports[slink, code] = (now, 0)
        self.events.append(Discarded(code, detail, slink, silent + count))

    def forget(self, slink: SLink) -> None:
        """Drop what is kept about a link that is no more."""
        self._reports = {key: value for key, value in self._reports.items() if key[0] is not slink}
        self.dirty.discard(slink)

    def send(self, slink: SLink, msus: list[bytes], now: float) -> None:
        """Give ``msus`` to level 2 of ``slink`` and count them."""
        counters = slink.counters
        counters.tx_msus += len(msus)
        counters.tx_octets += sum(map(len, msus))
        self.dirty.add(slink)
        items = slink.level2.send(msus, now)
        if items:
            self.to_process.append((slink, items))

    def own_msu(self, si: int, dpc: int, sls: int, payload: bytes) -> bytes:
        """Return a message of this node."""
        settings = self.settings
        label = settings.label.pack(dpc, settings.point_code, sls)
        return bytes((self.sio_base | si,)) + label + payload

    def send_management(
        self, linkset: Linkset, message: Management, now: float, sls: int = 0
    ) -> bool:
        """Send ``message`` to the adjacent node over the first available link.

        All go over the same link, so they arrive in order: a TFA never overtakes its TFP. The SLS
        is the code of the link concerned, 0 where none is (Q.704 15.2). ``False`` if there is no
        link to carry it.
        """
        available = linkset.available
        if not available:
            return False
        payload = message.to_bytes(self.settings.variant)
        msu = self.own_msu(ServiceIndicator.MANAGEMENT, linkset.apc, sls, payload)
        self.send(available[0], [msu], now)
        return True
