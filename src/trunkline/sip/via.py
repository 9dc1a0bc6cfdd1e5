"""The topmost Via: what matching and routing need of it, on every message (RFC 3261 section 20.42).

The whole header is `trunkline.sip.headers`'. Here one expression reads the first value of a row and
the rest of the row is left alone, because another element's Via values are none of our business
(RFC 5393 section 4.2.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trunkline.sip.message import Message
from trunkline.sip.transport import Address

__all__ = ["COOKIE", "TopVia", "bare_params", "mark_source", "pop_via", "top_via"]

COOKIE = "z9hG4bK"
"""The magic cookie that a branch of RFC 3261 begins with (section 8.1.1.7)."""

# sent-protocol LWS sent-by *( SEMI via-params ), section 25.1; a comma ends the value
_VIA = re.compile(
    r"[ \t]*SIP[ \t]*/[ \t]*[0-9.]+[ \t]*/[ \t]*(?P<transport>[^\s/;,]+)[ \t]+"
    r"(?P<host>\[[^\]\s]*\]|[^\s:;,\[\]\"<>]+)(?:[ \t]*:[ \t]*(?P<port>\d{1,5}))?[ \t]*"
    r"(?P<params>(?:;[^,;\"]*(?:\"(?:[^\"\\]|\\.)*\"[^,;\"]*)*)*)(?=,|\Z)",
    re.IGNORECASE | re.ASCII,
)
_BRANCH = re.compile(r";[ \t]*branch[ \t]*=[ \t]*([^\s;,]+)", re.IGNORECASE)
_RPORT = re.compile(r";[ \t]*rport(?:[ \t]*=[ \t]*\d*)?[ \t]*(?=;|\Z)", re.IGNORECASE)
_RECEIVED = re.compile(r";[ \t]*received[ \t]*=[ \t]*[^\s;,]*", re.IGNORECASE)
_PARAMETER = re.compile(r';(?:[^;"]|"(?:[^"\\]|\\.)*")*')  # of params that _VIA has found
_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)')  # always matches: no backtracking
_HIGHEST_PORT = 65535
_LONGEST_HOST = 255  # RFC 1035 section 2.3.4
_LONGEST_PLACE = 256  # longer ones are not remembered

_MORE = re.compile(r"[;,\s]")
_PLACES: dict[str, tuple[str, str, int | None]] = {}
"""Sent-protocol and sent-by as written, to what they say."""
_MOST_PLACES = 4096


@dataclass(slots=True)
class TopVia:
    """The first value of a Via row. ``host`` is without brackets, ``params`` as it is written."""

    transport: str
    host: str
    port: int | None
    params: str
    branch: str
    """Empty where there is none."""
    end: int
    """Where the value ends in the row's value; behind it a comma or nothing."""
    symmetric: bool = False
    """Whether responses go to the port that the request came from (``mark_source``)."""


def top_via(value: str) -> TopVia | None:
    """Read the first Via value of a row; ``None`` if it is none."""
    # What stands before the branch is the same in all that a neighbour sends.
    place, mark, rest = value.partition(";branch=")
    known = _PLACES.get(place)
    if known is not None and rest:
        more = _MORE.search(rest)
        if more is None:
            return TopVia(*known, mark + rest, rest, len(value))
        if more[0] == "," and more.start():  # another value in the same row
            branch = rest[: more.start()]
            return TopVia(*known, mark + branch, branch, len(place) + len(mark) + len(branch))
    found = _VIA.match(value)
    if found is None:
        return None
    transport, host, written, params = found.groups()
    port = int(written) if written else None
    if len(host) > _LONGEST_HOST or (port is not None and port > _HIGHEST_PORT):
        return None
    found_branch = _BRANCH.search(bare_params(params))
    if host[0] == "[":
        host = host[1:-1]
    if (
        mark
        and len(place) <= _LONGEST_PLACE
        and found.end("port" if written else "host") == len(place)
    ):
        if len(_PLACES) >= _MOST_PLACES:
            _PLACES.clear()
        _PLACES[place] = transport, host, port
    return TopVia(
        transport,
        host,
        port,
        params,
        found_branch[1] if found_branch else "",
        found.end(),
    )


def mark_source(message: Message, at: int, via: TopVia, source: Address) -> None:
    """Write where a request came from into its top Via, row ``at`` (18.2.1, RFC 3581 section 4).

    ``received`` is written where sent-by says something else, or ``rport`` asked for it; one that
    the sender wrote goes. ``rport`` makes the Via ``symmetric``.
    """
    host = source[0]
    low = via.params.lower()  # parameter names compare without regard to case (section 7.3.1)
    marked = "received" in low
    if not marked and via.host == host and "rport" not in low:
        return
    if '"' in low:  # what stands in quotes may look like anything
        params, asked = _mark_each(via.params, source[1])
    else:
        params = _RECEIVED.sub("", via.params) if marked else via.params
        found = _RPORT.search(params)
        asked = found is not None
        if found is not None:
            params = f"{params[: found.start()]};rport={source[1]}{params[found.end() :]}"
    via.symmetric = asked
    if asked or via.host != host:
        params += f";received={host.partition('%')[0]}"  # without an IPv6 zone, which is ours
    value = message.headers.value(at)
    begin = value[: via.end - len(via.params)]
    message.headers.rewrite(at, f"{begin}{params}{value[via.end :]}")
    via.params = params


def bare_params(params: str) -> str:
    """Return parameters without what stands in quotes, which may look like other parameters."""
    return _QUOTED.sub("", params) if '"' in params else params


def _mark_each(params: str, port: int) -> tuple[str, bool]:
    """Return parameters without ``received``, with ``rport`` filled in, and whether that was so."""
    asked = False
    kept = []
    for each in _PARAMETER.findall(params):
        if _RECEIVED.match(each):
            continue
        if not asked and _RPORT.match(each):
            asked = True
            kept.append(f";rport={port}")
        else:
            kept.append(each)
    return "".join(kept), asked


def pop_via(message: Message, end: int) -> None:
    """Remove the topmost Via value (section 16.7 step 3); the others stay as they are.

    ``end`` is where it ends in its row's value, as in `TopVia`.
    """
    headers = message.headers
    at = headers.names.index("via")
    value = headers.value(at)
    rest = value[end + 1 :].lstrip(" \t,") if end < len(value) else ""
    if rest:
        headers.rewrite(at, rest)
    else:
        headers.delete(at)
