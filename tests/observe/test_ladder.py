"""Ladders by transcripts: columns, arrows, retransmissions, narrow terminals."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from trunkline.observe.ladder import Ladder, ladder, plain
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.message import Request, Response
from trunkline.sip.transport import Address, Flow, Transport

CALLER: Address = ("192.0.2.10", 5060)
PROXY: Address = ("192.0.2.1", 5060)
CALLEE: Address = ("192.0.2.61", 5060)
NAMES = {PROXY: "Edge"}

INVITE = Request.build(
    "INVITE",
    "sip:bob@example.org",
    [("Call-ID", "a84b4c76@pc33"), ("CSeq", "1 INVITE"), ("Content-Type", "application/sdp")],
    b"v=0",
)


def seen(
    time: float,
    peer: Address,
    message: Request | Response,
    *,
    sent: bool,
    local: Address = PROXY,
    transport: Transport = Transport.UDP,
) -> SeenMessage:
    return SeenMessage(time, Flow(transport, peer, local), message.to_bytes(), sent)


def answer(status: int, reason: str = "", request: Request = INVITE) -> Response:
    return Response.answer(request, status, reason)


CALL = [
    seen(100.0, CALLER, INVITE, sent=False),
    seen(100.0, CALLER, answer(100), sent=True),
    seen(100.001, CALLEE, INVITE, sent=True),
    seen(100.501, CALLEE, INVITE, sent=True),
    seen(100.6, CALLEE, answer(183), sent=False),
    seen(100.6, CALLER, answer(183), sent=True),
    seen(102.25, CALLEE, answer(486), sent=False),
]


def test_a_call() -> None:
    drawn = plain(ladder(CALL, width=None, names=NAMES))
    assert (
        drawn
        == """\
                                             Edge
            192.0.2.10:5060             192.0.2.1:5060              192.0.2.61:5060
                   │                           │                           │
   0.000           │────── INVITE (SDP) ──────>│                           │
   0.000   +0.000  │<─────── 100 Trying ───────│                           │
   0.001   +0.001  │                           │────── INVITE (SDP) ──────>│
   0.501   +0.500  │                           │┄┄┄ INVITE (SDP) again ┄┄┄>│
   0.600   +0.099  │                           │<── 183 Session Progress ──│
   0.600   +0.000  │<── 183 Session Progress ──│                           │
   2.250   +1.650  │                           │<───── 486 Busy Here ──────│"""
    )


def test_a_narrow_terminal_shortens_labels() -> None:
    drawn = plain(ladder(CALL, width=60, names=NAMES, unicode=False))
    assert (
        drawn
        == """\
                                 Edge
            192.0.2.10:5060 192.0.2.1:5060  192.0.2.61:5060
                   |               |               |
   0.000           | INVITE (SDP) >|               |
   0.000   +0.000  |<- 100 Trying -|               |
   0.001   +0.001  |               | INVITE (SDP) >|
   0.501   +0.500  |               | INVITE again >|
   0.600   +0.099  |               |< 183 Session~ |
   0.600   +0.000  |< 183 Session~ |               |
   2.250   +1.650  |               |< 486 Busy He~ |"""
    )


def test_long_addresses_stand_on_two_rows() -> None:
    far: Address = ("2001:db8::1:2:3", 5060)
    call = [seen(1.0, far, INVITE, sent=False), seen(1.0, CALLEE, INVITE, sent=True)]
    assert [line.split() for line in plain(ladder(call, width=66)).splitlines()[:2]] == [
        ["[2001:db8::1:2:3]:5060", "192.0.2.61:5060"],
        ["192.0.2.1:5060"],
    ]


def test_a_terminal_too_narrow_for_columns_gets_a_list() -> None:
    drawn = plain(ladder(CALL[:3], width=40))
    assert (
        drawn
        == """\
   0.000           INVITE (SDP)
  192.0.2.10:5060 > 192.0.2.1:5060
   0.000   +0.000  100 Trying
  192.0.2.1:5060 > 192.0.2.10:5060
   0.001   +0.001  INVITE (SDP)
  192.0.2.1:5060 > 192.0.2.61:5060"""
    )


def live(messages: Iterable[SeenMessage], width: int | None) -> str:
    drawing = Ladder(width=width, names=NAMES)
    return plain(line for message in messages for line in drawing.add(message))


def test_columns_appear_with_their_addresses() -> None:
    lines = live(CALL[:3], 100).splitlines()
    assert [line.split() for line in lines if "192.0.2" in line] == [
        ["192.0.2.10:5060", "192.0.2.1:5060"],
        ["192.0.2.10:5060", "192.0.2.1:5060", "192.0.2.61:5060"],
    ]
    assert " a84b4c7… │" in lines[-1]


def test_the_column_that_was_idle_longest_makes_room() -> None:
    others: list[Address] = [(f"192.0.2.{100 + number}", 5060) for number in range(3)]
    answers = [
        seen(103.0 + number, other, answer(200), sent=True) for number, other in enumerate(others)
    ]
    lines = live([*CALL[:3], *answers], 80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    heads = [line.split() for line in lines if "192.0.2" in line]
    assert heads[1:] == [
        ["192.0.2.10:5060", "192.0.2.1:5060", "192.0.2.61:5060"],
        ["192.0.2.100:5060", "192.0.2.1:5060", "192.0.2.61:5060"],
        ["192.0.2.100:5060", "192.0.2.1:5060", "192.0.2.101:5060"],
        ["192.0.2.102:5060", "192.0.2.1:5060", "192.0.2.101:5060"],
    ]


def test_another_width_gets_heads_of_its_own() -> None:
    drawing = Ladder(width=120, names=NAMES)
    assert len(drawing.add(CALL[0])) == 4
    assert len(drawing.add(CALL[1])) == 1
    drawing.resize(80)
    assert len(drawing.add(CALL[2])) == 4
    drawing.resize(80)
    assert len(drawing.add(CALL[3])) == 1
    drawing.resize(30)
    assert [plain([line]).strip() for line in drawing.add(CALL[4])][-1] == (
        "192.0.2.61:5060 > 192.0.2.1:5060"
    )


def test_what_two_nodes_tell_of_one_message_is_drawn_once() -> None:
    near: Address = ("192.0.2.2", 5060)
    told = [
        seen(1.0, near, INVITE, sent=True),
        seen(1.0, PROXY, INVITE, sent=False, local=near),
        seen(1.5, near, INVITE, sent=True),
        seen(1.5, PROXY, INVITE, sent=False, local=near),
        seen(1.5, near, INVITE, sent=True, transport=Transport.TCP),
    ]
    lines = plain(ladder(told, width=None, names={PROXY: "Edge", near: "Core"})).splitlines()
    assert lines[0].split() == ["Edge", "Core"]
    assert [line.strip() for line in lines[3:]] == [
        "0.000           │────── INVITE (SDP) ──────>│",
        "0.500   +0.500  │┄┄┄ INVITE (SDP) again ┄┄┄>│",
        "0.500   +0.000  │─── INVITE (TCP, SDP) ────>│",
    ]


def test_an_arrow_over_a_column_and_one_to_itself() -> None:
    told = [
        *CALL[:1],
        seen(100.0, CALLEE, INVITE, sent=True),
        seen(101.0, CALLER, answer(200), sent=False, local=CALLEE),
        seen(102.0, PROXY, INVITE, sent=True),
    ]
    assert [line[19:] for line in plain(ladder(told, width=None)).splitlines()[-2:]] == [
        "│─────────────────────── 200 OK ───────────────────────>│",
        "│                           │ INVITE (SDP) to itself",
    ]


def test_what_is_no_message_or_would_command_the_terminal() -> None:
    odd = Response.build(200, "\x1b[31mOK\u200b 漢")
    lines = plain(
        ladder(
            [
                SeenMessage(1.0, Flow(Transport.UDP, CALLER, PROXY), b"\x1b", False),
                seen(1.0, CALLER, odd, sent=True),
            ],
            width=None,
        )
    ).splitlines()
    assert "not SIP: sip." in lines[-2]
    assert "200 ?[31mOK? ?" in lines[-1]


MESSAGES = st.lists(
    st.builds(
        seen,
        st.floats(0, 1e6),
        st.tuples(st.sampled_from(["192.0.2.1", "2001:db8::1:2:3", "::1"]), st.integers(1, 65535)),
        st.sampled_from([INVITE, answer(100), answer(183, "x" * 50)]),
        sent=st.booleans(),
        local=st.sampled_from([PROXY, CALLEE]),
    ),
    max_size=20,
)


@given(MESSAGES, st.integers(60, 200), st.booleans())
def test_no_line_is_wider_than_the_terminal(
    messages: list[SeenMessage], width: int, unicode: bool
) -> None:
    lines = ladder(messages, width=width, names=NAMES, unicode=unicode)
    drawing = Ladder(width=width, names=NAMES, unicode=unicode)
    lines += [line for message in messages for line in drawing.add(message)]
    text = plain(lines)
    drawn = [line for line in text.splitlines() if "|" in line or "│" in line]
    assert all(len(line) <= width for line in drawn)
    assert text.isascii() or unicode
