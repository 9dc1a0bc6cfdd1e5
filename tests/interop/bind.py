"""A real ``named``, authoritative for the zones it is given, on a free port of the loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest


def free_port() -> int:
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            port: int = udp.getsockname()[1]
            try:
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Named:
    """One name server. ``zones`` are the texts of zone files by domain."""

    def __init__(self, folder: Path, zones: dict[str, str], *, port: int | None = None) -> None:
        if shutil.which("named") is None:
            pytest.skip("no BIND: install bind9")
        self.port = port or free_port()
        self.server = f"127.0.0.1:{self.port}"
        self.log = folder / "named.log"
        self.configuration = folder / "named.conf"
        lines = [
            "options {",
            f'  directory "{folder}"; pid-file none; session-keyfile none;',
            f"  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};",
            "  recursion no; minimal-responses yes; notify no; dnssec-validation no;",
            "  check-srv-cname ignore;",
            "  rrset-order { order cyclic; };",
            "};",
            "controls { };",
        ]
        for domain, text in zones.items():
            (folder / f"{domain}.zone").write_text(text)
            lines.append(f'zone "{domain}" {{ type primary; file "{domain}.zone"; }};')
        self.configuration.write_text("\n".join(lines))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["named", "-g", "-n", "1", "-c", str(self.configuration)],
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(self.log.parent)},
            )
        question = dns.message.make_query("ready.invalid.", "A")
        for _ in range(200):
            try:
                dns.query.udp(question, "127.0.0.1", 0.1, self.port)
            except (OSError, dns.exception.DNSException):
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                refused = [line for line in self.log.read_text().splitlines() if "load" in line]
                assert "not loaded" not in "".join(refused), "\n".join(refused)
                return
        self.stop()
        pytest.skip(f"BIND does not start here: {self.log.read_text()[-400:]}")

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
