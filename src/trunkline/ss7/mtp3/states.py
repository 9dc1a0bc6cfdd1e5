"""States of links, linksets, routes and destinations, with the tables that move them.

Standards: ITU-T Q.704 clauses 3.2 to 3.4 (link states and their reasons), 3.5 (route), 3.6 and
11.2 (destination), 12.2 (link activation, restoration, deactivation). The words are the router
family's, so that ``show`` prints what its users know.

A pair of state and event that is not in a table is an error of ours, raised as
``mtp3.transition``; the tests show that nothing a peer or the level below can do leads there.

Left out: inhibited links (Q.704 10), signalling point restart (Q.704 9): a later issue; their
states join here.
"""

from __future__ import annotations

from enum import Enum, auto

from trunkline.errors import TrunklineError

__all__ = [
    "LINK_TABLE",
    "DestinationState",
    "LinkAction",
    "LinkEvent",
    "LinkState",
    "LinksetState",
    "ManagementState",
    "RouteState",
    "link_transition",
]


class LinkState(Enum):
    """A signalling link as level 3 sees it (Q.704 3.2)."""

    SHUTDOWN = "shutdown"
    """Deactivated by command; level 2 is stopped."""
    UNAVAIL = "unavail"
    """Level 2 is starting: alignment and proving."""
    TESTING = "testing"
    """Level 2 is in service; the signalling link test has not passed yet. No traffic."""
    AVAIL = "avail"
    BLOCKED = "blocked"
    """In service, but the other end reports a processor outage (Q.704 3.2.6)."""
    FAILED = "failed"
    """Out of service; it is started again when T17 has run out."""


class LinksetState(Enum):
    """A linkset: available while one of its links is."""

    AVAIL = "avail"
    UNAVAIL = "unavail"
    SHUTDOWN = "shutdown"


class RouteState(Enum):
    """A route: its linkset and what the neighbour said (Q.704 3.5)."""

    AVAIL = "avail"
    RESTRIC = "restric"
    """The neighbour restricted it (TFR). Set by a later issue; a route is never in it yet."""
    UNAVAIL = "unavail"


class ManagementState(Enum):
    """What the neighbour says of one route (Q.704 3.5, 13)."""

    ALLOWED = "allowed"
    RESTRICTED = "restricted"
    PROHIBITED = "prohibited"


class DestinationState(Enum):
    """Can messages be sent to a destination (Q.704 11.2)?"""

    UNKNOWN = "unknown"
    """No route covers it, or it has only just been configured."""
    ACCESSIBLE = "accessible"
    INACCESSIBLE = "inaccessible"
    RESTRICTED = "restricted"
    """Only over restricted routes; see :attr:`RouteState.RESTRIC`."""


class LinkEvent(Enum):
    """What moves a link."""

    ACTIVATE = auto()
    """``no shutdown``, or the link has just been configured."""
    DEACTIVATE = auto()
    """``shutdown`` of the link or its linkset."""
    IN_SERVICE = auto()
    OUT_OF_SERVICE = auto()
    REMOTE_OUTAGE = auto()
    REMOTE_RECOVERED = auto()
    TEST_PASSED = auto()
    TEST_FAILED = auto()
    ABANDON = auto()
    """The other end has changed over from this link while we still used it."""
    RESTART = auto()
    """T17 has run out."""


class LinkAction(Enum):
    """What a transition makes the router do."""

    START = auto()
    """Start level 2."""
    STOP = auto()
    """Stop level 2."""
    TEST = auto()
    """Start the signalling link test."""
    CARRY = auto()
    """Give the link its share of the traffic."""
    RETIRE = auto()
    """Take its traffic away: changeover if the linkset lives, diversion if not."""
    WRITE_OFF = auto()
    """Empty level 2's buffers and count them as lost: newer messages have gone another way."""
    RESTART_LATER = auto()
    """Start T17."""


_S, _E, _A = LinkState, LinkEvent, LinkAction
_Row = tuple[LinkState, tuple[LinkAction, ...], str]

LINK_TABLE: dict[tuple[LinkState, LinkEvent], _Row] = {
    # A link comes up.
    (_S.SHUTDOWN, _E.ACTIVATE): (_S.UNAVAIL, (_A.START,), "Q.704 12.2.2: initial alignment"),
    (_S.FAILED, _E.RESTART): (_S.UNAVAIL, (_A.START,), "Q.704 12.2.3: restoration, T17"),
    (_S.UNAVAIL, _E.IN_SERVICE): (_S.TESTING, (_A.TEST,), "Q.704 12.2.2, Q.707 2.2"),
    (_S.TESTING, _E.TEST_PASSED): (_S.AVAIL, (_A.CARRY,), "Q.704 12.2.2: the test succeeded"),
    # A link goes.
    (_S.UNAVAIL, _E.OUT_OF_SERVICE): (_S.FAILED, (_A.RESTART_LATER,), "Q.704 12.2.2: not aligned"),
    (_S.TESTING, _E.OUT_OF_SERVICE): (_S.FAILED, (_A.RESTART_LATER,), "Q.704 3.2.2"),
    (_S.AVAIL, _E.OUT_OF_SERVICE): (
        _S.FAILED,
        (_A.RETIRE, _A.RESTART_LATER),
        "Q.704 3.2.2: failure indication from level 2",
    ),
    (_S.BLOCKED, _E.OUT_OF_SERVICE): (
        _S.FAILED,
        (_A.WRITE_OFF, _A.RESTART_LATER),
        "Q.704 3.2.2, 5.6.2",
    ),
    (_S.TESTING, _E.TEST_FAILED): (_S.FAILED, (_A.STOP, _A.RESTART_LATER), "Q.707 2.2"),
    (_S.AVAIL, _E.TEST_FAILED): (
        _S.FAILED,
        (_A.STOP, _A.RETIRE, _A.RESTART_LATER),
        "Q.707 2.2: the periodic test failed twice",
    ),
    (_S.AVAIL, _E.ABANDON): (
        _S.FAILED,
        (_A.STOP, _A.RETIRE, _A.RESTART_LATER),
        "Q.704 5.3: a changeover order for a link still in use",
    ),
    (_S.TESTING, _E.ABANDON): (_S.FAILED, (_A.STOP, _A.RESTART_LATER), "Q.704 5.3"),
    (_S.BLOCKED, _E.ABANDON): (
        _S.FAILED,
        (_A.STOP, _A.WRITE_OFF, _A.RESTART_LATER),
        "Q.704 5.3, 5.6.2",
    ),
    # Processor outage at the other end: its level 3 is away, level 2 stays in service.
    (_S.AVAIL, _E.REMOTE_OUTAGE): (_S.BLOCKED, (_A.RETIRE,), "Q.704 3.2.6: link blocked"),
    (_S.TESTING, _E.REMOTE_OUTAGE): (_S.BLOCKED, (), "Q.704 3.2.6"),
    (_S.BLOCKED, _E.REMOTE_RECOVERED): (_S.TESTING, (_A.TEST,), "Q.704 3.2.7: link unblocked"),
    # By command, from everywhere.
    (_S.UNAVAIL, _E.DEACTIVATE): (_S.SHUTDOWN, (_A.STOP,), "Q.704 12.2.4: deactivation"),
    (_S.TESTING, _E.DEACTIVATE): (_S.SHUTDOWN, (_A.STOP,), "Q.704 12.2.4"),
    (_S.AVAIL, _E.DEACTIVATE): (_S.SHUTDOWN, (_A.STOP, _A.RETIRE), "Q.704 12.2.4"),
    (_S.BLOCKED, _E.DEACTIVATE): (_S.SHUTDOWN, (_A.STOP, _A.WRITE_OFF), "Q.704 12.2.4, 5.6.2"),
    (_S.FAILED, _E.DEACTIVATE): (_S.SHUTDOWN, (_A.STOP,), "Q.704 12.2.4"),
    # What changes nothing where it arrives. Level 2 may speak late, or twice.
    (_S.SHUTDOWN, _E.DEACTIVATE): (_S.SHUTDOWN, (), "already so"),
    **{
        (state, _E.ACTIVATE): (state, (), "already so")
        for state in LinkState
        if state is not _S.SHUTDOWN
    },
    (_S.SHUTDOWN, _E.IN_SERVICE): (_S.SHUTDOWN, (_A.STOP,), "level 2 was told to stop"),
    (_S.FAILED, _E.IN_SERVICE): (_S.FAILED, (_A.STOP,), "level 2 was told to stop"),
    (_S.TESTING, _E.IN_SERVICE): (_S.TESTING, (), "already so"),
    (_S.AVAIL, _E.IN_SERVICE): (_S.AVAIL, (), "already so"),
    (_S.BLOCKED, _E.IN_SERVICE): (_S.BLOCKED, (), "already so"),
    (_S.SHUTDOWN, _E.OUT_OF_SERVICE): (_S.SHUTDOWN, (), "the answer to our stop"),
    (_S.FAILED, _E.OUT_OF_SERVICE): (_S.FAILED, (), "already so; T17 is running"),
    **{
        (state, _E.REMOTE_OUTAGE): (state, (), "not in service here")
        for state in (_S.SHUTDOWN, _S.UNAVAIL, _S.FAILED, _S.BLOCKED)
    },
    **{
        (state, _E.REMOTE_RECOVERED): (state, (), "nothing was blocked")
        for state in LinkState
        if state is not _S.BLOCKED
    },
    (_S.AVAIL, _E.TEST_PASSED): (_S.AVAIL, (), "Q.707 2.2: the periodic test"),
    **{
        (state, _E.ABANDON): (state, (), "already out of use")
        for state in (_S.SHUTDOWN, _S.UNAVAIL, _S.FAILED)
    },
}
"""(state, event) to (next state, actions in order, clause)."""


def link_transition(state: LinkState, event: LinkEvent) -> _Row:
    """Return the row for ``event`` in ``state``; raises ``mtp3.transition`` if there is none."""
    try:
        return LINK_TABLE[state, event]
    except KeyError:
        raise TrunklineError(
            "mtp3.transition", f"a link that is {state.value} cannot take {event.name}"
        ) from None
