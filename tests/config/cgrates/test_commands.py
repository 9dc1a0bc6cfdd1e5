"""Lines of cgr-console and options of cgr-loader."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.cgrates.commands import (
    DURATIONS,
    PINGS,
    VERBS,
    Command,
    LoaderOptions,
    parse_command,
    parse_loader,
)
from trunkline.errors import DecodeError, TrunklineError

NAMES = Path(__file__).resolve().parents[3] / "tools" / "charging_methods.txt"


@pytest.mark.parametrize(
    ("line", "method", "arguments"),
    [
        ("status", "CoreSv1.Status", {}),
        ("ping", "CoreSv1.Ping", {}),
        (" ping attributes ", "AttributeSv1.Ping", {}),
        ('ping Tenant="cgrates.org"', "CoreSv1.Ping", {"Tenant": "cgrates.org"}),
        (
            'cost Category="call" Usage = "60s" Destination=0049',
            "APIerSv1.GetCost",
            {"Category": "call", "Usage": "60s", "Destination": "0049"},
        ),
        (
            'account_set Tenant="cgrates.org" ActionPlanIDs=["A", "B"] ReloadScheduler=true',
            "APIerSv2.SetAccount",
            {"Tenant": "cgrates.org", "ActionPlanIDs": ["A", "B"], "ReloadScheduler": True},
        ),
        (
            r'balance_add Balance={"Value":1.5,"ID":"a b"} Value=-10 X=null Y="a\"b\\" Z=“c”',
            "APIerSv1.AddBalance",
            {
                "Balance": {"Value": 1.5, "ID": "a b"},
                "Value": -10,
                "X": None,
                "Y": 'a"b\\',
                "Z": "c",
                "BalanceType": "*monetary",
            },
        ),
        (
            'balance_set Tenant="cgrates.org" Account="1001" balanceType="*voice" Value=100',
            "APIerSv1.SetBalance",
            {"Tenant": "cgrates.org", "Account": "1001", "balanceType": "*voice", "Value": 100},
        ),
        ("AnySv1.Method A=1.50 B=*any C=''", "AnySv1.Method", {"A": 1.5, "B": "*any", "C": ""}),
        ("accounts Offset=0", "APIerSv2.GetAccounts", {"Offset": 0}),
    ],
)
def test_lines(line: str, method: str, arguments: dict[str, object]) -> None:
    found = parse_command(line)
    assert found == Command(line.split()[0], method, found.arguments)
    assert found.arguments == arguments


@pytest.mark.parametrize(
    "line",
    [
        "cgr-migrator -exec=*set_versions -stordb_passwd=CGRateS.org",
        "./setup_cgr_db.sh root CGRateS.org localhost",
        "setup_cgr_db.sh",
    ],
)
def test_what_is_needless_is_told_why(line: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_command(line)
    assert caught.value.code == "console.needless"
    assert "there are no versions of data to set" in caught.value.message


@pytest.mark.parametrize(
    ("line", "code", "offset"),
    [
        ("", "console.empty", 0),
        ('"cost"', "console.empty", 0),
        ("costs", "console.verb", 0),
        ("ping atributes", "console.verb", 5),
        ("cost call", "console.syntax", 5),
        ("cost A=1 call", "console.syntax", 9),
        ("cost A=1 =2", "console.syntax", 9),
        ("cost A=", "console.value", 7),
        ("cost A=[1", "console.value", 7),
        ('cost A="b', "console.quote", 7),
        ("cost A=1 A=2", "console.twice", 9),
    ],
)
def test_mistakes(line: str, code: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_command(line)
    assert (caught.value.code, caught.value.offset) == (code, offset)
    assert caught.value.message.startswith(f"column {offset + 1}: ")


def test_every_command_is_a_method_of_the_reference() -> None:
    known: set[str] = set()
    for line in NAMES.read_text().splitlines():
        if line and not line.startswith("#"):
            service, _, methods = line.partition(":")
            known |= {f"{service}.{each}" for each in methods.split()}
    assert known.issuperset(VERBS.values())
    assert known.issuperset(f"{service}.Ping" for service in PINGS.values())
    assert set(DURATIONS) <= set(VERBS)


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("balanc_set", "near it: balance_set"),
        ("account", ""),
        ("attribute_profile", "attributes_profile, "),
        ("xyz", "`help` lists them"),
    ],
)
def test_an_unknown_command_is_told_what_is_near(line: str, near: str) -> None:
    if not near:
        assert parse_command(line).verb == line
        return
    with pytest.raises(DecodeError) as caught:
        parse_command(line)
    assert near in caught.value.message


@given(st.text("cost ping.A=\"'{}[]\\,:1\n“") | st.text())
def test_any_text_is_a_command_or_one_error(line: str) -> None:
    try:
        found = parse_command(line)
    except DecodeError as problem:
        found = Command("", ".", {})
        offset = problem.offset
    else:
        offset = 0
    assert "." in found.method
    assert 0 <= offset <= len(line)


def test_the_loader_s_options() -> None:
    assert parse_loader([]) == LoaderOptions()
    seed = ["-verbose", "-path=/home/nick/tutorial/", "-flush_stordb"]
    assert parse_loader(seed) == LoaderOptions("/home/nick/tutorial/", verbose=True, flush=True)
    words = ["--path", "x y", "-dry_run=true", "-verbose=F", "-timezone=Europe/Berlin"]
    more = ["-store", "sqlite:///a", "-caches_address=", "-tpid", "TP", "-recursive"]
    assert parse_loader(words + more) == LoaderOptions(
        "x y", dry_run=True, timezone="Europe/Berlin", store="sqlite:///a"
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["-path"], "loader.value", "-path needs a value"),
        (["-verbose=maybe"], "loader.value", "true or false"),
        (["/home/nick/tutorial"], "loader.option", "is no option"),
        (["-"], "loader.option", "is no option"),
        (["-stordb_passwd=CGRateS.org"], "loader.option", "has no meaning here"),
        (["-from_stordb"], "loader.option", "has no meaning here"),
        (["-exec=*set_versions"], "loader.option", "-exec is cgr-migrator's: nothing of the kind"),
        (["-flush"], "loader.option", "there are: -verbose"),
    ],
)
def test_options_that_are_none(words: list[str], code: str, says: str) -> None:
    with pytest.raises(TrunklineError, match=says) as caught:
        parse_loader(words)
    assert caught.value.code == code
