"""What all usages of all dialogs of a user agent share: transactions, dialogs, alarms, events.

RFC 3261 sections 8.1 and 8.2.6 as far as they do not depend on the method. The user agent is built
on it (`trunkline.sip.ua`); the usages are given it.

What comes from outside: the next hops (``locate``), unguessable texts (``token``) and random
numbers (``draw``), the time with each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from trunkline.errors import DecodeError
from trunkline.sip.dialog.alarms import Alarms
from trunkline.sip.dialog.dialog import Dialog, DialogId, DialogState, Trigger, Usage
from trunkline.sip.dialog.events import Event
from trunkline.sip.dialog.outgoing import Handler, Outgoing
from trunkline.sip.digest.client import Client, Logins
from trunkline.sip.headers import Event as EventValue
from trunkline.sip.headers import delta_seconds
from trunkline.sip.host import bracketed
from trunkline.sip.lists import split_list
from trunkline.sip.message import Headers, Message, Request, Response
from trunkline.sip.proxy.branches import Hops
from trunkline.sip.proxy.identity import Identity, Listener, stream_for
from trunkline.sip.timers import Timers
from trunkline.sip.transaction import ServerTransaction, TransactionLayer
from trunkline.sip.transport import LARGEST_DATAGRAM, Flow, Transport

if TYPE_CHECKING:
    from trunkline.sip.dialog.invite_server import ServerInvite
    from trunkline.sip.dialog.subscription import Subscriber

__all__ = [
    "Capabilities",
    "Core",
    "Counters",
    "Locator",
    "Rows",
    "checked",
    "event_of",
    "seconds_of",
    "tokens",
]

Rows: TypeAlias = "Iterable[tuple[str, str]]"
"""Header rows: names and values."""
Locator: TypeAlias = "Callable[[str, float], Hops | None]"
"""Gives the next hops for a URI at a time; None: they have to be looked up, see `Locate`."""

_WITH_CONTACT: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})  # 8.1.1.8; RFC 3515 2
_REMEMBERED: Final = 10_000  # dialogs that have ended


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a user agent does; it says so in Allow, Supported, Accept and Allow-Events."""

    methods: tuple[str, ...] = (
        *("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"),
        *("PRACK", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER", "INFO", "MESSAGE"),
    )
    """What may be received. SUBSCRIBE belongs to REFER too, whose subscription it prolongs."""
    extensions: tuple[str, ...] = ("100rel", "timer", "replaces")
    """Option tags that may be required of it."""
    types: tuple[str, ...] = ("application/sdp",)
    """Media types of bodies that it understands."""
    events: tuple[str, ...] = ()
    """Event packages that it notifies of (RFC 6665 section 4.4.4)."""
    languages: tuple[str, ...] = ()
    """Languages of bodies; none means any."""
    session_expires: int | None = 1800
    """Seconds that a session lasts without a refresh (RFC 4028); None asks for no timer."""
    min_se: int = 90
    """The shortest interval that is accepted, in seconds: 90 or more (RFC 4028 section 5)."""
    min_expires: int = 60
    """The shortest subscription that is accepted, in seconds (RFC 6665 section 4.2.1.1)."""
    largest_datagram: int = LARGEST_DATAGRAM
    """Octets beyond which a request goes by TCP, where we listen for it (18.1.1)."""
    user: str = ""
    """The user part of Contact."""
    product: str = ""
    """For User-Agent and Server; empty for none."""
    rows: tuple[tuple[str, str], ...] = field(init=False, repr=False)
    """Allow, Supported and Allow-Events."""

    def __post_init__(self) -> None:
        rows = [("Allow", ", ".join(self.methods)), ("Supported", ", ".join(self.extensions))]
        if self.events:
            rows.append(("Allow-Events", ", ".join(self.events)))
        object.__setattr__(self, "rows", tuple(row for row in rows if row[1]))


@dataclass(slots=True)
class Counters:
    """What a user agent has seen, since the beginning."""

    refused: dict[int, int] = field(default_factory=dict)
    """Requests answered by itself, by status."""
    ignored: int = 0
    """Messages that nobody waited for: late responses, ACKs without a dialog, discarded octets."""
    dialogs: int = 0
    """Dialogs begun."""


class Ready(NamedTuple):
    """A request that can leave: by which flow, the branch of its Via, and its octets."""

    flow: Flow
    branch: str
    data: bytes


class Core:
    """See the module.

    ``identity`` has the addresses that we listen on, ``logins`` the passwords. At most ``limit``
    dialogs are kept; requests that would begin another are answered 503.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        identity: Identity,
        locate: Locator,
        *,
        token: Callable[[], str],
        draw: Callable[[], float],
        capabilities: Capabilities = Capabilities(),
        logins: Logins | None = None,
        limit: int = 100_000,
    ) -> None:
        self.layer = layer
        self.identity = identity
        self.locate = locate
        self.token = token
        """Gives a text that nobody can guess and that never comes again."""
        self.draw = draw
        """Gives a number from 0 up to, but not including, 1."""
        self.capabilities = capabilities
        self.logins = logins
        self.limit = limit
        self.counters = Counters()
        self.availability = 200
        """What OPTIONS outside of dialogs is answered: what a call would get now (11.2)."""
        self.alarms = Alarms()
        self.dialogs: dict[DialogId, Dialog] = {}
        self.ended: dict[bytes, None] = {}
        """Digests of dialogs that have ended, the last 10,000 (for RFC 3891 section 3)."""
        self.accepted: dict[DialogId, ServerInvite] = {}
        """INVITEs that wait for the ACK to our 2xx, whatever became of their dialogs."""
        self.subscribers: dict[tuple[str, str], Subscriber] = {}
        """Requests of ours that notifiers may answer still, by Call-ID and our tag."""
        self._events: list[Event] = []

    @property
    def timers(self) -> Timers:
        """The lengths of the transactions' timers."""
        return self.layer.timers

    # Events

    def emit(self, event: Event) -> None:
        """Tell the user; `take_events` has it."""
        self._events.append(event)

    def take_events(self) -> list[Event]:
        """Return what has not been told yet."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float | None:
        """Return when ``on_timeout`` has to be called: at once if there is something to tell."""
        if self._events:
            return 0.0
        mine, below = self.alarms.next_timeout(), self.layer.next_timeout()
        if mine is None or below is None:
            return below if mine is None else mine
        return min(mine, below)

    # Dialogs

    @property
    def full(self) -> bool:
        """Whether no further dialog may begin."""
        return len(self.dialogs) >= self.limit

    def join(self, dialog: Dialog, usage: Usage) -> None:
        """Let ``usage`` have its part in ``dialog``, if it has none yet."""
        if dialog.id not in self.dialogs:
            self.dialogs[dialog.id] = dialog
            self.counters.dialogs += 1
        if usage not in dialog.usages:
            dialog.usages.append(usage)

    def leave(self, dialog: Dialog, usage: Usage) -> None:
        """End the part of ``usage``; with the last one the dialog ends (RFC 6665 4.5.2)."""
        if usage in dialog.usages:
            dialog.usages.remove(usage)
        if not dialog.usages and dialog.state is not DialogState.TERMINATED:
            dialog.fire(Trigger.ENDED)
            if self.dialogs.pop(dialog.id, None) is not None:
                self.ended[dialog.id.digest] = None
                if len(self.ended) > _REMEMBERED:
                    del self.ended[next(iter(self.ended))]

    # Requests of ours

    def credentials(self) -> Client | None:
        """Credentials for a new Call-ID: RFC 3261 section 22.3 keeps them apart."""
        return Client(self.logins) if self.logins is not None else None

    def prepare(
        self,
        request: Request,
        uri: str,
        handler: Handler,
        number: Callable[[], int],
        credentials: Client | None = None,
    ) -> Outgoing:
        """Make ready to send ``request`` towards ``uri``; ``begin`` sends it.

        ``handler`` gets what comes of it; ``number`` gives the next CSeq number, for when it has
        to be sent once more.
        """
        return Outgoing(self, request, uri, handler, number, credentials)

    def prepare_within(
        self,
        dialog: Dialog,
        method: str,
        handler: Handler,
        *,
        headers: Rows = (),
        body: bytes = b"",
        credentials: Client | None = None,
    ) -> Outgoing:
        """As `prepare`, for a request within ``dialog``.

        Raises:
            TrunklineError: ``dialog.terminated``; ``sip.header``.
        """
        rows = [*headers, *self.capabilities.rows]
        request = dialog.request(method, rows, body)
        return self.prepare(request, dialog.next_hop, handler, dialog.next_seq, credentials)

    def within(
        self,
        dialog: Dialog,
        method: str,
        handler: Handler,
        now: float,
        *,
        headers: Rows = (),
        body: bytes = b"",
        credentials: Client | None = None,
    ) -> Outgoing:
        """Send a request within ``dialog``. Raises as `prepare_within`."""
        outgoing = self.prepare_within(
            dialog, method, handler, headers=headers, body=body, credentials=credentials
        )
        outgoing.begin(now)
        return outgoing

    def complete(self, request: Request, flow: Flow, *, any_size: bool = False) -> Ready:
        """Give ``request`` what depends on the flow it leaves by: Via, and Contact if it is due.

        A request that is too large for a datagram gets another flow (18.1.1), unless ``any_size``.
        """
        headers = request.headers
        own_contact = request.method in _WITH_CONTACT and "contact" not in headers
        secure = request.uri[:5].lower() == "sips:"
        if own_contact:
            headers.add("Contact", self.contact(flow, secure))
        branch = self.layer.new_branch()
        headers.names.insert(0, "via")
        headers.rows.insert(0, self._via(flow, branch))
        if self.capabilities.product and "user-agent" not in headers:
            headers.add("User-Agent", self.capabilities.product)
        data = request.to_bytes()
        limit = self.capabilities.largest_datagram
        stream = None if any_size else stream_for(self.identity, flow, len(data), limit)
        if stream is None:
            return Ready(flow, branch, data)
        headers.rows[0] = self._via(stream, branch)
        if own_contact:
            headers.set("Contact", self.contact(stream, secure))
        return Ready(stream, branch, request.to_bytes())

    def _via(self, flow: Flow, branch: str) -> str:
        return f"{self._listener(flow).via}{branch};rport"

    def contact(self, flow: Flow, secure: bool) -> str:
        """Return the Contact by which we are reached where ``flow`` leads (8.1.1.8)."""
        listener = self._listener(flow)
        host, port = listener.advertised
        user = f"{self.capabilities.user}@" if self.capabilities.user else ""
        transport = flow.transport
        plain = transport is Transport.UDP or secure
        parameter = "" if plain else f";transport={transport.parameter}"
        return f"<{'sips' if secure else 'sip'}:{user}{bracketed(host)}:{port}{parameter}>"

    def _listener(self, flow: Flow) -> Listener:
        return self.identity.listener(flow) or Listener(flow.transport, flow.local, flow.local)

    # Responses of ours

    def reply(
        self,
        transaction: ServerTransaction,
        request: Request,
        status: int,
        now: float,
        *,
        headers: Rows = (),
        body: bytes = b"",
        to_tag: str | None = None,
    ) -> Response:
        """Answer ``request``; a To without a tag gets ``to_tag``, or one of its own."""
        tag = self.token() if to_tag is None and status > 100 else to_tag
        response = Response.answer(request, status, headers=headers, body=body, to_tag=tag)
        if self.capabilities.product:
            response.headers.add("Server", self.capabilities.product)
        self.layer.respond(transaction, response, now)
        return response

    def refuse(
        self,
        transaction: ServerTransaction,
        request: Request,
        status: int,
        now: float,
        headers: Rows = (),
    ) -> None:
        """As `reply`, for what the user agent refuses by itself, and counted."""
        self.counters.refused[status] = self.counters.refused.get(status, 0) + 1
        self.reply(transaction, request, status, now, headers=headers)

    def retry_after(self) -> tuple[str, str]:
        """A Retry-After between 0 and 10 seconds (14.2; RFC 3311 section 5.2)."""
        return "Retry-After", str(int(self.draw() * 11))


def checked(headers: Rows) -> tuple[tuple[str, str], ...]:
    """Header rows that can be written; raises ``sip.header`` before anything has changed."""
    return tuple(Headers(headers).items())


def seconds_of(message: Message, name: str) -> int | None:
    """The number of seconds in a header, as Expires; None where there is none to be read."""
    try:
        return delta_seconds(message.headers.get(name) or "")
    except DecodeError:
        return None


def event_of(message: Message) -> EventValue | None:
    """The Event of a message; None where there is none to be read."""
    try:
        return EventValue.parse(message.headers.get("event") or "")
    except DecodeError:
        return None


def tokens(headers: Headers, name: str) -> Iterator[str]:
    """The tokens of a list header in small letters."""
    for value in headers.all(name):
        for token in split_list(value):
            yield token.lower()
