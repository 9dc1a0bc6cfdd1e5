"""libusrsctp on raw IP sockets, protocol 132: real, multihomed SCTP without the kernel's; for root.

Here the library owns the sockets and runs its own receive and timer threads. It tells a thread of
its own that something waits (an *upcall*); that only sets an eventfd, and all reading, sending and
calling of handlers stays on the loop.

A raw socket sees every SCTP packet of the machine, so there is one such process per machine or
network namespace: packets for associations it does not know are answered with ABORT (RFC 9260 8.4).

Left out: ``block`` (cut the network namespace's links instead).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

from trunkline.errors import TrunklineError

from .addresses import packed_sockaddr_in
from .association import EndpointAssociation
from .host import Host
from .interface import AssociationSettings, Handler, Settings, Tap
from .library_endpoint import LibraryEndpoint
from .sniff import Sniffer
from .usrsctp import BINDX_ADD, load

if TYPE_CHECKING:
    from _cffi_backend import _CDataBase as CData

__all__ = ["RawStack"]

_IPPROTO_SCTP: Final = 132
_TICK: Final = 0.1
_UPCALL: Final = "void(*)(struct socket *, uintptr_t, int)"


class RawStack(Host):
    """The ``raw`` back end; see ``interface.Stack``."""

    backend: Final = "raw"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, tap: Tap | None = None
    ) -> None:
        super().__init__(loop, settings)
        self.library: Final = load()
        try:
            socket.socket(socket.AF_INET, socket.SOCK_RAW, _IPPROTO_SCTP).close()
        except OSError:
            raise TrunklineError(
                "sctp.raw-privilege", "raw SCTP takes root: run as root or choose the back end udp"
            ) from None
        self.library.start_with_threads()
        self.library.configure(settings, blackhole=0)
        self._endpoints: dict[tuple[tuple[str, ...], int], LibraryEndpoint] = {}
        self._sniffer = Sniffer(loop, self.stats)
        self._sniffer.set_tap(tap)
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._signalled = False
        self._closed = False
        self._upcall = self.library.ffi.callback(_UPCALL, self._called_up)
        loop.add_reader(self._event, self._readable)
        self._timer = loop.call_later(_TICK, self._tick)

    def open(self, settings: AssociationSettings, handler: Handler) -> EndpointAssociation:
        """Listen for this peer and connect to it."""
        key = settings.local, settings.local_port
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            endpoint = self._endpoint(settings)
            self._sniffer.add(settings.local)
        return endpoint.open(settings, handler)

    def _endpoint(self, settings: AssociationSettings) -> LibraryEndpoint:
        library, lib = self.library, self.library.lib
        local, port = settings.local, settings.local_port
        so = library.socket(
            socket.AF_INET, self.settings, settings.streams, paths=len(settings.remote), mtu=0
        )
        packed = b"".join(packed_sockaddr_in(address, port) for address in local)
        if (
            lib.usrsctp_bindx(so, packed, len(local), BINDX_ADD) < 0
            or lib.usrsctp_listen(so, 1) < 0
        ):
            reason = os.strerror(library.ffi.errno)
            lib.usrsctp_close(so)
            raise TrunklineError(
                "sctp.bind", f"cannot listen on {', '.join(local)} SCTP port {port}: {reason}"
            )
        lib.usrsctp_set_upcall(so, self._upcall, 0)
        endpoint = self._endpoints[local, port] = LibraryEndpoint(
            self,
            library,
            so,
            key_length=8,
            on_close=lambda so: self._closing((local, port), so),
        )
        return endpoint

    def _closing(self, key: tuple[tuple[str, ...], int], so: CData) -> None:
        del self._endpoints[key]
        self._silence(so)

    def _silence(self, so: CData) -> None:
        # The library's threads outlive the interpreter, and there is no taking an upcall back: a
        # C function that ignores its arguments takes its place.
        library = self.library
        harmless = library.ffi.addressof(library.libc, "getpid")  # type: ignore[arg-type]
        library.lib.usrsctp_set_upcall(so, library.ffi.cast(_UPCALL, harmless), 0)

    def set_tap(self, tap: Tap | None) -> None:
        """Show every packet to ``tap``; ``None`` ends it."""
        self._sniffer.set_tap(tap)

    def block(self, local: str, remote: str, blocked: bool) -> None:
        """Not possible here: raises ``sctp.block``."""
        raise TrunklineError(
            "sctp.block",
            "packets cannot be dropped inside raw SCTP: take the link down with"
            " `ip link set DEV down`, or use the back end udp",
        )

    def kick(self) -> None:
        """Nothing to do: the library sends at once."""

    def close(self) -> None:
        """Abort every association and close the sockets."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        self._sniffer.close()
        for endpoint in tuple(self._endpoints.values()):
            endpoint.close()
        self.loop.remove_reader(self._event)
        os.close(self._event)
        self.forget_all()

    # -- one wake-up

    def _called_up(self, so: object, argument: int, flags: int) -> None:
        """Note, on a thread of the library, that a socket has something to tell."""
        if not self._signalled and not self._closed:
            self._signalled = True
            os.eventfd_write(self._event, 1)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        self._signalled = False  # before draining: what comes from now on signals again
        self.stats.wakeups += 1
        self._drain()

    def _drain(self) -> None:
        now = time.monotonic()
        for endpoint in tuple(self._endpoints.values()):
            endpoint.drain(now)
        if self._waiting:
            self.resume_waiting()

    def _tick(self) -> None:
        self._timer = self.loop.call_later(_TICK, self._tick)
        self._drain()
        self.retry_due(time.monotonic())
