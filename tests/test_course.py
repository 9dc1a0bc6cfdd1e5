"""Every command of the course is executed and its output compared: no chapter goes stale.

In a fenced ``console`` block a line that begins with ``$`` is a command for the shell, what follows
is its output. ``...`` stands for any text within a line, and alone on a line for any number of
lines. Under ``$ trunkline shell NODE`` the lines with the node's prompt are typed into that shell.
A command that fails has to be followed by ``$ echo $?``, so that the reader sees its status too. A
command that ends in ``&`` runs until the page ends; its output is what it says at first.

SIP and charging examples listen on 127.0.0.1 and its neighbours. Here they are moved to 127.N.M,
for what somebody else runs on this machine is left in peace; commands and outputs are translated.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs/course").glob("[0-9]*.md")), ROOT / "docs/point-codes.md"]
PREPAID = ("13-prepaid", "14-messages", "15-data", "16-routes")
"""Chapters that are read one after the other, in one network."""
READINGS = [
    *([page] for page in PAGES if page.stem not in PREPAID),
    [page for page in PAGES if page.stem in PREPAID],
]
LIMIT = 60  # seconds for one command
PROGRAMS = {
    "9-redis": ("redis-server", "redis-cli"),
    "13-prepaid": ("curl",),
}
"""What pages need besides: they are skipped, with a reason, where it is not installed."""

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r"trunkline shell (\S+)")


@dataclass(frozen=True)
class Step:
    """A command with the output that the page promises."""

    line: int
    command: str
    expected: str
    typed: str = ""
    """What goes to its standard input, for a router's shell."""


def steps_of(text: str) -> list[Step]:
    steps = []
    for block in _BLOCK.finditer(text):
        first_line = text.count("\n", 0, block.start(1)) + 1
        lines = block[1].splitlines()
        starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
        assert starts, f"line {first_line}: a console block without a command"
        assert starts[0] == 0, f"line {first_line}: a console block begins with its command"
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            command = lines[start].removeprefix("$ ")
            output = [line.rstrip() for line in lines[start + 1 : end]]
            typed = ""
            if shell := _SHELL.match(command):
                prompt = re.compile(rf"{re.escape(shell[1])}(?:\([\w-]+\))?#(.*)")
                typed = "".join(f"{m[1]}\n" for m in map(prompt.match, output) if m)
            steps.append(Step(first_line + start, command, "\n".join(output), typed))
    return steps


def matches(expected: str, output: str) -> bool:
    pattern = ""
    for line in expected.rstrip().splitlines(keepends=True):
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(map(re.escape, line.rstrip("\n").split("..."))) + r"\n"
    return re.fullmatch(pattern, _tidy(output)) is not None


def _tidy(output: str) -> str:
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    return "".join(f"{line}\n" for line in lines)


@dataclass
class Reader:
    """Somebody who types what the page says, in a folder that holds the examples."""

    folder: Path
    environment: dict[str, str]
    network: str = "127.0.0."
    """What stands for the beginning of the examples' addresses."""
    status: int = 0
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def execute(self, step: Step) -> str:
        step = replace(step, command=step.command.replace("127.0.0.", self.network))
        if step.command.endswith(" &"):
            output = self._begin(step.command.removesuffix(" &"))
        else:
            output = self._finish(step)
        return output.replace(self.network, "127.0.0.")

    def _begin(self, command: str) -> str:
        """Start what stays, and wait until it says something."""
        output = self.folder / f"background-{len(self.background)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["sh", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.background.append(process)
        deadline = time.monotonic() + LIMIT
        while not output.stat().st_size and process.poll() is None:
            assert time.monotonic() < deadline, f"{command} says nothing"
            time.sleep(0.05)
        self.status = process.poll() or 0
        return output.read_text(encoding="utf-8", errors="replace")

    def end(self) -> None:
        """End what was started with ``&``."""
        for process in self.background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(LIMIT)

    def _finish(self, step: Step) -> str:
        done = subprocess.run(
            ["sh", "-c", f"(exit {self.status})\n{step.command}"],
            cwd=self.folder,
            env=self.environment,
            input=step.typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        self.status = done.returncode
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")
    }
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    _copy_examples(tmp_path / "examples")
    # Short, because the path of a control socket may not be long.
    with tempfile.TemporaryDirectory(prefix="tl-") as runtime:
        environment["XDG_RUNTIME_DIR"] = environment["XDG_STATE_HOME"] = runtime
        environment["HOME"] = runtime
        someone = Reader(tmp_path, environment, free_network())
        for folder in ("sip", "prepaid"):
            move(tmp_path / "examples" / folder, someone.network)
        try:
            yield someone
        finally:
            someone.end()
            if any(Path(runtime).rglob("*.sock")):
                someone.execute(Step(0, "trunkline lab down", ""))


def _copy_examples(folder: Path) -> None:
    """Copy the examples and move them to a free port: a network that is up is left in peace."""
    shutil.copytree(ROOT / "examples", folder)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for file in folder.glob("*/*.toml"):
        text = file.read_text(encoding="utf-8")
        assert "[sctp]" not in text
        file.write_text(f"{text}\n[sctp]\nudp_port = {port}\n", encoding="utf-8")


def free_network() -> str:
    """The beginning of loopback addresses, as long as 127.0.0., on which nobody listens."""
    numbers = [(n, m) for n in range(1, 10) for m in range(1, 10)]
    random.shuffle(numbers)
    for n, m in numbers:
        network = f"127.{n}.{m}."
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in (5060, 5061, 5353):
                probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                probe.bind((f"{network}1", port))
            for port in (2012, 2014, 2080):
                probe = stack.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((f"{network}1", port))
            return network
    pytest.fail("every loopback network is in use")


def move(folder: Path, network: str) -> None:
    """Let the examples in ``folder`` have other addresses."""
    for file in folder.rglob("*.*"):
        if file.suffix in (".py", ".sip", ".toml", ".zone"):
            text = file.read_text(encoding="utf-8").replace("127.0.0.", network)
            file.write_text(text, encoding="utf-8")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pages", READINGS, ids=[pages[0].stem for pages in READINGS])
def test_page(pages: list[Path], reader: Reader) -> None:
    for program in PROGRAMS.get(pages[0].stem, ()):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    for page in pages:
        read(page, reader)


def read(page: Path, reader: Reader) -> None:
    """Type all that a page says, and compare."""
    steps = steps_of(page.read_text(encoding="utf-8"))
    assert steps
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        where = f"{page.relative_to(ROOT)}:{step.line}: $ {step.command}"
        output = reader.execute(step)
        if not matches(step.expected, output):
            difference = difflib.unified_diff(
                step.expected.splitlines(), _tidy(output).splitlines(), "page", "here", lineterm=""
            )
            pytest.fail("\n".join([where, *difference]))
        if reader.status:
            shown = following is not None and following.command == "echo $?"
            assert shown, f"{where}: status {reader.status}, and the page does not show it"


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "docs/course/README.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


# The executor itself: it has to be able to fail.


def test_steps_of_a_page() -> None:
    page = "words\n```console\n$ one\nout  \n\nmore\n$ two\n```\n```\n$ not this\n```\n"
    assert steps_of(page) == [Step(3, "one", "out\n\nmore"), Step(7, "two", "")]


def test_a_routers_shell_gets_what_is_typed_at_its_prompt() -> None:
    page = "```console\n$ trunkline shell A\nA#conf t\nEnter...\nA(config)#exit\nA#\n```\n"
    [step] = steps_of(page)
    assert step.typed == "conf t\nexit\n\n"


@pytest.mark.parametrize(
    ("expected", "output", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a  \nb\n\n", True),
        ("a\nb", "a\n", False),
        ("a", "a\nb\n", False),
        ("a.c", "abc\n", False),
        ("rtt ...ms", "rtt 12.5ms\n", True),
        ("rtt ...ms", "rtt 12.5s\n", False),
        ("rtt ...", "rtt 1\n2\n", False),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("a\n...\nd", "a\nb\nc\n", False),
        ("a\n...", "a\nb\n", True),
        ("", "", True),
        ("", "something\n", False),
    ],
)
def test_matching(expected: str, output: str, same: bool) -> None:
    assert matches(expected, output) is same


def test_a_reader_keeps_the_status(reader: Reader) -> None:
    reader.execute(Step(1, "exit 3", ""))
    assert reader.execute(Step(2, "echo $?", "")) == "3\n"


def test_what_stays_is_heard_and_ended(reader: Reader) -> None:
    output = reader.execute(Step(1, "printf 'here I am 127.0.0.1\\n'; sleep 1000 &", ""))
    assert output == "here I am 127.0.0.1\n"
    assert reader.network != "127.0.0."
    [process] = reader.background
    assert process.poll() is None
    reader.end()
    assert process.poll() is not None


def test_addresses_are_moved_there_and_back(reader: Reader) -> None:
    assert reader.execute(Step(1, "echo 127.0.0.1 | wc -c", "")) == "10\n"
    file = "examples/sip/nicktest/network.toml"
    assert 'listen = ["udp:127.0.0.1:5060"]' in reader.execute(Step(1, f"cat {file}", ""))
    assert reader.network in (reader.folder / file).read_text(encoding="utf-8")
