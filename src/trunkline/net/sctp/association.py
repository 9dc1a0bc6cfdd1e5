"""One association on a one-to-many socket of libusrsctp: what ``udp`` and ``raw`` share.

Bundling without delay: the library either sends every message at once in a packet of its own
(SCTP_NODELAY) or, Nagle's way, holds the last ones back until a SACK comes. So a batch is handed
over with Nagle on, and before its last message Nagle is switched off: that message takes all that
waits along, in full packets.

A full send buffer: what did not fit waits here, in order and bounded, and goes on as SACKs come.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, ParamSpec

from .interface import AssociationSettings, AssociationStats, Handler
from .usrsctp import SCTP_ABORT, SCTP_EOF, SCTP_SENDV_SNDINFO, SNDINFO

if TYPE_CHECKING:
    from .endpoint import Endpoint

__all__ = ["LibraryAssociation"]

_Arguments = ParamSpec("_Arguments")

_OFF: Final = struct.pack("=i", 0)
_ON: Final = struct.pack("=i", 1)
_FULL: Final = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.ENOBUFS})
_RESUME: Final = 256  # messages tried at a time when a full send buffer may have room again


class LibraryAssociation:
    """See ``interface.Association``; the methods after ``close`` are for the endpoint."""

    __slots__ = (
        "_closed",
        "_ending",
        "_endpoint",
        "_infos",
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
        """The library's, while up."""
        self._endpoint = endpoint
        self._queue: deque[tuple[int, bytes]] = deque()
        self._stats = AssociationStats()
        self._infos: list[bytes] = []
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
                host.wait_for_room(self)
        if len(queue) > host.settings.send_queue:
            self._stats.queue_full += 1
            self.abort()
        host.kick()

    def abort(self) -> None:
        """End the present association with an ABORT."""
        if self.up:
            self._ending = "aborted"
            self._endpoint.end(self.identifier, SCTP_ABORT)

    def shutdown(self) -> None:
        """End it with SHUTDOWN, after all that was sent."""
        if self.up and not self._ending:
            self._ending = "shut down"
            if not self._queue:  # else resume() ends it when all has been handed over
                self._endpoint.end(self.identifier, SCTP_EOF)

    def close(self) -> None:
        """End for good."""
        if not self._closed:
            self._closed = True
            self._endpoint.remove(self)
            self.up = False
            self._forget()

    # -- for the endpoint

    def _transmit(self, batch: Sequence[tuple[int, bytes]]) -> int:
        """Hand messages to the library; return how many of them are done with."""
        endpoint = self._endpoint
        so, sendv, null = endpoint.so, endpoint.library.lib.usrsctp_sendv, endpoint.null
        infos, stats = self._infos, self._stats
        last = len(batch) - 1
        bundle = last > 0
        if bundle:
            endpoint.set_nodelay(_OFF)
        done = octets = 0
        for stream, data in batch:
            size = len(data)
            if bundle and done == last:
                endpoint.set_nodelay(_ON)
                bundle = False
            if sendv(so, data, size, null, 0, infos[stream], 16, SCTP_SENDV_SNDINFO, 0) < 0:
                if endpoint.library.ffi.errno in _FULL:
                    break
                # Gone already (the notification is on its way), or more than it can carry.
                stats.send_failed += 1
                size = 0
            octets += size
            done += 1
        if bundle:
            endpoint.set_nodelay(_ON)
        stats.messages_out += done
        stats.octets_out += octets
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
            self._endpoint.end(self.identifier, SCTP_EOF)
        return False

    def connect(self) -> None:
        """Try to set it up, unless it is up."""
        if not (self.up or self._closed):
            self._endpoint.connect(self)

    def came_up(self, identifier: int, now: float) -> None:
        """Note that the library has set it up, as ``identifier``."""
        self.identifier = identifier
        # The identifier travels as the user gave it (RFC 6458 5.3.4): network order is our part.
        ppid = int.from_bytes(self.settings.ppid.to_bytes(4, "big"), sys.byteorder)
        self._infos = [
            SNDINFO.pack(stream, 0, ppid, 0, identifier) for stream in range(self.settings.streams)
        ]
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
