"""Accounts made as the reference's users make them: by the action plans of a tariff folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from trunkline.charging.actions import Circumstances, Outcome, run_actions
from trunkline.charging.groups import SharedGroup, shared_groups
from trunkline.charging.model import Account, Balance
from trunkline.charging.rows import ActionRow
from trunkline.charging.schedule import parse_schedule
from trunkline.charging.triggers import set_triggers
from trunkline.config.cgrates import ChargingRows, load_folder
from trunkline.rating.model import Timing

NOW = datetime(2024, 5, 15, 10, 0, tzinfo=UTC)


def uuids(prefix: str = "new") -> Iterator[str]:
    return (f"{prefix}{number}" for number in count(1))


def circumstances(
    now: datetime = NOW, timings: Mapping[str, Timing] | None = None, prefix: str = "new"
) -> Circumstances:
    made = uuids(prefix)
    return Circumstances(
        now=now,
        new_uuid=lambda: next(made),
        timings=timings or {},
        reference="run",
    )


def act(account: Account | None, *rows: ActionRow, now: datetime = NOW) -> Outcome:
    return run_actions(account, rows, circumstances(now))


def balance(number: int, said: Mapping[str, Any]) -> Balance:
    """One of a vector's ``accounts``."""
    return Balance(
        uuid=f"b{number}",
        id=said.get("id", ""),
        type=said["type"],
        value=Decimal(str(said["value"])),
        weight=Decimal(str(said.get("weight", 0))),
        rating_subject=said.get("rating_subject", ""),
        categories=tuple(said.get("categories", ())),
        blocker=said.get("blocker", False),
    )


def accounts_of(
    folder: Path, files: Mapping[str, str], said: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[dict[str, Account], dict[str, SharedGroup]]:
    """The accounts of a vector, once their ``*asap`` plans have run."""
    if "AccountActions.csv" not in files:
        files = {}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    rows = load_folder(folder).rows if files else ChargingRows()
    accounts: dict[str, Account] = {}
    for key, balances in said.items():
        tenant, _, name = key.partition(":")
        held = tuple(balance(number, each) for number, each in enumerate(balances))
        accounts[key] = Account(tenant=tenant, id=name, balances=held)
    for row in rows.account_actions:
        key = f"{row.tenant}:{row.account}"
        account = accounts.get(key, Account(tenant=row.tenant, id=row.account))
        account = replace(account, allow_negative=row.allow_negative, disabled=row.disabled)
        account = set_triggers(
            account, [each for each in rows.action_triggers if each.id == row.action_triggers]
        )
        accounts[key] = with_plan(account, rows, row.action_plan)
    return accounts, shared_groups(rows.shared_groups)


def with_plan(account: Account, rows: ChargingRows, plan: str) -> Account:
    planned = [each for each in rows.action_plans if each.id == plan]
    for number, each in enumerate(sorted(planned, key=lambda one: one.weight, reverse=True)):
        if parse_schedule(each.timing_id, rows.timings, NOW).once:
            actions: Iterable[ActionRow] = (
                row for row in rows.actions if row.id == each.actions_id
            )
            at = circumstances(timings=rows.timings, prefix=f"plan{number}-")
            outcome = run_actions(account, actions, at)
            assert outcome.account is not None
            account = outcome.account
    return account
