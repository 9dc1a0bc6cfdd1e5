from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.store.calls import CallRecord, CallStore, default_url


def _record(identifier: str, start: float = 100.0, answer: float | None = 105.0) -> CallRecord:
    return CallRecord(
        id=identifier,
        exchange="ExchangeA",
        direction="outgoing",
        calling="3005",
        called="61412345678",
        start=start,
        answer=answer,
        end=start + 65.0,
        cause=16,
        location=0,
        opc=2068,
        dpc=14402,
        cic=1,
        trace="t1",
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    calls = CallStore(f"sqlite:///{tmp_path}/calls.sqlite")
    yield calls
    calls.close()


def test_records_come_back_newest_first(store: CallStore) -> None:
    store.add([_record("a1", 10.0), _record("b1", 30.0), _record("c1", 20.0, None)])
    assert [record.id for record in store.recent()] == ["b1", "c1", "a1"]
    assert [record.id for record in store.recent(1)] == ["b1"]
    assert store.get("b1") == _record("b1", 30.0)


def test_duration_counts_from_the_answer() -> None:
    assert _record("a").duration == 60.0
    assert _record("a", answer=None).duration == 0.0


def test_an_id_may_be_shortened_while_it_is_unique(store: CallStore) -> None:
    store.add([_record("abc1"), _record("abd2")])
    assert store.get("abd").id == "abd2"
    with pytest.raises(TrunklineError) as ambiguous:
        store.get("ab")
    assert ambiguous.value.code == "store.ambiguous-call"
    with pytest.raises(TrunklineError) as absent:
        store.get("x%")
    assert absent.value.code == "store.no-such-call"


def test_two_writers_share_one_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.sqlite"
    first, second = CallStore(url), CallStore(url)
    first.add([_record("a")])
    second.add([_record("b")])
    assert {record.id for record in first.recent()} == {"a", "b"}
    first.close()
    second.close()


def test_many_exchanges_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.sqlite"
    script = f"from trunkline.store.calls import CallStore; CallStore({url!r}).close()"
    openers = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(6)]
    assert [opener.wait(30) for opener in openers] == [0] * 6


def test_a_new_file_that_another_is_writing_to_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "calls.sqlite"
    with closing(sqlite3.connect(file, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")  # as one that came up at the same moment
        done = threading.Timer(0.3, other.rollback)
        done.start()
        try:
            CallStore(f"sqlite:///{file}").close()
        finally:
            done.join()


def test_unwritable_place_is_one_documented_error() -> None:
    with pytest.raises(TrunklineError) as refused:
        CallStore("sqlite:////proc/nowhere/calls.sqlite")
    assert refused.value.code == "store.unavailable"


def test_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_url("lab") == f"sqlite:///{tmp_path}/trunkline/lab/calls.sqlite"
    assert (tmp_path / "trunkline" / "lab").is_dir()


def test_a_record_that_is_there_already_keeps_no_other_out(tmp_path: Path) -> None:
    store = CallStore(f"sqlite:///{tmp_path}/calls.sqlite")
    store.add([_record("a")])
    store.add([_record("a"), _record("b")])
    assert {record.id for record in store.recent()} == {"a", "b"}
    store.close()


def test_a_locked_file_is_not_waited_for_long(tmp_path: Path) -> None:
    store = CallStore(f"sqlite:///{tmp_path}/calls.sqlite")
    with closing(sqlite3.connect(tmp_path / "calls.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(TrunklineError, match="locked") as refused:
            store.add([_record("a")])
        assert refused.value.code == "store.unavailable"
        assert time.monotonic() - begun < 2
        other.rollback()
    store.add([_record("a")])
    assert [record.id for record in store.recent()] == ["a"]
    store.close()


def test_a_file_of_an_earlier_version_gets_the_columns_that_came_since(tmp_path: Path) -> None:
    file = tmp_path / "calls.sqlite"
    CallStore(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as old:
        old.execute("ALTER TABLE calls DROP COLUMN cost")
        old.execute("ALTER TABLE calls DROP COLUMN rating")
    calls = CallStore(f"sqlite:///{file}")
    calls.add([replace(_record("a"), cost="22", rating="{}")])
    assert calls.get("a").cost == "22"
    calls.close()
