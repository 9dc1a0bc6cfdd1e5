"""The reference's own figures: every case of cost and every primitive, none skipped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.rating.folder import tariff

from trunkline.rating import (
    Call,
    Cgrates,
    Cost,
    RatingError,
    RoundingMethod,
    format_duration,
    parse_duration,
    price,
    price_number,
    price_plans,
)
from trunkline.rating.call import epoch_nanoseconds
from trunkline.rating.compiler import compile_terms
from trunkline.rating.durations import HOUR, SECOND
from trunkline.rating.index import DayTable, Entry, Group, Terms, active_on
from trunkline.rating.model import DAY_SECONDS, PlanEntry, Timing
from trunkline.rating.rounding import round_duration, round_float
from trunkline.rating.spans import Piece, split, stretch, timed_group
from trunkline.rating.tariff import Binding, Rate, RateSlot

_TOLERANCE = 1e-9
_FILES = ("getcost_calldesc", "getcost_api", "getcost_general")


def _cases(vectors: Path, name: str) -> Iterator[dict[str, Any]]:
    text = (vectors / "rating" / f"{name}.json").read_text(encoding="utf-8")
    yield from json.loads(text)["cases"]


def _call(query: dict[str, Any]) -> Call:
    named = query.get("time_start") or query.get("answer_time") or query["setup_time"]
    answered = datetime.fromisoformat(query["answer_time_fixed"] if named == "*now" else named)
    if "usage" in query:
        usage = parse_duration(query["usage"])
    else:
        end = datetime.fromisoformat(query["time_end"])
        usage = epoch_nanoseconds(end) - epoch_nanoseconds(answered)
    return Call(
        destination=query.get("destination", ""),
        time=answered,
        usage=usage,
        **{name: query.get(name, "") for name in ("tenant", "category", "subject", "account")},
        tor=query.get("tor", ""),
    )


def _check(expected: dict[str, Any], cost: Cost, elapsed: float) -> set[str]:
    """What of ``expected`` was looked at."""
    match = cost.spans[0].match
    rated = sum(span.duration for span in cost.spans)
    found: dict[str, object] = {
        "cost": float(cost.total),
        "event_cost": float(cost.event_total),
        "connect_fee": float(cost.connect_fee),
        "timespans": len(cost.spans),
        "rated_duration": rated,
        "matched_subject": match.subject_key,
        "matched_dest_id": match.group.destination_id,
        "matched_prefix": match.prefix,
        "rating_plan_id": match.active.plan.id,
        "contiguous": all(
            one.start + one.duration == other.start
            for one, other in zip(cost.spans, cost.spans[1:], strict=False)
        ),
    }
    for name, value in expected.items():
        if name == "max_seconds":
            assert elapsed <= value
        elif name == "usage":
            assert cost.call.usage == parse_duration(value)
        elif name in ("rated_duration",):
            assert found[name] == parse_duration(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            assert found[name] == pytest.approx(value, abs=_TOLERANCE), name
        elif name != "note":
            assert found[name] == value, name
    return set(expected)


@pytest.mark.parametrize("name", _FILES)
def test_costs_in_the_cgrates_precision(vectors: Path, name: str) -> None:
    checked = 0
    for case in _cases(vectors, name):
        query, expected = case["query"], case["expect"]
        of = tariff(
            case["csv"],
            fallback_depth=query.get("config", {}).get("rals", {}).get("fallback_depth", 3),
            # One case is taken below the interface that limits the usage.
            usage_limits={"*voice": 100 * HOUR},
        )
        call, precision = _call(query), Cgrates(query["rounding_decimals"])
        checked += 1
        if "error" in expected or expected.get("cost") == -1:
            # A cost of -1 is how the reference says that there is no price.
            with pytest.raises(RatingError) as refused:
                price(of, call, precision)
            assert refused.value.reference == expected.get("error", "RATING_PLAN_NOT_FOUND")
            continue
        began = time.perf_counter()
        if query["op"].endswith("GetRatingPlansCost"):
            cost = price_plans(of, call, query["rating_plan_ids"], precision)
        else:
            cost = price(of, call, precision)
        assert _check(expected, cost, time.perf_counter() - began), case["id"]
        if "rating_plan_ids" not in query:
            assert price_number(of, call, precision) == cost.total
    assert checked == len(list(_cases(vectors, name)))


def test_exact_costs_differ_only_where_the_reference_rounds_increments(vectors: Path) -> None:
    differing = set()
    for name in _FILES:
        for case in _cases(vectors, name):
            query, expected = case["query"], case["expect"]
            if expected.get("cost", -1) == -1 or query["op"] == "split_in_timespans":
                continue
            exact = price(tariff(case["csv"]), _call(query)).total
            if exact != Decimal(str(expected["cost"])):
                differing.add((query["subject"], str(exact), str(expected["cost"])))
    assert differing == {
        ("round", "0.3000", "0.3001"),
        ("1001", "0.6417", "0.6418"),
        ("1001", "0.3250", "0.3249"),
        ("1001", "0.3500", "0.3498"),
    }


def _rate(slots: list[dict[str, Any]], timing: Timing) -> Group:
    rows = tuple(
        RateSlot(
            Fraction(0),
            Fraction(str(slot["value"])),
            parse_duration(slot.get("unit", "0s")),
            parse_duration(slot.get("increment", "0s")),
            parse_duration(slot.get("start", "0s")),
        )
        for slot in slots
    )
    terms: Terms = compile_terms(Binding("D", "R", RoundingMethod.MIDDLE, 4), Rate("R", rows))
    entry = Entry(terms, timing, PlanEntry("DR", "T", Fraction(0)), None, None)
    table = DayTable((timing,), ((Fraction(0), timing.start),))
    return Group("D", (entry,), None, table)


def _round(query: dict[str, Any], expected: dict[str, Any]) -> None:
    method = RoundingMethod(query["method"])
    assert round_float(query["value"], query["decimals"], method) == expected["value"]


def _round_duration(query: dict[str, Any], expected: dict[str, Any]) -> None:
    found = round_duration(parse_duration(query["amount"]), parse_duration(query["increment"]))
    assert found == parse_duration(expected["duration"])


def _parse_usage(query: dict[str, Any], expected: dict[str, Any]) -> None:
    assert parse_duration(query["text"]) == parse_duration(expected["duration"])


def _clock(text: str) -> int:
    hours, minutes, seconds = map(int, text.split(":"))
    return (hours * 60 + minutes) * 60 + seconds


def _timing_contains(query: dict[str, Any], expected: dict[str, Any]) -> None:
    fields = query["timing"]
    timing = Timing(
        "T",
        months=tuple(fields.get("months", ())),
        month_days=tuple(fields.get("month_days", ())),
        week_days=tuple(fields.get("week_days", ())),
        start=_clock(fields.get("start", "00:00:00")),
        end=_clock(fields["end"]) if "end" in fields else DAY_SECONDS,
    )
    at = datetime.fromisoformat(query["at"])
    second = (at.hour * 60 + at.minute) * 60 + at.second
    held = active_on(timing, at.toordinal()) and timing.start <= second < timing.end
    assert held is expected["active"]


def _split_by_rate_groups(query: dict[str, Any], expected: dict[str, Any]) -> None:
    group = _rate(query["rates"], Timing("T", end=_clock(query["timing_end"])))
    start, end = (
        epoch_nanoseconds(datetime.fromisoformat(query[name]))
        for name in ("time_start", "time_end")
    )
    pieces = list(split(timed_group(group, None, UTC, start, 0, end - start)))
    if "spans" in expected:
        assert [format_duration(p.end - p.start) for p in pieces] == [
            format_duration(parse_duration(text)) for text in expected["spans"]
        ]
        return
    split_at = epoch_nanoseconds(datetime.fromisoformat(expected["split_at"])) - start
    assert [piece.start for piece in pieces] == [0, split_at]
    billed = list(stretch(pieces))
    second_end = epoch_nanoseconds(datetime.fromisoformat(expected["second_span_end"])) - start
    assert billed[-1].end == second_end
    slots = [each.piece.slot for each in billed]
    assert [
        slot.rate * slot.increment / slot.unit * each.count
        for slot, each in zip(slots, billed, strict=True)
        if slot is not None
    ] == expected["costs"]
    rated = sum(each.end - each.start for each in billed)
    assert rated == parse_duration(expected["rated_duration"])


def _round_timespans(query: dict[str, Any], expected: dict[str, Any]) -> None:
    increment = query["first_span_increment"]
    group = _rate([{"value": 0, "increment": increment}], Timing("T"))
    entry = group.entries[0]
    pieces = [
        Piece(_clock(start) * SECOND, _clock(end) * SECOND, None, entry, entry.terms.slots[0])
        if number == 0
        else Piece(_clock(start) * SECOND, _clock(end) * SECOND, None, None)
        for number, (start, end) in enumerate(query["spans"])
    ]
    found = [each for each in stretch(pieces) if each.end > each.start]
    assert len(found) == expected["count"]
    for each, span in zip(found, expected["spans"], strict=True):
        if span is not None:
            assert [each.start, each.end] == [_clock(text) * SECOND for text in span]


def _increments(query: dict[str, Any], expected: dict[str, Any]) -> None:
    group = _rate(query["rates"], Timing("T"))
    end = parse_duration(query["duration"])
    (billed,) = stretch(list(split(timed_group(group, None, UTC, 0, 0, end))))
    slot = billed.piece.slot
    assert slot is not None
    assert billed.count == expected["count"]
    assert slot.rate * slot.increment / slot.unit == expected["first_cost"]


def test_primitives(vectors: Path) -> None:
    checks = {
        "round": _round,
        "round_duration": _round_duration,
        "parse_usage": _parse_usage,
        "timing_contains": _timing_contains,
        "split_by_rate_groups": _split_by_rate_groups,
        "round_timespans_to_increment": _round_timespans,
        "increments": _increments,
    }
    for case in _cases(vectors, "primitives"):
        checks[case["query"]["op"]](case["query"], case["expect"])


def test_the_vectors_hold_what_they_held(vectors: Path) -> None:
    counts = {name: len(list(_cases(vectors, name))) for name in (*_FILES, "primitives")}
    assert counts == {
        "getcost_calldesc": 16,
        "getcost_api": 27,
        "getcost_general": 2,
        "primitives": 30,
    }
