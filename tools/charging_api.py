#!/usr/bin/env python3
"""Write the table of docs/charging-api.md: what each method of the reference does here.

From three sources: the reference's names (tools/charging_methods.txt), the methods that the code
registers, and the tests that send a request as the reference documents it (``@documented``).
Run it after adding either: ``python tools/charging_api.py``. A test holds the page to it.
"""

from __future__ import annotations

import ast
from pathlib import Path

from trunkline.elements.charging.process import SERVICES
from trunkline.elements.charging.registry import names_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "charging-api.md"
NAMES = ROOT / "tools" / "charging_methods.txt"
TESTS = ROOT / "tests" / "elements" / "charging"
MARK = "<!-- from here on: tools/charging_api.py -->\n"


def reference() -> list[str]:
    """The reference's methods, in the order of the file."""
    found: dict[str, None] = {}
    for line in NAMES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            service, _, methods = line.partition(":")
            found |= {f"{service}.{method}": None for method in methods.split()}
    return list(found)


def documented() -> set[str]:
    """The methods whose documented request a test sends."""
    found = set()
    for file in sorted(TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "documented":
                    found |= {ast.literal_eval(name) for name in mark.args}
    return found


def table() -> str:
    """The part of the page that is made."""
    same, here = documented(), set(names_of(*SERVICES))
    names = reference()
    unknown = sorted(same - here)
    if unknown:
        raise SystemExit(f"@documented, but not registered: {', '.join(unknown)}")
    words = {name: "same" if name in same else "answers" for name in here}
    services: dict[str, list[str]] = {}
    for name in [*names, *sorted(here.difference(names))]:
        services.setdefault(name.partition(".")[0], []).append(name)
    counts = [sum(words.get(name) == word for name in names) for word in ("same", "answers")]
    lines = [
        f"{len(names)} methods: {counts[0]} `same`, {counts[1]} `answers`,"
        f" {len(names) - sum(counts)} `not found`.",
        "",
    ]
    for service, methods in services.items():
        lines += [f"### {service}", "", "| method | here |", "|---|---|"]
        lines += [
            f"| `{name}` | {f'`{words[name]}`' if name in words else 'not found'} |"
            for name in methods
        ]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The whole page as it should be."""
    head, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return f"{head}{mark or MARK}\n{table()}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
