"""Prepaid money stays at zero or above, whatever the sessions of a group do in their grants."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.rating.folder import tariff as folder

from trunkline.charging.charges import Payers
from trunkline.charging.groups import SharedGroup
from trunkline.charging.model import Account, Balance
from trunkline.charging.money import ZERO, add
from trunkline.charging.rows import SharedGroupRow
from trunkline.charging.sessions import Granted, RequestType, Run, close, extend, settle
from trunkline.rating import Call, price
from trunkline.rating.durations import SECOND
from trunkline.rating.tariff import Tariff

MEMBERS = ("a", "b", "c")


def prices(factor: str) -> Tariff:
    """Calls that cross the hour at which the price, and its increment, is another; and data."""

    def rate(name: str, fee: str, per: str, rest: str) -> str:
        return f"{name},{Decimal(fee) * Decimal(factor)},{Decimal(per) * Decimal(factor)},{rest}\n"

    return folder(
        {
            "Timings.csv": "DAY,*any,*any,*any,*any,00:00:00\nNIGHT,*any,*any,*any,*any,20:00:00\n",
            "Destinations.csv": "MOBILE,614\nABROAD,49\n",
            "Rates.csv": (
                rate("R_MOBILE", "0.02", "0.12", "60s,1s,0s")
                + rate("R_ABROAD", "0.05", "0.40", "60s,60s,0s")
                + rate("R_NIGHT", "0", "0.03", "60s,7s,0s")
                + rate("R_DATA", "0", "0.02", "1048576,10240,0")
            ),
            "DestinationRates.csv": (
                "DR_DAY,MOBILE,R_MOBILE,*up,4,0,\nDR_DAY,ABROAD,R_ABROAD,*up,4,0,\n"
                "DR_NIGHT,MOBILE,R_NIGHT,*up,4,0,\nDR_NIGHT,ABROAD,R_MOBILE,*middle,2,0,\n"
                "DR_DATA,*any,R_DATA,*up,4,0,\n"
            ),
            "RatingPlans.csv": "RP,DR_DAY,DAY,10\nRP,DR_NIGHT,NIGHT,10\nRP_DATA,DR_DATA,*any,10\n",
            "RatingProfiles.csv": ("cgrates.org,call,*any,,RP,\ncgrates.org,data,*any,,RP_DATA,\n"),
        }
    )


CHEAP, DEAR = prices("1"), prices("1.25")


@dataclass
class Family:
    """Accounts that share money, and what their sessions do."""

    strategy: str
    dice: random.Random
    tariff: Tariff = CHEAP
    meddling: bool = False
    rising: bool = False
    accounts: dict[str, Account] = field(default_factory=dict)
    given: Decimal = ZERO
    sessions: dict[str, Run] = field(default_factory=dict)
    ended: dict[str, Run] = field(default_factory=dict)
    costs: dict[str, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in MEMBERS:
            own = Balance(uuid=f"{name}-own", weight=Decimal(10), value=self._some())
            ours = Balance(uuid=f"{name}-ours", shared_groups=("G",), value=self._some())
            account = Account(tenant="cgrates.org", id=name, balances=(own, ours))
            self.accounts[account.key] = account
        self.given = self.money()

    def _some(self) -> Decimal:
        return Decimal(self.dice.choice(["0", "0.0175", "0.05", "0.1234567", "0.43", "1"]))

    def money(self) -> Decimal:
        total = ZERO
        for account in self.accounts.values():
            for balance in account.balances:
                total = add(total, balance.value)
        return total

    def payers(self, run: Run) -> Payers:
        own = self.accounts[f"cgrates.org:{run.call.account}"]
        others = [each for each in self.accounts.values() if each is not own]
        row = SharedGroupRow(id="G", account="*any", strategy=self.strategy)
        return Payers(account=own, members=others, groups={"G": SharedGroup("G", {"*any": row})})

    def took(self, name: str, step: Granted) -> Run:
        for account in step.debit.accounts if step.debit is not None else ():
            self.accounts[account.key] = account
        self.costs[name] = step.run.cost
        return step.run

    def change(self, name: str, **fields: object) -> None:
        """Change a balance of a member's."""
        for key, account in self.accounts.items():
            self.accounts[key] = replace(
                account,
                balances=tuple(
                    replace(each, **fields) if each.uuid == name else each  # type: ignore[arg-type]
                    for each in account.balances
                ),
            )

    def meddle(self) -> None:
        """What operators do meanwhile."""
        dice = self.dice
        name = dice.choice(MEMBERS)
        what = dice.randrange(3)
        if what == 0:
            self.change(f"{name}-{dice.choice(['own', 'ours'])}", disabled=dice.random() < 0.5)
        elif what == 1:
            self.change(f"{name}-ours", shared_groups=dice.choice([("G",), ("OTHER",)]))
        else:
            key = f"cgrates.org:{name}"
            self.accounts[key] = replace(self.accounts[key], disabled=dice.random() < 0.5)

    def act(self) -> None:
        """Anything that may come next."""
        dice = self.dice
        if len(self.sessions) < 2 or dice.random() < 0.2:
            name = f"s{len(self.costs)}"
            data = dice.random() < 0.3
            self.sessions[name] = Run(
                id="*default",
                request_type=RequestType.PREPAID,
                call=Call(
                    destination=dice.choice(["614", "49"]),
                    time=datetime(2026, 1, 5, 19, 59, dice.randrange(60), tzinfo=UTC),
                    usage=0,
                    account=dice.choice(MEMBERS),
                    category="data" if data else "call",
                    tor="*data" if data else "*voice",
                ),
            )
            self.costs[name] = ZERO
        name = dice.choice(list(self.sessions))
        run = self.sessions[name]
        if dice.random() < 0.6 and not self.payers(run).account.disabled:
            unit = 1 << 18 if run.call.tor == "*data" else SECOND
            used = None
            if dice.random() < 0.4:
                used = dice.randint(0, run.granted - run.used)
            more = dice.randint(0, 90) * unit
            step = extend(self.tariff, self.payers(run), run, more, used, session=name)
            assert step.run.granted >= step.run.used
            self.sessions[name] = self.took(name, step)
        elif dice.random() < 0.7:
            total = dice.choice([None, dice.randint(run.used, run.granted)])
            step = close(self.tariff, self.payers(run), run, total, session=name)
            del self.sessions[name]
            self.ended[name] = self.took(name, step)
            self.priced(step.run)
        elif self.ended:
            name = dice.choice(list(self.ended))
            run = self.ended.pop(name)
            step = settle(self.tariff, self.payers(run), run, run.used, record=name)
            self.priced(self.took(name, step))

    def priced(self, run: Run) -> None:
        """It costs what it costs in one piece; after a rise of prices, perhaps less."""
        wanted = price(self.tariff, replace(run.call, usage=run.used)).total
        assert run.cost == wanted or (self.rising and run.cost < wanted)

    def check(self) -> None:
        for account in self.accounts.values():
            for balance in account.balances:
                assert balance.value >= 0, (account.key, balance)
        owed = ZERO
        for cost in self.costs.values():
            owed = add(owed, cost)
        assert self.given == add(self.money(), owed)

    def live(self, steps: int = 60) -> None:
        for number in range(steps):
            if self.rising and number >= steps // 2:
                self.tariff = DEAR
            if self.meddling and self.dice.random() < 0.2:
                self.meddle()
            self.act()
            self.check()


STRATEGIES = ("*lowest", "*highest", "*random", "*mine_lowest")


@pytest.mark.parametrize("seed", [*range(40), 432, 564])
def test_nothing_goes_below_zero_within_the_grant(seed: int) -> None:
    Family(STRATEGIES[seed % 4], random.Random(seed)).live()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_operators_do_meanwhile(seed: int) -> None:
    Family(STRATEGIES[seed % 4], random.Random(seed), meddling=True).live()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_calls_cost_meanwhile(seed: int) -> None:
    Family(STRATEGIES[seed % 4], random.Random(seed), meddling=seed % 2 > 0, rising=True).live()
