"""The ISUP of one exchange towards all others: requests, reception, supervision (Q.764 12/1999).

:class:`Trunks` is fed with what MTP delivers and with the requests of its user, and returns events;
what is to be sent waits in ``data_to_send``. It has no clock: every method takes ``now`` in
seconds. What happens on a circuit is decided by :mod:`trunkline.ss7.isup.table` and carried out by
:mod:`trunkline.ss7.isup.control`.

Left out: continuity check (2.1.8), suspension timers T2 and T6, overlap sending, echo control,
segmentation, congestion control (2.10, 2.11), alternative routes; see docs/conformance/q764.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.isup import events as ev
from trunkline.ss7.isup import supervision
from trunkline.ss7.isup.cause import CauseIndicators, CauseValue, Location
from trunkline.ss7.isup.circuits import Call, Circuit, Control, Group, Timer, controls_even
from trunkline.ss7.isup.codec import MAX_CIC, Message, build, parse
from trunkline.ss7.isup.control import CallControl, cause_of
from trunkline.ss7.isup.messages import MessageType, ParameterCode
from trunkline.ss7.isup.number import CalledPartyNumber, CallingPartyNumber, check_digits
from trunkline.ss7.isup.parameters import (
    CallingPartysCategory,
    ForwardCallIndicators,
    NatureOfConnectionIndicators,
    TransmissionMedium,
)
from trunkline.ss7.isup.table import State, Trigger

__all__ = ["SetupRefused", "Trunks"]

_TRIGGERS: Final[Mapping[int, Trigger]] = {
    MessageType[trigger.name]: trigger
    for trigger in Trigger
    if trigger.name in MessageType.__members__
}
_EXPIRY: Final[Mapping[Timer, Trigger]] = {timer: Trigger[timer.name] for timer in Timer}
_CLEARING: Final = frozenset({Trigger.REL, Trigger.RLC, Trigger.RSC})


class SetupRefused(TrunklineError):  # noqa: N818 - a refusal, with the cause to give the caller
    """No call can be set up. ``cause`` is the Q.850 cause value that tells the caller why."""

    def __init__(self, code: str, message: str, cause: CauseValue) -> None:
        super().__init__(code, message)
        self.cause = cause


class Trunks(CallControl):
    """The circuits of one exchange, and the calls on them."""

    # Topology

    def add_group(
        self, name: str, dpc: int, cics: Sequence[int], control: Control = "point-code"
    ) -> None:
        """Add circuits towards the exchange ``dpc``. ``control`` must be the peer's opposite.

        Raises :class:`TrunklineError`: ``isup.group`` for a name or CIC in use or out of range,
        or a CIC given twice; ``isup.circuit-limit``.
        """
        if len(set(cics)) != len(cics):
            raise TrunklineError("isup.group", f"group {name} to {dpc}: a CIC is given twice")
        known = self._circuits.get(dpc, {})
        taken = [cic for cic in cics if cic in known]
        if name in self._groups or not cics or taken:
            what = (
                f"CIC {taken[0]} towards it is in use" if taken else "name in use, or no circuits"
            )
            raise TrunklineError("isup.group", f"group {name} to {dpc}: {what}")
        if min(cics) < 0 or max(cics) > MAX_CIC:
            raise TrunklineError("isup.group", f"group {name}: a CIC is 0 to {MAX_CIC}")
        limit = self.settings.circuit_limit
        if sum(map(len, self._circuits.values())) + len(cics) > limit:
            raise TrunklineError("isup.circuit-limit", f"group {name}: more than {limit} circuits")
        even = controls_even(control, self.own_pc, dpc)
        group = Group(name, dpc, cics, even=even)
        self._groups[name] = group
        self._circuits.setdefault(dpc, {}).update(group.circuits)

    @property
    def groups(self) -> Mapping[str, Group]:
        """The circuit groups by name, to look at."""
        return MappingProxyType(self._groups)

    @property
    def calls(self) -> Mapping[int, Call]:
        """The calls that have not ended, by identifier, to look at."""
        return MappingProxyType(self._calls)

    # Requests

    def setup(
        self,
        to: str | int,
        called: str,
        calling: str,
        now: float,
        ref: str = "",
        *,
        category: int = CallingPartysCategory.ORDINARY,
        medium: int = TransmissionMedium.AUDIO_3K1,
    ) -> Call:
        """Send an IAM on a circuit of the group named ``to``, or of any group to that point code.

        Numbers are text, ``+`` in front of an international one; ``calling`` may be empty.
        Raises :class:`SetupRefused`: ``isup.unknown-group`` (cause 3), ``isup.paused`` (27),
        ``isup.no-circuit`` (34); :class:`TrunklineError` ``isup.digits``.
        """
        iam = _initial_address(called, calling, category, medium)
        circuit = self._select(to)
        self._last_id += 1
        call = Call(
            id=self._last_id,
            outgoing=True,
            group=circuit.group.name,
            dpc=circuit.group.dpc,
            cic=circuit.cic,
            called=called,
            calling=calling,
            ref=ref,
            iam=replace(iam, cic=circuit.cic),
        )
        self._calls[call.id] = call
        self.counters.calls_outgoing += 1
        self._bind(call, circuit)
        self._step(circuit, Trigger.SETUP, now)
        return call

    def alert(self, call_id: int, now: float) -> list[ev.Event]:
        """Send ACM: the called party of an incoming call is being alerted.

        This and the other requests raise :class:`TrunklineError`: ``isup.unknown-call`` when the
        call has ended, ``isup.call-state`` when its state does not allow the request.
        """
        self._step(self._circuit_of(call_id), Trigger.ALERT, now)
        return self._drain(now)

    def answer(self, call_id: int, now: float) -> list[ev.Event]:
        """Send ANM, or CON if no ACM was sent: the called party has answered."""
        self._step(self._circuit_of(call_id), Trigger.ANSWER, now)
        return self._drain(now)

    def release(
        self, call_id: int, cause: int, now: float, location: int = Location.USER
    ) -> list[ev.Event]:
        """Send REL with this Q.850 cause value and location. The call ends at once."""
        given = CauseIndicators(cause & 0x7F, location & 0x0F)
        self._step(self._circuit_of(call_id), Trigger.RELEASE, now, given)
        return self._drain(now)

    def reset(self, group: str, now: float, cics: Collection[int] | None = None) -> list[ev.Event]:
        """Reset the circuits of a group, or some of them, by RSC, as after a restart (2.9.3.1).

        Raises :class:`TrunklineError` ``isup.unknown-group``.
        """
        if group not in self._groups:
            raise TrunklineError("isup.unknown-group", f"no circuit group {group!r}")
        for circuit in self._groups[group].circuits.values():
            if cics is None or circuit.cic in cics:
                self._step(circuit, Trigger.RESET, now)
        return self._drain(now)

    # From and to MTP

    def receive(self, opc: int, payload: bytes, now: float) -> list[ev.Event]:
        """Act on a message from ``opc``; ``payload`` is what follows the routing label."""
        self.counters.messages_received += 1
        try:
            self._receive(opc, payload, now)
        except DecodeError as problem:
            self._discard(problem.code, f"from {opc}: {problem.message}")
        return self._drain(now)

    def data_to_send(self) -> list[tuple[int, int, bytes]]:
        """(dpc, sls, octets after the routing label) in order; each is handed out once."""
        if not self._output:
            return []
        output, self._output = self._output, []
        return output

    def pause(self, dpc: int, now: float) -> list[ev.Event]:
        """MTP-PAUSE: no calls are set up to ``dpc``; those awaiting ACM fail, others stay (2.14).

        Release procedures go on by their timers, so that the circuits end up idle.
        """
        self._paused.add(dpc)
        for circuit in self._circuits.get(dpc, {}).values():
            self._step(circuit, Trigger.PAUSE, now)
        return self._drain(now)

    def resume(self, dpc: int, now: float) -> list[ev.Event]:
        """MTP-RESUME: calls may be set up to ``dpc`` again (2.14).

        Resets that were sent while nothing got there are sent again: without that their circuits
        would stay out of use until T16 repeats them.
        """
        self._paused.discard(dpc)
        for circuit in self._circuits.get(dpc, {}).values():
            if circuit.state is State.RESETTING:
                self._step(circuit, Trigger.RESET, now)
        return self._drain(now)

    def next_timeout(self) -> float | None:
        """When ``on_timeout`` is due, in the seconds of ``now``; ``None`` if no timer runs."""
        return self._timers.next_deadline()

    def on_timeout(self, now: float) -> list[ev.Event]:
        """Act on every timer that has expired."""
        for circuit, timer in self._timers.expired(now):
            self._step(circuit, _EXPIRY[timer], now)
        return self._drain(now)

    # Reception

    def _receive(self, opc: int, payload: bytes, now: float) -> None:
        message = parse(payload)
        circuits = self._circuits.get(opc)
        if circuits is None:
            return self._discard("isup.unknown-exchange", f"no circuits towards {opc}")
        if message.type == MessageType.UPT:  # it is about the user part, whatever its CIC (2.13)
            return self._send(opc, build(MessageType.UPA, message.cic))
        circuit = circuits.get(message.cic)
        if circuit is None:
            return self._discard(
                "isup.unequipped-circuit", f"{message.type_name} for {message.cic} from {opc}"
            )
        trigger = _TRIGGERS.get(message.type)
        if trigger is None:
            return self._supervise(circuit, circuits, message, now)
        if trigger not in _CLEARING and not self._passes(circuit, message, now):
            return None
        category = message.get(ParameterCode.CALLING_PARTYS_CATEGORY)
        is_call = trigger is Trigger.IAM and category != bytes((CallingPartysCategory.TEST,))
        if is_call or trigger is Trigger.RSC:
            self._block(circuit, False)  # 2.8.2, 2.9.3.1: the peer has forgotten its blocking
        return self._step(circuit, trigger, now, message)

    def _passes(self, circuit: Circuit, message: Message, now: float) -> bool:
        """Obey the instructions for parameters not known here (2.9.5.3.2)."""
        unknown = supervision.unknown_parameters(message)
        if unknown is None:
            return True
        if unknown.release:
            if message.type == MessageType.IAM:
                # A call must be there to be released; in a dual seizure ours may well be the one.
                self._step(circuit, Trigger.IAM, now, message)
                if circuit.state is not State.ICC_WAIT_FOR_ACM:
                    return False
            if circuit.call is not None:
                value, location = CauseValue.PARAMETER_NOT_IMPLEMENTED, self.settings.location
                cause = CauseIndicators(value, location, unknown.release)
                self._step(circuit, Trigger.RELEASE, now, cause)
            return False
        if unknown.notify:
            self._confuse(circuit, CauseValue.PARAMETER_NOT_IMPLEMENTED, unknown.notify)
        if unknown.discard:
            self._discard("isup.unknown-parameter", f"{message.type_name} on {circuit.cic}")
        return not unknown.discard

    def _supervise(
        self, circuit: Circuit, circuits: Mapping[int, Circuit], message: Message, now: float
    ) -> None:
        """Messages beside the call table."""
        kind = message.type
        dpc = circuit.group.dpc
        if kind in (MessageType.BLO, MessageType.UBL):
            self._block(circuit, kind == MessageType.BLO)
            self._send(dpc, build(supervision.ACKNOWLEDGED_BY[kind], message.cic))
        elif kind in (MessageType.CGB, MessageType.CGU, MessageType.GRS):
            field, chosen = supervision.circuits_in_range(message, circuits)
            for each in chosen:
                self._block(each, kind == MessageType.CGB)
                if kind == MessageType.GRS:
                    self._step(each, Trigger.RSC, now, message)
            self._send(dpc, supervision.group_reply(message, field))
        elif kind == MessageType.CFN:
            self.counters.confusions_received += 1
            cause = cause_of(message)
            self._events.append(ev.Confusion(dpc, circuit.cic, cause.value, cause.diagnostics))
        elif kind in supervision.IGNORED:
            self._discard("isup.unexpected", f"{message.type_name} on {circuit.cic} from {dpc}")
        else:
            self._confuse(circuit, CauseValue.MESSAGE_TYPE_NOT_IMPLEMENTED, bytes((kind,)))
            self._discard("isup.unknown-message", f"{message.type_name} on {circuit.cic}")

    # Look-ups

    def _select(self, to: str | int) -> Circuit:
        if isinstance(to, str):
            groups = [self._groups[to]] if to in self._groups else []
        else:
            groups = [group for group in self._groups.values() if group.dpc == to]
        if not groups:
            raise SetupRefused(
                "isup.unknown-group",
                f"no circuit group {to!r}: there are {', '.join(self._groups) or 'none'}",
                CauseValue.NO_ROUTE_TO_DESTINATION,
            )
        dpc = groups[0].dpc
        if dpc in self._paused:
            raise SetupRefused(
                "isup.paused",
                f"exchange {dpc} cannot be reached (MTP-PAUSE)",
                CauseValue.DESTINATION_OUT_OF_ORDER,
            )
        for group in groups:
            circuit = group.take()
            if circuit is not None:
                return circuit
        names = ", ".join(group.name for group in groups)
        raise SetupRefused(
            "isup.no-circuit", f"no circuit free in {names}", CauseValue.NO_CIRCUIT_AVAILABLE
        )

    def _circuit_of(self, call_id: int) -> Circuit:
        call = self._calls.get(call_id)
        if call is None or call.circuit is None:
            raise TrunklineError("isup.unknown-call", f"call {call_id} has ended or never was")
        return call.circuit


def _initial_address(called: str, calling: str, category: int, medium: int) -> Message:
    """The IAM of a call, with CIC 0. Raises :class:`TrunklineError` ``isup.digits``."""
    check_digits(called, "called number")
    if calling:
        check_digits(calling, "calling number")
    mandatory = (
        NatureOfConnectionIndicators().to_bytes(),
        ForwardCallIndicators(international=called.startswith("+")).to_bytes(),
        bytes((category,)),
        bytes((medium,)),
        CalledPartyNumber.of(called).to_bytes(),
    )
    optional = []
    if calling:
        content = CallingPartyNumber.of(calling).to_bytes()
        optional.append((ParameterCode.CALLING_PARTY_NUMBER, content))
    return build(MessageType.IAM, 0, mandatory, optional)
