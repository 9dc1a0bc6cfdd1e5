"""A mail, handed to a server by SMTP (RFC 5321)."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import localtime
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.net.dialling import open_stream

__all__ = ["send_mail"]

_LINES: Final = 100  # of one answer


async def send_mail(
    server: str, sender: str, recipient: str, subject: str, text: str, *, timeout: float = 10.0
) -> None:
    """Hand a mail to ``server``, and return when it was taken.

    Args:
        server: ``host:port``; without encryption and without a password: a relay of this site.
        sender: From whom it is.
        recipient: The address.
        subject: One line.
        text: What it says.
        timeout: Seconds for all of it.

    Raises:
        TrunklineError: ``mail.address``, it can never be sent so; ``mail.failed``, the server was
            not there, or not in time, or refused it.
    """
    host, _, port = server.rpartition(":")
    wide = not f"{sender}{recipient}".isascii()
    message = EmailMessage(policy=SMTPUTF8 if wide else SMTP)
    try:
        if any(each in recipient for each in " <>\r\n"):
            raise ValueError("an address has no such characters")
        message["From"] = sender
        message["To"] = recipient
        message["Subject"] = subject
        message["Date"] = localtime()
        message.set_content(text, cte="quoted-printable")
        octets = message.as_bytes()
        envelope = [f"MAIL FROM:<{sender}>".encode(), f"RCPT TO:<{recipient}>".encode()]
    except (ValueError, IndexError) as problem:  # of a header that can be none
        raise TrunklineError("mail.address", f"{recipient[:80]!r}: {problem}") from None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await open_stream(host.strip("[]"), int(port))
            try:
                await _handed(reader, writer, envelope, octets, wide=wide)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise TrunklineError("mail.failed", f"{server} did not end in {timeout:g} s") from None
    except (OSError, ValueError) as problem:
        why = str(problem) or type(problem).__name__
        raise TrunklineError("mail.failed", f"{server}: {why}") from problem


async def _handed(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    envelope: list[bytes],
    octets: bytes,
    *,
    wide: bool,
) -> None:
    """Go through the dialogue; a refusal is an OSError in the server's words."""

    async def said(wanted: int, octets: bytes = b"") -> list[str]:
        writer.write(octets)
        await writer.drain()
        lines: list[str] = []
        while len(lines) < _LINES:
            line = (await reader.readline()).decode("utf-8", "replace")
            if not line.endswith("\n"):
                raise ConnectionError("it closed the connection")
            lines.append(line.rstrip())
            if line[3:4] != "-":
                break
        if not lines[-1].startswith(str(wanted)):
            raise ConnectionError(lines[-1][:200])
        return lines

    await said(220)
    own = writer.get_extra_info("sockname")[0]
    name = f"[IPv6:{own}]" if ":" in own else f"[{own}]"
    offered = await said(250, f"EHLO {name}\r\n".encode())
    if wide and not any(line[4:].upper() == "SMTPUTF8" for line in offered):
        raise ConnectionError("it takes no addresses beyond ASCII")
    sender, recipient = envelope
    await said(250, sender + (b" SMTPUTF8\r\n" if wide else b"\r\n"))
    await said(250, recipient + b"\r\n")
    await said(354, b"DATA\r\n")
    await said(250, octets.replace(b"\n.", b"\n..") + b".\r\n")
    writer.write(b"QUIT\r\n")
    await writer.drain()
