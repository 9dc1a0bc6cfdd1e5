"""Sessions: usage that is under way, what it holds of the balances, and what it costs so far.

A session has a `Run` for each way in which it is charged (what the charger profiles say). A
prepaid run reserves: it takes the cost of the usage that was granted before that usage happens,
and gives back in the end what did not happen. Each step is a debit of the whole usage so far
(`trunkline.charging.debit`), so that the partition into steps does not matter. The other request
types reserve nothing; what they cost is taken when the record of the usage comes.

============== =================== ============ ==========================
request type   authorised by       reserves     taken with the record
============== =================== ============ ==========================
*prepaid       the balances        yes          what is not held already
*pseudoprepaid the balances        no           all of it
*postpaid      nothing             no           all of it, below zero too
*rated         nothing             no           nothing; it is only priced
*none          nothing             no           nothing
============== =================== ============ ==========================

Whoever asks for more says how much of the last grant was used; where nothing is said, all of it.

A call (``*voice``, ``*prepaid``) runs by the clock, so the charging side knows when what it granted
is over: `timed` says when it has to act next, and `overdue` how much it extends a session by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from trunkline.charging.charges import Cover, Debit, End, Payers, Usage
from trunkline.charging.debit import debit
from trunkline.charging.model import Taking
from trunkline.charging.money import ZERO
from trunkline.errors import TrunklineError
from trunkline.rating.call import VOICE, Call
from trunkline.rating.cost import EXACT, Precision
from trunkline.rating.durations import SECOND
from trunkline.rating.result import Json
from trunkline.rating.tariff import Tariff

__all__ = [
    "Granted",
    "RequestType",
    "Run",
    "Session",
    "SessionError",
    "answered",
    "authorize",
    "close",
    "extend",
    "known",
    "overdue",
    "remembering",
    "session_id",
    "settle",
    "timed",
]

_REMEMBERED: Final = 8  # requests of a session: what is repeated is repeated soon


class RequestType(StrEnum):
    """How a usage is paid for: the reference's names."""

    PREPAID = "*prepaid"
    PSEUDOPREPAID = "*pseudoprepaid"
    POSTPAID = "*postpaid"
    RATED = "*rated"
    RAW = "*raw"
    """As ``*rated``: a record of the switch's own, as it came."""
    NONE = "*none"

    @property
    def asks_balances(self) -> bool:
        """Whether usage needs to be covered before it happens."""
        return self in (RequestType.PREPAID, RequestType.PSEUDOPREPAID)

    @property
    def reserves(self) -> bool:
        """Whether it is paid before it happens."""
        return self is RequestType.PREPAID


class SessionError(TrunklineError):
    """A step that a session cannot take; ``reference`` is what the reference answers."""

    def __init__(self, code: str, message: str, *, reference: str = "") -> None:
        super().__init__(code, message)
        self.reference = reference


def session_id(origin_id: str, origin_host: str) -> str:
    """The name of a session or record everywhere: the reference's CGRID.

    The SHA-1, in hexadecimal digits, of the switch's name for the call and of the switch's.
    """
    return hashlib.sha1((origin_id + origin_host).encode(), usedforsecurity=False).hexdigest()


_NO_EVENT: Final[Mapping[str, Json]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One way in which a session is charged."""

    id: str
    """The charger's run: ``*default``, ``*raw``, ``SUPPLIER`` …"""
    request_type: RequestType
    call: Call
    """What is priced. Its usage counts nothing here."""
    used: int = 0
    """What has happened for certain."""
    granted: int = 0
    """Up to where usage may go: what is reserved, where anything is."""
    taken: tuple[Taking, ...] = ()
    """What it holds of balances."""
    cost: Decimal = ZERO
    """Of all that is granted."""
    event: Mapping[str, Json] = field(default_factory=lambda: _NO_EVENT)
    """The event's fields for this run, as the attributes made them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session with its runs, as it is stored."""

    id: str
    """See `session_id`."""
    tenant: str
    origin_id: str
    origin_host: str = ""
    node: str = ""
    """Who opened it, and is told when it has to end."""
    runs: tuple[Run, ...] = ()
    opened: float = 0.0
    """Seconds since the epoch; so are the others."""
    updated: float = 0.0
    lease_until: float = 0.0
    """Whoever held it may be taken for dead after this time."""
    debit_interval: int = 0
    """Where it is not 0, the charging system extends the session by itself, by so much."""
    due: float = 0.0
    """When the charging side has to act by itself; 0: it never has to."""
    ending: str = ""
    """Why it ends when it is due; empty: it is extended then."""
    ended: bool = False
    """It is kept for the record of its usage, which is still to come."""
    assumed: bool = False
    """The charging side ended it, and assumed how much was used: the switch may still say."""
    asked: float = 0.0
    """The latest time that a request for it gave; 0: none did."""
    requests: tuple[tuple[str, int], ...] = ()
    """The last requests that had a name, and what was granted to each: they may be repeated."""

    @property
    def look_at(self) -> float:
        """When something has to be done about it, if nobody asks for it before."""
        return min(self.due, self.lease_until) if self.due else self.lease_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a step came to."""

    run: Run
    """As it is afterwards."""
    usage: int
    """How much more may be used from now on; for a close, how much was charged in all."""
    end: End
    """Why it is not more."""
    debit: Debit | None
    """What is taken and given back; ``None``: nothing."""


def _cumulative(run: Run, usage: int) -> Call:
    return replace(run.call, usage=usage)


def authorize(
    tariff: Tariff,
    payers: Payers | None,
    run: Run,
    usage: int,
    precision: Precision = EXACT,
    *,
    session: str = "",
    max_rate: Fraction | None = None,
) -> Granted:
    """How much of ``usage`` could be had, were it asked for now. Nothing is taken.

    Raises:
        SessionError: ``charging.no-account`` where the request type needs one, or
            ``charging.usage``: less than nothing.
        RatingError: the usage has no price.
    """
    if usage < 0:
        raise _below_zero(usage)
    if not run.request_type.asks_balances:
        return Granted(run=run, usage=usage, end=End.COVERED, debit=None)
    found = debit(
        tariff,
        _needed(payers, run),
        Usage(
            call=_cumulative(run, run.used + usage),
            cover=Cover.FUNDED,
            taken=run.taken,
            max_rate=max_rate,
            seed=session,
        ),
        precision,
    )
    return Granted(run=run, usage=max(found.usage - run.used, 0), end=found.end, debit=None)


def extend(
    tariff: Tariff,
    payers: Payers | None,
    run: Run,
    usage: int,
    used: int | None = None,
    precision: Precision = EXACT,
    *,
    session: str = "",
) -> Granted:
    """Grant ``usage`` more, ``used`` being how much of the last grant was used.

    A prepaid run reserves it, as far as the balances go; what was granted before and not used is
    part of it. ``session`` goes with the movements.

    Raises:
        SessionError: ``charging.no-account``, or ``charging.usage``: less than nothing.
        RatingError: the usage has no price.
    """
    if usage < 0 or (used is not None and used < 0):
        raise _below_zero(min(usage, used or 0))
    so_far = run.granted if used is None else run.used + used
    if not run.request_type.reserves:
        granted = authorize(
            tariff, payers, replace(run, used=so_far), usage, precision, session=session
        )
        after = replace(run, used=so_far, granted=so_far + granted.usage)
        return Granted(run=after, usage=granted.usage, end=granted.end, debit=None)
    asked = so_far + usage
    found = _debited(tariff, _needed(payers, run), run, asked, Cover.FUNDED, precision, session)
    had = min(so_far, run.granted)
    if found.usage < had:  # by another price, or by what others have left, it would not be granted
        end = found.end
        found = _debited(tariff, _needed(payers, run), run, had, Cover.GRANTED, precision, session)
        found = replace(found, end=end)
    covered = min(found.usage, asked)
    after = replace(
        run, used=min(so_far, covered), granted=covered, taken=found.taken, cost=found.cost
    )
    return Granted(run=after, usage=max(covered - so_far, 0), end=found.end, debit=found)


def close(
    tariff: Tariff,
    payers: Payers | None,
    run: Run,
    usage: int | None,
    precision: Precision = EXACT,
    *,
    session: str = "",
) -> Granted:
    """End a run that lasted ``usage`` in all; ``None``: as long as it was granted.

    What a prepaid run holds beyond the cost is given back. Usage that went beyond the grant was
    had all the same, and is paid by the default balance, below zero; usage within it, never.

    Raises:
        SessionError: ``charging.usage``, ``charging.no-account``.
    """
    if usage is not None and usage < 0:
        raise _below_zero(usage)
    total = run.granted if usage is None else usage
    if not run.request_type.reserves:
        after = replace(run, used=total, granted=total)
        return Granted(run=after, usage=total, end=End.COVERED, debit=None)
    return _paid(tariff, _needed(payers, run), run, total, precision, session)


def settle(
    tariff: Tariff,
    payers: Payers | None,
    run: Run,
    usage: int,
    precision: Precision = EXACT,
    *,
    record: str = "",
    first: tuple[Taking, ...] | None = None,
) -> Granted:
    """Pay for a usage whose record has come: take all of it that is not held already.

    ``first``: it is paid again, and this is what paid for it the first time.

    Raises:
        SessionError: ``charging.no-account`` where somebody has to pay.
        RatingError: the usage has no price.
    """
    if run.request_type in (RequestType.RATED, RequestType.RAW, RequestType.NONE):
        return Granted(run=run, usage=usage, end=End.COVERED, debit=None)
    return _paid(tariff, _needed(payers, run), run, usage, precision, record, first)


def _paid(
    tariff: Tariff,
    payers: Payers,
    run: Run,
    usage: int,
    precision: Precision,
    reference: str,
    first: tuple[Taking, ...] | None = None,
) -> Granted:
    granted = run.request_type.reserves and usage <= run.granted and first is None
    cover = Cover.GRANTED if granted else Cover.ALL
    found = _debited(tariff, payers, run, usage, cover, precision, reference, first)
    after = replace(run, used=usage, granted=usage, taken=found.taken, cost=found.cost)
    return Granted(run=after, usage=usage, end=found.end, debit=found)


def _debited(
    tariff: Tariff,
    payers: Payers,
    run: Run,
    usage: int,
    cover: Cover,
    precision: Precision,
    reference: str,
    first: tuple[Taking, ...] | None = None,
) -> Debit:
    """Take what ``usage`` in all costs a run, after giving back what it holds."""
    return debit(
        tariff,
        payers,
        Usage(
            call=_cumulative(run, usage),
            cover=cover,
            taken=run.taken,
            first=first,
            seed=reference,
            reference=reference,
        ),
        precision,
    )


def answered(session: Session, request: str) -> int | None:
    """What was granted to a request of this name before; ``None``: there was none."""
    return dict(session.requests).get(request)


def remembering(session: Session, request: str, granted: int) -> Session:
    """The session, when it has answered a request; one without a name is not remembered."""
    if not request:
        return session
    kept = (*session.requests, (request, granted))
    return replace(session, requests=kept[-_REMEMBERED:])


_REASONS: Final = {
    End.FUNDS: "INSUFFICIENT_CREDIT",
    End.BLOCKER: "INSUFFICIENT_CREDIT",
    End.MAX_COST: "MAX_COST",
    End.NO_PRICE: "UNAUTHORIZED_DESTINATION",
}


def timed(session: Session, steps: Sequence[Granted], since: float) -> Session:
    """The session, and when the charging side has to act, after a step at the time ``since``.

    With a debit interval that is when the grant is over. Without, only what cannot be extended any
    more, for its maximum cost is reached, ends by itself.
    """
    runs = [each for each in steps if _by_the_clock(each.run)]
    first = min(runs, key=lambda each: each.run.granted, default=None)
    if first is None or not (session.debit_interval or first.end is End.MAX_COST):
        return replace(session, due=0.0, ending="") if session.due else session
    left = max(first.run.granted - first.run.used, 0)
    return replace(session, due=since + left / SECOND, ending=_REASONS.get(first.end, ""))


def overdue(session: Session, now: float) -> int:
    """By how much a session that is due is extended, so that the grant lasts beyond ``now``."""
    late = int(max(now - session.due, 0) * SECOND)
    return (late // session.debit_interval + 1) * session.debit_interval


def known(session: Session, run: Run, now: float) -> int:
    """How much of a run is known to have been used at a time, though its switch says nothing.

    That is what the clock says where the charging side extends the session, else what the switch
    said last.
    """
    if not session.debit_interval:
        return run.used
    left = int(round(session.due - now, 3) * SECOND)
    return max(run.granted - left, run.used)


def _by_the_clock(run: Run) -> bool:
    return run.request_type.reserves and run.call.tor in (VOICE, "")


def _below_zero(usage: int) -> SessionError:
    return SessionError(
        "charging.usage",
        f"the usage {usage} is below zero; give what is asked for, or what was used",
    )


def _needed(payers: Payers | None, run: Run) -> Payers:
    if payers is None:
        who = f"{run.call.tenant}:{run.call.account or run.call.subject}"
        raise SessionError(
            "charging.no-account",
            f"there is no account {who}, and {run.request_type} needs one; make it with"
            " APIerSv1.SetAccount or AccountActions.csv",
            reference="ACCOUNT_NOT_FOUND",
        )
    return payers
