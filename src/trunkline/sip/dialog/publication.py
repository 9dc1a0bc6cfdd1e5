"""Event state that others publish: the event state compositor of RFC 3903 section 6.

`Compositor` is what receives PUBLISH: it keeps each publication by its entity-tag until it expires,
and says of which resources the state has changed. What is made of several publications of one
resource is its user's (`Compositor.publications`), and so is telling the subscribers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from trunkline.errors import DecodeError
from trunkline.sip.dialog.alarms import Alarms
from trunkline.sip.headers import Event, MediaType, delta_seconds
from trunkline.sip.message import Request

__all__ = ["OPERATIONS", "Answer", "Changed", "Compositor", "Operation", "Publication"]


class Operation(Enum):
    """What a PUBLISH asks for (section 4.1)."""

    INITIAL = "initial"
    REFRESH = "refresh"
    MODIFY = "modify"
    REMOVE = "remove"


OPERATIONS: Mapping[tuple[bool, bool, bool], Operation | None] = MappingProxyType(
    {
        (True, False, True): Operation.INITIAL,
        (False, True, True): Operation.REFRESH,
        (True, True, True): Operation.MODIFY,
        (False, True, False): Operation.REMOVE,
        # Section 6 has the rest: no state is stored that lasts for nothing (step 5), and a body
        # that comes with a removal is none of the operations of table 1.
        (True, True, False): Operation.REMOVE,
        (True, False, False): Operation.INITIAL,
        (False, False, True): None,
        (False, False, False): None,
    }
)
"""Table 1 of section 4.1: whether there is a body, a SIP-If-Match, and an Expires over zero."""


@dataclass(slots=True, eq=False)
class Publication:
    """One publication: event soft state of a resource (section 2)."""

    resource: str
    package: str
    etag: str
    content_type: str
    body: bytes
    expires_at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a PUBLISH is answered with."""

    status: int
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """The state of a resource is another now."""

    resource: str
    package: str


class Compositor:
    """See the module.

    Args:
        packages: event packages, each with the media types that may be published for it.
        token: gives a text that never comes again, for entity-tags.
        resource: which resource a Request-URI names; None: we are not responsible for it.
        longest: seconds that a publication lasts at most, and by default.
        shortest: seconds under which a publication is refused.
        limit: publications at once; beyond it, 503.
    """

    def __init__(
        self,
        packages: Mapping[str, Iterable[str]],
        token: Callable[[], str],
        *,
        resource: Callable[[str], str | None] = lambda uri: uri,
        longest: int = 3600,
        shortest: int = 60,
        limit: int = 100_000,
    ) -> None:
        self._types = {name: tuple(types) for name, types in packages.items()}
        self._token = token
        self._resource = resource
        self._longest, self._shortest, self._limit = longest, shortest, limit
        self._by_etag: dict[str, Publication] = {}
        self._by_resource: dict[tuple[str, str], dict[str, Publication]] = {}
        self._alarms = Alarms()
        self._changed: list[Changed] = []

    def publications(self, resource: str, package: str) -> tuple[Publication, ...]:
        """What is published for a resource now, the oldest first."""
        return tuple(self._by_resource.get((resource, package), {}).values())

    def __len__(self) -> int:
        """How many publications there are."""
        return len(self._by_etag)

    def take_changed(self) -> list[Changed]:
        """What has changed since the last call, each once."""
        changed, self._changed = self._changed, []
        return list(dict.fromkeys(changed))

    def receive(self, request: Request, now: float) -> Answer:
        """Take a PUBLISH by the steps of section 6; return its answer."""
        resource = self._resource(request.uri)
        if resource is None:  # step 1
            return Answer(404)
        try:
            event = Event.parse(request.headers.get("event") or "")
        except DecodeError:
            event = None
        if event is None or event.value not in self._types:  # step 2
            return Answer(489, (("Allow-Events", ", ".join(self._types)),))
        etags = request.headers.tokens("sip-if-match")
        known: Publication | None = None
        if "sip-if-match" in request.headers:  # step 3
            if len(etags) != 1:
                return Answer(400)
            known = self._by_etag.get(etags[0])
            if known is None or (known.resource, known.package) != (resource, event.value):
                return Answer(412)
        expires = self._expires(request)  # step 4
        if expires is None:
            return Answer(400)
        if 0 < expires < self._shortest:
            return Answer(423, (("Min-Expires", str(self._shortest)),))
        key = (bool(request.body), known is not None, expires > 0)
        operation = OPERATIONS[key]
        if operation is None:  # step 5
            return Answer(400)
        content_type = request.headers.get("content-type") or ""
        if request.body and not self._understood(event.value, content_type):
            return Answer(415, (("Accept", ", ".join(self._types[event.value])),))
        if operation is Operation.INITIAL and len(self._by_etag) >= self._limit:
            return Answer(503, (("Retry-After", "60"),))
        etag = self._token()
        if operation is Operation.INITIAL and expires > 0:
            known = Publication(resource, event.value, etag, content_type, request.body, 0.0)
            self._note(known)
        elif operation is Operation.MODIFY and known is not None:
            known.content_type, known.body = content_type, request.body
            self._note(known)
        elif operation is Operation.REMOVE and known is not None:
            self._remove(known)
        if known is not None and operation is not Operation.REMOVE:
            self._keep(known, etag, now + expires)
        return Answer(200, (("SIP-ETag", etag), ("Expires", str(expires))))  # step 6

    def next_timeout(self) -> float | None:
        """Return when ``on_timeout`` has to be called, None if nothing is published."""
        return self._alarms.next_timeout()

    def on_timeout(self, now: float) -> list[Changed]:
        """Remove what has expired; return what has changed, as `take_changed`."""
        for owner, name in self._alarms.due(now):
            owner.on_alarm(name, now)
        return self.take_changed()

    def on_alarm(self, name: str, now: float) -> None:
        """The publication with this entity-tag has expired."""
        self._remove(self._by_etag[name])

    def _expires(self, request: Request) -> int | None:
        value = request.headers.get("expires")
        if value is None:
            return self._longest
        try:
            return min(delta_seconds(value), self._longest)
        except DecodeError:
            return None

    def _understood(self, package: str, content_type: str) -> bool:
        try:
            return MediaType.parse(content_type).full in self._types[package]
        except DecodeError:
            return False

    def _keep(self, publication: Publication, etag: str, expires_at: float) -> None:
        """Let it last, under a new entity-tag (step 6)."""
        key = (publication.resource, publication.package)
        of_resource = self._by_resource.setdefault(key, {})
        self._by_etag.pop(publication.etag, None)
        of_resource.pop(publication.etag, None)
        self._alarms.clear(self, publication.etag)
        publication.etag, publication.expires_at = etag, expires_at
        self._by_etag[etag] = of_resource[etag] = publication
        self._alarms.set(self, etag, expires_at)

    def _remove(self, publication: Publication) -> None:
        key = (publication.resource, publication.package)
        etag = publication.etag
        del self._by_etag[etag]
        del self._by_resource[key][etag]
        if not self._by_resource[key]:
            del self._by_resource[key]
        self._alarms.clear(self, etag)
        self._note(publication)

    def _note(self, publication: Publication) -> None:
        self._changed.append(Changed(publication.resource, publication.package))
