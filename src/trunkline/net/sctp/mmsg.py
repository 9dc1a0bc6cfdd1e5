"""Many datagrams per system call: recvmmsg and sendmmsg on buffers made once.

The kernel's structures are filled in once; per datagram only a length (and, where it changed, a
destination) is written, through memoryviews: an item assignment costs a third of a field access
through cffi. Linux, 64-bit: ``struct mmsghdr`` is 64 octets there, ``struct iovec`` 16.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from .usrsctp import Library

if TYPE_CHECKING:
    from _cffi_backend import _CDataBase as CData

__all__ = ["Receiver", "Sender"]

_MMSGHDR: Final = 64
_MSG_LEN: Final = 56 // 4  # word of mmsghdr that holds msg_len
_MSG_DONTWAIT: Final = 0x40
_LARGEST: Final = 65536
_STRIDE: Final = _LARGEST + 4096 + 64  # not a power of two: keeps slots off one another's lines


def _uncleared(library: Library, size: int) -> CData:
    """Return memory whose pages exist only once a datagram has touched them."""
    return library.ffi.new_allocator(should_clear_after_alloc=False)("char[]", size)


class Receiver:
    """Receives up to ``count`` datagrams per call. Shared by the sockets of one process."""

    def __init__(self, library: Library, count: int = 64) -> None:
        ffi = library.ffi
        self.count: Final = count
        self._recvmmsg = library.libc.recvmmsg
        self._ffi = ffi
        self._arena = _uncleared(library, count * _STRIDE)
        self._names = ffi.new("char[]", count * 16)
        self._iovecs = ffi.new("struct iovec[]", count)
        self._messages = ffi.new("struct mmsghdr[]", count)
        self.slots: Final[list[CData]] = []
        """The datagrams, in place."""
        for index in range(count):
            slot = self._arena + index * _STRIDE
            self.slots.append(slot)
            self._iovecs[index].iov_base = slot
            self._iovecs[index].iov_len = _LARGEST
            header = self._messages[index].msg_hdr
            header.msg_name = self._names + index * 16
            header.msg_namelen = 16
            header.msg_iov = self._iovecs + index
            header.msg_iovlen = 1
        words = memoryview(ffi.buffer(self._messages, count * _MMSGHDR)).cast("B").cast("I")
        self._lengths = words[_MSG_LEN :: _MMSGHDR // 4]
        # sockaddr_in: family, port, address, 8 octets of zero. Family, port and address in one
        # number are the datagram's source.
        self._sources = memoryview(ffi.buffer(self._names, count * 16)).cast("B").cast("Q")[::2]

    def receive(self, fd: int) -> int:
        """Return how many datagrams were read; 0 when none waits."""
        count = self._recvmmsg(fd, self._messages, self.count, _MSG_DONTWAIT, self._ffi.NULL)
        return max(count, 0)

    def lengths(self, count: int) -> list[int]:
        """Return the first ``count`` datagrams' lengths."""
        return self._lengths[:count].tolist()

    def sources(self, count: int) -> list[int]:
        """Return where they came from: the first 8 octets of ``sockaddr_in``, native order."""
        return self._sources[:count].tolist()


class Sender:
    """Collects datagrams for one socket and sends them together."""

    def __init__(self, library: Library, fd: int, size: int, count: int = 64) -> None:
        ffi = library.ffi
        self.pending = 0
        """Datagrams collected and not yet sent."""
        self.sent = 0
        self.errors = 0
        self.size: Final = size
        """Largest datagram."""
        self._count = count
        self._fd = fd
        self._ffi = ffi
        self._memmove = ffi.memmove
        self._sendmmsg = library.libc.sendmmsg
        stride = (size + 127) // 64 * 64
        self._arena = _uncleared(library, count * stride)
        self._names = ffi.new("char[]", count * 16)
        self._iovecs = ffi.new("struct iovec[]", count)
        self._messages = ffi.new("struct mmsghdr[]", count)
        self._slots: list[CData] = []
        for index in range(count):
            slot = self._arena + index * stride
            self._slots.append(slot)
            self._iovecs[index].iov_base = slot
            header = self._messages[index].msg_hdr
            header.msg_name = self._names + index * 16
            header.msg_namelen = 16
            header.msg_iov = self._iovecs + index
            header.msg_iovlen = 1
        iovecs = memoryview(ffi.buffer(self._iovecs, count * 16)).cast("B").cast("Q")
        self._lengths = iovecs[1::2]
        self._destinations = memoryview(ffi.buffer(self._names, count * 16)).cast("B").cast("Q")

    def add(self, destination: int, data: CData, length: int) -> None:
        """Copy one datagram in, for ``destination`` (as in ``Receiver.sources``)."""
        index = self.pending
        self._memmove(self._slots[index], data, length)
        self._lengths[index] = length
        self._destinations[index + index] = destination
        self.pending = index + 1
        if index + 1 == self._count:
            self.flush()

    def flush(self) -> None:
        """Send everything collected.

        A datagram that the system refuses is counted and skipped: to SCTP it is a lost packet.
        """
        count, self.pending = self.pending, 0
        done = 0
        while done < count:
            sent = self._sendmmsg(self._fd, self._messages + done, count - done, _MSG_DONTWAIT)
            if sent > 0:
                done += sent
                self.sent += sent
            elif sent < 0 and self._ffi.errno == errno.EINTR:
                continue
            else:
                done += 1
                self.errors += 1
