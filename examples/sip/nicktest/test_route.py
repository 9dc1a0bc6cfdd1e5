"""Tests of route.py: no network, no waiting."""

from pathlib import Path

from trunkline.testing import Harness

HERE = Path(__file__).parent
INVITE = (HERE / "invite.sip").read_text(encoding="utf-8")


def test_every_entry_is_seen_whatever_the_case_of_its_name() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        proxy.receive(INVITE)
        assert proxy.lines == [
            "X-NickTest has 3 entries",
            "X-NickTest entry [0] has value ENTRY ONE",
            "X-NickTest entry [1] has value ENTRY TWO",
            "X-NickTest entry [2] has value ENTRY THREE, with a comma",
            "the first is ENTRY ONE, the last is ENTRY THREE, with a comma",
        ]


def test_the_new_entry_stands_behind_the_others_and_nothing_else_has_moved() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        _, invite = proxy.receive(INVITE)
        assert invite.to == ("127.0.0.1", 5061)
        assert invite.headers["X-NickTest"][-1] == "ENTRY OF OURS"
        names = [name for name, _ in invite.headers.items()]
        assert names.index("To") == names.index("x-nicktest") + 1


def test_without_entries_there_is_nothing_to_loop_over() -> None:
    with Harness.from_network(HERE / "network.toml") as proxy:
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@192.0.2.50"))
        assert proxy.lines == ["X-NickTest has 0 entries"]
        assert invite.headers["X-NickTest"][0] == "ENTRY OF OURS"
