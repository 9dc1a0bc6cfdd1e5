"""Name-addr: From, To, Contact, Route, Record-Route, Path, Service-Route, Refer-To and their like.

RFC 3261 sections 20.10, 20.20, 20.30, 20.34, 20.39 and 25.1; RFC 3327, 3608, 3515, 3892, 3325.
Without angle brackets, what follows a semicolon belongs to the header, and a URI with a comma or a
question mark is refused (20.10).

Accepted beyond the grammar: a display name that is neither tokens nor quoted (it is quoted when
something is changed: RFC 4475 section 3.1.2.15), and blanks just inside the brackets (3.1.2.14).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from trunkline.errors import DecodeError
from trunkline.sip.headers.numbers import delta_seconds, qvalue
from trunkline.sip.lists import split_list
from trunkline.sip.params import PARAMS, QUOTED, HeaderParams, quoted, unquoted
from trunkline.sip.uri import AnyUri, parse_uri

__all__ = ["NameAddr"]

# name-addr = [ display-name ] LAQUOT addr-spec RAQUOT
_NAME_ADDR = re.compile(rf'(?:({QUOTED})[ \t]*|([^"<>\r\n]*))<[ \t]*([^<>"\s]+)[ \t]*>({PARAMS})\Z')
# addr-spec, of which section 20.10 takes commas, question marks and semicolons away
_ADDR_SPEC = re.compile(rf'([A-Za-z][^;?,<>"\s]*)({PARAMS})\Z')


@dataclass(frozen=True, slots=True)
class NameAddr:
    """An address with its display name and parameters. Made by :meth:`parse` or :meth:`build`.

    The URI is decoded when it is asked for. ``==`` compares the text.
    """

    text: str
    """As it was parsed, without blanks around it."""
    display: str = field(compare=False, repr=False)
    """The display name as written, quotes included."""
    uri_text: str = field(compare=False, repr=False)
    """The URI as written; ``*`` in a Contact that means all (10.2.2)."""
    parameters: str = field(compare=False, repr=False)
    """The text of the header parameters, from the first semicolon on."""
    _uri: AnyUri | None = field(default=None, init=False, compare=False, repr=False)
    _params: HeaderParams | None = field(default=None, init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """One address; ``*`` is taken too, and has no URI.

        Raises:
            DecodeError: ``sip.header.address``.
        """
        text = text.strip(" \t\r\n")
        if match := _NAME_ADDR.match(text):
            quoted_name, name, uri, parameters = match.groups()
            display = name.rstrip(" \t") if quoted_name is None else quoted_name
        elif match := _ADDR_SPEC.match(text):
            display = ""
            uri, parameters = match.groups()
        elif text == "*":
            display, uri, parameters = "", "*", ""
        else:
            raise DecodeError(
                "sip.header.address",
                f'{text[:80]!r} is no address: write "name" <URI>, then parameters',
            )
        return cls(text, display, uri, parameters)

    @classmethod
    def parse_list(cls, values: str | Iterable[str]) -> list[Self]:
        """The addresses in the value of one row, or of several.

        Raises:
            DecodeError: ``sip.header.address``.
        """
        rows = (values,) if isinstance(values, str) else values
        return [cls.parse(part) for row in rows for part in split_list(row)]

    @classmethod
    def build(
        cls,
        uri: AnyUri | str,
        *,
        display_name: str = "",
        params: Mapping[str, str | None] | None = None,
    ) -> Self:
        """A new address, in angle brackets.

        Raises:
            DecodeError: ``sip.header.address`` or ``sip.header.parameter``, when it would not be
                one.
        """
        return cls._of(
            quoted(display_name) if display_name else "", str(uri), HeaderParams.of(params or {})
        )

    @classmethod
    def _of(cls, display: str, uri: str, params: HeaderParams) -> Self:
        made = cls.parse(f"{display}{' ' if display else ''}<{uri}>{params}")
        if made.uri_text != uri or made.params.pairs != params.pairs:
            raise DecodeError(
                "sip.header.address", f"{made.text[:80]!r}: a delimiter where it may not stand"
            )
        return made

    def __str__(self) -> str:
        return self.text

    @property
    def is_star(self) -> bool:
        """Whether it is the ``*`` of a Contact."""
        return self.uri_text == "*"

    @property
    def display_name(self) -> str:
        """The display name without quotes and backslashes; empty without."""
        return unquoted(self.display) if self.display[:1] == '"' else self.display

    @property
    def uri(self) -> AnyUri:
        """The URI.

        Raises:
            DecodeError: ``sip.uri.…``.
        """
        uri = self._uri
        if uri is None:
            uri = parse_uri(self.uri_text)
            object.__setattr__(self, "_uri", uri)
        return uri

    @property
    def params(self) -> HeaderParams:
        """The header parameters."""
        params = self._params
        if params is None:
            params = HeaderParams.read(self.parameters)
            object.__setattr__(self, "_params", params)
        return params

    @property
    def tag(self) -> str | None:
        """The tag of From or To (19.3), compared with regard to case."""
        return self.params.get("tag")

    @property
    def q(self) -> float | None:
        """The preference of a Contact, 0 to 1 (20.10).

        Raises:
            DecodeError: ``sip.header.number``.
        """
        value = self.params.get("q")
        return None if value is None else qvalue(value)

    @property
    def expires(self) -> int | None:
        """Seconds that a Contact asks to stay for, or is to stay (10.2.1.1).

        Raises:
            DecodeError: ``sip.header.number``.
        """
        value = self.params.get("expires")
        return None if value is None else delta_seconds(value)

    def evolve(
        self,
        *,
        uri: AnyUri | str | None = None,
        display_name: str | None = None,
        params: Mapping[str, str | None] | None = None,
    ) -> Self:
        """An address with another URI, display name (empty for none) or all other parameters.

        Raises:
            DecodeError: as :meth:`build`.
        """
        if display_name is None:
            display_name = self.display_name
        return self._of(
            quoted(display_name) if display_name else "",
            self.uri_text if uri is None else str(uri),
            self.params if params is None else HeaderParams.of(params),
        )

    def with_params(self, params: Mapping[str, str | None]) -> Self:
        """This with ``params`` set: in place where the name is there, else at the end."""
        return self.evolve(params=self.params.updated(params))

    def without_param(self, *names: str) -> Self:
        """This but for the parameters ``names``."""
        return self.evolve(params=self.params.without(*names))
