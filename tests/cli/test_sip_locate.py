"""Transcripts of ``trunkline sip locate``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import dns.message
import pytest
from rich.console import Console
from tests.net.dns_server import DnsServer, Reply, serving, zone
from typer.testing import CliRunner, Result

from trunkline.cli import sip
from trunkline.cli.app import build
from trunkline.errors import TrunklineError

ZONE = (
    'ims.example. 60 IN NAPTR 10 50 "s" "SIP+D2U" "" _sip._udp.ims.example.',
    'ims.example. 60 IN NAPTR 20 50 "s" "SIP+D2T" "" _sip._tcp.ims.example.',
    'ims.example. 60 IN NAPTR 30 50 "u" "E2U+sip" "!^.*$!sip:x@y!" .',
    "_sip._udp.ims.example. 120 IN SRV 1 0 5070 b.ims.example.",
    "_sip._udp.ims.example. 120 IN SRV 0 9 5060 a.ims.example.",
    "a.ims.example. 60 IN A 192.0.2.11",
    "a.ims.example. 60 IN AAAA 2001:db8::11",
    "b.ims.example. 60 IN A 192.0.2.12",
    "scscf.ims.example. 60 IN A 192.0.2.21",
    "none.ims.example. 60 IN A 192.0.2.22",
    "_sip._udp.none.ims.example. 60 IN SRV 0 0 0 .",
)

BY_NAPTR = """\
sip:ims.example
├── target ims.example  the host of the URI [RFC 3263 4]
├── transport UDP  the NAPTR record that the domain prefers most [RFC 3263 4.1]
│   └── NAPTR ims.example  3 records, TTL 60 s; SERVER T ms
│       ├── * 10 50 "s" "SIP+D2U" "" _sip._udp.ims.example  the most preferred that we can use
│       ├── - 20 50 "s" "SIP+D2T" "" _sip._tcp.ims.example  a record with a lower order is used
│       └── - 30 50 "u" "E2U+sip" "!^.*$!sip:x@y!" .  not a service that leads to a SIP server
├── servers 2 of _sip._udp.ims.example  the SRV records of the transport [RFC 3263 4.2]
│   └── SRV _sip._udp.ims.example  2 records, TTL 120 s; SERVER T ms
│       ├── * 0 9 5060 a.ims.example  takes its share by priority and weight
│       └── * 1 0 5070 b.ims.example  takes its share by priority and weight
├── addresses  the A and AAAA records of each server [RFC 3263 4.2]
│   ├── AAAA a.ims.example  2001:db8::11, TTL 60 s; SERVER T ms
│   ├── A a.ims.example  192.0.2.11, TTL 60 s; SERVER T ms
│   ├── AAAA b.ims.example  none (no data), for 30 s; SERVER T ms
│   └── A b.ims.example  192.0.2.12, TTL 60 s; SERVER T ms
└── order  whom to try, one after the other
    ├── 1 UDP [2001:db8::11]:5060  a.ims.example, priority 0, weight 9
    ├── 2 UDP 192.0.2.11:5060      a.ims.example, priority 0, weight 9
    └── 3 UDP 192.0.2.12:5070      b.ims.example, priority 1, weight 0

Name server Named by Queries Answers
SERVER --server 6 6
"""

BY_PORT = """\
sip:scscf.ims.example:5060
├── target scscf.ims.example:5060  the host of the URI [RFC 3263 4]
├── transport UDP  a port without a transport parameter: NAPTR is not asked [RFC 3263 4.1]
├── servers port 5060  a port is given: addresses only, no SRV, even for 5060 [RFC 3263 4.2]
├── addresses  the A and AAAA records of each server [RFC 3263 4.2]
│   ├── AAAA scscf.ims.example  none (no data), for 30 s; SERVER T ms
│   └── A scscf.ims.example  192.0.2.21, TTL 60 s; SERVER T ms
└── order  whom to try, one after the other
    └── 1 UDP 192.0.2.21:5060  scscf.ims.example

Name server Named by Queries Answers
SERVER --server 2 2

The port sends all to the addresses of scscf.ims.example. Without it, SRV records choose:
  trunkline sip locate sip:scscf.ims.example
"""

LITERAL = """\
sips:alice@[2001:db8::1]
├── target [2001:db8::1]  the host of the URI [RFC 3263 4]
├── transport TLS  an address without a transport parameter [RFC 3263 4.1]
├── servers port 5061  the address itself: nothing is asked [RFC 3263 4.2]
└── order  whom to try, one after the other
    └── 1 TLS [2001:db8::1]:5061

No name server had to be asked.
"""

NO_SERVICE = """\
sip:none.ims.example;transport=udp
├── target none.ims.example  the host of the URI [RFC 3263 4]
├── transport UDP  the URI names its transport [RFC 3263 4.1]
├── servers none  the domain says that it has no such service [RFC 2782]
│   └── SRV _sip._udp.none.ims.example  1 record, TTL 60 s; SERVER T ms
│       └── - 0 0 0 .  the target ".": there is decidedly no such service
└── nobody to send to  none.ims.example has no such service, by its own word; ask its administrator

Name server Named by Queries Answers
SERVER --server 1 1
"""


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with serving(zone(*ZONE)) as running:
        yield running


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sip.app, ["locate", *arguments])


def plain(text: str, server: DnsServer) -> str:
    """``text`` without what differs from run to run: the port, the times, and the table's width."""
    text = re.sub(r"\d+\.\d ms", "T ms", text.replace(server.text, "SERVER"))
    head, mark, table = text.partition("\nName server")
    return head + mark + re.sub(r"(?<!\n)  +", " ", table)


@pytest.mark.parametrize(
    ("uri", "printed", "code"),
    [
        ("sip:ims.example", BY_NAPTR, 0),
        ("sip:scscf.ims.example:5060", BY_PORT, 0),
        ("sips:alice@[2001:db8::1]", LITERAL, 0),
        ("sip:none.ims.example;transport=udp", NO_SERVICE, 1),
    ],
)
def test_transcripts(server: DnsServer, uri: str, printed: str, code: int) -> None:
    result = run("--server", server.text, uri)
    assert plain(result.stdout, server) == printed
    assert result.exit_code == code
    assert result.stderr == ""


def test_json_is_the_record_and_nothing_else(server: DnsServer) -> None:
    result = run("--json", "-s", server.text, "-t", "tcp", "-t", "udp", "sip:ims.example")
    value = json.loads(result.stdout)
    assert result.exit_code == 0
    assert list(value) == ["uri", "target", "steps", "order", "problem", "warnings", "servers"]
    assert value["uri"] == "sip:ims.example"
    assert [step["reason"] for step in value["steps"]] == [
        "host",
        "transport-naptr",
        "server-srv",
        "addresses",
    ]
    assert value["order"][1] | {"port": 0} == {
        "transport": "UDP",
        "address": "192.0.2.11",
        "port": 0,
        "domain": "ims.example",
        "server": "a.ims.example",
        "priority": 0,
        "weight": 9,
        "drawn": None,
        "penalty": 0.0,
    }
    assert value["servers"] == [
        {
            "server": server.text,
            "source": "--server",
            "queries": 6,
            "answers": 6,
            "silent": 0,
            "refused": 0,
        }
    ]


def test_json_of_nobody(server: DnsServer) -> None:
    result = run("--json", "-s", server.text, "sip:nowhere.ims.example:5060")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problem"] == {
        "code": "locate.no-address",
        "message": "nowhere.ims.example does not exist: check the name, or add the record to its "
        "zone",
    }


def test_what_the_sender_has_decides(server: DnsServer) -> None:
    result = run("-s", server.text, "-t", "TCP", "-t", "tcp", "sip:ims.example")
    assert '- 10 50 "s" "SIP+D2U" "" _sip._udp.ims.example  a transport that we do' in result.stdout
    assert result.exit_code == 1  # TCP has neither SRV nor the domain an address


def test_a_host_alone_is_a_sip_uri(server: DnsServer) -> None:
    result = run("-s", server.text, "scscf.ims.example:5060")
    assert plain(result.stdout, server) == BY_PORT


def test_a_name_server_that_is_not_there_is_named() -> None:
    with serving(zone()) as server:
        pass
    result = run("-s", server.text, "sip:ims.example")
    assert result.exit_code == 1
    assert "failed; SERVER (refused: nothing listens there) T ms" in plain(result.stdout, server)
    assert "nobody to send to  DNS does not tell the address of ims.example" in result.stdout
    assert result.stderr.startswith(
        f"trunkline: the name server {server.text} (--server) is this machine itself, and does "
        "not answer: refused: nothing listens there."
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["tel:+493012345"], "locate.scheme", "a tel URI names no SIP server; give a sip or sips"),
        (["sip:"], "sip.uri.host", "a host is missing"),
        (["ims.example:99999"], "sip.uri.port", "'99999' is no port"),
        (["-s", "dns.example", "sip:x.example"], "dns.server", "--server: 'dns.example' is no"),
        (["-t", "sctp", "sip:x.example"], "locate.transport", "--transport sctp: give udp, tcp"),
    ],
)
def test_wrong_use(arguments: list[str], code: str, words: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, TrunklineError)
    assert result.exception.code == code
    assert words in str(result.exception)
    assert result.stdout == ""


def test_a_person_is_told_who_is_awaited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = zone(*ZONE)

    def slowly(query: dns.message.Message, transport: str) -> list[Reply]:
        time.sleep(0.05)
        return answers(query, transport)

    terminal = Console(force_terminal=True, width=200, stderr=True, color_system=None)
    monkeypatch.setattr(sip, "error_console", lambda: terminal)
    monkeypatch.setattr(sip, "_PATIENCE", 0.01)
    with serving(slowly) as server:
        with pytest.raises(SystemExit) as ended:
            build()(["sip", "locate", "-s", server.text, "sip:scscf.ims.example:5060"])
        assert ended.value.code == 0
        assert f"Waiting for {server.text} ..." in capsys.readouterr().err


def test_help_is_for_newcomers() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for words in ("trunkline sip locate sip:scscf.ims.example:5060", "--json", "Exit code 0"):
        assert words in result.stdout
