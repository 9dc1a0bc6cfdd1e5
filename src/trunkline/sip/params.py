"""Parameters of URIs and header fields: ordered mappings that keep what they were given.

RFC 3261 section 7.3.1 and 19.1.1: names are case-insensitive, the order of no importance, a name
may stand once. Of a name that stands twice, the first counts and both are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self
from urllib.parse import unquote as _unquote

from trunkline.errors import DecodeError

__all__ = ["PARAMS", "QUOTED", "TOKEN", "HeaderParams", "Params", "UriParams"]

# token         =  1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"
# quoted-string =  SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE; a quoted-pair has no CR or LF
QUOTED: Final = r'"[^"\\\r\n]*(?:\\[^\r\n][^"\\\r\n]*)*"'
# gen-value     =  token / host / quoted-string; and what base64 and a bare address need
_VALUE: Final = r"[A-Za-z0-9\-.!%*_+`'~\[\]:/=@&$#|^{}]+"
# *( SEMI generic-param ), generic-param = token [ EQUAL gen-value ]
PARAMS: Final = rf"(?:[ \t]*;[ \t]*{TOKEN}(?:[ \t]*=[ \t]*(?:{_VALUE}|{QUOTED}))?)*[ \t]*"

_PARAM = re.compile(rf";[ \t]*({TOKEN})(?:[ \t]*=[ \t]*({_VALUE}|{QUOTED}))?[ \t]*")
_ALL = re.compile(rf"{PARAMS}\Z")
_PLAIN = re.compile(rf"(?:{TOKEN}|\[?[0-9A-Fa-f:.]+\]?)\Z")  # a token, or an IPv6 address
_QUOTED = re.compile(rf"{QUOTED}\Z")
_PAIR = re.compile(r"\\(.)", re.DOTALL)


class Params(Mapping[str, str | None]):
    """Parameter names to values; None is a name without a value, as in ``;lr``.

    Names are found in any case and iterated in lower case; ``pairs`` has them as written.
    Immutable.
    """

    __slots__ = ("_found", "pairs")

    pairs: tuple[tuple[str, str | None], ...]
    """Every parameter as written, doubled ones included."""

    def __init__(self, pairs: Iterable[tuple[str, str | None]] = ()) -> None:
        self.pairs = tuple(pairs)
        found: dict[str, str | None] = {}
        for name, value in self.pairs:
            found.setdefault(self._key(name), value)
        self._found = found

    @staticmethod
    def _key(name: str) -> str:
        """What ``name`` is found by."""
        return name.lower()

    @staticmethod
    def _read(written: str) -> str:
        """What ``written`` means."""
        return written

    @staticmethod
    def _write(value: str) -> str:
        """How to write ``value``."""
        return value

    def __getitem__(self, name: str) -> str | None:
        value = self._found[name.lower()]
        return None if value is None else self._read(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __str__(self) -> str:
        """The parameters as they stand in a message, each with its semicolon."""
        return "".join(
            [f";{name}" if value is None else f";{name}={value}" for name, value in self.pairs]
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.pairs)!r})"

    @classmethod
    def of(cls, values: Mapping[str, str | None]) -> Self:
        """Parameters that mean ``values``, written as they have to be."""
        if isinstance(values, cls):
            return values
        return cls(
            (name, None if value is None else cls._write(value)) for name, value in values.items()
        )

    def updated(self, values: Mapping[str, str | None]) -> Self:
        """These with ``values``: in place where the name is there, at the end where it is new."""
        new = {self._key(name): (name, value) for name, value in self.of(values).pairs}
        pairs: list[tuple[str, str | None]] = []
        seen: set[str] = set()
        for name, value in self.pairs:
            key = self._key(name)
            if key not in new:
                pairs.append((name, value))
            elif key not in seen:
                seen.add(key)
                pairs.append((name, new[key][1]))
        pairs.extend(pair for key, pair in new.items() if key not in seen)
        return type(self)(pairs)

    def without(self, *names: str) -> Self:
        """These but for ``names``."""
        gone = {name.lower() for name in names}
        return type(self)(pair for pair in self.pairs if self._key(pair[0]) not in gone)


class UriParams(Params):
    """Parameters of a SIP or tel URI: a name may have escapes, a value keeps them as written."""

    __slots__ = ()

    @staticmethod
    def _key(name: str) -> str:
        return (_unquote(name) if "%" in name else name).lower()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``;name=value;name``. Nothing is refused: the URI's grammar has done that."""
        pairs: list[tuple[str, str | None]] = []
        for part in text.split(";"):
            if part:
                name, equals, value = part.partition("=")
                pairs.append((name, value if equals else None))
        return cls(pairs)


class HeaderParams(Params):
    """Parameters of a header field: values are read without quotes and written with, if need be.

    A value to write that is a quoted-string already is written as it is.
    """

    __slots__ = ()

    @staticmethod
    def _read(written: str) -> str:
        return unquoted(written) if written[:1] == '"' else written

    @staticmethod
    def _write(value: str) -> str:
        return value if _PLAIN.match(value) or _QUOTED.match(value) else quoted(value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """``;name=value;name="a value"``, blanks around the separators.

        Raises:
            DecodeError: ``sip.header.parameter``.
        """
        if _ALL.match(text) is None:
            raise DecodeError(
                "sip.header.parameter",
                f"{text[:80]!r}: parameters are ';' name, or ';' name '=' value",
            )
        return cls.read(text)

    @classmethod
    def read(cls, text: str) -> Self:
        """As :meth:`parse`, of a text that matched :data:`PARAMS`."""
        if '"' in text:
            return cls([(found[1], found[2]) for found in _PARAM.finditer(text)])
        pairs: list[tuple[str, str | None]] = []
        for part in text.split(";"):
            name, equals, value = part.partition("=")
            if name := name.strip(" \t"):
                pairs.append((name, value.strip(" \t") if equals else None))
        return cls(pairs)


def quoted(text: str) -> str:
    """``text`` as a quoted-string.

    Raises:
        DecodeError: ``sip.header.parameter``: CR and LF cannot be quoted (section 25.1).
    """
    if "\r" in text or "\n" in text:
        raise DecodeError("sip.header.parameter", f"{text[:80]!r}: a line break cannot be quoted")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquoted(text: str) -> str:
    """What the quoted-string ``text`` stands for."""
    inner = text[1:-1]
    return _PAIR.sub(r"\1", inner) if "\\" in inner else inner
