"""Stands on both sides of a proxy: the caller who sends, and the phone that answers.

    python peer.py call FILE [TIMES]         sends the request in FILE, answers as the phone
    python peer.py register USER PASSWORD    registers USER@example.org
    python peer.py wait [COUNT]              answers as the phone until COUNT requests have come

Requests go to 127.0.0.1:5060, or to where the environment's PROXY says. The phone is at
127.0.0.1:5061, or at each of the places in PHONES. Everything goes over UDP.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import uuid
from pathlib import Path

from trunkline.sip.digest import Client, Login
from trunkline.sip.message import Request, Response, parse

CALLER = "127.0.0.1:5062"
PATIENCE = 3.0  # seconds


def endpoint(place: str) -> socket.socket:
    """A socket bound to ``IP:PORT``."""
    host, _, port = place.rpartition(":")
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, int(port)))
    return made


def answer(phone: socket.socket, *, whole: bool) -> None:
    """Print a request that came to the phone, and answer it with 200."""
    data, source = phone.recvfrom(65_535)
    host, port = phone.getsockname()
    request = parse(data)
    if not isinstance(request, Request):
        return
    text = str(request).replace("\r\n", "\n").strip() if whole else request.start_line
    print(f"to the phone at {host}:{port}\n{text}\n" if whole else f"to {host}:{port} {text}")
    if request.method != "ACK":
        rows = [("Record-Route", value) for value in request.headers.all("Record-Route")]
        rows.append(("Contact", f"<sip:phone@{host}:{port}>"))
        phone.sendto(Response.answer(request, 200, "", rows, to_tag="phone").to_bytes(), source)


def call(file: Path, proxy: tuple[str, int], phones: list[socket.socket], *, whole: bool) -> int:
    """Send the request in ``file``; the status of the final response, 0 if none came."""
    head, _, body = file.read_text(encoding="utf-8").partition("\n\n")
    rows = [tuple(row.split(": ", 1)) for row in head.split("\n")[1:]]
    method, uri, _ = head.split(" ", 2)
    request = Request.build(
        method,
        uri,
        [(name, value) for name, value in rows],
        body.replace("\n", "\r\n").encode(),
    )
    # Every time another call: one with the same branch would be the same once more.
    number = uuid.uuid4().hex[:8]
    via = (request.headers.get("Via") or "").partition(";")[0]
    request.headers.set("Via", f"{via};branch=z9hG4bK{number}")
    request.headers.set("Call-ID", f"{request.call_id}-{number}")
    with endpoint(via.split(" ")[1]) as caller:
        caller.sendto(request.to_bytes(), proxy)
        while ready := select.select([caller, *phones], [], [], PATIENCE)[0]:
            for each in ready:
                if each is not caller:
                    answer(each, whole=whole)
                    continue
                response = parse(caller.recv(65_535))
                assert isinstance(response, Response)
                if whole:
                    print(f"to the caller\n{response.start_line}\n")
                if response.status >= 200:
                    if response.status >= 300 and method == "INVITE":
                        caller.sendto(acknowledgement(request, response), proxy)
                    return response.status
    print("no answer")
    return 0


def acknowledgement(request: Request, response: Response) -> bytes:
    """The ACK to a failed INVITE (RFC 3261 section 17.1.1.3)."""
    ack = request.copy()
    ack.method, ack.body = "ACK", b""
    ack.headers.set("To", response.headers.get("To") or "")
    ack.headers.set("CSeq", (request.headers.get("CSeq") or "").replace(" INVITE", " ACK"))
    return ack.to_bytes()


def register(user: str, password: str, proxy: tuple[str, int]) -> None:
    """Register, and answer the challenge; print the status of the last response."""
    client = Client(lambda realm: Login(user, password))
    with endpoint(CALLER) as phone:
        phone.settimeout(PATIENCE)
        status = "no answer"
        call = uuid.uuid4().hex[:8]
        for sequence in (1, 2):
            number = f"{call}{sequence}"
            rows = [
                ("Via", f"SIP/2.0/UDP {CALLER};branch=z9hG4bK{number}"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{user}@example.org>;tag={call}"),
                ("To", f"<sip:{user}@example.org>"),
                ("Call-ID", f"register-{call}"),
                ("CSeq", f"{sequence} REGISTER"),
                ("Contact", f"<sip:{user}@{CALLER}>"),
                *client.rows("REGISTER", "sip:example.org", number),
            ]
            phone.sendto(Request.build("REGISTER", "sip:example.org", rows).to_bytes(), proxy)
            try:
                response = parse(phone.recv(65_535))
            except TimeoutError:
                break
            assert isinstance(response, Response)
            status = f"{response.status} {response.reason}"
            if response.status != 401:
                break
            client.challenged(response.headers.all("WWW-Authenticate"), [])
        print(status)


def main(command: str, *arguments: str) -> None:
    """Carry out ``call``, ``register`` or ``wait``."""
    places = os.environ.get("PHONES", "127.0.0.1:5061").split()
    host, _, port = os.environ.get("PROXY", "127.0.0.1:5060").rpartition(":")
    proxy = (host, int(port))
    if command == "register":
        register(arguments[0], arguments[1], proxy)
        return
    phones = [endpoint(place) for place in places]
    if command == "wait":
        for _ in range(int(arguments[0]) if arguments else 1):
            for phone in select.select(phones, [], [])[0]:
                answer(phone, whole=True)
        return
    times = int(arguments[1]) if len(arguments) > 1 else 1
    for _ in range(times):
        call(Path(arguments[0]), proxy, phones, whole=times == 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
