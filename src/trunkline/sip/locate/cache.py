"""Answers kept for their time: positive ones by TTL, negative ones by SOA (RFC 2308 section 5).

An answer past its time is not used; one that nobody gave is kept a few seconds, so that a dead
server is not asked once for every call.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.sip.locate.records import Answer, Outcome, Question
from trunkline.sip.locate.rules import Rules

__all__ = ["AnswerCache"]


_USUAL = 4
"""Records of an answer, beyond which it takes the room of several."""
_LONGEST = 255
"""Characters of a name; a longer one is none (RFC 1035 section 2.3.4), and its failure not kept."""


class AnswerCache:
    """Answers by question. Bounded by ``rules.cache_limit``, in answers and in records."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._kept: dict[Question, tuple[float, Answer]] = {}
        self._records = 0
        self.hits = 0
        """Questions answered from here."""
        self.misses = 0
        """Questions that had to be asked."""
        self.dropped = 0
        """Answers that had to make room for others before their time."""

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, answer: Answer, now: float) -> Answer:
        """Keep ``answer``; returns it with the TTL for which it is kept."""
        rules = self._rules
        if answer.outcome is Outcome.FAILED:
            ttl = rules.failure_ttl if answer.asked else 0.0
        else:
            negative = answer.outcome is not Outcome.FOUND
            longest = min(rules.max_ttl, rules.max_negative_ttl) if negative else rules.max_ttl
            ttl = min(max(answer.ttl, rules.min_ttl), longest)
        answer = replace(answer, ttl=ttl)
        kept = self._kept
        before = kept.pop(answer.question, None)  # so that it moves to the end
        if before is not None:
            self._records -= len(before[1].records)
        if ttl > 0 and len(answer.question.name) <= _LONGEST:
            self._records += len(answer.records)
            most = rules.cache_limit * _USUAL
            while kept and (len(kept) >= rules.cache_limit or self._records > most):
                expires, oldest = kept.pop(next(iter(kept)))
                self._records -= len(oldest.records)
                self.dropped += expires > now
            kept[answer.question] = now + ttl, answer
        return answer

    def get(self, question: Question, now: float) -> Answer | None:
        """The answer to ``question`` with what is left of its TTL, or None."""
        found = self._kept.get(question)
        if found is None or found[0] <= now:
            self.misses += 1
            return None
        self.hits += 1
        expires, answer = found
        return replace(answer, ttl=expires - now)

    def clear(self) -> None:
        """Forget every answer."""
        self._kept.clear()
        self._records = 0
