"""SIP messages: RFC 3261 section 7, kept as they came.

A message is its start line, its header rows in their order, and its body. Only the rows' names are
read when it arrives; a value is decoded when somebody asks for it, and a row that nobody changed
leaves octet for octet as it came: order, case, folding, compact names and odd blanks included. So,
unlike the messages of the other rooms, these can be changed: a proxy's work is to send on what it
received with a few rows more or less. ``copy`` gives each branch of a fork its own.

Text is UTF-8 with what is not UTF-8 escaped (``surrogateescape``), so that nothing is lost.

What can be told apart as a message is one: faults behind the start line are kept as ``defect``,
because a request that is answered 400 has to be understood so far. `trunkline.sip.validity` says
what a message lacks beyond that. The header fields' grammar is `trunkline.sip.headers`'. Left out:
``multipart`` bodies (`trunkline.sip.multipart`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, overload

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.headers import CSeq, NameAddr, Via
from trunkline.sip.lists import split_list
from trunkline.sip.names import CANONICAL, WRITTEN, canonical
from trunkline.sip.reasons import REASONS

__all__ = ["Headers", "Limits", "Message", "Request", "Response", "Values", "parse"]

_MOST_DIGITS: Final = 10  # of a Content-Length that is believed: int() of a long text is slow

# RFC 3261 section 25.1: token, SIP-Version, Status-Code
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+\Z")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+\Z", re.IGNORECASE)
_STATUS_LINE = re.compile(r"(SIP/[0-9]+\.[0-9]+) ([0-9]{3})(?: ([^\r\n]*))?\Z", re.IGNORECASE)
_STATUS_LINES = {
    f"SIP/2.0 {status} {reason}": ("SIP/2.0", status, reason) for status, reason in REASONS.items()
}
"""Those that are usual, read beforehand."""
_FOLD = re.compile(r"\r\n[ \t]+")  # section 7.3.1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may measure; beyond it, it is refused (``sip.too-large``).

    The head counts in octets, from the start line to the empty line.
    """

    head: int = 65_536
    rows: int = 512
    body: int = 1_048_576


_LIMITS = Limits()
_KNOWN: Final = CANONICAL.keys()

_USUAL: Final = frozenset(("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "MESSAGE"))
"""Methods that need no look to be known as tokens."""

_LENGTHS = {size: str(size) for size in range(1500)}
"""Lengths of bodies as they are written: comparing is cheaper than reading."""


class Values(Sequence[str]):
    """The values of all rows of one name, in order; negative indexes count from the end."""

    __slots__ = ("_values",)

    def __init__(self, values: list[str]) -> None:
        self._values = values

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


class Headers:
    """The header rows of a message, in their order.

    Names compare without regard to case, and a compact form (section 7.3.3) is the same name. A
    value is what stands behind the colon, unfolded and stripped; a comma list in one row is one
    value (``tokens`` splits them).

    ``names[i]`` is the canonical name (small letters, long form) of ``rows[i]``, which is the row
    as it is sent, without its last CRLF. The two lists change together, by the methods here.
    """

    __slots__ = ("names", "rows")

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        self.names: list[str] = []
        self.rows: list[str] = []
        for name, value in rows:
            self.add(name, value)

    # reading

    def get(self, name: str, index: int = 0) -> str | None:
        """Return the value of the ``index``-th row of that name, ``None`` if there is none."""
        at = self._at(name, index)
        return None if at < 0 else self.value(at)

    def __getitem__(self, name: str) -> Values:
        return Values(self.all(name))

    def all(self, name: str) -> list[str]:
        """Return the values of all rows of that name."""
        key = canonical(name)
        if key not in self.names:
            return []
        return [self.value(at) for at, known in enumerate(self.names) if known == key]

    def count(self, name: str) -> int:
        """Return how many rows have that name."""
        return self.names.count(canonical(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and canonical(name) in self.names

    def __len__(self) -> int:
        return len(self.rows)

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield each row as (name as it is written, value)."""
        for at in range(len(self.rows)):
            yield self.written(at), self.value(at)

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a list header, over all its rows (section 7.3.1)."""
        return [token for value in self.all(name) for token in split_list(value)]

    def written(self, at: int) -> str:
        """Return the name of row number ``at`` of all rows as it is written there."""
        return self.rows[at].partition(":")[0].rstrip(" \t")

    def value(self, at: int) -> str:
        """Return the value of row number ``at`` of all rows."""
        value = self.rows[at].partition(":")[2].strip(" \t\r\n")
        return _unfold(value) if "\n" in value else value

    # changing

    def add(self, name: str, value: str) -> None:
        """Add a row at the end."""
        row = _row(name, value)
        self.names.append(canonical(name))
        self.rows.append(row)

    def insert(
        self, name: str, value: str, *, before: str | None = None, after: str | None = None
    ) -> None:
        """Add a row before the first row named ``before``, or after the last named ``after``.

        Where there is no such row, or none was asked for, it becomes the first row (``before``) or
        the last (``after``).
        """
        at = 0
        if after is not None:
            key = canonical(after)
            at = len(self.names)
            if key in self.names:
                at -= self.names[::-1].index(key)
        elif before is not None:
            at = max(self._at(before, 0), 0)
        self.insert_at(at, name, value)

    def insert_at(self, at: int, name: str, value: str) -> None:
        """Add a row so that it becomes row number ``at`` of all rows."""
        row = _row(name, value)
        self.names.insert(at, canonical(name))
        self.rows.insert(at, row)

    def replace(self, name: str, value: str, index: int = 0) -> bool:
        """Give the ``index``-th row of that name another value; False if there is none."""
        at = self._at(name, index)
        if at < 0:
            return False
        self.rows[at] = _row(self.written(at), value)
        return True

    def set(self, name: str, value: str) -> None:
        """See that there is one row of that name, with this value."""
        if self.replace(name, value):
            while (second := self._at(name, 1)) >= 0:
                self.delete(second)
        else:
            self.add(name, value)

    def remove(self, name: str, index: int | None = None) -> int:
        """Remove the ``index``-th row of that name, or all; return how many went."""
        if index is not None:
            at = self._at(name, index)
            if at < 0:
                return 0
            self.delete(at)
            return 1
        key = canonical(name)
        going = [at for at, known in enumerate(self.names) if known == key]
        for at in reversed(going):
            self.delete(at)
        return len(going)

    def remove_token(self, name: str, token: str) -> bool:
        """Remove ``token`` from a list header, and a row that held nothing else.

        Tokens compare without regard to case; the rest of a row is written with ``, `` between.
        """
        wanted = token.lower()
        found = False
        key = canonical(name)
        for at in range(len(self.names) - 1, -1, -1):
            if self.names[at] != key:
                continue
            tokens = split_list(self.value(at))
            kept = [known for known in tokens if known.lower() != wanted]
            if len(kept) == len(tokens):
                continue
            found = True
            if kept:
                self.rewrite(at, ", ".join(kept))
            else:
                self.delete(at)
        return found

    def rewrite(self, at: int, value: str) -> None:
        """Give row number ``at`` of all rows a value that holds no line break."""
        self.rows[at] = f"{self.written(at)}: {value}"

    def delete(self, at: int) -> None:
        """Remove row number ``at`` of all rows."""
        del self.names[at]
        del self.rows[at]

    def copy(self) -> Headers:
        """Return a copy whose changes do not show here."""
        other = Headers.__new__(Headers)
        other.names = self.names.copy()
        other.rows = self.rows.copy()
        return other

    def _at(self, name: str, index: int) -> int:
        """Return the number among all rows of the ``index``-th row of that name, or -1."""
        names = self.names
        key = canonical(name)
        if index == 0:  # by far the most frequent
            return names.index(key) if key in names else -1
        found = [at for at, known in enumerate(names) if known == key]
        return found[index] if -len(found) <= index < len(found) else -1


def _unfold(value: str) -> str:
    """Replace each line break with the blanks around it by one blank (section 7.3.1)."""
    *lines, last = _FOLD.split(value)
    return " ".join([*(line.rstrip(" \t") for line in lines), last])


def _row(name: str, value: str) -> str:
    """A row as it is sent; what would make it two rows is refused."""
    if "\n" in value or "\r" in value or not _TOKEN.match(name):
        raise TrunklineError(
            "sip.header",
            f"{name!r}: {value[:80]!r}: a header's name is a token, its value has no line break",
        )
    return f"{WRITTEN.get(name, name)}: {value}"


class Message:
    """What requests and responses have in common. See the module for how it is kept."""

    __slots__ = ("_body", "defect", "headers")

    headers: Headers
    defect: DecodeError | None
    """What is wrong with it behind its start line, if anything."""

    @property
    def body(self) -> bytes:
        """The body; setting it sets Content-Length too."""
        return self._body

    @body.setter
    def body(self, value: bytes) -> None:
        self._body = value
        self.headers.set("Content-Length", str(len(value)))

    @property
    def start_line(self) -> str:
        """The Request-Line or Status-Line, without CRLF."""
        raise NotImplementedError

    @property
    def call_id(self) -> str:
        """The Call-ID; empty if there is none."""
        return self.headers.get("call-id") or ""

    # Typed views, decoded when they are asked for. What cannot be read raises DecodeError.

    @property
    def from_(self) -> NameAddr:
        """From, decoded (section 20.20)."""
        return NameAddr.parse(self.headers.get("from") or "")

    @property
    def to(self) -> NameAddr:
        """To, decoded (section 20.39)."""
        return NameAddr.parse(self.headers.get("to") or "")

    @property
    def cseq(self) -> CSeq:
        """CSeq, decoded (section 20.16)."""
        return CSeq.parse(self.headers.get("cseq") or "")

    @property
    def vias(self) -> list[Via]:
        """All Via values, the topmost first, decoded (section 20.42)."""
        return [Via.parse(value) for value in self.headers.tokens("via")]

    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact values, decoded (section 20.10)."""
        return self._name_addrs("contact")

    @property
    def routes(self) -> list[NameAddr]:
        """All Route values, the next hop first, decoded (section 20.34)."""
        return self._name_addrs("route")

    @property
    def record_routes(self) -> list[NameAddr]:
        """All Record-Route values, the topmost first, decoded (section 20.30)."""
        return self._name_addrs("record-route")

    def _name_addrs(self, name: str) -> list[NameAddr]:
        return [NameAddr.parse(value) for value in self.headers.tokens(name)]

    def to_bytes(self) -> bytes:
        """Return the message as it is sent."""
        head = "\r\n".join((self.start_line, *self.headers.rows, "\r\n"))
        return head.encode("utf-8", "surrogateescape") + self._body

    def __str__(self) -> str:
        return self.to_bytes().decode("utf-8", "replace")


class Request(Message):
    """A request (section 7.1); ``uri`` is the Request-URI as text."""

    __slots__ = ("method", "uri", "version")

    method: str
    uri: str
    version: str

    @classmethod
    def build(
        cls,
        method: str,
        uri: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Request:
        """Make a request with these rows; Content-Length is added.

        Raises:
            TrunklineError: ``sip.header``, ``sip.start-line``: something would not be one row.
        """
        if not _TOKEN.match(method) or not uri or any(c in uri for c in " \t\r\n<>"):
            raise TrunklineError(
                "sip.start-line",
                f"{method[:40]!r} {uri[:80]!r}: a method is a token, a Request-URI has no blanks",
            )
        request = _bare(cls, Headers(headers), body)
        request.method, request.uri, request.version = method, uri, "SIP/2.0"
        request.headers.set("Content-Length", str(len(body)))
        return request

    @property
    def start_line(self) -> str:  # noqa: D102 - inherited
        return f"{self.method} {self.uri} {self.version}"

    def copy(self) -> Request:
        """Return a copy whose changes do not show here."""
        other = _bare(Request, self.headers.copy(), self._body)
        other.method, other.uri, other.version = self.method, self.uri, self.version
        other.defect = self.defect
        return other

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(Message):
    """A response (section 7.2)."""

    __slots__ = ("reason", "status", "version", "via_end")

    status: int
    reason: str
    version: str
    via_end: int
    """Where its topmost Via value ends in its row; for those who received it."""

    @classmethod
    def build(
        cls,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """Make a response with these rows; without a reason phrase it gets the usual one.

        Raises:
            TrunklineError: ``sip.header``, ``sip.start-line``.
        """
        if not 100 <= status <= 699 or "\n" in reason or "\r" in reason:
            raise TrunklineError(
                "sip.start-line", f"{status} {reason[:80]!r}: a status is 100 to 699 and one line"
            )
        response = _bare(cls, Headers(headers), body)
        response.status, response.version = status, "SIP/2.0"
        response.reason = reason or REASONS.get(status, "")
        response.headers.set("Content-Length", str(len(body)))
        return response

    @classmethod
    def answer(
        cls,
        request: Request,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        to_tag: str | None = None,
    ) -> Response:
        """Answer ``request`` by section 8.2.6.2: its Via, From, To, Call-ID and CSeq.

        ``to_tag`` is added to To unless To has a tag, or the answer is 100. A 100 takes the
        request's Timestamp along (section 8.2.6.1).
        """
        if not 100 <= status <= 699 or "\n" in reason or "\r" in reason:
            raise TrunklineError(
                "sip.start-line", f"{status} {reason[:80]!r}: a status is 100 to 699 and one line"
            )
        wanted = _IN_TRYING if status == 100 else _IN_ANSWER
        rows = request.headers
        taken = Headers.__new__(Headers)
        taken.names, taken.rows = names, lines = [], []
        for name, row in zip(rows.names, rows.rows, strict=True):
            if name in wanted:
                if name == "to" and to_tag is not None and status > 100 and not has_tag(row):
                    row = f"{row};tag={to_tag}"
                names.append(name)
                lines.append(row)
        for name, value in headers:
            taken.add(name, value)
        names.append("content-length")
        lines.append(f"Content-Length: {len(body)}")
        response = _bare(cls, taken, body)
        response.status, response.version = status, "SIP/2.0"
        response.reason = reason or REASONS.get(status, "")
        return response

    @property
    def start_line(self) -> str:  # noqa: D102 - inherited
        return f"{self.version} {self.status:03d} {self.reason}"

    def copy(self) -> Response:
        """Return a copy whose changes do not show here."""
        other = _bare(Response, self.headers.copy(), self._body)
        other.status, other.reason, other.version = self.status, self.reason, self.version
        other.defect = self.defect
        return other

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


_IN_ANSWER = frozenset({"via", "from", "to", "call-id", "cseq"})
_IN_TRYING = _IN_ANSWER | {"timestamp"}

_M = TypeVar("_M", bound=Message)

_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)', re.DOTALL)  # always matches: no backtracking
_TAG = re.compile(r';[ \t\r\n]*tag[ \t\r\n]*=[ \t\r\n]*([^\s;,>"]+)', re.IGNORECASE)


def tag_of(value: str) -> str | None:
    """Return the tag of a From or To value (section 19.3), ``None`` if it has none.

    Parameters behind the angle brackets are the header's; those within are the URI's.
    """
    if "tag" not in value and "tag" not in value.lower():  # as in all requests that begin a dialog
        return None
    if '"' in value:  # a name or a parameter may have in it whatever it likes
        value = _QUOTED.sub("", value)
    end = value.rfind(">")
    found = _TAG.search(value, end + 1)
    return found[1] if found else None


def has_tag(row: str) -> bool:
    """Whether a From or To row, or value, has a tag."""
    return tag_of(row) is not None


def _bare(kind: type[_M], headers: Headers, body: bytes) -> _M:
    message = kind.__new__(kind)
    message.headers = headers
    message.defect = None
    message._body = body
    return message


def parse(data: bytes, limits: Limits = _LIMITS) -> Request | Response:
    """Read one message, as it comes in a datagram or cut out of a stream.

    Octets behind the Content-Length are dropped (section 18.3).

    Raises:
        DecodeError: ``sip.empty``, ``sip.no-head``, ``sip.start-line``, ``sip.too-large``: it is
            no message that anything could be said about. Other faults are its ``defect``.
    """
    if data.startswith(b"\r\n"):  # section 7.5
        data = data.lstrip(b"\r\n")
        if not data:
            raise DecodeError("sip.empty", "empty lines only: a keep-alive, not a message")
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        raise DecodeError("sip.no-head", "no empty line ends the header", offset=len(data))
    if len(head) > limits.head or len(body) > limits.body:
        raise DecodeError(
            "sip.too-large",
            f"header {len(head)} and body {len(body)} octets; at most {limits.head}, {limits.body}",
        )
    text = head.decode("utf-8", "surrogateescape")
    rows = text.split("\r\n")
    defect: DecodeError | None = None
    breaks = len(rows) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks:
        defect = DecodeError("sip.line-break", "a CR or LF alone within the header")
    start = rows.pop(0)
    if breaks > limits.rows:
        raise DecodeError("sip.too-large", f"{breaks} header rows; at most {limits.rows}")
    known = CANONICAL.get
    names: list[str | None] = [known(row.partition(":")[0]) for row in rows]
    headers = Headers.__new__(Headers)
    if not _KNOWN.isdisjoint(rows):  # a name alone, without its colon
        names = [None if row in _KNOWN else name for row, name in zip(rows, names, strict=True)]
    if None in names:
        if "\r\n " in text or "\r\n\t" in text:  # the second row of a folded one has no name
            rows = _unfolded(rows)
            names = [known(row.partition(":")[0]) for row in rows]
        defect = _name_others(names, rows) or defect
    headers.names = names  # type: ignore[assignment]  # every None was replaced
    headers.rows = rows
    if "content-length" in names:
        length = rows[names.index("content-length")].partition(":")[2].strip(" \t\r\n")
        if length == _LENGTHS.get(len(body)):
            pass  # as nearly always
        elif not (length.isascii() and length.isdecimal() and len(length) <= _MOST_DIGITS):
            defect = defect or DecodeError(
                "sip.content-length", f"Content-Length {length[:40]!r} is no number of octets"
            )
        elif (size := int(length)) != len(body):
            if size > len(body):
                defect = defect or DecodeError(
                    "sip.body-short",
                    f"the body has {len(body)} octets, Content-Length says {size}",
                    offset=len(data),
                )
            body = body[:size]
    message: Request | Response
    if start.startswith("SIP/") or start[:4].upper() == "SIP/":
        message = _response(start, headers, body)
    else:
        message = _bare(Request, headers, body)
        parts = start.split(" ")
        if (
            len(parts) == 3
            and parts[2] == "SIP/2.0"
            and parts[1]
            and (parts[0] in _USUAL or _TOKEN.match(parts[0]))
        ):
            message.method, message.uri, message.version = parts
        else:
            defect = _read_request_line(message, start) or defect
    message.defect = defect
    return message


def _response(start: str, headers: Headers, body: bytes) -> Response:
    known = _STATUS_LINES.get(start)
    if known is None:
        found = _STATUS_LINE.match(start)
        if found is None:
            raise DecodeError("sip.start-line", f"no Status-Line: {start[:80]!r}")
        known = found[1], int(found[2]), found[3] or ""
    response = _bare(Response, headers, body)
    response.version, response.status, response.reason = known
    return response


def _read_request_line(request: Request, start: str) -> DecodeError | None:
    """Read a Request-Line that is not as section 7.1 asks, as far as it can be answered."""
    parts = start.split()
    if len(parts) < 3 or not _VERSION.match(parts[-1]) or not _TOKEN.match(parts[0]):
        raise DecodeError("sip.start-line", f"no Request-Line: {start[:80]!r}")
    request.method, request.version = parts[0], parts[-1]
    request.uri = start.strip()[len(parts[0]) : -len(parts[-1])].strip(" \t")
    if start != request.start_line or len(parts) > 3:
        return DecodeError(
            "sip.request-line",
            f"{start[:80]!r}: method, Request-URI and version, one blank between (section 7.1)",
        )
    return None  # another version: validity says 505


def _unfolded(rows: list[str]) -> list[str]:
    """Join rows that begin with a blank to the row before (section 7.3.1)."""
    joined: list[str] = []
    for row in rows:
        if joined and row[:1] in (" ", "\t"):
            joined[-1] = f"{joined[-1]}\r\n{row}"
        else:
            joined.append(row)
    return joined


def _name_others(names: list[str | None], rows: list[str]) -> DecodeError | None:
    """Find the canonical names that the fast way did not know; say what is no header."""
    defect: DecodeError | None = None
    for at, name in enumerate(names):
        if name is not None:
            continue
        written, colon, _ = rows[at].partition(":")
        written = written.rstrip(" \t\r\n")
        names[at] = canonical(written)
        if not colon or not _TOKEN.match(written):
            defect = defect or DecodeError(
                "sip.header-row", f"row {at + 1} is no header: {rows[at][:60]!r}", offset=at
            )
    return defect
