"""What actions ask for beyond their account, carried out with real servers on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.elements.charging.office import Office, office, opened
from tests.elements.charging.support import write_folder

from trunkline.charging.templates import Template
from trunkline.elements.charging.effects import ATTEMPTS, PREFIX, Order
from trunkline.elements.charging.exporting import Exporter
from trunkline.elements.charging.exports import Exports
from trunkline.elements.charging.scheduler import Scheduler
from trunkline.errors import TrunklineError
from trunkline.net import http
from trunkline.store.ledger.book import Book


@dataclass
class Web:
    """A server that keeps what it is sent, and answers what it is told to."""

    url: str = ""
    status: str = "200 OK"
    requests: list[tuple[str, Any]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    hang: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        body = json.loads(await reader.readexactly(length))
        self.requests.append((head.split()[1].decode(), body))
        if self.hang:
            with suppress(ConnectionError):
                await reader.read()
        else:
            writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 2\r\n\r\nok".encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def web(context: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    found = Web()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context)
    scheme = "http" if context is None else "https"
    found.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found


def actions(*rows: str) -> dict[str, str]:
    return {"Actions.csv": "".join(f"{row}\n" for row in rows)}


async def execute(desk: Office, name: str = "A") -> None:
    await desk.ok("APIerSv1.ExecuteAction", Account="1001", ActionsId=name)


def run(tmp_path: Path, script: Callable[[Office, Web], Awaitable[None]], *extra: str) -> None:
    """A script with a node, and a web server that its actions post to."""

    async def main() -> None:
        async with web() as server:
            rows = actions(
                "A,*topup,,,,*monetary,,,,,,,5,,,,20",
                f"A,*http_post,{server.url}/hook?a=1,,,,,,,,,,,,,,10",
                *extra,
            )
            folder = write_folder(tmp_path / "rows", rows)
            async with opened(folder, f"sqlite:///{tmp_path}/ledger.db") as desk:
                await script(desk, server)

    asyncio.run(main())


def test_an_account_is_posted(tmp_path: Path) -> None:
    async def script(desk: Office, server: Web) -> None:
        await execute(desk)
        assert server.requests == [], "not before the change is on disk"
        [task] = await desk.book.tasks(PREFIX)
        assert Order.of_task(task).action == "*http_post"
        await desk.scheduler.turn()
        [(path, body)] = server.requests
        assert path == "/hook?a=1"
        assert body["ID"] == "cgrates.org:1001"
        assert body["BalanceMap"]["*monetary"][0]["Value"] == 5
        assert b"application/json" in server.heads[0]
        assert await desk.book.tasks(PREFIX) == []
        assert desk.scheduler.counters.effects_done == 1
        await desk.scheduler.turn()
        assert len(server.requests) == 1

    run(tmp_path, script)


def test_what_fails_is_tried_again_later_each_time_and_given_up(tmp_path: Path) -> None:
    async def script(desk: Office, server: Web) -> None:
        server.status = "503 Busy"
        await execute(desk)
        waits = []
        for attempt in range(1, ATTEMPTS):
            await desk.scheduler.turn()
            assert len(server.requests) == attempt
            [task] = await desk.book.tasks(PREFIX)
            waits.append(task.due - desk.now.timestamp())
            desk.later(seconds=waits[-1])
        assert waits == [1, 4, 16, 64, 256, 256, 256]
        await desk.scheduler.turn()
        assert await desk.book.tasks(PREFIX) == []
        counters = desk.scheduler.counters
        assert (counters.effects_retried, counters.effects_given_up) == (7, 1)
        [line] = [line for line in desk.lines if "GIVEN-UP" in line]
        assert line.startswith("ACTION-3-GIVEN-UP: *http_post of A for cgrates.org:1001: http://")
        assert line.endswith("/hook answered 503")

    run(tmp_path, script)


def test_one_that_mends_itself_is_done(tmp_path: Path) -> None:
    async def script(desk: Office, server: Web) -> None:
        server.status = "500 Oh"
        await execute(desk)
        await desk.scheduler.turn()
        server.status = "204 None"
        desk.later(seconds=1)
        await desk.scheduler.turn()
        assert desk.scheduler.counters.effects_done == 1
        assert len(server.requests) == 2

    run(tmp_path, script)


def test_a_node_that_dies_before_or_after_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for is done at least once: twice, where it died in between."""

    async def script(desk: Office, server: Web) -> None:
        await desk.scheduler.turn()
        await execute(desk)
        update = Book.update

        async def dead(*_: Any, **__: Any) -> Any:
            raise TrunklineError("store.ledger-unavailable", "gone")

        monkeypatch.setattr(Book, "update", dead)
        await desk.scheduler.turn()
        monkeypatch.setattr(Book, "update", update)
        assert len(server.requests) == 1
        desk.later(seconds=14)
        await desk.scheduler.turn()
        assert len(server.requests) == 1, "it is another's for a while"
        desk.later(seconds=1)
        await desk.scheduler.turn()
        assert len(server.requests) == 2
        assert await desk.book.tasks(PREFIX) == []

    run(tmp_path, script)


def test_a_server_that_hangs_delays_nobody_else(tmp_path: Path) -> None:
    async def script(desk: Office, server: Web) -> None:
        server.hang = True
        desk.scheduler = Scheduler(desk.engine, desk.log, timeout=0.2)
        await execute(desk)
        await execute(desk, "B")
        began = asyncio.get_running_loop().time()
        await desk.scheduler.turn()
        assert 0.2 <= asyncio.get_running_loop().time() - began < 1
        assert (desk.scheduler.counters.effects_done, len(server.requests)) == (1, 1)
        assert desk.scheduler.counters.effects_retried == 1

    run(tmp_path, script, "B,*log,,,,,,,,,,,,,,,10")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("*http_post,ftp://x/,,", "'ftp://x/' is no URL to post to"),
        ("*http_post,http://[x/,,", "'http://[x/' is no URL to post to"),
        ("*http_post,,,", "'' is no URL to post to"),
        ("*http_post,http://a..b/,,", "'http://a..b/' is no URL to post to"),
        ('*cgr_rpc,"{""Address"":""nowhere"",""Method"":""A.B""}",,', "'nowhere' is no address"),
        ("*cgr_rpc,1,,", "the parameters '1' are no JSON object"),
        ("*cgr_rpc,{},,", "its parameters name no Address and Method"),
        ("*post_event,,,", "*post_event of B for cgrates.org:1001: nothing here carries that out"),
    ],
)
def test_what_no_attempt_would_mend_is_given_up_at_once(
    tmp_path: Path, row: str, said: str
) -> None:
    async def script(desk: Office) -> None:
        await execute(desk, "B")
        await desk.scheduler.turn()
        assert desk.scheduler.counters.effects_given_up == 1
        assert said in desk.lines[-1]
        assert await desk.book.tasks(PREFIX) == []

    rows = f"B,*topup,,,,*monetary,,,,,,,5,,,,20\nB,{row},,,,,,,,,,,,10\n"
    office(tmp_path, {"Actions.csv": rows}, script)


def test_a_log_line_and_a_call(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await execute(desk)
        await desk.scheduler.turn()
        assert any(
            line.startswith('ACTION-6-LOG: LOG Account: {"ID":"cgrates.org:1001"')
            for line in desk.lines
        )
        assert desk.scheduler.counters.effects_done == 1
        assert desk.scheduler.counters.effects_retried == 1, "nobody listens there yet"

    rpc = '"{""Address"":""127.0.0.1:1"",""Method"":""CoreSv1.Ping"",""Params"":{}}"'
    rows = actions("A,*log,,,,,,,,,,,,,,,20", f"A,*cgr_rpc,{rpc},,,,,,,,,,,,,,10")
    office(tmp_path, rows, script)


def test_a_mail_waits_for_a_node_that_has_a_server(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await execute(desk)
        await desk.scheduler.turn()
        assert "no mail_server is set in the network file" in desk.lines[-1]
        async with mails() as (place, told):
            other = Scheduler(desk.engine, desk.log, mail_server=place, mail_from="us@x")
            desk.later(seconds=1)
            await other.turn()
            assert "RCPT TO:<a@example.net>" in told

    office(tmp_path, actions("A,*mail_async,a@example.net,,,,,,,,,,,,,,10"), script)


def test_filters_of_an_action_look_at_the_account(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await execute(desk)
        assert await desk.money() == 5
        await execute(desk)
        assert await desk.money() == 12, "now it has more than 4 before the second row"
        await execute(desk, "B")
        assert await desk.money() == 12
        assert "there is no filter" in await desk.ask(
            "APIerSv1.ExecuteAction", Account="1001", ActionsId="C"
        )

    rows = actions(
        "A,*topup,,*gte:~*req.BalanceMap.*monetary[0].Value:5,,*monetary,,,,,,,2,,,,20",
        "A,*topup,,,,*monetary,,,,,,,5,,,,10",
        "B,*topup,,*string:~*req.Account:1002,,*monetary,,,,,,,2,,,,20",
        "C,*topup,,NOPE,,*monetary,,,,,,,2,,,,20",
    )
    office(tmp_path, rows, script)


def test_an_account_is_exported(tmp_path: Path) -> None:
    fields = [
        Template(path=f"*exp.{name}", value=f"~*req.{rest}")
        for name, rest in {
            "Account": "Account",
            "Money": "BalanceMap.*monetary[0].Value",
            "Kind": "EventType",
        }.items()
    ]

    async def script(desk: Office) -> None:
        there = [
            Exporter("books", "*file_json", str(tmp_path / "books"), fields=fields),
            Exporter("rich", "*file_json", str(tmp_path / "rich"), filters=["*gt:~*req.Nothing:1"]),
        ]
        exports = Exports(desk.engine, there)
        desk.scheduler = Scheduler(desk.engine, desk.log, export=exports.give)
        await execute(desk)
        await desk.scheduler.turn()
        [file] = (tmp_path / "books").iterdir()
        [line] = file.read_text().splitlines()
        found = json.loads(line)
        assert found == {"Account": "cgrates.org:1001", "Money": "5", "Kind": "AccountUpdate"}
        assert not (tmp_path / "rich").exists(), "it does not want it"
        await execute(desk, "B")
        await desk.scheduler.turn()
        assert desk.scheduler.counters.effects_retried == 1, "another node may have it"
        assert desk.scheduler.counters.effects_done == 2

    rows = actions(
        "A,*topup,,,,*monetary,,,,,,,5,,,,20",
        "A,*export,,,,,,,,,,,,,,,10",
        "A,*remove_session_costs,,,,,,,,,,,,,,,5",
        "B,*export,none,,,,,,,,,,,,,,10",
        "B,*export,books,,,,,,,,,,,,,,5",
    )
    office(tmp_path, rows, script)


def test_a_secure_server_is_known_by_its_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    made = ssl.create_default_context

    async def main() -> None:
        async with web(context) as server:
            with pytest.raises(TrunklineError, match="CERTIFICATE_VERIFY_FAILED"):
                await http.post(f"{server.url}/a", b"{}")

            def trusting() -> ssl.SSLContext:
                found = made()
                authority.configure_trust(found)
                return found

            monkeypatch.setattr(ssl, "create_default_context", trusting)
            http._context.cache_clear()
            await http.post(server.url.replace("//", "//me:s%40cret@"), b"{}")
            assert b"Authorization: Basic bWU6c0BjcmV0" in server.heads[0]
            assert server.requests == [("/", {})]
            http._context.cache_clear()

    asyncio.run(main())


@asynccontextmanager
async def mails(refusing: str = "") -> AsyncIterator[tuple[str, list[str]]]:
    """A mail server: its address, and what it was told; ``refusing``: one address."""
    told: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            told.append(line)
            if line == "DATA":
                writer.write(b"354 go on\r\n")
                told.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            elif refusing and refusing in line and line.startswith("RCPT"):
                writer.write(b"550 nobody\r\n")
                continue
            writer.write(b"221 bye\r\n" if line == "QUIT" else b"250 fine\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", told


def test_a_mail(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        async with mails() as (place, told):
            desk.scheduler = Scheduler(
                desk.engine, desk.log, mail_server=place, mail_from="us@example.net"
            )
            await execute(desk)
            await desk.scheduler.turn()
            assert desk.scheduler.counters.effects_done == 2, desk.lines
            text = "\n".join(told)
            assert text.count("MAIL FROM:<us@example.net>") == 2
            assert text.count("RCPT TO:<a@example.net>") == 1
            assert text.count("RCPT TO:<b@example.net>") == 1
            assert "EHLO [127.0.0.1]" in text
            assert "Subject: Account cgrates.org:1001" in text
            assert "*monetary gift: 5" in text
        async with mails("b@example") as (place, told):
            desk.scheduler = Scheduler(desk.engine, desk.log, mail_server=place, mail_from="us@x")
            await execute(desk)
            await desk.scheduler.turn()
            assert desk.scheduler.counters.effects_retried == 1, "one of them was refused"
            assert desk.scheduler.counters.effects_done == 1
            desk.later(seconds=1)
            await desk.scheduler.turn()
            assert "\n".join(told).count("RCPT TO:<a@example.net>") == 1, "the other has it"
        desk.scheduler = Scheduler(desk.engine, desk.log, mail_server=place, mail_from="us@x")
        await execute(desk, "NOBODY")
        await desk.scheduler.turn()
        assert desk.scheduler.counters.effects_given_up == 1
        assert "its parameters name nobody" in desk.lines[-1]

    rows = actions(
        "A,*topup_reset,,,gift,*monetary,,,,,,,5,,,,20",
        "A,*mail_async,a@example.net;b@example.net,,,,,,,,,,,,,,10",
        "NOBODY,*mail_async,;,,,,,,,,,,,,,,10",
    )
    office(tmp_path, rows, script)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer, an octet at a time and never to the end."""
    with suppress(ConnectionError):
        while True:
            writer.write(b"1")
            await writer.drain()
            await asyncio.sleep(0.05)
    writer.close()


@pytest.mark.parametrize(
    "row",
    [
        "*http_post,http://{}/,,",
        "*mail_async,a@example.net,,",
        '*cgr_rpc,"{{""Address"":""{}"",""Method"":""A.B""}}",,',
        '*cgr_rpc,"{{""Address"":""http://{}/jsonrpc"",""Method"":""A.B""}}",,',
    ],
)
def test_a_server_that_answers_octet_by_octet(tmp_path: Path, row: str) -> None:
    async def main() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        async with server:
            place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            rows = actions(f"A,{row.format(place)},,,,,,,,,,,,10")
            folder = write_folder(tmp_path / "rows", rows)
            async with opened(folder, f"sqlite:///{tmp_path}/ledger.db") as desk:
                desk.scheduler = Scheduler(desk.engine, desk.log, timeout=0.2, mail_server=place)
                await execute(desk)
                began = asyncio.get_running_loop().time()
                await desk.scheduler.turn()
                assert asyncio.get_running_loop().time() - began < 3
                assert desk.scheduler.counters.effects_retried == 1
                [line] = desk.lines
                assert line.startswith("ACTION-4-RETRIED: *")
            await asyncio.sleep(0.15)  # the server has seen that nobody is there

    asyncio.run(main())


def test_a_server_that_hangs_is_left_alone_for_a_moment(tmp_path: Path) -> None:
    """Of many orders for it a few wait, and what is for somebody else does not."""

    async def script(desk: Office, server: Web) -> None:
        server.hang = True
        desk.scheduler = Scheduler(desk.engine, desk.log, timeout=0.3)
        [*_, row] = desk.engine.profiles.actions["A"]
        hidden = replace(row, extra=row.extra.replace("//", "//me:s3cret@"))
        await desk.engine.rules.set("Actions", "", "A", [hidden])
        await asyncio.gather(*(execute(desk) for _ in range(100)))
        await execute(desk, "B")
        await desk.scheduler.turn()
        assert 0 < len(server.requests) <= 20
        assert desk.scheduler.counters.effects_retried == 100
        assert desk.scheduler.counters.effects_done == 1
        told = [line for line in desk.lines if "RETRIED" in line]
        assert len(told) == 2, "why, once each"
        assert "s3cret" not in "".join(desk.lines)

    run(tmp_path, script, "B,*log,,,,,,,,,,,,,,,10")


def test_a_resolver_that_hangs_takes_no_thread_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        release.wait(10)
        raise OSError("no answer")

    async def script(desk: Office, server: Web) -> None:
        desk.scheduler = Scheduler(desk.engine, desk.log, timeout=0.3)
        await asyncio.gather(*(execute(desk, "B") for _ in range(40)))
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        turn = asyncio.create_task(desk.scheduler.turn())
        try:
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                await asyncio.to_thread(lambda: None)
                await turn
        finally:
            release.set()
        assert desk.scheduler.counters.effects_retried == 40

    run(tmp_path, script, "B,*http_post,http://name.test/,,,,,,,,,,,,,,10")


def test_text_that_is_none_is_carried_out_all_the_same(tmp_path: Path) -> None:
    async def script(desk: Office, server: Web) -> None:
        odd = {"ID": "\u2028\n.\r\n"}
        await desk.ok(
            "APIerSv1.AddBalance", Account="1001", BalanceType="*sms", Value=1, Balance=odd
        )
        async with mails() as (place, told):
            desk.scheduler = Scheduler(desk.engine, desk.log, mail_server=place, mail_from="us@x")
            for name in ("A", "B"):
                await execute(desk, name)
            await desk.scheduler.turn()
            assert desk.scheduler.counters.faults == 0, desk.lines
            assert desk.scheduler.counters.effects_done == 3, desk.lines
            assert told.count("QUIT") == 1, "the line with a full stop is part of the mail"

    run(tmp_path, script, "B,*log,,,,,,,,,,,,,,,10", "B,*mail_async,a@x,,,,,,,,,,,,,,5")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "302",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\n", "head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "did not answer in 0.5 s"),
    ],
)
def test_an_answer_without_end(answer: bytes, said: str) -> None:
    """A redirect, 1 GB, a head, and interim answers: each again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        more = (
            answer if b"100" in answer else b"X: y\r\n" * 1000 if said == "head" else bytes(65536)
        )
        writer.write(answer)
        with suppress(ConnectionError):
            while True:
                writer.write(more)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            if not said:
                assert len(await http.post(url, b"{}", timeout=5)) == 1 << 20
                return
            with pytest.raises(
                TrunklineError, match=said.replace("head", "too long|exceeded|in 0.5")
            ):
                await http.post(url, b"{}", timeout=0.5)

    asyncio.run(main())


@pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_an_answer_that_is_none(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(TrunklineError) as problem:
                await http.post(f"http://127.0.0.1:{port}/", b"{}", timeout=2)
            assert problem.value.code == "http.failed"

    asyncio.run(main())
