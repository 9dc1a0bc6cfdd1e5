"""One call's machine: what charging is asked, and what its answers mean for the call.

Time comes in as ``now`` (seconds, monotonic); usage is in nanoseconds since the answer. What goes
out are `Output` values, in order: questions for charging, and what the exchange has to do. A call
is never charged for more than it was granted, and the allowance: who releases it a few milliseconds
late pays for them himself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Final, TypeAlias, TypeGuard

from trunkline.config.charging import ChargedSettings
from trunkline.elements.credit.table import TABLE, Action, State, Trigger
from trunkline.jsonrpc import Json
from trunkline.rating.durations import LIMIT, SECOND, format_duration
from trunkline.rating.model import DEFAULT_CATEGORY, DEFAULT_TENANT
from trunkline.rating.rounding import format_money
from trunkline.ss7.isup.cause import CauseValue, Location

__all__ = ["Admit", "Ask", "Charge", "CreditCall", "Done", "EndCall", "Output"]

_AGAIN: Final = 1.0  # s
_MILLISECOND: Final = SECOND // 1000  # the clock here knows no more
_LOCATION: Final = Location.PUBLIC_NETWORK_LOCAL_USER  # it serves the caller
_SESSIONS: Final = "SessionSv1"
_COST: Final = "CDRsV1.GetCDRs"
_RUN: Final = "*default"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask charging; the answer goes to ``CreditCall.answered`` with this number."""

    number: int
    method: str
    argument: Json


@dataclass(frozen=True, slots=True)
class Admit:
    """The IAM may go out."""


@dataclass(frozen=True, slots=True)
class EndCall:
    """The call has to end; tell ``CreditCall.ended`` when it has."""

    cause: CauseValue
    location: Location
    why: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call came to, for its record."""

    account: str
    request_type: str
    usage: int = 0
    """Nanoseconds that were charged."""
    cost: str | None = None
    """Exact; ``None``: nobody said."""
    ended: str = ""
    """Why charging ended the call; empty where it did not."""
    error: str = ""
    """Why there is no cost, or it may not be the last word."""
    steps: tuple[tuple[float, str], ...] = ()
    """What was asked and answered: seconds since the call was asked for, and the words."""
    unsaid: tuple[tuple[str, Json], ...] = ()
    """Methods and arguments: what charging has still to be told, or asked."""

    @classmethod
    def parse(cls, text: str) -> Charge:
        """Read the JSON that ``to_json`` writes."""
        said = json.loads(text)
        return cls(
            **{
                **said,
                "steps": tuple((seconds, words) for seconds, words in said["steps"]),
                "unsaid": tuple((method, argument) for method, argument in said["unsaid"]),
            }
        )

    def to_json(self) -> str:
        """As a record keeps it."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Done:
    """What a call came to; where something is still unsaid, another one follows."""

    charge: Charge


Output: TypeAlias = Ask | Admit | EndCall | Done


@dataclass
class CreditCall:
    """The machine: ``setup`` first, then ``answer`` and ``ended`` as the call goes."""

    settings: ChargedSettings
    identifier: str
    """The exchange's name for the call: OriginID."""
    host: str
    """The exchange's own: OriginHost."""
    calling: str
    called: str
    state: State = State.NEW
    steps: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.request_type: str = self.settings.request_type_of(self.calling)
        self._grant = round(self.settings.grant.seconds * SECOND)
        self._allowance = round(self.settings.allowance.seconds * SECOND)
        self._times: dict[str, Json] = {}
        self._begun = 0.0
        self._talk: float | None = None
        """Since when it is answered."""
        self._until = 0
        """Up to where its usage is granted."""
        self._reported = 0
        """The usage that charging knows of."""
        self._asked_at = 0
        """The usage when the open question was asked."""
        self._open = False
        """Whether charging may have a session of it."""
        self._final = False
        """Whether asking for more is no use."""
        self._silent = False
        """Whether the last question was not answered."""
        self._number = self._named = 0
        self._account = f"{self.settings.tenant or DEFAULT_TENANT}:{self.calling}"
        self._ask: Ask | None = None
        """The open question."""
        self._late = self._due = 0.0
        self._total: int | None = None
        self._why = self._ended = self._error = ""
        self._cost: str | None = None
        self._left: list[tuple[str, Json]] = []
        """What is still to be said of a call that has ended."""
        self._output: list[Output] = []

    @classmethod
    def late(
        cls, settings: ChargedSettings, host: str, identifier: str, calling: str, charge: Charge
    ) -> CreditCall:
        """A call that ended in another process, before charging knew all of it."""
        made = cls(settings, identifier, host, calling, called="")
        made.state, made.steps = State.LATE, [*charge.steps]
        made.request_type, made._total = charge.request_type, charge.usage
        made._ended, made._left = charge.ended, [*charge.unsaid]
        made._account = charge.account
        return made

    # What happens

    def setup(self, now: float, moment: str) -> list[Output]:
        """A call is asked for; ``moment`` is the time of day, RFC 3339."""
        self._begun = now
        self._times["SetupTime"] = moment
        return self._step(Trigger.SETUP, now)

    def answer(self, now: float, moment: str) -> list[Output]:
        """The called party answers."""
        if self.state is State.ADMITTED:
            self._talk = now
            self._times["AnswerTime"] = moment
        return self._step(Trigger.ANSWER, now)

    def ended(self, now: float) -> list[Output]:
        """The call has ended."""
        return self._step(Trigger.RELEASE, now)

    def disconnect(self, now: float, reason: str) -> list[Output]:
        """Charging has ended the session."""
        if (self.state, Trigger.DISCONNECT) in TABLE:
            self._open, self._silent = True, False
            self._why = f"charging ended the session: {reason or 'no reason given'}"
            self._note(now, f"DisconnectSession: {reason or 'no reason given'}")
        return self._step(Trigger.DISCONNECT, now)

    def answered(self, number: int, result: Json, now: float) -> list[Output]:
        """Charging answers a question."""
        ask = self._taken(number)
        if ask is None:
            return []
        self._silent = False
        if self.state is State.CLOSING:
            self._read(ask, result, now)
            return self._step(Trigger.GRANT, now)
        granted = self._granted(result)
        self._note(now, f"{_words(ask)}: {format_duration(granted)} granted")
        if granted <= 0 and self.state is not State.UPDATING:
            self._why = f"account {self.calling} has not enough for this call"
            if self.state is State.OPENING:  # the session is there, and is closed
                self._open, self._total = True, 0
            return self._step(Trigger.REFUSAL, now)
        self._why = ""
        if self.state is not State.AUTHORISING:
            before, self._until = self._until, self._asked_at + granted
            self._final = self._open and self._until <= before
            self._open, self._reported = True, self._asked_at
            margin = min(self.settings.timeout.seconds, granted / SECOND / 2)
            self._due = self._at(self._until) - margin
        return self._step(Trigger.GRANT, now)

    def refused(self, number: int, error: str, now: float) -> list[Output]:
        """Charging answers a question with an error."""
        ask = self._taken(number)
        if ask is None:
            return []
        self._silent = False
        self._note(now, f"{_words(ask)}: refused: {error}")
        if self.state is State.CLOSING:
            self._error = self._error or f"{_name(ask)}: {error}"
        else:
            why = f"charging refused it: {error}"
            if error.endswith("ACCOUNT_NOT_FOUND"):
                why = f"there is no account {self.calling}"
            self._why, self._final = why, True
        return self._step(Trigger.REFUSAL, now)

    def silent(self, number: int, why: str, now: float) -> list[Output]:
        """A question will not be answered."""
        ask = self._taken(number)
        if ask is None:
            return []
        self._silent = True
        self._note(now, f"{_words(ask)}: {why}")
        if self.state is State.CLOSING:
            self._error = f"{_name(ask)}: {why}"
            self._left.insert(0, (ask.method, ask.argument))
        else:
            self._why, self._due = f"charging did not answer: {why}", now + _AGAIN
        if self.state is State.OPENING:  # who knows; and it was authorised
            self._open, self._until = True, self._used(now)
        return self._step(Trigger.SILENCE, now)

    def back(self, now: float) -> list[Output]:
        """Charging can be reached again, or it is this call's turn."""
        return self._step(Trigger.DUE, now) if self._silent or self.state is State.LATE else []

    # Time

    def next_timeout(self) -> float | None:
        """When ``on_timeout`` is to be called next."""
        times = []
        if self._ask is not None:
            times.append(self._late)
        if self.state in (State.GRANTED, State.UPDATING):
            times.append(self._at(self._limit()))
        if self._asks_again():
            times.append(self._due)
        return min(times, default=None)

    def on_timeout(self, now: float) -> list[Output]:
        """Act on what is due."""
        if self.state in (State.GRANTED, State.UPDATING) and self._at(self._limit()) <= now:
            if self.state is State.UPDATING:
                self._silent = True
            if self._silent:
                self._why = self._why or "charging did not answer before the grant ended"
            else:
                granted = format_duration(self._until)
                self._why = self._why or f"the money ended: it was granted {granted} in all"
            self._note(now, self._why)
            return self._step(Trigger.SPENT, now)
        if self._ask is not None and self._late <= now:
            seconds = f"no answer within {self.settings.timeout.seconds:g} s"
            return self.silent(self._ask.number, seconds, now)
        if self._asks_again() and self._due <= now:
            return self._step(Trigger.DUE, now)
        return []

    def _asks_again(self) -> bool:
        return self.state is State.GRANTED and not self._final

    def _at(self, usage: int) -> float:
        return (self._talk or 0.0) + usage / SECOND

    def _limit(self) -> int:
        """The usage at which the call has to end, as things stand."""
        if self.state is State.OPENING:  # the first grant, which was authorised, is asked for
            return self._grant
        unheard = self._silent or self.state is State.UPDATING
        return self._until + (self._allowance if unheard else 0)

    def _used(self, now: float) -> int:
        """The usage that is charged for."""
        if self._talk is None:
            return 0
        elapsed = round((now - self._talk) * 1000) * _MILLISECOND
        return min(max(elapsed, 0), self._limit())

    # The table

    def _step(self, trigger: Trigger, now: float) -> list[Output]:
        row = TABLE.get((self.state, trigger))
        if row is not None:
            _DOES[row.action](self, now)
            if len(row.next) == 1:
                self.state = row.next[0]
        output, self._output = self._output, []
        return output

    def _authorize(self, now: float) -> None:
        self._question(now, "AuthorizeEvent", "GetMaxUsage")

    def _admit(self, _: float) -> None:
        self._output.append(Admit())

    def _admit_unheard(self, now: float) -> None:
        if self._allowance:
            self.state = State.ADMITTED
            self._admit(now)
        else:
            self.state = State.ENDING
            self._end(CauseValue.TEMPORARY_FAILURE)

    def _refuse(self, _: float) -> None:
        self._end(CauseValue.CALL_REJECTED)

    def _initiate(self, now: float) -> None:
        self._question(now, "InitiateSession", "InitSession")

    def _update(self, now: float) -> None:
        self._asked_at = self._used(now)
        used = format_duration(self._asked_at - self._reported)
        self._question(now, "UpdateSession", "UpdateSession", LastUsed=used)

    def _end_call(self, now: float) -> None:
        if self._total is None:
            self._total = self._used(now) if self._open else 0
        cause = CauseValue.TEMPORARY_FAILURE if self._silent else CauseValue.NORMAL_UNSPECIFIED
        self._end(cause)

    def _end(self, cause: CauseValue) -> None:
        self._ask = None
        self._ended = self._why
        self._output.append(EndCall(cause, _LOCATION, self._why))

    def _nothing(self, _: float) -> None:
        """The state alone changes."""

    def _forget(self, _: float) -> None:
        self._ask = None
        self._finish()

    def _close(self, now: float) -> None:
        if self._total is None:
            self._total = self._used(now)
        if self.state is State.ENDING and not self._open:
            self.state = State.ENDED
            self._forget(now)
            return
        self.state = State.CLOSING
        usage: dict[str, Json] = {"Usage": format_duration(self._total)}
        self._left = [
            (f"{_SESSIONS}.TerminateSession", self._argument({"TerminateSession": True}, usage)),
            (f"{_SESSIONS}.ProcessCDR", self._argument({}, usage)),
            (_COST, {"OriginIDs": [self.identifier]}),
        ]
        self._next(now)

    def _next(self, now: float) -> None:
        if self.state is State.LATE:
            self._error = ""
        if self._left:
            self._send(now, *self._left.pop(0))
        else:
            self.state = State.ENDED
            self._finish()

    def _finish(self) -> None:
        charge = Charge(
            account=self._account,
            request_type=self.request_type,
            usage=self._total or 0,
            cost=self._cost,
            ended=self._ended,
            error=self._error,
            steps=tuple(self.steps),
            unsaid=tuple(self._left),
        )
        self._output.append(Done(charge))

    def _leave(self, _: float) -> None:
        self._finish()

    # Questions and answers

    def _question(self, now: float, name: str, flag: str, **fields: Json) -> None:
        event = {"Usage": format_duration(self._grant), **fields}
        self._send(now, f"{_SESSIONS}.{name}", self._argument({flag: True}, event))

    def _argument(self, flags: Mapping[str, Json], event: Mapping[str, Json]) -> dict[str, Json]:
        self._named += 1
        own: dict[str, Json] = {"Tenant": self.settings.tenant} if self.settings.tenant else {}
        return {
            **flags,
            **own,
            "ID": f"{self.identifier}-{self._named}",  # two of one name would be taken for one
            "Event": {
                "ToR": "*voice",
                "OriginID": self.identifier,
                "OriginHost": self.host,
                "RequestType": self.request_type,
                "Category": self.settings.category or DEFAULT_CATEGORY,
                "Account": self.calling,
                "Subject": self.calling,
                "Destination": self.called,
                **self._times,
                **event,
            },
        }

    def _send(self, now: float, method: str, argument: Json) -> None:
        self._number += 1
        self._ask = Ask(self._number, method, argument)
        self._late = now + self.settings.timeout.seconds
        self._output.append(self._ask)

    def _taken(self, number: int) -> Ask | None:
        """The open question, if this is the answer to it; it is open no longer."""
        ask = self._ask
        if ask is None or ask.number != number:
            return None
        self._ask = None
        return ask

    def _granted(self, result: Json) -> int:
        """The usage that an answer grants; what needs no balance is granted as it was asked."""
        most = result.get("MaxUsage") if isinstance(result, Mapping) else None
        if not isinstance(most, int) or isinstance(most, bool):
            return 0
        return self._grant if most < 0 else min(most, LIMIT)

    def _read(self, ask: Ask, result: Json, now: float) -> None:
        """The answer to one of the last three questions."""
        if ask.method != _COST:
            self._note(now, f"{_words(ask)}: {result if isinstance(result, str) else 'done'}")
            return
        records = [each for each in result if isinstance(each, Mapping)] if _listed(result) else []
        own = [each for each in records if each.get("RunID") == _RUN] or records
        cost = own[0].get("Cost") if own else None
        if isinstance(cost, int | float | Decimal) and cost >= 0:
            self._cost = format_money(Decimal(str(cost)))
            self._note(now, f"{_name(ask)}: it cost {self._cost}")
        else:
            why = own[0].get("ExtraInfo") if own else None
            self._error = self._error or f"charging has no price for the call: {why or 'no reason'}"
            self._note(now, f"{_name(ask)}: no price: {why or 'no reason'}")

    def _note(self, now: float, text: str) -> None:
        self.steps.append((max(now - self._begun, 0.0), text))


_DOES: Final[Mapping[Action, Callable[[CreditCall, float], None]]] = {
    Action.AUTHORIZE: CreditCall._authorize,
    Action.ADMIT: CreditCall._admit,
    Action.ADMIT_UNHEARD: CreditCall._admit_unheard,
    Action.REFUSE: CreditCall._refuse,
    Action.INITIATE: CreditCall._initiate,
    Action.TALK: CreditCall._nothing,
    Action.WAIT: CreditCall._nothing,
    Action.LAST: CreditCall._nothing,
    Action.UPDATE: CreditCall._update,
    Action.END_CALL: CreditCall._end_call,
    Action.FORGET: CreditCall._forget,
    Action.CLOSE: CreditCall._close,
    Action.NEXT: CreditCall._next,
    Action.LEAVE: CreditCall._leave,
}


def _listed(result: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(result, Sequence) and not isinstance(result, str)


def _name(ask: Ask) -> str:
    return ask.method.rpartition(".")[2]


def _words(ask: Ask) -> str:
    """A question as a story tells it: ``UpdateSession 30s, 12s used``."""
    event = ask.argument.get("Event") if isinstance(ask.argument, Mapping) else None
    fields = event if isinstance(event, Mapping) else {}
    used = f", {fields['LastUsed']} used" if "LastUsed" in fields else ""
    return f"{_name(ask)} {fields.get('Usage', '')}{used}"
