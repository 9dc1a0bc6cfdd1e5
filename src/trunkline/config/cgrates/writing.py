"""A tariff written as a folder of CSV files: what reading gives the same rows of again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from trunkline.config.cgrates.files import COLUMNS, Kind
from trunkline.config.cgrates.problems import shown
from trunkline.errors import TrunklineError

__all__ = ["write_folder"]

_OLD_NAME = {"Suppliers": "Routes"}


def write_folder(
    folder: Path, lines: Iterable[tuple[Kind, str, int, str]], kinds: Collection[Kind] = COLUMNS
) -> list[str]:
    """Write rows to one file for each kind, with a header as a comment; the names of the files.

    Rows go as they were read, in their order; rows of subfolders stand in one file with the others.

    Raises:
        TrunklineError: ``cgrates.not-written``: the folder cannot be written, or has CSV files,
            which would be read with these.
    """
    written: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = next(folder.glob("**/*.csv"), None)
        if there is not None:
            raise TrunklineError(
                "cgrates.not-written",
                f"{folder} has {there.name} already, which would be read with the rows written;"
                " name an empty folder",
            )
        rows: dict[Kind, list[str]] = {}
        for kind, _, _, text in lines:
            kind = _OLD_NAME.get(kind, kind)
            if kind in kinds:
                rows.setdefault(kind, []).append(text)
        for kind, texts in rows.items():
            path = folder / f"{kind}.csv"
            with path.open("w", encoding="utf-8", newline="\n") as file:
                file.write(f"#{','.join(COLUMNS[kind])}\n")
                file.writelines(f"{text}\n" for text in texts)
                file.flush()
                os.fsync(file.fileno())
            written.append(path.name)
    except (OSError, ValueError) as problem:  # a name that no file can have
        where = shown(str(getattr(problem, "filename", None) or folder))
        reason = getattr(problem, "strerror", None) or "no name of a folder"
        raise TrunklineError(
            "cgrates.not-written", f"{where}: {reason}; name a folder that can be written"
        ) from problem
    return written
