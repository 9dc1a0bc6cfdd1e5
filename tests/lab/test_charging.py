"""A charging node in the lab: started, asked, shown and ended with the others."""

from __future__ import annotations

from pathlib import Path

from tests.elements.charging.reference_client import JSONClient
from tests.elements.charging.support import network_file, write_folder
from tests.elements.charging.test_costs import ASKED, RETAIL
from typer.testing import CliRunner

from trunkline.cli.app import build
from trunkline.lab.check import check_network
from trunkline.lab.lifecycle import bring_down, bring_up
from trunkline.lab.network import read_network
from trunkline.lab.status import lab_status


def test_a_charging_node_comes_up_and_goes_down(tmp_path: Path, runtime: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    path = network_file(tmp_path, "charged", tariff="tariff", rpc_bijson="")
    state = bring_up(read_network(path), timeout=20)
    try:
        status = lab_status(state)
        assert status.all_up
        assert status.silent == set()
        [view] = status.charging
        assert (view.name, view.answers, view.tariff) == ("OCS", True, str(tmp_path / "tariff"))
        shown = CliRunner().invoke(build(), ["lab", "status"])
        assert shown.exit_code == 0, shown.output
        assert "charging" in shown.stdout
        [address] = [each.address for each in view.listen if each.transport == "JSON-RPC"]
        host, _, port = address.partition(":")
        client = JSONClient((host, int(port)))
        got = client.call("APIerSv1.GetCost", ASKED)
        client.close()
        assert isinstance(got, dict)
        assert got["Cost"] == 0.65
    finally:
        assert bring_down("charged")
    gone = CliRunner().invoke(build(), ["lab", "status"])
    assert gone.exit_code != 0


def test_what_is_wrong_is_found_before_the_start(tmp_path: Path, runtime: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    good = network_file(tmp_path, "checked", tariff="tariff")
    shown = CliRunner().invoke(build(), ["lab", "check", str(good)])
    assert shown.exit_code == 0, shown.output
    assert "the charging node OCS can start: tariffs load" in " ".join(shown.stdout.split())
    write_folder(tmp_path / "bad", RETAIL | {"Rates.csv": "RT,0,x,60s,60s,0s\n"})
    bad = network_file(
        tmp_path, "checked", tariff="bad", rpc_json="127.0.0.1:2012", http="127.0.0.1:2012"
    )
    report = check_network(read_network(bad))
    assert not report.sound
    listen, tariff = report.problems
    assert (listen.code, listen.location and listen.location.line) == ("lab.listen", 5)
    assert listen.message == "OCS: http: 127.0.0.1:2012 is OCS's rpc_json already"
    assert (tariff.code, tariff.location and tariff.location.line) == ("cgrates.refused", 8)
    assert "Rates.csv:1" in tariff.message


def test_a_wrong_template_is_found_where_it_stands(tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    path = network_file(tmp_path, "templates", tariff="tariff")
    text = path.read_text()
    wrong = '[[node.OCS.charging.export]]\nid = "x"\ntype = "*file_csv"\nexport_path = "out"\n'
    path.write_text(f'{text}{wrong}fields = [{{ path = "*cgreq.A", value = "~*req.A" }}]\n')
    [problem] = check_network(read_network(path)).problems
    assert problem.code == "charging.template"
    assert "OCS: export x: the path '*cgreq.A' is none" in problem.message
    assert problem.location is not None
    assert problem.location.line == len(text.splitlines()) + 1
