"""What is done on a circuit when something happens: the actions of the call table (Q.764 12/1999).

:class:`CallControl` holds the circuits, the calls and the timers of one exchange and carries out
the rows of :mod:`trunkline.ss7.isup.table`. Its methods stand in the order of
:class:`~trunkline.ss7.isup.table.Action`. Requests and reception are added by
:class:`~trunkline.ss7.isup.call.Trunks`.

Automatic repeat attempts (2.8.1) choose another circuit of the same group. They are made at the end
of the step that asked for them, so that a group reset is complete before a circuit is taken anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.isup import events as ev
from trunkline.ss7.isup.cause import CauseIndicators, CauseValue
from trunkline.ss7.isup.circuits import Call, Circuit, Group, Timer, TimerQueue
from trunkline.ss7.isup.codec import Message, build
from trunkline.ss7.isup.messages import MessageType, ParameterCode
from trunkline.ss7.isup.number import (
    MAX_DIGITS,
    ST,
    CalledPartyNumber,
    CallingPartyNumber,
    SubsequentNumber,
)
from trunkline.ss7.isup.parameters import (
    BackwardCallIndicators,
    CalledPartyStatus,
    EventInformation,
    SuspendResumeIndicators,
)
from trunkline.ss7.isup.settings import Counters, Settings
from trunkline.ss7.isup.supervision import confusion
from trunkline.ss7.isup.table import TABLE, Action, State, Trigger

__all__ = ["CallControl", "Given", "cause_of"]

Given = Message | CauseIndicators | None
"""What a trigger brings along: the message received, or the cause of a release request."""

_UNEXPECTED: Final = frozenset({Action.DISCARD, Action.RSC_IDLE, Action.RSC_RETRY, Action.RSC_FAIL})
_SUBSCRIBER_FREE: Final = BackwardCallIndicators(
    charge=2, called_status=CalledPartyStatus.SUBSCRIBER_FREE, called_category=1
).to_bytes()
"""Charge, subscriber free, ordinary subscriber, ISUP all the way."""


class CallControl:
    """The circuits of one exchange, the calls on them, and what happens to both."""

    def __init__(self, settings: Settings, own_pc: int) -> None:
        self.settings = settings
        self.own_pc = own_pc
        self.counters = Counters()
        self._groups: dict[str, Group] = {}
        self._circuits: dict[int, dict[int, Circuit]] = {}
        self._calls: dict[int, Call] = {}
        self._last_id = 0
        self._paused: set[int] = set()
        self._timers = TimerQueue()
        self._retries: deque[tuple[Call, int]] = deque()
        self._events: list[ev.Event] = []
        self._output: list[tuple[int, int, bytes]] = []

    # The table at work

    def _step(
        self,
        circuit: Circuit,
        trigger: Trigger,
        now: float,
        given: Given = None,
    ) -> None:
        """Do what the table says, and put the circuit into the row's next state."""
        row = TABLE[circuit.state][trigger]
        if row.action is Action.ILLEGAL:
            raise TrunklineError(
                "isup.call-state", f"{trigger.value} does not fit the state {circuit.state.value}"
            )
        if row.action in _UNEXPECTED and isinstance(given, Message):
            self.counters.unexpected += 1
        if circuit.state not in row.next:
            self._timers.stop_all(circuit)
        after = _ACTIONS[row.action](self, circuit, given, now)
        if after is None:
            after = row.next[0]
        if after is not circuit.state:
            self._enter(circuit, after)

    def _enter(self, circuit: Circuit, state: State) -> None:
        circuit.state = state
        if state is State.IDLE:
            circuit.release = b""
            circuit.group.offer(circuit)
        else:
            circuit.group.withdraw(circuit)

    # Actions, in the order of the table. Each returns the next state where the row leaves a choice.

    def _seize(self, circuit: Circuit, given: Given, now: float) -> None:
        call = _call_on(circuit)
        self._send(circuit.group.dpc, call.iam)
        self._start(circuit, Timer.T7, now)

    def _offer(self, circuit: Circuit, given: Given, now: float) -> None:
        message = _message(given)
        called, calling = _numbers(message)
        self._last_id += 1
        call = Call(
            id=self._last_id,
            outgoing=False,
            group=circuit.group.name,
            dpc=circuit.group.dpc,
            cic=circuit.cic,
            called=called.text,
            calling=calling.text if calling else "",
            ref="",
            iam=message,
        )
        self._calls[call.id] = call
        self.counters.calls_incoming += 1
        self._bind(call, circuit)
        self._events.append(
            ev.IncomingCall(
                call_id=call.id,
                opc=call.dpc,
                cic=call.cic,
                called=call.called,
                calling=call.calling,
                complete=called.complete,
                category=(message.get(ParameterCode.CALLING_PARTYS_CATEGORY) or b"\0")[0],
                medium=(message.get(ParameterCode.TRANSMISSION_MEDIUM_REQUIREMENT) or b"\0")[0],
                message=message,
            )
        )

    def _more_digits(self, circuit: Circuit, given: Given, now: float) -> None:
        content = _message(given).get(ParameterCode.SUBSEQUENT_NUMBER) or b""
        number = SubsequentNumber.parse(content)
        call = _call_on(circuit)
        digits = number.digits.rstrip(ST)
        if len(call.called) + len(digits) > MAX_DIGITS:
            raise DecodeError(
                "isup.digits", f"SAM with {len(digits)} digits more than {len(call.called)}"
            )
        call.called += digits
        complete = number.digits.endswith(ST)
        self._events.append(ev.MoreDigits(call.id, digits, complete))

    def _address_complete(self, circuit: Circuit, given: Given, now: float) -> None:
        content = _message(given).get(ParameterCode.BACKWARD_CALL_INDICATORS) or b""
        status = BackwardCallIndicators.parse(content).called_status
        free = status == CalledPartyStatus.SUBSCRIBER_FREE
        self._start(circuit, Timer.T9, now)
        self._events.append(ev.Alerting(_call_on(circuit).id, free))

    def _progress(self, circuit: Circuit, given: Given, now: float) -> None:
        content = _message(given).get(ParameterCode.EVENT_INFORMATION) or b""
        event = EventInformation.parse(content).event
        self._events.append(ev.Progress(_call_on(circuit).id, event))

    def _connected(self, circuit: Circuit, given: Given, now: float) -> None:
        call = self._mark_answered(circuit)
        self._events.append(ev.Answered(call.id))

    def _suspend(self, circuit: Circuit, given: Given, now: float) -> None:
        network = _network_initiated(_message(given))
        self._events.append(ev.Suspended(_call_on(circuit).id, network))

    def _resume(self, circuit: Circuit, given: Given, now: float) -> None:
        network = _network_initiated(_message(given))
        self._events.append(ev.Resumed(_call_on(circuit).id, network))

    def _send_acm(self, circuit: Circuit, given: Given, now: float) -> None:
        self._send(circuit.group.dpc, build(MessageType.ACM, circuit.cic, [_SUBSCRIBER_FREE]))

    def _send_con(self, circuit: Circuit, given: Given, now: float) -> None:
        self._mark_answered(circuit)
        self._send(circuit.group.dpc, build(MessageType.CON, circuit.cic, [_SUBSCRIBER_FREE]))

    def _send_anm(self, circuit: Circuit, given: Given, now: float) -> None:
        self._mark_answered(circuit)
        self._send(circuit.group.dpc, build(MessageType.ANM, circuit.cic))

    def _send_rel(self, circuit: Circuit, given: Given, now: float) -> None:
        assert isinstance(given, CauseIndicators)
        self._begin_release(circuit, given, now)
        call = self._unbind(circuit)
        self._events.append(ev.Released(call.id, given.value, given.location, by_peer=False))

    def _released(self, circuit: Circuit, given: Given, now: float) -> None:
        cause = cause_of(_message(given))
        self._confirm(circuit, given, now)
        call = self._unbind(circuit)
        self._events.append(ev.Released(call.id, cause.value, cause.location, by_peer=True))

    def _confirm(self, circuit: Circuit, given: Given, now: float) -> None:
        """RLC; a group reset is confirmed for all its circuits at once, by GRA."""
        if _message(given).type != MessageType.GRS:
            self._send(circuit.group.dpc, build(MessageType.RLC, circuit.cic))

    def _reset_retry(self, circuit: Circuit, given: Given, now: float) -> None:
        self._confirm(circuit, given, now)
        self._retry(circuit)

    def _reset_fail(self, circuit: Circuit, given: Given, now: float) -> None:
        self._confirm(circuit, given, now)
        self._fail(circuit, CauseValue.TEMPORARY_FAILURE, "the circuit was reset by the peer")

    def _dual_seizure(self, circuit: Circuit, given: Given, now: float) -> State:
        self.counters.dual_seizures += 1
        if circuit.controlled:
            return circuit.state
        _numbers(_message(given))  # refuse a call that cannot be read before backing off
        self._timers.stop_all(circuit)
        self._retry(circuit)
        self._offer(circuit, given, now)
        return State.ICC_WAIT_FOR_ACM

    def _rsc_idle(self, circuit: Circuit, given: Given, now: float) -> None:
        self._send_rsc(circuit)
        self._start(circuit, Timer.T16, now)
        self._start(circuit, Timer.T17, now)

    def _rsc_retry(self, circuit: Circuit, given: Given, now: float) -> None:
        self._rsc_idle(circuit, given, now)
        self._retry(circuit)

    def _rsc_fail(self, circuit: Circuit, given: Given, now: float) -> None:
        self._rsc_idle(circuit, given, now)
        self._fail(circuit, CauseValue.TEMPORARY_FAILURE, "the circuit was reset from here")

    def _rlc_without_rel(self, circuit: Circuit, given: Given, now: float) -> None:
        self._release_failed(circuit, CauseValue.TEMPORARY_FAILURE, "RLC without REL", now)

    def _no_address_complete(self, circuit: Circuit, given: Given, now: float) -> None:
        self._release_failed(
            circuit, CauseValue.RECOVERY_ON_TIMER_EXPIRY, "T7: no ACM or CON came", now
        )

    def _no_answer(self, circuit: Circuit, given: Given, now: float) -> None:
        self._release_failed(circuit, CauseValue.NO_ANSWER_FROM_USER, "T9: no answer came", now)

    def _isolated(self, circuit: Circuit, given: Given, now: float) -> None:
        self._release_failed(
            circuit, CauseValue.DESTINATION_OUT_OF_ORDER, "MTP-PAUSE while awaiting ACM", now
        )

    def _repeat_rel(self, circuit: Circuit, given: Given, now: float) -> None:
        self.counters.releases_repeated += 1
        self._transmit(circuit.group.dpc, circuit.cic, circuit.release)
        self._start(circuit, Timer.T1, now)

    def _give_up_rel(self, circuit: Circuit, given: Given, now: float) -> None:
        self._send_rsc(circuit)
        self._start(circuit, Timer.T17, now)
        self._alert_maintenance(circuit, "T5: REL was not answered")

    def _repeat_rsc(self, circuit: Circuit, given: Given, now: float) -> None:
        self._send_rsc(circuit)
        self._start(circuit, Timer.T16, now)

    def _keep_resetting(self, circuit: Circuit, given: Given, now: float) -> None:
        self._timers.stop(circuit, Timer.T16)
        self._send_rsc(circuit)
        self._start(circuit, Timer.T17, now)
        self._alert_maintenance(circuit, "T17: RSC was not answered")

    def _nothing(self, circuit: Circuit, given: Given, now: float) -> None:
        """The state alone changes, or not even that."""

    # What the actions are made of

    def _begin_release(self, circuit: Circuit, cause: CauseIndicators, now: float) -> None:
        """REL, and the timers that see to its RLC (2.9.6)."""
        message = build(MessageType.REL, circuit.cic, [cause.to_bytes()])
        circuit.release = message.to_bytes()
        self._transmit(circuit.group.dpc, circuit.cic, circuit.release)
        self._start(circuit, Timer.T1, now)
        self._start(circuit, Timer.T5, now)

    def _release_failed(self, circuit: Circuit, value: CauseValue, reason: str, now: float) -> None:
        self._begin_release(circuit, CauseIndicators(value, self.settings.location), now)
        self._fail(circuit, value, reason)

    def _fail(self, circuit: Circuit, value: CauseValue, reason: str) -> None:
        self._end_failed(self._unbind(circuit), value, reason)

    def _end_failed(self, call: Call, value: CauseValue, reason: str) -> None:
        self._calls.pop(call.id, None)
        self.counters.calls_failed += 1
        self._events.append(ev.CallFailed(call.id, value, self.settings.location, reason))

    def _retry(self, circuit: Circuit) -> None:
        """Queue the call for an automatic repeat attempt (2.8.1)."""
        call = self._unbind(circuit)
        self._calls[call.id] = call
        self._retries.append((call, circuit.cic))

    def _attempt_again(self, call: Call, avoid: int, now: float) -> None:
        group = self._groups[call.group]
        if call.dpc in self._paused:
            value, reason = CauseValue.DESTINATION_OUT_OF_ORDER, "MTP-PAUSE"
        elif call.attempts > self.settings.repeat_attempts:
            value, reason = CauseValue.NO_CIRCUIT_AVAILABLE, f"{call.attempts} attempts made"
        elif (circuit := group.take(avoid)) is None:
            value, reason = CauseValue.NO_CIRCUIT_AVAILABLE, f"no circuit free in {group.name}"
        else:
            self.counters.repeat_attempts += 1
            call.attempts += 1
            call.cic = circuit.cic
            call.iam = replace(call.iam, cic=circuit.cic)
            self._bind(call, circuit)
            self._events.append(ev.CircuitChanged(call.id, circuit.cic))
            self._step(circuit, Trigger.SETUP, now)
            return
        self._end_failed(call, value, f"repeat attempt: {reason}")

    def _bind(self, call: Call, circuit: Circuit) -> None:
        call.circuit = circuit
        circuit.call = call

    def _unbind(self, circuit: Circuit) -> Call:
        """Take the call off the circuit and off the list of calls."""
        call = _call_on(circuit)
        circuit.call = None
        call.circuit = None
        del self._calls[call.id]
        return call

    def _mark_answered(self, circuit: Circuit) -> Call:
        call = _call_on(circuit)
        call.answered = True
        self.counters.calls_answered += 1
        return call

    def _block(self, circuit: Circuit, blocked: bool) -> None:
        if circuit.blocked is blocked:
            return
        circuit.blocked = blocked
        if blocked:
            circuit.group.withdraw(circuit)
        else:
            circuit.group.offer(circuit)
        self._events.append(ev.CircuitBlocked(circuit.group.dpc, circuit.cic, blocked))

    def _start(self, circuit: Circuit, timer: Timer, now: float) -> None:
        self._timers.start(circuit, timer, now + self.settings.seconds(timer))

    def _send_rsc(self, circuit: Circuit) -> None:
        self.counters.resets_sent += 1
        self._send(circuit.group.dpc, build(MessageType.RSC, circuit.cic))

    def _confuse(self, circuit: Circuit, value: CauseValue, diagnostics: bytes) -> None:
        self.counters.confusions_sent += 1
        location = self.settings.location
        message = confusion(circuit.cic, value, diagnostics, location)
        self._send(circuit.group.dpc, message)

    def _alert_maintenance(self, circuit: Circuit, reason: str) -> None:
        self._events.append(ev.MaintenanceAlert(circuit.group.dpc, circuit.cic, reason))

    def _discard(self, code: str, detail: str) -> None:
        self.counters.discarded += 1
        self._events.append(ev.Discarded(code, detail))

    def _send(self, dpc: int, message: Message) -> None:
        self._transmit(dpc, message.cic, message.to_bytes())

    def _transmit(self, dpc: int, cic: int, octets: bytes) -> None:
        if len(self._output) >= self.settings.transmit_limit:
            self.counters.transmit_overflow += 1
            return
        self.counters.messages_sent += 1
        self._output.append((dpc, cic & self.settings.sls_mask, octets))

    def _drain(self, now: float) -> list[ev.Event]:
        """Make the repeat attempts that this step asked for, and hand out its events."""
        while self._retries:
            call, avoid = self._retries.popleft()
            self._attempt_again(call, avoid, now)
        if not self._events:
            return []
        events, self._events = self._events, []
        return events


def _call_on(circuit: Circuit) -> Call:
    assert circuit.call is not None, "the table puts a call on every circuit in this state"
    return circuit.call


def _message(given: Given) -> Message:
    assert isinstance(given, Message), "this action only stands in rows of messages"
    return given


def _numbers(message: Message) -> tuple[CalledPartyNumber, CallingPartyNumber | None]:
    """The called and the calling number of an IAM. Raises :class:`DecodeError`."""
    called = message.get(ParameterCode.CALLED_PARTY_NUMBER) or b""
    calling = message.get(ParameterCode.CALLING_PARTY_NUMBER)
    return (
        CalledPartyNumber.parse(called),
        None if calling is None else CallingPartyNumber.parse(calling),
    )


def cause_of(message: Message) -> CauseIndicators:
    """The cause of a REL or CFN. A release is a release even where its cause cannot be read."""
    try:
        return CauseIndicators.parse(message.get(ParameterCode.CAUSE_INDICATORS) or b"")
    except DecodeError:
        return CauseIndicators(CauseValue.NORMAL_UNSPECIFIED)


def _network_initiated(message: Message) -> bool:
    content = message.get(ParameterCode.SUSPEND_RESUME_INDICATORS) or b""
    return SuspendResumeIndicators.parse(content).network_initiated


_ACTIONS: Final[Mapping[Action, Callable[[CallControl, Circuit, Given, float], State | None]]] = {
    Action.SEIZE: CallControl._seize,
    Action.OFFER: CallControl._offer,
    Action.MORE_DIGITS: CallControl._more_digits,
    Action.ADDRESS_COMPLETE: CallControl._address_complete,
    Action.PROGRESS: CallControl._progress,
    Action.CONNECTED: CallControl._connected,
    Action.SUSPEND: CallControl._suspend,
    Action.RESUME: CallControl._resume,
    Action.SEND_ACM: CallControl._send_acm,
    Action.SEND_CON: CallControl._send_con,
    Action.SEND_ANM: CallControl._send_anm,
    Action.SEND_REL: CallControl._send_rel,
    Action.RELEASED: CallControl._released,
    Action.CONFIRM: CallControl._confirm,
    Action.FREED: CallControl._nothing,
    Action.RESET_CONFIRM: CallControl._confirm,
    Action.RESET_RETRY: CallControl._reset_retry,
    Action.RESET_FAIL: CallControl._reset_fail,
    Action.DUAL_SEIZURE: CallControl._dual_seizure,
    Action.RSC_IDLE: CallControl._rsc_idle,
    Action.RSC_RETRY: CallControl._rsc_retry,
    Action.RSC_FAIL: CallControl._rsc_fail,
    Action.RLC_WITHOUT_REL: CallControl._rlc_without_rel,
    Action.NO_ADDRESS_COMPLETE: CallControl._no_address_complete,
    Action.NO_ANSWER: CallControl._no_answer,
    Action.ISOLATED: CallControl._isolated,
    Action.REPEAT_REL: CallControl._repeat_rel,
    Action.GIVE_UP_REL: CallControl._give_up_rel,
    Action.REPEAT_RSC: CallControl._repeat_rsc,
    Action.KEEP_RESETTING: CallControl._keep_resetting,
    Action.DISCARD: CallControl._nothing,
    Action.STAY: CallControl._nothing,
}
