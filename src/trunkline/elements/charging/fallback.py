"""Calls while the ledger fails: granted up to a limit, and settled when it is back.

With ``when_ledger_fails = "grant"`` a call (``*voice``) that the ledger cannot be asked about is
granted ``per_call`` at most, and all of them together ``in_all``. Each grant, and each end, is on
disk in a `Journal` before it is answered. When the ledger is back, the entries are carried out in
their order, each once: the ledger keeps the entry's name in the change that it makes. Until then
every step of a call with an entry goes to the journal, so that none overtakes another.

What was granted counts as had: where the balances do not cover it, its end goes below zero. So are
records kept, which are stored when the ledger is back; one that was stored already is left alone.
What says no time is carried out as of the time when it came.

Granted is only what the ledger has certainly not carried out. What may have been
(``store.ledger-unknown``) is refused: the switch asks again, with the same ID. Messages and data
are refused, and so is everything beyond the limits. Of records those are refused that change a
stored one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, cast
from uuid import uuid4

from trunkline.charging.event import Event
from trunkline.charging.sessions import SessionError
from trunkline.elements.charging.engine import Engine, Step
from trunkline.elements.charging.recorder import Recorded, Recorder, Treatment
from trunkline.elements.charging.steps import Steps, wanted
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.rating.call import VOICE
from trunkline.store.guard import StoreUnavailable
from trunkline.store.journal import Journal

__all__ = ["Fallback"]

_UNKNOWN: Final = "store.ledger-unknown"
_HOW: Final = ("rate", "chargers", "export")  # of a `Treatment`
_A_WHILE: Final = 0.01  # s; for an entry that is being written


class Fallback(Steps):
    """The steps of sessions, with a journal for when the ledger fails.

    Args:
        engine: see `Steps`.
        journal: where grants are kept until they are settled.
        per_call: ns granted to one call at most.
        in_all: ns granted to all calls at most.
        lease: see `Steps`.
        debit_interval: see `Steps`.
        node: see `Steps`.
        recorder: see `Steps`.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        per_call: int,
        in_all: int,
        lease: float,
        debit_interval: int,
        node: str,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(
            engine, lease=lease, debit_interval=debit_interval, node=node, recorder=recorder
        )
        self._journal = journal
        self._per_call = per_call
        self._in_all = in_all
        self._granted: dict[str, int] = {}
        self._promised = 0
        self._writing = 0
        for entry in journal.entries:
            self._count(_text(entry, "session"), cast("int", entry["granted"] or 0))

    async def authorize(self, event: Event, usage: int | None) -> Step:
        """How much could be had now."""
        try:
            return await super().authorize(event, usage)
        except StoreUnavailable as problem:
            return Step(time=self._now(), usage=self._allowed(event, usage, problem))

    async def _extend(
        self,
        event: Event,
        usage: int | None,
        used: int | None,
        *,
        initial: bool,
        granted: int | None = None,
        once: str = "",
    ) -> Step:
        if once:  # it is being settled
            return await super()._extend(
                event, usage, used, initial=initial, granted=granted, once=once
            )
        identifier = self._engine.session_of(event)[0]
        problem: StoreUnavailable | None = None
        if identifier not in self._granted:
            try:
                return await super()._extend(event, usage, used, initial=initial)
            except StoreUnavailable as failure:
                problem = failure
        self._engine.runs_of(event)  # what is wrong with the event is said now
        _check(usage, used)
        allowed = self._allowed(event, usage, problem)
        self._count(identifier, allowed)
        try:
            await self._write(
                "initiate" if initial else "update", event, identifier, usage, used, allowed
            )
        except TrunklineError:
            self._count(identifier, -allowed)
            raise
        return Step(time=self._now(), usage=allowed)

    async def terminate(
        self, event: Event, usage: int | None, used: int | None = None, *, once: str = ""
    ) -> Step:
        """End a session; while the ledger fails, its end is kept."""
        identifier = self._engine.session_of(event)[0]
        if once:
            return await super().terminate(event, usage, used, once=once)
        if identifier not in self._granted:
            try:
                return await super().terminate(event, usage, used)
            except StoreUnavailable as problem:
                if problem.code == _UNKNOWN:
                    raise
        _check(usage, used)
        self._count(identifier, 0)
        await self._write("terminate", event, identifier, usage, used, None)
        return Step(time=self._now())

    async def record(self, event: Event, how: Treatment) -> list[Recorded]:
        """Store the record of a usage; while the ledger fails it is kept, and nothing returned."""
        identifier = self.recorder.check(event, how)
        later = how.store and not (how.again or how.refund)
        if identifier not in self._granted or not later:
            try:
                return await super().record(event, how)
            except StoreUnavailable as problem:
                if problem.code == _UNKNOWN or not later:
                    raise
        self._count(identifier, 0)
        flags: dict[str, Json] = {name: getattr(how, name) for name in _HOW}
        usage = event.usage()
        await self._write("record", event, identifier, usage, None, None, flags)
        return []

    async def settle(self, problem: Callable[[str, TrunklineError], None]) -> int:
        """Carry out what is in the journal, now that the ledger may be back; returns how much.

        ``problem`` is told of what cannot be carried out: the step, and why.

        Raises:
            StoreUnavailable: the ledger fails still; what is left is done another time.
        """
        done = carried = 0
        while True:
            if await self._journal.clear(done):
                if not self._writing:
                    break
                done = 0
                await asyncio.sleep(_A_WHILE)
                continue
            entry = self._journal.entries[done]
            try:
                await self._carry_out(entry)
            except StoreUnavailable:
                raise
            except TrunklineError as why:
                problem(f"{_text(entry, 'step')} of {_text(entry, 'session')}", why)
            done += 1
            carried += 1
        self._granted.clear()
        self._promised = 0
        return carried

    async def _carry_out(self, entry: Mapping[str, Json]) -> None:
        event = _event(entry)
        usage, used = cast("int | None", entry["usage"]), cast("int | None", entry["used"])
        once = f"journal {_text(entry, 'id')}"
        step = _text(entry, "step")
        if step == "record":
            how = cast("Mapping[str, bool]", entry["how"])
            await super().record(event, Treatment(**how))
            return
        if step == "terminate":
            await self.terminate(event, usage, used, once=once)
            return
        granted = cast("int", entry["granted"])
        initial = step == "initiate"
        await self._extend(event, usage, used, initial=initial, granted=granted, once=once)

    def _allowed(self, event: Event, usage: int | None, problem: StoreUnavailable | None) -> int:
        """What is granted of a usage without the ledger.

        Raises:
            StoreUnavailable: nothing.
        """
        identifier = self._engine.session_of(event)[0]
        left = min(self._per_call - self._granted.get(identifier, 0), self._in_all - self._promised)
        asked = wanted(event, usage)
        voice = event.text("ToR") in ("", VOICE)
        if (problem is not None and problem.code == _UNKNOWN) or not voice or left <= 0:
            raise problem or StoreUnavailable(
                "store.ledger-unavailable",
                "ledger",
                "the ledger failed, and nothing more is granted until what was is settled",
            )
        return max(min(asked, left), 0)

    def _count(self, identifier: str, granted: int) -> None:
        self._granted[identifier] = self._granted.get(identifier, 0) + granted
        self._promised += granted

    async def _write(
        self,
        step: str,
        event: Event,
        identifier: str,
        usage: int | None,
        used: int | None,
        granted: int | None,
        how: Mapping[str, Json] | None = None,
    ) -> None:
        fields = dict(event.fields)
        if not (event.text("AnswerTime") or event.text("SetupTime")):
            fields["AnswerTime"] = event.time or self._engine.clock()
        entry: dict[str, Json] = {
            "id": str(uuid4()),
            "step": step,
            "session": identifier,
            "tenant": event.tenant,
            "event_id": event.id,
            "time": None if event.time is None else event.time.isoformat(),
            "event": {name: _json(value) for name, value in fields.items()},
            "opts": cast("Json", event.opts),
            "usage": usage,
            "used": used,
            "granted": granted,
            "how": how,
        }
        self._writing += 1
        try:
            await self._journal.append(entry)
        finally:
            self._writing -= 1


def _json(value: object) -> Json:
    return value.isoformat() if isinstance(value, datetime) else cast("Json", value)


def _check(usage: int | None, used: int | None) -> None:
    if min(usage or 0, used or 0) < 0:
        raise SessionError("charging.usage", "a usage below zero; give what was used, or is wanted")


def _text(entry: Mapping[str, Json], name: str) -> str:
    return cast("str", entry[name])


def _event(entry: Mapping[str, Json]) -> Event:
    time = cast("str | None", entry["time"])
    return Event(
        tenant=_text(entry, "tenant"),
        id=_text(entry, "event_id"),
        time=None if time is None else datetime.fromisoformat(time),
        fields=cast("Mapping[str, object]", entry["event"]),
        opts=cast("Mapping[str, object]", entry["opts"]),
    )
