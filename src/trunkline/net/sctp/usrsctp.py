"""libusrsctp (Debian's libusrsctp2, 0.9.5) by cffi's ABI mode: no compiler, CPython and PyPy.

Only the binding: the functions with their C signatures, the options as octets, and the one
process-wide initialization. The option and information structures are RFC 6458's (its sections
5.3 and 8.1) in this library's layout: native byte order, addresses as 128-octet
``sockaddr_storage``, association identifiers of 32 bits. Each packer's size was checked against
the compiled library.

The library keeps its state in globals, so a process runs it in one of two ways, for good:

- *nothreads*: it owns no socket and no thread; packets go in by ``usrsctp_conninput`` and come out
  by the output callback, time passes when ``usrsctp_handle_timers`` says so (``udp.py``);
- *threads*: it owns raw IP sockets and runs its own receive and timer threads (``raw.py``).
"""

from __future__ import annotations

import functools
import os
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from trunkline.errors import TrunklineError

from .interface import Settings
from .notifications import USRSCTP

try:
    from cffi import FFI
except ImportError as error:  # a bare interpreter: the kernel back end works without
    raise TrunklineError(
        "sctp.no-backend",
        "libusrsctp needs Python's cffi, which is not installed: pip install cffi",
    ) from error

if TYPE_CHECKING:
    from _cffi_backend import _CDataBase as CData

__all__ = ["AF_CONN", "Functions", "Library", "load", "packed_sockaddr_conn"]

AF_CONN: Final = 123
SOCK_SEQPACKET: Final = 5
IPPROTO_SCTP: Final = 132
MSG_EOR: Final = 0x80  # the system's own (Linux)
MSG_NOTIFICATION: Final = 0x2000

# Socket options (RFC 6458 section 8) by this library's numbers.
SCTP_RTOINFO: Final = 0x01
SCTP_ASSOCINFO: Final = 0x02
SCTP_INITMSG: Final = 0x03
SCTP_NODELAY: Final = 0x04
SCTP_PEER_ADDR_PARAMS: Final = 0x0A
SCTP_DELAYED_SACK: Final = 0x0F
SCTP_FRAGMENT_INTERLEAVE: Final = 0x10
SCTP_EVENT: Final = 0x1E
SCTP_RECVRCVINFO: Final = 0x1F
SCTP_GET_NONCE_VALUES: Final = 0x1105

SCTP_SENDV_SNDINFO: Final = 1
BINDX_ADD: Final = 0x8001
SCTP_ABORT: Final = 0x0200
SCTP_EOF: Final = 0x0100

_SPP_HB_ENABLE: Final = 0x01
_SPP_PMTUD_DISABLE: Final = 0x10
_SS_FIRST_COME: Final = 5

_CDEF: Final = """
struct socket;
struct sockaddr_conn { uint16_t family; uint16_t port; uintptr_t addr; };
void usrsctp_init(uint16_t port, void *out, void *debug);
void usrsctp_init_nothreads(uint16_t port,
    int (*out)(uintptr_t addr, void *buffer, size_t length, uint8_t tos, uint8_t set_df),
    void *debug);
struct socket *usrsctp_socket(int domain, int type, int protocol, void *receive_cb,
    void *send_cb, uint32_t sb_threshold, void *ulp_info);
int usrsctp_bind(struct socket *so, const char *name, uint32_t namelen);
int usrsctp_bindx(struct socket *so, const char *addrs, int addrcnt, int flags);
int usrsctp_listen(struct socket *so, int backlog);
int usrsctp_connect(struct socket *so, const char *name, uint32_t namelen);
int usrsctp_connectx(struct socket *so, const char *addrs, int addrcnt, uint32_t *id);
void usrsctp_close(struct socket *so);
int usrsctp_setsockopt(struct socket *so, int level, int name, const char *value, uint32_t len);
int usrsctp_getsockopt(struct socket *so, int level, int name, void *value, uint32_t *len);
ssize_t usrsctp_sendv(struct socket *so, const char *data, size_t len, void *to, int addrcnt,
    const char *info, uint32_t infolen, unsigned int infotype, int flags);
ssize_t usrsctp_recvv(struct socket *so, void *data, size_t len, void *from, uint32_t *fromlen,
    void *info, uint32_t *infolen, unsigned int *infotype, int *flags);
int usrsctp_set_non_blocking(struct socket *so, int onoff);
int usrsctp_set_upcall(struct socket *so,
    void (*upcall)(struct socket *so, uintptr_t arg, int flags), uintptr_t arg);
int usrsctp_get_events(struct socket *so);
void usrsctp_conninput(uintptr_t addr, const char *buffer, size_t length, uint8_t ecn_bits);
void usrsctp_register_address(uintptr_t addr);
void usrsctp_deregister_address(uintptr_t addr);
void usrsctp_handle_timers(uint32_t elapsed_milliseconds);
void usrsctp_enable_crc32c_offload(void);
void usrsctp_disable_crc32c_offload(void);

struct receive_state {
    uint32_t fromlen; uint32_t infolen; unsigned int infotype; int flags;
    char from[32]; char info[32];
};

int getpid(void);
"""

_SYSCTLS: Final = (
    "sctp_sendspace",
    "sctp_recvspace",
    "sctp_ecn_enable",
    "sctp_pr_enable",
    "sctp_auth_enable",
    "sctp_asconf_enable",
    "sctp_reconfig_enable",
    "sctp_nrsack_enable",
    "sctp_pktdrop_enable",
    "sctp_no_csum_on_loopback",
    "sctp_max_chunks_on_queue",
    "sctp_max_burst_default",
    "sctp_path_pf_threshold",
    "sctp_default_ss_module",
    "sctp_blackhole",
)

_NAMES: Final = ("libusrsctp.so.2", "libusrsctp.so.1", "libusrsctp.so", "libusrsctp.dylib")

Output = Callable[[int, "CData", int, int, int], int]


def packed_sockaddr_conn(address: int, port: int) -> bytes:
    """``struct sockaddr_conn``: family, port in network order, the registered address."""
    return struct.pack("=H2s4xQ", AF_CONN, port.to_bytes(2, "big"), address)


class Functions(Protocol):
    """The C functions of a loaded library, with the signatures of ``_CDEF``."""

    def __getattr__(self, name: str) -> Callable[..., int]: ...


class Library:
    """The loaded library and how it was started. Get it from ``load``."""

    def __init__(self) -> None:
        self.ffi: Final = FFI()
        self.ffi.cdef(
            _CDEF
            + "".join(f"int usrsctp_sysctl_set_{name}(uint32_t value);\n" for name in _SYSCTLS)
        )
        self.libc: Final = cast(Functions, self.ffi.dlopen(None))
        for name in _NAMES:
            try:
                # Its threads outlive the interpreter: it must never be unloaded under them.
                self.lib = cast(Functions, self.ffi.dlopen(name, os.RTLD_NOW | os.RTLD_NODELETE))
                break
            except OSError:
                continue
        else:
            raise TrunklineError(
                "sctp.no-backend",
                "no SCTP here: this system's kernel has none that we may use, and the library"
                " libusrsctp is not installed. Install the package libusrsctp2"
                " (apt install libusrsctp2)",
            )
        self.mode: str | None = None
        self._timers_at = 0.0
        self._output: object = None

    def start_without_threads(self, output: Output) -> None:
        """Start in AF_CONN mode; ``output`` is called for every packet that is to leave."""
        if self._started("nothreads"):
            return
        callback = self.ffi.callback(
            "int(uintptr_t, void *, size_t, uint8_t, uint8_t)", output, error=0
        )
        self._output = callback
        self.lib.usrsctp_init_nothreads(0, callback, self.ffi.NULL)
        self.lib.usrsctp_disable_crc32c_offload()  # real checksums: a peer and a capture look
        self._timers_at = time.monotonic()

    def start_with_threads(self) -> None:
        """Start in raw IP mode (protocol 132), the library's own sockets and threads."""
        if self._started("threads"):
            return
        self.lib.usrsctp_init(0, self.ffi.NULL, self.ffi.NULL)

    def _started(self, mode: str) -> bool:
        if self.mode not in (None, mode):
            raise TrunklineError(
                "sctp.one-mode",
                "libusrsctp serves one process either raw or over UDP, not both:"
                " use one back end per process",
            )
        started, self.mode = self.mode is not None, mode
        return started

    def configure(self, settings: Settings, *, blackhole: int) -> None:
        """Set the process-wide variables; extensions that no peer here uses are off."""
        for name, value in (
            ("sctp_sendspace", settings.send_buffer),
            ("sctp_recvspace", settings.receive_buffer),
            ("sctp_ecn_enable", 0),
            ("sctp_pr_enable", 0),
            ("sctp_auth_enable", 0),
            ("sctp_asconf_enable", 0),
            ("sctp_reconfig_enable", 0),
            ("sctp_nrsack_enable", 0),
            ("sctp_pktdrop_enable", 0),
            ("sctp_no_csum_on_loopback", 0),
            # The bound is the send buffer; the default of 512 chunks is half a wake-up's worth.
            ("sctp_max_chunks_on_queue", 1 << 20),
            ("sctp_max_burst_default", settings.max_burst),
            # A path is potentially failed (RFC 7829) after the first HEARTBEAT that stays
            # unanswered, and is then asked every RTO: an idle link's cut is found about as fast
            # as a busy one's.
            ("sctp_path_pf_threshold", 0),
            # First come, first served: streams leave in the order in which they were filled.
            ("sctp_default_ss_module", _SS_FIRST_COME),
            ("sctp_blackhole", blackhole),
        ):
            getattr(self.lib, "usrsctp_sysctl_set_" + name)(value)

    def socket(
        self, family: int, settings: Settings, streams: int, *, paths: int, mtu: int
    ) -> CData:
        """Return a new one-to-many socket, non-blocking, with every option set."""
        ffi, lib = self.ffi, self.lib
        null = ffi.NULL
        create = cast("Callable[..., CData]", lib.usrsctp_socket)
        so = create(family, SOCK_SEQPACKET, IPPROTO_SCTP, null, null, 0, null)
        if so == null:
            raise self.error("socket")
        lib.usrsctp_set_non_blocking(so, 1)
        for option, value in _options(settings, streams, paths, mtu):
            if lib.usrsctp_setsockopt(so, IPPROTO_SCTP, option, value, len(value)) < 0:
                raise self.error(f"setsockopt {option:#x}")
        return so

    def error(self, what: str) -> TrunklineError:
        """Return the error for a call that has just failed."""
        number = self.ffi.errno
        return TrunklineError("sctp.library", f"libusrsctp: {what} failed: {os.strerror(number)}")

    def advance_timers(self) -> None:
        """Tell the library how much time has passed since the last call."""
        now = time.monotonic()
        milliseconds = int((now - self._timers_at) * 1000)
        if milliseconds > 0:
            self._timers_at += milliseconds / 1000
            self.lib.usrsctp_handle_timers(milliseconds)


def _options(settings: Settings, streams: int, paths: int, mtu: int) -> list[tuple[int, bytes]]:
    def ms(seconds: float) -> int:
        return round(seconds * 1000)

    s = settings
    path_max_retrans = s.path_max_retrans if paths > 1 else s.association_max_retrans
    pmtud = _SPP_PMTUD_DISABLE if mtu else 0
    return [
        # srto_assoc_id, srto_initial, srto_max, srto_min (8.1.1)
        (SCTP_RTOINFO, struct.pack("=IIII", 0, ms(s.rto_initial), ms(s.rto_max), ms(s.rto_min))),
        # assoc id, peer and local rwnd (read only), cookie life, max retrans, destinations (8.1.2)
        (SCTP_ASSOCINFO, struct.pack("=IIIIHH", 0, 0, 0, 0, s.association_max_retrans, 0)),
        # outbound, inbound streams, attempts, largest INIT time-out (8.1.3)
        (
            SCTP_INITMSG,
            struct.pack("=HHHH", streams, streams, s.init_max_attempts, ms(s.rto_max)),
        ),
        (SCTP_NODELAY, struct.pack("=i", 1)),  # 8.1.5
        # address, assoc id, heartbeat, path MTU, flags, flow label, max retrans, DSCP (8.1.12)
        (
            SCTP_PEER_ADDR_PARAMS,
            struct.pack(
                "=128sIIIIIHBx",
                bytes(128),
                0,
                ms(s.heartbeat),
                mtu,
                _SPP_HB_ENABLE | pmtud,
                0,
                path_max_retrans,
                0,
            ),
        ),
        # assoc id, delay, frequency (8.1.19)
        (SCTP_DELAYED_SACK, struct.pack("=III", 0, ms(s.sack_delay), s.sack_frequency)),
        (SCTP_RECVRCVINFO, struct.pack("=i", 1)),  # 8.1.29
        # assoc id, type, on (6.2.2)
        *((SCTP_EVENT, struct.pack("=IHBx", 0, kind, 1)) for kind in USRSCTP.types()),
    ]


@functools.cache
def load() -> Library:
    """Return the process's library; ``sctp.no-backend`` names the package if it is missing."""
    return Library()
