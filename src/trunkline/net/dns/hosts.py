"""The hosts file: names that this machine knows without asking.

It counts for addresses alone, and before DNS, as it does for every other program of the machine
(``hosts: files dns``); NAPTR and SRV records are asked of DNS whatever it says. It is read again
when it has changed.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from trunkline.sip.locate.records import RecordType, as_name

__all__ = ["HostsFile", "HostsRow"]

_MAX_OCTETS = 16 * 1024 * 1024


class HostsRow(NamedTuple):
    """An address of a name, and the line it stands on."""

    address: str
    line: int


class HostsFile:
    """One hosts file; an absent one has no names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_of: tuple[float, int] | None = None
        self._rows: dict[str, dict[RecordType, list[HostsRow]]] = {}

    def find(self, name: str) -> dict[RecordType, list[HostsRow]] | None:
        """The addresses of ``name`` by the record they would be; None if it is not in the file."""
        try:
            state = self.path.stat()
        except OSError:
            return None
        if self._read_of != (state.st_mtime, state.st_size):
            self._read_of = state.st_mtime, state.st_size
            self._rows = self._read() if state.st_size <= _MAX_OCTETS else {}
        return self._rows.get(name)

    def _read(self) -> dict[str, dict[RecordType, list[HostsRow]]]:
        rows: dict[str, dict[RecordType, list[HostsRow]]] = {}
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return rows
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split()
            try:
                address = ip_address(words[0]) if words else None
            except ValueError:
                continue
            if address is None:
                continue
            kind = RecordType.A if address.version == 4 else RecordType.AAAA
            for name in words[1:]:
                found = rows.setdefault(as_name(name), {}).setdefault(kind, [])
                found.append(HostsRow(str(address), number))
        return rows
