"""What actions ask for beyond the accounts: a line in the log, a record, a request, a mail.

An action is not carried out where it runs, for the change that it runs in may yet be refused, or
computed again. What it asks for is written down with the change, as a task of the ledger, and
carried out afterwards: at least once, whatever ends in between. What fails is tried again, later
each time; after `ATTEMPTS` it is given up, logged and counted. ``*cdrlog`` alone needs nobody else:
its records are part of the change.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeAlias
from uuid import uuid4

from trunkline.charging.actions import Effect
from trunkline.charging.documents import (
    Reader,
    account_from_json,
    account_to_json,
    reference_account,
)
from trunkline.charging.event import Event, Scope, number_text
from trunkline.charging.model import Account, Movement
from trunkline.charging.record_documents import Details, details_to_json
from trunkline.charging.rows import ActionRow
from trunkline.charging.rsr import parse
from trunkline.charging.sessions import session_id
from trunkline.elements.charging.arguments import wire_name
from trunkline.errors import DecodeError, TrunklineError
from trunkline.jsonrpc import Json, encode
from trunkline.net.http import post
from trunkline.net.jsonrpc import call_once
from trunkline.net.mail import send_mail
from trunkline.store.ledger.model import RecordRow, TaskRow

__all__ = ["ATTEMPTS", "PREFIX", "Carrier", "Export", "Order", "document_of", "posted"]

PREFIX: Final = "effect/"
"""Of the IDs of such tasks."""
ATTEMPTS: Final = 8
_PAUSE: Final = 256.0  # s; at most, between two attempts
_SILENCE: Final = 5.0  # s; so long nobody asks a server that has not answered in time
_HTTP: Final = frozenset({"*http_post", "*http_post_async", "*call_url", "*call_url_async"})
_NOTHING: Final = frozenset({"*remove_account", "*remove_session_costs"})
"""What the change itself has done, and what happens anyway: no costs are kept beside records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one action asked for: the document of its task."""

    action: str
    extra: str
    actions_id: str
    account: Account | None
    time: datetime
    attempts: int = 0
    """So many have failed."""

    @classmethod
    def of_task(cls, task: TaskRow) -> Order:
        """The order that a task is.

        Raises:
            TrunklineError: ``charging.document``.
        """
        reader = document_of(task, "effect")
        account = reader.fields.get("account")
        return cls(
            action=reader.text("action"),
            extra=reader.text("extra"),
            actions_id=reader.text("actions"),
            account=None if account is None else account_from_json(account),
            time=reader.time("time") or datetime.fromtimestamp(0, UTC),
            attempts=reader.whole("attempts"),
        )

    def task(self, identifier: str, due: float) -> TaskRow:
        """The task that has it carried out."""
        document = {
            "action": self.action,
            "extra": self.extra,
            "actions": self.actions_id,
            "account": None if self.account is None else account_to_json(self.account),
            "time": self.time.isoformat(),
            "attempts": self.attempts,
        }
        return TaskRow(identifier, due, json.dumps(document))

    def failed(self, identifier: str, now: float) -> TaskRow | None:
        """The task of the next attempt; ``None``: it is given up."""
        attempts = self.attempts + 1
        if attempts >= ATTEMPTS:
            return None
        pause = min(4.0 ** (attempts - 1), _PAUSE)
        return replace(self, attempts=attempts).task(identifier, now + pause)

    def __str__(self) -> str:
        whose = f" for {self.account.key}" if self.account is not None else ""
        return f"{self.action} of {self.actions_id or 'a request'}{whose}"


def document_of(task: TaskRow, place: str) -> Reader:
    """The document of a task.

    Raises:
        TrunklineError: ``charging.document``.
    """
    try:
        return Reader(json.loads(task.document), place)
    except ValueError:
        raise TrunklineError("charging.document", f"{task.id}: the document is no JSON") from None


def posted(effect: Effect, now: datetime) -> Iterator[TaskRow | RecordRow]:
    """What is written down of an effect.

    Raises:
        TrunklineError: ``*cdrlog`` with parameters that are no template.
    """
    row = effect.row
    if row.action == "*cdrlog":
        yield from _records(effect, now)
    elif row.action not in _NOTHING:
        for extra in _each(row):
            order = Order(
                action=row.action,
                extra=extra,
                actions_id=row.id,
                account=effect.account,
                time=now,
            )
            yield order.task(f"{PREFIX}{uuid4()}", now.timestamp())


def _each(row: ActionRow) -> Sequence[str]:
    """The parameters of each order: a mail to several is one to each, for one may be refused."""
    if row.action != "*mail_async":
        return [row.extra]
    return [word.strip() for word in row.extra.split(";") if word.strip()] or [""]


Export: TypeAlias = Callable[[Sequence[str], Event], Awaitable[object]]
"""Gives an event to exporters of these names."""


class Carrier:
    """Carries orders out. ``timeout``: seconds for one attempt.

    What nobody here can carry out raises `TrunklineError`, ``charging.effect-unknown``, and is not
    tried again; nor is ``charging.effect``, an order that says nothing to carry out. Everything
    else is worth another attempt.
    """

    LASTING: Final = frozenset(
        {
            *("charging.effect", "charging.effect-unknown"),
            *("http.url", "mail.address", "rpc.address"),
        }
    )
    """Errors that no other attempt would mend."""

    def __init__(
        self,
        log: Callable[[str], None],
        *,
        timeout: float = 5.0,
        mail_server: str = "",
        mail_from: str = "",
        export: Export | None = None,
    ) -> None:
        self._log = log
        self._export = export
        self._timeout = timeout
        self._mail_server = mail_server
        self._mail_from = mail_from
        self._silent: dict[str, float] = {}

    async def carry_out(self, order: Order) -> None:
        """Do what was asked for.

        Raises:
            TrunklineError: why it could not be done.
        """
        if order.action == "*log":
            account = order.account
            shown = order.extra if account is None else encode(reference_account(account))
            self._log(f"LOG {'ExtraData' if account is None else 'Account'}: {shown}")
        elif order.action in _HTTP:
            account = order.account
            body = encode(None if account is None else reference_account(account))
            url = order.extra.strip()
            octets = body.encode("utf-8", "replace")
            place = url.partition("//")[2].partition("/")[0].rpartition("@")[2]
            await self._timely(place, self._timeout, post(url, octets, timeout=self._timeout))
        elif order.action == "*mail_async":
            await self._mail(order)
        elif order.action == "*cgr_rpc":
            await self._call(order)
        elif order.action == "*export" and self._export is not None:
            if order.account is not None:
                names = [word.strip() for word in order.extra.split(";") if word.strip()]
                await self._export(names, _event(order.account))
        else:
            raise TrunklineError(
                "charging.effect-unknown",
                f"{order}: nothing here carries that out; take the row out of Actions.csv",
            )

    async def _mail(self, order: Order) -> None:
        """To the address in the parameters: what the account holds."""
        if not self._mail_server:
            raise TrunklineError(  # another node may have one
                "mail.failed", f"{order}: no mail_server is set in the network file"
            )
        if not order.extra or order.account is None:
            raise TrunklineError(
                "charging.effect", f"{order}: its parameters name nobody, or there is no account"
            )
        account = order.account
        held = [
            f"{each.type} {each.id or each.uuid}: {number_text(each.value)}"
            for each in account.balances
        ]
        text = "\n".join([f"{order.time:%Y-%m-%d %H:%M:%S} UTC, {order.actions_id}", "", *held])
        timeout = 2 * self._timeout
        mail = send_mail(
            self._mail_server,
            self._mail_from,
            order.extra,
            f"Account {account.key}",
            f"{text}\n",
            timeout=timeout,
        )
        await self._timely(self._mail_server, timeout, mail)

    async def _call(self, order: Order) -> None:
        """``{"Address":"127.0.0.1:2012","Method":"CoreSv1.Ping","Params":{}}``."""
        said = _object(order.extra)
        address, method = said.get("Address"), said.get("Method")
        if not (isinstance(address, str) and isinstance(method, str)):
            raise TrunklineError(
                "charging.effect", f"{order}: its parameters name no Address and Method to call"
            )
        timeout = self._timeout
        call = call_once(address, method, said.get("Params"), timeout=timeout)
        await self._timely(address, timeout, call)

    async def _timely(
        self, place: str, timeout: float, work: Coroutine[None, None, object]
    ) -> None:
        """Do what a server is asked for, unless it has just let others wait for nothing.

        So a server that hangs holds up one order in `_SILENCE` seconds, not all the others.

        Raises:
            TrunklineError: ``charging.effect-silent``, or why it could not be done.
        """
        now = asyncio.get_running_loop().time
        began = now()
        if self._silent.get(place, 0.0) > began:
            work.close()
            raise TrunklineError(
                "charging.effect-silent", f"{place[:200]} did not answer a moment ago"
            )
        if place in self._silent:  # this one finds out
            self._silent[place] = began + timeout + _SILENCE
        try:
            await work
        except TrunklineError:
            if now() - began >= timeout:
                self._silent[place] = now() + _SILENCE
            else:
                self._silent.pop(place, None)
            raise
        self._silent.pop(place, None)


def _event(account: Account) -> Event:
    """The event that exporters get of an account."""
    fields = dict(reference_account(account))
    fields["Account"] = fields.pop("ID")
    fields |= {"EventType": "AccountUpdate", "EventSource": "AccountS"}
    return Event(
        tenant=account.tenant,
        id=str(uuid4()),
        fields=fields,
        opts={"*eventType": "AccountUpdate"},
    )


def _object(text: str) -> dict[str, Json]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TrunklineError(
            "charging.effect", f"the parameters {text[:60]!r} are no JSON object: write {{…}}"
        )
    return found


# Records

_TEXTS: Final = {
    wire_name(name): name
    for name in (
        *("tenant", "account", "subject", "destination", "category", "request_type"),
        *("origin_id", "origin_host", "source"),
    )
}


def _records(effect: Effect, now: datetime) -> Iterator[RecordRow]:
    """A record of each balance that the run of actions has changed."""
    template = {name: str(value) for name, value in _object(effect.row.extra).items()}
    for movement in effect.movements:
        known = _known(effect, movement)
        scope = Scope(Event(tenant=known["Tenant"]), now, acnt=known, act=known)
        said = {
            "ToR": movement.type,
            "RequestType": "*none",
            "Tenant": known["Tenant"],
            "Account": known["Account"],
            "Subject": known["Account"],
            "OriginHost": "127.0.0.1",
            "OriginID": str(uuid4()),
            "Source": "*cdrlog",
            "Cost": known["ActionValue"],
        }
        for name, rule in template.items():
            said[name] = parse(rule.removeprefix("^")).text(scope) or ""
        try:
            cost = Decimal(said["Cost"])
        except ArithmeticError:
            raise DecodeError(
                "charging.effect", f"*cdrlog: the cost {said['Cost'][:60]!r} is no number"
            ) from None
        yield RecordRow(
            id=session_id(said["OriginID"], said["OriginHost"]),
            run=movement.cause,
            document=json.dumps(details_to_json(_details(said))),
            type=said["ToR"],
            time=now.timestamp(),
            answer_time=now.timestamp(),
            created=now.timestamp(),
            updated=now.timestamp(),
            usage=1,
            cost=cost,
            **{own: said.get(name, "") for name, own in _TEXTS.items()},  # type: ignore[arg-type]
        )


def _details(said: Mapping[str, str]) -> Details:
    """What such a record says besides: it came with its cost."""
    own = {*_TEXTS, "ToR", "Cost"}
    return Details(
        extra={name: value for name, value in said.items() if name not in own}, pre_rated=True
    )


def _known(effect: Effect, movement: Movement) -> Mapping[str, str]:
    """What a template may ask for: ``~*acnt.BalanceID``."""
    account = effect.account
    balance = None if account is None else account.balance(movement.balance)
    tenant, _, name = movement.account.partition(":")
    row = effect.row
    return {
        "AccountID": movement.account,
        "Tenant": tenant,
        "Account": name,
        "ActionID": row.id,
        "ActionType": movement.cause,
        "ActionValue": number_text(abs(movement.amount)),
        "BalanceType": movement.type,
        "BalanceUUID": movement.balance,
        "BalanceID": "" if balance is None else balance.id,
        "BalanceValue": number_text(movement.value),
        "DestinationIDs": "" if balance is None else ";".join(balance.destinations),
        "RatingSubject": "" if balance is None else balance.rating_subject,
        "Category": "" if balance is None else ";".join(balance.categories),
        "SharedGroups": "" if balance is None else ";".join(balance.shared_groups),
        "ExtraParameters": row.extra,
    }
