"""What is remembered: failures, answers, plans; on a clock that is set by hand."""

from __future__ import annotations

import pytest
from tests.sip.locate.support import (
    AAAA,
    TCP,
    TLS,
    UDP,
    V4,
    A,
    Records,
    Zone,
    lowest,
    naptr,
    order,
    plan_of,
    scripted,
    srv,
    tried,
)

from trunkline.errors import TrunklineError
from trunkline.sip.locate import (
    Answer,
    Candidate,
    Directory,
    Failure,
    Outcome,
    Question,
    Rules,
    Target,
)
from trunkline.sip.locate.cache import AnswerCache
from trunkline.sip.locate.health import TABLE, Condition, Health
from trunkline.sip.uri import Uri

ONE = Candidate(UDP, "192.0.2.1", 5060, "x.example")
TWO = ONE._replace(host="192.0.2.2")
RULES = Rules(families=(4,), penalty=30.0, penalty_limit=300.0, trial=40.0)

# Servers that failed


@pytest.mark.parametrize("failure", [Failure.ERROR, Failure.TIMEOUT])
def test_a_failure_puts_a_server_last_for_the_penalty_and_then_lets_one_try(
    failure: Failure,
) -> None:
    health = Health(RULES)
    assert health.admits(ONE, 0.0)
    health.failed(ONE, failure, 100.0)
    assert not health.admits(ONE, 129.9)
    assert health.penalty(ONE, 120.0) == 10.0
    assert health.admits(ONE, 130.0)  # the trial
    assert not health.admits(ONE, 131.0)  # everybody else waits for it
    health.answered(ONE)
    assert health.admits(ONE, 132.0)
    assert (health.penalties, health.trials, len(health)) == (1, 1, 0)


def test_a_trial_that_fails_doubles_the_penalty_up_to_the_limit() -> None:
    health = Health(RULES)
    now = 0.0
    spans = []
    health.failed(ONE, Failure.TIMEOUT, now)
    for _ in range(6):
        spans.append(health.penalty(ONE, now))
        now += spans[-1]
        assert health.admits(ONE, now)
        health.failed(ONE, Failure.TIMEOUT, now)
    assert spans == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]


def test_failures_of_what_was_sent_before_add_nothing() -> None:
    health = Health(RULES)
    health.failed(ONE, Failure.TIMEOUT, 0.0)
    for second in range(1, 29):  # a thousand calls were under way
        health.failed(ONE, Failure.TIMEOUT, float(second))
    assert health.admits(ONE, 30.0)
    assert health.penalties == 1


def test_a_trial_that_nobody_reports_on_ends_well() -> None:
    health = Health(RULES)
    health.failed(ONE, Failure.ERROR, 0.0)
    assert health.admits(ONE, 30.0)
    assert not health.admits(ONE, 69.9)
    assert health.admits(ONE, 70.0)
    assert not health


def test_a_503_counts_only_with_retry_after() -> None:
    health = Health(RULES)
    health.failed(ONE, Failure.BUSY, 0.0)
    health.failed(ONE, Failure.BUSY, 0.0, 0)
    assert health.admits(ONE, 0.0)
    health.failed(ONE, Failure.BUSY, 0.0, 120)
    assert health.penalty(ONE, 0.0) == 120.0
    health.failed(TWO, Failure.BUSY, 0.0, 86_400)
    assert health.penalty(TWO, 0.0) == 300.0


def test_a_failure_touches_no_other_server() -> None:
    health = Health(RULES)
    health.failed(ONE, Failure.ERROR, 0.0)
    others = [
        ONE._replace(port=5061),
        ONE._replace(transport=TCP),
        ONE._replace(host="192.0.2.3"),
    ]
    assert all(health.admits(other, 1.0) for other in others)
    # The same server by another domain is the same server.
    assert not health.admits(ONE._replace(domain="y.example"), 1.0)
    # But for its connections: a certificate may be for the one domain and not for the other.
    secure = ONE._replace(transport=TLS)
    health.failed(secure, Failure.ERROR, 0.0)
    assert health.admits(secure._replace(domain="y.example"), 1.0)
    assert not health.admits(secure, 1.0)


def test_the_table_of_failed_servers_is_bounded() -> None:
    health = Health(Rules(penalised_limit=2))
    three = ONE._replace(host="192.0.2.3")
    for candidate in (ONE, TWO, three):
        health.failed(candidate, Failure.ERROR, 0.0)
    assert (len(health), health.forgotten) == (2, 1)
    assert health.admits(ONE, 1.0)  # the oldest
    assert not health.admits(three, 1.0)


def test_from_every_condition_a_way_leads_back_to_sound() -> None:
    reached = {Condition.SOUND}
    for _ in Condition:
        reached |= {begin for (begin, _), end in TABLE.items() if end in reached}
    assert reached == set(Condition)


# The order, with failures

POOL: Records = {
    "SRV _sip._udp.x.example": [
        srv(0, 50, "a.x.example"),
        srv(0, 50, "b.x.example"),
        srv(1, 0, "c.x.example"),
    ],
    "A a.x.example": ["192.0.2.11"],
    "A b.x.example": ["192.0.2.12"],
    "A c.x.example": ["192.0.2.13"],
}
A_, B_, C_ = (f"UDP 192.0.2.{number}:5060" for number in (11, 12, 13))
URI = Uri.parse("sip:x.example;transport=udp")


def ready(rules: Rules = RULES) -> Directory:
    """A directory that knows POOL; it draws the first of the pool, in its order, each time."""
    directory = Directory(rules, lambda highest: min(1, highest))
    plan_of(Target.of(URI), Zone(POOL), directory)
    return directory


def candidate_of(directory: Directory, now: float) -> Candidate:
    found = directory.try_now(URI, now)
    assert found is not None
    candidate = found.next(now)
    assert candidate is not None
    return candidate


def all_of(directory: Directory, now: float) -> list[str]:
    found = directory.try_now(URI, now)
    assert found is not None
    return tried(found, now)


def test_who_failed_is_tried_last_but_is_tried() -> None:
    directory = ready()
    first = candidate_of(directory, 0.0)
    assert str(first) == A_
    assert all_of(directory, 0.0) == [A_, B_, C_]
    directory.failed(first, Failure.TIMEOUT, 0.0)
    assert all_of(directory, 1.0) == [B_, C_, A_]
    directory.answered(first)
    assert all_of(directory, 2.0) == [A_, B_, C_]


def test_when_all_have_failed_the_order_is_as_if_none_had() -> None:
    directory = ready()
    for host in ("192.0.2.11", "192.0.2.12", "192.0.2.13"):
        directory.failed(ONE._replace(host=host), Failure.ERROR, 0.0)
    assert all_of(directory, 1.0) == [A_, B_, C_]


def test_a_single_server_that_failed_is_still_used() -> None:
    directory = Directory(RULES, scripted())
    uri = Uri.parse("sip:192.0.2.1")
    found = directory.try_now(uri, 0.0)
    assert found is not None
    candidate = found.next(0.0)
    assert candidate is not None
    directory.failed(candidate, Failure.TIMEOUT, 0.0)
    again = directory.try_now(uri, 1.0)
    assert again is not None
    assert again.next(1.0) == candidate


def test_the_record_is_what_is_done_before_and_amid_the_tries() -> None:
    directory = ready()
    directory.failed(ONE._replace(host="192.0.2.11"), Failure.TIMEOUT, 0.0)
    found = directory.try_now(URI, 5.0)
    assert found is not None
    told = found.decision(5.0)
    assert order(told) == [B_, C_, A_]
    assert [each.penalty for each in told.order] == [0.0, 0.0, 25.0]
    assert str(found.next(5.0)) == B_
    assert order(found.decision(5.0)) == [B_, C_, A_]
    assert tried(found, 5.0) == [C_, A_]
    assert order(found.decision(5.0)) == [B_, C_, A_]


def test_explaining_is_no_trial() -> None:
    directory = ready()
    directory.failed(ONE._replace(host="192.0.2.11"), Failure.TIMEOUT, 0.0)
    found = directory.try_now(URI, 31.0)
    assert found is not None
    assert order(found.decision(31.0)) == [A_, B_, C_]
    assert directory.health.trials == 0
    assert str(found.next(31.0)) == A_
    assert directory.health.trials == 1


def test_a_stateless_proxy_always_comes_to_the_same_server() -> None:
    directory = ready()
    other = Directory(RULES, lowest)
    backwards: Records = {
        **POOL,
        "SRV _sip._udp.x.example": [*(POOL["SRV _sip._udp.x.example"] or ())][::-1],
    }
    plan_of(Target.of(URI), Zone(backwards), other)
    seen = set()
    for number in range(50):
        key = f"z9hG4bK{number}".encode()
        found = [each.try_now(URI, 0.0, key=key) for each in (directory, other)]
        orders = [tried(each, 0.0) for each in found if each is not None]
        assert orders[0] == orders[1]
        seen.add(orders[0][0])
        # What failed meanwhile has no say.
        directory.failed(ONE._replace(host="192.0.2.11"), Failure.ERROR, 0.0)
        again = directory.try_now(URI, 1.0, key=key)
        assert again is not None
        assert tried(again, 1.0) == orders[0]
    assert seen == {A_, B_}


# Answers


def answer(name: str, *, ttl: float, outcome: Outcome = Outcome.FOUND) -> Answer:
    records = ("192.0.2.1",) if outcome is Outcome.FOUND else ()
    return Answer(Question(name, A), outcome, records, ttl)


def test_an_answer_is_kept_for_its_ttl_and_not_longer() -> None:
    cache = AnswerCache(Rules())
    cache.put(answer("x.example", ttl=60), 100.0)
    found = cache.get(Question("x.example", A), 130.0)
    assert found is not None
    assert found.ttl == 30.0
    assert cache.get(Question("x.example", A), 160.0) is None
    assert cache.get(Question("x.example", AAAA), 130.0) is None
    assert (cache.hits, cache.misses) == (1, 2)


@pytest.mark.parametrize(
    ("outcome", "ttl", "kept"),
    [
        (Outcome.FOUND, 0.0, 0.0),
        (Outcome.FOUND, 1e9, 86_400.0),
        (Outcome.NO_DATA, 60.0, 60.0),
        (Outcome.NO_NAME, 10_800.0, 900.0),
        (Outcome.FAILED, 0.0, 5.0),
    ],
)
def test_times_to_live_are_clamped(outcome: Outcome, ttl: float, kept: float) -> None:
    cache = AnswerCache(Rules())
    assert cache.put(answer("x.example", ttl=ttl, outcome=outcome), 0.0).ttl == kept
    assert (cache.get(Question("x.example", A), 0.0) is None) == (kept == 0)


def test_a_shortest_time_may_be_set() -> None:
    cache = AnswerCache(Rules(min_ttl=3.0))
    assert cache.put(answer("x.example", ttl=0.0), 0.0).ttl == 3.0


def test_the_cache_is_bounded_and_drops_the_oldest() -> None:
    cache = AnswerCache(Rules(cache_limit=2))
    for number, name in enumerate(["a", "b", "a", "c"]):
        cache.put(answer(name, ttl=60), float(number))
    assert len(cache) == 2
    assert cache.get(Question("b", A), 4.0) is None  # "a" was renewed
    assert cache.get(Question("a", A), 4.0) is not None
    assert cache.dropped == 1


# Plans


def test_a_known_target_needs_no_question_until_its_answers_expire() -> None:
    directory = Directory(RULES, lowest)
    zone = Zone(POOL, ttl=60.0)
    assert directory.try_now(URI, 0.0) is None
    plan_of(Target.of(URI), zone, directory)
    asked = len(zone.asked)
    assert all_of(directory, 59.0) == [A_, B_, C_]
    assert directory.try_now(URI, 60.0) is None
    assert len(zone.asked) == asked
    assert (directory.counters.now, directory.counters.asked) == (1, 0)


def test_what_other_targets_have_asked_is_not_asked_again() -> None:
    directory = ready()
    # Another target, the same answers: known without a plan of its own.
    found = directory.try_now(Uri.parse("sip:a.x.example:5080"), 1.0)
    assert found is not None
    assert tried(found) == ["UDP 192.0.2.11:5080"]
    assert all(lookup.cached for lookup in found.decision(1.0).lookups)


def test_answers_without_a_ttl_are_used_once() -> None:
    directory = Directory(RULES, lowest)
    plan = plan_of(Target.of(URI), Zone(POOL, ttl=0.0), directory)
    assert tried(directory.candidates(plan)) == [A_, B_, C_]
    assert directory.try_now(URI, 0.0) is None


def test_plans_and_targets_are_bounded() -> None:
    directory = Directory(Rules(families=(4,), plan_limit=3), lowest)
    zone = Zone({f"A {each}.example": ["192.0.2.1"] for each in range(10)})
    for each in range(10):
        uri = Uri.parse(f"sip:{each}.example:5060;x={each}")
        plan_of(directory.target_of(uri), zone, directory)
        assert directory.try_now(uri, 0.0) is not None
        literal = directory.try_now(Uri.parse(f"sip:192.0.2.{each};x={each}"), 0.0)
        assert literal is not None
    assert directory.counters.forgotten == 9
    for table in (directory._plans, directory._targets, directory._literal, directory._addresses):
        assert len(table) <= 3


def test_what_has_many_records_takes_the_room_of_several() -> None:
    cache = AnswerCache(Rules(cache_limit=10))
    many = tuple(f"192.0.2.{number}" for number in range(30))
    names = [f"n{number}.example" for number in range(5)]
    for name in names:
        cache.put(Answer(Question(name, A), Outcome.FOUND, many, 60.0), 0.0)
        assert cache._records == sum(len(each.records) for _, each in cache._kept.values())
    assert len(cache) == 1  # of forty records in all
    cache.put(Answer(Question(names[-1], A), Outcome.FOUND, many[:1], 60.0), 0.0)
    assert (len(cache), cache._records, cache.dropped) == (1, 1, 4)

    directory = Directory(Rules(families=(4,), plan_limit=4), lowest)
    servers = [srv(1, 1, f"h{number}.example") for number in range(20)]
    zone = {f"SRV _sip._udp.{name}": servers for name in names}
    addresses = {f"A h{number}.example": ["192.0.2.1"] for number in range(20)}
    for name in names:
        target = Target.of(Uri.parse(f"sip:{name};transport=udp"))
        for _ in range(2):
            plan_of(target, Zone({**zone, **addresses}), directory)
        assert len(directory._plans) == 1  # of 64 records in all, it has forty
        assert directory._records == 40
    directory.forget(target, False)
    assert directory._records == 0


@pytest.mark.parametrize(
    "uri",
    [
        "sip:192.0.2.1;x=LONG",
        "sip:x.example;transport=udp;x=LONG",
        "sip:x.example;transport=LONG",
        "sip:x.example;maddr=LONG",
        "sip:[0:0:0:0:0:0:0:1];transport=tcp;x=LONG",
    ],
)
def test_texts_that_are_very_long_take_no_memory(uri: str) -> None:
    directory = Directory(V4, lowest)
    for number in range(3):
        target = Uri.parse(uri.replace("LONG", f"{number}" + "a" * 5000))
        if directory.try_now(target, 0.0) is None:
            plan_of(directory.target_of(target), Zone({"A x.example": ["192.0.2.1"]}), directory)
            directory.try_now(target, 0.0)
    tables = (directory._plans, directory._targets, directory._literal, directory._addresses)
    assert "a" * 300 not in repr((*tables, directory.cache._kept))


def test_forgetting_keeps_the_servers_that_failed() -> None:
    directory = ready()
    directory.failed(ONE, Failure.ERROR, 0.0)
    directory.clear()
    assert directory.try_now(URI, 1.0) is None
    assert not directory.health.admits(ONE, 1.0)


def test_sips_that_vanishes_from_naptr_is_told_once() -> None:
    directory = Directory(V4, lowest)
    with_sips: Records = {
        "NAPTR x.example": [naptr(1, 1, "SIPS+D2T", "_sips._tcp.x.example")],
        "A x.example": ["192.0.2.1"],
    }
    without: Records = {
        "NAPTR x.example": [naptr(1, 1, "SIP+D2U", "_sip._udp.x.example")],
        "A x.example": ["192.0.2.1"],
    }
    failing: Records = {"NAPTR x.example": None, "A x.example": ["192.0.2.1"]}
    target = Target.of(Uri.parse("sip:x.example"))

    def warnings(records: Records) -> int:
        directory.clear()
        return sum("SIPS" in each for each in plan_of(target, Zone(records), directory).warnings)

    assert [warnings(each) for each in (without, with_sips, failing, with_sips)] == [0, 0, 0, 0]
    assert [warnings(without), warnings(without)] == [1, 0]
    assert directory.counters.sips_vanished == 1


def test_a_large_set_is_looked_up_in_part_and_says_so() -> None:
    names = [f"{each}.x.example" for each in range(100)]
    zone = Zone(
        {
            "SRV _sip._udp.x.example": [srv(0, 1, name) for name in names],
            **{f"A {name}": [f"192.0.2.{each}"] for each, name in enumerate(names)},
        }
    )
    directory = Directory(Rules(families=(4,), server_limit=8), lowest)
    decision = directory.candidates(plan_of(Target.of(URI), zone, directory)).decision(0.0)
    assert len(decision.order) == 8
    assert len(zone.asked) == 9
    judged = [each.reason.code for each in decision.steps[2].lookups[0].judged]
    assert judged.count("srv-limit") == 92


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transports": ()}, "transports"),
        ({"families": ()}, "families"),
        ({"families": (4, 5)}, "families"),
        ({"server_limit": 0}, "server_limit"),
        ({"min_ttl": 10.0, "max_ttl": 5.0}, "min_ttl"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(TrunklineError, match=words) as refused:
        Rules(**change)  # type: ignore[arg-type]
    assert refused.value.code == "locate.rules"


# The fast way of literals is the way of the machine


URIS = [
    f"{scheme}:{user}{host}{port}{parameters}"
    for scheme in ("sip", "sips")
    for user in ("", "bob@")
    for host in ("192.0.2.9", "[2001:db8:0::9]", "192.000.002.009")
    for port in ("", ":5060", ":5080", ":0")
    for parameters in (
        "",
        ";transport=tcp",
        ";transport=UDP;lr",
        ";lr;transport=tls",
        ";transport=sctp",
        ";maddr=192.0.2.7",
        ";maddr=x.example;transport=tcp",
    )
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "rules", [Rules(), Rules((TCP,)), Rules((UDP,)), Rules((TLS,)), Rules(families=(4,))]
)
def test_literals_come_to_the_same_by_the_fast_way(rules: Rules, stream: bool) -> None:
    directory = Directory(rules, lowest)
    for uri in [*URIS, *URIS]:  # the second time from memory
        parsed = Uri.parse(uri)
        slow = Directory(rules, lowest)
        location, questions = slow.search(Target.of(parsed), 0.0, stream=stream)
        found = directory.try_now(parsed, 0.0, stream=stream)
        if location.plan is None:
            assert questions
            assert found is None
            continue
        assert found is not None
        decision = slow.candidates(location.plan).decision(0.0)
        assert found.decision(0.0) == decision
        assert found.problem == decision.problem
        assert tried(found) == order(decision)
        assert found.next(0.0) is None
