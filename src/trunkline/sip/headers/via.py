"""Via (RFC 3261 sections 20.42 and 25.1) with ``rport`` (RFC 3581) and what else it may carry.

What every message needs of its topmost Via, `trunkline.sip.via` reads faster. Here is the whole
header field: each value of each row, with every parameter. ``received`` may have the brackets of an
IPv6 address or not (RFC 5118 section 4.5); it is written without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from trunkline.errors import DecodeError
from trunkline.sip.headers.numbers import integer
from trunkline.sip.host import HOST, IPAddress, bracketed, parse_host, parse_port
from trunkline.sip.lists import split_list
from trunkline.sip.params import PARAMS, TOKEN, HeaderParams

__all__ = ["Via"]

# via-parm      =  sent-protocol LWS sent-by *( SEMI via-params )
# sent-protocol =  protocol-name SLASH protocol-version SLASH transport
_VIA = re.compile(
    rf"(?:(SIP/2\.0)/|({TOKEN})[ \t]*/[ \t]*({TOKEN})[ \t]*/[ \t]*)({TOKEN})[ \t]+"
    rf"({HOST})(?:[ \t]*:[ \t]*([0-9]+))?({PARAMS})\Z"
)


@dataclass(frozen=True, slots=True)
class Via:
    """One value of a Via. Made by :meth:`parse` or :meth:`build`; ``==`` compares the text."""

    text: str
    """As it was parsed, without blanks around it."""
    protocol: str = field(compare=False, repr=False)
    """Name and version, ``"SIP/2.0"``."""
    transport: str = field(compare=False, repr=False)
    """In capitals, as the values of :class:`trunkline.sip.transport.Transport`."""
    host: str = field(compare=False, repr=False)
    """Of sent-by: in lower case, an IPv6 address without brackets."""
    port: int | None = field(compare=False, repr=False)
    """Of sent-by; None when not given."""
    address: IPAddress | None = field(compare=False, repr=False)
    """The host, when it is an IP literal."""
    parameters: str = field(compare=False, repr=False)
    """The text of the parameters, from the first semicolon on."""
    _params: HeaderParams | None = field(default=None, init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """One value.

        Raises:
            DecodeError: ``sip.header.via``; ``sip.uri.host`` or ``sip.uri.port`` for sent-by.
        """
        text = text.strip(" \t\r\n")
        match = _VIA.match(text)
        if match is None:
            raise DecodeError(
                "sip.header.via",
                f"{text[:80]!r} is no Via: SIP/2.0/transport, a blank, host:port, parameters",
            )
        usual, name, version, transport, host, port, parameters = match.groups()
        host, address = parse_host(host)
        return cls(
            text,
            usual or f"{name}/{version}",
            transport.upper(),
            host,
            None if port is None else parse_port(port),
            address,
            parameters,
        )

    @classmethod
    def parse_list(cls, values: str | Iterable[str]) -> list[Self]:
        """The values in one row, or in several, topmost first.

        Raises:
            DecodeError: as :meth:`parse`.
        """
        rows = (values,) if isinstance(values, str) else values
        return [cls.parse(part) for row in rows for part in split_list(row)]

    @classmethod
    def build(
        cls,
        transport: str,
        host: str,
        port: int | None = None,
        params: Mapping[str, str | None] | None = None,
    ) -> Self:
        """A new value.

        Raises:
            DecodeError: as :meth:`parse`, when the parts do not make one.
        """
        number = "" if port is None else f":{port}"
        return cls.parse(
            f"SIP/2.0/{transport} {bracketed(host)}{number}{HeaderParams.of(params or {})}"
        )

    def __str__(self) -> str:
        return self.text

    @property
    def params(self) -> HeaderParams:
        """The parameters."""
        params = self._params
        if params is None:
            params = HeaderParams.read(self.parameters)
            object.__setattr__(self, "_params", params)
        return params

    @property
    def branch(self) -> str | None:
        """The transaction's identifier (8.1.1.7); None from an element of RFC 2543."""
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The address that the request came from (18.2.1), without brackets."""
        value = self.params.get("received")
        return None if value is None else value.strip("[]")

    @property
    def rport(self) -> int | None:
        """The port that the request came from (RFC 3581 4); None too where it is only asked for.

        Raises:
            DecodeError: ``sip.uri.port``.
        """
        value = self.params.get("rport")
        return None if value is None else parse_port(value)

    @property
    def asks_rport(self) -> bool:
        """Whether ``rport`` stands there without a value (RFC 3581 3)."""
        return "rport" in self.params and self.params["rport"] is None

    @property
    def maddr(self) -> str | None:
        """The parameter ``maddr``, as written (18.1.1)."""
        return self.params.get("maddr")

    @property
    def ttl(self) -> int | None:
        """The parameter ``ttl``, 0 to 255.

        Raises:
            DecodeError: ``sip.header.number``.
        """
        value = self.params.get("ttl")
        return None if value is None else integer(value, 255, what="ttl")

    def with_params(self, params: Mapping[str, str | None]) -> Self:
        """This with ``params`` set: in place where the name is there, else at the end.

        Raises:
            DecodeError: ``sip.header.via``, when a name or value is none.
        """
        return self.parse(f"{self._front()}{self.params.updated(params)}")

    def without_param(self, *names: str) -> Self:
        """This but for the parameters ``names``."""
        return self.parse(f"{self._front()}{self.params.without(*names)}")

    def _front(self) -> str:
        return self.text[: len(self.text) - len(self.parameters)]
