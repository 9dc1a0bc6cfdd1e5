"""One association, whichever back end carries it.

A full send buffer: what did not fit waits here, in order and bounded, and goes on as SACKs come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, ParamSpec

from .interface import AssociationSettings, AssociationStats, Handler

if TYPE_CHECKING:
    from .endpoint import Endpoint

__all__ = ["EndpointAssociation"]

_Arguments = ParamSpec("_Arguments")

_RESUME: Final = 256  # messages tried at a time when a full send buffer may have room again


class EndpointAssociation:
    """See ``interface.Association``; the methods after ``close`` are for the endpoint."""

    __slots__ = (
        "_closed",
        "_ending",
        "_endpoint",
        "_queue",
        "_stats",
        "_unreachable",
        "handler",
        "identifier",
        "settings",
        "up",
    )

    def __init__(self, endpoint: Endpoint, settings: AssociationSettings, handler: Handler) -> None:
        self.settings = settings
        self.handler = handler
        self.up = False
        self.identifier = 0
        """The implementation's, while up; 0 else."""
        self._endpoint = endpoint
        self._queue: deque[tuple[int, bytes]] = deque()
        self._stats = AssociationStats()
        self._unreachable: set[str] = set()
        self._ending = ""  # how, once the present association is to end
        self._closed = False

    def stats(self) -> AssociationStats:
        """Return the counters."""
        self._stats.queued = len(self._queue)
        return self._stats

    def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Queue a batch; what the send buffer has no room for waits here."""
        if not self.up or self._ending:
            self._stats.not_up += len(batch)
            return
        queue = self._queue
        host = self._endpoint.host
        if queue:
            queue.extend(batch)
        else:
            sent = self._transmit(batch)
            if sent < len(batch):
                queue.extend(batch[sent:])
                self._endpoint.wait_for_room(self)
        if len(queue) > host.settings.send_queue:
            self._stats.queue_full += 1
            self.abort()
        host.kick()

    def abort(self) -> None:
        """End the present association with an ABORT."""
        if self.up:
            self._ending = "aborted"
            self._endpoint.abort(self.identifier)

    def shutdown(self) -> None:
        """End it with SHUTDOWN, after all that was sent."""
        if self.up and not self._ending:
            self._ending = "shut down"
            if not self._queue:  # else resume() ends it when all has been handed over
                self._endpoint.shutdown(self.identifier)

    def close(self) -> None:
        """End for good."""
        if not self._closed:
            self._closed = True
            self._endpoint.remove(self)
            self.up = False
            self._forget()

    # -- for the endpoint

    def _transmit(self, batch: Sequence[tuple[int, bytes]]) -> int:
        """Hand messages over; return how many of them are done with."""
        done, octets, refused = self._endpoint.transmit(self, batch)
        stats = self._stats
        stats.messages_out += done - refused
        stats.octets_out += octets
        stats.send_failed += refused
        return done

    def resume(self) -> bool:
        """Go on with what waits; return whether something still does."""
        queue = self._queue
        while queue:
            batch = list(islice(queue, _RESUME))
            sent = self._transmit(batch)
            for _ in range(sent):
                queue.popleft()
            if sent < len(batch):
                return True
        if self._ending and self.up:
            self._endpoint.shutdown(self.identifier)
        return False

    def connect(self) -> None:
        """Try to set it up, unless it is up."""
        if not (self.up or self._closed):
            self._endpoint.connect(self)

    def came_up(self, identifier: int, now: float) -> None:
        """Note that it has been set up, as ``identifier``."""
        self.identifier = identifier
        self.up = True
        self._ending = ""
        self._stats.established += 1
        self._tell(self.handler.association_up, now)

    def went_down(self, reason: str, now: float) -> None:
        """Note that it is gone or could not be set up; try again after the back-off."""
        host = self._endpoint.host
        host.retry(self, now + host.settings.reconnect_delay)
        self.identifier = 0
        if not self.up:
            self._stats.failed_attempts += 1
            return
        self.up = False
        self._stats.lost += 1
        self._forget()
        self._tell(self.handler.association_down, now, self._ending or reason)

    def restarted(self, now: float) -> None:
        """Note that the peer has started anew (RFC 9260 5.2.4)."""
        self._stats.restarts += 1
        self._ending = ""
        self._forget()
        self._tell(self.handler.association_restart, now)

    def peer_leaves(self) -> None:
        """Take no more messages: the peer has begun to shut down."""
        self._ending = "shut down by the peer"

    def send_failed(self) -> None:
        """Count a message that came back."""
        self._stats.send_failed += 1

    def address_changed(self, address: str, reachable: bool, now: float) -> None:
        """Pass on what is news about one of the peer's addresses."""
        known = address not in self._unreachable
        if reachable != known:
            (self._unreachable.discard if reachable else self._unreachable.add)(address)
            self._tell(self.handler.path_changed, address, reachable, now)

    def deliver(self, batch: list[tuple[int, bytes]], wrong_ppid: int, now: float) -> None:
        """Hand over what arrived."""
        stats = self._stats
        stats.messages_in += len(batch)
        stats.octets_in += sum([len(data) for _, data in batch])
        stats.wrong_ppid += wrong_ppid
        if not self._closed:
            self._tell(self.handler.messages, batch, now)

    def _tell(
        self,
        method: Callable[_Arguments, None],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:  # a handler's fault must not cost the other links anything
            self._endpoint.host.report(error)

    def _forget(self) -> None:
        self._stats.send_failed += len(self._queue)
        self._queue.clear()
        self._unreachable.clear()
