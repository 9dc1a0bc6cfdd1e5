"""The documentation against the source: what is undocumented, gone, dead or does not run fails."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import runpy
import zipfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from sys import executable
from typing import get_args

import attrs
import pytest

from trunkline import script, testing
from trunkline.config import charging as charging_tables
from trunkline.config import network as network_file
from trunkline.config import proxy as proxy_tables
from trunkline.config.network import load_network
from trunkline.elements.proxy.board import TABLE
from trunkline.elements.proxy.selection import Reason
from trunkline.elements.proxy.story import STEPS
from trunkline.ss7.mtp3.explain import OUTCOMES, REASONS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "trunkline"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def table_column(text: str) -> list[str]:
    """The code in the first cell of every table row."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Headings to what stands under them."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# Error codes and control methods

_ROOMS = sorted(code.partition(".")[0] for code in table_column(text_of("docs/errors.md")))
_CODE = re.compile(rf"(?:{'|'.join(sorted(set(_ROOMS)))})(?:\.[a-z][a-z0-9-]*)+\Z")
_FILES = re.compile(r"\.(?:json|lock|sqlite|log|sock|cfg|org)\Z")  # files, and a tenant


def constants(file: Path) -> Iterator[tuple[ast.Constant, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value


def control_methods() -> set[str]:
    """The keys of the tables that the nodes' ``methods`` return."""
    found = set()
    for file in ("elements/control.py", "elements/proxy/control.py"):
        tree = ast.parse((SOURCE / file).read_text(encoding="utf-8"))
        [function] = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name == "methods"
        ]
        found |= {
            key.value
            for table in ast.walk(function)
            if isinstance(table, ast.Dict)
            for key in table.keys
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
    assert {"node.status", "sip.explain"} <= found
    return found


def error_codes() -> dict[str, Path]:
    """Every code in the source, and a file that has it."""
    found: dict[str, Path] = {}
    methods = control_methods()
    for file in sorted(SOURCE.rglob("*.py")):
        for _, text in constants(file):
            if _CODE.match(text) and not _FILES.search(text) and text not in methods:
                found.setdefault(text, file.relative_to(ROOT))
    return found


def raised_codes() -> Iterator[tuple[str, str]]:
    """The first argument of every error that is made with a literal code, and where."""
    makers = {"TrunklineError", "DecodeError", "Refusal", "Problem", "SetupRefused"}
    makers |= {"PointCodeError", "PointCodeSyntaxError"}
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                not isinstance(node, ast.Call)
                or not isinstance(node.func, ast.Name)
                or not node.args
            ):
                continue
            code = node.args[0]
            if (
                node.func.id in makers
                and isinstance(code, ast.Constant)
                and isinstance(code.value, str)
            ):
                yield code.value, f"{file.relative_to(ROOT)}:{node.lineno}"


def test_every_error_code_is_documented_and_none_that_is_gone() -> None:
    documented = table_column(text_of("docs/errors.md"))
    assert len(documented) == len(set(documented)), "a code stands there twice"
    found = error_codes()
    missing = {code: str(file) for code, file in found.items() if code not in documented}
    assert not missing, "not in docs/errors.md"
    assert not set(documented) - set(found), "in docs/errors.md, but not in the source"


def test_every_error_is_made_with_a_documented_code() -> None:
    # The scan above goes by the prefixes of the page; this one finds a room that is new.
    documented = set(table_column(text_of("docs/errors.md")))
    made = list(raised_codes())
    assert len(made) > 100
    assert not [(code, where) for code, where in made if code not in documented]


def test_every_control_method_is_documented() -> None:
    chapters = sections(text_of("docs/control.md"))
    documented = {
        row[1]
        for chapter in chapters.values()
        for table in chapter.split("\n\n")
        if table.startswith("| method |")
        for row in re.finditer(r"^\| `([^`]+)`", table, re.MULTILINE)
    }
    assert documented == control_methods() | {"subscribe"}


@pytest.mark.parametrize("page", ["docs/control.md", "docs/conformance/q704.md"])
def test_every_code_of_a_routing_decision_is_documented_in_its_own_words(page: str) -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", text_of(page), re.MULTILINE))
    for code, words in [*REASONS.items(), *OUTCOMES.items()]:
        assert rows.get(code.value) == words, code


def test_every_step_of_a_calls_story_is_documented_in_its_own_words() -> None:
    rows = dict(
        re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", text_of("docs/control.md"), re.MULTILINE)
    )
    assert {step: rows.get(step) for step in STEPS} == STEPS


def test_every_reason_of_a_choice_is_documented_in_its_own_words() -> None:
    chapter = sections(text_of("docs/sip-destinations.md"))["Codes of a choice"]
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", chapter, re.MULTILINE))
    del rows["reason"]
    assert rows == {reason.code: reason.words for reason in Reason}


def test_the_states_of_a_destination_are_documented_as_they_are() -> None:
    chapter = sections(text_of("docs/sip-destinations.md"))["When a destination is down"]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| `(\w+)` \|$", chapter, re.MULTILINE)
    assert rows == [(s.value, e.value, TABLE[s, e].value) for s, e in TABLE if TABLE[s, e] is not s]


# The network file

_TABLES = {
    "[network]": "_Network",
    "[node.NAME]": "NodeSettings",
    "[node.NAME.exchange]": "ExchangeSettings",
    "[node.NAME.exchange.charging]": "ChargedSettings",
    "[node.NAME.proxy]": "ProxyNodeSettings",
    "[node.NAME.proxy.tls]": "TlsFiles",
    "[node.NAME.proxy.destinations.SET]": "DestinationSettings",
    "[[node.NAME.proxy.destinations.SET.targets]]": "DestinationTarget",
    "[node.NAME.charging]": "ChargingSettings",
    "[[node.NAME.charging.export]]": "ExportSettings",
    "[[node.NAME.charging.export.fields]]": "FieldSettings",
    "[[node.NAME.charging.reader]]": "ReaderSettings",
    "[[node.NAME.exchange.trunk]]": "TrunkSettings",
    "[[node.NAME.exchange.route]]": "RouteSettings",
    "[sctp]": "SctpSettings",
    "[rating]": "RatingSettings",
    "[demo]": "DemoSettings",
    "[[demo.call]]": "DemoCall",
}


@pytest.mark.parametrize("heading", _TABLES)
def test_every_setting_of_the_network_file_is_documented(heading: str) -> None:
    keys = [field.name for field in attrs.fields(getattr(network_file, _TABLES[heading]))]
    assert table_column(sections(text_of("docs/lab.md"))[heading]) == keys


def test_no_table_of_the_network_file_is_left_out() -> None:
    def tables(kind: type) -> Iterator[str]:
        yield kind.__name__
        for field in attrs.fields(kind):
            for part in (field.type, *get_args(field.type)):
                if isinstance(part, type) and attrs.has(part) and part.__module__ in modules:
                    yield from tables(part)

    modules = {each.__name__ for each in (network_file, proxy_tables, charging_tables)}
    attrs.resolve_types(network_file._File)
    nested = ("NodeSettings", "ExchangeSettings", "ProxyNodeSettings", "DestinationSettings")
    records = ("ExportSettings", "ReaderSettings")
    for kind in (*nested, "ChargingSettings", *records, "DemoSettings"):
        attrs.resolve_types(getattr(network_file, kind))
    values = {"_File", "Duration", "Circuits", "HepCollector", "Listen", "ListenAddress"}
    assert set(tables(network_file._File)) - values == set(_TABLES.values())


# The charging API


def test_the_table_of_the_charging_api_is_made_from_code_and_tests() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "charging_api.py"))["page"]()
    assert text_of("docs/charging-api.md") == made, "run: python tools/charging_api.py"


# Routing scripts


@pytest.mark.parametrize("kind", [script.Request, script.Application, testing.Harness])
def test_everything_a_script_can_do_is_in_its_guide(kind: type) -> None:
    guide = text_of("docs/sip-scripts.md")
    own = {"element", "identity", "loop", "log", "send", "sent", "settle"}  # the harness's inside
    names = {name for name in vars(kind) if not name.startswith(("_", "on_"))} - own
    missing = [name for name in names if not re.search(rf"\b{name}\b", guide)]
    assert not missing


def test_every_name_that_a_script_can_import_is_in_its_guide() -> None:
    guide = text_of("docs/sip-scripts.md")
    assert [name for name in script.__all__ if not re.search(rf"\b{name}\b", guide)] == []


# Links, blocks, make targets


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"no {target}"
        if anchor:
            assert anchor in anchors(file), f"no #{anchor} in {file.name}"


def anchors(page: Path) -> set[str]:
    """The headings of ``page`` as the names that links give them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def blocks(kind: str) -> list[object]:
    """Every fenced block of ``kind`` as a parameter of a test."""
    return [
        pytest.param(block[2], id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, block in enumerate(_FENCE.finditer(page.read_text(encoding="utf-8")))
        if block[1] == kind
    ]


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml_blocks_are_network_files(block: str, tmp_path: Path) -> None:
    file = tmp_path / "network.toml"
    file.write_text(block, encoding="utf-8")
    assert load_network(file).nodes


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(block: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block, "block", "exec"), {"__name__": "block"})


def test_the_readmes_examples_print_what_they_say() -> None:
    found = _FENCE.findall(text_of("README.md"))
    programs = [(i, text) for i, (kind, text) in enumerate(found) if kind == "python"]
    assert len(programs) == 2
    for index, program in programs:
        lines = [line for line in program.splitlines() if line.strip()]
        assert len(lines) == 10
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
        assert printed.getvalue() == found[index + 1][1]


def test_every_make_target_is_explained() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", text_of("Makefile"), re.MULTILINE)
    assert "demo" in targets
    told = text_of("README.md") + text_of("CONTRIBUTING.md")
    assert [target for target in targets if f"make {target}" not in told] == []


def test_every_page_of_conformance_is_listed() -> None:
    index = text_of("docs/conformance/README.md")
    for page in (ROOT / "docs" / "conformance").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


# What is installed


def test_an_installed_package_brings_its_examples(tmp_path: Path) -> None:
    """A wheel, unpacked elsewhere, finds its own example network."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install hatchling")
    pip = [executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    run([*build, str(ROOT)], check=True, capture_output=True, timeout=100)
    [wheel] = tmp_path.glob("*.whl")
    unpacked = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(unpacked)
    found = run(
        [executable, "-m", "trunkline", "lab", "check", "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert '"four-countries"' in found.stdout
