"""Steps 1 to 6 of RFC 3261 section 10.3: what can be said of a REGISTER without the bindings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.binding import canonical_aor
from trunkline.sip.headers import CSeq, NameAddr, delta_seconds
from trunkline.sip.message import Request
from trunkline.sip.nat import NatSign, nat_signs
from trunkline.sip.outbound import instance_of, is_first_hop, reg_id_of, supports
from trunkline.sip.registrar.order import Order, Registration, Wish
from trunkline.sip.registrar.settings import (
    MAX_AOR,
    MAX_CALL_ID,
    MAX_CONTACT,
    Reason,
    Settings,
)
from trunkline.sip.transport import Flow
from trunkline.sip.uri import Uri, parse_uri

__all__ = ["Registrar"]

_MALFORMED: Final = 3600
"""Seconds that a malformed ``expires`` stands for (section 10.2)."""
_OURS: Final = frozenset(("expires", "q", "pub-gruu", "temp-gruu"))
"""Parameters of a contact that are not stored as written; RFC 5627 5.1 ignores the GRUUs."""


class _Refused(Exception):  # noqa: N818 - a way out, not an error
    def __init__(self, registration: Registration) -> None:
        super().__init__(registration.reason)
        self.registration = registration


class Registrar:
    """Examines REGISTER requests for the domains in its settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def examine(
        self,
        request: Request,
        *,
        flow: Flow | None = None,
        node: str = "",
        authorized: Callable[[str], bool] | None = None,
    ) -> Order | Registration:
        """What the request asks for, or the answer if it is refused.

        Args:
            request: a REGISTER, authenticated.
            flow: over which it came.
            node: the name of this process, stored with the flow.
            authorized: whether the authenticated user may register for the address-of-record whose
                key it is given (step 4).
        """
        try:
            return self._examined(request, flow, node, authorized)
        except _Refused as refused:
            return refused.registration

    def _examined(
        self,
        request: Request,
        flow: Flow | None,
        node: str,
        authorized: Callable[[str], bool] | None,
    ) -> Order:
        settings = self.settings
        headers = request.headers
        if request.defect is not None:  # values may have line breaks
            raise _bad(Reason.MALFORMED, request.defect.message)
        domain = self._domain(request.uri)  # step 1
        self._check_require(request)  # step 2
        to, aor = self._address_of_record(headers.get("to"))
        if aor is not None and authorized is not None and not authorized(aor):  # step 4
            raise _Refused(Registration(Reason.NOT_AUTHORIZED, 403))
        if aor is None or to is None or settings.domain_of(to.host) != domain:  # step 5
            raise _Refused(Registration(Reason.NOT_FOUND, 404))
        call_id = request.call_id
        try:
            cseq = CSeq.parse(headers.get("cseq") or "").number
        except DecodeError as problem:
            raise _bad(Reason.BAD_SEQUENCE, problem.message) from None
        if not call_id:
            raise _bad(Reason.BAD_SEQUENCE, "there is no Call-ID")
        if len(call_id) > MAX_CALL_ID:
            raise _bad(Reason.BAD_SEQUENCE, f"a Call-ID of more than {MAX_CALL_ID} characters")
        first_hop = is_first_hop(request)
        path = self._path(request)
        star, wishes = self._contacts(request, to, aor)  # step 6
        if wishes:
            wishes = self._flows(request, wishes, path, first_hop)
        flows = any(wish.reg_id for wish in wishes)
        return Order(
            settings=settings,
            aor=aor,
            domain=domain,
            to=to,
            call_id=call_id,
            cseq=cseq,
            star=star,
            wishes=wishes,
            path=path,
            flow=flow,
            node=node,
            nat=first_hop and flow is not None and _behind_nat(request, flow),
            user_agent=(headers.get("user-agent") or "")[:128],
            wants_gruu=supports(request, "gruu"),
            require_outbound=flows and supports(request, "outbound"),
            first_hop=first_hop,
        )

    def _domain(self, request_uri: str) -> str:
        try:
            uri = parse_uri(request_uri)
        except DecodeError as problem:
            raise _bad(Reason.BAD_TO, problem.message) from None
        domain = self.settings.domain_of(uri.host) if isinstance(uri, Uri) else None
        if domain is None:
            raise _Refused(Registration(Reason.OTHER_DOMAIN, 404))
        return domain

    def _check_require(self, request: Request) -> None:
        settings = self.settings
        known = {"path"} | settings.extensions
        if settings.outbound:
            known |= {"outbound"}
        if settings.gruu is not None:
            known |= {"gruu"}
        required = request.headers.tokens("require")
        unknown = [tag for tag in required if tag.lower() not in known]
        if unknown:
            rows = (("Unsupported", ", ".join(unknown)),)  # section 8.2.2.3
            raise _Refused(Registration(Reason.EXTENSION, 420, headers=rows))

    def _address_of_record(self, value: str | None) -> tuple[Uri | None, str | None]:
        try:
            uri = NameAddr.parse(value or "").uri
        except DecodeError as problem:
            raise _bad(Reason.BAD_TO, problem.message) from None
        if not isinstance(uri, Uri) or uri.user is None:
            return None, None
        aor = canonical_aor(uri, self.settings.aliases)
        if aor is None or len(aor.encode("utf-8", "surrogateescape")) > MAX_AOR:
            return None, None
        return uri, aor

    def _path(self, request: Request) -> tuple[str, ...]:
        """The path vector (RFC 3327 section 5.3)."""
        path = tuple(request.headers.tokens("path"))
        if not path:
            return path
        if not self.settings.path_unasked and not supports(request, "path"):
            rows = (("Unsupported", "path"),)
            raise _Refused(Registration(Reason.PATH, 420, headers=rows))
        try:
            for value in path:
                if not isinstance(NameAddr.parse(value).uri, Uri):
                    raise _bad(Reason.BAD_CONTACT, f"{value[:80]!r} is no Path value")
        except DecodeError as problem:
            raise _bad(Reason.BAD_CONTACT, problem.message) from None
        if sum(map(len, path)) > MAX_CONTACT:
            raise _bad(Reason.BAD_CONTACT, f"a Path of more than {MAX_CONTACT} characters")
        return path

    def _contacts(self, request: Request, to: Uri, aor: str) -> tuple[bool, tuple[Wish, ...]]:
        headers = request.headers
        if "contact" not in headers:
            return False, ()
        try:
            contacts = NameAddr.parse_list(headers.all("contact"))
        except DecodeError as problem:
            raise _bad(Reason.BAD_CONTACT, problem.message) from None
        if not contacts:
            raise _bad(Reason.BAD_CONTACT, "Contact is empty")
        written = headers.get("expires")
        if any(contact.is_star for contact in contacts):
            if len(contacts) > 1 or written is None or _seconds(written, -1) != 0:
                raise _Refused(Registration(Reason.BAD_STAR, 400))
            return True, ()
        default = self.settings.default_expires
        expires = default if written is None else _seconds(written, default)
        return False, tuple(self._wish(contact, expires, to, aor) for contact in contacts)

    def _wish(self, contact: NameAddr, expires: int, to: Uri, aor: str) -> Wish:
        settings = self.settings
        params = contact.params
        try:
            uri = contact.uri
            q = contact.q
        except DecodeError as problem:
            raise _bad(Reason.BAD_CONTACT, problem.message) from None
        if len(contact.text) > MAX_CONTACT:
            raise _bad(Reason.BAD_CONTACT, f"a contact of more than {MAX_CONTACT} characters")
        asked = params.get("expires")
        if "expires" in params:
            expires = _seconds(asked or "", _MALFORMED)
        if 0 < expires < settings.min_expires:  # and so less than an hour: see Settings
            rows = (("Min-Expires", str(settings.min_expires)),)
            raise _Refused(Registration(Reason.TOO_BRIEF, 423, headers=rows))
        instance = instance_of(params.get("+sip.instance"))
        try:
            reg_id = reg_id_of(params.get("reg-id")) if instance and settings.outbound else 0
        except DecodeError as problem:
            raise _bad(Reason.BAD_FLOW, problem.message) from None
        if instance and expires and settings.gruu is not None:
            self._check_gruu(uri, to, aor)
        return Wish(
            contact=str(uri),
            uri=uri,
            expires=min(expires, settings.max_expires),
            q=q,
            parameters=str(params.without(*_OURS)),
            instance=instance,
            reg_id=reg_id,
        )

    def _check_gruu(self, uri: object, to: Uri, aor: str) -> None:
        """RFC 5627 section 5.1: no contact with a GRUU may lead back to its address-of-record."""
        maker = self.settings.gruu
        if not isinstance(uri, Uri) or maker is None:
            raise _Refused(Registration(Reason.GRUU, 403))
        gruu = maker.open(uri, self.settings.aliases)
        if uri.equivalent(to) or (gruu is not None and gruu.aor == aor):
            raise _Refused(Registration(Reason.GRUU, 403))

    def _flows(
        self, request: Request, wishes: tuple[Wish, ...], path: tuple[str, ...], first_hop: bool
    ) -> tuple[Wish, ...]:
        """RFC 5626 section 6: whether a reg-id counts."""
        if not any(wish.reg_id for wish in wishes):
            return wishes
        # Proxies add their values on top: the one the user agent passed first is the last.
        if not first_hop and not (path and "ob" in _uri_params(path[-1])):
            if supports(request, "outbound"):
                raise _Refused(
                    Registration(Reason.NO_OUTBOUND, 439, "First Hop Lacks Outbound Support")
                )
            return tuple(_without_flow(wish) for wish in wishes)
        staying = [wish for wish in wishes if wish.expires]
        if len(staying) > 1 and any(wish.reg_id for wish in staying):
            raise _bad(Reason.BAD_FLOW, "a reg-id beside a second contact")
        return wishes


def _without_flow(wish: Wish) -> Wish:
    return Wish(
        wish.contact, wish.uri, wish.expires, wish.q, wish.parameters, wish.instance, reg_id=0
    )


def _uri_params(path: str) -> frozenset[str]:
    uri = NameAddr.parse(path).uri
    return frozenset(uri.params) if isinstance(uri, Uri) else frozenset()


def _bad(reason: Reason, detail: str) -> _Refused:
    return _Refused(Registration(reason, 400, detail=detail))


def _seconds(text: str, malformed: int) -> int:
    """Delta-seconds; a number too large is the largest (section 10.2)."""
    text = text.strip(" \t")
    if text.isascii() and text.isdigit() and len(text.lstrip("0")) > 10:
        return (1 << 32) - 1
    try:
        return min(delta_seconds(text), (1 << 32) - 1)
    except DecodeError:
        return malformed


def _behind_nat(request: Request, flow: Flow) -> bool:
    # Another port is what a contact is for: RFC 3261 section 18.1.1 lets a user agent send from
    # any, and somebody else may register it.
    return bool(nat_signs(request, flow.remote) - {NatSign.CONTACT_PORT_DIFFERS})
