"""The record of a decision as an outline for people, and as JSON: two ways to print, one record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from trunkline.sip.locate.decision import Decision, Lookup, Reason, Stage, Step, Tried
from trunkline.sip.locate.records import Answer, Outcome

__all__ = ["Json", "Line", "as_json", "as_text", "outline"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_USED = {
    Reason.NAPTR_USED,
    Reason.NAPTR_NEXT,
    Reason.SRV_USED,
    Reason.ADDRESS_USED,
}


class Line(NamedTuple):
    """One line of the outline, and what stands under it."""

    text: str
    note: str
    """Why, or how it was found; less prominent."""
    under: tuple[Line, ...] = ()


def outline(decision: Decision) -> tuple[Line, ...]:
    """The decision as a tree: its steps, then the order. ``*`` marks what is used, ``-`` not."""
    lines = [_step(step) for step in decision.steps]
    if decision.order:
        width = max(len(str(each.candidate)) for each in decision.order)
        order = tuple(_tried(number, each, width) for number, each in enumerate(decision.order, 1))
        lines.append(Line("order", "whom to try, one after the other", order))
    if decision.problem is not None:
        lines.append(Line("nobody to send to", decision.problem.message))
    lines.extend(Line("warning", warning) for warning in decision.warnings)
    return tuple(lines)


def as_text(decision: Decision) -> str:
    """The outline, indented."""
    return "\n".join(_indented(outline(decision), 0))


def _indented(lines: tuple[Line, ...], depth: int) -> Iterator[str]:
    for line in lines:
        yield f"{'  ' * depth}{line.text}" + (f": {line.note}" if line.note else "")
        yield from _indented(line.under, depth + 1)


def _step(step: Step) -> Line:
    reason = step.reason
    under = tuple(_lookup(step, lookup) for lookup in step.lookups)
    text = (
        step.stage.value if step.stage is Stage.ADDRESSES else f"{step.stage.value} {step.result}"
    )
    return Line(text, f"{reason.words} [{reason.clause}]", under)


def _lookup(step: Step, lookup: Lookup) -> Line:
    answer = lookup.answer
    note = f"{_outcome(lookup)}; {_how(lookup)}" if answer.exchanges else _outcome(lookup)
    if answer.aliases:
        note = f"alias of {' → '.join(answer.aliases)}; {note}"
    if step.stage is Stage.ADDRESSES:
        return Line(f"{answer.question}", note)
    judged = tuple(
        Line(f"{'*' if each.reason in _USED else '-'} {each.record}", each.reason.words)
        for each in lookup.judged
    )
    return Line(f"{answer.question}", note, judged)


def _outcome(lookup: Lookup) -> str:
    answer = lookup.answer
    if answer.outcome is Outcome.FAILED:
        return "failed" if answer.exchanges else f"failed: {answer.note}"
    if answer.outcome is not Outcome.FOUND:
        return f"none ({answer.outcome.value}), for {answer.ttl:.0f} s"
    used = [each.record for each in lookup.judged if each.reason is Reason.ADDRESS_USED]
    beyond = sum(each.reason is Reason.ADDRESS_LIMIT for each in lookup.judged)
    more = f" and {beyond} that are not used" if beyond else ""
    count = len(answer.records)
    what = ", ".join(used) + more if used else f"{count} record{'' if count == 1 else 's'}"
    return f"{what}, TTL {answer.ttl:.0f} s"


def _how(lookup: Lookup) -> str:
    if lookup.cached:
        return "known already"
    tries = [
        f"{each.server}"
        + ("" if each.result == "answer" else f" ({each.result})")
        + (f" {each.seconds * 1000:.1f} ms" if each.seconds else "")
        for each in lookup.answer.exchanges
    ]
    return ", then ".join(tries)


def _tried(number: int, each: Tried, width: int) -> Line:
    notes = [] if each.name == each.candidate.host else [each.name]
    if each.priority is not None:
        notes.append(f"priority {each.priority}, weight {each.weight}")
    if each.drawn is not None:
        drawn = each.drawn
        notes.append(f"drew {drawn.number} of 0 to {drawn.highest} among {drawn.among}")
    if each.penalty:
        notes.append(f"failed lately: tried last for another {each.penalty:.0f} s")
    return Line(f"{number} {each.candidate!s:{width}}", ", ".join(notes))


def as_json(decision: Decision) -> dict[str, Json]:
    """The whole record as JSON values."""
    target, problem = decision.target, decision.problem
    return {
        "target": {
            "host": target.host,
            "port": target.port,
            "transport": target.transport,
            "sips": target.secure,
            "numeric": target.version is not None,
        },
        "steps": [
            {
                "stage": step.stage.value,
                "reason": step.reason.code,
                "clause": step.reason.clause,
                "result": step.result,
                "lookups": [_lookup_json(lookup) for lookup in step.lookups],
            }
            for step in decision.steps
        ],
        "order": [_tried_json(each) for each in decision.order],
        "problem": problem and {"code": problem.code, "message": problem.message},
        "warnings": list(decision.warnings),
    }


def _lookup_json(lookup: Lookup) -> Json:
    answer: Answer = lookup.answer
    return {
        "name": answer.question.name,
        "type": answer.question.type.name,
        "outcome": answer.outcome.value,
        "ttl": round(answer.ttl, 3),
        "aliases": list(answer.aliases),
        "note": answer.note,
        "cached": lookup.cached,
        "records": [{"record": each.record, "reason": each.reason.code} for each in lookup.judged],
        "exchanges": [
            {"server": each.server, "seconds": round(each.seconds, 6), "result": each.result}
            for each in answer.exchanges
        ],
    }


def _tried_json(each: Tried) -> Json:
    candidate, drawn = each.candidate, each.drawn
    return {
        "transport": candidate.transport.value,
        "address": candidate.host,
        "port": candidate.port,
        "domain": candidate.domain,
        "server": each.name,
        "priority": each.priority,
        "weight": each.weight,
        "drawn": drawn and {"number": drawn.number, "highest": drawn.highest, "among": drawn.among},
        "penalty": round(each.penalty, 3),
    }
