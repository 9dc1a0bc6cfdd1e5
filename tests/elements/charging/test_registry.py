"""How a method is found, what it is given, and what is answered where that fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.elements.charging.arguments import (
    ArgumentError,
    Duration,
    Instant,
    reader,
    wire_name,
)
from trunkline.elements.charging.registry import ApiError, Registry, method, names_of
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Call, Json, parse
from trunkline.net.jsonrpc import Peer
from trunkline.rating.errors import RatingError

PEER = cast("Peer", object())


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    id: str = ""
    weight: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrTest:
    tenant: str = ""
    account: str = ""
    usage: Duration = Duration(0)  # noqa: RUF009
    count: int = 0
    value: Decimal = Decimal(0)
    ratio: float = 0.0
    enabled: bool = False
    maybe: bool | None = None
    filter_ids: tuple[str, ...] = ()
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    event: Mapping[str, Json] = field(default_factory=dict)
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    time: Instant | None = None
    anything: Json = None
    max_usage: str = field(default="", metadata={"name": "MaxTORUsage"})


class Service:
    def __init__(self) -> None:
        self.got: list[AttrTest] = []

    @method("TestSv1.Take", "TestSv1.Also")
    def take(self, args: AttrTest) -> Json:
        self.got.append(args)
        return "OK"

    @method("TestSv1.Need", mandatory=("Tenant", "Account"))
    async def need(self, args: AttrTest) -> Json:
        await asyncio.sleep(0)
        return {"Account": args.account}

    @method("APIerSv1.Who", "CDRsV1.Who")
    def who(self, args: object, peer: Peer) -> Json:
        return peer is PEER

    @method("APIerSv2.Who")
    async def second(self, args: object) -> Json:
        return "second"

    @method("TestSv1.Fail")
    async def fail(self, args: AttrTest) -> Json:
        match args.tenant:
            case "refused":
                raise ApiError("NOT_FOUND")
            case "known":
                raise RatingError("rating.no-plan", "no plan", reference="RATING_PLAN_NOT_FOUND")
            case "unknown":
                raise TrunklineError("store.unavailable", "no database")
        raise KeyError("a bug")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def registry(service: Service) -> Registry:
    return Registry(service)


def carried_out(registry: Registry, call: Call) -> str:
    text = registry(call, PEER)
    if isinstance(text, str):
        return text

    async def wait(text: Awaitable[str]) -> str:
        return await text

    return asyncio.run(wait(text))


def asked(registry: Registry, name: str, argument: Json = None) -> tuple[object, object]:
    got = json.loads(carried_out(registry, Call(name, argument, 7)))
    assert got.pop("id") == 7
    return got["result"], got["error"]


def test_names_their_heirs_and_their_case(registry: Registry) -> None:
    assert asked(registry, "TestSv1.Take") == ("OK", None)
    assert asked(registry, "TestSv1.Also") == ("OK", None)
    for name in ("APIerSv1.Who", "ApierV1.Who", "CDRsV1.Who", "CDRsV2.Who"):
        assert asked(registry, name) == (True, None)
    for name in ("APIerSv2.Who", "ApierV2.Who"):
        assert asked(registry, name) == ("second", None)
    for name in ("TestSv1.Ping", "APIerSv1.Ping", "ApierV2.Ping", "CDRsV2.Ping"):
        assert asked(registry, name) == ("Pong", None)
        assert asked(registry, name, {"Tenant": "cgrates.org", "Event": None}) == ("Pong", None)
    assert (
        names_of(Service)
        == names_of(Service())
        == [
            "APIerSv1.Ping",
            "APIerSv1.Who",
            "APIerSv2.Ping",
            "APIerSv2.Who",
            "CDRsV1.Ping",
            "CDRsV1.Who",
            "TestSv1.Also",
            "TestSv1.Fail",
            "TestSv1.Need",
            "TestSv1.Ping",
            "TestSv1.Take",
        ]
    )


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("NoSv1.Take", "rpc: can't find service NoSv1.Take"),
        ("NoSv1.Ping", "rpc: can't find service NoSv1.Ping"),
        ("TestSv1.take", "rpc: can't find method TestSv1.take"),
        ("testsv1.Take", "rpc: can't find service testsv1.Take"),
        ("ApierV2.Nothing", "rpc: can't find method ApierV2.Nothing"),
        ("TestSv1.A.B", "rpc: can't find service TestSv1.A.B"),
        ("Take", "rpc: service/method request ill-formed: Take"),
        ("", "rpc: service/method request ill-formed: "),
    ],
)
def test_methods_that_are_not_there(registry: Registry, name: str, error: str) -> None:
    assert asked(registry, name) == (None, error)
    fault = Call(name, None, 7, fault="jsonrpc: request body missing params")
    assert json.loads(carried_out(registry, fault))["error"] == error


def test_errors_and_their_codes_of_the_second_version(registry: Registry) -> None:
    def code(value: bytes) -> object:
        call = parse(value)
        assert isinstance(call, Call)
        error = json.loads(carried_out(registry, call))["error"]
        assert set(error) == {"code", "message"}
        return error["code"]

    head = b'{"jsonrpc":"2.0","id":1,'
    assert code(head + b'"method":"No.No"}') == -32601
    assert code(head + b'"method":"TestSv1.Take","params":7}') == -32602
    assert code(head + b'"method":"TestSv1.Take","params":{"Count":"x"}}') == -32602
    assert code(head + b'"method":"TestSv1.Need","params":{}}') == -32602
    assert code(head + b'"method":"TestSv1.Fail","params":{"Tenant":"refused"}}') == -32000
    assert code(head + b'"params":{}}') == -32600


def test_what_is_mandatory(registry: Registry) -> None:
    missing = "MANDATORY_IE_MISSING: "
    assert asked(registry, "TestSv1.Need") == (None, missing + "[Tenant Account]")
    assert asked(registry, "TestSv1.Need", {"Tenant": "a", "Account": ""}) == (
        None,
        missing + "[Account]",
    )
    assert asked(registry, "TestSv1.Need", {"Tenant": "a", "Account": "b"}) == (
        {"Account": "b"},
        None,
    )


def test_what_a_method_may_raise(registry: Registry) -> None:
    def error(tenant: str) -> object:
        return asked(registry, "TestSv1.Fail", {"Tenant": tenant})[1]

    assert error("refused") == "NOT_FOUND"
    assert error("known") == "SERVER_ERROR: RATING_PLAN_NOT_FOUND"
    assert error("unknown") == "SERVER_ERROR: no database"
    with pytest.raises(KeyError):
        error("bug")


def test_a_call_that_cannot_be_carried_out(registry: Registry) -> None:
    fault = Call("TestSv1.Take", None, 7, fault="jsonrpc: request body missing params")
    assert json.loads(carried_out(registry, fault)) == {
        "id": 7,
        "result": None,
        "error": "jsonrpc: request body missing params",
    }


# Arguments


def taken(service: Service, registry: Registry, text: str) -> AttrTest:
    call = parse(f'{{"method":"TestSv1.Take","params":[{text}],"id":7}}'.encode())
    assert isinstance(call, Call)
    assert json.loads(carried_out(registry, call)) == {"id": 7, "result": "OK", "error": None}
    return service.got[-1]


def test_an_argument_with_all_it_may_have(service: Service, registry: Registry) -> None:
    got = taken(
        service,
        registry,
        '{"Tenant":"cgrates.org","ACCOUNT":"1","account":"1001","Usage":60000000000,"Count":-3,'
        '"Value":0.10,"Ratio":1,"Enabled":true,"Maybe":false,"FilterIDs":["a","b"],'
        '"Inner":{"ID":"x","Weight":10,"More":[]},"Inners":[{"ID":"y"},null,{}],'
        '"Event":{"Account":"1001","Usage":"10s","Cost":0.5,"Deep":{"a":[1]}},'
        '"Amounts":{"*voice":1.5},"Time":"2014-08-04T15:00:00.123456789+02:00",'
        '"Anything":[{}],"MaxTORUsage":"m","APIOpts":{"*x":1}}',
    )
    assert got == AttrTest(
        tenant="cgrates.org",
        account="1001",
        usage=Duration(60_000_000_000),
        count=-3,
        value=Decimal("0.10"),
        ratio=1.0,
        enabled=True,
        maybe=False,
        filter_ids=("a", "b"),
        inner=Inner(id="x", weight=Decimal(10)),
        inners=(Inner(id="y"), Inner(), Inner()),
        event={
            "Account": "1001",
            "Usage": "10s",
            "Cost": Decimal("0.5"),
            "Deep": {"a": [1]},
        },
        amounts={"*voice": Decimal("1.5")},
        time=Instant(1_407_157_200_123_456_789),
        anything=[{}],
        max_usage="m",
    )


@pytest.mark.parametrize("text", ["null", "{}", '{"Tenant":null,"Inner":null,"Time":null}', ""])
def test_nothing_given_is_everything_at_zero(
    service: Service, registry: Registry, text: str
) -> None:
    assert taken(service, registry, text) == AttrTest()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"Tenant":1}', "number into Go struct field AttrTest.Tenant of type string"),
        ('{"tenant":[]}', "array into Go struct field AttrTest.Tenant of type string"),
        ('{"Count":"1"}', "string into Go struct field AttrTest.Count of type int"),
        ('{"Count":1.5}', "number 1.5 into Go struct field AttrTest.Count of type int"),
        (
            '{"Count":9223372036854775808}',
            "number 9223372036854775808 into Go struct field AttrTest.Count of type int",
        ),
        ('{"Count":true}', "bool into Go struct field AttrTest.Count of type int"),
        ('{"Usage":"60s"}', "string into Go struct field AttrTest.Usage of type time.Duration"),
        ('{"Value":"1"}', "string into Go struct field AttrTest.Value of type float64"),
        ('{"Value":false}', "bool into Go struct field AttrTest.Value of type float64"),
        ('{"Enabled":0}', "number into Go struct field AttrTest.Enabled of type bool"),
        ('{"Maybe":"x"}', "string into Go struct field AttrTest.Maybe of type bool"),
        ('{"FilterIDs":"a"}', "string into Go struct field AttrTest.FilterIDs of type []string"),
        ('{"FilterIDs":[1]}', "number into Go struct field AttrTest.FilterIDs of type string"),
        ('{"Inner":[]}', "array into Go struct field AttrTest.Inner of type Inner"),
        ('{"Inners":{}}', "object into Go struct field AttrTest.Inners of type []Inner"),
        ('{"Inner":{"ID":1}}', "number into Go struct field Inner.ID of type string"),
        (
            '{"Event":1}',
            "number into Go struct field AttrTest.Event of type map[string]interface {}",
        ),
        (
            '{"Amounts":[]}',
            "array into Go struct field AttrTest.Amounts of type map[string]float64",
        ),
        ("7", "number into Go value of type AttrTest"),
        ('"x"', "string into Go value of type AttrTest"),
    ],
)
def test_values_of_another_type(registry: Registry, text: str, error: str) -> None:
    call = parse(f'{{"method":"TestSv1.Take","params":[{text}],"id":7}}'.encode())
    assert isinstance(call, Call)
    got = json.loads(carried_out(registry, call))
    assert got == {"id": 7, "result": None, "error": f"json: cannot unmarshal {error}"}


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01t00:00:01.5+00:00".upper(), 1_500_000_000),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
    ],
)
def test_moments(text: str, nanoseconds: int) -> None:
    assert Instant.parse(text) == Instant(nanoseconds)


@pytest.mark.parametrize(
    "value", ['"x"', '""', '"2014-08-04"', '"2014-13-04T13:00:00Z"', '"2014-08-04T13:00:00"', "7"]
)
def test_what_is_no_moment(registry: Registry, value: str) -> None:
    call = parse(f'{{"method":"TestSv1.Take","params":[{{"Time":{value}}}],"id":7}}'.encode())
    assert isinstance(call, Call)
    error = json.loads(carried_out(registry, call))["error"]
    assert error.startswith(("parsing time ", "Time.UnmarshalJSON: "))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([wire_name(name) for name in AttrTest.__dataclass_fields__]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(json_values)
def test_any_value_is_an_argument_or_one_error(value: Json) -> None:
    try:
        got = reader(AttrTest)(value)
    except ArgumentError as problem:
        got = AttrTest(tenant=str(problem))
    assert isinstance(got, AttrTest)


def test_numbers_beyond_all_measure() -> None:
    with pytest.raises(ArgumentError):
        reader(AttrTest)({"Value": 1 << 300})


def test_names_of_fields() -> None:
    names = (
        "answer_time",
        "filter_ids",
        "id",
        "tor",
        "api_opts",
        "uuid",
        "tpid",
        "extra_cdr_fields",
    )
    assert [wire_name(name) for name in names] == [
        "AnswerTime",
        "FilterIDs",
        "ID",
        "ToR",
        "APIOpts",
        "UUID",
        "TPid",
        "ExtraCDRFields",
    ]


def test_methods_that_are_declared_wrongly(service: Service, registry: Registry) -> None:
    @dataclass
    class NoDefault:
        tenant: str

    @dataclass
    class NoType:
        tenants: set[str] = field(default_factory=set)

    with pytest.raises(TypeError, match="there twice"):
        registry.add(service)
    for kind, what in ((NoDefault, "has no default"), (NoType, "no type of an argument")):
        with pytest.raises(TypeError, match=what):
            reader(kind)

    class NoField:
        @method("A.B", mandatory=("Nothing",))
        def take(self, args: AttrTest) -> Json:
            return None

    class TooMuch:
        @method("A.B")
        def take(self, args: AttrTest, peer: Peer, more: int) -> Json:
            return None

    with pytest.raises(TypeError, match="no field for Nothing"):
        Registry(NoField())
    with pytest.raises(TypeError, match="maybe the peer"):
        Registry(TooMuch())
