"""SIP proxies for the tests: their files, and a phone that asks them who they are."""

from __future__ import annotations

import socket
import time
from pathlib import Path

__all__ = ["free_port", "options", "write_proxies"]

SCRIPT = """
from trunkline.script import on_request

@on_request("OPTIONS")
def options(request):
    request.reply(200, request.app.name)

@on_request("MESSAGE")
def message(request):
    raise ValueError("not today")
"""


def free_port() -> int:
    """A port that no UDP socket of 127.0.0.1 has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def write_proxies(folder: Path, nodes: dict[str, str], extra: str = "") -> Path:
    """Write ``route.py`` and a network of proxies that run it; ``nodes`` has more of their tables.

    Returns the network file.
    """
    (folder / "route.py").write_text(SCRIPT, encoding="utf-8")
    tables = [f'[node.{name}.proxy]\nscript = "route.py"\n{more}\n' for name, more in nodes.items()]
    file = folder / "network.toml"
    file.write_text("\n".join(['[network]\nname = "sip"\n', *tables, extra]), encoding="utf-8")
    return file


def options(host: str, port: int, method: str = "OPTIONS") -> str:
    """Send a request; the first line of the answer without the version."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(10)
        phone.bind(("127.0.0.1", 0))
        own = phone.getsockname()[1]
        rows = [
            f"{method} sip:{host}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{time.monotonic_ns()}",
            "Max-Forwards: 70",
            "From: <sip:a@127.0.0.1>;tag=1",
            f"To: <sip:{host}:{port}>",
            f"Call-ID: {time.monotonic_ns()}",
            f"CSeq: 1 {method}",
            "",
            "",
        ]
        phone.sendto("\r\n".join(rows).encode(), (host, port))
        return phone.recv(4096).split(b"\r\n")[0].decode().removeprefix("SIP/2.0 ")
