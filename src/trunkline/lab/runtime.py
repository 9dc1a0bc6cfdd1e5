"""What a running lab leaves in its runtime folder, and how to find it.

``<runtime>/<network>/`` holds each node's control socket and log, the supervisor's log, its
``lab.json`` and its ``lab.lock``. The supervisor holds a lock on the latter as long as it lives;
the kernel drops it when the process ends, however it ends. So the lock decides whether a lab is
up, never a process number alone, and what ``lab.json`` says without a lock is a stale lab's.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path

import cattrs
from attrs import asdict, define, field

from trunkline.errors import TrunklineError
from trunkline.lab.netns import Cable
from trunkline.net.control import runtime_dir

__all__ = [
    "LabState",
    "NodeProcess",
    "end_process",
    "is_up",
    "known_labs",
    "lab_folder",
    "lock_lab",
    "process_started",
    "read_state",
    "sweep",
    "write_state",
]


@define
class NodeProcess:
    """One node's process as the supervisor sees it."""

    argv: list[str]
    pid: int = 0
    """0 while no process runs."""
    started: int = 0
    """The kernel's start time of ``pid``, so that a number used again is not taken for it."""
    since: float = 0.0
    """When the process was started, in seconds since the epoch."""
    restarts: int = 0
    outlives: bool = False
    """Whether it is ended after the others, who have last words for it."""
    last_exit: int | None = None
    """How the process before this one ended: an exit status, or minus a signal's number."""


@define
class LabState:
    """A lab, as its ``lab.json`` holds it."""

    network: str
    file: str
    """The network file, an absolute path."""
    nodes: dict[str, NodeProcess]
    namespaces: dict[str, str] = field(factory=dict)
    """With ``--netns``: each node's network namespace."""
    cables: list[Cable] = field(factory=list)
    """With ``--netns``: the cables between them."""
    pid: int = 0
    """The supervisor's."""
    started: int = 0


def lab_folder(network: str) -> Path:
    """The runtime folder of ``network``, made where it is missing."""
    folder = runtime_dir() / network
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def lock_lab(folder: Path) -> int | None:
    """Take the lab's lock for this process: its descriptor, or ``None`` when it is taken."""
    descriptor = os.open(folder / "lab.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def sweep(state: LabState) -> None:
    """Remove what the ended nodes of a lab leave behind; their logs stay."""
    folder = lab_folder(state.network)
    for name in state.nodes:
        for socket in (folder / f"{name}.sock", *folder.glob(f"{name}.*.sock")):  # of its workers
            socket.unlink(missing_ok=True)
        (folder / f"{name}.startup.cfg").unlink(missing_ok=True)  # what `write` saved
    (folder / "lab.json").unlink(missing_ok=True)


def is_up(network: str) -> bool:
    """Whether a supervisor of ``network`` lives."""
    folder = runtime_dir() / network
    if not (folder / "lab.lock").exists():
        return False
    descriptor = lock_lab(folder)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def known_labs() -> list[str]:
    """The networks of this user that are up or have left something behind."""
    return sorted(path.parent.name for path in runtime_dir().glob("*/lab.json"))


def read_state(network: str) -> LabState | None:
    """The state in ``lab.json``; ``None`` when there is none.

    Raises:
        TrunklineError: ``lab.state`` when the file makes no sense.
    """
    path = runtime_dir() / network / "lab.json"
    try:
        return cattrs.structure(json.loads(path.read_text(encoding="utf-8")), LabState)
    except FileNotFoundError:
        return None
    except (ValueError, cattrs.BaseValidationError) as error:
        raise TrunklineError(
            "lab.state", f"{path} is damaged; end the lab's processes by hand and remove it"
        ) from error


def write_state(state: LabState) -> None:
    """Replace ``lab.json``; a reader sees the old or the new one, whole."""
    path = lab_folder(state.network) / "lab.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def process_started(pid: int) -> int:
    """The start time of ``pid`` in the kernel's clock ticks; 0 when there is no such process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    # proc(5): the name in parentheses may hold anything; field 3 is the state, 22 the start time.
    fields = status.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])


def end_process(pid: int, started: int, number: signal.Signals) -> bool:
    """Send a signal to ``pid`` if it still is the process that started at ``started``."""
    if pid <= 0 or not started or process_started(pid) != started:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
