"""Header fields of one word and parameters, each with what its standard makes of them.

| class | header field | standard |
|---|---|---|
| MediaType | Content-Type, Accept | RFC 3261 20.1, 20.15 |
| Weighted | Accept-Encoding, Accept-Language | RFC 3261 20.2, 20.3 |
| Disposition | Content-Disposition | RFC 3261 20.11 |
| RetryAfter | Retry-After | RFC 3261 20.33 |
| Reason | Reason | RFC 3326 |
| SecurityMechanism | Security-Client, -Server, -Verify | RFC 3329 2.2 |
| Replaces | Replaces | RFC 3891 6.1 |
| SessionExpires, MinSE | Session-Expires, Min-SE | RFC 4028 4, 5 |
| Event | Event, Allow-Events | RFC 6665 8.2.1 |
| SubscriptionState | Subscription-State | RFC 6665 8.2.3 |

Every class is a word (``value``) and its parameters; a number among them is checked by ``parse``.
Credentials and challenges are `trunkline.sip.digest`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from trunkline.errors import DecodeError
from trunkline.sip.headers.numbers import delta_seconds, integer, qvalue
from trunkline.sip.lists import split_list
from trunkline.sip.params import PARAMS, TOKEN, HeaderParams

__all__ = [
    "Disposition",
    "Event",
    "MediaType",
    "MinSE",
    "Reason",
    "Replaces",
    "RetryAfter",
    "SecurityMechanism",
    "SessionExpires",
    "SubscriptionState",
    "Weighted",
]


@dataclass(frozen=True, slots=True)
class Weighted:
    """A word and its parameters: the base of the others, and a coding or a language.

    Made by :meth:`parse` or :meth:`build`; ``==`` compares the text.
    """

    NAME: ClassVar[str] = "value"
    """What the messages of errors call it."""
    WORD: ClassVar[re.Pattern[str]] = re.compile(rf"({TOKEN})({PARAMS})\Z")
    """The word and the parameters, as two groups."""

    text: str
    """As it was parsed, without blanks around it."""
    value: str = field(compare=False, repr=False)
    """The word, as written."""
    params: HeaderParams = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """One value.

        Raises:
            DecodeError: ``sip.header.value``; ``sip.header.number`` for a number out of range.
        """
        text = text.strip(" \t\r\n")
        match = cls.WORD.match(text)
        if match is None:
            raise DecodeError("sip.header.value", f"{text[:80]!r} is no {cls.NAME}")
        made = cls(text, match[1], HeaderParams.read(match[2]))
        made._check()
        return made

    @classmethod
    def parse_list(cls, values: str | Iterable[str]) -> list[Self]:
        """The values in one row, or in several.

        Raises:
            DecodeError: as :meth:`parse`.
        """
        rows = (values,) if isinstance(values, str) else values
        return [cls.parse(part) for row in rows for part in split_list(row)]

    @classmethod
    def build(cls, value: str, params: Mapping[str, str | None] | None = None) -> Self:
        """A new value.

        Raises:
            DecodeError: as :meth:`parse`, when the parts do not make one.
        """
        return cls.parse(f"{value}{HeaderParams.of(params or {})}")

    def with_params(self, params: Mapping[str, str | None]) -> Self:
        """This with ``params`` set: in place where the name is there, else at the end."""
        return self.parse(f"{self.value}{self.params.updated(params)}")

    def without_param(self, *names: str) -> Self:
        """This but for the parameters ``names``."""
        return self.parse(f"{self.value}{self.params.without(*names)}")

    def _check(self) -> None:
        """Raise what is wrong with the numbers."""
        _ = self.q

    def __str__(self) -> str:
        return self.text

    @property
    def q(self) -> float:
        """The preference, 0 to 1; 1 when not given."""
        value = self.params.get("q")
        return 1.0 if value is None else qvalue(value)


@dataclass(frozen=True, slots=True)
class MediaType(Weighted):
    """A media type, or a range of them with ``*``: ``value`` is ``type/subtype`` as written."""

    NAME: ClassVar[str] = "media type: write type/subtype"
    WORD: ClassVar[re.Pattern[str]] = re.compile(rf"({TOKEN}[ \t]*/[ \t]*{TOKEN})({PARAMS})\Z")

    @property
    def full(self) -> str:
        """``type/subtype`` in lower case."""
        if " " in self.value or "\t" in self.value:
            return f"{self.type}/{self.subtype}"
        return self.value.lower()

    @property
    def type(self) -> str:
        """In lower case."""
        return self.value.partition("/")[0].strip(" \t").lower()

    @property
    def subtype(self) -> str:
        """In lower case."""
        return self.value.partition("/")[2].strip(" \t").lower()

    def accepts(self, other: MediaType) -> bool:
        """Whether this range of an Accept holds ``other``, parameters left aside."""
        if self.value == "*/*":
            return True
        return self.type == other.type and self.subtype in ("*", other.subtype)


@dataclass(frozen=True, slots=True)
class Disposition(Weighted):
    """What is to become of a body or body part."""

    NAME: ClassVar[str] = "Content-Disposition"

    @property
    def required(self) -> bool:
        """Whether who does not understand it answers 415: so unless ``handling`` is optional."""
        return (self.params.get("handling") or "").lower() != "optional"


@dataclass(frozen=True, slots=True)
class RetryAfter(Weighted):
    """When to try again: ``value`` is a number of seconds and maybe a comment."""

    NAME: ClassVar[str] = "Retry-After: seconds, maybe a (comment), parameters"
    WORD: ClassVar[re.Pattern[str]] = re.compile(
        rf"([0-9]+(?:[ \t]*\((?:[^()\\\r\n]|\\[^\r\n]|\([^()\\\r\n]*\))*\))?)({PARAMS})\Z"
    )

    @property
    def seconds(self) -> int:
        """How long to wait."""
        return delta_seconds(self.value.partition("(")[0])

    @property
    def duration(self) -> int | None:
        """For how many seconds it will be reachable from then on."""
        value = self.params.get("duration")
        return None if value is None else delta_seconds(value)

    def _check(self) -> None:
        _ = self.seconds, self.duration


@dataclass(frozen=True, slots=True)
class Reason(Weighted):
    """Why a request was sent: ``value`` is the protocol that the cause is one of."""

    NAME: ClassVar[str] = "Reason"

    @property
    def cause(self) -> int | None:
        """A status code of SIP, or a cause value of Q.850."""
        value = self.params.get("cause")
        return None if value is None else integer(value, what="cause")

    @property
    def words(self) -> str | None:
        """The parameter ``text``: for people."""
        return self.params.get("text")

    def _check(self) -> None:
        _ = self.cause


@dataclass(frozen=True, slots=True)
class SecurityMechanism(Weighted):
    """A mechanism that client and first proxy may agree on: ``value`` is its name."""

    NAME: ClassVar[str] = "security mechanism"

    def matches(self, other: SecurityMechanism) -> bool:
        """Whether ``other`` says the same, whatever the order and the blanks (2.3.1)."""
        return self.value.lower() == other.value.lower() and self.params == other.params


@dataclass(frozen=True, slots=True)
class Replaces(Weighted):
    """The dialog to replace: ``value`` is its Call-ID."""

    NAME: ClassVar[str] = "Replaces: a Call-ID, one to-tag, one from-tag"
    # callid = word [ "@" word ]
    WORD: ClassVar[re.Pattern[str]] = re.compile(rf"([^\s;,]+)({PARAMS})\Z")

    @property
    def to_tag(self) -> str:
        """The tag of who receives this."""
        return self.params["to-tag"] or ""

    @property
    def from_tag(self) -> str:
        """The tag of the other side."""
        return self.params["from-tag"] or ""

    @property
    def early_only(self) -> bool:
        """Whether a dialog that is confirmed already is left alone."""
        return "early-only" in self.params

    def _check(self) -> None:
        names = [name.lower() for name, value in self.params.pairs if value]
        if names.count("to-tag") != 1 or names.count("from-tag") != 1:
            raise DecodeError("sip.header.value", f"{self.text[:80]!r} is no {self.NAME}")


@dataclass(frozen=True, slots=True)
class MinSE(Weighted):
    """The shortest session interval: ``value`` is a number of seconds."""

    NAME: ClassVar[str] = "session interval: seconds and parameters"
    WORD: ClassVar[re.Pattern[str]] = re.compile(rf"([0-9]+)({PARAMS})\Z")

    @property
    def seconds(self) -> int:
        """The interval."""
        return delta_seconds(self.value)

    def _check(self) -> None:
        _ = self.seconds


@dataclass(frozen=True, slots=True)
class SessionExpires(MinSE):
    """The session interval and who refreshes: ``value`` is a number of seconds."""

    @property
    def refresher(self) -> str | None:
        """``"uac"``, ``"uas"``, or None when it is left open."""
        value = self.params.get("refresher")
        return None if value is None else value.lower()


@dataclass(frozen=True, slots=True)
class Event(Weighted):
    """An event package and its templates: ``value`` as written."""

    NAME: ClassVar[str] = "event"

    @property
    def package(self) -> str:
        """The package, without templates."""
        return self.value.partition(".")[0]

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates, in order."""
        return tuple(self.value.split(".")[1:])

    @property
    def id(self) -> str | None:
        """The parameter ``id``, which tells subscriptions of one dialog apart."""
        return self.params.get("id")

    def _check(self) -> None:
        """No number."""


@dataclass(frozen=True, slots=True)
class SubscriptionState(Weighted):
    """The state of a subscription."""

    NAME: ClassVar[str] = "Subscription-State"

    @property
    def state(self) -> str:
        """In lower case: ``"active"``, ``"pending"``, ``"terminated"`` or another."""
        return self.value.lower()

    @property
    def reason(self) -> str | None:
        """Why it ended, in lower case."""
        value = self.params.get("reason")
        return None if value is None else value.lower()

    @property
    def expires(self) -> int | None:
        """Seconds that are left."""
        value = self.params.get("expires")
        return None if value is None else delta_seconds(value)

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before subscribing again."""
        value = self.params.get("retry-after")
        return None if value is None else delta_seconds(value)

    def _check(self) -> None:
        _ = self.expires, self.retry_after
