"""Routing scripts without a network: messages in, messages out, on a virtual clock.

```text
from trunkline.testing import Harness

def test_calls_go_to_the_gateway():
    with Harness("edge.py") as proxy:
        trying, invite = proxy.receive(proxy.request("INVITE", "sip:bob@example.org"))
        assert invite.to == ("192.0.2.50", 5060)
        [ringing] = proxy.receive(invite.answer(180))
        assert ringing.status == 180
```

It is the proxy itself that runs, with its transactions, timers and forks; only sockets, DNS and the
clock are replaced.
"""

from __future__ import annotations

import itertools
import random
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from trunkline.config.network import destination_sets, load_network
from trunkline.config.proxy import DestinationSettings, Listen
from trunkline.elements.log import RouterLog
from trunkline.elements.proxy.application import Setting
from trunkline.elements.proxy.destinations import Destinations
from trunkline.elements.proxy.element import ProxyElement
from trunkline.elements.proxy.hops import Finder, rules_for
from trunkline.elements.proxy.script import Function, Script, load_script, script_of
from trunkline.elements.proxy.services import (
    Registrations,
    Services,
    Users,
    UserSource,
    core_settings,
    digest_algorithms,
    keep_alive_of,
    read_users,
)
from trunkline.errors import TrunklineError
from trunkline.net.dns import Locator, ZoneResolver
from trunkline.net.virtual import VirtualLoop
from trunkline.sip import digest, registrar
from trunkline.sip.locate import Draw
from trunkline.sip.message import Headers, Request, Response, parse
from trunkline.sip.nat import KeepAlive
from trunkline.sip.proxy import Identity, Listener, ProxySettings
from trunkline.sip.transport import Address, Flow
from trunkline.store.keyvalue import KeyValue, Memory
from trunkline.store.location import MemoryLocation

if TYPE_CHECKING:
    from trunkline.store.sql import Sql

__all__ = ["Harness", "Incoming", "Sent"]

_CALLER: Address = ("192.0.2.10", 5060)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the proxy sent."""

    message: Request | Response
    flow: Flow
    time: float

    @property
    def to(self) -> Address:
        """Where it went."""
        return self.flow.remote

    @property
    def headers(self) -> Headers:
        """Its header rows."""
        return self.message.headers

    @property
    def body(self) -> bytes:
        """Its body."""
        return self.message.body

    @property
    def status(self) -> int:
        """Its status; 0 for a request."""
        return self.message.status if isinstance(self.message, Response) else 0

    @property
    def method(self) -> str:
        """Its method; for a response that of its CSeq."""
        if isinstance(self.message, Request):
            return self.message.method
        return (self.headers.get("CSeq") or "").rpartition(" ")[2]

    @property
    def uri(self) -> str:
        """Its Request-URI; empty for a response."""
        return self.message.uri if isinstance(self.message, Request) else ""

    def answer(
        self,
        status: int,
        reason: str = "",
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        to_tag: str = "callee",
    ) -> Incoming:
        """The answer of whoever received this request; give it to ``Harness.receive``."""
        assert isinstance(self.message, Request), "only a request can be answered"
        rows = [("Record-Route", value) for value in self.headers.all("Record-Route")]
        response = Response.answer(self.message, status, reason, [*rows, *headers], body, to_tag)
        return Incoming(response.to_bytes(), self.flow.remote, self.flow)

    def __str__(self) -> str:
        return str(self.message)


@dataclass(frozen=True, slots=True)
class Incoming:
    """Octets on their way to the proxy, and where they come from."""

    data: bytes
    source: Address
    flow: Flow | None = None


class Harness:
    """A proxy with this script and no network. Use it in a ``with`` block.

    ``script`` is a file, or the handlers themselves; ``Harness.from_network`` takes it and all that
    follows from a network file.

    ``dns`` is a zone's text, such as ``"gw.example. 60 IN A 192.0.2.50"``, and ``draw`` the
    randomness of SRV weights: a whole number from 0 to its argument, inclusive. ``settings`` is
    what the script finds in ``app.settings``. ``users`` are names with their passwords,
    ``algorithms`` what challenges offer. ``redis``
    names stores in memory, on the virtual clock; or gives stores. ``sql`` gives databases.
    ``dialplans`` are CSV files by name, ``destinations`` sets of servers as a network file has
    them: ``{"gateways": {"targets": ["sip:192.0.2.50"], "probe": "10s"}}``. ``keep_alive`` is how
    NATs are kept open, ``name`` the node's, ``stateless`` its setting.

    Raises:
        TrunklineError: what is wrong with the script.
    """

    def __init__(
        self,
        script: Path | str | Iterable[Function],
        *,
        listen: Sequence[str | Listen] = ("udp:192.0.2.1:5060",),
        domains: Sequence[str] = ("example.org",),
        dns: str = "",
        draw: Draw | None = None,
        settings: Mapping[str, Setting] | None = None,
        users: Mapping[str, str] | UserSource | None = None,
        algorithms: tuple[digest.Algorithm, ...] = digest.DEFAULT_ALGORITHMS,
        redis: Mapping[str, KeyValue] | Sequence[str] = (),
        sql: Mapping[str, Sql] | None = None,
        dialplans: Mapping[str, Path | str] | None = None,
        destinations: Mapping[str, DestinationSettings | Mapping[str, object]] | None = None,
        keep_alive: KeepAlive | None = None,
        proxy: ProxySettings = ProxySettings(),  # noqa: B008 - immutable
        name: str = "harness",
        stateless: bool = False,
    ) -> None:
        loaded = _loaded(script)
        if stateless:
            loaded.require_stateless()
        sets = {
            name: each
            if isinstance(each, DestinationSettings)
            else destination_sets({name: each})[name]
            for name, each in (destinations or {}).items()
        }
        self.dns = ZoneResolver(dns)
        """``asked`` has the questions that were asked."""
        parsed = [item if isinstance(item, Listen) else Listen.parse(item) for item in listen]
        self.identity = Identity(
            [Listener(item.transport, item.local, item.advertised) for item in parsed], domains
        )
        self.log = RouterLog()
        self._sent: list[Sent] = []
        self.pings: list[tuple[float, Address]] = []
        """When keep-alives of two line breaks went, and where to."""
        self._numbers = itertools.count(1)
        tokens = itertools.count(1)
        self.loop = VirtualLoop()
        self.loop.keep_failures()
        generator = random.Random(0)
        locator = Locator(
            self.dns,
            rules_for(self.identity),
            draw=draw or (lambda most: generator.randint(0, most)),
            now=self.loop.time,
        )
        self.redis: Mapping[str, KeyValue] = (
            redis
            if isinstance(redis, Mapping)
            else {name: Memory(self.loop.time) for name in redis}
        )
        self.sql: Mapping[str, Sql] = sql or {}
        self._dialplans = {name: str(source) for name, source in (dialplans or {}).items()}
        self.element = ProxyElement(
            self.loop,
            self.identity,
            loaded,
            self,
            Finder(self.identity, locator),
            name=name,
            log=self.log,
            token=lambda: f"h{next(tokens)}",
            settings=proxy,
            stateless=bytes(16) if stateless else None,
            script_settings=settings,
            services=self._services(users or {}, algorithms, domains, name),
            destinations=Destinations(sets, locator.directory.draw),
            keep_alive=keep_alive,
        )

    @classmethod
    def from_network(
        cls,
        file: Path | str,
        node: str | None = None,
        *,
        dns: str = "",
        draw: Draw | None = None,
        settings: Mapping[str, Setting] | None = None,
        redis: Mapping[str, KeyValue] | None = None,
        sql: Mapping[str, Sql] | None = None,
    ) -> Self:
        """The proxy ``node`` of a network file, or its only one: script, addresses, settings.

        ``settings`` go before those of the file. Its Redis stores are in memory here; databases
        are those of ``sql``, registrations in memory, users those of its CSV file.

        Raises:
            TrunklineError: what is wrong with file or script; ``harness.node``: no such node;
                ``harness.sql``: a database is needed.
        """
        network = load_network(Path(file))
        proxies = {name: table.proxy for name, table in network.nodes.items() if table.proxy}
        name = node or (next(iter(proxies)) if len(proxies) == 1 else "")
        found = proxies.get(name)
        if found is None:
            raise TrunklineError(
                "harness.node", f"{file}: name one of its proxies: {', '.join(proxies) or 'none'}"
            )
        folder = network.path.parent
        for dialplan, source in found.dialplans.items():
            database = source.removeprefix("sql:")
            if database != source and database not in (sql or {}):
                raise TrunklineError(
                    "harness.sql",
                    f"the dialplan {dialplan} is in the database {database}: give one by sql=",
                )
        realm = found.domains[0] if found.domains else name
        from_csv = found.users and not found.users.startswith("sql:")
        return cls(
            folder / found.script,
            listen=found.listen,
            domains=found.domains,
            dns=dns,
            draw=draw,
            settings={**found.settings, **(settings or {})},
            users=read_users(folder / found.users, realm) if from_csv else None,
            algorithms=digest_algorithms(found),
            redis=redis if redis is not None else tuple(found.redis),
            sql=sql,
            destinations=found.destinations,
            keep_alive=keep_alive_of(found),
            dialplans={
                dialplan: source if source.startswith("sql:") else folder / source
                for dialplan, source in found.dialplans.items()
            },
            proxy=core_settings(found),
            name=name,
            stateless=found.stateless,
        )

    def _services(
        self,
        users: Mapping[str, str] | UserSource,
        algorithms: tuple[digest.Algorithm, ...],
        domains: Sequence[str],
        name: str,
    ) -> Services:
        realm = domains[0] if domains else name
        generator = random.Random(1)
        if isinstance(users, Mapping):
            users = digest.KnownUsers(
                {
                    (user, domain): digest.Secret(password)
                    for user, password in users.items()
                    for domain in domains or (realm,)
                }
            )
        clock = self.loop.time
        settings = registrar.Settings(frozenset(domains)) if domains else None
        return Services(
            Users(
                users,
                realm=realm,
                secret=b"the harness's secret",
                clock=clock,
                random=generator.randbytes,
                algorithms=algorithms,
                hosts=self.identity.domains.union(
                    item.advertised[0].lower() for item in self.identity.listeners
                ),
            ),
            Registrations(
                settings, MemoryLocation(), node=name, clock=clock, random=generator.randbytes
            ),
            self.redis,
            self.sql,
        )

    def __enter__(self) -> Self:
        try:
            self.loop.run_until_complete(self._start())
        except BaseException:
            self._close()
            raise
        return self

    async def _start(self) -> None:
        await self.element.services.open_dialplans(self._dialplans, Path())
        await self.element.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        self.loop.run_until_complete(self.element.close())
        self.loop.close()

    @property
    def now(self) -> float:
        """The virtual time, in seconds since the beginning."""
        return self.loop.time()

    @property
    def lines(self) -> list[str]:
        """What was written to the log, the facility and time left out."""
        return [line.text for line in self.log.lines]

    # messages

    def request(
        self,
        method: str,
        uri: str,
        *,
        source: Address = _CALLER,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        within: Sent | None = None,
    ) -> Incoming:
        """A request as a caller would send it, for ``receive``.

        Rows that ``headers`` has are not made. ``within`` is a response the proxy passed to the
        caller: the request then belongs to the dialog that it began.
        """
        number = next(self._numbers)
        host, port = source
        rows = [
            ("Via", f"SIP/2.0/UDP {host}:{port};branch=z9hG4bKtest{number}"),
            ("Max-Forwards", "70"),
        ]
        if within is None:
            rows += [
                ("From", f"<sip:alice@{host}>;tag=caller"),
                ("To", f"<{uri}>"),
                ("Call-ID", f"call{number}@{host}"),
                ("CSeq", f"{number} {method}"),
            ]
        else:
            routes = within.headers.tokens("Record-Route")[::-1]  # RFC 3261 section 12.1.2
            rows += [("Route", route) for route in routes]
            rows += [(name, within.headers.get(name) or "") for name in ("From", "To", "Call-ID")]
            cseq = (within.headers.get("CSeq") or "1").partition(" ")[0]
            step = 0 if method == "ACK" else 1
            rows.append(("CSeq", f"{int(cseq) + step} {method}"))
        given = list(headers)
        names = {name.lower() for name, _ in given}
        made = [(name, value) for name, value in rows if name.lower() not in names]
        return Incoming(Request.build(method, uri, [*made, *given], body).to_bytes(), source)

    def receive(
        self,
        message: Incoming | str,
        *,
        source: Address = _CALLER,
        login: tuple[str, str] | None = None,
    ) -> list[Sent]:
        """Give the proxy a message; return what it sent because of it.

        A message may be text with plain line ends; a Content-Length is added where it has none.
        ``login`` is a user and a password: if the proxy asks for them, the request goes again with
        credentials, and what is returned is what came of that.
        """
        if isinstance(message, str):
            message = Incoming(_from_text(message), source)
        listener = self.identity.listeners[0]
        flow = message.flow or Flow(listener.transport, message.source, listener.local)
        self.element.receive([(message.data, flow)])
        sent = self.settle()
        challenge = next((item for item in sent if item.status in (401, 407)), None)
        if login is None or challenge is None:
            return sent
        again = self._with_credentials(message.data, challenge, login)
        self.element.receive([(again, flow)])
        return self.settle()

    def _with_credentials(self, data: bytes, challenge: Sent, login: tuple[str, str]) -> bytes:
        """The request that was challenged once more, as RFC 3261 section 22.2 has it."""
        request = parse(data)
        assert isinstance(request, Request), "only a request can be challenged"
        client = digest.Client(lambda realm: digest.Login(*login))
        client.challenged(
            challenge.headers.all("WWW-Authenticate"), challenge.headers.all("Proxy-Authenticate")
        )
        number = next(self._numbers)
        headers = request.headers
        for row in client.rows(request.method, request.uri, f"test{number}", request.body):
            headers.add(*row)
        sequence, _, method = (headers.get("CSeq") or "1 ").partition(" ")
        headers.set("CSeq", f"{int(sequence) + 1} {method}")
        via = (headers.get("Via") or "").partition(";branch=")[0]
        headers.replace("Via", f"{via};branch=z9hG4bKtest{number}")
        return request.to_bytes()

    def advance(self, seconds: float) -> list[Sent]:
        """Let time pass; return what the proxy sent meanwhile."""
        self.loop.advance(seconds)
        return self.sent()

    def settle(self) -> list[Sent]:
        """Let everything happen that is due now; return what the proxy sent."""
        self.loop.settle()
        return self.sent()

    def fail(self, sent: Sent, reason: str = "unreachable") -> list[Sent]:
        """Let the place that ``sent`` went to be unreachable; return what the proxy sent then."""
        self.element.failed(sent.flow, reason, [sent.message.to_bytes()])
        return self.settle()

    def sent(self) -> list[Sent]:
        """Return what the proxy has sent since somebody asked.

        Raises:
            TrunklineError: ``harness.fault``: code of the proxy's own raised an exception;
                ``script.unawaited``: the script forgot an ``await``.
        """
        failures = self.loop.failures()
        if failures:
            problem = failures[0].get("exception")
            cause = problem if isinstance(problem, BaseException) else None
            raise TrunklineError("harness.fault", f"the proxy failed: {problem!r}") from cause
        if self.element.stats.unawaited:
            names = ", ".join(self.element.stats.unawaited)
            raise TrunklineError("script.unawaited", f"write await {names}: nothing came of it")
        found, self._sent = self._sent, []
        return found

    def reload(self, script: Path | str | Iterable[Function]) -> None:
        """Let another version of the script take over, as in a running node."""
        self.loop.run_until_complete(self.element.reload(lambda: _loaded(script)))
        self.loop.settle()

    def send(self, flow: Flow, data: bytes) -> None:
        """Take what the proxy sends; for the element."""
        if data == b"\r\n\r\n":
            self.pings.append((self.loop.time(), flow.remote))
            return
        self._sent.append(Sent(parse(data), flow, self.loop.time()))


def _loaded(script: Path | str | Iterable[Function]) -> Script:
    return load_script(Path(script)) if isinstance(script, str | Path) else script_of(script)


def _from_text(text: str) -> bytes:
    lines = textwrap.dedent(text).lstrip("\n").replace("\r\n", "\n")
    head, _, body = lines.partition("\n\n")
    octets = body.replace("\n", "\r\n").encode()
    rows = head.rstrip("\n").split("\n")
    if not any(row.lower().startswith(("content-length", "l:")) for row in rows):
        rows.append(f"Content-Length: {len(octets)}")
    return "\r\n".join((*rows, "\r\n")).encode() + octets
