"""What sipp sends to a registrar."""

from __future__ import annotations

from tests.interop.sip.scenarios import Scenario, expect, request, send

__all__ = ["SETTINGS", "register", "registration"]

SETTINGS = """
domains = ["example.org"]
users = "users.csv"
algorithms = ["MD5"]
"""


def register(number: int, *rows: str, expires: int = 300) -> str:
    """Return a REGISTER for the user of ``-s``, with the contact that ``-key phone`` names."""
    contact = f"Contact: <sip:[service]@127.0.0.1:[phone]>;expires={expires}"
    row = request("REGISTER", contact, *rows, number=number, uri="sip:example.org")
    return row.replace("sip:alice@", "sip:[service]@")


def registration(status: int, expires: int = 300) -> Scenario:
    """REGISTER, 401, REGISTER with credentials, and what comes of it."""
    return (
        send(register(1, expires=expires), again=True),
        expect(401, challenge=True),
        send(register(2, "[authentication]", expires=expires), again=True),
        expect(status),
    )
