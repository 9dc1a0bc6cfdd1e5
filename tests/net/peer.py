"""A process with one association, driven by lines on stdin, telling what happens as JSON lines.

    python peer.py BACKEND LOCAL[,LOCAL] REMOTE[,REMOTE] [key=value of Settings ...]

Commands: ``send COUNT SIZE``, ``echo``, ``abort``, ``shutdown``, ``stats``, ``quit``. It needs the
standard library alone, so that it also runs in a bare guest. ``tap=true`` and ``echo=true`` are
options of its own; ``stats`` then tells the first chunk types seen, by direction.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys

from trunkline.net.loop import new_event_loop
from trunkline.net.sctp import Association, AssociationSettings, Packet, Settings, open_stack

PORT = 3565
M2PA = 5


class Peer:
    """The handler, and the commands."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.association: Association | None = None
        self.received = 0
        self.disorder = 0
        self.echoing = False
        self.commands = b""
        self.tapped: list[str] = []

    def say(self, event: str, **fields: object) -> None:
        print(json.dumps({"event": event, **fields}), flush=True)

    def association_up(self, now: float) -> None:
        self.say("up")

    def association_down(self, now: float, reason: str) -> None:
        self.say("down", reason=reason)

    def association_restart(self, now: float) -> None:
        self.received = self.disorder = 0
        self.say("restart")

    def path_changed(self, address: str, reachable: bool, now: float) -> None:
        self.say("path", address=address, reachable=reachable)

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        for _, data in batch:
            if int.from_bytes(data[:4], "big") != self.received:
                self.disorder += 1
            self.received += 1
            if data[4:5] == b"!":  # the last of a round
                self.say("received", count=self.received, disorder=self.disorder)
                self.received = self.disorder = 0
        if self.echoing and self.association is not None:
            self.association.send(batch)

    def tap(self, packet: Packet) -> None:
        way = "to" if packet.sent else "from"
        there = packet.destination if packet.sent else packet.source
        kinds = f"{way} {there}: {len(packet.sctp) >= 16 and packet.sctp[12]}"
        if kinds not in self.tapped:
            self.tapped.append(kinds)

    def readable(self) -> None:
        data = os.read(0, 4096)
        if not data:
            self.loop.stop()
            return
        *lines, self.commands = (self.commands + data).split(b"\n")
        for line in lines:
            self.obey(*line.decode().split())

    def obey(self, verb: str, *arguments: str) -> None:
        association = self.association
        assert association is not None
        if verb == "send":
            count, size = map(int, arguments)
            filling = bytes(size - 5)
            association.send(
                [
                    (1, n.to_bytes(4, "big") + (b"!" if n == count - 1 else b".") + filling)
                    for n in range(count)
                ]
            )
        elif verb == "echo":
            self.echoing = True
        elif verb == "abort":
            association.abort()
        elif verb == "shutdown":
            association.shutdown()
        elif verb == "stats":
            self.say("stats", **dataclasses.asdict(association.stats()), tapped=self.tapped)
        elif verb == "quit":
            self.loop.stop()


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> None:
    backend, local, remote, *options = sys.argv[1:]
    changes = {key: _value(value) for key, _, value in (o.partition("=") for o in options)}
    echo, tapped = changes.pop("echo", False), changes.pop("tap", False)
    settings = Settings(backend=backend, **changes)  # type: ignore[arg-type]  # a tool of tests
    loop = new_event_loop()
    peer = Peer(loop)
    peer.echoing = bool(echo)
    stack = open_stack(loop, settings, tap=peer.tap if tapped else None)
    here, there = tuple(local.split(",")), tuple(remote.split(","))
    peer.association = stack.open(AssociationSettings(here, PORT, there, PORT, M2PA), peer)
    peer.say("started", backend=stack.backend)
    loop.add_reader(0, peer.readable)
    loop.run_forever()
    stack.close()
    loop.close()


if __name__ == "__main__":
    main()
