"""A Service Switching Point: an exchange that originates, answers and records telephone calls.

Policy only. Which number leaves on which circuits, how long a called subscriber lets it ring and
whether he answers, what a caller hears when there is no way: that is decided here. The calls
themselves are ``trunkline.ss7.Trunks``, the way to the other exchange is the signalling
point's. Every attempt leaves one record when it ends, refused ones included.

Where the network file has the calls charged, a caller's money is asked for before the IAM goes out,
and as long as the call runs: ``trunkline.elements.credit``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trunkline.config.network import ExchangeSettings
from trunkline.elements.discards import Discards
from trunkline.elements.log import RouterLog
from trunkline.errors import DecodeError, TrunklineError
from trunkline.net.loop import Handle, TimerWheel
from trunkline.ss7.isup import events as isup
from trunkline.ss7.isup.call import SetupRefused, Trunks
from trunkline.ss7.isup.cause import CauseValue, Location
from trunkline.ss7.isup.number import check_digits
from trunkline.ss7.isup.settings import Settings
from trunkline.ss7.isup.table import State
from trunkline.ss7.mtp3 import message as mtp3
from trunkline.ss7.pointcode import Variant
from trunkline.store.records import CallRecord

if TYPE_CHECKING:
    from trunkline.elements.credit import Charge, Charging, Credit, EndCall

__all__ = ["ActiveCall", "Exchange", "charged"]

SERVICE_INDICATOR = 5  # ISUP, Q.704 section 14.2.1

_ID_OCTETS = 8  # of chance: with four, two of a hundred thousand calls would share an id


@dataclass(slots=True)
class ActiveCall:
    """A call that has not ended; times in seconds since the epoch."""

    id: str
    outgoing: bool
    calling: str
    called: str
    opc: int
    dpc: int | None
    cic: int | None
    start: float
    state: str
    """``authorising``, ``setup``, ``alerting`` or ``answered``."""
    answer: float | None = None
    hold: float | None = None
    """Seconds after which this exchange's caller hangs up; ``None``: when told to."""
    alarm: Handle | None = None
    """Ringing, or talking, until then."""
    credit: Credit | None = None
    """What its caller pays with, where calls are charged."""


class Exchange:
    """One exchange's calls.

    ``transfer`` takes whole MSUs towards the network; ``record`` keeps call records; ``observe``
    hears of every change of a call as (kind, call).
    """

    def __init__(
        self,
        name: str,
        settings: ExchangeSettings,
        *,
        variant: Variant,
        network_indicator: int,
        point_code: int,
        wheel: TimerWheel,
        clock: Callable[[], float],
        transfer: Callable[[Sequence[bytes], float], None],
        record: Callable[[CallRecord], None],
        observe: Callable[[str, ActiveCall], None],
        log: RouterLog,
        discard: Discards,
        charging: Charging | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.authorising: dict[str, ActiveCall] = {}
        """By id: the calls that have no circuit yet, because charging is being asked."""
        self.calls: dict[int, ActiveCall] = {}
        self.trunks = Trunks(Settings(), point_code)
        self._variant = variant
        self._network_indicator = network_indicator
        self._point_code = point_code
        self._wheel = wheel
        self._clock = clock
        self._transfer = transfer
        self._record = record
        self._observe = observe
        self._log = log
        self._discard = discard
        self._charging = charging
        self._alarm: Handle | None = None
        self._deadline: float | None = None
        for trunk in settings.trunk:
            dpc = variant.parse(trunk.point_code)
            if dpc == point_code:
                raise TrunklineError(
                    "exchange.own-trunk",
                    f"trunk {trunk.name} of {name} leads to {trunk.point_code}, which is this "
                    "exchange itself",
                )
            self.trunks.add_group(trunk.name, dpc, trunk.circuits.codes, trunk.control)
        # the longest prefix wins, so it is asked first
        self._routes = sorted(settings.route, key=lambda route: -len(route.prefix))
        self._served = tuple(settings.numbers)
        self._to_reset = set(self.destinations)
        self._resetting: dict[str, list[int]] = {}
        """By group: the circuits that have not been reset since the start."""
        self._being_reset: dict[str, int] = {}
        """By group: the circuit whose reset awaits its confirmation."""

    @property
    def destinations(self) -> frozenset[int]:
        """The point codes that its trunks lead to."""
        return frozenset(group.dpc for group in self.trunks.groups.values())

    # requests of the operator

    def originate(self, calling: str, called: str, hold: float | None) -> ActiveCall:
        """Call ``called`` on behalf of ``calling``; hang up ``hold`` seconds after the answer.

        Where the call is charged, it is authorised first: ``call.credit.admitted`` is done when
        its IAM has gone out, and raises why it has not.

        Raises:
            TrunklineError: ``exchange.no-route``, or what ``Trunks.setup`` refuses. A record is
                left in either case, except for what is no number at all (``isup.digits``).
        """
        call = ActiveCall(
            id=secrets.token_hex(_ID_OCTETS),
            outgoing=True,
            calling=calling,
            called=called,
            opc=self._point_code,
            dpc=None,
            cic=None,
            start=time.time(),
            state="setup",
            hold=hold,
        )
        route = next((r for r in self._routes if called.startswith(r.prefix)), None)
        if route is None:
            self._finish(call, CauseValue.NO_ROUTE_TO_DESTINATION, Location.USER)
            prefixes = ", ".join(sorted(r.prefix for r in self._routes)) or "none"
            raise TrunklineError(
                "exchange.no-route",
                f"{self.name} has no route for {called}; prefixes routed: {prefixes}",
            )
        charging = self._charging
        if charging is None or not charging.charges(calling):
            self._set_up(call, route.trunk)
            return call
        check_digits(called, "called number")
        check_digits(calling, "calling number")
        call.state = "authorising"
        self.authorising[call.id] = call
        self._observe("authorising", call)
        credit = charging.credit(call.id, calling, called, lambda end: self._end(call, end))
        call.credit = credit
        credit.setup(lambda: self._admit(call, route.trunk))
        return call

    def _admit(self, call: ActiveCall, trunk: str) -> None:
        """Charging lets a call go out."""
        assert call.credit is not None
        del self.authorising[call.id]
        call.state = "setup"
        try:
            self._set_up(call, trunk)
        except TrunklineError as problem:
            call.credit.admitted.set_exception(problem)
        else:
            call.credit.admitted.set_result(None)

    def _set_up(self, call: ActiveCall, trunk: str) -> None:
        now = self._clock()
        try:
            leg = self.trunks.setup(trunk, call.called, call.calling, now, ref=call.id)
        except SetupRefused as refused:
            self._finish(call, refused.cause, Location.PUBLIC_NETWORK_LOCAL_USER)
            raise
        call.dpc, call.cic = leg.dpc, leg.cic
        self.calls[leg.id] = call
        self._observe("setup", call)
        self._settle([], now)

    def _end(self, call: ActiveCall, end: EndCall) -> None:
        """Charging wants a call to end, or not to begin."""
        assert call.credit is not None
        place = f"call {call.id[:8]} of {call.calling} to {call.called}"
        if self.authorising.pop(call.id, None) is not None:
            self._log("CHARGING", 5, "REFUSED", f"{place}: {end.why}")
            call.credit.admitted.set_exception(
                TrunklineError(
                    "exchange.not-authorised",
                    f"{call.calling} may not call {call.called}: {end.why}",
                )
            )
            self._finish(call, end.cause, end.location)
            return
        self._log("CHARGING", 5, "RELEASED", f"{place}: {end.why}")
        leg = next(leg for leg, each in self.calls.items() if each is call)
        now = self._clock()
        self._settle(self.trunks.release(leg, end.cause, now, end.location), now)

    def release(self, identifier: str) -> ActiveCall:
        """Hang up the call whose id is ``identifier``.

        Raises:
            TrunklineError: ``exchange.no-such-call``.
        """
        waiting = self.authorising.pop(identifier, None)
        if waiting is not None:
            self._give_up(waiting, CauseValue.NORMAL_CALL_CLEARING, Location.USER)
            return waiting
        for leg, call in self.calls.items():
            if call.id == identifier:
                self._hang_up(leg)
                return call
        raise TrunklineError(
            "exchange.no-such-call", f"{self.name} has no active call {identifier!r}"
        )

    def _give_up(self, call: ActiveCall, cause: CauseValue, location: Location) -> None:
        """End a call that charging has not let go out yet."""
        assert call.credit is not None
        call.credit.admitted.set_exception(
            TrunklineError("exchange.given-up", "the call was ended before it was authorised")
        )
        self._finish(call, cause, location)

    def close(self) -> None:
        """Stop the timers and leave the records of the calls under way.

        The other exchange hears no word of it, as of a process that is killed.
        """
        cause, location = CauseValue.TEMPORARY_FAILURE, Location.PUBLIC_NETWORK_LOCAL_USER
        while self.authorising:
            self._give_up(self.authorising.popitem()[1], cause, location)
        while self.calls:
            _, call = self.calls.popitem()
            self._finish(call, cause, location)
        if self._alarm is not None:
            self._alarm.cancel()

    # the signalling point's user part

    def transfer(self, msus: list[bytes], now: float) -> None:
        """Messages for service indicator 5."""
        events: list[isup.Event] = []
        for octets in msus:
            try:
                msu = mtp3.parse(octets, self._variant)
            except DecodeError as problem:
                self._discard("CS7ISUP", problem.code, problem.message)
                continue
            events += self.trunks.receive(msu.opc, msu.payload, now)
            if msu.opc in self._to_reset:
                events += self._heard_from(msu.opc, now)
        for name in list(self._resetting):
            events += self._reset_next(name, now)
        self._settle(events, now)

    def pause(self, dpc: int, now: float) -> None:
        """MTP-PAUSE: calls that are up stay."""
        self._settle(self.trunks.pause(dpc, now), now)

    def resume(self, dpc: int, now: float) -> None:
        """MTP-RESUME."""
        self._settle(self.trunks.resume(dpc, now), now)

    def _heard_from(self, opc: int, now: float) -> list[isup.Event]:
        """Reset the circuits to an exchange, one after the other, once it has been heard.

        This exchange has started, and what the other end still takes for a call is none (Q.764
        2.9.3.1). Not before a message of its own shows that the way is open: resets that get lost
        take their circuits out of use until T16. One circuit at a time, the next when the last is
        confirmed, and the last circuits first, because calls take the first: so the resets of two
        exchanges that start together meet few calls.
        """
        self._to_reset.discard(opc)
        events: list[isup.Event] = []
        for name, group in self.trunks.groups.items():
            if group.dpc == opc:
                self._resetting[name] = list(group.circuits)
                events += self._reset_next(name, now)
        return events

    def _reset_next(self, name: str, now: float) -> list[isup.Event]:
        """Reset the next idle circuit of a group, if the one before has been confirmed."""
        circuits, waiting = self.trunks.groups[name].circuits, self._resetting[name]
        begun = self._being_reset.get(name)
        if begun is not None and circuits[begun].state is State.RESETTING:
            return []
        while waiting:
            cic = waiting.pop()
            if circuits[cic].state is State.IDLE:
                self._being_reset[name] = cic
                return self.trunks.reset(name, now, (cic,))
        del self._resetting[name]
        self._being_reset.pop(name, None)
        return []

    # what the machine tells

    def _settle(self, events: Sequence[isup.Event], now: float) -> None:
        """Act on events and on what acting on them brings, then send and re-arm the timer."""
        try:
            for event in events:
                self._on_event(event, now)
        finally:
            self._flush(now)

    def _flush(self, now: float) -> None:
        """Send what waits, and see that the next timeout is heard."""
        messages = self.trunks.data_to_send()
        if messages:
            self._transfer([self._msu(*message) for message in messages], now)
        deadline = self.trunks.next_timeout()
        if deadline is None or (self._deadline is not None and self._deadline <= deadline):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._deadline = deadline
        self._alarm = self._wheel.call_at(deadline, self._ring)

    def _msu(self, dpc: int, sls: int, payload: bytes) -> bytes:
        return mtp3.Msu(
            ni=self._network_indicator,
            priority=0,
            si=SERVICE_INDICATOR,
            dpc=dpc,
            opc=self._point_code,
            sls=sls,
            payload=payload,
        ).to_bytes(self._variant)

    def _ring(self) -> None:
        self._alarm = self._deadline = None
        now = self._clock()
        deadline = self.trunks.next_timeout()
        due = deadline is not None and deadline <= now
        self._settle(self.trunks.on_timeout(now) if due else [], now)

    def _on_event(self, event: isup.Event, now: float) -> None:
        match event:
            case isup.IncomingCall():
                self._incoming(event, now)
            case isup.Alerting(call_id=leg) if leg in self.calls:
                self.calls[leg].state = "alerting"
                self._observe("alerting", self.calls[leg])
            case isup.Answered(call_id=leg) if leg in self.calls:
                self._answered(leg)
            case isup.CircuitChanged(call_id=leg, cic=cic) if leg in self.calls:
                self.calls[leg].cic = cic
            case isup.Released(call_id=leg) | isup.CallFailed(call_id=leg) if leg in self.calls:
                self._finish(self.calls.pop(leg), event.cause, event.location)
            case isup.MaintenanceAlert():
                place = f"circuit {event.cic} to {self._variant.format(event.dpc)}"
                self._log("CS7ISUP", 3, "MAINTENANCE", f"{place}: {event.reason}")
            case isup.Discarded():
                self._discard("CS7ISUP", event.code, event.detail)
            case _:
                pass  # overlap digits, suspension, confusion, blocking: counted by the machine

    def _incoming(self, event: isup.IncomingCall, now: float) -> None:
        call = ActiveCall(
            id=secrets.token_hex(_ID_OCTETS),
            outgoing=False,
            calling=event.calling,
            called=event.called,
            opc=event.opc,
            dpc=self._point_code,
            cic=event.cic,
            start=time.time(),
            state="setup",
        )
        leg = event.call_id
        self.calls[leg] = call
        self._observe("setup", call)
        if leg not in self.trunks.calls:
            return  # released again in the same batch: that event follows
        if not event.called.startswith(self._served):
            cause = CauseValue.UNALLOCATED_NUMBER
            location = Location.PUBLIC_NETWORK_REMOTE_USER
            self._settle(self.trunks.release(leg, cause, now, location), now)
            return
        self._settle(self.trunks.alert(leg, now), now)
        call.state = "alerting"
        self._observe("alerting", call)
        if self.settings.answer:
            ring = self.settings.ring_time.seconds
            call.alarm = self._wheel.call_at(now + ring, lambda: self._pick_up(leg))

    def _pick_up(self, leg: int) -> None:
        if leg in self.calls:
            now = self._clock()
            events = self.trunks.answer(leg, now)
            self._answered(leg)
            self._settle(events, now)

    def _answered(self, leg: int) -> None:
        call = self.calls[leg]
        call.state, call.answer = "answered", time.time()
        self._observe("answered", call)
        if call.credit is not None:
            call.credit.answer()
        if call.hold is not None:
            until = self._clock() + call.hold
            call.alarm = self._wheel.call_at(until, lambda: self._hang_up(leg))

    def _hang_up(self, leg: int) -> None:
        if leg in self.calls:
            now = self._clock()
            cause = CauseValue.NORMAL_CALL_CLEARING
            self._settle(self.trunks.release(leg, cause, now), now)

    def _finish(self, call: ActiveCall, cause: int, location: int) -> None:
        if call.alarm is not None:
            call.alarm.cancel()
        call.state = "ended"
        record = CallRecord(
            id=call.id,
            exchange=self.name,
            direction="outgoing" if call.outgoing else "incoming",
            calling=call.calling,
            called=call.called,
            start=call.start,
            answer=call.answer,
            end=time.time(),
            cause=cause,
            location=location,
            opc=call.opc,
            dpc=call.dpc,
            cic=call.cic,
            trace=call.id,
        )
        if call.credit is None:
            self._record(record)
        else:  # when it is known what it came to
            call.credit.ended(lambda charge: self._record(charged(record, charge)))
        self._observe("ended", call)


def charged(record: CallRecord, charge: Charge) -> CallRecord:
    """The record with what its call came to."""
    return replace(record, cost=charge.cost, charging=charge.to_json())
