"""What a proxy's scripts may use beside SIP: users, registrations, and stores by their names."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from trunkline.config.proxy import ProxyNodeSettings
from trunkline.elements.proxy.dialplan import Dialplan, LiveDialplan
from trunkline.elements.proxy.flows import RegisteredFlows
from trunkline.errors import TrunklineError
from trunkline.sip import digest, registrar
from trunkline.sip.binding import Binding, Bindings, hangs, without_flow
from trunkline.sip.message import Request
from trunkline.sip.nat import KeepAlive, KeepAliveMethod
from trunkline.sip.outbound import target_groups
from trunkline.sip.proxy import ProxySettings
from trunkline.sip.registrar import Registration
from trunkline.sip.transport import Flow
from trunkline.store.keyvalue import KeyValue
from trunkline.store.location import Location, MemoryLocation
from trunkline.store.redis import Redis

if TYPE_CHECKING:
    from trunkline.store.sql import Sql  # SQLAlchemy is heavy
    from trunkline.store.users import SqlUsers

__all__ = [
    "Registrations",
    "Services",
    "UserSource",
    "Users",
    "core_settings",
    "digest_algorithms",
    "read_users",
]

UserSource: TypeAlias = "digest.UserSource | SqlUsers"
"""Who knows the users' secrets: at once, or after a while."""

_RANDOM = 16  # octets for a nonce or a GRUU
_AT_ONCE = 1000  # contacts that have expired, in one go


@dataclass
class Services:
    """The stores that are there, by name; and users and registrations."""

    users: Users
    registrations: Registrations
    redis: Mapping[str, KeyValue] = field(default_factory=dict)
    sql: Mapping[str, Sql] = field(default_factory=dict)
    dialplans: dict[str, LiveDialplan] = field(default_factory=dict)

    async def open_dialplans(self, sources: Mapping[str, str], folder: Path) -> None:
        """Load dialplans: from CSV files of ``folder``, or ``sql:NAME``.

        Raises:
            TrunklineError: of a file, a database or a row.
        """
        for name, source in sources.items():
            if source.startswith("sql:"):
                database = self.sql[source.removeprefix("sql:")]
                self.dialplans[name] = await LiveDialplan.from_sql(database)
            else:
                self.dialplans[name] = LiveDialplan.from_csv(folder / source)

    async def load_dialplans(self) -> dict[str, Dialplan]:
        """Load every dialplan again, without using it yet.

        Raises:
            TrunklineError: of a file, a database or a row.
        """
        return {name: await live.load() for name, live in self.dialplans.items()}

    def use_dialplans(self, loaded: Mapping[str, Dialplan]) -> None:
        """Let what was loaded count from now on."""
        for name, rows in loaded.items():
            self.dialplans[name].current = rows

    def counters(self) -> dict[str, dict[str, int | str]]:
        """What the handles of servers counted, by ``redis.NAME`` and ``sql.NAME``."""
        handles: dict[str, Redis | Sql] = {
            f"redis.{n}": store for n, store in self.redis.items() if isinstance(store, Redis)
        }
        handles.update({f"sql.{name}": database for name, database in self.sql.items()})
        return {
            name: {**asdict(handle.counters), "state": handle.counters.state.value}
            for name, handle in handles.items()
        }

    async def close(self) -> None:
        """Close what has connections."""
        for store in self.redis.values():
            if isinstance(store, Redis):
                await store.close()
        for database in self.sql.values():
            await database.close()


class Users:
    """Checks credentials: RFC 3261 section 22, by `trunkline.sip.digest`.

    ``secret`` seals the nonces and is the same in all processes that share the realms; ``clock``
    gives seconds since the epoch. ``hosts``: credentials are for the URI of their request, or for
    one of these hosts, our own: else they were given to somebody else, who may not use them here.
    """

    def __init__(
        self,
        source: UserSource,
        *,
        realm: str,
        secret: bytes,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
        maker: int = 0,
        algorithms: tuple[digest.Algorithm, ...] = digest.DEFAULT_ALGORITHMS,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self.realm = realm
        """The realm that is meant where none is named."""
        self.secret = secret
        """What nonces are sealed with, and our Record-Route."""
        self._source = source
        self._clock = clock
        self._random = random
        self._maker = maker
        self._algorithms = algorithms
        self._hosts = hosts
        self._challengers: dict[tuple[str, bool], digest.Challenger] = {}

    async def check(
        self, request: Request, uri: str, realm: str | None, *, proxy: bool
    ) -> digest.Result:
        """Check the credentials of ``request``, which came with ``uri``, for ``realm``."""
        challenger = self._challenger(realm, proxy)
        values = request.headers.all(challenger.credentials_header)
        found = challenger.examine(values, request.method, uri, request.body)
        if isinstance(found, digest.Result):
            return found
        secret = self._source.lookup(found.user, challenger.settings.realm)
        if isinstance(secret, Awaitable):
            secret = await secret
        return challenger.judge(found, secret, self._clock())

    def challenge(
        self, realm: str | None, *, proxy: bool, stale: bool
    ) -> tuple[int, list[tuple[str, str]]]:
        """Return status and rows of a challenge."""
        challenger = self._challenger(realm, proxy)
        rows = challenger.rows(self._clock(), self._random(_RANDOM), stale=stale)
        return challenger.status, rows

    def counters(self) -> dict[str, int]:
        """How many credentials were found to be what, over all realms."""
        found: dict[str, int] = {}
        for challenger in self._challengers.values():
            for reason, count in challenger.counters.items():
                if count:
                    found[reason.value] = found.get(reason.value, 0) + count
        return found

    def _challenger(self, realm: str | None, proxy: bool) -> digest.Challenger:
        key = (realm or self.realm, proxy)
        challenger = self._challengers.get(key)
        if challenger is None:
            settings = digest.Settings(
                realm=key[0],
                secret=self.secret,
                proxy=proxy,
                algorithms=self._algorithms,
                maker=self._maker,
                hosts=self._hosts,
            )
            other = self._challengers.get((key[0], not proxy))
            challenger = digest.Challenger(settings, None if other is None else other.replays)
            self._challengers[key] = challenger
        return challenger


class Registrations:
    """The registrar and the location service: RFC 3261 section 10.

    Without a ``location`` nobody can register: the memory of one worker is not another's. ``node``
    names this process; ``run``, with which it begins, all processes that can send by its flows.

    Raises:
        TrunklineError: ``script.no-domain``, ``script.no-location`` by ``register``.
    """

    def __init__(
        self,
        settings: registrar.Settings | None,
        location: Location | None,
        *,
        node: str,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
        run: str = "",
    ) -> None:
        self.flows = RegisteredFlows(node)
        self._run = run or node
        self._prepared = False
        self._shared = location is not None
        self.location: Location = MemoryLocation() if location is None else location
        self._registrar = None if settings is None else registrar.Registrar(settings)
        self._node = node
        self.clock = clock
        """Gives seconds since the epoch."""
        self._random = random

    async def prepare(self) -> None:
        """See that the store has what it needs, such as its tables; it may be away."""
        prepare = getattr(self.location, "prepare", None)
        if prepare is not None and not self._prepared:
            await prepare()
        self._prepared = True

    async def register(self, request: Request, flow: Flow, user: str | None) -> Registration:
        """Carry out a REGISTER; ``user``, ``NAME@DOMAIN``, may register for that address only."""
        order = self._ready().examine(
            request,
            flow=flow,
            node=self._node,
            authorized=None if user is None else lambda aor: aor == f"sip:{user}",
        )
        if isinstance(order, Registration):
            return order
        random = self._random(_RANDOM)

        def compute(bindings: Bindings) -> tuple[Bindings | None, Registration]:
            found = order.apply(bindings, self.clock(), random)
            return found.bindings, found

        done = await self.location.update(order.aor, compute)
        if done.bindings is not None:
            self.flows.registered(order.aor, done.bindings)
        return done

    async def lost(
        self, flow: Flow, aors: Iterable[str]
    ) -> tuple[list[str], TrunklineError | None]:
        """A flow has failed: of ``aors`` nobody is called by it any more (RFC 5626 section 7).

        Returns those that could not be seen to, and why; it may be asked again for them.
        """

        def compute(bindings: Bindings) -> tuple[Bindings | None, None]:
            left = without_flow(bindings, flow, self._node)
            return (None if left == bindings else left), None

        left: list[str] = []
        trouble: TrunklineError | None = None
        for aor in aors:
            known = self.flows.get(flow)
            if known is not None and aor in known.aors:
                continue  # it has registered by it since
            try:
                await self.location.update(aor, compute)
            except TrunklineError as problem:
                left.append(aor)
                trouble = problem
        return left, trouble

    async def lookup(self, aor: str) -> list[list[list[Binding]]]:
        """The contacts of an address-of-record, in the order in which they are to be called.

        Groups are tried one after the other (falling ``q``); the instances of a group at the same
        time; of an instance's bindings the next is for when the flow of the one before fails.
        """
        found = await self.location.get(aor, self.clock())
        instances = [list(instance) for instance in target_groups(found)]
        return [
            list(group)
            for _, group in itertools.groupby(
                instances, key=lambda bindings: max(1.0 if b.q is None else b.q for b in bindings)
            )
        ]

    async def expire(self) -> bool:
        """Forget contacts that have expired, so many at a time; whether there may be more."""
        await self.prepare()
        return len(await self.location.expire(self.clock(), _AT_ONCE)) >= _AT_ONCE

    def reaches(self, binding: Binding) -> bool:
        """Whether the flow of a registration can be used from here."""
        if binding.flow is None or not hangs(binding) or binding.flow in self.flows.failed:
            return False
        # A connection belongs to a process; a datagram leaves by any that has the address.
        return binding.flow.connection == 0 or binding.node.startswith(self._run)

    def _ready(self) -> registrar.Registrar:
        if self._registrar is None:
            raise TrunklineError(
                "script.no-domain",
                "nobody can register here: the node's table has no `domains`",
            )
        if not self._shared:
            raise TrunklineError(
                "script.no-location",
                "several workers need a store of registrations that they share:"
                ' location = "redis:NAME" or "sql:NAME"',
            )
        return self._registrar


def read_users(file: Path, realm: str) -> digest.UserSource:
    """Read the users of a CSV file; ``realm`` is theirs where the column ``domain`` says none.

    Raises:
        TrunklineError: ``proxy.users``, ``sip.digest-users``.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return digest.read_csv(lines, realm, str(file))
    except (OSError, UnicodeDecodeError) as problem:
        raise TrunklineError("proxy.users", f"{file}: cannot be read: {problem}") from problem


def digest_algorithms(settings: ProxyNodeSettings) -> tuple[digest.Algorithm, ...]:
    """What the challenges of a node offer."""
    return tuple(digest.Algorithm(digest.Hash(name)) for name in settings.algorithms)


def keep_alive_of(settings: ProxyNodeSettings) -> KeepAlive | None:
    """How a node keeps NATs open; ``None``: it does not."""
    if settings.keep_alive is None:
        return None
    method = KeepAliveMethod(settings.keep_alive_method)
    return KeepAlive(method=method, interval=settings.keep_alive.seconds)


def core_settings(settings: ProxyNodeSettings) -> ProxySettings:
    """Return what the proxy core takes of a node's settings."""
    return ProxySettings(
        record_route=settings.record_route,
        supported=frozenset(tag.lower() for tag in settings.supported),
    )
