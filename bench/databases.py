"""Databases that flush at each commit, each in a folder of its own, for a bench."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from socket import create_connection, socket

__all__ = ["DATABASES", "free_port", "wait_for"]

_START = 30.0  # s


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + _START
    while True:
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} did not come up") from None
            time.sleep(0.05)
        else:
            return


def _as(user: str) -> dict[str, object]:
    return {"user": user, "group": user, "extra_groups": []} if os.getuid() == 0 else {}


@contextmanager
def _sqlite(folder: Path) -> Iterator[str | None]:
    yield f"sqlite:///{folder}/ledger.db"


@contextmanager
def _postgres(folder: Path) -> Iterator[str | None]:
    found = sorted(glob("/usr/lib/postgresql/*/bin"))
    where = shutil.which("postgres")
    programs = Path(found[-1]) if found else Path(where).parent if where else None
    if programs is None:
        yield None
        return
    options = _as("postgres")
    if options:
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()
    data = str(folder / "data")
    make = [str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "trunkline"]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **options)  # type: ignore[call-overload]
    control = [str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
    setting = f"-p {port} -k {folder} -h 127.0.0.1"
    start = [*control, "-o", setting, "start"]
    subprocess.run(start, check=True, capture_output=True, cwd=folder, **options)  # type: ignore[call-overload]
    try:
        yield f"postgresql://trunkline@127.0.0.1:{port}/postgres"
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, capture_output=True, cwd=folder, **options)  # type: ignore[call-overload]


@contextmanager
def _mariadb(folder: Path) -> Iterator[str | None]:
    install, server = shutil.which("mariadb-install-db"), shutil.which("mariadbd")
    if install is None or server is None:
        yield None
        return
    options = _as("mysql")
    if options:
        shutil.chown(folder, "mysql", "mysql")
    port, data = free_port(), f"--datadir={folder / 'data'}"
    make = [install, "--no-defaults", data, "--auth-root-authentication-method=normal"]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **options)  # type: ignore[call-overload]
    command = [server, "--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1"]
    command += [f"--socket={folder / 's'}", f"--pid-file={folder / 'pid'}", "--skip-name-resolve"]
    with _running(command, port, folder / "log", options):
        yield f"mysql://root@127.0.0.1:{port}/mysql"


@contextmanager
def _redis(folder: Path) -> Iterator[str | None]:
    server = shutil.which("redis-server")
    if server is None:
        yield None
        return
    port = free_port()
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    with _running(command, port, folder / "log", {}):
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def _running(
    command: list[str], port: int, log: Path, options: Mapping[str, object]
) -> Iterator[None]:
    with log.open("wb") as output:
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            command, stdout=output, stderr=output, **options
        )
    try:
        wait_for(port, process)
        yield
    finally:
        process.kill()
        process.wait(20)


DATABASES = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "mariadb": _mariadb,
    "redis": _redis,
}
"""What makes one in a folder; ``None``: it is not installed."""
