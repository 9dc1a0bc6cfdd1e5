"""Pieces of a bulk run on a Ray cluster.

Each piece is a task: it travels to whichever process of the cluster is free and comes back as
bytes of the output, so that no machine but this one needs the files. A process gets the tariff
with its first piece and keeps it for the run. A piece whose process is lost is priced again.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from uuid import uuid4

import pyarrow as pa

from trunkline.errors import TrunklineError
from trunkline.rating.tariff import Tariff
from trunkline.store.batch_worker import Piece, Worker

_ADDRESS = os.environ.get("RAY_ADDRESS")
"""Of a cluster that there is."""
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers otherwise
if not _ADDRESS:
    # Where there can be no other machines, Ray listens on loopback alone; it reads this when it
    # is imported.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

try:
    import ray
except ModuleNotFoundError as problem:
    raise TrunklineError(
        "batch.ray", "Ray is not installed: pip install 'trunkline[ray]'"
    ) from problem

__all__ = ["cluster"]

_PATIENCE = 5.0  # seconds until a cluster has answered
_kept: dict[str, Worker] = {}
"""In a process of the cluster the worker of the run that it works for."""


def _price(run: str, work: Sequence[ray.ObjectRef], table: pa.Table) -> Piece:
    worker = _kept.get(run)
    if worker is None:
        _kept.clear()
        worker = _kept[run] = Worker(*ray.get(work[0]))
    return worker.price(table)


@contextmanager
def cluster(
    work: tuple[Tariff, Mapping[str, str], tzinfo, str],
) -> Iterator[tuple[Callable[[pa.Table], Callable[[], Piece]], int]]:
    """The cluster of ``RAY_ADDRESS``, or one on this machine that lasts as long as the run.

    Gives what begins a piece and returns what waits for it, and how many processors there are.

    Raises:
        TrunklineError: ``batch.ray``.
    """
    try:
        _connect()
        task = ray.remote(num_cpus=1, max_retries=-1)(_price)
        run, shared = uuid4().hex, [ray.put(work)]  # in a list it is fetched when it is needed

        def begin(table: pa.Table) -> Callable[[], Piece]:
            under_way = task.remote(run, shared, table)

            def wait() -> Piece:
                piece: Piece = ray.get(under_way)
                return piece

            return wait

        yield begin, max(1, int(ray.cluster_resources().get("CPU", 1)))
    except (ray.exceptions.RayError, ConnectionError, TimeoutError, socket.gaierror) as problem:
        where = f" of {_ADDRESS}" if _ADDRESS else ""
        raise TrunklineError("batch.ray", f"the Ray cluster{where}: {problem}") from problem
    finally:
        ray.shutdown()


def _connect() -> None:
    if _ADDRESS:
        host, colon, port = _ADDRESS.removeprefix("ray://").rpartition(":")
        if colon and port.isdecimal():  # Ray itself would go on trying for minutes
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        ray.init(address=_ADDRESS, log_to_driver=False, logging_level=logging.ERROR)
    else:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
