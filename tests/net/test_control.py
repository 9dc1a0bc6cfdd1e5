from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.net.control import (
    Connection,
    ControlClient,
    ControlServer,
    Json,
    runtime_dir,
    socket_path,
)


def _add(_: Connection, params: dict[str, Json]) -> Json:
    first, second = params["first"], params["second"]
    assert isinstance(first, int)
    assert isinstance(second, int)
    return first + second


async def _later(_: Connection, params: dict[str, Json]) -> Json:
    await asyncio.sleep(0)
    return params


def _refuse(_: Connection, params: dict[str, Json]) -> Json:
    raise TrunklineError("test.refused", "refused on purpose")


@contextmanager
def _serving(path: Path) -> Iterator[tuple[ControlServer, asyncio.AbstractEventLoop]]:
    loop = asyncio.new_event_loop()
    server = ControlServer(path, {"add": _add, "later": _later, "refuse": _refuse})
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server, loop
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def test_call_and_errors(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"
    with _serving(path), ControlClient(path, timeout=5) as client:
        assert client.call("add", {"first": 2, "second": 3}) == 5
        assert client.call("later", {"x": [1, None]}) == {"x": [1, None]}
        with pytest.raises(TrunklineError, match="refused on purpose") as refused:
            client.call("refuse")
        assert refused.value.code == "test.refused"
        with pytest.raises(TrunklineError, match="there are: add, later, refuse"):
            client.call("nonsense")
        with pytest.raises(TrunklineError, match="KeyError"):
            client.call("add")
        assert client.call("add", {"first": 1, "second": 1}) == 2
    assert not path.exists()


def test_garbage_costs_one_error(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"
    with _serving(path), ControlClient(path, timeout=5) as client:
        client._socket.sendall(b"garbage\n")
        assert client._read()["error"]
        client._socket.sendall(b"[]\n")
        assert client._read()["error"]
        assert client.call("add", {"first": 1, "second": 1}) == 2


def test_subscribers_get_their_topics_only(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"
    with _serving(path) as (server, loop), ControlClient(path, timeout=5) as client:
        events = client.subscribe(["link"])

        def publish() -> None:
            server.publish("call", {"kind": "unwanted"})
            server.publish("link", {"kind": "up"})

        client_ready = client.call("add", {"first": 1, "second": 1})
        assert client_ready == 2
        # the subscription is made by the first next(): publish once it is there
        timer = threading.Timer(0.2, lambda: loop.call_soon_threadsafe(publish))
        timer.start()
        assert next(events) == {"kind": "up"}
        assert server.wanted("link")
        assert not server.wanted("call")


def test_second_server_is_refused_and_a_stale_socket_replaced(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"
    with _serving(path):
        with pytest.raises(TrunklineError) as refused:
            asyncio.run(ControlServer(path, {}).start())
        assert refused.value.code == "control.in-use"
    path.touch()
    with _serving(path), ControlClient(path) as client:
        assert client.call("add", {"first": 1, "second": 1}) == 2


def test_of_those_that_start_together_one_has_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"
    count = 4
    together = threading.Barrier(count, timeout=20)
    won: list[int] = []

    def start(number: int) -> None:
        async def work() -> None:
            server = ControlServer(path, {"who": lambda _, __: number})
            together.wait()
            try:
                await server.start()
                won.append(number)
            except TrunklineError as refused:
                assert refused.code == "control.in-use"  # noqa: PT017 - in a thread
            await asyncio.to_thread(together.wait)
            if number in won:
                with ControlClient(path) as client:
                    answer = await asyncio.to_thread(client.call, "who")
                assert answer == number
                await server.close()

        asyncio.run(work())

    for _ in range(10):
        path.touch()  # as one that died has left it
        won.clear()
        threads = [threading.Thread(target=start, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert not path.exists()


def test_who_ends_leaves_the_socket_of_its_successor_alone(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"

    async def work() -> None:
        first, second = ControlServer(path, {}), ControlServer(path, {"two": lambda _, __: 2})
        await first.start()
        path.rename(tmp_path / "away")  # by hand, say
        await second.start()
        await first.close()
        with ControlClient(path) as client:
            assert await asyncio.to_thread(client.call, "two") == 2
        await second.close()
        assert not path.exists()

    asyncio.run(work())


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TrunklineError) as absent:
        ControlClient(tmp_path / "absent.sock")
    assert absent.value.code == "control.unreachable"


def test_runtime_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_dir() == tmp_path / "trunkline"
    assert runtime_dir().stat().st_mode & 0o777 == 0o700
    assert socket_path("lab", "A") == tmp_path / "trunkline" / "lab" / "A.sock"


def test_a_line_over_the_limit_ends_its_connection_alone(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"
    with _serving(path), ControlClient(path, timeout=5) as greedy:
        with pytest.raises(OSError, match=r"Broken pipe|reset by peer"):
            greedy._socket.sendall(b"x" * (64 << 20))
        with ControlClient(path, timeout=5) as client:
            assert client.call("add", {"first": 1, "second": 1}) == 2


def test_brackets_by_the_thousand_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "n.sock"
    with _serving(path), ControlClient(path, timeout=5) as client:
        client._socket.sendall(b"[" * 200_000 + b"\n")
        assert client._read()["error"]
        assert client.call("add", {"first": 1, "second": 1}) == 2


def test_a_path_too_long_for_a_socket_is_said(tmp_path: Path) -> None:
    async def main() -> None:
        server = ControlServer(tmp_path / ("n" * 120), {})
        with pytest.raises(TrunklineError) as refused:
            await server.start()
        assert refused.value.code == "control.socket"
        await server.close()

    asyncio.run(main())


def test_a_link_is_no_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    (tmp_path / "trunkline").symlink_to(tmp_path / "mine")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(TrunklineError) as refused:
        runtime_dir()
    assert refused.value.code == "control.runtime-dir"
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755
