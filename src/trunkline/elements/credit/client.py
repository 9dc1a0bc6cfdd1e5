"""The charged calls of one exchange, and its connection to the charging node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from trunkline.config.charging import ChargedSettings
from trunkline.elements.credit.call import Admit, Ask, Charge, CreditCall, Done, EndCall, Output
from trunkline.elements.credit.table import State
from trunkline.elements.log import RouterLog
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.net.jsonrpc import DialledConnection
from trunkline.net.loop import Handle, TimerWheel

__all__ = ["ChargedBy", "Charging", "Credit"]

_DISCONNECT: Final = "SessionSv1.DisconnectSession"
_SESSIONS: Final = "SessionSv1.GetActiveSessionIDs"
_OPEN: Final = (State.OPENING, State.GRANTED, State.UPDATING)
_BEGINNING: Final = (State.NEW, State.AUTHORISING, State.ADMITTED)
_LATE_LIMIT: Final = 10_000
_LATE_AT_ONCE: Final = 20  # of thousands that wait: new calls are asked for meanwhile
_LATE_PAUSE: Final = 30.0  # s, after a question that was not answered
_LAST_WORDS: Final = 2.0  # s, for the calls that a node's end has ended


@dataclass(frozen=True, slots=True)
class ChargedBy:
    """Where the calls of an exchange are charged, and how."""

    address: tuple[str, int]
    settings: ChargedSettings


class Credit:
    """The money of one call, as its exchange sees it."""

    def __init__(
        self,
        charging: Charging,
        machine: CreditCall,
        end: Callable[[EndCall], object],
    ) -> None:
        self.machine: Final = machine
        self.admitted: Final = charging.loop.create_future()
        """Done when the IAM has gone out; the exception is why it has not."""
        self.admitted.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._charging = charging
        self._end = end
        self._done: Callable[[Charge], object] | None = None
        self._admit: Callable[[], object] | None = None
        self._alarm: Handle | None = None

    def setup(self, admit: Callable[[], object]) -> None:
        """Ask whether there may be a call; ``admit`` sends its IAM."""
        self._admit = admit
        now = self._charging.clock()
        self._do(self.machine.setup(now, self._charging.moment()), now)

    def answer(self) -> None:
        """The called party has answered."""
        now = self._charging.clock()
        self._do(self.machine.answer(now, self._charging.moment()), now)

    def ended(self, done: Callable[[Charge], object]) -> None:
        """The call has ended; ``done`` gets what it came to, again if more becomes known."""
        self._done = done
        now = self._charging.clock()
        self._do(self.machine.ended(now), now)

    def resume(self, done: Callable[[Charge], object]) -> None:
        """Be a call of another process; ``done`` gets what it came to."""
        self._done = done

    def disconnect(self, reason: str) -> None:
        """Charging has ended the session."""
        now = self._charging.clock()
        self._do(self.machine.disconnect(now, reason), now)

    def back(self) -> None:
        """Charging can be reached again, or it is this call's turn."""
        now = self._charging.clock()
        self._do(self.machine.back(now), now)

    def _do(self, outputs: Sequence[Output], now: float) -> None:
        for output in outputs:
            match output:
                case Ask():
                    self._ask(output)
                case Admit():
                    assert self._admit is not None
                    self._admit()
                case EndCall():
                    self._end(output)
                case Done(charge):
                    self._charging.done(self)
                    if self._done is not None:
                        self._done(charge)
        self._arm()

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        deadline = self.machine.next_timeout()
        if deadline is not None:
            self._alarm = self._charging.wheel.call_at(deadline, self._ring)

    def _ring(self) -> None:
        now = self._charging.clock()
        self._do(self.machine.on_timeout(now), now)

    def _ask(self, ask: Ask) -> None:
        try:
            future = self._charging.connection.call(ask.method, ask.argument)
        except TrunklineError as problem:
            # In a turn of its own: the exchange is in the middle of what brought the question
            self._charging.loop.call_soon(self._silent, ask.number, problem.message)
        else:
            future.add_done_callback(lambda done: self._answered(ask.number, done))

    def _silent(self, number: int, why: str) -> None:
        now = self._charging.clock()
        self._do(self.machine.silent(number, why, now), now)

    def _answered(self, number: int, done: asyncio.Future[Json]) -> None:
        now = self._charging.clock()
        problem = done.exception()
        if problem is None:
            self._do(self.machine.answered(number, done.result(), now), now)
        elif isinstance(problem, TrunklineError) and problem.code == "rpc.error":
            self._do(self.machine.refused(number, problem.message.partition(": ")[2], now), now)
        else:
            self._silent(number, str(problem))


class Charging:
    """Has the calls of the exchange called ``host`` charged; ``moment`` is the time, RFC 3339."""

    def __init__(
        self,
        host: str,
        by: ChargedBy,
        loop: asyncio.AbstractEventLoop,
        wheel: TimerWheel,
        clock: Callable[[], float],
        moment: Callable[[], str],
        log: RouterLog,
    ) -> None:
        self.settings: Final = by.settings
        self.loop: Final = loop
        self.wheel: Final = wheel
        self.clock: Final = clock
        self.moment: Final = moment
        self.connection: Final = DialledConnection(loop, by.address, self._serve, self._changed)
        self._host = host
        self._log = log
        self._calls: dict[str, Credit] = {}
        self._late: dict[str, None] = {}
        """The calls that have ended, and wait for charging to be told; the oldest first."""
        self._telling: set[str] = set()
        """Those of them that it is being told of."""
        self._pause: Handle | None = None
        """Until then it is told nothing: it did not answer."""
        self._quiet = asyncio.Event()

    def open(self) -> None:
        """Connect."""
        self.connection.open()

    async def close(self) -> None:
        """Let the calls that have ended be paid for, then disconnect."""
        if len(self._late) < len(self._calls):
            self._quiet.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._quiet.wait()
        await self.connection.close()

    def charges(self, calling: str) -> bool:
        """Whether the calls of a number are charged."""
        return self.settings.request_type_of(calling) != "*none"

    def credit(
        self, identifier: str, calling: str, called: str, end: Callable[[EndCall], object]
    ) -> Credit:
        """The money of a new call; ``end`` releases it."""
        machine = CreditCall(self.settings, identifier, self._host, calling, called)
        credit = self._calls[identifier] = Credit(self, machine, end)
        return credit

    def resume(
        self, identifier: str, calling: str, charge: Charge, done: Callable[[Charge], object]
    ) -> None:
        """Say what another process had still to say of a call."""
        machine = CreditCall.late(self.settings, self._host, identifier, calling, charge)
        credit = self._calls[identifier] = Credit(self, machine, lambda _: None)
        self._late[identifier] = None
        credit.resume(done)
        self._tell_late()

    def done(self, credit: Credit) -> None:
        """A call is done with, or waits until charging is back."""
        identifier = credit.machine.identifier
        told = identifier in self._telling
        self._telling.discard(identifier)
        if credit.machine.state is State.LATE:
            self._late[identifier] = None
            if self._pause is None:
                self._pause = self.wheel.call_at(self.clock() + _LATE_PAUSE, self._go_on)
            if len(self._late) > _LATE_LIMIT:
                lost = next(iter(self._late))
                del self._late[lost], self._calls[lost]
                self._log("CHARGING", 2, "LOST", f"call {lost}: {self._place} stays out of reach")
        else:
            self._calls.pop(identifier, None)
            if told:
                self._tell_late()
        if len(self._late) == len(self._calls):
            self._quiet.set()

    def _go_on(self) -> None:
        self._pause = None
        self._tell_late()

    def _tell_late(self) -> None:
        """Tell charging of the calls that have waited longest, so many that others get through."""
        while self.connection.up and self._late and len(self._telling) < _LATE_AT_ONCE:
            identifier = next(iter(self._late))
            del self._late[identifier]
            self._telling.add(identifier)
            self._calls[identifier].back()

    @property
    def _place(self) -> str:
        return f"{self.settings.node} ({self.connection.place})"

    def _changed(self, why: str | None) -> None:
        if why is not None:
            self._log("CHARGING", 3, "DOWN", f"{self._place} cannot be reached: {why}")
            return
        self._log("CHARGING", 5, "UP", f"{self._place} is asked what calls may cost")
        for identifier, credit in list(self._calls.items()):
            if identifier not in self._late:
                credit.back()
        if self._pause is not None:
            self._pause.cancel()
        self._go_on()

    def _serve(self, method: str, argument: Json) -> Json:
        """What the charging node asks of a switch."""
        if method == _SESSIONS:
            return [
                {"OriginHost": self._host, "OriginID": identifier}
                for identifier, credit in self._calls.items()
                if credit.machine.state in _OPEN
            ]
        if method != _DISCONNECT:
            raise TrunklineError("rpc.error", f"rpc: can't find method {method}")
        fields = argument if isinstance(argument, Mapping) else {}
        event = fields.get("EventStart")
        identifier = event.get("OriginID") if isinstance(event, Mapping) else None
        credit = self._calls.get(identifier) if isinstance(identifier, str) else None
        own = isinstance(event, Mapping) and event.get("OriginHost", self._host) == self._host
        if credit is None or not own or credit.machine.state in _BEGINNING:  # no session of ours
            raise TrunklineError("rpc.error", "NOT_FOUND")
        reason = fields.get("Reason")
        credit.disconnect(reason if isinstance(reason, str) else "")
        return "OK"
