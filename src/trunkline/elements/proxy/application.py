"""What a script's handlers share: the node's name and settings, its log, requests of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar, overload

from trunkline.elements.proxy.destinations import DestinationSet
from trunkline.elements.proxy.dialplan import LiveDialplan
from trunkline.elements.proxy.pending import awaited
from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip import digest
from trunkline.sip.headers import NameAddr
from trunkline.sip.message import Response
from trunkline.sip.proxy.identity import route_uri
from trunkline.sip.uri import Uri, parse_uri
from trunkline.sip.validity import METHODS
from trunkline.store.keyvalue import KeyValue
from trunkline.store.location import Count

if TYPE_CHECKING:
    from trunkline.elements.proxy.element import ProxyElement
    from trunkline.store.sql import Sql  # SQLAlchemy is heavy

__all__ = ["Application", "Setting"]

_T = TypeVar("_T")
_KINDS: Final[Mapping[type[object], str]] = {
    str: 'a text, "…"',
    int: "a whole number",
    float: "a number with a point",
    bool: "true or false",
    list: "a list, […]",
    dict: "a table",
}

_MADE: Final = frozenset(
    {
        *("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq"),
        *("max-forwards", "content-length", "l"),
    }
)
"""Rows of a request of our own that the proxy writes."""

Setting = object
"""A value of the script's own settings: whatever TOML has."""


class Application:
    """What a script can reach from everywhere: in a handler it is ``request.app``."""

    def __init__(self, element: ProxyElement, name: str, settings: Mapping[str, Setting]) -> None:
        self._element = element
        self.name = name
        """The node's name."""
        self.settings = settings
        """The table ``settings`` of the node in its network file."""
        self.state: dict[str, object] = {}
        """The script's own, for as long as the process lives: a reload leaves it alone."""

    @property
    def domains(self) -> frozenset[str]:
        """The domains that the node is responsible for, in lower case."""
        return self._element.identity.domains

    @overload
    def setting(self, name: str) -> str: ...
    @overload
    def setting(self, name: str, kind: type[_T]) -> _T: ...
    def setting(self, name: str, kind: type[object] = str) -> object:
        """The value of a setting, which is of this ``kind``: text, or say ``int``.

        Raises:
            TrunklineError: ``script.setting``: it is not there, or something else.
        """
        value = self.settings.get(name)
        if type(value) is not kind:
            said = "is missing" if name not in self.settings else f"is {value!r}"
            raise TrunklineError(
                "script.setting",
                f"the setting {name!r} {said}: write {name} = … ({_KINDS.get(kind, 'a value')})"
                f" into [node.{self.name}.proxy.settings]",
            )
        return value

    def log(self, text: str, *, severity: int = 6) -> None:
        """Write a line to the node's log; ``severity`` as in syslog, 0 to 7."""
        self._element.log("SCRIPT", severity, "LOG", text)

    def now(self) -> float:
        """The time by the element's clock, in seconds; in a test it is the virtual one."""
        return self._element.now()

    def redis(self, name: str) -> KeyValue:
        """The store called ``name`` in the node's table ``redis``.

        Raises:
            TrunklineError: ``script.no-store``: there is none of that name.
        """
        write = f'{name} = "redis://HOST:PORT" into [node.{self.name}.proxy.redis]'
        return _named(self._element.services.redis, name, "script.no-store", "redis store", write)

    def sql(self, name: str) -> Sql:
        """The database called ``name`` in the node's table ``sql``.

        Raises:
            TrunklineError: ``script.no-store``: there is none of that name.
        """
        write = f'{name} = "sqlite:///FILE" into [node.{self.name}.proxy.sql]'
        return _named(self._element.services.sql, name, "script.no-store", "database", write)

    def dialplan(self, name: str) -> LiveDialplan:
        """The dialplan called ``name`` in the node's table ``dialplans``.

        Raises:
            TrunklineError: ``script.no-dialplan``: there is none of that name.
        """
        write = f'{name} = "FILE.csv" into [node.{self.name}.proxy.dialplans]'
        plans = self._element.services.dialplans
        return _named(plans, name, "script.no-dialplan", "dialplan", write)

    def destinations(self, name: str) -> DestinationSet:
        """The set of servers called ``name`` in the node's table ``destinations``: for ``via``.

        Iterate over it for its members: ``uri``, ``state``, ``drained``, ``sent``, ``failed``.

        Raises:
            TrunklineError: ``script.no-destinations``: there is none of that name.
        """
        write = f"a table [node.{self.name}.proxy.destinations.{name}] with its targets"
        sets = self._element.destinations.sets
        return _named(sets, name, "script.no-destinations", "set of destinations", write)

    @awaited("app")
    async def registered(self) -> Count:
        """How many addresses-of-record, and how many contacts, are registered now."""
        return await self._element.services.registrations.location.count()

    @awaited("app")
    async def send_request(
        self,
        method: str,
        uri: str,
        *,
        from_: str | None = None,
        to: str | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | str = b"",
        via: str | DestinationSet | None = None,
        login: tuple[str, str] | None = None,
    ) -> Response:
        """Send a request of our own, outside of any dialog, and return its final response.

        ``from_`` and ``to`` are URIs or ``"Name" <uri>``; without them From is the node, To the
        Request-URI. ``via`` is the URI of a next hop, or a set of destinations. ``login`` is a user
        and a password: a challenge is answered with them where it came from, and the response
        returned is the one after that. What nobody answers gets a 408, what cannot be sent a 503,
        both made here.

        Raises:
            TrunklineError: ``script.uri``: an address is none; ``script.method``: INVITE and ACK
                need a dialog, CANCEL a request; ``script.row``: a row of ``headers`` is one that is
                made here.
        """
        if method.upper() in METHODS:
            method = method.upper()
        rows = [*(headers.items() if isinstance(headers, Mapping) else headers)]
        for name, _ in rows:
            if name.lower() in _MADE:
                raise TrunklineError(
                    "script.row",
                    f"headers: {name} is made here; from_, to and body say what is in such rows",
                )
        if method in ("INVITE", "ACK", "CANCEL"):
            raise TrunklineError(
                "script.method", f"{method} is not a request by itself: use a user agent"
            )
        element = self._element
        target = _address(uri, "uri")
        if isinstance(via, str):
            _address(via, "via")
        octets = body.encode() if isinstance(body, str) else body
        request = element.own.build(
            method,
            route_uri(target),
            rows,
            octets,
            sender=None if from_ is None else _address(from_, "from_"),
            recipient=target if to is None else _address(to, "to"),
        )
        response, flow = await element.own.send(request, via)
        if login is not None and flow is not None and response.status in (401, 407):
            client = digest.Client(lambda realm: digest.Login(*login))
            client.challenged(
                response.headers.all("WWW-Authenticate"), response.headers.all("Proxy-Authenticate")
            )
            credentials = client.rows(method, request.uri, element.proxy.tag(), octets)
            if credentials:
                request.headers.set("CSeq", f"2 {method}")  # RFC 3261 section 22.2
                for name, value in credentials:
                    request.headers.add(name, value)
                response = await element.own.send_again(request, flow)
        return response

    @awaited("app")
    async def sleep(self, seconds: float) -> None:
        """Wait; in a test it is the virtual time that passes."""
        await asyncio.sleep(seconds)


def _address(text: str, what: str) -> str:
    """Check an address; return it as From and To have it.

    ``sip:Annoyatron 2000`` is no URI, since a URI has no blanks; a name stands before the URI.
    """
    uri = route_uri(text)
    try:
        parse_uri(uri)
    except DecodeError as problem:
        hint = ""
        scheme, colon, rest = uri.partition(":")
        if colon and " " in rest.strip():
            user = "".join(c for c in rest if c.isalnum()).lower()
            hint = f'; if that is a name, write "{rest}" <{scheme}:{user}@example.org>'
        raise TrunklineError(
            "script.uri", f"{what}={text!r} is no address: {problem.message}{hint}"
        ) from problem
    value = text if "<" in text else f"<{text}>"
    try:
        address = NameAddr.parse(value)
        named = address.uri
    except DecodeError as problem:
        raise TrunklineError(
            "script.uri", f"{what}={text!r} is no address: {problem.message}"
        ) from problem
    # RFC 3261 section 19.1.1, table 1; a tag is of a dialog, or made here
    if isinstance(named, Uri) and named.headers_text:
        value = value.replace(named.headers_text, "", 1)
    if address.tag is not None:
        value = f"{value[: value.rindex('>') + 1]}{address.params.without('tag')}"
    return value


def _named(things: Mapping[str, _T], name: str, code: str, what: str, write: str) -> _T:
    """Look up what a table of the node names; an error says what there is and what to write."""
    found = things.get(name)
    if found is None:
        known = ", ".join(things) or "none"
        raise TrunklineError(code, f"no {what} {name!r}; there are: {known}. Write {write}")
    return found
