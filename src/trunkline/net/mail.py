"""A mail, handed to a server by SMTP (RFC 5321)."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Sequence
from email.message import EmailMessage

from trunkline.errors import TrunklineError

__all__ = ["send_mail"]


async def send_mail(
    server: str,
    sender: str,
    recipients: Sequence[str],
    subject: str,
    text: str,
    *,
    timeout: float = 5.0,
) -> None:
    """Hand a mail to ``server``, and return when it was taken for every recipient.

    Args:
        server: ``host:port``; without encryption and without a password: a relay of this site.
        sender: From whom it is.
        recipients: Addresses.
        subject: One line.
        text: What it says.
        timeout: Seconds for each answer of the server.

    Raises:
        TrunklineError: ``mail.address``, it can never be sent so; ``mail.failed``, the server was
            not there, or refused it.
    """
    host, _, port = server.rpartition(":")
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = subject
    except ValueError as problem:  # a line feed where there can be none
        raise TrunklineError("mail.address", f"{', '.join(recipients)[:80]!r}: {problem}") from None
    message.set_content(text)

    def send() -> None:
        with smtplib.SMTP(host.strip("[]"), int(port), timeout=timeout) as client:
            refused = client.send_message(message, sender, list(recipients))
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)

    try:
        await asyncio.to_thread(send)
    except (OSError, smtplib.SMTPException) as problem:
        raise TrunklineError("mail.failed", f"{server}: {problem}") from problem
