"""A journal keeps what it was given, and nothing that was cut off."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.store.journal import Journal


def test_what_is_written_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"

    async def main() -> None:
        journal = Journal(path)
        assert await journal.clear(0)
        await journal.append({"id": "1", "usage": Decimal("1.5"), "text": "ü\n"})
        await journal.append({"id": "2"})
        assert not await journal.clear(1), "there is more than was done"
        again = Journal(path)
        assert again.entries == journal.entries
        assert again.entries[0]["usage"] == Decimal("1.5")
        assert await again.clear(2)
        assert (again.entries, path.read_bytes()) == ([], b"")
        await again.append({"id": "3"})
        assert Journal(path).entries == [{"id": "3"}]

    asyncio.run(main())


def test_a_line_that_was_cut_off_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    whole = b'{"id":"1"}\n{"id":"2"}\n'
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        journal = Journal(path)
        assert len(journal.entries) == whole[:cut].count(b"\n")
        assert path.read_bytes() == whole[: whole[:cut].rfind(b"\n") + 1]


@pytest.mark.parametrize("text", [b"odd\n", b"[1]\n", b'{"id":"1"}\n\xff\n{}\n'])
def test_what_is_no_journal_is_left_alone(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(text)
    with pytest.raises(TrunklineError, match="look at it") as caught:
        Journal(path)
    assert caught.value.code == "store.journal"
    assert path.read_bytes() == text


def test_what_is_not_on_disk_does_not_count(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(tmp_path / "none" / "a.journal")
        with pytest.raises(TrunklineError, match="No such file"):
            await journal.append({"id": "1"})
        assert journal.entries == []
        full = Journal(tmp_path / "b.journal", limit=1)
        await full.append({"id": "1"})
        with pytest.raises(TrunklineError, match="1 entries already"):
            await full.append({"id": "2"})
        assert len(Journal(full.path).entries) == 1

    asyncio.run(main())


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(TrunklineError):
        Journal(tmp_path)
