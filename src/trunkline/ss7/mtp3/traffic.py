"""Message handling: discrimination, distribution, routing, load sharing.

Standards: ITU-T Q.704 clause 2 (signalling message handling), T1.111.5 (ANSI's SLS rotation).

**The way of a message in transit.** SIO and routing label, as they lie in the message, are the key
of a bounded cache, one per incoming linkset; the entry is the :class:`~.linkset.Lane` that the
message joins. At the end of the batch each lane's messages go to their link, one call of level 2
per link. Everything else, a first message included, takes the long way: checks, decision, and an
entry for the next one. Whatever changes a table empties the caches.

**Order.** Messages with equal labels take one lane, and lanes are emptied before anything is acted
on that could move them. So per SLS they leave in the order in which they came.

When a bound is reached: the flow and decision caches are emptied and refilled (the former counted
as ``flows_emptied``).

Left out: several point codes in one node (secondary and capability codes), gateway screening,
MTP-STATUS (congestion, user part unavailable: Q.704 11). Messages for user parts that are not there
are counted under ``mtp3.si``; the UPU that would say so to their sender belongs to Q.704 11.7.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.errors import DecodeError
from trunkline.ss7.mtp3 import management, slt, traffic_test
from trunkline.ss7.mtp3.core import Core
from trunkline.ss7.mtp3.events import ManagementReceived, Transfer
from trunkline.ss7.mtp3.level2 import Item
from trunkline.ss7.mtp3.link_management import LinkManagement
from trunkline.ss7.mtp3.linkset import Lane, SLink, Target, rotations, share, slot
from trunkline.ss7.mtp3.loops import Loops
from trunkline.ss7.mtp3.message import ServiceIndicator
from trunkline.ss7.mtp3.ping import Pings
from trunkline.ss7.mtp3.route_management import RouteManagement
from trunkline.ss7.mtp3.routes import Decision, Outcome, Route
from trunkline.ss7.mtp3.settings import MAX_SIF

__all__ = ["Traffic"]


class Traffic:
    """The messages of one node, and whatever acts on them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._settings = core.settings
        self._label = core.settings.label
        self._header = core.settings.label.header
        self._header_part = slice(self._header)  # made once: making it costs more than using it
        self._decisions: dict[tuple[str | None, int], Decision] = {}
        self._lanes: dict[tuple[Route, Target], Lane] = {}
        self._touched: list[Lane] = []
        """Lanes that hold messages of the batch in hand."""
        self._own_flows: dict[bytes, Lane] = {}
        """Route cache for messages of this node."""
        self.route_management = RouteManagement(core, self.invalidate)
        self.link_management = LinkManagement(
            core,
            self.invalidate,
            self.tables_changed,
            self._reroute,
            self.route_management.tell_again,
        )
        self.changeover = self.link_management.changeover
        self.pings = Pings(core, self.originate)
        self.loops = Loops(core, self._send_over, self._route_of_one_changed)

    # In.

    def receive(self, slink: SLink, items: Sequence[Item], now: float) -> list[object]:
        """Take what level 2 of ``slink`` returned: MSUs, and indications in their place."""
        flows = slink.linkset.flows
        lane_of = flows.get
        header = self._header_part
        longest = MAX_SIF + 1
        touched = self._touched
        others = 0
        for item in items:
            if type(item) is bytes:
                lane = lane_of(item[header])
                if lane is None or len(item) > longest:
                    self._discriminate(slink, item, now)
                    touched = self._touched  # handing over starts a new list
                else:
                    if not lane:
                        touched.append(lane)
                    lane.append(item)
            else:
                others += 1
                self._hand_over(now)
                self.link_management.level2(slink, (item,), now)
                touched = self._touched
        counters = slink.counters
        if others:
            items = [item for item in items if type(item) is bytes]
        counters.rx_msus += len(items)
        counters.rx_octets += sum(map(len, items))  # type: ignore[arg-type]
        return self.finish(now)

    def originate(self, msus: Sequence[bytes], now: float) -> str | None:
        """Route messages of this node; return the code of the last refusal, if any."""
        lane_of = self._own_flows.get
        header = self._header
        refusal = None
        sent = 0
        for msu in msus:
            lane = lane_of(msu[:header])
            if lane is None or len(msu) > MAX_SIF + 1:
                lane, code = self._first_of_own(msu, now)
                refusal = code or refusal
                if lane is None:
                    continue
            if not lane:
                self._touched.append(lane)
            lane.append(msu)
            sent += 1
        self._core.counters.originated += sent
        return refusal

    def ping_timer(self, subject: object, now: float) -> None:
        """Go on with a traffic test; what it sends leaves before another timer moves traffic."""
        self.pings.timer(subject, now)
        self._hand_over(now)

    def _first_of_own(self, msu: bytes, now: float) -> tuple[Lane | None, str | None]:
        """Route a message of this node for which the cache has no entry."""
        core = self._core
        if not self._header <= len(msu) <= MAX_SIF + 1:
            core.discard(
                None,
                "mtp3.length",
                f"message of {len(msu)} octets from a local user; {self._header} to "
                f"{MAX_SIF + 1} fit",
                now,
            )
            return None, "mtp3.length"
        dpc, _, sls, _ = self._label.unpack(msu)
        if dpc == self._settings.point_code:
            self._deliver(None, msu, now)
            return None, None
        si = msu[0] & 15
        if si >= ServiceIndicator.SCCP and si != ServiceIndicator.MTP_TESTING:
            self.route_management.watch(dpc, announce=False)
        lane, decision = self._lane(None, dpc, sls)
        if lane is None:
            core.discard(None, decision.outcome.value, self._refusal(decision), now)
            return None, decision.outcome.value
        self._remember(self._own_flows, msu[: self._header], lane)
        return lane, None

    def _discriminate(self, slink: SLink, msu: bytes, now: float) -> None:
        """Q.704 2.4: is it for this node? A message for which the cache has no entry."""
        core = self._core
        settings = self._settings
        if len(msu) < self._header:
            core.discard(
                slink,
                "mtp3.short",
                f"message of {len(msu)} octets; SIO and routing label take {self._header}",
                now,
            )
            return
        if len(msu) > MAX_SIF + 1:
            core.discard(
                slink, "mtp3.length", f"message of {len(msu)} octets; {MAX_SIF + 1} fit", now
            )
            return
        show = settings.variant.format
        if msu[0] >> 6 != settings.network_indicator:
            core.discard(
                slink,
                "mtp3.network-indicator",
                f"network indicator {msu[0] >> 6}, this node's is {settings.network_indicator}",
                now,
            )
            return
        dpc, opc, sls, _ = self._label.unpack(msu)
        if opc == settings.point_code:
            self._came_back(slink, msu, dpc, sls, now)
        elif dpc == settings.point_code:
            self._deliver(slink, msu, now)
        elif msu[0] & 15 in (ServiceIndicator.TEST, ServiceIndicator.TEST_SPECIAL):
            core.discard(
                slink,
                "mtp3.slt.label",
                f"link test for {show(dpc)}, this node is {show(settings.point_code)}: check the "
                "point codes at both ends",
                now,
            )
        elif not settings.transfer:
            core.discard(
                slink, "mtp3.transfer", f"message for {show(dpc)}: this is no transfer point", now
            )
        else:
            self._transit(slink, msu, dpc, sls, now)

    def _transit(self, slink: SLink, msu: bytes, dpc: int, sls: int, now: float) -> None:
        lane, decision = self._lane(slink.linkset.name, dpc, sls)
        if lane is None:
            self._core.discard(slink, decision.outcome.value, self._refusal(decision), now)
            self._hand_over(now)
            self.route_management.refused(slink, decision, now)
            return
        header = msu[: self._header]
        if self.loops.settled(header, slink.linkset.name, (lane.route.linkset, dpc), sls, now):
            self._remember(slink.linkset.flows, header, lane)
        if not lane:
            self._touched.append(lane)
        lane.append(msu)

    def _came_back(self, slink: SLink, msu: bytes, dpc: int, sls: int, now: float) -> None:
        """Refuse a message that bears this node's own point code as OPC."""
        if msu[0] & 15 == ServiceIndicator.MTP_TESTING:
            try:
                test = traffic_test.parse(msu[self._header :])
            except DecodeError:
                pass
            else:
                self._hand_over(now)  # a mark moves traffic
                if self.loops.returned(slink, test, now):
                    return
        show = self._settings.variant.format
        self._core.discard(
            slink,
            "mtp3.opc",
            f"message to {show(dpc)} comes in as from this node's own point code "
            f"{show(self._settings.point_code)}: it went in a circle, or another node has the "
            "same point code",
            now,
        )
        lane, _ = self._lane(None, dpc, sls)
        if lane is not None:
            self.loops.suspect((lane.route.linkset, dpc), sls, now)

    def _deliver(self, slink: SLink | None, msu: bytes, now: float) -> None:
        """Q.704 2.5: distribution to the part that the service indicator names."""
        core = self._core
        si = msu[0] & 15
        if si in self._settings.user_parts:
            core.counters.delivered += 1
            core.events.append(Transfer(si, msu))
            return
        _, opc, sls, _ = self._label.unpack(msu)
        payload = msu[self._header :]
        try:
            if si == ServiceIndicator.MTP_TESTING:
                test = traffic_test.parse(payload)
                if test.test == traffic_test.PROBE and test.heading == traffic_test.REPLY:
                    self._hand_over(now)
                    self.loops.answered(opc, test, now)
                else:
                    self.pings.receive(opc, sls, test, now)
            elif si == ServiceIndicator.MANAGEMENT and slink is not None:
                self._hand_over(now)
                message = management.parse(payload, self._settings.variant)
                self._manage(slink, opc, sls, message, now)
            elif (
                si in (ServiceIndicator.TEST, slt.service_indicator(self._settings.variant))
                and slink is not None
            ):
                self._hand_over(now)
                self.link_management.test_message(slink, si, opc, sls, slt.parse(payload), now)
            else:
                core.discard(slink, "mtp3.si", f"no user part here for service indicator {si}", now)
        except DecodeError as error:
            core.discard(slink, error.code, str(error), now)

    def _manage(
        self, slink: SLink, opc: int, sls: int, message: management.Management, now: float
    ) -> None:
        counts = slink.counters.management
        counts[message.name] = counts.get(message.name, 0) + 1
        if self.route_management.management(slink, opc, message, now):
            show = self._settings.variant.format
            self._core.events.append(
                ManagementReceived(slink, message.name, True, show(message.pc))
            )
        elif self.changeover.management(slink, opc, sls, message, now):
            self._core.events.append(ManagementReceived(slink, message.name, True))
        else:
            self._core.events.append(ManagementReceived(slink, message.name, False))

    # Routing.

    def choose(
        self, arrived_on: str | None, dpc: int, sls: int
    ) -> tuple[Decision, Route | None, Target | None]:
        """Decide, share the load, and find the link: the one place where this is done."""
        key = (arrived_on, dpc)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= self._settings.decision_limit:
                self._decisions.clear()
            decision = self._decisions[key] = self._core.routes.decide(dpc, arrived_on)
        if decision.outcome is not Outcome.FORWARD:
            return decision, None, None
        rotates = self._settings.rotates
        count = len(decision.members)
        route = decision.pick(share(sls, self._label.sls_bits, count, rotates))
        target = self._core.linksets[route.linkset].target(slot(sls, count, rotates))
        return decision, route, target

    def _lane(self, arrived_on: str | None, dpc: int, sls: int) -> tuple[Lane | None, Decision]:
        decision, route, target = self.choose(arrived_on, dpc, sls)
        if route is None or target is None:
            return None, decision
        lane = self._lanes.get((route, target))
        if lane is None:
            lane = self._lanes[route, target] = Lane(route, target)
        return lane, decision

    def _remember(self, flows: dict[bytes, Lane], header: bytes, lane: Lane) -> None:
        if len(flows) >= self._settings.flow_limit:
            flows.clear()
            self._core.counters.flows_emptied += 1
        flows[header] = lane

    def _refusal(self, decision: Decision) -> str:
        reasons = ", ".join(f"{c.route.linkset} {c.reason.value}" for c in decision.candidates)
        destination = self._settings.variant.format(decision.dpc)
        return f"message for {destination}: {reasons or 'no route covers it'}"

    def invalidate(self) -> None:
        """Empty every cache; lanes have been handed over before."""
        self._decisions.clear()
        self._lanes.clear()
        self._own_flows.clear()
        for linkset in self._core.linksets.values():
            linkset.flows.clear()
        self.loops.tables_changed()

    def tables_changed(self, now: float) -> None:
        """Have the consequences of a changed table or linkset worked out."""
        self.invalidate()
        self.route_management.linkset_changed(now)

    def _route_of_one_changed(self, pc: int, now: float) -> None:
        self.invalidate()
        self.route_management.destination_changed(pc, now)

    def _send_over(self, linkset: str, sls: int, msu: bytes, now: float) -> bool:
        """Send a message of this node over ``linkset``, whatever the tables say."""
        found = self._core.linksets.get(linkset)
        target = None if found is None else found.target(sls)
        if target is None:
            return False
        if isinstance(target, SLink):
            batch = self._rotated([msu]) if self._settings.rotates else [msu]
            self._core.send(target, batch, now)
        else:
            target.extend([msu])
        return True

    def _reroute(self, msus: Sequence[bytes], now: float) -> None:
        """Send retrieved and held messages by what the tables say now.

        Where they came in is forgotten: should the way lead back there, the neighbour finds that
        its own route leads here, and discards them.
        """
        for msu in msus:
            dpc, _, sls, _ = self._label.unpack(msu)
            lane, decision = self._lane(None, dpc, sls)
            if lane is None:
                self._core.discard(None, decision.outcome.value, self._refusal(decision), now)
                continue
            if not lane:
                self._touched.append(lane)
            lane.append(msu)
        self._hand_over(now)

    def _hand_over(self, now: float) -> None:
        """Give every lane's messages to its link, one call of level 2 per link."""
        touched = self._touched
        if not touched:
            return
        self._touched = []
        rotates = self._settings.rotates
        links: list[SLink] = []
        for lane in touched:
            counters = lane.route.counters
            counters.msus += len(lane)
            counters.octets += sum(map(len, lane))
            target = lane.target
            if isinstance(target, SLink):
                if not target.out:
                    links.append(target)
                target.out.extend(self._rotated(lane) if rotates else lane)
            else:
                target.extend(lane)
            lane.clear()
        for slink in links:
            batch, slink.out = slink.out, []
            self._core.send(slink, batch, now)

    def _rotated(self, msus: Sequence[bytes]) -> list[bytes]:
        """ANSI: turn the SLS by one bit, except in messages whose SLS names a link (T1.111.5)."""
        at, after = self._label.octets, self._header
        turn = rotations.forward
        return [
            msu[:at] + turn[msu[at]] + msu[after:] if msu[0] & 15 >= ServiceIndicator.SCCP else msu
            for msu in msus
        ]

    def finish(self, now: float) -> list[object]:
        """Empty the lanes, act on what level 2 answered, and return the events."""
        core = self._core
        while self._touched or core.to_process:
            self._hand_over(now)
            answered, core.to_process = core.to_process, []
            for slink, items in answered:
                self.link_management.level2(slink, items, now)
        return core.take()
