"""ChargerS: runs, what attributes make of them, rows and refusals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from trunkline.charging.attributes import Attributes
from trunkline.charging.chargers import Chargers
from trunkline.charging.event import Event, EventError
from trunkline.charging.filters import Filters, ProfilesError
from trunkline.charging.rows import ALWAYS, Activation, AttributeRow, ChargerRow
from trunkline.charging.selection import Judged, Verdict
from trunkline.rating.errors import Source

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
TENANT = "cgrates.org"


def row(
    id_: str,
    run: str = "",
    attributes: tuple[str, ...] = (),
    *,
    filters: tuple[str, ...] = (),
    activation: Activation = ALWAYS,
    weight: str = "0",
    line: int = 1,
) -> ChargerRow:
    return ChargerRow(
        tenant=TENANT,
        id=id_,
        filters=filters,
        activation=activation,
        run_id=run,
        attributes=attributes,
        weight=Decimal(weight),
        source=Source("Chargers.csv", line),
    )


def constant(id_: str, path: str, value: str, contexts: tuple[str, ...] = ()) -> AttributeRow:
    return AttributeRow(
        tenant=TENANT, id=id_, contexts=contexts, path=path, type="*constant", value=value
    )


def chargers(*rows: ChargerRow, attributes: tuple[AttributeRow, ...] = ()) -> Chargers:
    filters = Filters()
    return Chargers.from_rows(rows, filters, Attributes.from_rows(attributes, filters))


def test_each_charger_that_matches_is_a_run_the_heaviest_first() -> None:
    held = chargers(
        row("RAW", "*raw", ("*none",), weight="10"),
        row(
            "RESELLER",
            "reseller",
            ("*constant:*req.Account:dealer", "*constant:*req.RequestType:*postpaid"),
            filters=("*string:~*req.Account:1001",),
            weight="20",
        ),
        row("OTHER", "other", ("*none",), filters=("*string:~*req.Account:1002",), weight="30"),
        row(
            "LATER",
            "later",
            ("*none",),
            activation=Activation(start=datetime.max.replace(tzinfo=UTC)),
        ),
    )
    asked = Event(id="ev1", fields={"Account": "1001", "RequestType": "*prepaid"})
    runs = held.process(asked, NOW)
    assert [run.event.text("RunID") for run in runs] == ["reseller", "*raw"]
    reseller, raw = runs
    assert reseller.event.fields == {
        "Account": "dealer",
        "RequestType": "*postpaid",
        "RunID": "reseller",
    }
    assert reseller.altered_fields == ("*req.RunID", "*req.Account", "*req.RequestType")
    assert raw.event.fields == {**asked.fields, "RunID": "*raw"}
    assert raw.altered_fields == ("*req.RunID",)
    assert raw.event.opts == {"*subsys": "*chargers"}
    assert raw.event.tenant == TENANT
    assert raw.as_reply()["ChargerSProfile"] == "RAW"
    assert raw.as_reply()["AttributeSProfiles"] is None
    reply = reseller.as_reply()
    assert reply["AlteredFields"] == ["*req.RunID", "*req.Account", "*req.RequestType"]
    assert [each.id for each in held.for_event(asked, NOW)] == ["RESELLER", "RAW"]


def test_without_named_attributes_those_of_the_context_apply() -> None:
    attributes = (
        constant("CHARGERS", "*req.X", "chargers", ("*chargers",)),
        constant("CDRS", "*req.X", "cdrs", ("*cdrs",)),
    )
    [run] = chargers(row("DEFAULT", "*default"), attributes=attributes).process(Event(), NOW)
    assert run.event.text("X") == "chargers"
    assert run.attribute_profiles == ("CHARGERS",)
    assert run.as_reply()["AttributeSProfiles"] == ["CHARGERS"]
    [run] = chargers(row("DEFAULT", "*default")).process(Event(), NOW)  # none matches: no error
    assert run.event.fields == {"RunID": "*default"}
    [run] = chargers(row("D", "*default", ("CDRS",)), attributes=attributes).process(Event(), NOW)
    assert run.event.text("X") == "cdrs"


def test_a_run_keeps_the_events_tenant() -> None:
    held = Chargers.from_rows(
        [ChargerRow(tenant="example.org", id="D", run_id="x", attributes=("*none",))],
        Filters(),
        Attributes(),
    )
    [run] = held.process(Event(tenant="example.org", id="ev1", time=NOW), NOW)
    assert (run.event.tenant, run.event.id, run.event.time) == ("example.org", "ev1", NOW)
    assert run.as_reply()["ChargerSProfile"] == "D"


def test_what_attributes_refuse_is_refused() -> None:
    held = chargers(row("D", "*default", ("*sum:*req.X:1&x",)))
    with pytest.raises(EventError) as refused:
        held.process(Event(), NOW)
    assert refused.value.code == "charging.convert"


def test_nothing_that_matches_is_an_error_that_says_so() -> None:
    held = chargers(row("D", "*default", filters=("*string:~*req.Account:1",)))
    trace: list[Judged] = []
    with pytest.raises(EventError, match="nothing would be charged") as refused:
        held.process(Event(fields={"Account": "2"}), NOW, trace=trace)
    assert refused.value.reference == "NOT_FOUND"
    assert [each.verdict for each in trace] == [Verdict.FILTERED]


def test_rows_of_one_id_are_one_charger() -> None:
    held = chargers(
        row("D", "", ("A1",), filters=("*exists:~*req.A",)),
        row(
            "D",
            "run",
            ("A2",),
            filters=("*exists:~*req.B",),
            weight="5",
            activation=Activation(start=NOW),
        ),
        attributes=(constant("A1", "*req.X", "1"), constant("A2", "*req.X", "2")),
    )
    made = held.selection.get(TENANT, "D")
    assert made is not None
    assert (made.run_id, made.weight, made.attribute_ids) == ("run", Decimal(5), ("A1", "A2"))
    assert made.filter_ids == ("*exists:~*req.A", "*exists:~*req.B")
    assert made.as_reply() == {
        "Tenant": TENANT,
        "ID": "D",
        "FilterIDs": ["*exists:~*req.A", "*exists:~*req.B"],
        "ActivationInterval": {
            "ActivationTime": "2024-05-15T10:00:00Z",
            "ExpiryTime": "0001-01-01T00:00:00Z",
        },
        "RunID": "run",
        "AttributeIDs": ["A1", "A2"],
        "Weight": Decimal(5),
    }


def test_all_that_is_wrong_is_told_with_file_and_line() -> None:
    with pytest.raises(ProfilesError) as refused:
        chargers(
            row("D", "x", ("NOTHING",), line=1),
            row("D", "x", ("*constant:*req.A",), line=2),
            row("D", "x", filters=("FLT",), line=3),
            row("D", "x", ("*none", "*constant:*req.A:1"), line=4),
        )
    assert [(each.code, str(each.source)) for each in refused.value.problems] == [
        ("charging.attribute-unknown", "Chargers.csv:1"),
        ("charging.attribute-inline", "Chargers.csv:2"),
        ("charging.filter-unknown", "Chargers.csv:3"),
        ("charging.attribute-value", "Chargers.csv:4"),
    ]
