"""Bindings: what a location service holds of an address-of-record (RFC 3261 section 10.3).

A binding also has what its extensions store with it: the path vector (RFC 3327), instance and
reg-id (RFC 5626), and the flow over which the registration came, which is the way back through a
NAT. It goes into a database as one line of text (:meth:`Binding.dump`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from trunkline.errors import DecodeError
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.uri import AnyUri, TelUri, Uri

__all__ = [
    "Binding",
    "Bindings",
    "Change",
    "Changed",
    "canonical_aor",
    "dump_bindings",
    "hangs",
    "live",
    "load_bindings",
    "normal_instance",
    "without_flow",
]


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of an address-of-record. Times are seconds since the epoch."""

    contact: str
    """The contact's URI, as it was registered."""
    call_id: str
    cseq: int
    expires: float
    registered: float
    """When it was first registered."""
    refreshed: float
    q: float | None = None
    """Preference, 0 to 1 (section 20.10); ``None``: none was given."""
    parameters: str = ""
    """The contact's other parameters as registered, each with its semicolon."""
    instance: str = ""
    """The URN of ``+sip.instance`` (RFC 5626 section 4.1)."""
    reg_id: int = 0
    """0: no flow is registered; the contact's URI tells the binding from others."""
    path: tuple[str, ...] = ()
    """The path vector, next hop first (RFC 3327 section 5.3)."""
    flow: Flow | None = None
    """Over which the registration came."""
    node: str = ""
    """The process that has the flow: a connection's number means something to no other."""
    nat: bool = False
    """The registration showed that a NAT is between (`trunkline.sip.nat`)."""
    gruu: int = 0
    """Which temporary GRUUs of the instance are valid: those of this number (RFC 5627 5.1)."""
    user_agent: str = ""
    id: str = ""
    """Names this contact in registration events, as long as it is registered (RFC 3680 5.1)."""

    def as_dict(self) -> dict[str, object]:
        """Names and values, but for those that say nothing; ``flow`` as a list."""
        found: dict[str, object] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Flow):
                value = [value.transport.value, *value.remote, *value.local, value.connection]
            if value or name in _ALWAYS or (name == "q" and value is not None):
                found[name] = value
        return found

    def dump(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Binding:
        """The binding that :meth:`dump` wrote; what it does not know is passed over.

        Raises:
            DecodeError: ``sip.binding``.
        """
        try:
            return cls.of(json.loads(text))
        except (ValueError, RecursionError) as problem:
            raise _damaged(text) from problem

    @classmethod
    def of(cls, values: object) -> Binding:
        """The binding that :meth:`as_dict` gave; raises :class:`DecodeError` ``sip.binding``."""
        if not isinstance(values, Mapping):
            raise _damaged(values)
        found: dict[str, object] = {}
        for name in cls.__slots__:
            if name not in values:
                if name in _ALWAYS:
                    raise _damaged(values)
                continue
            value = values[name]
            if name == "path":
                if not isinstance(value, Sequence) or isinstance(value, str):
                    raise _damaged(values)
                value = tuple(str(part) for part in value)
            elif name == "flow":
                value = _flow(value)
            elif not isinstance(value, _KINDS[name]) or isinstance(value, bool) != (name == "nat"):
                raise _damaged(values)
            found[name] = value
        return cls(**found)  # type: ignore[arg-type]


_ALWAYS = frozenset(("contact", "call_id", "cseq", "expires", "registered", "refreshed"))
_NUMBERS = dict.fromkeys(("expires", "registered", "refreshed", "q"), (int, float))
_WHOLE = dict.fromkeys(("cseq", "reg_id", "gruu"), (int,))
_TEXTS = dict.fromkeys(
    ("contact", "call_id", "parameters", "instance", "node", "user_agent", "id"), (str,)
)
_KINDS: Mapping[str, tuple[type, ...]] = {**_NUMBERS, **_WHOLE, **_TEXTS, "nat": (bool,)}


def _damaged(text: object) -> DecodeError:
    return DecodeError("sip.binding", f"{str(text)[:80]!r} is no binding: remove it from the store")


def _flow(value: object) -> Flow:
    match value:
        case [str(transport), str(host), int(port), str(local), int(local_port), int(number)]:
            try:
                kind = Transport(transport)
            except ValueError:
                raise _damaged(value) from None
            return Flow(kind, (host, port), (local, local_port), number)
    raise _damaged(value)


Bindings = tuple[Binding, ...]
"""The bindings of one address-of-record, the oldest first."""


def dump_bindings(bindings: Iterable[Binding]) -> str:
    """Bindings as one line of JSON."""
    return json.dumps([binding.as_dict() for binding in bindings], separators=(",", ":"))


def load_bindings(text: str) -> Bindings:
    """What :func:`dump_bindings` wrote; raises :class:`DecodeError` ``sip.binding``."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _damaged(text) from problem
    if not isinstance(values, list):
        raise _damaged(text)
    return tuple(map(Binding.of, values))


def live(bindings: Iterable[Binding], now: float) -> Bindings:
    """Those that have not expired."""
    return tuple(binding for binding in bindings if binding.expires > now)


def hangs(binding: Binding) -> bool:
    """Whether it is called by the flow of its registration.

    That is so for Outbound, behind a NAT, and where the user agent opened a stream; not where a
    path leads to another element, whose flow it was.
    """
    if binding.flow is None or binding.path:
        return False
    return binding.reg_id != 0 or binding.nat or binding.flow.connection != 0


def without_flow(bindings: Iterable[Binding], flow: Flow, node: str) -> Bindings:
    """What is left of them when a flow has failed (RFC 5626 section 7, last paragraph).

    Those go that nothing else leads to: of Outbound, behind a NAT, or of a client of WebSocket,
    which nobody can connect to. Others keep their contact, which a new connection may lead to.
    """
    left = []
    for binding in bindings:
        if binding.flow != flow or binding.node != node or not hangs(binding):
            left.append(binding)
        elif not (binding.reg_id or binding.nat or flow.transport in _ONE_WAY):
            left.append(replace(binding, flow=None, node=""))
    return tuple(left)


_ONE_WAY = (Transport.WS, Transport.WSS)


class Change(Enum):
    """What happened to a contact, in the words of RFC 3680 section 5.1 (``event``)."""

    REGISTERED = "registered"
    REFRESHED = "refreshed"
    SHORTENED = "shortened"
    """Refreshed, to end earlier than before."""
    UNREGISTERED = "unregistered"
    EXPIRED = "expired"
    DEACTIVATED = "deactivated"
    """Ended by the network: its flow failed, or an operator removed it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An event of one contact."""

    change: Change
    binding: Binding
    """As it is now; of a contact that is gone, as it was."""


def normal_instance(urn: str) -> str:
    """An instance's URN as it is compared (RFC 5626 section 4.1; RFC 2141 section 5).

    ``urn:`` and the namespace are in lower case, of a UUID all of it.
    """
    parts = urn.split(":", 2)
    if len(parts) < 3 or parts[0].lower() != "urn":
        return urn
    name = parts[1].lower()
    return f"urn:{name}:{parts[2].lower() if name == 'uuid' else parts[2]}"


def canonical_aor(uri: AnyUri, aliases: Mapping[str, str] | None = None) -> str | None:
    """The key of an address-of-record (RFC 3261 section 10.3 step 5); ``None`` if it can be none.

    Parameters, password, headers and port go, escapes are decoded, the host is in lower case, and
    ``sips:`` counts as ``sip:``: both name the same user. A telephone number is itself.

    Args:
        uri: of To, or of a request to be routed.
        aliases: host to the domain that it stands for.
    """
    if isinstance(uri, TelUri):
        return f"tel:{uri.digits}"
    if not isinstance(uri, Uri):
        return None
    host = uri.host.rstrip(".")
    if aliases is not None:
        host = aliases.get(host, host)
    user = uri.username
    host = f"[{host}]" if ":" in host else host
    return f"sip:{host}" if user is None else f"sip:{user}@{host}"
