"""Answers out of a zone's text instead of a name server's: for tests and rehearsals.

The text is that of a master file (RFC 1035 section 5), with absolute names or an ``$ORIGIN``:

```text
scscf.example.           60 IN A   192.0.2.20
_sip._udp.ims.example.   60 IN SRV 10 50 5060 scscf.example.
```

Nothing is waited for but a turn of the loop; a name that is not there does not exist.
"""

from __future__ import annotations

import asyncio
import textwrap

import dns.exception
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zonefile

from trunkline.errors import TrunklineError
from trunkline.net.dns.reading import records_of
from trunkline.sip.locate.records import Answer, Outcome, Question, as_name

__all__ = ["ZoneResolver"]

_MOST_ALIASES = 8
_NEGATIVE_TTL = 60.0


class ZoneResolver:
    """Answers from ``text``.

    Raises:
        TrunklineError: ``dns.zone``: a line is no record.
    """

    def __init__(self, text: str) -> None:
        self.asked: list[Question] = []
        """What was asked, in order."""
        text = textwrap.dedent(text)  # a line that begins with a blank has no name
        try:
            rrsets = (
                dns.zonefile.read_rrsets(text, name=None, rdclass=None, origin=".") if text else []
            )
        except dns.exception.DNSException as problem:
            raise TrunklineError("dns.zone", f"no zone: {problem}") from problem
        self._rrsets: dict[tuple[str, int], dns.rrset.RRset] = {
            (as_name(rrset.name.to_text()), int(rrset.rdtype)): rrset for rrset in rrsets
        }
        self._names = {name for name, _ in self._rrsets}

    async def ask(self, question: Question) -> Answer:
        """The answer to ``question``."""
        self.asked.append(question)
        await asyncio.sleep(0)
        name = question.name
        aliases: list[str] = []
        while (alias := self._rrsets.get((name, int(dns.rdatatype.CNAME)))) is not None:
            name = as_name(alias[0].target.to_text())
            aliases.append(name)
            if len(aliases) > _MOST_ALIASES:
                return Answer(question, Outcome.FAILED, note="a circle of CNAME records")
        found = self._rrsets.get((name, int(question.type)))
        if found is None:
            missing = Outcome.NO_DATA if name in self._names else Outcome.NO_NAME
            return Answer(question, missing, ttl=_NEGATIVE_TTL, aliases=tuple(aliases))
        return Answer(question, Outcome.FOUND, records_of(found), float(found.ttl), tuple(aliases))
