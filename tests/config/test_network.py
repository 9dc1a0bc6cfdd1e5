from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config.network import NetworkFileError, load_network

GOOD = """\
[network]
name = "lab"

[sctp]
udp_port = 19899

[node.A]
config = ["a.cfg", "b.cfg"]

[node.X]
config = ["x.cfg"]

[node.X.exchange]
numbers = ["3005"]
ring_time = "200ms"

[[node.X.exchange.trunk]]
name = "ToY"
point_code = "7.8.2"
circuits = "1-3,7"
control = "odd"

[[node.X.exchange.route]]
prefix = "61"
trunk = "ToY"
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "network.toml"
    path.write_text(text)
    return path


def test_everything_is_typed(tmp_path: Path) -> None:
    network = load_network(_write(tmp_path, GOOD))
    assert network.name == "lab"
    assert network.sctp.udp_port == 19899
    assert network.layers("A") == [tmp_path / "a.cfg", tmp_path / "b.cfg"]
    assert network.nodes["A"].exchange is None
    exchange = network.nodes["X"].exchange
    assert exchange is not None
    assert exchange.ring_time.seconds == 0.2
    assert exchange.trunk[0].circuits.codes == (1, 2, 3, 7)
    assert exchange.trunk[0].control == "odd"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('name = "lab"', 'name = "9 lab"', 2, "is no name"),
        ("udp_port = 19899", 'udp_port = "x"', 5, "is no int"),
        ("udp_port = 19899", "udp_prt = 1", 5, "known here: backend, udp_port"),
        ('config = ["x.cfg"]', "", 10, "either a router, with a `config`, or a proxy"),
        ('ring_time = "200ms"', 'ring_time = "200"', 15, "a number and ms, s, min or h"),
        ('circuits = "1-3,7"', 'circuits = "1-3,2"', 20, "names a circuit twice"),
        ('circuits = "1-3,7"', 'circuits = "5000"', 20, "from 0 to 4095"),
        ('circuits = "1-3,7"', 'circuits = "1-99999999999"', 20, "from 0 to 4095"),
        ('circuits = "1-3,7"', 'circuits = "1-3,9-7"', 20, "9-7 runs backwards"),
        ('ring_time = "200ms"', 'ring_time = "999999h"', 15, "a week"),
        ("udp_port = 19899", "udp_port = 70000", 5, "1 to 65535, not 70000"),
        ('control = "odd"', 'control = "both"', 21, "both"),
        ('trunk = "ToY"', 'trunk = "ToZ"', 25, "no trunk 'ToZ'; trunks of X: ToY"),
        ("[sctp]", "[sctp", 4, "not TOML"),
    ],
)
def test_each_mistake_is_located(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(NetworkFileError) as refused:
        load_network(_write(tmp_path, GOOD.replace(old, new)))
    assert says in refused.value.message
    assert refused.value.line == line
    assert str(refused.value).startswith(f"{tmp_path}/network.toml:{line}: ")


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match="cannot be read"):
        load_network(tmp_path / "absent.toml")


PROXY = """\
[node.Edge.proxy]
script = "edge.py"
listen = ["udp:127.0.0.1:5060"]
hep = "udp:[2001:db8::9]:9060"
hep_id = 7
"""


def test_a_proxys_collector_is_typed(tmp_path: Path) -> None:
    proxy = load_network(_write(tmp_path, PROXY)).nodes["Edge"].proxy
    assert proxy is not None
    assert proxy.hep is not None
    assert (proxy.hep.address, proxy.hep_id) == (("2001:db8::9", 9060), 7)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('"udp:[2001:db8::9]:9060"', '"tcp:192.0.2.9:9060"', 4, "is no collector: write"),
        ('"udp:[2001:db8::9]:9060"', '"udp:homer:9060"', 4, "'homer' is no IP address"),
        ('"udp:[2001:db8::9]:9060"', '"udp:192.0.2.9:0"', 4, "1 to 65535, not 0"),
        ('"udp:[2001:db8::9]:9060"', "9060", 4, "9060 is no collector"),
        ("hep_id = 7", "hep_id = -1", 5, "0 to 4294967295, not -1"),
    ],
)
def test_each_mistake_about_a_collector_is_located(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    with pytest.raises(NetworkFileError) as refused:
        load_network(_write(tmp_path, PROXY.replace(old, new)))
    assert says in refused.value.message
    assert refused.value.line == line


CHARGING = """\
[network]
name = "lab"

[node.OCS.charging]
tariff = "tariff"
rpc_json = "127.0.0.2:2012"
http = "[::1]:0"
rpc_bijson = ""
"""


def test_a_charging_node_is_typed(tmp_path: Path) -> None:
    found = load_network(_write(tmp_path, CHARGING)).nodes["OCS"].charging
    assert found is not None
    assert found.tariff == "tariff"
    assert found.rpc_json.address == ("127.0.0.2", 2012)
    assert found.http.address == ("::1", 0)
    assert found.rpc_bijson.address is None
    plain = load_network(_write(tmp_path, "[node.OCS.charging]\n")).nodes["OCS"].charging
    assert plain is not None
    assert plain.rpc_json.address == ("127.0.0.1", 2012)
    assert plain.http.address == ("127.0.0.1", 2080)
    assert plain.rpc_bijson.address == ("127.0.0.1", 2014)
    assert (plain.lease.seconds, plain.debit_interval.seconds) == (3 * 3600, 0)
    assert (plain.when_ledger_fails, plain.grant_usage.seconds) == ("deny", 300)
    text = 'lease = "10min"\ndebit_interval = "500ms"\nwhen_ledger_fails = "grant"\n'
    said = load_network(_write(tmp_path, f"[node.OCS.charging]\n{text}")).nodes["OCS"].charging
    assert said is not None
    assert (said.lease.seconds, said.debit_interval.seconds) == (600, 0.5)
    assert said.when_ledger_fails == "grant"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('"127.0.0.2:2012"', '"2012"', 6, "is no address to listen on"),
        ('"127.0.0.2:2012"', "2012", 6, "is no address to listen on"),
        ('"127.0.0.2:2012"', '"localhost:2012"', 6, "'localhost' is no IP address"),
        ('"127.0.0.2:2012"', '"127.0.0.1:70000"', 6, "a port is at most 65535"),
        ('http = "[::1]:0"', 'precision = "fine"', 7, "fine"),
        ('http = "[::1]:0"', 'store = "sqlite:///a"', 7, "there is a `tariff` already"),
        ('http = "[::1]:0"', "connections = 0", 7, "connections: 1 to 100000, not 0"),
        ('http = "[::1]:0"', 'lease = "0s"', 7, "lease: a second at least"),
        ('http = "[::1]:0"', "lease = 3", 7, "3 is no duration"),
        ('http = "[::1]:0"', 'when_ledger_fails = "maybe"', 7, "maybe"),
        ('http = "[::1]:0"', 'https = ""', 7, "unknown key 'https'"),
        ("[node.OCS.charging]", '[node.OCS]\nconfig = ["a"]\n[node.OCS.charging]', 4, "is either"),
        ("[node.OCS.charging]", "[node.OCS.exchange]\n[node.OCS.charging]", 1, "is either"),
    ],
)
def test_each_mistake_about_charging_is_located(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    path = _write(tmp_path, CHARGING.replace(old, new))
    with pytest.raises(NetworkFileError) as refused:
        load_network(path)
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('domains = "example.org"', 'write ["example.org"]'),
        ('listen = "udp:127.0.0.1:5060"', 'write ["udp:127.0.0.1:5060"]'),
        ('algorithms = "MD5"', 'write ["MD5"]'),
    ],
)
def test_a_text_is_no_list_of_its_letters(line: str, hint: str, tmp_path: Path) -> None:
    rows = ['script = "route.py"', 'listen = ["udp:127.0.0.1:5060"]']
    kept = [row for row in rows if row.split()[0] != line.split()[0]]
    text = "\n".join(["[node.Edge.proxy]", *kept, line])
    with pytest.raises(NetworkFileError) as raised:
        load_network(_write(tmp_path, text))
    assert hint in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path / 'network.toml'}:{len(kept) + 2}:")


CHARGED = """\
[node.OCS.charging]
tariff = "t"

[node.X]
config = ["x.cfg"]

[node.X.exchange]
numbers = ["3005"]

[node.X.exchange.charging]
node = "OCS"
grant = "10s"

[node.X.exchange.charging.subscribers]
3007 = "*postpaid"
"""


def test_charged_calls_are_typed(tmp_path: Path) -> None:
    exchange = load_network(_write(tmp_path, CHARGED)).nodes["X"].exchange
    assert exchange is not None
    charged = exchange.charging
    assert charged is not None
    assert (charged.node, charged.grant.seconds, charged.allowance.seconds) == ("OCS", 10, 0)
    assert charged.request_type_of("3007") == "*postpaid"
    assert charged.request_type_of("3005") == "*prepaid"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('node = "OCS"', 'node = "X"', 11, "no charging node 'X' in this network; charging nodes"),
        ('grant = "10s"', 'grant = "1ms"', 12, 'grant: at least "100ms"'),
        ('grant = "10s"', 'timeout = "1ms"', 12, 'timeout: at least "100ms"'),
        ('"*postpaid"', '"postpaid"', 15, "'postpaid' is none of '*prepaid', "),
        ("3007", '"30 07"', 15, "subscriber '30 07': a number is 1 to 32 digits"),
        ('tariff = "t"', 'tariff = "t"\nrpc_bijson = ""', 3, "needs an address and a port"),
        ('tariff = "t"', 'rpc_bijson = "127.0.0.1:0"', 2, "needs an address and a port"),
        ("[node.X]", '[rating]\ntariff = "t"\n[node.X]', 12, "have two prices: that of OCS"),
    ],
)
def test_each_mistake_about_charged_calls_is_located(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    path = _write(tmp_path, CHARGED.replace(old, new))
    with pytest.raises(NetworkFileError) as found:
        load_network(path)
    assert found.value.line == line
    assert says in str(found.value)
