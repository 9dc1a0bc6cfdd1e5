"""Tariff folders for tests: the tutorial's, with single files changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from trunkline.config.cgrates import Loaded, Problem, TariffErrors, load_folder

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TUTORIAL = EXAMPLES / "tutorial-tariff"


def tutorial(folder: Path, files: Mapping[str, str | bytes | None] = {}) -> Path:
    """A copy of the tutorial's tariff in ``folder``; ``files`` replace its own, None removes."""
    shutil.copytree(TUTORIAL, folder, dirs_exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        elif isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8", newline="")
    return folder


def added(name: str, *rows: str) -> dict[str, str]:
    """A file of the tutorial with further rows."""
    text = (TUTORIAL / name).read_text(encoding="utf-8")
    return {name: text + "".join(f"{row}\n" for row in rows)}


def load(folder: Path, files: Mapping[str, str | bytes | None] = {}) -> Loaded:
    return load_folder(tutorial(folder, files))


def errors(folder: Path, files: Mapping[str, str | bytes | None]) -> tuple[Problem, ...]:
    """What the tutorial's tariff with ``files`` is refused for."""
    try:
        load(folder, files)
    except TariffErrors as refused:
        return refused.errors
    return ()
