"""The registrar: RFC 3261 section 10.3, with Path, Service-Route, Outbound and GRUU.

RFC 3327, 3608, 5626 and 5627. A pure function from a request and the bindings there are to an
answer and the bindings there are to be, in two steps, because a store stands between them::

    order = registrar.examine(request, flow=flow)         steps 1 to 6, without the bindings
    answer = order.apply(bindings, now, random)            steps 6 to 8

`apply` may be called as often as a store has to try: it changes nothing itself. Time is seconds
since the epoch.

Authentication comes before (`trunkline.sip.digest`); storage is `trunkline.store.location`'s.
"""

from trunkline.sip.binding import (
    Binding,
    Bindings,
    Change,
    Changed,
    canonical_aor,
    live,
    without_flow,
)
from trunkline.sip.registrar.order import Order, Registration, Wish
from trunkline.sip.registrar.request import Registrar
from trunkline.sip.registrar.settings import REASONS, Reason, Settings

__all__ = [
    "REASONS",
    "Binding",
    "Bindings",
    "Change",
    "Changed",
    "Order",
    "Reason",
    "Registrar",
    "Registration",
    "Settings",
    "Wish",
    "canonical_aor",
    "live",
    "without_flow",
]
