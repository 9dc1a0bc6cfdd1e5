"""The ring of a SIP element: bounded, whole calls, choosy under load."""

from __future__ import annotations

from trunkline.observe.recorder import Note, Recorder, SeenMessage, call_id_of
from trunkline.sip.transport import Flow, Transport

FLOW = Flow(Transport.UDP, ("192.0.2.1", 5060), ("192.0.2.2", 5060))


def message(call_id: str, body: str = "") -> bytes:
    return f"BYE sip:x SIP/2.0\r\nVia: v\r\nI : {call_id}\r\n\r\n{body}".encode()


def test_messages_and_notes_of_one_call() -> None:
    recorder = Recorder()
    recorder.message(1.0, FLOW, message("a"), False)
    recorder.message(2.0, FLOW, message("b", body="Call-ID: a"), True)
    recorder.note(1.0, "a", "sent", ("x",))
    recorder.note(2.0, "b", "sent", ("y",))
    assert [seen.time for seen in recorder.messages("a")] == [1.0]
    assert [seen.sent for seen in recorder.messages()] == [False, True]
    assert list(recorder.history("b")) == [
        SeenMessage(2.0, FLOW, message("b", body="Call-ID: a"), True),
        Note(2.0, "b", "sent", ("y",)),
    ]
    assert {key: len(seen) for key, seen in recorder.calls(["a", "x"]).items()} == {"a": 1, "x": 0}
    assert recorder.call_ids(10) == ["b", "a"]
    assert recorder.call_ids(1) == ["b"]
    assert recorder.call_ids(10, "a") == ["a"]


def test_the_ring_is_bounded_in_octets_and_time() -> None:
    recorder = Recorder(limit=10_000, age=60.0)
    for number in range(100):
        recorder.message(float(number) / 10, FLOW, message(f"c{number}"), False)
        recorder.note(float(number) / 10, f"c{number}", "sent", ())
    kept = list(recorder.messages())
    assert 10 <= len(kept) < 40
    assert recorder.forgotten == 100 - len(kept)
    assert list(recorder.history("c0")) == []
    recorder.expire(100.0)
    assert list(recorder.messages()) == []
    assert list(recorder.history("c99")) == []


def test_notes_cost_what_they_are_and_make_room_themselves() -> None:
    class Heavy:
        octets = 4000

    recorder = Recorder(limit=10_000, age=60.0)
    for number in range(100):
        recorder.note(float(number), "a", "script error", ("f", "x" * 1000))
    assert 5 <= len(list(recorder.history("a"))) <= 8
    for number in range(100):
        recorder.note(float(number), "a", "chosen", (Heavy(),))
    assert len(list(recorder.history("a"))) == 2
    recorder.expire(1000.0)
    assert recorder._size == 0


def test_under_load_fewer_calls_are_kept_but_whole() -> None:
    recorder = Recorder(rate=100.0)
    calls = [f"call{number}" for number in range(2000)]
    now = 0.0
    for round_ in range(8):
        for call in calls:
            now = round_ + calls.index(call) / len(calls)
            if recorder.wants(call):
                recorder.message(now, FLOW, message(call), False)
    chosen = [call for call in calls if recorder.wants(call)]
    assert 0 < len(chosen) < 400
    assert all(recorder.wants(call) for call in chosen)
    assert recorder.passed_over > 0
    recorder.taps.append(lambda seen: None)
    assert all(recorder.wants(call) for call in calls)
    recorder.taps.clear()
    for quiet in range(20):
        recorder.message(now + 2 * quiet, FLOW, message(chosen[0]), False)
    assert all(recorder.wants(call) for call in calls)


def test_call_ids_of_odd_messages() -> None:
    assert call_id_of(b"") == ""
    assert call_id_of(b"x\r\n\r\nCall-ID: body") == ""
    assert call_id_of(message("é")) == "é"
