"""The reference's own figures: what accounts pay, and what is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.charging.world import accounts_of, balance
from tests.rating.folder import tariff
from tests.rating.test_rating_vectors import _call

from trunkline.charging.charges import Cover, Debit, End, Payers, Usage
from trunkline.charging.debit import debit
from trunkline.charging.model import MONETARY, Account
from trunkline.charging.money import total
from trunkline.rating import EXACT, Cgrates, Precision, Tariff, parse_duration

_TOLERANCE = 1e-9
_DEBITS = {
    "Debit": Cover.ALL,
    "MaxDebit": Cover.FUNDED,
    "GetMaxSessionDuration": Cover.FUNDED,
    "APIerSv1.GetAccountCost": Cover.ALL,
    "SessionSv1.AuthorizeEvent": Cover.FUNDED,
    "SessionSv1.ProcessMessage": Cover.FUNDED,
    "authorize then CDR": Cover.FUNDED,
}
_DRY = {"GetMaxSessionDuration", "APIerSv1.GetAccountCost", "SessionSv1.AuthorizeEvent"}
_SESSION = "session: initiate, terminate, CDR"
# Attributes rewrite the subject, or the session does not debit: not decided by accounts.
_ELSEWHERE = {"895b10", "e4744d"}
_NO_DEBIT = {"*none", "*postpaid", "*rated"}


def _cases(vectors: Path, name: str) -> Iterator[dict[str, Any]]:
    text = (vectors / "rating" / f"{name}.json").read_text(encoding="utf-8")
    yield from json.loads(text)["cases"]


def _usage(query: dict[str, Any], cover: Cover) -> Usage:
    query = dict(query)
    if query.get("answer_time") == "*now":
        query.setdefault("answer_time_fixed", "2024-05-15T10:00:00Z")
    rate = None
    if "max_rate" in query:
        rate = Fraction(str(query["max_rate"])) / parse_duration(query["max_rate_unit"])
    return Usage(call=_call(query), cover=cover, max_rate=rate, default_uuid="default")


def _money(account: Account) -> list[float]:
    return [float(each.value) for each in account.balances if each.type == MONETARY]


def _check(case: dict[str, Any], found: Debit, before: Account, after: Account) -> None:
    expected = case["expect"]
    tor = found.call.tor

    def units(text: str) -> int:
        return parse_duration(text) if tor == "*voice" else int(text)

    for name, value in expected.items():
        if name in ("cost", "cdr_cost", "event_cost"):
            assert float(found.cost) == pytest.approx(value, abs=_TOLERANCE), name
        elif name == "connect_fee":
            assert found.connect_fee == value
        elif name in ("max_usage", "usage"):
            assert found.usage == units(value)
        elif name == "max_usage_not":
            assert found.usage != units(value)
        elif name == "rated_duration":
            assert found.rated == units(value)
        elif name == "no_default_balance_created":
            assert not any(each.is_default for each in after.balances)
        else:
            assert name in ("balance_before", "balance_after"), name
            account = before if name == "balance_before" else after
            for which, figure in value.items():
                if which == "*monetary_by_weight":
                    held = {
                        str(each.weight): float(each.value)
                        for each in account.balances
                        if each.type == MONETARY
                    }
                    assert held == pytest.approx(figure, abs=_TOLERANCE)
                elif which.startswith("*"):
                    values = [float(e.value) for e in account.balances if e.type == which]
                    figures = figure if isinstance(figure, list) else [figure]
                    assert values == pytest.approx(figures, abs=_TOLERANCE)
                else:
                    [one] = [each for each in account.balances if each.id == which]
                    assert float(one.value) == pytest.approx(figure, abs=5e-3)


def _session(
    of: Tariff, account: Account, usage: Usage, precision: Precision, step: int
) -> tuple[Account, Debit]:
    """The usage in steps, each of them charged."""
    whole = usage.call.usage
    for so_far in [*range(step, whole, step), whole]:
        at = replace(usage, call=replace(usage.call, usage=so_far))
        last = debit(of, Payers(account=account), at, precision)
        account = last.accounts[0] if last.accounts else account
        usage = replace(usage, taken=last.taken)
    return account, last


@pytest.mark.parametrize("name", ["accounts_calldesc", "accounts_general"])
@pytest.mark.parametrize("exact", [False, True])
def test_what_accounts_pay(vectors: Path, tmp_path: Path, name: str, exact: bool) -> None:
    elsewhere = 0
    for case in _cases(vectors, name):
        query, expected = case["query"], case["expect"]
        which = case["id"][-6:]
        if which in _ELSEWHERE or (
            query["op"] == "SessionSv1.ProcessMessage" and query["request_type"] in _NO_DEBIT
        ):
            elsewhere += 1
            continue
        if exact and which == "01acd7":
            expected["cost"] = 0.3  # the reference rounds each second's price up
        folder = tmp_path / which
        folder.mkdir()
        accounts, groups = accounts_of(folder, case["csv"], case.get("accounts", {}))
        key = f"{query['tenant']}:{query.get('account') or query.get('subject')}"
        if "error" in expected:
            assert key not in accounts
            continue
        # Upstream charges this account by its name without an action plan of its own.
        account = accounts.get(key) or Account(tenant=query["tenant"], id=key.partition(":")[2])
        of = tariff(case["csv"])
        precision: Precision = EXACT if exact else Cgrates(query.get("rounding_decimals", 5))
        if query["op"] == _SESSION:
            cover = Cover.FUNDED if query["request_type"] == "*prepaid" else Cover.ALL
            step = parse_duration(query["debit_interval"])
            after, found = _session(of, account, _usage(query, cover), precision, step)
        else:
            usage = _usage(query, _DEBITS[query["op"]])
            found = debit(of, Payers(account=account, groups=groups), usage, precision)
            dry = query["op"] in _DRY or query.get("request_type") == "*pseudoprepaid"
            after = found.accounts[0] if found.accounts and not dry else account
        _check(case, found, account, after)
        if query["op"] != _SESSION:
            moved = total(each.amount for each in found.movements if each.type == MONETARY)
            assert moved == -found.cost or found.call.tor == MONETARY
    assert elsewhere == (0 if name == "accounts_calldesc" else 12)


def test_units_of_money_are_debited_directly_up_to_the_blocker(vectors: Path) -> None:
    """Three updates of 3 leave 1 on 10_unit_bal and other_bal untouched."""
    [case] = [c for c in _cases(vectors, "accounts_general") if c["id"].endswith("d11013")]
    [key] = case["accounts"]
    tenant, _, name = key.partition(":")
    account = Account(
        tenant=tenant,
        id=name,
        balances=tuple(balance(n, each) for n, each in enumerate(case["accounts"][key])),
    )
    usage = _usage(case["query"], Cover.FUNDED)
    for used, left in ((3, 7), (6, 4), (9, 1), (12, 0)):
        call = replace(usage.call, usage=used)
        found = debit(tariff({}), Payers(account=account), replace(usage, call=call))
        [account] = found.accounts
        usage = replace(usage, taken=found.taken)
        assert [each.value for each in account.balances] == [left, 999999]
        assert found.usage == min(used, 10)
        assert found.end is (End.COVERED if used < 10 else End.BLOCKER)
    assert found.cost == Decimal(0)
