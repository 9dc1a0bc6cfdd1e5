"""Proxies that run, as the command line shows them: stories, ladders, captures, status, reload."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import TextIO

import pytest
from rich.console import Console
from tests.cli.sip_phones import Phone, Proxied, running
from typer.testing import CliRunner, Result

from trunkline.cli.app import build
from trunkline.cli.proxies import call_ids
from trunkline.cli.rpc import node_names
from trunkline.errors import TrunklineError
from trunkline.lab.network import Network
from trunkline.observe.hep import HepPacket
from trunkline.sip.message import parse

STORY = """\
INVITE sip:bob@127.0.0.1:22222
  Call-ID  ringing@phone
  from     "Alice" <sip:alice@example.org>
  to       <sip:bob@example.org>
  began    DATE TIME; 13 messages at Edge
  status   200 OK

   0.000  received      INVITE sip:bob@127.0.0.1:22222 from UDP 127.0.0.1:11111
   0.000  sent          100 Trying (1 INVITE) to UDP 127.0.0.1:11111
   0.000  script        to_callee()
   0.000  branch        sip:bob@127.0.0.1:22222 to UDP 127.0.0.1:33333, as z9hG4bK
   0.000  sent          INVITE sip:bob@127.0.0.1:22222 to UDP 127.0.0.1:33333
                          + Record-Route: <sip:127.0.0.1:22222;lr;k=…>
                          + Via: SIP/2.0/UDP 127.0.0.1:22222;branch=z9hG4bK
                          - Max-Forwards: 70
                          + Max-Forwards: 69
                          - Supported: 100rel, timer
                          + Supported: timer
                          + Max-Breadth: 60
   0.000  received      180 Ringing (1 INVITE) from UDP 127.0.0.1:33333
   0.000  response      sip:bob@127.0.0.1:22222 at UDP 127.0.0.1:33333 answered 180 Ringing
   0.000  sent          180 Ringing (1 INVITE) to UDP 127.0.0.1:11111
   0.000  received      200 OK (1 INVITE) from UDP 127.0.0.1:33333
   0.000  response      sip:bob@127.0.0.1:22222 at UDP 127.0.0.1:33333 answered 200 OK
   0.000  sent          200 OK (1 INVITE) to UDP 127.0.0.1:11111
   0.000  answered      200 OK

   0.000  received      ACK sip:bob@127.0.0.1:33333 from UDP 127.0.0.1:11111
   0.000  sent          ACK sip:bob@127.0.0.1:33333 to UDP 127.0.0.1:33333
                          + Via: SIP/2.0/UDP 127.0.0.1:22222;branch=z9hG4bK
                          - Max-Forwards: 70
                          + Max-Forwards: 69
                          - Route: <sip:127.0.0.1:22222;lr;k=…>
                          + Max-Breadth: 60

   0.000  received      BYE sip:bob@127.0.0.1:33333 from UDP 127.0.0.1:11111
   0.000  script        onward()
   0.000  branch        sip:bob@127.0.0.1:33333 to UDP 127.0.0.1:33333, as z9hG4bK
   0.000  sent          BYE sip:bob@127.0.0.1:33333 to UDP 127.0.0.1:33333
                          + Via: SIP/2.0/UDP 127.0.0.1:22222;branch=z9hG4bK
                          - Max-Forwards: 70
                          + Max-Forwards: 69
                          - Route: <sip:127.0.0.1:22222;lr;k=…>
                          + Max-Breadth: 60
   0.000  received      200 OK (2 BYE) from UDP 127.0.0.1:33333
   0.000  response      sip:bob@127.0.0.1:33333 at UDP 127.0.0.1:33333 answered 200 OK
   0.000  sent          200 OK (2 BYE) to UDP 127.0.0.1:11111
   0.000  answered      200 OK
"""

LADDER = """\
                                             Edge
            127.0.0.1:11111             127.0.0.1:22222             127.0.0.1:33333
                   │                           │                           │
   0.000           │───────── INVITE ─────────>│                           │
   0.000   +0.000  │<─────── 100 Trying ───────│                           │
   0.000   +0.000  │                           │───────── INVITE ─────────>│
   0.000   +0.000  │                           │<────── 180 Ringing ───────│
   0.000   +0.000  │<────── 180 Ringing ───────│                           │
   0.000   +0.000  │                           │<───────── 200 OK ─────────│
   0.000   +0.000  │<───────── 200 OK ─────────│                           │
   0.000   +0.000  │────────── ACK ───────────>│                           │
   0.000   +0.000  │                           │────────── ACK ───────────>│
   0.000   +0.000  │────────── BYE ───────────>│                           │
   0.000   +0.000  │                           │────────── BYE ───────────>│
   0.000   +0.000  │                           │<───────── 200 OK ─────────│
   0.000   +0.000  │<───────── 200 OK ─────────│                           │
"""

LIST = """\
Time          Request  From   To   Status                     Messages  Call-ID
TIME  INVITE   alice  bob  486 Busy Here              9         busy@phone
TIME  INVITE   alice  bob  200 OK                     13        ringing@phone
TIME  INVITE   alice  bob  500 Server Internal Error  4         wrong@phone
"""

WRONG = """\
INVITE sip:nobody@127.0.0.1:22222
  Call-ID  wrong@phone
  from     "Alice" <sip:alice@example.org>
  to       <sip:bob@example.org>
  began    DATE TIME; 4 messages at Edge
  status   500 Server Internal Error

   0.000  received      INVITE sip:nobody@127.0.0.1:22222 from UDP 127.0.0.1:11111
   0.000  sent          100 Trying (1 INVITE) to UDP 127.0.0.1:11111
   0.000  script        to_callee()
   0.000  script-error  to_callee(): SCRIPT:9: LookupError: there is nobody
                          SCRIPT:9 in to_callee: raise LookupError("there is nobody")
   0.000  sent          500 Server Internal Error (1 INVITE) to UDP 127.0.0.1:11111
   0.000  answered      500 Server Internal Error

   0.000  received      ACK sip:nobody@127.0.0.1:22222 from UDP 127.0.0.1:11111
"""

STATUS = """\
Edge  SIP proxy in trial, Trunkline 0.1.0
script SCRIPT, not reloaded yet

Listens on
UDP 127.0.0.1:22222

Worker  Pid  Up for  Requests  Sent on  Responses  Resent  Repeats  Under way
0       PID  H:MM:SS  4        3          5       0        0          NOW

Went wrong                   Times
script: to_callee() raised   1
"""


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A proxy for tests that send something."""
    with running(tmp_path_factory.mktemp("sip")) as found:
        yield found


@pytest.fixture(autouse=True)
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {"proxied", "idle"} & {*request.fixturenames}:
        found: Proxied = request.getfixturevalue(name)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(found.runtime))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), list(arguments))


def error(result: Result) -> TrunklineError:
    assert isinstance(result.exception, TrunklineError), result.output
    return result.exception


def steady(text: str, proxied: Proxied) -> str:
    """``text`` with what differs from run to run made the same."""
    for port, number in (
        (proxied.caller.port, "11111"),
        (proxied.port, "22222"),
        (proxied.callee.port, "33333"),
    ):
        text = text.replace(f":{port}", f":{number}")
    text = text.replace(str(proxied.script), "SCRIPT")
    text = re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "TIME", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)
    text = re.sub(r"^( +)\d+\.\d{3}", r"\g<1>0.000", text, flags=re.MULTILINE)
    text = re.sub(r"\+\d+\.\d{3}", "+0.000", text)
    text = re.sub(r";k=[0-9a-f]{16}>", ";k=…>", text)
    return re.sub(r"z9hG4bK[\w.]+", "z9hG4bK", text)


def transcript(proxied: Proxied, *arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return steady(result.stdout, proxied)


# explain


def test_calls_are_listed_the_newest_first(proxied: Proxied) -> None:
    assert transcript(proxied, "explain") == LIST
    assert transcript(proxied, "explain", "--limit", "1").count("\n") == 2
    calls = json.loads(run("explain", "--json").stdout)
    assert [call["call_id"] for call in calls] == ["busy@phone", "ringing@phone", "wrong@phone"]
    assert calls[0]["nodes"] == ["Edge"]


def test_a_calls_story(proxied: Proxied) -> None:
    assert transcript(proxied, "explain", "ring") == STORY
    assert transcript(proxied, "explain", "wrong@phone", "--node", "edge") == WRONG


def test_a_story_with_its_ladder(proxied: Proxied) -> None:
    told = transcript(proxied, "explain", "ringing@phone", "--ladder")
    head, _, steps = STORY.partition("\n\n")
    assert told == f"{head}\n\n{LADDER}\n{steps}"


def test_a_story_as_data(proxied: Proxied) -> None:
    told = json.loads(run("explain", "busy", "--json").stdout)
    assert (told["call_id"], told["status"]) == ("busy@phone", 486)
    steps = told["steps"]
    assert {(step["node"], step["worker"]) for step in steps} == {("Edge", 0)}
    assert [step["time"] for step in steps] == sorted(step["time"] for step in steps)
    assert [step["text"] for step in steps if step["kind"] == "answered"] == ["486 Busy Here"]


def test_a_call_that_nobody_knows(proxied: Proxied) -> None:
    problem = error(run("explain", "zz"))
    assert problem.code == "explain.no-call"
    assert problem.message == (
        "Edge remembers no Call-ID that begins with 'zz'; `trunkline explain` lists those there are"
    )
    problem = error(run("explain", ""))
    assert problem.code == "explain.ambiguous"
    assert "busy@phone, ringing@phone, wrong@phone" in problem.message


def test_completion(proxied: Proxied) -> None:
    assert call_ids("b") == [("busy@phone", "INVITE <sip:bob@example.org>")]
    assert node_names("ed") == ["Edge"]
    assert node_names("x") == []


def test_nothing_is_up(runtime: Path) -> None:
    for arguments in (["explain"], ["sip", "status"], ["sip", "trace", "Edge"]):
        assert error(run(*arguments)).code == "lab.not-up"
    assert call_ids("") == []


def test_a_proxy_is_no_router(proxied: Proxied) -> None:
    for arguments in (["exec", "Edge", "show version"], ["shell", "edge"]):
        problem = error(run(*arguments))
        assert problem.code == "shell.no-router"
        assert problem.message.startswith("Edge is a SIP proxy and has no router's command line")


# trace


def test_a_ladder_of_what_has_passed(proxied: Proxied) -> None:
    assert transcript(proxied, "sip", "trace", "--call-id", "ringing") == LADDER
    assert "486 Busy Here" in transcript(proxied, "sip", "trace", "Edge", "--last")
    only = transcript(proxied, "sip", "trace", "-c", "ringing", "-m", "bye").splitlines()
    assert [line.split("─ ")[-1].split(" ─")[0] for line in only[3:]] == [
        "BYE",
        "BYE",
        "200 OK",
        "200 OK",
    ]


def test_messages_as_they_were(proxied: Proxied) -> None:
    told = transcript(proxied, "sip", "trace", "-c", "wrong", "--raw")
    first = told.split("\n\n")[0].splitlines()
    assert first[0] == "TIME  127.0.0.1:11111 > 127.0.0.1:22222  UDP, 285 octets"
    assert first[1] == "INVITE sip:nobody@127.0.0.1:22222 SIP/2.0"
    assert first[-1] == "Content-Length: 0"
    lines = run("sip", "trace", "-c", "wrong", "--json").stdout.splitlines()
    messages = [json.loads(line) for line in lines]
    assert [message["sent"] for message in messages] == [False, True, True, False]
    assert messages[0]["text"].startswith("INVITE sip:nobody@")
    assert messages[0]["remote"] == ["127.0.0.1", proxied.caller.port]


def watching(idle: Proxied, *arguments: str) -> tuple[list[str], int]:
    """What a command prints while requests pass, until Ctrl-C, and its exit code."""
    process = subprocess.Popen(
        idle.command("sip", *arguments),
        env=idle.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    reader = Thread(target=_collect, args=(process.stdout, lines))
    reader.start()
    for number in range(200):
        idle.options(f"watch{number}@phone")
        time.sleep(0.05)
        if len(lines) > 6:
            break
    process.send_signal(signal.SIGINT)
    status = process.wait(timeout=20)
    reader.join()
    process.stdout.close()
    return lines, status


def _collect(stream: TextIO, lines: list[str]) -> None:
    for line in stream:
        lines.append(line)  # noqa: PERF402 - the list is looked at meanwhile


def test_a_ladder_while_it_happens(idle: Proxied) -> None:
    lines, status = watching(idle, "trace", "--method", "options")
    assert status == 0
    heads, first = [line.split() for line in lines[:3]], lines[3]
    assert heads == [
        ["Edge"],
        [f"127.0.0.1:{idle.caller.port}", f"127.0.0.1:{idle.port}"],
        ["│", "│"],
    ]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} {10}watch\d+@?… │─+ OPTIONS ─+>│\n", first)
    assert re.fullmatch(r"\S+ +\+0\.\d{3} watch\d+@?… │<─+ 483 Too Many Hops ─+│\n", lines[4])


def test_json_while_it_happens(idle: Proxied) -> None:
    lines, status = watching(idle, "trace", "Edge", "--json")
    assert status == 0
    messages = [json.loads(line) for line in lines]
    assert {message["kind"] for message in messages} == {"sip"}
    assert messages[0]["text"].startswith("OPTIONS ")


def test_a_capture_until_ctrl_c(idle: Proxied, tmp_path: Path) -> None:
    file = tmp_path / "edge.pcap"
    process = subprocess.Popen(
        idle.command("sip", "capture", "edge", str(file)),
        env=idle.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "capturing at Edge; Ctrl-C ends it …\n"
    idle.options("captured@phone")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output == f"2 messages in {file}\n"
    assert read_by_tshark(file) == ["captured@phone", "captured@phone"]


def test_a_capture_of_what_has_passed(proxied: Proxied, tmp_path: Path) -> None:
    file = tmp_path / "busy.pcap"
    told = run("sip", "capture", "Edge", str(file), "--call-id", "busy", "--json").stdout
    counts = {"packets": 9, "dropped": 0, "lost": 0}
    assert json.loads(told) == {"file": str(file), "node": "Edge", **counts}
    assert read_by_tshark(file) == ["busy@phone"] * 9
    again = tmp_path / "again.pcap"
    assert error(run("sip", "capture", "Edge", str(again), "-c", "zz")).code == "explain.no-call"
    assert not again.exists()
    assert run("sip", "capture", "Edge", str(again), "--seconds", "0.1").stdout == (
        f"0 messages in {again}\n"
    )


def read_by_tshark(file: Path) -> list[str]:
    """The Call-IDs that Wireshark finds, with no settings."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is absent")
    command = ["tshark", "-r", str(file), "-Y", "sip", "-T", "fields", "-e", "sip.Call-ID"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


# status and reload


def test_status(proxied: Proxied) -> None:
    told = transcript(proxied, "sip", "status", "edge")
    told = re.sub(
        r"^0 +\d+ +\d+:\d\d:\d\d(.*) \d+$", r"0 PID H:MM:SS\1 NOW", told, flags=re.MULTILINE
    )
    assert re.sub(" +", " ", told) == re.sub(" +", " ", STATUS)


def test_status_of_what_is_no_proxy(lab: Network) -> None:
    assert error(run("sip", "status", "A")).code == "lab.no-proxy"
    problem = error(run("sip", "status"))
    assert problem.code == "lab.not-up"
    assert problem.message == "no SIP proxy is up; `trunkline run FILE` starts one"


def test_reload(idle: Proxied) -> None:
    good = idle.script.read_text(encoding="utf-8")
    try:
        idle.script.write_text(good + "\nnonsense\n", encoding="utf-8")
        problem = error(run("sip", "reload", "edge"))
        assert problem.code == "script.error"
        assert steady(problem.message, idle) == (
            "Edge stays with the script that it has: SCRIPT:18: NameError: name 'nonsense' is not"
            " defined\n    SCRIPT:18 in <module>: nonsense"
        )
    finally:
        idle.script.write_text(good, encoding="utf-8")
    assert transcript(idle, "sip", "reload", "edge") == "Edge now runs SCRIPT\n"
    assert "reloaded once" in run("sip", "status").stdout


# several workers; a collector


def test_two_workers_are_one_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, workers=2) as proxied:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(proxied.runtime))
        for number in range(8):
            proxied.options(f"few{number}@phone")
            caller, proxied.caller = proxied.caller, Phone()
            caller.close()
        time.sleep(0.02)  # the loop's clock counts milliseconds
        proxied.call("two@phone")
        [found] = json.loads(run("sip", "status", "--json").stdout)
        assert [worker["worker"] for worker in found["workers"]] == [0, 1]
        assert found["counters"]["transactions"]["requests"] == 10
        assert sum(w["counters"]["transactions"]["requests"] for w in found["workers"]) == 10
        table = [line.split() for line in run("sip", "status").stdout.splitlines()]
        assert [row[0] for row in table if row and row[0] in ("0", "1", "all")] == ["0", "1", "all"]
        assert len(json.loads(run("explain", "--json").stdout)) == 9
        told = transcript(proxied, "explain", "two@")
        assert "answered      200 OK" in told
        drawn = transcript(proxied, "sip", "trace", "--last").splitlines()
        assert [line for line in drawn if " again " not in line] == LADDER.splitlines()
        assert transcript(proxied, "sip", "reload", "Edge") == "Edge now runs SCRIPT in 2 workers\n"
        proxied.socket.with_suffix(".1.sock").unlink()
        missing = run("sip", "status")
        assert missing.exit_code == 1
        assert "worker 1 does not answer" in missing.stdout


def test_messages_go_to_a_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10.0)
        port = collector.getsockname()[1]
        with running(tmp_path, settings=[f'hep = "udp:127.0.0.1:{port}"', "hep_id = 7"]) as proxied:
            monkeypatch.setenv("XDG_RUNTIME_DIR", str(proxied.runtime))
            proxied.options("copied@phone")
            packets = [HepPacket.parse(collector.recv(65_535)) for _ in range(2)]
            counters = json.loads(run("sip", "status", "--json").stdout)[0]["counters"]["hep"]
            assert counters == {"sent": 2, "dropped": 0, "refused": 0}
            collector.close()
            for number in range(3):
                proxied.options(f"lost{number}@phone")
            assert "HEP: packets refused" in run("sip", "status").stdout
    caller, edge = ("127.0.0.1", proxied.caller.port), ("127.0.0.1", proxied.port)
    assert [(packet.source, packet.destination) for packet in packets] == [
        (caller, edge),
        (edge, caller),
    ]
    assert [packet.capture_id for packet in packets] == [7, 7]
    assert abs(packets[0].time - time.time()) < 60
    starts = [parse(packet.payload).start_line for packet in packets]
    assert starts == [
        f"OPTIONS sip:bob@127.0.0.1:{proxied.port} SIP/2.0",
        "SIP/2.0 483 Too Many Hops",
    ]


# narrow terminals


def test_a_narrow_terminal(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, color_system=None, width=44)
    monkeypatch.setattr("trunkline.cli.explain.console", lambda: terminal)
    assert run("explain").exit_code == 0
    assert run("explain", "busy", "--ladder").exit_code == 0
    lines = steady(written.getvalue(), proxied).splitlines()
    assert lines[:4] == [
        "TIME  INVITE alice > bob",
        "    486 Busy Here",
        "  busy@phone",
        "TIME  INVITE alice > bob  200 OK",
    ]
    assert max(map(len, lines)) <= 44
    assert "   0.000  branch" in lines
    assert "    sip:bob@127.0.0.1:22222 to UDP" in lines


def test_a_script_is_not_run_without_a_network(tmp_path: Path) -> None:
    script = tmp_path / "route.py"
    script.write_text("")
    command = [sys.executable, "-m", "trunkline", "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'script = "route.py"' in done.stderr


def test_a_slip_in_a_methods_name(proxied: Proxied) -> None:
    result = run("sip", "trace", "--last", "-m", "invit")
    assert "INVIT: did you mean INVITE?" in result.stderr
