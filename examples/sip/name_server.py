"""A name server for the examples: `python name_server.py ZONE [IP:PORT]` answers from a file.

The file is a zone with absolute names (RFC 1035 section 5). Real networks have BIND or its like.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.zonefile


def serve(zone: str, place: str = "127.0.0.1:5353") -> None:
    """Answer questions over UDP until somebody ends it."""
    records = {
        (record.name, record.rdtype): record
        for record in dns.zonefile.read_rrsets(zone, name=None, rdclass=None, origin=".")
    }
    names = {name for name, _ in records}
    host, _, port = place.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((host, int(port)))
        print(f"answering on {place}", flush=True)
        while True:
            data, source = server.recvfrom(4096)
            query = dns.message.from_wire(data)
            [question] = query.question
            response = dns.message.make_response(query)
            response.flags |= dns.flags.AA
            found = records.get((question.name, question.rdtype))
            if found is not None:
                response.answer.append(found)
            elif question.name not in names:
                response.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(response.to_wire(), source)


if __name__ == "__main__":
    serve(Path(sys.argv[1]).read_text(encoding="utf-8"), *sys.argv[2:])
