"""URIs: ``sip:`` and ``sips:`` (RFC 3261 section 19.1), ``tel:`` (RFC 3966), and any other.

:func:`parse_uri` takes whatever may stand in a Request-URI or between angle brackets. A URI keeps
its text: ``str(uri)`` is what was parsed, to the letter. Percent-escapes stay as written in
``user``, ``password`` and parameter values; :func:`unescape` and ``username`` decode them, ``%00``
included.

Accepted beyond the grammar of section 25.1, because it is met in the field and means one thing
only: an unescaped ``#`` in the user part (dialled service codes); ``=`` in the value and nothing at
all in the place of a parameter; unescaped reserved characters in the value of a header component;
the host names of :mod:`trunkline.sip.host`.

Left out: the matching rules of section 20 for each header field, of which comparison by section
19.1.4 would make use: header components are compared as text, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final, Literal, NoReturn, Self, TypeAlias
from urllib.parse import quote, unquote

from trunkline.errors import DecodeError
from trunkline.sip.host import HOST, IPAddress, bracketed, parse_host, parse_port
from trunkline.sip.params import UriParams

__all__ = ["AnyUri", "OtherUri", "TelUri", "Uri", "escape_user", "parse_uri", "unescape"]

# Character classes named as in RFC 3261 section 25.1. "%" is let in everywhere and what follows it
# is looked at once for the whole URI, which keeps every expression below linear.
_ALPHANUM = "A-Za-z0-9"
# mark            =  "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
_MARK = r"\-_.!~*'()"
# unreserved      =  alphanum / mark
_UNRESERVED = _ALPHANUM + _MARK
# user-unreserved =  "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
_USER_UNRESERVED = r"&=+$,;?/"
# param-unreserved = "[" / "]" / "/" / ":" / "&" / "+" / "$"
_PARAM_UNRESERVED = r"\[\]/:&+$"
# hnv-unreserved  =  "[" / "]" / "/" / "?" / ":" / "+" / "$"
_HNV_UNRESERVED = r"\[\]/?:+$"

# user            =  1*( unreserved / escaped / user-unreserved ), and "#"
_USER = rf"[{_UNRESERVED}%{_USER_UNRESERVED}#]+"
# password        =  *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
_PASSWORD = rf"[{_UNRESERVED}%&=+$,]*"
# uri-parameters  =  *( ";" pname [ "=" pvalue ] )
_URI_PARAMETERS = rf";[{_UNRESERVED}%{_PARAM_UNRESERVED};=]*"
# headers         =  "?" hname "=" hvalue *( "&" hname "=" hvalue )
_HEADERS = rf"\?[{_UNRESERVED}%{_HNV_UNRESERVED}=&;@,]*"

# SIP-URI         =  "sip:" [ userinfo ] hostport uri-parameters [ headers ]
_SIP_URI = re.compile(
    rf"([sS][iI][pP][sS]?):(?:({_USER})(?::({_PASSWORD}))?@)?"
    rf"({HOST})(?::([0-9]+))?({_URI_PARAMETERS})?({_HEADERS})?\Z"
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")

# RFC 2396 section 2.2: an escape of one of these is not the same as the character itself.
_RESERVED = frozenset(";/?:@&=+$,")

# scheme          =  ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
# uric            =  reserved / unreserved / escaped; "[" and "]" by RFC 2732
_ABSOLUTE_URI = re.compile(rf"([A-Za-z][A-Za-z0-9+\-.]*):([;/?:@&=+$,{_UNRESERVED}%\[\]]+)\Z")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*):")


class _Keep(Enum):
    """What ``evolve`` leaves alone; None removes."""

    KEEP = "keep"


_KEEP: Final = _Keep.KEEP
_Kept: TypeAlias = Literal[_Keep.KEEP]


def unescape(text: str) -> str:
    """``text`` without percent-escapes, decoded as UTF-8; other octets become lone surrogates."""
    return unquote(text, errors="surrogateescape") if "%" in text else text


def escape_user(text: str) -> str:
    """``text`` as the user part of a URI: what may not stand there becomes percent-escapes."""
    return quote(text, safe="!~*'()&=+$,;?/", errors="surrogateescape")


def _comparable(text: str) -> str:
    """``text`` with every escape decoded that means the same as its character (19.1.4)."""
    if "%" not in text:
        return text

    def decoded(escape: re.Match[str]) -> str:
        character = chr(int(escape[1], 16))
        # "%25" stays, or "%253B" would become equal to "%3B".
        return escape[0].upper() if character in _RESERVED or character == "%" else character

    return _ESCAPE.sub(decoded, text)


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP or SIPS URI. Made by :meth:`parse` or :meth:`build`, changed by :meth:`evolve`.

    ``==`` compares the text; :meth:`equivalent` compares as section 19.1.4 does.
    """

    text: str
    """As it was parsed."""
    scheme: str = field(compare=False, repr=False)
    """``"sip"`` or ``"sips"``."""
    user: str | None = field(compare=False, repr=False)
    """As written; None without a userinfo. May be a telephone-subscriber with its parameters."""
    password: str | None = field(compare=False, repr=False)
    """As written; None when there is no colon."""
    host: str = field(compare=False, repr=False)
    """In lower case, an IPv6 address without brackets. :attr:`hostport` has it as written."""
    port: int | None = field(compare=False, repr=False)
    """None when not given, which is not the same as the default port (19.1.4)."""
    address: IPAddress | None = field(compare=False, repr=False)
    """The host, when it is an IP literal."""
    hostport: str = field(compare=False, repr=False)
    """Host and port as written."""
    parameters: str = field(compare=False, repr=False)
    """The text of the parameters, from the first semicolon on; empty without."""
    headers_text: str = field(compare=False, repr=False)
    """The text of the header components, from the question mark on; empty without."""
    _params: UriParams | None = field(default=None, init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a SIP or SIPS URI.

        Raises:
            DecodeError: ``sip.uri.scheme``, ``.user``, ``.host``, ``.port``, ``.parameter``,
                ``.header`` or ``.escape``, by the component that is wrong.
        """
        match = _SIP_URI.match(text)
        if match is None:
            _refuse(text)
        if "%" in text:
            _check_escapes(text)
        scheme, user, password, host, port, parameters, headers = match.groups()
        name, address = parse_host(host)
        if port is None:
            number, hostport = None, host
        else:
            number, hostport = parse_port(port), f"{host}:{port}"
        return cls(
            text,
            scheme.lower(),
            user,
            password,
            name,
            number,
            address,
            hostport,
            parameters or "",
            headers or "",
        )

    @classmethod
    def build(
        cls,
        host: str,
        *,
        user: str | None = None,
        port: int | None = None,
        params: Mapping[str, str | None] | None = None,
        scheme: str = "sip",
    ) -> Self:
        """A new URI. ``user`` and values as they are to be written: see :func:`escape_user`.

        Raises:
            DecodeError: as :meth:`parse`, when the parts do not make a URI.
        """
        return cls._of(scheme, user, None, host, port, UriParams.of(params or {}), "")

    @classmethod
    def _of(
        cls,
        scheme: str,
        user: str | None,
        password: str | None,
        host: str,
        port: int | None,
        params: UriParams,
        headers: str,
    ) -> Self:
        secret = "" if password is None else f":{password}"
        userinfo = "" if user is None else f"{user}{secret}@"
        number = "" if port is None else f":{port}"
        text = f"{scheme}:{userinfo}{bracketed(host)}{number}{params}{headers}"
        made = cls.parse(text)
        # A delimiter inside a part would have moved the borders between the parts.
        if (
            (made.user, made.password, made.port) != (user, password, port)
            or made.params.pairs != params.pairs
            or made.headers_text != headers
        ):
            raise DecodeError("sip.uri.escape", f"{text!r}: escape the delimiters in its parts")
        return made

    def __str__(self) -> str:
        return self.text

    @property
    def secure(self) -> bool:
        """Whether it is a SIPS URI."""
        return self.scheme == "sips"

    @property
    def username(self) -> str | None:
        """The user part with its escapes decoded."""
        return None if self.user is None else unescape(self.user)

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address."""
        return self.address is not None

    @property
    def params(self) -> UriParams:
        """The URI parameters, values as written."""
        params = self._params
        if params is None:
            params = UriParams.parse(self.parameters)
            object.__setattr__(self, "_params", params)
        return params

    @property
    def transport(self) -> str | None:
        """The parameter ``transport`` in lower case."""
        value = self.params.get("transport")
        return None if value is None else value.lower()

    @property
    def maddr(self) -> str | None:
        """The parameter ``maddr``, as written."""
        return self.params.get("maddr")

    @property
    def loose(self) -> bool:
        """Whether the parameter ``lr`` is there: the element routes by RFC 3261, not RFC 2543."""
        return "lr" in self.params

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header components, names and values with their escapes decoded, in order."""
        pairs = (part.partition("=") for part in self.headers_text[1:].split("&") if part)
        return tuple((unescape(name), unescape(value)) for name, _, value in pairs)

    def evolve(
        self,
        *,
        scheme: str | None = None,
        user: str | _Kept | None = _KEEP,
        password: str | _Kept | None = _KEEP,
        host: str | None = None,
        port: int | _Kept | None = _KEEP,
        params: Mapping[str, str | None] | None = None,
        headers: str | None = None,
    ) -> Self:
        """A URI with other parts; None removes user, password or port, and keeps the others.

        ``params`` and ``headers`` (text, with its question mark) replace all there were; ``user``
        without ``password`` keeps the password, but removing the user removes it too.

        Raises:
            DecodeError: as :meth:`parse`, when the parts do not make a URI.
        """
        if user is None:
            password = None
        if host is None:
            host = self.hostport if self.port is None else self.hostport.rpartition(":")[0]
        return self._of(
            self.text.partition(":")[0] if scheme is None else scheme,
            self.user if user is _KEEP else user,
            self.password if password is _KEEP else password,
            host,
            self.port if port is _KEEP else port,
            self.params if params is None else UriParams.of(params),
            self.headers_text if headers is None else headers,
        )

    def with_params(self, params: Mapping[str, str | None]) -> Self:
        """This with ``params`` set: in place where the name is there, else at the end."""
        return self.evolve(params=self.params.updated(params))

    def without_param(self, *names: str) -> Self:
        """This but for the parameters ``names``."""
        return self.evolve(params=self.params.without(*names))

    def equivalent(self, other: AnyUri) -> bool:
        """Whether both identify the same resource by section 19.1.4. Not transitive."""
        return (
            isinstance(other, Uri)
            and self.scheme == other.scheme
            and self.port == other.port
            and self._same_host(other)
            and _same(self.user, other.user)
            and _same(self.password, other.password)
            and self._same_params(other)
            and self._comparable_headers() == other._comparable_headers()
        )

    def _same_host(self, other: Uri) -> bool:
        # Literals are compared as addresses: RFC 5954 section 4.2.
        if self.address is not None:
            return self.address == other.address
        return self.host == other.host

    def _same_params(self, other: Uri) -> bool:
        ours, theirs = self.params, other.params
        for name in ours.keys() | theirs.keys():
            if name in ours and name in theirs:
                if not _same(ours[name], theirs[name], fold=True):
                    return False
            elif name in _NEVER_IGNORED:
                return False
        return True

    def _comparable_headers(self) -> list[str]:
        return sorted(
            _comparable(part).lower() for part in self.headers_text[1:].split("&") if part
        )

    def to_tel(self) -> TelUri:
        """The number that the user part is (section 19.1.6).

        Raises:
            DecodeError: ``sip.uri.number``, when it is none.
        """
        return TelUri.parse(f"tel:{self.user or ''}")


# 19.1.4: "user, ttl, or method", "maddr", and by the paragraph on defaults "transport".
_NEVER_IGNORED = frozenset(("transport", "user", "ttl", "method", "maddr"))


def _same(ours: str | None, theirs: str | None, *, fold: bool = False) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    if fold:
        return _comparable(ours).lower() == _comparable(theirs).lower()
    return ours == theirs or _comparable(ours) == _comparable(theirs)


def _check_escapes(text: str) -> None:
    if wrong := _BAD_ESCAPE.search(text):
        raise DecodeError(
            "sip.uri.escape",
            f"{_shown(text)}: '%' at column {wrong.start()} needs two hexadecimal digits after it",
            offset=wrong.start(),
        )


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:100]!r}…"


_USERINFO = re.compile(rf"({_USER})(?::({_PASSWORD}))?@")
_HOSTPORT = re.compile(rf"({HOST})(?::([0-9]+))?")


def _refuse(text: str) -> NoReturn:
    """Which component of ``text`` keeps it from being a SIP or SIPS URI."""

    def refuse(code: str, at: int, what: str) -> NoReturn:
        raise DecodeError(code, f"{_shown(text)}: {what}, column {at}", offset=at)

    scheme = _SCHEME.match(text)
    if scheme is None:
        refuse("sip.uri.scheme", 0, "a URI begins with a scheme and a colon")
    if scheme[1].lower() not in ("sip", "sips"):
        refuse("sip.uri.scheme", 0, "neither a sip nor a sips URI")
    at = scheme.end()
    if userinfo := _USERINFO.match(text, at):
        at = userinfo.end()
    elif (sign := text.find("@", at)) >= 0:
        refuse(
            "sip.uri.user",
            at,
            f"{_shown(text[at:sign])} is no user: escape what may not stand there",
        )
    if (hostport := _HOSTPORT.match(text, at)) is None:
        refuse(
            "sip.uri.host",
            at,
            "a host is missing: a domain name, an IPv4 or a bracketed IPv6 address",
        )
    end = hostport.end()
    if text.startswith(":", end):
        refuse("sip.uri.port", end, "a port is digits; an IPv6 address stands in brackets")
    parse_host(hostport[1])
    mark = text.find("?", end)
    if text.startswith(";", end) and (
        mark < 0 or not re.match(_URI_PARAMETERS + r"\?", text[end:])
    ):
        refuse("sip.uri.parameter", end, "a character that a parameter does not allow: escape it")
    if mark >= 0 and text[end : end + 1] in (";", "?"):
        refuse(
            "sip.uri.header", mark, "a character that a header component does not allow: escape it"
        )
    refuse("sip.uri.host", end, f"{_shown(text[end:])} after the host")


# RFC 3966 section 3. phonedigit = DIGIT / visual-separator; the first form is a global number.
_VISUAL_SEPARATOR = r"\-.()"
_NUMBER = re.compile(
    rf"(?:\+[0-9{_VISUAL_SEPARATOR}]*[0-9][{_VISUAL_SEPARATOR}]*"
    rf"|[0-9A-Fa-f*#{_VISUAL_SEPARATOR}]*[0-9A-Fa-f*#][{_VISUAL_SEPARATOR}]*)\Z"
)
_SEPARATORS = str.maketrans("", "", "-.()")
# pname = 1*( alphanum / "-" ); pvalue = 1*paramchar, of isub 1*uric
_PAR = re.compile(
    rf"(?:;[A-Za-z0-9\-]+(?:=[{_UNRESERVED}%{_PARAM_UNRESERVED}?@,]+)?)*\Z",
)


@dataclass(frozen=True, slots=True)
class TelUri:
    """A telephone number (RFC 3966). Made by :meth:`parse`; ``==`` compares the text."""

    text: str
    """As it was parsed."""
    number: str = field(compare=False, repr=False)
    """As written, with its visual separators, and the plus of a global number."""
    params: UriParams = field(compare=False, repr=False)
    """Values as written."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a tel URI. A local number without its context is accepted: phones send them.

        Raises:
            DecodeError: ``sip.uri.scheme``, ``sip.uri.number``, ``sip.uri.parameter`` or
                ``sip.uri.escape``.
        """
        if text[:4].lower() != "tel:":
            raise DecodeError("sip.uri.scheme", f"{_shown(text)}: not a tel URI")
        number, semicolon, parameters = text[4:].partition(";")
        if _NUMBER.match(number) is None:
            raise DecodeError(
                "sip.uri.number",
                f"{_shown(text)}: {_shown(number)} is no telephone number: digits, with '+' in "
                "front when it is a global one",
                offset=4,
            )
        _check_escapes(text)
        if _PAR.match(semicolon + parameters) is None:
            raise DecodeError(
                "sip.uri.parameter",
                f"{_shown(text)}: wrong parameters: ';' name, or ';' name '=' value",
                offset=4 + len(number),
            )
        return cls(text, number, UriParams.parse(parameters))

    def __str__(self) -> str:
        return self.text

    @property
    def scheme(self) -> str:
        """``"tel"``."""
        return "tel"

    @property
    def username(self) -> str:
        """Whom it names: the digits."""
        return self.digits

    @property
    def host(self) -> None:
        """A number has none."""
        return None

    @property
    def digits(self) -> str:
        """The number without visual separators (5.1.1), in lower case; the plus stays."""
        return self.number.translate(_SEPARATORS).lower()

    @property
    def is_global(self) -> bool:
        """Whether the number is one of E.164 (5.1.4)."""
        return self.number.startswith("+")

    @property
    def context(self) -> str | None:
        """The phone-context that a local number is unique in (5.1.5): a domain or a prefix."""
        return self.params.get("phone-context")

    def equivalent(self, other: AnyUri) -> bool:
        """Whether both are the same number by RFC 3966 section 4."""
        return (
            isinstance(other, TelUri)
            and self.digits == other.digits
            and _comparable_par(self.params) == _comparable_par(other.params)
        )

    def to_sip(self, host: str, *, scheme: str = "sip") -> Uri:
        """The number at a gateway (RFC 3261 section 19.1.6), ``user=phone``.

        Folded to lower case and ordered as that section asks for, so that equivalent numbers make
        equivalent URIs.
        """
        first = {"isub": 0, "postd": 1, "ext": 2, "phone-context": 3}  # RFC 3966 section 3
        pairs = sorted(
            ((name.lower(), value) for name, value in self.params.pairs),
            key=lambda pair: (first.get(pair[0], 4), pair[0]),
        )
        lower = UriParams((name, None if value is None else value.lower()) for name, value in pairs)
        user = escape_user(f"{self.number.lower()}{lower}")
        return Uri.build(
            host, user=user.replace("%25", "%"), params={"user": "phone"}, scheme=scheme
        )


def _comparable_par(params: UriParams) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, value in params.items():
        if value is not None:
            value = _comparable(value).lower()
            if name == "ext" or (name == "phone-context" and value.startswith("+")):
                value = value.translate(_SEPARATORS)
        found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of any other scheme: what a proxy may have to name, and answers with 416."""

    text: str
    """As it was parsed."""
    scheme: str = field(compare=False, repr=False)
    """In lower case."""
    opaque: str = field(compare=False, repr=False)
    """What follows the colon of the scheme."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as an absoluteURI (RFC 3261 section 25.1).

        Raises:
            DecodeError: ``sip.uri.scheme``, ``sip.uri.opaque`` or ``sip.uri.escape``.
        """
        match = _ABSOLUTE_URI.match(text)
        if match is None:
            if _SCHEME.match(text) is None:
                raise DecodeError(
                    "sip.uri.scheme", f"{_shown(text)}: a URI begins with a scheme and a colon"
                )
            raise DecodeError(
                "sip.uri.opaque",
                f"{_shown(text)}: nothing, or a character to escape, after the scheme",
            )
        _check_escapes(text)
        return cls(text, match[1].lower(), match[2])

    def __str__(self) -> str:
        return self.text

    @property
    def username(self) -> None:
        """Not known: what its parts mean is its scheme's."""
        return None

    @property
    def host(self) -> None:
        """Not known, like the user."""
        return None

    def equivalent(self, other: AnyUri) -> bool:
        """Whether both are the same text but for the case of the scheme (RFC 2396 section 6)."""
        return (
            isinstance(other, OtherUri)
            and self.scheme == other.scheme
            and _same(self.opaque, other.opaque)
        )


AnyUri: TypeAlias = Uri | TelUri | OtherUri


def parse_uri(text: str) -> AnyUri:
    """``text`` as the URI of its scheme.

    The last 2048 that were asked for are remembered, those of at most 256 characters: one request's
    URI is asked for at every step of its way.

    Raises:
        DecodeError: ``sip.uri.…``, as the ``parse`` of the three classes.
    """
    return _remembered(text) if len(text) <= 256 else _parse_uri(text)


def _parse_uri(text: str) -> AnyUri:
    scheme = text[:5].lower()
    if scheme.startswith(("sip:", "sips:")):
        return Uri.parse(text)
    if scheme.startswith("tel:"):
        return TelUri.parse(text)
    return OtherUri.parse(text)


_remembered = lru_cache(maxsize=2048)(_parse_uri)
