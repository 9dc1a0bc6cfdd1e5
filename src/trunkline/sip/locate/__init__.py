"""RFC 3263 without a socket: where a SIP message goes, whom to try next, and why.

:class:`Directory` is what a node has one of. :class:`Location` is the machine that asks,
:class:`Candidates` the order for one message, :class:`Decision` the record. The questions travel by
``trunkline.net.dns``.
"""

from __future__ import annotations

from trunkline.sip.locate.candidates import Candidates, LiteralCandidates
from trunkline.sip.locate.decision import Candidate, Decision, Problem
from trunkline.sip.locate.directory import Directory
from trunkline.sip.locate.health import Failure
from trunkline.sip.locate.location import Location
from trunkline.sip.locate.ordering import Draw
from trunkline.sip.locate.records import Answer, Outcome, Question, RecordType
from trunkline.sip.locate.rules import Rules
from trunkline.sip.locate.target import Target

__all__ = [
    "Answer",
    "Candidate",
    "Candidates",
    "Decision",
    "Directory",
    "Draw",
    "Failure",
    "LiteralCandidates",
    "Location",
    "Outcome",
    "Problem",
    "Question",
    "RecordType",
    "Rules",
    "Target",
]
