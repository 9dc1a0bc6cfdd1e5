"""The values of WWW-Authenticate, Authorization, Authentication-Info and their Proxy- siblings.

Grammar: RFC 3261 section 25.1 (challenge, credentials, ainfo) with RFC 8760 section 2.7 and the
parameters of RFC 3310. Writing follows the rules on quotation marks of RFC 7616 sections 3.3 to
3.5; reading takes any parameter with or without them, since clients mix them up.

One header row holds one challenge or one set of credentials: RFC 3261 section 7.3.1 forbids to join
them by commas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.digest.algorithm import Algorithm

__all__ = ["AuthenticationInfo", "Challenge", "Credentials", "scheme_of"]

_TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"  # token, RFC 3261 section 25.1
_SCHEME: Final = re.compile(rf"\s*({_TOKEN})\s+")
_PARAMETER: Final = re.compile(
    rf"[\s,]*({_TOKEN})\s*="  # auth-param-name EQUAL
    # quoted-string, or what stands there without quotes, if anything
    r'(?:\s*"((?:[^"\\]|\\.)*)"|\s*([^\s",]+)|)'
    r"\s*(?=,|\Z)",
    re.DOTALL,
)
_WHOLE_TOKEN: Final = re.compile(rf"{_TOKEN}\Z")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_ESCAPE: Final = re.compile(r'(["\\])')


def scheme_of(value: str) -> str:
    """The authentication scheme of a header value in lower case; empty if there is none."""
    match = _SCHEME.match(value)
    return match[1].lower() if match else ""


def _quoted(text: str) -> str:
    return '"' + _NEEDS_ESCAPE.sub(r"\\\1", text) + '"'


def _parameters(text: str, start: int) -> dict[str, str]:
    """Parameters from ``start`` on, names in lower case. Raises ``sip.digest-syntax``."""
    found: dict[str, str] = {}
    at = start
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            if not text[at:].strip(" \t\r\n,"):
                break
            raise DecodeError(
                "sip.digest-syntax",
                f'{text[at : at + 40]!r} is no name=value or name="value"',
                offset=at,
            )
        name = match[1].lower()
        if name in found:
            raise DecodeError("sip.digest-syntax", f"{name} stands there twice", offset=at)
        quoted = match[2]
        found[name] = (match[3] or "") if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = match.end()
    return found


def _digest(value: str) -> dict[str, str]:
    """The parameters of a value with the scheme Digest. Raises ``sip.digest-syntax``."""
    match = _SCHEME.match(value)
    if match is None or match[1].lower() != "digest":
        raise DecodeError("sip.digest-syntax", f"{value[:40]!r} does not begin with Digest")
    return _parameters(value, match.end())


def _need(parameters: dict[str, str], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in parameters:
            raise DecodeError("sip.digest-syntax", f"the parameter {name} is missing")


def _take_token(parameters: dict[str, str], name: str) -> str:
    """The value of a parameter that is written without quotation marks; empty if absent."""
    value = parameters.pop(name, "")
    if value and _WHOLE_TOKEN.match(value) is None:
        raise DecodeError("sip.digest-syntax", f"{name}={value[:40]!r}: that is one token")
    return value


def _tokens(text: str) -> tuple[str, ...]:
    parts = (part.strip().lower() for part in text.split(","))
    return tuple(part for part in parts if _WHOLE_TOKEN.match(part))


@dataclass(frozen=True, slots=True)
class Challenge:
    """The value of WWW-Authenticate or Proxy-Authenticate with the scheme Digest."""

    realm: str
    nonce: str
    algorithm: str = ""
    """As written; empty where the parameter is absent, which means MD5."""
    qop: tuple[str, ...] = ()
    """The qualities offered, lower case; empty where the parameter is absent."""
    opaque: str | None = None
    stale: bool = False
    others: Mapping[str, str] = field(default_factory=dict)
    """What else stands there (``domain``, ``ck``, ``ik``, …): name in lower case, value."""

    @classmethod
    def parse(cls, value: str) -> Challenge:
        """Raises :class:`DecodeError` ``sip.digest-syntax``."""
        parameters = _digest(value)
        _need(parameters, ("realm", "nonce"))
        return cls(
            realm=parameters.pop("realm"),
            nonce=parameters.pop("nonce"),
            algorithm=_take_token(parameters, "algorithm"),
            qop=_tokens(parameters.pop("qop", "")),
            opaque=parameters.pop("opaque", None),
            stale=parameters.pop("stale", "").lower() == "true",
            others=parameters,
        )

    def __str__(self) -> str:
        parts = [f"realm={_quoted(self.realm)}", f"nonce={_quoted(self.nonce)}"]
        if self.opaque is not None:
            parts.append(f"opaque={_quoted(self.opaque)}")
        if self.algorithm:
            parts.append(f"algorithm={self.algorithm}")
        if self.qop:
            parts.append(f'qop="{",".join(self.qop)}"')
        if self.stale:
            parts.append("stale=true")
        parts += [f"{name}={_quoted(value)}" for name, value in self.others.items()]
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The value of Authorization or Proxy-Authorization with the scheme Digest."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = ""
    cnonce: str = ""
    opaque: str | None = None
    qop: str = ""
    nc: str = ""
    auts: str | None = None
    """Base64 of AUTS: the client asks to synchronize its sequence number (RFC 3310 3.4)."""
    others: Mapping[str, str] = field(default_factory=dict)
    """What else stands there (``integrity-protected``, …): name in lower case, value."""

    @classmethod
    def parse(cls, value: str) -> Credentials:
        """Raises :class:`DecodeError` ``sip.digest-syntax``."""
        parameters = _digest(value)
        _need(parameters, ("username", "realm", "nonce", "uri", "response"))
        return cls(
            username=parameters.pop("username"),
            realm=parameters.pop("realm"),
            nonce=parameters.pop("nonce"),
            uri=parameters.pop("uri"),
            response=parameters.pop("response"),
            algorithm=_take_token(parameters, "algorithm"),
            cnonce=parameters.pop("cnonce", ""),
            opaque=parameters.pop("opaque", None),
            qop=_take_token(parameters, "qop").lower(),
            nc=_take_token(parameters, "nc"),
            auts=parameters.pop("auts", None),
            others=parameters,
        )

    def __str__(self) -> str:
        quoted = ("username", "realm", "nonce", "uri", "response")
        parts = [f"{name}={_quoted(getattr(self, name))}" for name in quoted]
        if self.algorithm:
            parts.append(f"algorithm={self.algorithm}")
        if self.cnonce:
            parts.append(f"cnonce={_quoted(self.cnonce)}")
        if self.opaque is not None:
            parts.append(f"opaque={_quoted(self.opaque)}")
        if self.qop:
            parts.append(f"qop={self.qop}")
        if self.nc:
            parts.append(f"nc={self.nc}")
        if self.auts is not None:
            parts.append(f"auts={_quoted(self.auts)}")
        parts += [f"{name}={_quoted(value)}" for name, value in self.others.items()]
        return "Digest " + ", ".join(parts)

    @property
    def count(self) -> int | None:
        """The nonce count, or ``None`` where ``nc`` is not eight hexadecimal digits, or 0."""
        if len(self.nc) != 8 or not _HEX.issuperset(self.nc):
            return None
        return int(self.nc, 16) or None

    def answers(self, challenge: Challenge) -> bool:
        """Whether these credentials belong to ``challenge``."""
        return (
            self.realm == challenge.realm
            and self.nonce == challenge.nonce
            and Algorithm.named(self.algorithm) == Algorithm.named(challenge.algorithm)
        )


_HEX: Final = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class AuthenticationInfo:
    """The value of Authentication-Info or Proxy-Authentication-Info (RFC 7616 section 3.5)."""

    nextnonce: str = ""
    qop: str = ""
    rspauth: str = ""
    cnonce: str = ""
    nc: str = ""

    @classmethod
    def parse(cls, value: str) -> AuthenticationInfo:
        """Raises :class:`DecodeError` ``sip.digest-syntax``."""
        parameters = _parameters(value, 0)
        return cls(
            nextnonce=parameters.get("nextnonce", ""),
            qop=_take_token(parameters, "qop").lower(),
            rspauth=parameters.get("rspauth", ""),
            cnonce=parameters.get("cnonce", ""),
            nc=_take_token(parameters, "nc"),
        )

    def __str__(self) -> str:
        parts = [f"nextnonce={_quoted(self.nextnonce)}"] if self.nextnonce else []
        if self.qop:
            parts.append(f"qop={self.qop}")
        if self.rspauth:
            parts.append(f"rspauth={_quoted(self.rspauth)}")
        if self.cnonce:
            parts.append(f"cnonce={_quoted(self.cnonce)}")
        if self.nc:
            parts.append(f"nc={self.nc}")
        return ", ".join(parts)
