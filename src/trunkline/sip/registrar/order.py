"""Steps 6 to 8 of RFC 3261 section 10.3: from the bindings there are to those there are to be."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from trunkline.errors import DecodeError
from trunkline.sip.binding import Binding, Bindings, Change, Changed, live
from trunkline.sip.gruu import RANDOM, public_gruu
from trunkline.sip.headers import date_text
from trunkline.sip.message import Request, Response
from trunkline.sip.params import quoted
from trunkline.sip.registrar.settings import Reason, Settings
from trunkline.sip.transport import Flow
from trunkline.sip.uri import AnyUri, Uri, parse_uri

__all__ = ["Order", "Registration", "Wish"]

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registrar answers."""

    reason: Reason
    status: int
    phrase: str = ""
    """Where it says more than the status; else empty."""
    headers: Rows = ()
    bindings: Bindings | None = None
    """To be stored in the place of those there were; ``None``: nothing changes."""
    changes: tuple[Changed, ...] = ()
    """What happened to which contact, once the bindings are stored."""
    detail: str = ""
    """What could not be read."""

    @property
    def accepted(self) -> bool:
        """Whether the answer is a 200."""
        return self.status == 200

    def response(self, request: Request, to_tag: str) -> Response:
        """The answer as a message."""
        return Response.answer(request, self.status, self.phrase, self.headers, to_tag=to_tag)


@dataclass(frozen=True, slots=True)
class Wish:
    """A contact in the request."""

    contact: str
    uri: AnyUri
    expires: int
    """Seconds granted; 0: remove."""
    q: float | None = None
    parameters: str = ""
    instance: str = ""
    reg_id: int = 0

    def means(self, binding: Binding) -> bool:
        """Whether it is this binding: by instance and reg-id (RFC 5626 section 6), or by URI."""
        if self.reg_id:
            return binding.reg_id == self.reg_id and binding.instance == self.instance
        return not binding.reg_id and self.is_at(binding)

    def is_at(self, binding: Binding) -> bool:
        """Whether the URIs are equivalent (RFC 3261 section 19.1.4)."""
        if binding.contact == self.contact:
            return True
        try:
            return self.uri.equivalent(parse_uri(binding.contact))
        except DecodeError:  # somebody else wrote it into the store
            return False


@dataclass(frozen=True, slots=True)
class Order:
    """A REGISTER that is in order as far as can be said without the bindings."""

    settings: Settings
    aor: str
    """The key of the address-of-record (step 5)."""
    domain: str
    to: Uri
    call_id: str
    cseq: int
    star: bool = False
    """Remove all bindings."""
    wishes: tuple[Wish, ...] = ()
    """Without any and without ``star``, the bindings are only asked for."""
    path: tuple[str, ...] = ()
    flow: Flow | None = None
    node: str = ""
    nat: bool = False
    user_agent: str = ""
    wants_gruu: bool = False
    """Supported has ``gruu``."""
    require_outbound: bool = False
    """The response says ``Require: outbound`` (RFC 5626 section 6)."""
    first_hop: bool = False

    @property
    def fetches(self) -> bool:
        """Whether it only asks for the bindings."""
        return not self.star and not self.wishes

    def apply(
        self,
        bindings: Sequence[Binding],
        now: float,
        random: bytes = b"",
        service_route: Sequence[str] | None = None,
    ) -> Registration:
        """The answer, given the bindings of the address-of-record.

        Args:
            bindings: stored now; those that have expired are passed over.
            now: seconds since the epoch.
            random: 10 octets or more, fresh, if the settings make GRUUs.
            service_route: in the place of the settings'.
        """
        current = live(bindings, now)
        if self.fetches:
            return self._granted(Reason.FETCHED, current, None, (), now, random, service_route)
        changes = [Changed(Change.EXPIRED, b) for b in bindings if b.expires <= now]
        if self.star:
            updated = self._removed(current, changes)
        else:
            updated = self._updated(current, changes, now)
        if isinstance(updated, Registration):
            return updated
        return self._granted(
            Reason.REGISTERED, updated, updated, tuple(changes), now, random, service_route
        )

    def _is_late(self, binding: Binding) -> bool:
        return binding.call_id == self.call_id and self.cseq <= binding.cseq

    def _removed(self, current: Bindings, changes: list[Changed]) -> Bindings | Registration:
        """Step 6, ``*``: another Call-ID removes, the same only with a higher CSeq."""
        if any(map(self._is_late, current)):
            return _OUT_OF_ORDER
        changes += (Changed(Change.UNREGISTERED, binding) for binding in current)
        return ()

    def _updated(
        self, current: Bindings, changes: list[Changed], now: float
    ) -> Bindings | Registration:
        """Step 7: all of the contacts, or none."""
        slots = [_Slot(binding) for binding in current]
        for wish in self.wishes:
            slot = next((slot for slot in slots if wish.means(slot.binding)), None)
            # What this request itself has put there has its CSeq, and is not later than it.
            if slot is not None and not slot.fresh and self._is_late(slot.binding):
                return _OUT_OF_ORDER
            if wish.expires == 0:
                if slot is not None:
                    slots.remove(slot)
                    changes.append(Changed(Change.UNREGISTERED, slot.binding))
                continue
            new = self._binding(wish, slot.binding if slot is not None else None, now)
            if wish.instance:
                new = replace(new, gruu=self._number(wish, current, now))
            if slot is None:
                slots.append(_Slot(new, fresh=True))
                changes.append(Changed(Change.REGISTERED, new))
            else:
                changes += _difference(slot.binding, new)
                slot.binding, slot.fresh = new, True
        numbers = {slot.binding.instance: slot.binding.gruu for slot in slots if slot.fresh}
        for slot in slots:
            number = numbers.get(slot.binding.instance, 0)
            if slot.binding.instance and number > slot.binding.gruu:
                slot.binding = replace(slot.binding, gruu=number)
        if len(slots) > max(self.settings.max_contacts, len(current)):
            return _TOO_MANY
        return tuple(slot.binding for slot in slots)

    def _binding(self, wish: Wish, old: Binding | None, now: float) -> Binding:
        same = old if old is not None and wish.is_at(old) else None
        return Binding(
            contact=wish.contact,
            call_id=self.call_id,
            cseq=self.cseq,
            expires=now + wish.expires,
            registered=now if same is None else same.registered,
            refreshed=now,
            q=wish.q,
            parameters=wish.parameters,
            instance=wish.instance,
            reg_id=wish.reg_id,
            path=self.path,
            flow=self.flow,
            node=self.node,
            nat=self.nat,
            user_agent=self.user_agent,
            id=_new_id(wish, now) if same is None else same.id,
        )

    def _number(self, wish: Wish, current: Bindings, now: float) -> int:
        """Which temporary GRUUs of the instance are valid from now on (RFC 5627 section 5.1).

        Another Call-ID than that of the contact (or flow) registered last ends those before, and so
        does the end of the instance's last contact.
        """
        instance = [binding for binding in current if binding.instance == wish.instance]
        number = max((binding.gruu for binding in instance), default=0)
        same = [b for b in instance if not wish.reg_id or b.reg_id == wish.reg_id]
        latest = max(same, key=lambda binding: binding.refreshed, default=None)
        if number and (latest is None or latest.call_id == self.call_id):
            return number
        return max(int(now * 1000), number + 1)

    def _granted(
        self,
        reason: Reason,
        current: Bindings,
        stored: Bindings | None,
        changes: tuple[Changed, ...],
        now: float,
        random: bytes,
        service_route: Sequence[str] | None,
    ) -> Registration:
        """Step 8: 200 with every binding."""
        rows = [
            ("Contact", self._contact(binding, now, random, place))
            for place, binding in enumerate(current)
        ]
        if not self.fetches:
            rows += (("Path", value) for value in self.path)  # RFC 3327 section 5.3
        route = self.settings.service_route if service_route is None else service_route
        rows += (("Service-Route", value) for value in route)
        if self.require_outbound:
            rows.append(("Require", "outbound"))
            if self.settings.flow_timer and self.first_hop:
                rows.append(("Flow-Timer", str(self.settings.flow_timer)))
        rows.append(("Date", date_text(datetime.fromtimestamp(now, UTC))))
        return Registration(reason, 200, "", tuple(rows), stored, changes)

    def _contact(self, binding: Binding, now: float, random: bytes, place: int) -> str:
        value = f"<{binding.contact}>{binding.parameters}"
        if binding.q is not None:
            value += f";q={binding.q:g}"
        value += f";expires={math.ceil(binding.expires - now)}"
        maker = self.settings.gruu
        if maker is None or not self.wants_gruu or not binding.instance:
            return value
        value += f";pub-gruu={quoted(public_gruu(self.to, self.domain, binding.instance))}"
        fresh = hashlib.sha256(random + bytes((place % 256,))).digest()[:RANDOM] if random else b""
        temporary = maker.temporary(self.to, self.domain, self.aor, binding, fresh)
        return value if temporary is None else f"{value};temp-gruu={quoted(temporary)}"


@dataclass(slots=True, eq=False)
class _Slot:
    binding: Binding
    fresh: bool = False
    """Put there by this request."""


_OUT_OF_ORDER = Registration(Reason.OUT_OF_ORDER, 500, "Out of Order")
_TOO_MANY = Registration(Reason.TOO_MANY, 403, "Too Many Contacts")


def _new_id(wish: Wish, now: float) -> str:
    key = f"{now}:{wish.contact}:{wish.instance}:{wish.reg_id}"
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _difference(old: Binding, new: Binding) -> list[Changed]:
    if new.id != old.id:  # another URI in the place of the flow's old one
        return [Changed(Change.UNREGISTERED, old), Changed(Change.REGISTERED, new)]
    shorter = new.expires < old.expires
    return [Changed(Change.SHORTENED if shorter else Change.REFRESHED, new)]
