"""A tariff from the text of a folder's files: just enough of a reader for this room's tests.

The product's reader is ``trunkline.config.cgrates``; a room below it cannot use that.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from fractions import Fraction

from trunkline.rating.durations import parse_duration
from trunkline.rating.tariff import (
    DAY_SECONDS,
    Activation,
    Binding,
    Destination,
    DestinationRate,
    MaxCostStrategy,
    PlanEntry,
    Rate,
    RateSlot,
    RatingPlan,
    RatingProfile,
    RoundingMethod,
    Source,
    Tariff,
    Timing,
)

Row = tuple[Source, list[str]]


def _rows(files: Mapping[str, str], name: str, key: int) -> dict[tuple[str, ...], list[Row]]:
    """The rows of one file, merged by their first ``key`` columns."""
    merged: dict[tuple[str, ...], list[Row]] = {}
    for number, row in enumerate(csv.reader(io.StringIO(files.get(name, ""))), 1):
        if row and not row[0].startswith("#"):
            merged.setdefault(tuple(row[:key]), []).append((Source(name, number), row))
    return merged


def _numbers(text: str) -> tuple[int, ...]:
    return () if text in ("", "*any") else tuple(int(part) for part in text.split(";"))


def _clock(text: str) -> int:
    hours, minutes, seconds = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + int(seconds)


def _timing(source: Source, row: list[str]) -> Timing:
    start, _, end = row[5].partition(";")
    return Timing(
        row[0],
        _numbers(row[1]),
        _numbers(row[2]),
        _numbers(row[3]),
        tuple(sorted({day % 7 for day in _numbers(row[4])})),
        0 if start.startswith("*") or not start else _clock(start),
        _clock(end) if end else DAY_SECONDS,
        source,
        as_soon=start == "*asap",
    )


def _money(text: str) -> Fraction:
    return Fraction(text or "0")


def tariff(
    files: Mapping[str, str],
    *,
    time_zone: tzinfo = UTC,
    tenant_time_zones: Mapping[str, tzinfo] | None = None,
    fallback_depth: int = 3,
    usage_limits: Mapping[str, int] | None = None,
) -> Tariff:
    """The tariff of ``files``: file name to text."""

    def slot(source: Source, row: list[str]) -> RateSlot:
        return RateSlot(
            _money(row[1]),
            _money(row[2]),
            parse_duration(row[3]),
            parse_duration(row[4]),
            parse_duration(row[5]),
            source,
        )

    def binding(source: Source, row: list[str]) -> Binding:
        return Binding(
            row[1],
            row[2],
            RoundingMethod(row[3]),
            int(row[4] or "0"),
            _money(row[5]),
            MaxCostStrategy(row[6]),
            source,
        )

    def activation(source: Source, row: list[str]) -> Activation:
        return Activation(
            datetime.fromisoformat(row[3]) if row[3] else None,
            row[4],
            tuple(part for part in row[5].split(";") if part),
            source,
        )

    timings = _rows(files, "Timings.csv", 1)
    destinations = _rows(files, "Destinations.csv", 1)
    rates = _rows(files, "Rates.csv", 1)
    bindings = _rows(files, "DestinationRates.csv", 1)
    plans = _rows(files, "RatingPlans.csv", 1)
    profiles = _rows(files, "RatingProfiles.csv", 3)
    return Tariff.build(
        timings=[_timing(*rows[-1]) for rows in timings.values()],
        destinations=[
            Destination(tag, tuple(row[1] for _, row in rows), rows[0][0])
            for (tag,), rows in destinations.items()
        ],
        rates=[
            Rate(tag, tuple(slot(*row) for row in rows), rows[0][0])
            for (tag,), rows in rates.items()
        ],
        destination_rates=[
            DestinationRate(tag, tuple(binding(*row) for row in rows), rows[0][0])
            for (tag,), rows in bindings.items()
        ],
        rating_plans=[
            RatingPlan(
                tag,
                tuple(PlanEntry(row[1], row[2], _money(row[3]), source) for source, row in rows),
                rows[0][0],
            )
            for (tag,), rows in plans.items()
        ],
        rating_profiles=[
            RatingProfile(
                key[0], key[1], key[2], tuple(activation(*row) for row in rows), rows[0][0]
            )
            for key, rows in profiles.items()
        ],
        time_zone=time_zone,
        tenant_time_zones=tenant_time_zones,
        fallback_depth=fallback_depth,
        usage_limits=usage_limits,
    )


TUTORIAL = {
    "Destinations.csv": (
        "#Id,Prefix\n"
        "DST_AUS_Mobile,614\nDST_AUS_Fixed,612\nDST_AUS_Fixed,613\nDST_AUS_Fixed,617\n"
        "DST_AUS_Fixed,618\nDST_AUS_Toll_Free,611300\nDST_AUS_Toll_Free,611800\n"
    ),
    "Rates.csv": (
        "RT_22c_PM,0,22,60s,60s,0s\nRT_20c_Untimed,20,0,60s,60s,0s\nRT_25c_Flat,25,0,60s,60s,0s\n"
    ),
    "DestinationRates.csv": (
        "DR_AUS_Mobile,DST_AUS_Mobile,RT_22c_PM,*up,4,0.12,*disconnect\n"
        "DR_AUS_Fixed,DST_AUS_Fixed,RT_20c_Untimed,*up,4,0.12,*disconnect\n"
        "DR_AUS_Toll_Free,DST_AUS_Toll_Free,RT_25c_Flat,*up,4,0.12,*disconnect\n"
    ),
    "RatingPlans.csv": (
        "RP_AUS,DR_AUS_Mobile,*any,10\nRP_AUS,DR_AUS_Fixed,*any,10\n"
        "RP_AUS,DR_AUS_Toll_Free,*any,10\n"
    ),
    "RatingProfiles.csv": "cgrates.org,call,*any,2014-01-14T00:00:00Z,RP_AUS,\n",
}
"""The tariff of the tutorial."""
