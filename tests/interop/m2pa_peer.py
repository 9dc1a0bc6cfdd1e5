"""One M2PA link over one SCTP back end, in a process of its own; runs in a bare guest too.

    python m2pa_peer.py BACKEND LOCAL REMOTE [key=value of Settings ...] [echo=true]

Lines on stdin are commands (``send COUNT``, ``abort``, ``shutdown``, ``quit``); what happens is
told as JSON lines. MSUs carry their number; with ``echo=true`` each is sent back.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence

from trunkline.net.loop import new_event_loop
from trunkline.net.sctp import Association, AssociationSettings, Settings, open_stack
from trunkline.ss7 import m2pa

PORT = 3565  # RFC 4165 7.2
PPID = 5  # RFC 4165 7.1
QUICK = m2pa.Settings(t2=10.0, t4_normal=0.5)


class LinkEnd:
    """Drives an ``m2pa.Link``: the SCTP handler and its clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, echo: bool) -> None:
        self.loop = loop
        self.echo = echo
        self.link = m2pa.Link(QUICK)
        self.association: Association | None = None
        self.received = 0
        self.disorder = 0
        self.timer: asyncio.TimerHandle | None = None
        self.commands = b""

    def say(self, event: str, **fields: object) -> None:
        print(json.dumps({"event": event, **fields}), flush=True)

    # -- SCTP

    def association_up(self, now: float) -> None:
        self.say("up")
        self.begin(now)

    def association_restart(self, now: float) -> None:
        self.say("restart")
        self.begin(now)

    def begin(self, now: float) -> None:
        self.received = self.disorder = 0
        self.handle([*self.link.communication_up(now), *self.link.start(now)], now)

    def association_down(self, now: float, reason: str) -> None:
        self.say("down", reason=reason)
        self.handle(self.link.communication_lost(now, reason), now)

    def path_changed(self, address: str, reachable: bool, now: float) -> None: ...

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        self.handle(self.link.receive(batch, now), now)

    # -- M2PA

    def handle(self, items: Sequence[bytes | m2pa.Event], now: float) -> None:
        msus = []
        for item in items:
            if not isinstance(item, bytes):
                self.say(type(item).__name__)
                continue
            msus.append(item)
            self.disorder += int.from_bytes(item[1:5], "big") != self.received
            self.received += 1
            if item[5:6] == b"!":
                self.say("received", count=self.received, disorder=self.disorder)
                self.received = self.disorder = 0
        if self.echo and msus:
            self.handle(self.link.send(msus, now), now)
        assert self.association is not None
        if output := self.link.data_to_send():
            self.association.send(output)
        if self.timer is not None:
            self.timer.cancel()
        deadline = self.link.next_timeout()
        self.timer = None if deadline is None else self.loop.call_at(deadline, self.expire)

    def expire(self) -> None:
        now = self.loop.time()
        self.handle(self.link.on_timeout(now), now)

    # -- commands

    def readable(self) -> None:
        data = os.read(0, 4096)
        if not data:
            self.loop.remove_reader(0)
            self.loop.stop()
            return
        *lines, self.commands = (self.commands + data).split(b"\n")
        for line in lines:
            self.obey(*line.decode().split())

    def obey(self, verb: str, *arguments: str) -> None:
        assert self.association is not None
        if verb == "send":
            count = int(arguments[0])
            msus = [
                b"\x85" + n.to_bytes(4, "big") + (b"!" if n == count - 1 else b".") + bytes(94)
                for n in range(count)
            ]
            now = self.loop.time()
            self.handle(self.link.send(msus, now), now)
        elif verb == "abort":
            self.association.abort()
        elif verb == "shutdown":
            self.association.shutdown()
        elif verb == "quit":
            self.loop.stop()


def main() -> None:
    backend, local, remote, *options = sys.argv[1:]
    changes = {key: json.loads(value) for key, _, value in (o.partition("=") for o in options)}
    echo = bool(changes.pop("echo", False))
    loop = new_event_loop()
    stack = open_stack(loop, Settings(backend=backend, **changes))  # type: ignore[arg-type]
    end = LinkEnd(loop, echo)
    end.association = stack.open(AssociationSettings((local,), PORT, (remote,), PORT, PPID), end)
    end.say("started", backend=stack.backend)
    loop.add_reader(0, end.readable)
    loop.run_forever()
    stack.close()
    loop.close()


if __name__ == "__main__":
    main()
