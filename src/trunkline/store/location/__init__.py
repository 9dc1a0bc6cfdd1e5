"""The location service: the bindings of every address-of-record (RFC 3261 section 10).

`interface` says what one can do, `memory` does it for one process, `sql` and `redis` for several.
Keys of addresses-of-record are :func:`trunkline.sip.binding.canonical_aor`'s.
"""

from trunkline.store.location.interface import Compute, Count, Gone, Location
from trunkline.store.location.memory import MemoryLocation

__all__ = ["Compute", "Count", "Gone", "Location", "MemoryLocation"]
