"""What a request says of a balance, in members of any type: the reference's ``BalanceFilter``.

``{"ID": "gift", "Weight": 10, "DestinationIDs": "MOBILE;FIXED"}``. A member that it does not say is
not asked for; one that is none of them is passed over. Numbers and truths may be text, lists may be
text between ``;`` or objects of ``true``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from trunkline.charging.actions import fits
from trunkline.charging.rows import BalanceRow
from trunkline.elements.charging.registry import ApiError
from trunkline.errors import DecodeError
from trunkline.jsonrpc import Json, encode
from trunkline.jsonrpc.messages import INVALID_PARAMS
from trunkline.rating.durations import parse_duration
from trunkline.rating.model import ANY, DEFAULT_TENANT

__all__ = ["BalanceArguments", "Members", "key_of"]


def key_of(tenant: str, account: str) -> str:
    """The key of an account in the ledger.

    Raises:
        ApiError: it would be the key of an account of another tenant.
    """
    if ":" in tenant:
        raise ApiError(f"SERVER_ERROR: {tenant[:60]!r} is no tenant: a : ends it", INVALID_PARAMS)
    return f"{tenant or DEFAULT_TENANT}:{account}"


class Members:
    """Members of any type, each read as what it has to be.

    Every method raises `ApiError` where a member is something else; ``None``: it is not said.
    ``prefix`` stands before the names.
    """

    def __init__(self, said: Mapping[str, Json], prefix: str = "") -> None:
        self._said = {name.lower(): value for name, value in said.items()}
        self._prefix = prefix.lower()

    def _get(self, name: str) -> Json:
        return self._said.get(f"{self._prefix}{name.lower()}")

    def says(self, name: str) -> bool:
        """Whether a member is there."""
        return self._get(name) is not None

    def text(self, name: str) -> str | None:
        """Text."""
        value = self._get(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool | list | dict):
            raise _wrong(name, value, "no text")
        return str(value)

    def number(self, name: str) -> Decimal | None:
        """A number, or the text of one."""
        value = self._get(name)
        if value is None:
            return None
        try:
            if isinstance(value, bool | list | dict):
                raise InvalidOperation
            found = Decimal(str(value))
        except InvalidOperation:
            raise _wrong(name, value, "no number") from None
        if not found.is_finite():
            raise _wrong(name, value, "no number")
        if not fits(found):
            raise _wrong(name, value, "longer than 30 digits before the point and 40 after it")
        return found

    def amount(self, name: str) -> Decimal | None:
        """A number, the text of one, or the text of a duration: nanoseconds."""
        value = self._get(name)
        if isinstance(value, str) and value[-1:].isalpha():
            try:
                return Decimal(parse_duration(value))
            except DecodeError:
                raise _wrong(name, value, "neither a number nor a duration") from None
        return self.number(name)

    def flag(self, name: str) -> bool | None:
        """A truth, or the text of one."""
        value = self._get(name)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise _wrong(name, value, "neither true nor false")

    def words(self, name: str) -> tuple[str, ...] | None:
        """A list of text, text between ``;``, or an object of truths; ``*any`` is empty."""
        value = self._get(name)
        match value:
            case None:
                return None
            case str():
                found = [word.strip() for word in value.split(";")]
            case list() if all(isinstance(each, str) for each in value):
                found = [str(each) for each in value]
            case dict() if all(isinstance(each, bool) for each in value.values()):
                found = [each if held else f"!{each}" for each, held in value.items()]
            case _:
                raise _wrong(name, value, "no list of text")
        return tuple(word for word in found if word not in ("", ANY))


class BalanceArguments(Members):
    """What is said of a balance."""

    def row(self) -> BalanceRow:
        """The row of a file that says the same."""
        return BalanceRow(
            id=self.text("ID") or None,
            uuid=self.text("UUID") or None,
            categories=self.words("Categories"),
            destinations=self.words("DestinationIDs"),
            shared_groups=self.words("SharedGroups"),
            timings=self.words("TimingIDs"),
            rating_subject=self.text("RatingSubject") or None,
            expires=self.text("ExpiryTime") or "",
            weight=self.number("Weight"),
            blocker=self.flag("Blocker"),
            disabled=self.flag("Disabled"),
        )

    def factors(self) -> str:
        """What one unit is worth, by type, as the parameters of an action; empty: not said."""
        value = self._get("Factor")
        if value is None:
            return ""
        if not isinstance(value, dict) or not all(
            isinstance(each, int | float | Decimal) and not isinstance(each, bool)
            for each in value.values()
        ):
            raise _wrong("Factor", value, "no object of numbers")
        return json.dumps({name: float(str(each)) for name, each in value.items()})


def _wrong(name: str, value: Json, what: str) -> ApiError:
    return ApiError(f"SERVER_ERROR: {name} {encode(value)[:60]} is {what}", INVALID_PARAMS)
