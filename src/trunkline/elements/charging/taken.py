"""What the runs of one step take from the accounts, until it is written."""

from __future__ import annotations

from trunkline.charging.charges import Debit
from trunkline.charging.model import Account, Movement
from trunkline.store.ledger.model import View

__all__ = ["Taken"]


class Taken:
    """What the runs of one step have taken so far: each sees what those before it left."""

    def __init__(self, view: View) -> None:
        self.accounts = dict(view.accounts)
        self.changed: dict[str, Account | None] = {}
        self.movements: list[Movement] = []

    def add(self, debit: Debit | None) -> None:
        """Count a debit in."""
        if debit is None:
            return
        self.movements += debit.movements
        for account in debit.accounts:
            self.accounts[account.key] = self.changed[account.key] = account
