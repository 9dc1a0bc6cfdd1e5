"""Versions of a script follow one another: in order, in time, and their jobs too."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.elements.proxy.script import Function, script_of
from trunkline.errors import TrunklineError
from trunkline.script import Application, Request, every, on_request, on_start
from trunkline.testing import Harness


def free_port() -> int:
    """A UDP port that nobody has right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def version(status: int, seconds: float) -> list[Function]:
    """A script that answers with ``status`` when its start handler has waited."""

    @on_request()
    def answer(request: Request) -> None:
        request.reply(status)

    @on_start
    async def begin(app: Application) -> None:
        await app.sleep(seconds)

    return [answer, begin]


def status_of(proxy: Harness) -> int:
    return proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))[-1].status


def ask(proxy: Harness, handlers: list[Function]) -> asyncio.Task[object]:
    """Ask for another version; go on at once."""
    return proxy.loop.create_task(proxy.element.reload(lambda: script_of(handlers)))


def test_the_later_of_two_wins_though_it_is_ready_first() -> None:
    with Harness(version(200, 0)) as proxy:
        slow, fast = ask(proxy, version(201, 5)), ask(proxy, version(202, 0))
        proxy.advance(20)
        assert status_of(proxy) == 202
        assert (slow.exception(), fast.exception()) == (None, None)
        assert proxy.element.stats.reloads == 2


def test_of_those_that_wait_the_last_takes_over() -> None:
    with Harness(version(200, 0)) as proxy:
        asked = [ask(proxy, version(status, 5)) for status in (201, 202, 203)]
        proxy.advance(20)
        assert status_of(proxy) == 203
        passed_over = asked[1].exception()
        assert isinstance(passed_over, TrunklineError)
        assert passed_over.code == "script.superseded"
        assert (proxy.element.stats.reloads, proxy.element.stats.refusals) == (2, 1)


def test_a_start_handler_has_a_minute_and_is_named_meanwhile() -> None:
    with Harness(version(200, 0)) as proxy:
        asked = ask(proxy, version(201, 3600))
        proxy.advance(3)
        assert proxy.lines == ["waiting for the start handler begin()"]
        proxy.advance(60)
        problem = asked.exception()
        assert isinstance(problem, TrunklineError)
        assert "more than 60 s" in problem.message
        assert status_of(proxy) == 200


def jobs(word: str, seconds: float = 10, lasts: float = 0) -> list[Function]:
    @every(seconds)
    async def job(app: Application) -> None:
        app.log(f"{word} at {app.now():.0f}")
        await app.sleep(lasts)
        app.log(f"{word} done at {app.now():.0f}")

    return [job]


def test_a_job_is_due_when_it_would_have_been() -> None:
    with Harness(jobs("old")) as proxy:
        for _ in range(4):
            proxy.advance(4)
            proxy.reload(jobs("new"))
        assert [line for line in proxy.lines if "done" not in line] == ["new at 10"]


def test_a_job_ends_before_the_next_of_its_name_begins() -> None:
    with Harness(jobs("old", lasts=15)) as proxy:
        proxy.advance(12)
        proxy.reload(jobs("new"))
        proxy.advance(20)
        assert proxy.lines[:3] == ["old at 10", "old done at 25", "new at 25"]
        proxy.advance(20)
        assert not [line for line in proxy.lines[2:] if "old" in line]


def test_an_error_quotes_the_line_that_ran(tmp_path: Path) -> None:
    script = tmp_path / "route.py"
    text = (
        "from trunkline.script import *\n"
        "@on_request()\nasync def f(request):\n"
        "    await request.app.sleep(1)\n    1 / 0  # the old one\n"
    )
    script.write_text(text, encoding="utf-8")
    with Harness(script) as proxy:
        proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        script.write_text(text.replace("old", "new"), encoding="utf-8")
        proxy.advance(0.5)
        proxy.reload(script)
        proxy.receive(proxy.request("MESSAGE", "sip:carol@example.org"))
        proxy.advance(1.2)
        quoted = [line.rpartition("# the ")[2] for line in proxy.lines]
        assert quoted == ["old one", "new one"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_whose_start_handler_waits_ends_when_told_to(tmp_path: Path, workers: int) -> None:
    (tmp_path / "route.py").write_text(
        "from trunkline.script import *\n"
        "@on_request()\ndef f(request): request.reply(404)\n"
        "@on_start\nasync def wait(app):\n    import os; os.write(1, b'begun\\n')\n"
        "    await app.sleep(1000)\n",
        encoding="utf-8",
    )
    network = tmp_path / "network.toml"
    network.write_text(
        f'[node.Edge.proxy]\nscript = "route.py"\nlisten = ["udp:127.0.0.1:{free_port()}"]\n'
        f"workers = {workers}\n",
        encoding="utf-8",
    )
    runtime = tmp_path / "run"
    runtime.mkdir()
    node = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "run", str(network)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert node.stdout is not None
    try:
        begun = 0
        while begun < workers:
            line = node.stdout.readline()  # others may say that a handler is waited for
            assert line, "it has ended"
            begun += line == "begun\n"
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=20) == 0
    finally:
        node.kill()
        node.wait()
        node.stdout.close()
