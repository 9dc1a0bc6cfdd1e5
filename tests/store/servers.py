"""Real servers on loopback, each in a folder of its own, for the tests that want one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from glob import glob
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

START = 20.0  # seconds for a server to come up on a busy machine


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that was free a moment ago, of TCP or, with ``SOCK_DGRAM``, of UDP."""
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Does anybody listen there?"""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until ``condition`` holds; fail with the log if ``process`` ends or takes too long."""
    deadline = time.monotonic() + START
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"{process.args!r} did not come up:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


class RedisServer:
    """A Redis on a port of its own; it can be killed and started again.

    Without files it has forgotten everything then; ``durable``: nothing, ever.
    """

    def __init__(self, folder: Path, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        log = ["yes", "--appendfsync", "always"] if durable else ["no"]
        self._options = ["--appendonly", *log, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self._folder), *self._options]
        log = self._folder / "redis.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_until(lambda: answers(self.port), self._process, log)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang: it accepts connections and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(10)


@contextmanager
def redis_server(
    folder: Path, *, durable: bool = False, options: Sequence[str] = ()
) -> Iterator[RedisServer]:
    """A running Redis; the test is skipped where there is none."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(folder, durable=durable, options=options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class SqlServer:
    """A database server in a folder of its own, on loopback, without passwords."""

    def __init__(
        self, folder: Path, command: list[str], url: str, user: str, ready: Callable[[], bool]
    ) -> None:
        self.url = url
        self._folder = folder
        self._command = command
        self._user = user
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, **_as_user(self._user)
            )
        wait_until(self._ready, self._process, log)

    def pause(self) -> None:
        """Let it hang, with the processes that it has made."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order; whoever is connected is told. (PostgreSQL: a fast shutdown.)"""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGINT)
        process.wait(10)

    def _signal(self, number: signal.Signals) -> None:
        """To the server, then to those that it made: they have groups of their own."""
        assert self._process is not None
        parent = self._process.pid
        os.kill(parent, number)
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for child in children:
            os.kill(int(child), number)

    def kill(self) -> None:
        """End it at once, as a power cut does, with the processes that it has made."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _as_user(user: str) -> dict[str, Any]:
    """What starts a process as ``user``, if we are root, in a group of its own."""
    options: dict[str, Any] = {"start_new_session": True}
    if os.getuid() == 0:
        options |= {"user": user, "group": user, "extra_groups": []}
    return options


def _find(name: str, *elsewhere: str) -> str:
    """The newest program of this name; the test is skipped where there is none."""
    folders = [Path(found) for pattern in elsewhere for found in sorted(glob(pattern))]
    for folder in reversed(folders):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _home(user: str) -> Path:
    """A folder that ``user`` owns and reaches."""
    home = Path(mkdtemp(prefix="trunkline-", dir="/tmp"))
    if os.getuid() == 0:
        try:
            shutil.chown(home, user, user)
        except LookupError:
            home.rmdir()
            pytest.skip(f"there is no user {user} to run the server as")
    return home


def _postgres_serves(url: str) -> bool:
    """It listens before it serves."""
    psycopg = pytest.importorskip("psycopg")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def postgres_server(folder: Path) -> Iterator[SqlServer]:
    """A running PostgreSQL; the test is skipped where there is none."""
    initdb = _find("initdb", "/usr/lib/postgresql/*/bin")
    postgres = _find("postgres", "/usr/lib/postgresql/*/bin")
    user = "postgres"
    home = _home(user)
    try:
        command = [initdb, "-D", str(home / "data"), "-A", "trust", "-U", "trunkline", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=home, **_as_user(user))
        port = free_port()
        command = [postgres, "-D", str(home / "data"), "-p", str(port), "-k", str(home), "-F"]
        url = f"postgresql://trunkline@127.0.0.1:{port}/postgres"
        command += ["-h", "127.0.0.1"]
        server = SqlServer(folder, command, url, user, partial(_postgres_serves, url))
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(home)


@contextmanager
def mariadb_server(folder: Path) -> Iterator[SqlServer]:
    """A running MariaDB; the test is skipped where there is none."""
    install = _find("mariadb-install-db")
    mariadbd = _find("mariadbd", "/usr/sbin")
    user = "mysql"
    home = _home(user)
    try:
        data = f"--datadir={home / 'data'}"
        command = [install, "--no-defaults", data, "--auth-root-authentication-method=normal"]
        command += ["--skip-test-db", "--innodb-log-file-size=4M"]
        subprocess.run(command, check=True, capture_output=True, cwd=home, **_as_user(user))
        port = free_port()
        command = [mariadbd, "--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1"]
        command += [f"--socket={home / 's'}", f"--pid-file={home / 'pid'}"]
        command += ["--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=2"]
        command += ["--skip-name-resolve"]
        url = f"mysql://root@127.0.0.1:{port}/mysql"
        server = SqlServer(folder, command, url, user, partial(answers, port))
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(home)
