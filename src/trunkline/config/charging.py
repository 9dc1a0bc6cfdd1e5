"""The settings of a charging node, and of an exchange whose calls one charges.

The tables ``[node.NAME.charging]`` and ``[node.NAME.exchange.charging]`` of a network file.

```toml
[node.OCS.charging]
tariff = "tariff"                    # a folder of CSV files, relative to the network file
rpc_json = "127.0.0.1:2012"          # the reference's names and ports
http = "127.0.0.1:2080"
rpc_bijson = "127.0.0.1:2014"        # ""  for none

[node.Exchange.exchange.charging]
node = "OCS"                         # who is asked before a call, and as it runs
grant = "30s"                        # how much at a time

[node.Exchange.exchange.charging.subscribers]
"3007" = "*postpaid"                 # all others are *prepaid
```
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, TypeAlias

import attrs

from trunkline.config.values import Duration

__all__ = [
    "ChargedSettings",
    "ChargingSettings",
    "ExportSettings",
    "FieldSettings",
    "ListenAddress",
    "ReaderSettings",
    "RequestType",
]

Address: TypeAlias = tuple[str, int]
RequestType: TypeAlias = Literal["*prepaid", "*pseudoprepaid", "*postpaid", "*rated", "*none"]
"""How a call is paid for: the reference's names. ``*none``: nobody is asked."""

_ADDRESS = re.compile(r"(\[[^\]]+\]|[^:\s]+):(\d{1,5})")


@attrs.frozen
class ListenAddress:
    """An address to listen on, written ``"127.0.0.1:2012"``; ``""`` is none."""

    address: Address | None

    @classmethod
    def parse(cls, text: object) -> ListenAddress:
        """Read ``text``; ValueError says what is wrong."""
        if text == "":
            return cls(None)
        found = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(
                f'{text!r} is no address to listen on: write "127.0.0.1:2012", or "" for none'
            )
        host, port = found[1].strip("[]"), int(found[2])
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{text!r}: {host!r} is no IP address") from None
        if port > 0xFFFF:
            raise ValueError(f"{text!r}: a port is at most 65535, not {port}")
        return cls((str(address), port))


def _local(port: int) -> ListenAddress:
    return ListenAddress(("127.0.0.1", port))


@attrs.frozen
class FieldSettings:
    """A field that an exporter or a reader makes: the reference's field template."""

    path: str
    """``*exp.Field`` of an exporter, ``*cgreq.Field`` of a reader."""
    value: str = ""
    """A rule, ``~*req.Account``."""
    type: Literal["*variable", "*composed", "*constant"] = "*variable"
    mandatory: bool = False


@attrs.frozen
class ExportSettings:
    """Where records go."""

    id: str
    type: Literal["*file_csv", "*file_json", "*file_parquet", "*http_json_map", "*sql"]
    export_path: str
    """A folder, relative to the network file; or a URL."""
    filters: tuple[str, ...] = ()
    """Inline, ``*string:~*req.RunID:*default``."""
    fields: tuple[FieldSettings, ...] = ()
    """Empty: the reference's."""
    field_separator: str = ","
    live: bool = True
    """It gets every record; else those that somebody asks for."""
    every: Duration = Duration(1.0)  # noqa: RUF009 - immutable
    """From one look for new records to the next; of files: from one to the next."""


@attrs.frozen
class ReaderSettings:
    """A folder whose files are read as events."""

    id: str
    type: Literal["*file_csv", "*file_json"]
    source_path: str
    """The folder, relative to the network file."""
    processed_path: str
    """Where files go that have been read."""
    fields: tuple[FieldSettings, ...]
    header: bool = False
    """The first line has the names of the columns; else they are called 0, 1, 2 …"""
    field_separator: str = ","
    tenant: str = ""
    filters: tuple[str, ...] = ()
    """Rows that do not fit are passed over."""
    flags: tuple[str, ...] = ()
    """As of ``CDRsV1.ProcessEvent``."""
    every: Duration = Duration(1.0)  # noqa: RUF009 - immutable


@attrs.frozen
class ChargingSettings:
    """What makes a node one that charges."""

    tariff: str = ""
    """A folder of CSV files, relative to the network file."""
    store: str = ""
    """Where loaded tariffs are kept, as an SQL URL; empty, without a ``tariff``: yours."""
    ledger: str = ""
    """Where the accounts are kept: an SQL URL, or ``redis://``; empty: a SQLite file of yours."""
    precision: Literal["exact", "cgrates"] = "exact"
    rpc_json: ListenAddress = _local(2012)  # noqa: RUF009 - immutable
    http: ListenAddress = _local(2080)  # noqa: RUF009 - immutable
    rpc_bijson: ListenAddress = _local(2014)  # noqa: RUF009 - immutable
    connections: int = 1000
    """That each of them has at once."""
    lease: Duration = Duration(3 * 3600.0)  # noqa: RUF009 - immutable
    """A session of which nothing is heard for so long has ended."""
    debit_interval: Duration = Duration(0.0)  # noqa: RUF009 - immutable
    """Calls are extended by the node itself, by so much; 0: their switch asks for more."""
    when_ledger_fails: Literal["deny", "grant"] = "deny"
    grant_usage: Duration = Duration(300.0)  # noqa: RUF009 - immutable
    """What one call is granted at most while the ledger fails."""
    grant_total: Duration = Duration(24 * 3600.0)  # noqa: RUF009 - immutable
    """What all calls are granted then."""
    mail_server: ListenAddress = ListenAddress(None)
    """Who takes the mails of actions."""
    mail_from: str = "charging@localhost"
    export: tuple[ExportSettings, ...] = ()
    reader: tuple[ReaderSettings, ...] = ()


@attrs.frozen
class ChargedSettings:
    """How the calls of an exchange's subscribers are charged."""

    node: str
    """The charging node, of the same network; its ``rpc_bijson`` is spoken to."""
    request_type: RequestType = "*prepaid"
    subscribers: dict[str, RequestType] = attrs.Factory(dict)
    """By calling number: those who pay in another way."""
    tenant: str = ""
    category: str = ""
    grant: Duration = Duration(30.0)  # noqa: RUF009 - immutable
    """How much usage is asked for at a time."""
    timeout: Duration = Duration(3.0)  # noqa: RUF009 - immutable
    """How long an answer may take."""
    allowance: Duration = Duration(0.0)  # noqa: RUF009 - immutable
    """How long a call may go on beyond its grants while charging does not answer; 0: not at all."""

    def request_type_of(self, calling: str) -> RequestType:
        """How the calls of a number are paid for."""
        return self.subscribers.get(calling, self.request_type)
