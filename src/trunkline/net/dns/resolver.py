"""The resolver: questions to name servers, with what it takes to get an answer in time.

Servers are asked in their order, the whole round up to ``attempts`` times; one that gave no sign of
life is asked last for a while. EDNS0 (RFC 6891) with 1232 octets, TCP where that is too little. An
alias (CNAME) is followed, also where the server leaves that to us. Questions that are under way are
not asked twice. Answers are kept by whoever asks: ``trunkline.sip.locate``.

Left out: DNSSEC validation, which is the business of the resolver that is asked; DNS over TLS.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from trunkline.errors import TrunklineError
from trunkline.net.dns.client import ClientCounters, NoAnswerError, query
from trunkline.net.dns.hosts import HostsFile
from trunkline.net.dns.reading import no_use, read
from trunkline.net.dns.servers import NameServer, ServerState, parse_server, read_resolv_conf
from trunkline.sip.locate.records import Answer, Exchange, Outcome, Question, RecordType

__all__ = ["Resolver", "ResolverCounters", "ResolverSettings", "ServerCheck"]

_EDNS_PAYLOAD = 1232
"""Octets; what fits the smallest path that IPv6 allows, so that nothing is fragmented."""
_ALIASES = 8
"""CNAME records that are followed for one question."""
_HOSTS_TTL = 10.0
"""Seconds for which a name of the hosts file is used before the file is looked at again."""
_RESOLV_CONF_PERIOD = 10.0
"""Seconds between two looks at whether resolv.conf has changed."""


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """Settings of a resolver. Durations are seconds."""

    servers: tuple[str, ...] = ()
    """Name servers as ``IP`` or ``IP:port``; none: those of ``resolv_conf``."""
    servers_source: str = "the setting dns servers"
    """What explanations call the place where ``servers`` was written."""
    resolv_conf: Path = Path("/etc/resolv.conf")
    """Read again when it changes."""
    hosts: Path | None = Path("/etc/hosts")
    """Addresses that go before DNS; None: DNS alone."""
    timeout: float | None = None
    """How long one server is waited for. Default: what resolv.conf says, else 2."""
    attempts: int | None = None
    """How many times all servers are asked. Default: what resolv.conf says, else 2."""
    penalty: float = 30.0
    """How long a server that gave no sign of life is asked last."""
    concurrent: int = 256
    """Queries on the wire at a time, each with a socket; others wait for their turn."""
    pending_limit: int = 4096
    """Questions under way or waiting; one more is not asked: its answer is a failure, counted."""

    def __post_init__(self) -> None:
        for name in ("timeout", "attempts", "concurrent", "pending_limit"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise TrunklineError("dns.settings", f"{name}: {value}; give more than 0")


@dataclass(slots=True)
class ResolverCounters:
    """What became of the questions."""

    asked: int = 0
    """Questions that went to name servers."""
    shared: int = 0
    """Questions that were under way already and took that answer."""
    from_hosts: int = 0
    """Questions answered from the hosts file."""
    failed: int = 0
    """Questions that nobody answered."""
    refused: int = 0
    """Questions not asked because too many were pending."""


class ServerCheck(NamedTuple):
    """What :meth:`Resolver.probe` saw of one server."""

    server: NameServer
    seconds: float
    problem: TrunklineError | None
    """None of a server that answers; ``dns.loopback`` or ``dns.silent`` of one that does not."""


class Resolver:
    """Asks name servers. Belongs to the loop that it is used on."""

    def __init__(self, settings: ResolverSettings | None = None) -> None:
        """Raises TrunklineError, code ``dns.server``, for a server that is none."""
        self.settings = settings or ResolverSettings()
        self.counters = ResolverCounters()
        self.wire = ClientCounters()
        self.states: list[ServerState] = []
        """The servers, in the order in which they are asked while all are well."""
        self.timeout = 2.0
        self.attempts = 2
        self._hosts = HostsFile(self.settings.hosts) if self.settings.hosts else None
        self._under_way: dict[Question, asyncio.Task[Answer]] = {}
        self._turns = asyncio.Semaphore(self.settings.concurrent)
        self._read_of: object = None
        self._read_at = 0.0
        self._configure()

    @property
    def servers(self) -> tuple[NameServer, ...]:
        """The servers, and where each was named."""
        return tuple(state.server for state in self.states)

    # -- which servers

    def _configure(self) -> None:
        settings = self.settings
        found = read_resolv_conf(settings.resolv_conf) if not settings.servers else None
        servers = (
            found.servers
            if found is not None
            else tuple(parse_server(text, settings.servers_source) for text in settings.servers)
        )
        known = {state.server[:2]: state for state in self.states}
        self.states = [known.get(server[:2]) or ServerState(server) for server in servers]
        for state, server in zip(self.states, servers, strict=True):
            state.server = server  # on another line, it may be
        self.timeout = settings.timeout or (found and found.timeout) or 2.0
        self.attempts = settings.attempts or (found and found.attempts) or 2
        self._read_of = self._state_of_file()

    def _state_of_file(self) -> object:
        try:
            state = self.settings.resolv_conf.stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_size, state.st_ino

    def _look_at_file(self, now: float) -> None:
        if not self.settings.servers and now >= self._read_at + _RESOLV_CONF_PERIOD:
            self._read_at = now
            if self._state_of_file() != self._read_of:
                self._configure()

    # -- questions

    async def ask(self, question: Question) -> Answer:
        """The answer to ``question``. Never raises for what DNS does: a failure is an answer."""
        answer = self._from_hosts(question)
        if answer is not None:
            return answer
        task = self._under_way.get(question)
        if task is not None:
            self.counters.shared += 1
        elif len(self._under_way) >= self.settings.pending_limit:
            self.counters.refused += 1
            return Answer(
                question,
                Outcome.FAILED,
                note=f"{self.settings.pending_limit} other questions are pending",
                asked=False,
            )
        else:
            self.counters.asked += 1
            task = asyncio.get_running_loop().create_task(self._ask(question))
            self._under_way[question] = task
            task.add_done_callback(lambda _: self._under_way.pop(question, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Give up on what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _from_hosts(self, question: Question) -> Answer | None:
        if self._hosts is None or question.type not in (RecordType.A, RecordType.AAAA):
            return None
        found = self._hosts.find(question.name)
        if found is None:
            return None
        self.counters.from_hosts += 1
        rows = found.get(question.type, [])
        line = (rows or next(iter(found.values())))[0].line
        return Answer(
            question,
            Outcome.FOUND if rows else Outcome.NO_DATA,
            tuple(dict.fromkeys(row.address for row in rows)),
            _HOSTS_TTL,
            exchanges=(Exchange(f"{self._hosts.path}:{line}", 0.0, "answer"),),
        )

    async def _ask(self, question: Question) -> Answer:
        self._look_at_file(time.monotonic())
        exchanges: list[Exchange] = []
        try:
            async with self._turns:
                answer = await self._follow(question, exchanges)
        except NoAnswerError as problem:
            self.counters.failed += 1
            answer = Answer(question, Outcome.FAILED, note=str(problem))
        return replace(answer, exchanges=tuple(exchanges))

    async def _follow(self, question: Question, exchanges: list[Exchange]) -> Answer:
        """The answer at the end of the aliases."""
        ttl = float("inf")
        aliases: list[str] = []
        try:
            name = dns.name.from_text(question.name)
        except (dns.exception.DNSException, UnicodeError):
            raise NoAnswerError(
                f"{question.name!r} cannot be asked for: it is no domain name"
            ) from None
        while True:
            response = await self._ask_servers(name, question.type, exchanges)
            found = read(response)
            ttl = min(ttl, found.ttl)
            aliases += found.aliases
            if found.circular or len(aliases) > _ALIASES or len(set(aliases)) < len(aliases):
                raise NoAnswerError(f"its aliases go in a circle, or are more than {_ALIASES}")
            if found.outcome is not None:
                return Answer(question, found.outcome, found.records, ttl, tuple(aliases))
            name = found.name  # the end of the aliases is left to us

    async def _ask_servers(
        self, name: dns.name.Name, kind: RecordType, exchanges: list[Exchange]
    ) -> dns.message.QueryMessage:
        """A response that settles the question, of the first server that has one.

        Raises:
            NoAnswerError: there is none.
        """
        whys: dict[NameServer, str] = {}
        begun = time.monotonic()
        # When nobody gave a sign of life lately, one round tells whether that has changed.
        alive = any(state.down_until <= begun for state in self.states)
        for _ in range(self.attempts if alive else 1):
            begun = time.monotonic()
            silent = False
            for state in sorted(self.states, key=lambda each: each.down_until > begun):
                start = time.monotonic()
                try:
                    response = await self._ask_one(state, name, kind)
                except NoAnswerError as problem:
                    whys[state.server] = str(problem)
                    if problem.alive:
                        state.refused += 1
                        state.heard = time.monotonic()
                    else:
                        state.silent += 1
                        silent = True
                        # Who has answered others meanwhile lives: it is the name that does not.
                        if state.heard < start:
                            state.down_until = time.monotonic() + self.settings.penalty
                    result = str(problem)
                else:
                    state.answered += 1
                    state.heard = time.monotonic()
                    state.down_until = 0.0
                    result = "answer"
                exchanges.append(Exchange(str(state.server), time.monotonic() - start, result))
                if result == "answer":
                    return response
            if not silent:
                break  # they live and have said what they have to say
        raise NoAnswerError("; ".join(f"{server}: {why}" for server, why in whys.items()))

    async def _ask_one(
        self, state: ServerState, name: dns.name.Name, kind: RecordType
    ) -> dns.message.QueryMessage:
        rdtype = dns.rdatatype.RdataType(kind)
        while True:
            edns = not state.plain
            message = dns.message.make_query(
                name, rdtype, use_edns=0 if edns else False, payload=_EDNS_PAYLOAD
            )
            state.sent += 1
            response = await query(state.server, message, self.timeout, self.wire)
            # RFC 6891 section 7: who does not know EDNS says FORMERR, or NOTIMP.
            if not edns or response.rcode() not in (dns.rcode.FORMERR, dns.rcode.NOTIMP):
                break
            state.plain = True
        if why := no_use(response):
            raise NoAnswerError(why, alive=True)
        return response

    # -- at the start

    async def probe(self) -> list[ServerCheck]:
        """Ask every server for a name that any resolver knows; what it answers does not matter.

        For the start of a node: a server that does not answer is named with the place where it was
        named, and with what to do.
        """
        return list(await asyncio.gather(*map(self._check, self.states)))

    async def _check(self, state: ServerState) -> ServerCheck:
        start = time.monotonic()
        message = dns.message.make_query("localhost.", dns.rdatatype.A)  # RFC 6761 section 6.3
        why = ""
        for _ in range(self.attempts):
            try:
                await query(state.server, message, self.timeout, self.wire)
                return ServerCheck(state.server, time.monotonic() - start, None)
            except NoAnswerError as problem:
                why = str(problem)
        state.down_until = time.monotonic() + self.settings.penalty
        return ServerCheck(state.server, time.monotonic() - start, _silent(state.server, why))


def _silent(server: NameServer, why: str) -> TrunklineError:
    place = f"the name server {server} ({server.source})"
    if server.loopback:
        return TrunklineError(
            "dns.loopback",
            f"{place} is this machine itself, and does not answer: {why}. No SIP domain can be "
            "located by it. Start the resolver that belongs there, or name the server that knows "
            "your SIP domains: in that place, or in the settings of this node",
        )
    return TrunklineError(
        "dns.silent",
        f"{place} does not answer: {why}. Check that it runs and that nothing filters UDP and TCP "
        f"port {server.port} on the way, or name another one",
    )
