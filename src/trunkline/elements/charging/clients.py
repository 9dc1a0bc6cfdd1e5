"""The clients that hold sessions, and are told when one of theirs has to end.

A switch that wants to be told opens its sessions by a connection that goes both ways (port 2014).
When the charging side ends one (``SessionSv1.ForceDisconnect``, its money is over, nobody asked for
it within its lease), the switch is called, as the reference calls it::

    {"method":"SessionSv1.DisconnectSession",
     "params":[{"EventStart":{…},"Reason":"FORCED_DISCONNECT"}],"id":1}

It answers ``OK``. What a client holds is forgotten when it goes, or when the node is started anew:
then every switch that is there is asked to end the session, and one of them answers ``OK``. A
session that another process's client holds, that process ends (see ``steps``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from trunkline.charging.sessions import Session, session_id
from trunkline.elements.charging.steps import LEASE
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.net.jsonrpc import Peer

__all__ = ["Clients", "Untold"]

_METHOD: Final = "SessionSv1.DisconnectSession"
_ASK: Final = "SessionSv1.GetActiveSessionIDs"
_PATIENCE: Final = 5.0  # s for the client's answer
_AT_ONCE: Final = 64  # calls of one client that wait for their answer


class Untold(TrunklineError):  # noqa: N818 - the session is
    """``charging.not-disconnected``: a client was told in vain.

    ``again``: it did not answer, and may do so later; else it has refused.
    """

    def __init__(self, session: Session, told: Iterable[str], *, again: bool) -> None:
        super().__init__(
            "charging.not-disconnected",
            f"the end of session {session.origin_id} was told in vain: {'; '.join(told)}",
        )
        self.again = again


@dataclass(frozen=True, slots=True)
class _Held:
    peer: Peer
    event: Mapping[str, Json]
    """That which opened the session."""
    until: float
    """After this time the session has ended, whoever ended it."""


class Clients:
    """Who holds which session, by the session's ID.

    Args:
        switches: gives the connections on which somebody can be called.
        lease: s; a session lives so long after it was asked for last.
        clock: the present time, in seconds, which only goes forward.
    """

    def __init__(
        self,
        switches: Callable[[], Iterable[Peer]] = tuple,
        lease: float = LEASE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._switches = switches
        self._lease = lease
        self._clock = clock
        self._held: dict[str, _Held] = {}
        """Who was heard of first, first."""
        self._of_peer: dict[Peer, set[str]] = {}
        self._turns: WeakKeyDictionary[Peer, asyncio.Semaphore] = WeakKeyDictionary()

    def __contains__(self, session: str) -> bool:
        return session in self._held

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, session: str, peer: Peer, event: Mapping[str, Json]) -> None:
        """Remember who asked for a session last, if it can be called."""
        if not peer.two_way or peer.closed:
            return
        now = self._clock()
        before = self._held.get(session)
        self.release(session)
        opening = event if before is None else before.event
        self._held[session] = _Held(peer, opening, now + self._lease)
        sessions = self._of_peer.get(peer)
        if sessions is None:
            sessions = self._of_peer[peer] = set()
            peer.on_close.append(lambda: self._gone(peer))
        sessions.add(session)
        while (first := next(iter(self._held))) and self._held[first].until < now:
            self.release(first)

    def release(self, session: str) -> None:
        """Forget a session: it has ended."""
        held = self._held.pop(session, None)
        if held is not None:
            self._of_peer.get(held.peer, set()).discard(session)

    async def disconnect(self, session: Session, reason: str) -> bool:
        """Tell who holds a session that it has ended; where nobody does, all who can be told.

        Returns whether anybody was there.

        Raises:
            Untold: nobody has understood.
        """
        held = self._held.get(session.id)
        if held is not None:
            self.release(session.id)
            why, answered = await self._tell(held.peer, held.event, reason)
            if why:
                raise Untold(session, [why], again=not answered)
            return True
        event = session.runs[0].event if session.runs else {}
        peers = [peer for peer in self._switches() if peer.two_way and not peer.closed]
        told = await asyncio.gather(*(self._tell(peer, event, reason) for peer in peers))
        if told and all(why for why, _ in told):
            raise Untold(session, [why for why, _ in told], again=True)
        return bool(told)

    async def _tell(self, peer: Peer, event: Mapping[str, Json], reason: str) -> tuple[str, bool]:
        """Tell a client to end a session; why it did not, empty if it did, and if it answered."""
        argument: Json = {"EventStart": event, "Reason": reason}
        answered = False
        try:
            async with self._turns.setdefault(peer, asyncio.Semaphore(_AT_ONCE)):
                async with asyncio.timeout(_PATIENCE):
                    await peer.call(_METHOD, argument)
        except TimeoutError:
            why = f"no answer within {_PATIENCE:g} s"
        except TrunklineError as problem:
            why, answered = problem.message, problem.code == "rpc.error"
        else:
            return "", True
        host, port = peer.address
        return f"{host}:{port}: {why}", answered

    async def asked(self) -> list[tuple[list[str], set[str]]]:
        """For each client that answers: the sessions that it held, and those that it knows."""
        held = {peer: list(sessions) for peer, sessions in self._of_peer.items()}
        known = await asyncio.gather(*map(self._known, held))
        found = zip(held.values(), known, strict=True)
        return [(sessions, own) for sessions, own in found if own is not None]

    async def _known(self, peer: Peer) -> set[str] | None:
        """The sessions that a client says it has; ``None``: it says nothing."""
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await peer.call(_ASK, "")
        except (TimeoutError, TrunklineError):
            return None
        return {
            session_id(str(each.get("OriginID", "")), str(each.get("OriginHost", "")))
            for each in (answer if isinstance(answer, list) else ())
            if isinstance(each, Mapping)
        }

    def _gone(self, peer: Peer) -> None:
        for session in self._of_peer.pop(peer, set()):
            self._held.pop(session, None)
