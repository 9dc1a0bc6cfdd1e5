from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.cgrates import EXAMPLE, parse_cost_line
from trunkline.config.cgrates.console import LONGEST
from trunkline.errors import DecodeError
from trunkline.rating.call import Call

MOMENT = datetime(2014, 8, 4, 13, tzinfo=UTC)
CALL = Call(
    tenant="cgrates.org",
    category="call",
    subject="3005",
    destination="614",
    time=MOMENT,
    usage=60 * 10**9,
    tor="*voice",
)
REST = 'Destination="614" AnswerTime="2014-08-04T13:00:00Z" Usage="60s"'


@pytest.mark.parametrize(
    "line",
    [
        EXAMPLE,
        f"cost {EXAMPLE}",
        f"  COST   {EXAMPLE}  \n",
        EXAMPLE.replace('"', ""),
        EXAMPLE.replace('"', "'"),
        EXAMPLE.replace("=", " = "),
        EXAMPLE.replace(" ", "\t"),
        EXAMPLE.replace('="', "=“").replace('"', "”"),
        EXAMPLE.replace("AnswerTime", "answertime").replace("Usage", "USAGE"),
        EXAMPLE.replace("AnswerTime", "TimeStart"),
        EXAMPLE.replace('Usage="60s"', 'TimeEnd="2014-08-04T13:01:00Z"'),
        EXAMPLE.replace('"60s"', '"60000000000"'),
        EXAMPLE.replace("13:00:00Z", "15:00:00+02:00"),
        f'{EXAMPLE} ToR="*voice"',
        f"ToR=voice {EXAMPLE}",
    ],
)
def test_ways_of_writing_the_line(line: str) -> None:
    assert parse_cost_line(line) == CALL


def test_what_is_left_out_stays_empty() -> None:
    call = parse_cost_line(REST)
    assert (call.tenant, call.category, call.subject, call.account) == ("", "", "", "")


def test_escapes_and_empty_values() -> None:
    call = parse_cost_line(rf'Subject="a\"b\\c" Account="" {REST}')
    assert call.subject == 'a"b\\c'
    assert call.account == ""


def test_records_that_are_no_calls_need_no_destination() -> None:
    call = parse_cost_line('ToR="*data" AnswerTime="2014-08-04T13:00:00Z" Usage="1024"')
    assert (call.destination, call.usage, call.tor) == ("", 1024, "*data")


def test_local_times_are_the_tenants() -> None:
    def zone_of(tenant: str) -> tzinfo:
        return {"cgrates.org": ZoneInfo("Europe/Berlin")}.get(tenant, UTC)

    local = REST.replace("T13:00:00Z", " 13:00:00")
    assert parse_cost_line(local, zone_of=zone_of).time == MOMENT - timedelta(hours=2)
    assert parse_cost_line(f"Tenant=x {local}", zone_of=zone_of).time == MOMENT


def test_now() -> None:
    line = REST.replace("2014-08-04T13:00:00Z", "*now")
    assert parse_cost_line(line, now=MOMENT).time == MOMENT
    assert datetime.now(UTC) - parse_cost_line(line).time < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("line", "code", "column", "words"),
    [
        ("", "empty", 1, "an example: Category="),
        ("cost", "empty", 1, "example"),
        ("cost  ", "empty", 1, "example"),
        (f'Destnation="614" {REST[18:]}', "key", 1, "did you mean 'Destination'?"),
        (f"cost {REST} Flavour=sweet", "key", 70, "the keys are Category, Tenant"),
        (f"{REST} Usage=1", "twice", 65, "Usage is given twice"),
        (f"{REST} =1", "syntax", 65, "a key is due"),
        (f'{REST} "x"', "syntax", 65, "a key is due"),
        (f"{REST} Tenant", "syntax", 65, "needs quotes"),
        (f"{REST} Tenant=", "value", 72, "no value"),
        (f"{REST} Tenant= =", "value", 73, "no value"),
        (f'{REST} Tenant="x', "quote", 72, "not closed"),
        (f'{REST} Tenant="x\\', "quote", 72, "not closed"),
        (f'{REST} Tenant="x"Category="y"', "syntax", 75, "right behind"),
        (f"{REST}, Tenant=x", "syntax", 64, "blanks separate"),
        ('Destination="614" Usage="1s"', "missing", 29, "AnswerTime is missing"),
        ('Destination="614" AnswerTime="*now"', "missing", 36, "Usage is missing"),
        ('AnswerTime="*now" Usage="1s"', "missing", 29, "Destination is missing"),
        ('Destination=6 Usage=1 AnswerTime="soon"', "time", 34, "'soon' is no time"),
        ('Destination=6 Usage=1 AnswerTime=""', "time", 34, "no time"),
        ('Destination=6 Usage=1 AnswerTime="0"', "time", 34, "no time"),
        ("Destination=6 Usage=1 AnswerTime=2014-08-04 13:00:00", "syntax", 45, "a key is due"),
        ("Destination=6 AnswerTime=*now Usage=1x", "usage", 37, "60s"),
        ("Destination=6 AnswerTime=*now Usage=-1s", "usage", 37, "sign"),
        ('Destination=6 AnswerTime=*now Usage=""', "usage", 37, "empty"),
        ("Destination=6 AnswerTime=*now Usage=99999999999999999999", "usage", 37, "292"),
        (f"{REST} TimeEnd=*now", "conflict", 73, "leave one out"),
        (f"{REST} TimeStart=*now", "conflict", 75, "leave one out"),
        ("Destination=6 TimeStart=+1h TimeEnd=*now", "usage", 37, "before"),
        ("x" * (LONGEST + 1), "length", LONGEST + 1, "4096"),
    ],
)
def test_mistakes_are_found_where_they_stand(line: str, code: str, column: int, words: str) -> None:
    with pytest.raises(DecodeError) as refused:
        parse_cost_line(line)
    assert refused.value.code == f"console.{code}"
    assert refused.value.offset == column - 1
    assert str(refused.value).startswith(f"column {column}: ")
    assert words in str(refused.value)


@given(st.dictionaries(st.sampled_from(["Tenant", "Subject", "Account"]), st.text(max_size=40)))
def test_any_value_may_be_quoted(values: dict[str, str]) -> None:
    pairs = [
        '{}="{}"'.format(key, value.replace("\\", "\\\\").replace('"', '\\"'))
        for key, value in values.items()
    ]
    call = parse_cost_line(" ".join([*pairs, REST]))
    assert (call.tenant, call.subject, call.account) == tuple(
        values.get(key, "") for key in ("Tenant", "Subject", "Account")
    )
