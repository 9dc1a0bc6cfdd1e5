"""Dialogs: RFC 3261 section 12. What two user agents keep of each other, and requests within it.

A dialog is made of the request that begins it and of a message that answers it: the response (for
INVITE, and for SUBSCRIBE at the notifier), or the NOTIFY (for SUBSCRIBE at the subscriber: RFC 6665
section 4.4.1). What goes on in a dialog is its usages' business: `session` and `subscription`. A
dialog ends with its last usage (RFC 6665 section 4.5.2).

Left out: dialogs kept through a restart (12.2.2 allows to refuse their requests).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.headers import CSeq, NameAddr
from trunkline.sip.message import Message, Request, Response, tag_of
from trunkline.sip.transaction import ServerTransaction
from trunkline.sip.uri import Uri

__all__ = [
    "TABLE",
    "TARGET_REFRESH",
    "Dialog",
    "DialogId",
    "DialogState",
    "Role",
    "Row",
    "Trigger",
    "Usage",
]

TARGET_REFRESH: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"})
"""Methods that may change the remote target (12.2; RFC 3311 5.1; RFC 6665 3.1, 3.2)."""

MAX_ROUTES: Final = 64
"""Record-Route values that a dialog takes; a request with more is refused."""


class DialogId(NamedTuple):
    """What a dialog is found by (section 12). A tag that is missing is empty (12.1.1, 12.1.2)."""

    call_id: str
    local_tag: str
    remote_tag: str

    @property
    def digest(self) -> bytes:
        """What stands for it where many are kept: of one length, however long the texts are."""
        return hashlib.sha256("\n".join(self).encode("utf-8", "surrogateescape")).digest()


class Role(Enum):
    """Which end of the first request we are."""

    UAC = "uac"
    UAS = "uas"


class DialogState(StrEnum):
    """How far a dialog has come."""

    INIT = "init"
    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Trigger(StrEnum):
    """What moves a dialog."""

    PROVISIONAL = "101-199 with a To tag"
    SUCCESS = "2xx, or NOTIFY for a new subscription"
    FAILURE = "300-699 to the first request"
    ENDED = "last usage ended"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table."""

    next: DialogState
    clause: str


_S, _T = DialogState, Trigger

TABLE: Mapping[DialogState, Mapping[Trigger, Row]] = MappingProxyType(
    {
        _S.INIT: {
            _T.PROVISIONAL: Row(_S.EARLY, "12.1"),
            _T.SUCCESS: Row(_S.CONFIRMED, "12.1; RFC 6665 4.4.1"),
            _T.FAILURE: Row(_S.TERMINATED, "12.3"),
            _T.ENDED: Row(_S.TERMINATED, "12.3"),
        },
        _S.EARLY: {
            _T.PROVISIONAL: Row(_S.EARLY, "13.3.1.1"),
            _T.SUCCESS: Row(_S.CONFIRMED, "13.2.2.4"),
            _T.FAILURE: Row(_S.TERMINATED, "12.3"),
            _T.ENDED: Row(_S.TERMINATED, "13.2.2.4; 15"),
        },
        _S.CONFIRMED: {
            _T.PROVISIONAL: Row(_S.CONFIRMED, "13.3.1.1: one that came late"),
            _T.SUCCESS: Row(_S.CONFIRMED, "13.2.2.4: a retransmission"),
            _T.ENDED: Row(_S.TERMINATED, "12.3; RFC 6665 4.5.2"),
        },
        _S.TERMINATED: {
            _T.PROVISIONAL: Row(_S.TERMINATED, "12.3"),
            _T.SUCCESS: Row(_S.TERMINATED, "12.3"),
            _T.FAILURE: Row(_S.TERMINATED, "12.3"),
            _T.ENDED: Row(_S.TERMINATED, "12.3"),
        },
    }
)
"""The states of a dialog; clauses are RFC 3261's. FAILURE cannot come once it is confirmed."""


class Usage(Protocol):
    """What goes on in a dialog: a session, a subscription."""

    def on_request(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        """Take a request that came in order; False: it is for another usage."""
        ...


class Dialog:
    """One dialog, as one of its two user agents sees it."""

    __slots__ = (
        "call_id",
        "local_contact",
        "local_seq",
        "local_tag",
        "local_uri",
        "references",
        "remote_seq",
        "remote_tag",
        "remote_target",
        "remote_uri",
        "role",
        "route_set",
        "secure",
        "state",
        "usages",
    )

    role: Role
    """UAC: the Call-ID is ours (14.1)."""
    local_uri: str
    """From of our requests, without its tag."""
    remote_uri: str
    """To of our requests, without its tag."""
    remote_target: str
    """The URI that our requests are for."""
    local_contact: str
    """The Contact that we gave, as written in a row; the peer's requests are for it."""
    local_seq: int | None
    """CSeq number of our last request; None before the first."""
    remote_seq: int | None
    """CSeq number of the peer's last request; None before the first."""
    route_set: tuple[str, ...]
    """Route values, the nearest first, as they are written."""
    references: int
    """REFERs that were received within it (RFC 3515 section 2.4.6)."""
    usages: list[Usage]
    """What goes on in it; it ends with the last one."""
    secure: bool
    """Every hop is protected: SIPS over TLS (12.1.1, 12.1.2)."""

    def __init__(
        self, role: Role, call_id: str, local_tag: str, remote_tag: str, local_contact: str
    ) -> None:
        self.role = role
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.local_contact = local_contact
        self.local_uri = self.remote_uri = self.remote_target = ""
        self.local_seq = self.remote_seq = None
        self.route_set = ()
        self.secure = False
        self.state = DialogState.INIT
        self.references = 0
        self.usages = []

    @classmethod
    def as_uac(cls, request: Request, response: Response, *, secure: bool = False) -> Dialog:
        """The dialog that ``response`` to a request of ours makes (12.1.2).

        ``secure``: the request was sent over TLS. A response without a Contact leaves the
        Request-URI as the target: a provisional response may lack one, and cannot be refused.

        Raises:
            DecodeError: ``dialog.message``: something that a dialog needs cannot be read.
        """
        dialog = cls._begun(Role.UAC, request, tag_of(response.headers.get("to") or "") or "")
        dialog.remote_target = request.uri
        dialog.local_seq = _cseq(request)
        dialog.secure = secure and request.uri[:5].lower() == "sips:"
        dialog.set_route(response)
        dialog.refresh_target(response)
        return dialog

    @classmethod
    def to_end(cls, request: Request, response: Response, known: Dialog | None = None) -> Dialog:
        """The dialog of a 2xx to our INVITE that is not wanted: for its ACK and BYE (13.2.2.4, 15).

        What cannot be read of the response is as ``known`` has it, the early dialog, or else as
        the request: so there is always one. Of too many Record-Route values it takes the nearest.
        """
        dialog = cls._begun(Role.UAC, request, tag_of(response.headers.get("to") or "") or "")
        dialog.local_seq = _cseq(request)
        dialog.remote_target = request.uri
        if known is not None:
            dialog.local_seq, dialog.remote_target = known.local_seq, known.remote_target
        dialog.route_set = _routes(response)[: -MAX_ROUTES - 1 : -1]
        for contact in response.headers.tokens("contact"):
            with contextlib.suppress(DecodeError):
                dialog.remote_target = str(_contact_uri(contact))
                break
        dialog.fire(Trigger.SUCCESS)
        return dialog

    @classmethod
    def as_uas(
        cls, request: Request, local_tag: str, contact: str, *, secure: bool = False
    ) -> Dialog:
        """The dialog that our response to ``request`` makes (12.1.1).

        ``local_tag`` is the tag we put into To, ``contact`` the Contact of our response, and
        ``secure`` says that the request came over TLS.

        Raises:
            DecodeError: ``dialog.message``: the request lacks a Contact, or something of it that a
                dialog needs cannot be read.
        """
        headers = request.headers
        remote_tag = tag_of(headers.get("from") or "") or ""
        dialog = cls(Role.UAS, request.call_id, local_tag, remote_tag, contact)
        dialog.remote_uri = _without_tag(headers.get("from") or "")
        dialog.local_uri = _without_tag(headers.get("to") or "")
        dialog.remote_seq = _cseq(request)
        dialog.secure = secure and request.uri[:5].lower() == "sips:"
        dialog.route_set = _record_route(request)
        if not dialog.refresh_target(request):
            raise DecodeError("dialog.message", f"{request.method} without a Contact (8.1.1.8)")
        return dialog

    @classmethod
    def as_subscriber(cls, subscribe: Request, notify: Request, *, secure: bool = False) -> Dialog:
        """The dialog that a NOTIFY makes at who subscribed (RFC 6665 section 4.4.1).

        Its route set comes from the NOTIFY. REFER is as good as SUBSCRIBE (RFC 3515 section 2.4.4).

        Raises:
            DecodeError: ``dialog.message``: as `as_uas`.
        """
        dialog = cls._begun(Role.UAC, subscribe, tag_of(notify.headers.get("from") or "") or "")
        dialog.local_seq = _cseq(subscribe)
        dialog.remote_seq = _cseq(notify)
        dialog.secure = secure and subscribe.uri[:5].lower() == "sips:"
        dialog.route_set = _record_route(notify)
        if not dialog.refresh_target(notify):
            raise DecodeError("dialog.message", "NOTIFY without a Contact (RFC 6665 8.2)")
        return dialog

    @classmethod
    def _begun(cls, role: Role, request: Request, remote_tag: str) -> Dialog:
        """What our own request says of a dialog."""
        headers = request.headers
        local_tag = tag_of(headers.get("from") or "") or ""
        dialog = cls(role, request.call_id, local_tag, remote_tag, headers.get("contact") or "")
        dialog.local_uri = _without_tag(headers.get("from") or "")
        dialog.remote_uri = _without_tag(headers.get("to") or "")
        return dialog

    # what it is

    @property
    def id(self) -> DialogId:
        """What it is found by."""
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    @property
    def next_hop(self) -> str:
        """The URI of the element that our requests go to first (8.1.2)."""
        return _uri_text(self.route_set[0]) if self.route_set else self.remote_target

    def fire(self, trigger: Trigger) -> None:
        """Carry out the table's row.

        Raises:
            TrunklineError: ``dialog.state``: the table has no such row.
        """
        row = TABLE[self.state].get(trigger)
        if row is None:
            raise TrunklineError(
                "dialog.state", f"{self.id.call_id}: {trigger} while {self.state} is not possible"
            )
        self.state = row.next

    # from the peer

    def receive(self, request: Request) -> bool:
        """Whether ``request`` is in order; if so its number is the remote one now (12.2.2).

        Not for ACK and CANCEL, whose numbers are those of other requests. A number that came before
        is out of order too: a retransmission would have found its transaction.

        Raises:
            DecodeError: ``dialog.message``: no CSeq.
        """
        number = _cseq(request)
        if self.remote_seq is not None and number <= self.remote_seq:
            return False
        self.remote_seq = number
        return True

    def refresh_target(self, message: Message) -> bool:
        """Take the remote target from a Contact; False if there is none (12.2.1.2, 12.2.2).

        For target refresh requests that we accept, and 2xx to those that we sent.

        Raises:
            DecodeError: ``dialog.message``: a Contact that is no SIP address, or several.
        """
        contacts = message.headers.tokens("contact")
        if not contacts:
            return False
        if len(contacts) > 1:
            raise DecodeError("dialog.message", f"{len(contacts)} Contact values (8.1.1.8)")
        self.remote_target = str(_contact_uri(contacts[0]))
        return True

    def set_route(self, response: Response) -> None:
        """Take the route set from a response: for the first, and again for a 2xx (13.2.2.4).

        Raises:
            DecodeError: ``dialog.message``: more Record-Route values than a dialog takes.
        """
        self.route_set = tuple(reversed(_record_route(response)))

    # to the peer

    def next_seq(self) -> int:
        """Count a request of ours; return its CSeq number (12.2.1.1)."""
        self.local_seq = 1 if self.local_seq is None else self.local_seq + 1
        return self.local_seq

    def request(
        self, method: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Request:
        """Make a request within the dialog (12.2.1.1); its Via is for who sends it.

        A target refresh request gets our Contact, unless ``headers`` have one.

        Raises:
            TrunklineError: ``dialog.terminated``: the dialog is over. ``dialog.state``: it has not
                begun, the peer does not know our tag.
        """
        if self.state is DialogState.TERMINATED:
            raise TrunklineError(
                "dialog.terminated", f"{method}: the dialog {self.call_id} has ended"
            )
        if self.state is DialogState.INIT:
            raise TrunklineError(
                "dialog.state", f"{method}: no response has made the dialog {self.call_id} yet"
            )
        request = self._made(method, self.next_seq(), headers, body)
        if method in TARGET_REFRESH and "contact" not in request.headers:
            request.headers.insert("Contact", self.local_contact, after="CSeq")
        return request

    def ack(
        self, invite: Request, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Request:
        """Make the ACK to a 2xx to ``invite``: its number and its credentials (13.2.2.4)."""
        rows = [
            (name, value)
            for name in ("Authorization", "Proxy-Authorization")
            for value in invite.headers.all(name)
        ]
        return self._made("ACK", _cseq(invite), (*rows, *headers), body)

    def _made(
        self, method: str, number: int, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Request:
        target, routes = self._routing()
        rows = [("Max-Forwards", "70")]
        if routes:
            rows.append(("Route", ", ".join(routes)))
        rows += [
            ("From", _tagged(self.local_uri, self.local_tag)),
            ("To", _tagged(self.remote_uri, self.remote_tag)),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            *headers,
        ]
        return Request.build(method, target, rows, body)

    def _routing(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route values (12.2.1.1)."""
        if not self.route_set:
            return self.remote_target, ()
        first = _uri_text(self.route_set[0])
        try:
            uri = Uri.parse(first)
        except DecodeError:
            return self.remote_target, self.route_set  # what it means is its owner's business
        if uri.loose:
            return self.remote_target, self.route_set
        # A strict router: it takes the next Route value for the Request-URI, so ours goes last.
        # Neither `method` nor headers may stand in a Request-URI (table 1 of 19.1.1).
        strict = uri.without_param("method").evolve(headers="")
        return str(strict), (*self.route_set[1:], f"<{self.remote_target}>")

    def __repr__(self) -> str:
        return f"<Dialog {self.state} {self.call_id} {self.local_tag} {self.remote_tag}>"


def _cseq(message: Message) -> int:
    try:
        return CSeq.parse(message.headers.get("cseq") or "").number
    except DecodeError as problem:
        raise DecodeError("dialog.message", problem.message) from problem


def _record_route(message: Message) -> tuple[str, ...]:
    values = _routes(message)
    if len(values) > MAX_ROUTES:
        raise DecodeError(
            "dialog.message", f"{len(values)} Record-Route values; at most {MAX_ROUTES}"
        )
    return values


def _routes(message: Message) -> tuple[str, ...]:
    values = message.headers.tokens("record-route")
    return tuple(value if "<" in value else f"<{value}>" for value in values)


def _contact_uri(contact: str) -> Uri:
    try:
        uri = NameAddr.parse(contact).uri
    except DecodeError as problem:
        raise DecodeError("dialog.message", f"Contact: {problem.message}") from problem
    if not isinstance(uri, Uri):
        raise DecodeError(
            "dialog.message", f"Contact {contact[:80]!r}: one sip: or sips: URI (8.1.1.8)"
        )
    return uri


def _uri_text(route: str) -> str:
    """The URI of a Route value, which has angle brackets (20.34)."""
    begin = route.find("<")
    end = route.find(">", begin)
    return route[begin + 1 : end if end >= 0 else len(route)].strip()


def _without_tag(address: str) -> str:
    """A From or To value as it is reflected: display name and URI, no parameters."""
    try:
        parsed = NameAddr.parse(address)
    except DecodeError as problem:
        raise DecodeError("dialog.message", problem.message) from problem
    return f"{parsed.display} <{parsed.uri_text}>".lstrip()


def _tagged(address: str, tag: str) -> str:
    return f"{address};tag={tag}" if tag else address
