"""Tariff plans, compiled, kept beside their database as pickles: for quick starts.

One counts for one load, one version of this package's code and of Python, and only while nobody
else can write it, because a pickle runs code. Without it the rows are compiled again, which gives
the same tariff.

``active_tariff`` finds it without SQLAlchemy where the database is a SQLite file: importing that
library takes longer than pricing a call.
"""

from __future__ import annotations

import gc
import glob
import hashlib
import os
import pickle
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trunkline import __version__, charging, rating
from trunkline.charging.rows import ChargingRows, TariffPlan
from trunkline.errors import TrunklineError
from trunkline.rating.tariff import Tariff

__all__ = [
    "KEPT",
    "Compiler",
    "Line",
    "Version",
    "active_plan",
    "active_tariff",
    "default_tariff_url",
    "forget_compiled",
    "read_compiled",
    "without_collections",
    "write_compiled",
    "zone_named",
]

KEPT = 5
"""So many of the newest versions are kept where nobody says another number; beside them stay the
one that counts, the one before it, and those that wait for their moment."""

Line = tuple[str, str, int, str]
"""Kind, file, line number and text of a row."""

Compiler = Callable[[Iterable[Line], str, tzinfo, Mapping[str, tzinfo], datetime], TariffPlan]
"""Makes a tariff plan of rows, its name, its time zone, those of tenants, the time of the load."""

_KEY_OCTETS = 32
_ACTIVE = """
    SELECT v.id, v.token FROM tariff_activations a JOIN tariff_versions v ON v.id = a.version
    WHERE a.withdrawn IS NULL AND a.at <= ? ORDER BY a.at DESC, a.id DESC LIMIT 1
"""
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Version:
    """One load of a tariff."""

    id: int
    token: str
    """Tells it from a version of the same number in a database made anew."""
    name: str
    """The folder that it was loaded from."""
    loaded: datetime
    time_zone: tzinfo
    tenant_time_zones: Mapping[str, tzinfo]
    row_count: int


def default_tariff_url() -> str:
    """The SQLite file of tariffs in the user's state folder (made where it is missing)."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    folder = Path(base) / "trunkline"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise TrunklineError(
            "store.unavailable", f"{folder}: {problem.strerror}: set XDG_STATE_HOME to a folder"
        ) from problem
    return f"{_SQLITE}{folder / 'tariffs.sqlite'}"


def zone_named(name: str) -> tzinfo:
    """The time zone ``name`` of the system's database, as ``Europe/Berlin``.

    Raises:
        TrunklineError: ``store.time-zone``.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise TrunklineError(
            "store.time-zone",
            f"no time zone {name[:60]!r} is known here; write it as Europe/Berlin or UTC "
            "(package tzdata holds them)",
        ) from problem


def active_tariff(url: str, compiler: Compiler) -> tuple[Version, Tariff]:
    """The active version at a database URL and its prices, without the rows that charging uses.

    Raises:
        TrunklineError: ``store.no-tariff`` before the first load, ``store.unavailable``.
    """
    if active := _active_in_file(url):
        found = _read(url, *active, whole=False)
        if found is not None:
            return found[0], found[1].tariff
    version, plan = _from_database(url, compiler)
    return version, plan.tariff


def active_plan(url: str, compiler: Compiler) -> tuple[Version, TariffPlan]:
    """The active version at a database URL and all that it has.

    Raises:
        TrunklineError: ``store.no-tariff`` before the first load, ``store.unavailable``.
    """
    if active := _active_in_file(url):
        found = read_compiled(url, *active)
        if found is not None:
            return found
    return _from_database(url, compiler)


def _from_database(url: str, compiler: Compiler) -> tuple[Version, TariffPlan]:
    from trunkline.store.tariffs import TariffStore  # SQLAlchemy is heavy

    store = TariffStore(url, compiler)
    try:
        return store.active()
    finally:
        store.close()


def read_compiled(url: str, identifier: int, token: str) -> tuple[Version, TariffPlan] | None:
    """What was kept of a load; ``None`` if there is nothing that counts."""
    return _read(url, identifier, token, whole=True)


def _read(
    url: str, identifier: int, token: str, *, whole: bool
) -> tuple[Version, TariffPlan] | None:
    path = _path(url, identifier)
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.getuid() or status.st_mode & 0o022:
                return None
            if stream.read(_KEY_OCTETS) != _key(identifier, token):
                return None
            with without_collections():
                version, tariff = pickle.load(stream)
                rows = pickle.load(stream) if whole else ChargingRows()
    except Exception:  # absent, torn, or of other classes: the rows are there
        return None
    if (
        isinstance(version, Version)
        and isinstance(tariff, Tariff)
        and isinstance(rows, ChargingRows)
    ):
        return version, TariffPlan(tariff, rows)
    return None


def write_compiled(url: str, version: Version, plan: TariffPlan) -> None:
    """Keep ``plan``; a disk that is full costs time at the next start, nothing else."""
    path = _path(url, version.id)
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        try:
            with open(handle, "wb") as stream:
                stream.write(_key(version.id, version.token))
                with without_collections():
                    # Apart, because who only prices wants no accounts.
                    pickle.dump((version, plan.tariff), stream, pickle.HIGHEST_PROTOCOL)
                    pickle.dump(plan.rows, stream, pickle.HIGHEST_PROTOCOL)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def forget_compiled(url: str, kept: Collection[int]) -> None:
    """Remove what was kept of versions that are not there any more."""
    path = _path(url, 0)
    if path is None:
        return
    start, _, end = path.name.rpartition(".0.")
    for other in path.parent.glob(f"{glob.escape(start)}.*.{end}"):
        number = other.name[len(start) + 1 : -len(end) - 1]
        if number.isdecimal() and int(number) not in kept:
            with suppress(OSError):
                other.unlink()


def _file(url: str) -> str | None:
    """The file of a SQLite URL."""
    name = url.removeprefix(_SQLITE)
    return name if name not in (url, "", ":memory:") and "?" not in name else None


def _path(url: str, version: int) -> Path | None:
    """Where a compiled version lies; ``None`` for a database in memory."""
    if file := _file(url):
        return Path(f"{file}.{version}.compiled")
    if url.startswith("sqlite"):
        return None
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Path(base) / "trunkline" / f"tariff-{digest}.{version}.compiled"


def _active_in_file(url: str) -> tuple[int, str] | None:
    """Number and token of the active version, asked of SQLite directly; ``None``: ask elsewhere."""
    file = _file(url)
    if file is None or not os.path.exists(file):
        return None
    try:
        with closing(sqlite3.connect(file, timeout=1)) as connection:
            row = connection.execute(_ACTIVE, (time.time_ns() // 1000,)).fetchone()
    except sqlite3.Error:
        return None
    return (int(row[0]), str(row[1])) if row else None


def _key(identifier: int, token: str) -> bytes:
    """What a pickle counts for: the load, and the code that it was compiled by."""
    code = [
        (path.name, status.st_size, status.st_mtime_ns)
        for path in sorted(
            [*Path(rating.__file__).parent.glob("*.py"), Path(charging.__file__).parent / "rows.py"]
        )
        for status in (path.stat(),)
    ]
    text = repr((identifier, token, __version__, sys.version, code))
    return hashlib.sha256(text.encode()).digest()


@contextmanager
def without_collections() -> Iterator[None]:
    """Without the garbage collector, which would look at millions of new objects in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
