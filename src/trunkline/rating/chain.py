"""The first half of a price: from the call to the prices of its destination.

Profile, activation in force, longest prefix. For voice a call may meet several activations; each
part is answered by the plan that is in force then. (The reference splits there too, but keeps
charging by the old plan; we do not.) What is not voice is answered as of its start.

Rules, as in the reference: the subject's profile, and ``*any`` only where there is none or before
its first activation; fallback subjects only where the plan in force has no price for the
destination, in their order, ``fallback_depth`` profiles at most on one way.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import tzinfo
from fractions import Fraction

from trunkline.rating.call import VOICE, Call, epoch_nanoseconds
from trunkline.rating.clock import local_day, local_text
from trunkline.rating.decision import Candidate, Reason, Stage, Step
from trunkline.rating.errors import RatingError
from trunkline.rating.index import ALWAYS_ACTIVE, ActivePlan, Entry, Group, Profile
from trunkline.rating.model import ANY
from trunkline.rating.tariff import Tariff

__all__ = ["Match", "Part", "resolve", "resolve_plan", "winner_at"]


@dataclass(frozen=True, slots=True)
class Match:
    """A destination found in the plan of a profile."""

    profile: Profile
    active: ActivePlan
    prefix: str
    """What matched of the number, or ``*any``."""
    group: Group

    @property
    def subject_key(self) -> str:
        """The profile's key as the reference writes it."""
        profile = self.profile
        return f"*out:{profile.tenant}:{profile.category}:{profile.subject}"


Part = tuple[int, int, Match]


@dataclass(slots=True)
class Chain:
    """The search for one call. ``steps`` is written only where somebody wants to read it."""

    tariff: Tariff
    call: Call
    zone: tzinfo
    start: int
    """The answer time in nanoseconds since 1970."""
    steps: list[Step] | None
    refusal: RatingError | None = None
    """The first link that was missing."""

    def resolve(self) -> list[Part]:
        """(from, to, match) for every part of the call, in nanoseconds of usage.

        What is not voice, and a call without usage, is one part from 0 to 0.
        """
        call = self.call
        profile = self._profile(call.subject)
        if profile is None:
            raise RatingError(
                "rating.no-plan",
                f"no rating profile for {call.tenant}:{call.category}:{call.subject or '-'}, "
                f"nor for {call.tenant}:{call.category}:*any",
                missing="RatingProfile",
                supply=f"add a row {call.tenant},{call.category},*any,,PLAN, to "
                "RatingProfiles.csv, or one for the subject",
                reference="RATING_PLAN_NOT_FOUND",
            )
        return self.answered_by(profile)

    def answered_by(self, profile: Profile) -> list[Part]:
        """As ``resolve``, from the given profile on."""
        end = self.call.usage if self.call.tor == VOICE else 0
        parts = self._cover(profile, 0, end, (profile.subject,))
        if parts is None:
            assert self.refusal is not None  # whoever covers nothing says why
            raise self.refusal
        return parts

    def _profile(self, subject: str) -> Profile | None:
        call = self.call
        profiles = self.tariff.index.profiles
        own = profiles.get((call.tenant, call.category, subject))
        anyone = profiles.get((call.tenant, call.category, ANY))
        if self.steps is not None:
            key = f"{call.tenant}:{call.category}:"
            losers: list[Candidate] = []
            winner: Candidate | None = None
            if own is not None:
                winner = Candidate(key + own.subject, Reason.SUBJECT, source=own.source)
                if anyone is not None and anyone is not own:
                    losers.append(Candidate(key + ANY, Reason.NOT_NEEDED, source=anyone.source))
            else:
                losers.append(Candidate(key + (subject or "-"), Reason.NO_PROFILE))
                if anyone is not None:
                    winner = Candidate(key + ANY, Reason.ANY_SUBJECT, source=anyone.source)
            self.steps.append(Step(Stage.PROFILE, winner, tuple(losers)))
        return anyone if own is None else own

    def _cover(
        self, profile: Profile, start: int, end: int, way: tuple[str, ...]
    ) -> list[Part] | None:
        """The parts of ``start`` to ``end`` that ``profile`` and its fallbacks answer: all or none.

        ``way`` has the subjects that led here, this one included.
        """
        activations = profile.activations
        offsets = [epoch_nanoseconds(each.time) - self.start for each in activations]
        parts: list[Part] = []
        at = start
        number = bisect_right(offsets, start) - 1
        while True:
            to = min(end, offsets[number + 1]) if number + 1 < len(offsets) else end
            if number < 0:
                found = self._before_first(profile, at, to, way)
            else:
                self._say_activation(profile, number, at)
                found = self._plan(profile, activations[number], at, to, way)
            if found is None:
                return None
            parts += found
            if to >= end:
                return parts
            at = to
            number += 1

    def _say_activation(self, profile: Profile, number: int, at: int) -> None:
        if self.steps is None:
            return

        def candidate(position: int, reason: Reason) -> Candidate:
            each = profile.activations[position]
            time = "always" if each.time.year == 1 else each.time.isoformat()
            return Candidate(each.plan.id, reason, f"from {time}", each.source)

        self.steps.append(
            Step(
                Stage.ACTIVATION,
                candidate(number, Reason.IN_FORCE) if number >= 0 else None,
                tuple(
                    candidate(other, Reason.SUPERSEDED if other < number else Reason.NOT_YET)
                    for other in range(len(profile.activations))
                    if other != number
                ),
            )
        )

    def _before_first(
        self, profile: Profile, start: int, end: int, way: tuple[str, ...]
    ) -> list[Part] | None:
        """Before the first activation of a profile that of ``*any`` counts."""
        self._say_activation(profile, -1, start)
        if profile.subject != ANY and ANY not in way and len(way) < self.tariff.fallback_depth:
            anyone = self.tariff.index.profiles.get((profile.tenant, profile.category, ANY))
            if anyone is not None:
                self._say_fallback(anyone, Reason.FALLBACK)
                parts = self._cover(anyone, start, end, (*way, ANY))
                if parts is not None:
                    return parts
        first = profile.activations[0].time.isoformat() if profile.activations else "never"
        key = f"{profile.tenant}:{profile.category}:{profile.subject}"
        self._refuse(
            RatingError(
                "rating.not-active",
                f"the profile {key} has no plan at "
                f"{local_text(self.zone, self.start + start)}: its first is from {first}",
                missing="Activation",
                supply="add a row with an earlier ActivationTime to RatingProfiles.csv",
                reference="RATING_PLAN_NOT_FOUND",
            )
        )
        return None

    def _say_fallback(self, profile: Profile | str, reason: Reason) -> None:
        if self.steps is None:
            return
        call = self.call
        if isinstance(profile, str):
            name, source = f"{call.tenant}:{call.category}:{profile}", None
        else:
            name = f"{call.tenant}:{call.category}:{profile.subject}"
            source = profile.source
        candidate = Candidate(name, reason, source=source)
        if reason is Reason.FALLBACK:
            self.steps.append(Step(Stage.PROFILE, candidate))
        else:
            self.steps.append(Step(Stage.PROFILE, None, (candidate,)))

    def _refuse(self, refusal: RatingError) -> None:
        if self.refusal is None:
            self.refusal = refusal

    def _plan(
        self, profile: Profile, active: ActivePlan, start: int, end: int, way: tuple[str, ...]
    ) -> list[Part] | None:
        """One activation: its plan's price for the destination, else that of a fallback."""
        match = self._destination(profile, active, start)
        if match is not None:
            return [(start, end, match)]
        for subject in active.fallbacks:
            if subject in way:
                self._say_fallback(subject, Reason.SEEN)
                continue
            other = self.tariff.index.profiles.get((profile.tenant, profile.category, subject))
            if other is None:
                self._say_fallback(subject, Reason.NO_PROFILE)
            elif len(way) >= self.tariff.fallback_depth:
                self._say_fallback(subject, Reason.TOO_DEEP)
            else:
                self._say_fallback(other, Reason.FALLBACK)
                parts = self._cover(other, start, end, (*way, subject))
                if parts is not None:
                    return parts
                self._say_fallback(subject, Reason.NOT_COVERED)
        return None

    def _destination(self, profile: Profile, active: ActivePlan, at: int) -> Match | None:
        """The longest prefix that the plan has a price for at this moment."""
        plan = active.plan
        number = self.call.destination
        losers: list[Candidate] = []
        untimed = False
        best: Match | None = None
        if number and number != ANY:
            index = self.tariff.index
            for length in index.lengths:
                prefix = number[:length]
                if length > len(number) or (tags := index.prefixes.get(prefix)) is None:
                    continue
                best_weight = Fraction(0)
                found: Match | None = None
                for tag in (tags,) if isinstance(tags, str) else tags:
                    if best is not None:
                        losers.append(Candidate(tag, Reason.SHORTER, f"prefix {prefix}"))
                        continue
                    group = plan.group(tag)
                    if group is None:
                        losers.append(Candidate(tag, Reason.NOT_IN_PLAN, f"prefix {prefix}"))
                        continue
                    entry = winner_at(group, self.zone, self.start + at)
                    if entry is None:
                        untimed = True
                        losers.append(Candidate(tag, Reason.NOT_TIMED, f"prefix {prefix}"))
                    elif found is None or entry.weight > best_weight:
                        if found is not None:
                            losers.append(
                                Candidate(found.group.destination_id, Reason.OUTWEIGHED, prefix)
                            )
                        found, best_weight = Match(profile, active, prefix, group), entry.weight
                    else:
                        reason = (
                            Reason.LATER_ROW if entry.weight == best_weight else Reason.OUTWEIGHED
                        )
                        losers.append(Candidate(tag, reason, f"prefix {prefix}"))
                if found is not None:
                    best = found
                    if self.steps is None:
                        return best
        anything = plan.group(ANY)
        reason = Reason.LONGEST
        if anything is not None:
            if best is not None:
                losers.append(Candidate(ANY, Reason.ANY_NOT_NEEDED))
            elif winner_at(anything, self.zone, self.start + at) is None:
                untimed = True
                losers.append(Candidate(ANY, Reason.NOT_TIMED))
            else:
                best, reason = Match(profile, active, ANY, anything), Reason.ANY_DESTINATION
        if self.steps is not None:
            winner = None
            if best is not None:
                group = best.group
                detail = f"prefix {best.prefix}"
                source = group.entries[0].destination_source
                winner = Candidate(group.destination_id, reason, detail, source)
            self.steps.append(Step(Stage.DESTINATION, winner, tuple(losers)))
        if best is None:
            self._no_destination(profile, active, at, untimed)
        return best

    def _no_destination(self, profile: Profile, active: ActivePlan, at: int, untimed: bool) -> None:
        number, plan = self.call.destination or ANY, active.plan.id
        key = f"{profile.tenant}:{profile.category}:{profile.subject}"
        fallbacks = ";".join(active.fallbacks)
        tried = f", nor has a fallback subject of it ({fallbacks})" if fallbacks else ""
        if untimed:
            self._refuse(
                RatingError(
                    "rating.no-timing",
                    f"the plan {plan} of {key} has a price for {number}, but none that holds at "
                    f"{local_text(self.zone, self.start + at)}{tried}",
                    missing="Timing",
                    supply=f"add a row of {plan} with a timing that holds then, such as *any, to "
                    "RatingPlans.csv",
                    reference="UNAUTHORIZED_DESTINATION",
                )
            )
            return
        self._refuse(
            RatingError(
                "rating.no-destination",
                f"the plan {plan} of {key} has no price for {number}{tried}",
                missing="Destination",
                supply="add a prefix of the number to Destinations.csv and bind it in "
                f"DestinationRates.csv and in {plan} of RatingPlans.csv, or bind *any there",
                reference="UNAUTHORIZED_DESTINATION",
            )
        )


def winner_at(group: Group, zone: tzinfo, at: int) -> Entry | None:
    """The price of ``group`` that holds at ``at`` (nanoseconds since 1970); None: none does."""
    if group.steady is not None:
        return group.steady
    assert group.table is not None
    ordinal, of_day = local_day(zone, at)
    for end, winner in group.table.day(ordinal):
        if of_day < end:
            return None if winner is None else group.entries[winner]
    raise AssertionError("a day table ends at midnight")


def resolve(
    tariff: Tariff, call: Call, zone: tzinfo, start: int, steps: list[Step] | None
) -> list[Part]:
    """The parts of a completed call and what answers each; see ``Chain.resolve``.

    Raises:
        RatingError: ``rating.no-plan``, ``rating.not-active``, ``rating.no-destination`` or
            ``rating.no-timing``.
    """
    return Chain(tariff, call, zone, start, steps).resolve()


def resolve_plan(
    tariff: Tariff, call: Call, zone: tzinfo, start: int, steps: list[Step] | None, plan_id: str
) -> list[Part]:
    """As ``resolve``, with a rating plan in place of a profile.

    Raises:
        RatingError: as ``resolve``.
    """
    plan = tariff.index.plans.get(plan_id)
    if plan is None:
        raise RatingError(
            "rating.no-plan",
            f"no rating plan {plan_id}",
            missing="RatingPlan",
            supply=f"add rows of {plan_id} to RatingPlans.csv",
            reference="RATING_PLAN_NOT_FOUND",
        )
    active = ActivePlan(ALWAYS_ACTIVE, plan, (), plan.source)
    profile = Profile(call.tenant, call.category, call.subject, (active,), active, plan.source)
    return Chain(tariff, call, zone, start, steps).answered_by(profile)
