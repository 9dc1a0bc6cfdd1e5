"""The clients that hold sessions, and are told when one of theirs has to end.

A switch that wants to be told opens its sessions by a connection that goes both ways (port 2014).
When the charging side ends one (``SessionSv1.ForceDisconnect``, or nobody asked for it within its
lease), the switch is called, as the reference calls it::

    {"method":"SessionSv1.DisconnectSession",
     "params":[{"EventStart":{…},"Reason":"FORCED_DISCONNECT"}],"id":1}

It answers ``OK``. What a client holds is forgotten when it goes: it opens them anew, or they end
with their lease. Left out: sessions that another process's client holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.net.jsonrpc import Peer

__all__ = ["Clients"]

_METHOD: Final = "SessionSv1.DisconnectSession"
_PATIENCE: Final = 5.0  # s for the client's answer


@dataclass(frozen=True, slots=True)
class _Held:
    peer: Peer
    event: Mapping[str, Json]
    """That which opened the session."""


class Clients:
    """Who holds which session, by the session's ID."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._of_peer: dict[Peer, set[str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, session: str, peer: Peer, event: Mapping[str, Json]) -> None:
        """Remember who asked for a session last, if it can be called."""
        if not peer.two_way or peer.closed:
            return
        before = self._held.get(session)
        if before is not None and before.peer is peer:
            return
        self.release(session)
        self._held[session] = _Held(peer, event if before is None else before.event)
        sessions = self._of_peer.get(peer)
        if sessions is None:
            sessions = self._of_peer[peer] = set()
            peer.on_close.append(lambda: self._gone(peer))
        sessions.add(session)

    def release(self, session: str) -> None:
        """Forget a session: it has ended."""
        held = self._held.pop(session, None)
        if held is not None:
            self._of_peer.get(held.peer, set()).discard(session)

    async def disconnect(self, session: str, reason: str) -> None:
        """Tell who holds a session that it has ended; nothing where nobody does.

        Raises:
            TrunklineError: ``charging.not-disconnected``: the client was told in vain.
        """
        held = self._held.get(session)
        if held is None:
            return
        self.release(session)
        argument: Json = {"EventStart": held.event, "Reason": reason}
        try:
            async with asyncio.timeout(_PATIENCE):
                await held.peer.call(_METHOD, argument)
        except TimeoutError:
            why = f"no answer within {_PATIENCE:g} s"
        except TrunklineError as problem:
            why = problem.message
        else:
            return
        host, port = held.peer.address
        raise TrunklineError(
            "charging.not-disconnected", f"{host}:{port} was told to end {session}: {why}"
        )

    def _gone(self, peer: Peer) -> None:
        for session in self._of_peer.pop(peer, set()):
            self._held.pop(session, None)
