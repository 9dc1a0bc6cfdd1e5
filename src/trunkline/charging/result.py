"""The reference's ``EventCost`` of what accounts have paid: charges, and who paid them.

As ``trunkline.rating.result``, and besides: each increment names an entry of the map
``Accounting``, which says from which balance of which account so many units were taken, or money.
Where units were taken at a price, the entry of the units names that of the money as its
``ExtraChargeID``; ``*none``: they cost nothing. Free steps have a rating of their own, without a
timing, under the subject of the balance's UUID and the plan ``*none``.

``Usage`` is what is billed. ``Cost`` is the sum of increments; the account's own cost, rounded by
the tariff, is ``Debit.cost``, and differs only in the ``cgrates`` precision.
"""

from __future__ import annotations

from fractions import Fraction

from trunkline.charging.charges import Charge, Debit, Rated
from trunkline.charging.documents import reference_summary
from trunkline.charging.model import Account
from trunkline.rating.index import Slot
from trunkline.rating.result import (
    Json,
    Table,
    filters_of,
    number,
    rates_of,
    start_of,
    timing_of,
    usage_of,
)

__all__ = ["paid_event_cost"]


def paid_event_cost(debit: Debit, account: Account, *, wire: bool = False) -> dict[str, Json]:
    """What a debit has charged, ready for ``json.dumps``.

    ``account`` is the payer before it; ``wire``: as the API answers, with usages as integers.
    """
    return _Sheet(debit, wire).shown(account)


class _Sheet:
    def __init__(self, debit: Debit, wire: bool) -> None:
        self.debit = debit
        self.tor = debit.call.tor
        self.wire = wire
        self.accounting = Table()
        self.rates = Table()
        self.ratings = Table()
        self.filters = Table()
        self.timings = Table()

    def shown(self, account: Account) -> dict[str, Json]:
        debit = self.debit
        charges: list[tuple[str, list[Json]]] = []
        for charge in debit.charges:
            rating_id = self._rating(charge)
            increment: Json = {
                "AccountingID": self._accounting(charge, rating_id),
                "CompressFactor": charge.count,
                "Cost": number(charge.price),
                "Usage": self._usage(charge.usage),
            }
            if charges and charges[-1][0] == rating_id:
                charges[-1][1].append(increment)
            else:
                charges.append((rating_id, [increment]))
        return {
            "AccountSummary": reference_summary(account, debit.after(account)),
            "Accounting": self.accounting.sorted(),
            "CGRID": "",
            "Charges": [
                {"CompressFactor": 1, "Increments": increments, "RatingID": rating_id}
                for rating_id, increments in charges
            ],
            "Cost": number(debit.event_cost),
            "Rates": self.rates.sorted(),
            "Rating": self.ratings.sorted(),
            "RatingFilters": self.filters.sorted(),
            "RunID": "",
            "StartTime": start_of(debit.call),
            "Timings": self.timings.sorted(),
            "Usage": self._usage(debit.rated),
        }

    def _usage(self, value: int) -> Json:
        return usage_of(value, self.tor, self.wire)

    def _slots(self, *slots: Slot) -> str:
        return self.rates.add(
            rates_of(slots, self.tor, wire=False), rates_of(slots, self.tor, wire=self.wire)
        )

    def _rating(self, charge: Charge) -> str:
        rated = charge.rated
        if isinstance(rated, Rated):
            terms = rated.entry.terms
            return self.ratings.add(
                {
                    "ConnectFee": number(terms.connect_fee),
                    "MaxCost": number(terms.max_cost),
                    "MaxCostStrategy": str(terms.strategy),
                    "RatesID": self._slots(*terms.slots),
                    "RatingFiltersID": self.filters.add(filters_of(rated.match)),
                    "RoundingDecimals": terms.decimals,
                    "RoundingMethod": str(terms.rounding),
                    "TimingID": self.timings.add(timing_of(rated.entry.timing)),
                }
            )
        filters: Json = {
            "DestinationID": rated.destination_id,
            "DestinationPrefix": rated.prefix,
            "RatingPlanID": "*none",
            "Subject": charge.unit[1] if charge.unit else "",
        }
        return self.ratings.add(
            {
                "ConnectFee": 0,
                "MaxCost": 0,
                "MaxCostStrategy": "",
                "RatesID": self._slots(Slot(0, None, Fraction(0), charge.usage, charge.usage, 0)),
                "RatingFiltersID": self.filters.add(filters),
                "RoundingDecimals": 0,
                "RoundingMethod": "",
                "TimingID": "",
            }
        )

    def _accounting(self, charge: Charge, rating_id: str) -> str:
        """The key of who paid; empty: there was nothing to pay."""
        money = ""
        if charge.money is not None:
            money = self.accounting.add(_entry(charge.money, charge.price, "", ""))
        if charge.unit is None:
            return money
        priced = rating_id if isinstance(charge.rated, Rated) else ""
        return self.accounting.add(_entry(charge.unit, charge.units, priced, money or "*none"))


def _entry(payer: tuple[str, str], units: Fraction, rating_id: str, extra: str) -> dict[str, Json]:
    account, uuid = payer
    return {
        "AccountID": account,
        "BalanceUUID": uuid,
        "ExtraChargeID": extra,
        "RatingID": rating_id,
        "Units": number(units),
    }
