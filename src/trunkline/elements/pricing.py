"""What an exchange's calls cost: the tariff that a network names, applied to a call as it ends.

The exchange that a caller is served by prices his calls; the other end's record has no price, so
that no call is charged twice. A call that nobody answered costs nothing and is not looked up. A
call that cannot be priced keeps its record, with the reason in place of the price.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from trunkline.config.cgrates import load_folder
from trunkline.config.network import RatingSettings
from trunkline.rating.call import Call
from trunkline.rating.cost import price
from trunkline.rating.errors import RatingError
from trunkline.rating.result import event_cost
from trunkline.rating.rounding import format_money
from trunkline.store.records import CallRecord

__all__ = ["Pricing"]

_NANOSECONDS = 1_000_000_000


class Pricing:
    """Prices call records by the tariff in ``folder``.

    Raises:
        TrunklineError: everything that is wrong with the folder, with file and line.
    """

    def __init__(self, folder: Path, settings: RatingSettings) -> None:
        self._tariff = load_folder(folder).tariff
        self._settings = settings

    def priced(self, record: CallRecord) -> CallRecord:
        """The record with its price, or with why it has none."""
        if record.direction != "outgoing" or record.answer is None:
            return record
        call = Call(
            tenant=self._settings.tenant,
            category=self._settings.category,
            subject=record.calling,
            destination=record.called,
            time=datetime.fromtimestamp(record.answer, UTC),
            usage=round(record.duration * _NANOSECONDS),
        )
        try:
            cost = price(self._tariff, call, reasons=False)
        except RatingError as problem:
            return replace(record, rating=json.dumps({"error": problem.message}))
        return replace(record, cost=format_money(cost.total), rating=json.dumps(event_cost(cost)))
