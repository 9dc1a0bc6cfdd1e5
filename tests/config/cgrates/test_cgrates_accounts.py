"""The files of accounts, filters and profiles: typed, checked, and named when they are wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trunkline.charging.rows import Activation, BalanceRow
from trunkline.config.cgrates import ChargingRows, TariffErrors, load_folder
from trunkline.rating.errors import Source

NOW = datetime(2026, 1, 1, tzinfo=UTC)

FILES = {
    "Timings.csv": "NIGHT,*any,*any,*any,*any,22:00:00",
    "Destinations.csv": "DST_MOBILE,614\nDST_FIXED,612",
    "Rates.csv": "RT,0,1,1s,1s,0s",
    "DestinationRates.csv": "DR,DST_MOBILE,RT,*up,4,0,",
    "RatingPlans.csv": "RP1,DR,*any,10\nRP2,DR,NIGHT,10",
    "SharedGroups.csv": "FAMILY,*any,*lowest,",
    "Actions.csv": (
        "#ID,Action,ExtraParameters,Filters,BalanceID,BalanceType,Categories,DestinationIDs,…\n"
        "TOPUP,*topup_reset,,,bonus,*voice,call;fax,DST_MOBILE;!DST_FIXED,*zero1m,FAMILY,+720h,"
        "NIGHT,40s,20,true,false,10\n"
        "TOPUP,*topup,,,,*monetary,,*any,,,*unlimited,,10.50,,,,\n"
        'FORMULA,*topup,,,,*data,,,,,,,"{""Method"":""*incremental""}",5,false,false,1'
    ),
    "ActionPlans.csv": "START,TOPUP,*asap,10\nSTART,TOPUP,NIGHT,\nCRON,TOPUP,0 4 * * *,",
    "ActionTriggers.csv": (
        "LOW,low-1,*min_balance,2,true,1m,*unlimited,2026-01-01T00:00:00Z,"
        ",*monetary,,,,,,,,,,TOPUP,10"
    ),
    "AccountActions.csv": "example.org,1001,START,LOW,true,false",
    "Filters.csv": "example.org,FLT,*string,~*req.Account,1001;1002,2026-01-01T00:00:00Z;",
    "Attributes.csv": (
        "example.org,ATTR,*sessions;*cdrs,FLT;*prefix:~*req.Destination:61,,"
        ",*req.Subject,*constant,1001,true,20\n"
        "example.org,ATTR,,,,FLT,*req.Category,*constant,call,,"
    ),
    "Chargers.csv": "example.org,CRG,FLT,,*default,ATTR,20",
    "Routes.csv": (
        "example.org,LCR,FLT,,*lc,,carrier1,,,RP1,,STAT:*acd,10,false,,20\n"
        "example.org,LCR,,,,,carrier2,FLT,acc,RP2,RES,,20,true,gw2,"
    ),
    "Suppliers.csv": "example.org,OLD,,,*weight,,carrier1,,,,,,10,,,5",
    "Resources.csv": "example.org,RES,FLT,,1h,7,call,false,true,20,*none",
    "Stats.csv": "example.org,STAT,FLT,,100,-1,0,*acd;*tcd,,true,false,20,THD",
    "Thresholds.csv": "example.org,THD,FLT,,-1,3,1s,false,10,TOPUP,true",
}


def load(folder: Path, **changed: str) -> ChargingRows:
    for name, text in {**FILES, **{f"{kind}.csv": rows for kind, rows in changed.items()}}.items():
        (folder / name).write_text(text)
    return load_folder(folder, now=NOW).rows


def test_every_file_is_read_and_typed(tmp_path: Path) -> None:
    rows = load(tmp_path)
    assert list(rows.timings) == ["NIGHT"]
    first, second, formula = rows.actions
    assert first.balance == BalanceRow(
        id="bonus",
        type="*voice",
        categories=("call", "fax"),
        destinations=("DST_MOBILE", "!DST_FIXED"),
        rating_subject="*zero1m",
        shared_groups=("FAMILY",),
        expires="+720h",
        timings=("NIGHT",),
        value=Decimal(40_000_000_000),
        weight=Decimal(20),
        blocker=True,
        disabled=False,
    )
    assert first.source == Source("Actions.csv", 2)
    assert second.balance == BalanceRow(
        type="*monetary", destinations=(), expires="*unlimited", value=Decimal("10.50")
    )
    assert json.loads(formula.balance.value_text) == {"Method": "*incremental"}
    assert [(row.actions_id, row.timing_id, int(row.weight)) for row in rows.action_plans] == [
        ("TOPUP", "*asap", 10),
        ("TOPUP", "NIGHT", 0),
        ("TOPUP", "0 4 * * *", 0),
    ]
    [trigger] = rows.action_triggers
    assert (trigger.threshold_type, int(trigger.threshold_value)) == ("*min_balance", 2)
    assert (trigger.recurrent, trigger.min_sleep, trigger.actions_id) == (True, 60 * 10**9, "TOPUP")
    assert (trigger.expires, trigger.activation) == (None, NOW)
    assert trigger.balance == BalanceRow(type="*monetary")
    [account] = rows.account_actions
    assert (account.account, account.allow_negative, account.disabled) == ("1001", True, False)
    [rule] = rows.filters
    assert (rule.type, rule.element, rule.values) == ("*string", "~*req.Account", ("1001", "1002"))
    assert rule.activation == Activation(start=NOW)
    one, two = rows.attributes
    assert one.filters == ("FLT", "*prefix:~*req.Destination:61")
    assert (one.contexts, one.blocker, int(one.weight)) == (("*sessions", "*cdrs"), True, 20)
    assert (two.attribute_filters, two.value) == (("FLT",), "call")
    [charger] = rows.chargers
    assert (charger.run_id, charger.attributes) == ("*default", ("ATTR",))
    assert [(row.id, row.route, int(row.route_weight)) for row in rows.routes] == [
        ("LCR", "carrier1", 10),
        ("LCR", "carrier2", 20),
        ("OLD", "carrier1", 10),
    ]
    assert (rows.resources[0].ttl, int(rows.resources[0].limit)) == (3600 * 10**9, 7)
    assert (rows.stats[0].ttl, rows.stats[0].metrics) == (-1, ("*acd", "*tcd"))
    assert (rows.thresholds[0].max_hits, rows.thresholds[0].run_async) == (-1, True)


def test_a_later_column_of_the_reference_may_be_there(tmp_path: Path) -> None:
    rows = load(tmp_path, Thresholds="example.org,THD,,,1,1,,,,*none,,exporter")
    assert rows.thresholds[0].actions == ("*none",)


def test_a_folder_of_prices_alone_has_nothing_to_charge_by(tmp_path: Path) -> None:
    (tmp_path / "Rates.csv").write_text("RT,0,1,1s,1s,0s")
    (tmp_path / "Destinations.csv").write_text("DST,61")
    assert load_folder(tmp_path).rows == ChargingRows()


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        ("ActionPlans", "START,TOPPUP,*asap,", "ActionsID 'TOPPUP' is not in Actions.csv"),
        ("ActionPlans", "START,TOPUP,*asp,", "TimingID '*asp' is not in Timings.csv"),
        ("AccountActions", "example.org,1001,STRAT,,,", "did you mean 'START'?"),
        ("AccountActions", "example.org,1001,,,yes,", "neither true nor false"),
        ("Chargers", "other.org,C,FLT,,R,*none,", "'FLT' is not in Filters.csv of tenant other"),
        ("Chargers", "example.org,C,,,R,ATR,", "AttributeIDs 'ATR' is not in Attributes.csv"),
        ("Actions", "T,*topup,,,,,,NO_DST,,,,,,,,,", "'NO_DST' is not in Destinations.csv"),
        ("Actions", "T,*topup,,,,,,,,NONE,,,,,,,", "'NONE' is not in SharedGroups.csv"),
        ("Actions", "T,*topup,,,,,,,,,,,1x,,,,", "Units '1x' is neither a number nor a duration"),
        ("Actions", "T,*topup,,,,,,,,,,,1,x,,,", "BalanceWeight 'x' is no number"),
        ("Filters", "example.org,F,*string,a,b,never;", "'never;' is no time"),
        ("Stats", "example.org,S,,,1.5,,,,,,,,", "QueueLength '1.5' is no whole number"),
        ("Resources", "example.org,R,,,,,,,", "9 columns instead of 11"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, kind: str, rows: str, message: str
) -> None:
    with pytest.raises(TariffErrors) as refused:
        load(tmp_path, **{kind: rows})
    about = [
        str(problem) for problem in refused.value.errors if problem.place.file == f"{kind}.csv"
    ]
    assert message in about[0]
    assert about[0].startswith(f"{kind}.csv:1")
