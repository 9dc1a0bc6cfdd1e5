"""A caller and a callee at a proxy: sockets, and the few messages of a call."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trunkline.cli.rpc import as_dict
from trunkline.net.control import ControlClient
from trunkline.sip.message import Request, Response, parse

SCRIPT = '''"""What a request does depends on whom it is for."""

from trunkline.script import in_dialog, on_request


@on_request()
def to_callee(request):
    if "nobody" in request.uri:
        raise LookupError("there is nobody")
    request.headers.remove_token("Supported", "100rel")
    request.relay(via="sip:127.0.0.1:%d")


@in_dialog()
def onward(request):
    request.relay()
'''


def free_port() -> int:
    """A UDP port that nobody has right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Phone:
    """A socket that SIP messages come by."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10.0)
        self.port: int = self.socket.getsockname()[1]

    def receive(self) -> Request | Response:
        """The next message."""
        return parse(self.socket.recv(65_535))

    def send(self, message: Request | Response, port: int) -> None:
        """Send ``message`` to a port of this machine."""
        self.socket.sendto(message.to_bytes(), ("127.0.0.1", port))

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class Proxied:
    """A proxy node that runs, and two phones."""

    def __init__(self, folder: Path, *, name: str = "Edge", settings: Sequence[str] = ()) -> None:
        self.caller, self.callee = Phone(), Phone()
        self.port = free_port()
        self.runtime = folder / "run"
        self.runtime.mkdir()
        self.script = folder / "edge.py"
        self.script.write_text(SCRIPT % self.callee.port, encoding="utf-8")
        network = folder / "network.toml"
        network.write_text(
            "\n".join(
                [
                    "[network]",
                    'name = "trial"',
                    f"[node.{name}.proxy]",
                    'script = "edge.py"',
                    f'listen = ["udp:127.0.0.1:{self.port}"]',
                    'dns = ["127.0.0.1:9"]',
                    *settings,
                ]
            ),
            encoding="utf-8",
        )
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.runtime)}
        self.socket = self.runtime / "trunkline" / "trial" / f"{name}.sock"
        with (folder / "node.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command("run", str(network)), env=self.environment, stdout=log, stderr=log
            )
        self.log = folder / "node.log"

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """The command line of ``trunkline``."""
        return [sys.executable, "-m", "trunkline", *arguments]

    def wait(self, workers: int) -> None:
        """Return when every worker answers."""
        names = [self.socket] + [
            self.socket.with_suffix(f".{number}.sock") for number in range(1, workers)
        ]
        deadline = time.monotonic() + 20.0
        for path in names:
            while not path.exists():
                assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, f"no {path.name}"
                time.sleep(0.02)
            with ControlClient(path) as client:
                client.call("node.status")

    def close(self) -> None:
        """End the node, and the phones."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=10)
        self.caller.close()
        self.callee.close()

    # calls

    def request(self, method: str, call_id: str, *, number: int = 1, **rows: str) -> Request:
        """A request of the caller's."""
        return Request.build(
            method,
            f"sip:bob@127.0.0.1:{self.port}",
            [
                (
                    "Via",
                    f"SIP/2.0/UDP 127.0.0.1:{self.caller.port}"
                    f";branch=z9hG4bK{call_id.replace('@', '.')}{number}{method}",
                ),
                ("Max-Forwards", rows.get("forwards", "70")),
                *([("Route", rows["route"])] if "route" in rows else []),
                ("From", '"Alice" <sip:alice@example.org>;tag=a'),
                ("To", f"<sip:bob@example.org>{rows.get('tag', '')}"),
                ("Call-ID", call_id),
                ("CSeq", f"{number} {method}"),
                *([("Supported", "100rel, timer")] if method == "INVITE" else []),
            ],
        )

    def call(self, call_id: str, status: int = 200) -> None:
        """A call: answered and hung up, or refused by the callee."""
        caller, callee = self.caller, self.callee
        caller.send(self.request("INVITE", call_id), self.port)
        invite = callee.receive()
        assert isinstance(invite, Request)
        rows = [("Record-Route", value) for value in invite.headers.all("Record-Route")]
        rows.append(("Contact", f"<sip:bob@127.0.0.1:{callee.port}>"))
        callee.send(Response.answer(invite, 180, to_tag="b"), self.port)
        callee.send(Response.answer(invite, status, headers=rows, to_tag="b"), self.port)
        final = self.final()
        assert final.status == status
        if status >= 300:
            ack = self.request("ACK", call_id, tag=";tag=b")
            ack.headers.set("Via", self.request("INVITE", call_id).headers["Via"][0])
            caller.send(ack, self.port)
            assert callee.receive().start_line.startswith("ACK")
            return
        route = final.headers["Record-Route"][0]
        for method, number in (("ACK", 1), ("BYE", 2)):
            within = self.request(method, call_id, number=number, route=route, tag=";tag=b")
            within.uri = f"sip:bob@127.0.0.1:{callee.port}"
            caller.send(within, self.port)
            passed = callee.receive()
            assert isinstance(passed, Request)
            assert passed.method == method
            if method == "BYE":
                callee.send(Response.answer(passed, 200), self.port)
        caller.receive()

    def final(self) -> Response:
        """The next final response that the caller gets."""
        while True:
            message = self.caller.receive()
            assert isinstance(message, Response)
            if message.status >= 200:
                return message

    def options(self, call_id: str) -> Response:
        """A request that the proxy answers itself: its hops are used up."""
        self.caller.send(self.request("OPTIONS", call_id, forwards="0"), self.port)
        answer = self.caller.receive()
        assert isinstance(answer, Response)
        return answer


@contextmanager
def running(folder: Path, *, workers: int = 1, settings: Sequence[str] = ()) -> Iterator[Proxied]:
    """A proxy with its phones, ended afterwards."""
    proxied = Proxied(folder, settings=[*settings, f"workers = {workers}"])
    try:
        proxied.wait(workers)
        yield proxied
    finally:
        proxied.close()


def three_calls(found: Proxied) -> bool:
    """One call that the script cannot route, one that is answered and hung up, one that is refused.

    False: the machine was so slow that something had to be sent again.
    """
    invite = found.request("INVITE", "wrong@phone")
    invite.uri = f"sip:nobody@127.0.0.1:{found.port}"
    found.caller.send(invite, found.port)
    assert found.final().status == 500
    ack = found.request("ACK", "wrong@phone", tag=";tag=b")
    ack.uri = invite.uri
    ack.headers.set("Via", invite.headers["Via"][0])
    found.caller.send(ack, found.port)
    found.call("ringing@phone")
    found.call("busy@phone", 486)
    with ControlClient(found.socket) as client:
        counters = as_dict(as_dict(client.call("node.counters")).get("transactions"))
    return not counters["retransmitted"] and not counters["absorbed"]
