"""Tariff folders and console lines of CGRateS: taken, or refused with the located errors.

The input is one folder in one text, a line ``--- NAME`` before each file, and ends with a console
line after ``--- line``. A tariff that is taken is compiled again from its rows and has to be the
same, and pricing the line by it gives a price or one documented error.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from trunkline.config.cgrates import (
    EXAMPLE,
    Line,
    TariffErrors,
    compile_lines,
    load_folder,
    parse_cost_line,
)
from trunkline.config.cgrates.files import KINDS
from trunkline.errors import DecodeError
from trunkline.rating.cost import price
from trunkline.rating.errors import RatingError

_NOW = datetime(2014, 8, 4, 13, tzinfo=UTC)
_MARK = b"--- "

SEEDS = [
    b"""--- Timings
WEEK,*any,*any,*any,1;2;3;4;5,08:00:00;18:00:00
NIGHT,2014;2015,1;12,31,7,*asap
--- Destinations
#Id,Prefix
DST_A,614
DST_A,612
"DST_B","611300"
--- Rates
RT_1,0,22,60s,60s,0s
RT_1,0,0.5,60s,1s,60s
RT_2,20,0,0,1m30s,
--- DestinationRates
DR_1,DST_A,RT_1,*up,4,0.12,*disconnect
DR_1,*any,RT_2,*middle,2,,
DR_2,DST_B,RT_2,*down,0,10,*free
--- RatingPlans
RP_1,DR_1,*any,10
RP_1,DR_2,WEEK,20
RP_2,DR_1,NIGHT,10.5
--- RatingProfiles
cgrates.org,call,*any,2014-01-14T00:00:00Z,RP_1,
cgrates.org,call,3005,,RP_2,3006;*any
cgrates.org,call,3006,+1h,RP_1,
--- line
"""
    + EXAMPLE.encode(),
    b"""--- RatingProfiles
t,data,s,1407157200,RP,
--- RatingPlans
RP,DR,*hourly,0
--- DestinationRates
DR,*any,RT,*up,20,,
--- Rates
RT,0,1,1024,1024,0
--- line
cost Tenant=t Category=data Subject='s' ToR=*data AnswerTime=*now Usage=4096""",
]


def run(data: bytes) -> None:
    """Load, compile again, price."""
    files, line = _parts(data)
    try:
        call = parse_cost_line(line, now=_NOW)
    except DecodeError as refused:
        if not refused.code.startswith("console.") or not 0 <= refused.offset <= len(line):
            raise AssertionError(f"an error without a place: {refused!r}") from refused
        call = parse_cost_line(EXAMPLE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, text in files.items():
            (folder / f"{kind}.csv").write_bytes(text)
        lines: list[Line] = []
        try:
            loaded = load_folder(folder, now=_NOW, sink=lines.extend)
        except TariffErrors as refused:
            if not refused.errors or any(not problem.place.file for problem in refused.errors):
                raise AssertionError(f"an error without a place: {refused.errors}") from refused
            return
    again = compile_lines(lines, loaded.tariff.name, UTC, {}, _NOW).tariff
    assert again == loaded.tariff
    with suppress(RatingError):
        assert price(again, call).total >= 0


def _parts(data: bytes) -> tuple[dict[str, bytes], str]:
    files: dict[str, bytes] = {}
    line = ""
    for part in b"\n".join((b"", data)).split(b"\n" + _MARK):
        name, _, text = part.partition(b"\n")
        kind = name.decode("ascii", "replace")
        if kind == "line":
            line = text.decode("utf-8", "replace")
        elif kind in KINDS:
            files[kind] = files.get(kind, b"") + text + b"\n"
    return files, line
