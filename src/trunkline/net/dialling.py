"""A stream to somebody else's server, by name, though the resolver may hang.

Names are looked up by threads of their own, a few: however long that takes, whoever else of this
process needs a thread gets one. ``asyncio.open_connection`` shares them with everything.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

__all__ = ["open_stream"]

_LOOKUPS: Final = ThreadPoolExecutor(4, thread_name_prefix="lookup")


async def open_stream(
    host: str, port: int, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to ``host``, a name or an address; its addresses are tried in their order.

    Raises:
        OSError: nobody is there.
        UnicodeError: ``host`` is no name.
    """
    problem: OSError | None = None
    name = host if context is not None else None
    for address in await _addresses(host, port):
        try:
            return await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
        except OSError as failed:
            problem = failed
    raise problem or OSError(f"{host} has no address")


async def _addresses(host: str, port: int) -> list[str]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, look_up)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
    return [host]
