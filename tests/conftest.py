"""What every test may use: the conformance vectors, with a count of those that ran, and databases.

A database server lives as long as the tests of one file, which may kill it and start it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.servers import SqlServer, mariadb_server, postgres_server

_ran: set[str] = set()
_skipped: set[str] = set()


@pytest.fixture
def vectors(request: pytest.FixtureRequest) -> Path:
    """The folder of conformance vectors named by TRUNKLINE_VECTORS."""
    named = os.environ.get("TRUNKLINE_VECTORS")
    if not named or not Path(named).is_dir():
        _skipped.add(request.node.nodeid)
        pytest.skip(f"conformance vectors absent: TRUNKLINE_VECTORS={named!r} names no folder")
    _ran.add(request.node.nodeid)
    return Path(named)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    """A running PostgreSQL."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    """A running MariaDB."""
    with mariadb_server(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind, one after the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/file.db"
    server: SqlServer = request.getfixturevalue(request.param)
    return server.url


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"vector tests: {len(_ran)} ran, {len(_skipped)} skipped")
