"""Scenarios for sipp, written as ladders: what a side sends, and what it waits for.

A caller's transactions have branches of their own, made of process, call and CSeq, so that a
CANCEL and the ACK to a failure have that of their INVITE, as RFC 3261 sections 9.1 and 17.1.1.3
ask. A callee that answers an INVITE after it has received something else has kept the INVITE's
rows (`keep`).
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

__all__ = [
    "ACK",
    "ANSWER",
    "BYE",
    "CALL",
    "CALLEE",
    "OK",
    "PAUSE",
    "RINGING",
    "Scenario",
    "ack_failure",
    "answer",
    "cancel",
    "expect",
    "in_dialog",
    "invite",
    "keep",
    "pause",
    "request",
    "send",
    "xml",
]

Scenario = tuple[str, ...]
"""The elements of a scenario, one for each step."""

SDP = """\
v=0
o=- 2890844526 2890844526 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 8
a={direction}"""

_LOCAL = "[local_ip]:[local_port]"
_FROM = 'From: "Alice" <sip:alice@example.org>;tag=[pid]a[call_number]'
_TO = 'To: "Bob" <sip:[service]@example.org>'


def xml(name: str, scenario: Scenario) -> str:
    """Return the scenario as sipp reads it."""
    head = '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
    steps = "\n".join(scenario)
    return f"{head}<scenario name={quoteattr(name)}>\n{steps}\n</scenario>\n"


def send(text: str, *, again: bool = False) -> str:
    """Send a message; ``again``: until it is answered."""
    retransmitted = ' retrans="500"' if again else ""
    return f"<send{retransmitted}><![CDATA[\n{text}\n]]></send>"


def expect(
    what: str | int,
    *,
    optional: bool = False,
    routes: bool = False,
    challenge: bool = False,
    do: str = "",
) -> str:
    """Wait for a request by its method, or a response by its status.

    ``routes``: its Record-Route and Contact are those of the dialog; ``challenge``: it has one,
    for ``[authentication]`` of the next request; ``do`` is an action.
    """
    kind = "request" if isinstance(what, str) else "response"
    words = f'{kind}="{what}"' + ' optional="true"' * optional + ' rrs="true"' * routes
    words += ' auth="true"' * challenge
    return f"<recv {words}>{f'<action>{do}</action>' if do else ''}</recv>"


def pause(milliseconds: int) -> str:
    """Do nothing for a while."""
    return f'<pause milliseconds="{milliseconds}"/>'


PAUSE = "<pause/>"
"""As long as the argument ``-d`` says."""


def _message(first: str, *rows: str, body: str = "") -> str:
    rows += (
        ("Content-Type: application/sdp", "Content-Length: [len]")
        if body
        else ("Content-Length: 0",)
    )
    return "\n".join([first, *rows, "", body])


# a caller


def request(
    method: str,
    *rows: str,
    number: int = 1,
    uri: str = "sip:[service]@[remote_ip]:[remote_port]",
    branch: str = "",
    to_tag: str = "",
    body: str = "",
) -> str:
    """Return a request outside of a dialog."""
    return _message(
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/[transport] {_LOCAL};branch=z9hG4bK-[pid]-[call_number]-{branch or number}",
        "Max-Forwards: 70",
        _FROM,
        _TO + to_tag,
        "Call-ID: [call_id]",
        f"CSeq: {number} {method}",
        *rows,
        body=body,
    )


def invite(
    *rows: str, number: int = 1, uri: str = "sip:[service]@[remote_ip]:[remote_port]"
) -> str:
    """Return an INVITE that begins a call."""
    contact = f"Contact: <sip:alice@{_LOCAL};transport=[transport]>"
    return request(
        "INVITE", contact, *rows, number=number, uri=uri, body=SDP.format(direction="sendrecv")
    )


def in_dialog(
    method: str,
    number: int,
    *rows: str,
    branch: str = "",
    direction: str = "",
    uri: str = "[next_url]",
) -> str:
    """Return a request of the dialog; ``direction``: with a session description."""
    return request(
        method,
        "[routes]",
        f"Contact: <sip:alice@{_LOCAL};transport=[transport]>",
        *rows,
        number=number,
        uri=uri,
        branch=branch,
        to_tag="[peer_tag_param]",
        body=SDP.format(direction=direction) if direction else "",
    )


def cancel() -> str:
    """Return the CANCEL of the first INVITE."""
    return request("CANCEL")


def ack_failure(number: int = 1) -> str:
    """Return the ACK to a failure of an INVITE outside of a dialog."""
    return request("ACK", number=number, to_tag="[peer_tag_param]")


ACK = send(in_dialog("ACK", 1, branch="ack"))
BYE: Scenario = (send(in_dialog("BYE", 2), again=True), expect(200))

CALL: Scenario = (
    send(invite(), again=True),
    expect(100, optional=True),
    expect(180, optional=True),
    expect(200, routes=True),
    ACK,
    PAUSE,
    *BYE,
)
"""A call, ended by the caller."""


# a callee

_TAG = ";tag=[pid]b[call_number]"
_CONTACT = f"Contact: <sip:bob@{_LOCAL};transport=[transport]>"


def keep(vias: int = 2) -> str:
    """Return what keeps the rows of an INVITE that came over so many hops, for `answer`."""
    names = [("Via", f"Via{each}", each) for each in range(1, vias + 1)]
    names += [
        (name, name.replace("-", ""), 1) for name in ("Record-Route", "From", "To", "Call-ID")
    ]
    return "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{name}:" occurrence="{each}"'
        f' assign_to="{variable}"/>'
        for name, variable, each in names
    )


def answer(line: str, *rows: str, direction: str = "", tag: str = _TAG, kept: int = 0) -> str:
    """Return a response to what came last.

    ``kept``: to the INVITE whose rows were kept, so many of them Vias.
    """
    if kept:
        copied = [f"Via:[$Via{each}]" for each in range(1, kept + 1)]
        copied += ["Record-Route:[$RecordRoute]", "From:[$From]", f"To:[$To]{tag}"]
        copied += ["Call-ID:[$CallID]", "CSeq: 1 INVITE"]
    else:
        copied = ["[last_Via:]", "[last_Record-Route:]", "[last_From:]", f"[last_To:]{tag}"]
        copied += ["[last_Call-ID:]", "[last_CSeq:]"]
    body = SDP.format(direction=direction) if direction else ""
    return _message(f"SIP/2.0 {line}", *copied, *rows, body=body)


RINGING = send(answer("180 Ringing", _CONTACT))
ANSWER = send(answer("200 OK", _CONTACT, direction="sendrecv"), again=True)
OK = send(answer("200 OK", tag=""))

CALLEE: Scenario = (
    expect("INVITE"),
    RINGING,
    PAUSE,
    ANSWER,
    expect("ACK"),
    expect("BYE"),
    OK,
)
"""Rings, answers, and waits for the end."""
