"""Records of usage: what was used is stored once for each run, and paid for once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from trunkline.charging.charges import Debit
from trunkline.charging.event import Event
from trunkline.charging.model import Account
from trunkline.charging.sessions import RequestType, Run, SessionError, settle
from trunkline.elements.charging.engine import Engine, Step, stored_session
from trunkline.rating.cost import price
from trunkline.rating.errors import RatingError
from trunkline.store.ledger.model import Keys, RecordRow, View, record_key

__all__ = ["Recorder"]


class Recorder:
    """Stores records in the ledger of ``engine``, by its tariff and its profiles."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def record(self, event: Event) -> list[RecordRow]:
        """Store the record of a usage, once for each run, and take what is not paid yet.

        A record that is stored already is left alone, and returned as it was stored.
        """
        engine = self._engine
        identifier, origin, host = engine.session_of(event)
        runs = engine.runs_of(event)
        usage = event.usage() or 0
        now = engine.clock().timestamp()
        keys = Keys(
            accounts=await engine.keys_of(runs),
            sessions=[identifier],
            records=[record_key(identifier, run.id) for run in runs],
        )
        rated: list[RecordRow] = []

        def step(view: View) -> Step:
            rated.clear()
            session = stored_session(view.sessions[identifier])
            held = {run.id: run for run in session.runs} if session is not None else {}
            taken = engine.taken(view, now)
            records: dict[str, RecordRow | None] = {}
            for run in runs:
                key = record_key(identifier, run.id)
                known = view.records[key]
                if known is not None:
                    rated.append(known)
                    continue
                row, debit = self._rate(
                    held.get(run.id, run), run, usage, taken.accounts, identifier
                )
                taken.add(debit)
                row = replace(row, origin_id=origin, origin_host=host)
                rated.append(row)
                records[key] = row
            return taken.into(
                Step(
                    time=now,
                    records=records,
                    sessions={} if session is None else {identifier: None},
                )
            )

        await engine.write(keys, step)
        return rated

    def _rate(
        self,
        held: Run,
        run: Run,
        usage: int,
        accounts: Mapping[str, Account | None],
        identifier: str,
    ) -> tuple[RecordRow, Debit | None]:
        """The record of one run, and what is taken for it."""
        tariffs = self._engine.tariffs
        tariff, precision = tariffs.tariff, tariffs.precision
        debit: Debit | None = None
        amount: Decimal | None = None
        error = ""
        try:
            if run.request_type is RequestType.NONE:
                amount = Decimal(0)
            elif run.request_type is RequestType.RATED:
                call = replace(run.call, usage=usage)
                amount = price(tariff, call, precision, reasons=False).total
            else:
                paying = replace(held, call=run.call, request_type=run.request_type)
                done = settle(
                    tariff,
                    self._engine.payers_of(paying, accounts),
                    paying,
                    usage,
                    precision,
                    record=identifier,
                )
                debit, amount = done.debit, done.run.cost
        except (RatingError, SessionError) as problem:
            error = problem.reference or problem.message
        call = run.call
        row = RecordRow(
            id=identifier,
            run=run.id,
            document=json.dumps({"event": dict(run.event), "error": error}),
            tenant=call.tenant,
            account=call.account,
            subject=call.subject,
            destination=call.destination,
            category=call.category,
            type=call.tor,
            request_type=str(run.request_type),
            time=call.time.timestamp(),
            usage=usage,
            cost=amount,
            reference=identifier if debit is not None and debit.taken else "",
        )
        return row, debit
