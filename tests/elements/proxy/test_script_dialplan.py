"""Dialplans of a node: named by its settings, asked by its script, loaded anew with it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from trunkline.elements.proxy.dialplan import Dialplan, Explanation
from trunkline.elements.proxy.story import story_of
from trunkline.errors import TrunklineError
from trunkline.testing import Harness

SCRIPT = """
from trunkline.script import on_request

@on_request()
def f(request):
    found = request.translate("numbers", 1, request.target.username)
    if found is None:
        return request.reply(404)
    request.relay(f"sip:{found.value}@{found.attrs}")
"""
HEADER = "dpid,pr,match_op,match_exp,subst_exp,repl_exp,attrs\n"
ROWS = HEADER + r"1,10,1,^0([1-9].*),^0([1-9].*),+49\1,192.0.2.50" + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "route.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "numbers.csv").write_text(ROWS, encoding="utf-8")
    return tmp_path


def harness(folder: Path) -> Harness:
    return Harness(folder / "route.py", dialplans={"numbers": folder / "numbers.csv"})


def call(proxy: Harness, number: str) -> str:
    """Where a call to a number goes, or the status that it gets."""
    sent = proxy.receive(proxy.request("MESSAGE", f"sip:{number}@example.org"))[-1]
    return sent.uri or str(sent.status)


def test_numbers_are_translated(folder: Path) -> None:
    with harness(folder) as proxy:
        assert call(proxy, "0301234") == "sip:+49301234@192.0.2.50"
        assert call(proxy, "301234") == "404"


def test_the_story_tells_which_row_decided(folder: Path) -> None:
    with harness(folder) as proxy:
        call(proxy, "0301234")
        [call_id] = proxy.element.recorder.call_ids(9, "")
        [step] = [
            step for step in story_of(proxy.element.recorder, call_id) if step.kind == "translated"
        ]
        assert step.text == "numbers: dialplan 1, '0301234': a row matched and gave a value"
        assert "[selected]" in step.details[0]
        assert step.details[-1] == "value '+49301234', attrs '192.0.2.50'"


def test_rows_are_gone_through_when_somebody_asks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "".join(f"1,{20 + number},0,x{number},,,\n" for number in range(500))
    (folder / "numbers.csv").write_text(ROWS + more, encoding="utf-8")
    asked: list[str] = []
    explain = Dialplan.explain

    def counted(self: Dialplan, dpid: int, text: str) -> Explanation:
        asked.append(text)
        return explain(self, dpid, text)

    monkeypatch.setattr(Dialplan, "explain", counted)
    with harness(folder) as proxy:
        call(proxy, "0301234")
        assert asked == []
        recorder = proxy.element.recorder
        [call_id] = recorder.call_ids(9, "")
        [step] = [step for step in story_of(recorder, call_id) if step.kind == "translated"]
        assert asked == ["0301234"]
        assert len(step.details) == 502
        # The rows are no longer kept for the sake of a story that they were part of.
        (folder / "numbers.csv").write_text(ROWS, encoding="utf-8")
        proxy.reload(folder / "route.py")
        gc.collect()
        [step] = [step for step in story_of(recorder, call_id) if step.kind == "translated"]
        assert asked == ["0301234"]
        assert [line.partition(" pr")[0] for line in step.details] == ["* row 2", step.details[-1]]


def test_rows_are_loaded_anew_with_the_script_or_not_at_all(folder: Path) -> None:
    with harness(folder) as proxy:
        (folder / "numbers.csv").write_text(ROWS.replace("49", "44"), encoding="utf-8")
        assert call(proxy, "0301234") == "sip:+49301234@192.0.2.50"
        proxy.reload(folder / "route.py")
        assert call(proxy, "0301234") == "sip:+44301234@192.0.2.50"
        (folder / "numbers.csv").write_text(HEADER + "1,10,1,(,,,\n", encoding="utf-8")
        with pytest.raises(TrunklineError, match="match_exp"):
            proxy.reload(folder / "route.py")
        (folder / "numbers.csv").write_text(ROWS, encoding="utf-8")
        (folder / "bad.py").write_text(
            "from trunkline.script import *\n@on_start\ndef f(app): 1/0\n", encoding="utf-8"
        )
        with pytest.raises(TrunklineError, match="ZeroDivisionError"):
            proxy.reload(folder / "bad.py")
        assert call(proxy, "0301234") == "sip:+44301234@192.0.2.50"


def test_a_dialplan_that_is_not_there(folder: Path) -> None:
    with Harness(folder / "route.py") as proxy:
        assert call(proxy, "1") == "500"
        assert "[node.harness.proxy.dialplans]" in proxy.lines[0]


def test_a_dialplan_in_a_database_needs_one_in_a_test(folder: Path) -> None:
    network = folder / "network.toml"
    network.write_text(
        '[node.A.proxy]\nscript = "route.py"\nlisten = ["udp:127.0.0.1:5060"]\n'
        '[node.A.proxy.sql]\nhere = "sqlite://"\n'
        '[node.A.proxy.dialplans]\nnumbers = "sql:here"\n',
        encoding="utf-8",
    )
    with pytest.raises(TrunklineError, match="sql="):
        Harness.from_network(network)
    network.write_text(network.read_text().replace('"sql:here"', '"sql:there"'), encoding="utf-8")
    with pytest.raises(TrunklineError, match=r"network\.toml:7: numbers: .* has no 'there'"):
        Harness.from_network(network)


def test_settings_of_a_script_are_asked_for_by_their_kind(folder: Path) -> None:
    (folder / "route.py").write_text(
        "from trunkline.script import *\n@on_request()\ndef f(request):\n"
        "    request.reply(request.app.setting('status', int), request.app.setting('reason'))\n",
        encoding="utf-8",
    )
    with Harness(folder / "route.py", settings={"status": 299, "reason": "Fine"}) as proxy:
        assert call(proxy, "1") == "299"
    with Harness(folder / "route.py", settings={"status": "299"}) as proxy:
        assert call(proxy, "1") == "500"
        assert "the setting 'status' is '299': write status = … (a whole number)" in proxy.lines[0]
    with Harness(folder / "route.py", settings={"status": 299}) as proxy:
        assert call(proxy, "1") == "500"
        assert "the setting 'reason' is missing" in proxy.lines[0]


def test_the_proxy_of_a_network_file_that_is_meant(folder: Path) -> None:
    network = folder / "network.toml"
    text = '[node.{}.proxy]\nscript = "route.py"\nlisten = ["udp:127.0.0.1:5060"]\n'
    network.write_text(text.format("A") + text.format("B"), encoding="utf-8")
    with pytest.raises(TrunklineError, match="name one of its proxies: A, B"):
        Harness.from_network(network)
    with pytest.raises(TrunklineError, match="A, B"):
        Harness.from_network(network, "C")
    with Harness.from_network(network, "B") as proxy:
        assert proxy.element.app.name == "B"


def test_challenges_offer_what_the_network_file_says(folder: Path) -> None:
    network = folder / "network.toml"
    network.write_text(
        '[node.A.proxy]\nscript = "route.py"\nlisten = ["udp:127.0.0.1:5060"]\n'
        'algorithms = ["MD5"]\n',
        encoding="utf-8",
    )
    (folder / "route.py").write_text(
        "from trunkline.script import *\n@on_request()\ndef f(request):\n    request.challenge()\n",
        encoding="utf-8",
    )
    with Harness.from_network(network) as proxy:
        [answer] = proxy.receive(proxy.request("REGISTER", "sip:example.org"))
        [challenge] = answer.headers.all("WWW-Authenticate")
        assert "SHA" not in challenge


def test_a_start_that_fails_leaves_nothing_open(folder: Path) -> None:
    (folder / "numbers.csv").write_text(HEADER + "1,10,1,(,,,\n", encoding="utf-8")
    with pytest.raises(TrunklineError, match="match_exp"), harness(folder):
        pass
