"""What the kernel tells of a process: its CPU and its memory."""

from __future__ import annotations

from pathlib import Path

__all__ = ["cpu_of", "memory_of", "switches_of"]


def cpu_of(pid: int) -> float:
    """Seconds of CPU of all threads of a process (schedstat counts nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_of(pid: int) -> float:
    """Resident megabytes (10^6 octets)."""
    return _status(pid, "VmRSS:") * 1024 / 1e6


def switches_of(pid: int) -> int:
    """How often it has waited: its voluntary context switches."""
    return _status(pid, "voluntary_ctxt_switches:")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise RuntimeError(f"this kernel tells no {name[:-1]}")
