"""sipp as caller and as callee, with scenarios of our own; what it saw, message by message."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.sip.programs import Program, free_port, listened_on, until
from tests.interop.sip.scenarios import Scenario, xml

__all__ = ["Seen", "Sipp"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as sipp logged it: without what sipp itself took for a retransmission."""

    time: float
    sent: bool
    call_id: str
    cseq: str
    """``1 INVITE``."""
    line: str
    """Request-Line or Status-Line."""

    @property
    def status(self) -> int:
        """The status of a response, 0 for a request."""
        return int(self.line.split()[1]) if self.line.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method of a request, empty for a response."""
        return "" if self.status else self.line.split()[0]


class Sipp(Program):
    """One run of sipp: ``calls`` is how many calls it makes; 0: it waits for them."""

    def __init__(
        self,
        folder: Path,
        name: str,
        scenario: Scenario,
        *arguments: str,
        to: str = "",
        calls: int = 0,
        rate: int = 20,
        port: int | None = None,
        transport: str = "u1",
        wire: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        if shutil.which("sipp") is None:
            pytest.skip("sipp is absent: install sip-tester")
        self.port = port or free_port()
        self.uri = f"sip:127.0.0.1:{self.port}"
        self.calls = calls
        self._statistics = folder / f"{name}.csv"
        self._messages = folder / f"{name}.messages"
        self._wire = folder / f"{name}.wire"
        self._errors = folder / f"{name}.errors"
        file = folder / f"{name}.xml"
        file.write_text(xml(name, scenario))
        command = ["sipp", "-sf", str(file), "-t", transport]
        command += ["-i", host, "-p", str(self.port), "-cp", str(free_port()), "-nostdin"]
        command += ["-trace_stat", "-stf", str(self._statistics), "-fd", "1"]
        command += ["-trace_shortmsg", "-shortmessage_file", str(self._messages)]
        command += ["-trace_err", "-error_file", str(self._errors)]
        if wire:
            command += ["-trace_msg", "-message_file", str(self._wire)]
        command += ["-buff_size", "4194304", *arguments]
        if transport.endswith("n"):  # a socket for each call
            command += ["-max_socket", "2000"]
        if calls:
            command += [to, "-m", str(calls), "-r", str(rate), "-l", str(max(calls, rate) + 10)]
        super().__init__(folder, name, command)
        if not calls:
            kind = "tcp" if transport[0] == "t" else "udp"
            self.ready(lambda: listened_on(self.port, kind))

    def finish(self, seconds: float = 60.0) -> None:
        """Wait until a caller has made its calls; have a callee end when its calls have ended."""
        if not self.calls and self.process.poll() is None:
            self.send_signal(signal.SIGUSR1)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"{self.name} goes on after {seconds:g} s:\n{self.story}")

    def statistic(self, name: str) -> int:
        """A figure of its statistics, over the whole run."""
        with self._statistics.open(newline="") as file:
            rows = list(csv.reader(file, delimiter=";"))
        return int(rows[-1][rows[0].index(f"{name}(C)")])

    @property
    def messages(self) -> list[Seen]:
        """What it sent and received."""
        found = []
        text = self._messages.read_text(errors="replace") if self._messages.exists() else ""
        for row in text.splitlines():
            words = row.split("\t")
            if len(words) >= 7:  # the last row may be half written
                _, _, time, way, call_id, cseq, line = words[:7]
                cseq = cseq.removeprefix("CSeq:").strip()
                found.append(Seen(float(time), way == "S", call_id, cseq, line))
        return found

    def texts(self, method: str) -> list[str]:
        """The requests of a method that it received, whole, if it was started with ``wire``."""
        found = re.findall(
            r"message received \[\d+\] bytes :\n\n(.*?)\n(?=-{40}|\Z)",
            self._wire.read_text(errors="replace"),
            re.DOTALL,
        )
        return [text for text in found if text.startswith(f"{method} ")]

    def received(self, what: str | int) -> list[Seen]:
        """The requests of a method, or the responses with a status, that it received."""
        return [
            seen for seen in self.messages if not seen.sent and what in (seen.method, seen.status)
        ]

    def enough(self, *, failed: int = 0) -> int:
        """Have a caller end with the calls that it has now; return how many went well.

        Of all that it made, so many at most may have failed.
        """
        self.send_signal(signal.SIGUSR1)
        self.finish()
        assert self.statistic("FailedCall") <= failed, self.story
        return self.statistic("SuccessfulCall")

    def goes_on(self, answers: int = 60) -> None:
        """Wait until so many more of its requests have been accepted."""
        wanted = len(self.received(200)) + answers
        until(lambda: len(self.received(200)) >= wanted, f"{self.name} goes on")

    def succeeded(self, calls: int | None = None) -> None:
        """See that it ended with so many calls that went as the scenario says, and no other."""
        self.finish()
        wanted = self.calls if calls is None else calls
        counts = (self.statistic("SuccessfulCall"), self.statistic("FailedCall"))
        assert counts == (wanted, 0), f"{self.name}: {counts}, not {(wanted, 0)}\n{self.story}"

    @property
    def story(self) -> str:
        """The last messages and errors, for a failed test."""
        errors = self._errors.read_text(errors="replace")[:2000] if self._errors.exists() else ""
        rows = [f"{'>' if m.sent else '<'} {m.call_id} {m.cseq}: {m.line}" for m in self.messages]
        return "\n".join([*rows[-40:], errors])
