"""Every row of the tables by itself, against what the figures say.

The figures are RFC 6026's 5 and 7 for INVITE, RFC 3261's 6 and 8 for the others, with RFC 4320 and
the text beside them. What follows was written from them, not from the tables.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sip.transaction.ends import FAR, NEAR, make_layer, make_request, what

from trunkline.sip.message import Request, Response
from trunkline.sip.transaction import (
    TABLES,
    ClientTransaction,
    Event,
    Machine,
    RequestReceived,
    ServerTransaction,
    State,
    TransactionLayer,
    Trigger,
)
from trunkline.sip.transaction.diagram import render
from trunkline.sip.transport import Flow, Transport

# state, trigger, next state, what is sent, what the user is told; "-": nothing
FIGURES = {
    Machine.INVITE_CLIENT: """
        Calling     1xx                 Proceeding  -       ResponseReceived
        Calling     2xx                 Accepted    -       ResponseReceived
        Calling     300-699             Completed   ACK     ResponseReceived
        Calling     Timer_A             Calling     INVITE  -
        Calling     Timer_B             Terminated  -       TimedOut
        Calling     transport_error     Terminated  -       TransportFailed
        Calling     TU_gives_up         Terminated  -       -
        Proceeding  1xx                 Proceeding  -       ResponseReceived
        Proceeding  2xx                 Accepted    -       ResponseReceived
        Proceeding  300-699             Completed   ACK     ResponseReceived
        Proceeding  64*T1_after_CANCEL  Terminated  -       TimedOut
        Proceeding  transport_error     Proceeding  -       -
        Proceeding  TU_gives_up         Terminated  -       -
        Completed   1xx                 Completed   -       -
        Completed   2xx                 Completed   -       -
        Completed   300-699             Completed   ACK     -
        Completed   Timer_D             Terminated  -       -
        Completed   transport_error     Terminated  -       TransportFailed
        Completed   TU_gives_up         Completed   -       -
        Accepted    1xx                 Accepted    -       -
        Accepted    2xx                 Accepted    -       ResponseReceived
        Accepted    300-699             Accepted    -       -
        Accepted    Timer_M             Terminated  -       -
        Accepted    transport_error     Accepted    -       -
        Accepted    TU_gives_up         Accepted    -       -
        """,
    Machine.CLIENT: """
        Trying      1xx                 Proceeding  -       ResponseReceived
        Trying      2xx                 Completed   -       ResponseReceived
        Trying      300-699             Completed   -       ResponseReceived
        Trying      Timer_E             Trying      OPTIONS -
        Trying      Timer_F             Terminated  -       TimedOut
        Trying      transport_error     Terminated  -       TransportFailed
        Trying      TU_gives_up         Terminated  -       -
        Proceeding  1xx                 Proceeding  -       ResponseReceived
        Proceeding  2xx                 Completed   -       ResponseReceived
        Proceeding  300-699             Completed   -       ResponseReceived
        Proceeding  Timer_E             Proceeding  OPTIONS -
        Proceeding  Timer_F             Terminated  -       TimedOut
        Proceeding  transport_error     Terminated  -       TransportFailed
        Proceeding  TU_gives_up         Terminated  -       -
        Completed   1xx                 Completed   -       -
        Completed   2xx                 Completed   -       -
        Completed   300-699             Completed   -       -
        Completed   Timer_K             Terminated  -       -
        Completed   transport_error     Completed   -       -
        Completed   TU_gives_up         Completed   -       -
        """,
    Machine.INVITE_SERVER: """
        Proceeding  request_again       Proceeding  180     -
        Proceeding  ACK                 Proceeding  -       -
        Proceeding  1xx_from_TU         Proceeding  183     -
        Proceeding  2xx_from_TU         Accepted    200     -
        Proceeding  300-699_from_TU     Completed   486     -
        Proceeding  transport_error     Proceeding  -       TransportFailed
        Proceeding  TU_gives_up         Silent      -       -
        Completed   request_again       Completed   486     -
        Completed   ACK                 Confirmed   -       -
        Completed   1xx_from_TU         Completed   -       -
        Completed   2xx_from_TU         Completed   -       -
        Completed   300-699_from_TU     Completed   -       -
        Completed   Timer_G             Completed   486     -
        Completed   Timer_H             Terminated  -       TimedOut
        Completed   transport_error     Completed   -       TransportFailed
        Completed   TU_gives_up         Completed   -       -
        Confirmed   request_again       Confirmed   -       -
        Confirmed   ACK                 Confirmed   -       -
        Confirmed   1xx_from_TU         Confirmed   -       -
        Confirmed   2xx_from_TU         Confirmed   -       -
        Confirmed   300-699_from_TU     Confirmed   -       -
        Confirmed   Timer_I             Terminated  -       -
        Confirmed   transport_error     Confirmed   -       -
        Confirmed   TU_gives_up         Confirmed   -       -
        Silent      request_again       Silent      -       -
        Silent      ACK                 Silent      -       -
        Silent      1xx_from_TU         Silent      -       -
        Silent      2xx_from_TU         Silent      -       -
        Silent      300-699_from_TU     Silent      -       -
        Silent      Timer_L             Terminated  -       -
        Silent      transport_error     Silent      -       -
        Silent      TU_gives_up         Silent      -       -
        Accepted    request_again       Accepted    -       -
        Accepted    ACK                 Accepted    -       AckReceived
        Accepted    1xx_from_TU         Accepted    -       -
        Accepted    2xx_from_TU         Accepted    200     -
        Accepted    300-699_from_TU     Accepted    -       -
        Accepted    Timer_L             Terminated  -       -
        Accepted    transport_error     Accepted    -       TransportFailed
        Accepted    TU_gives_up         Accepted    -       -
        """,
    Machine.SERVER: """
        Trying      request_again       Trying      -       -
        Trying      1xx_from_TU         Trying      -       -
        Trying      2xx_from_TU         Completed   200     -
        Trying      300-699_from_TU     Completed   486     -
        Trying      Timer_E_would_be_T2 Proceeding  100     -
        Trying      transport_error     Trying      -       TransportFailed
        Trying      TU_gives_up         Silent      -       -
        Proceeding  request_again       Proceeding  100     -
        Proceeding  1xx_from_TU         Proceeding  -       -
        Proceeding  2xx_from_TU         Completed   200     -
        Proceeding  300-699_from_TU     Completed   486     -
        Proceeding  Timer_F_would_fire  Terminated  -       TimedOut
        Proceeding  transport_error     Proceeding  -       TransportFailed
        Proceeding  TU_gives_up         Silent      -       -
        Completed   request_again       Completed   200     -
        Completed   1xx_from_TU         Completed   -       -
        Completed   2xx_from_TU         Completed   -       -
        Completed   300-699_from_TU     Completed   -       -
        Completed   Timer_J             Terminated  -       -
        Completed   transport_error     Completed   -       TransportFailed
        Completed   TU_gives_up         Completed   -       -
        Silent      request_again       Silent      -       -
        Silent      1xx_from_TU         Silent      -       -
        Silent      2xx_from_TU         Silent      -       -
        Silent      300-699_from_TU     Silent      -       -
        Silent      Timer_E_would_be_T2 Silent      -       -
        Silent      Timer_F_would_fire  Terminated  -       -
        Silent      transport_error     Silent      -       -
        Silent      TU_gives_up         Silent      -       -
        """,
}
# When a timer comes up, the transaction and its present state having begun at 0
COMES_UP = {
    Trigger.A: 0.5,
    Trigger.B: 32.0,
    Trigger.D: 32.0,
    Trigger.E: 0.5,
    Trigger.F: 32.0,
    Trigger.G: 0.5,
    Trigger.H: 32.0,
    Trigger.I: 5.0,
    Trigger.J: 32.0,
    Trigger.K: 5.0,
    Trigger.L: 32.0,
    Trigger.M: 32.0,
    Trigger.LATE: 3.5,
    Trigger.EXPIRED: 32.0,
    Trigger.CANCELLED: 32.0,
}
TO_FAR, TO_NEAR = Flow(Transport.UDP, FAR, NEAR), Flow(Transport.UDP, NEAR, FAR)
BRANCH = "z9hG4bKrow"


def rows() -> dict[tuple[Machine, State, Trigger], tuple[State, str, str]]:
    found = {}
    for machine, text in FIGURES.items():
        for line in text.strip().splitlines():
            state, trigger, after, sent, told = line.split()
            key = machine, State(state), Trigger(trigger.replace("_", " "))
            assert key not in found
            found[key] = State(after), sent.replace("-", ""), told.replace("-", "")
    return found


ROWS = rows()


def test_the_tables_have_these_rows_and_no_others() -> None:
    tables = {
        (machine, state, trigger)
        for machine, table in TABLES.items()
        for state, row in table.items()
        for trigger in row
    }
    assert tables == set(ROWS)


def test_every_row_cites_a_clause() -> None:
    clauses = [
        row.clause for table in TABLES.values() for by in table.values() for row in by.values()
    ]
    assert all(any(c.isdigit() for c in clause) for clause in clauses)


def test_the_page_is_what_the_program_prints() -> None:
    page = Path(__file__).parents[3] / "docs" / "sip-transaction-states.md"
    command = "python -m trunkline.sip.transaction.diagram"
    assert page.read_text() == render(), f"run: {command} > that file"
    assert command in page.read_text()


class Client:
    """A client transaction and what can happen to it."""

    statuses = {Trigger.PROVISIONAL: 180, Trigger.SUCCESS: 200, Trigger.FAILURE: 486}  # noqa: RUF012
    way = {  # noqa: RUF012
        State.PROCEEDING: Trigger.PROVISIONAL,
        State.ACCEPTED: Trigger.SUCCESS,
        State.COMPLETED: Trigger.FAILURE,
    }

    def __init__(self, machine: Machine, state: State) -> None:
        self.layer = make_layer("row")
        self.method = "INVITE" if machine is Machine.INVITE_CLIENT else "OPTIONS"
        self.request = make_request(self.method, BRANCH)
        self.transaction: ClientTransaction | ServerTransaction = self.layer.request(
            self.request, BRANCH, TO_FAR, 0.0, None
        )
        if state in self.way:
            self.happens(self.way[state])
        self.layer.data_to_send()

    def happens(self, trigger: Trigger) -> Event | None:
        assert isinstance(self.transaction, ClientTransaction)
        match trigger:
            case Trigger.PROVISIONAL | Trigger.SUCCESS | Trigger.FAILURE:
                return self._answer(self.request, self.statuses[trigger])
            case Trigger.ERROR:
                method = "ACK" if self.transaction.state is State.COMPLETED else self.method
                lost = make_request(method, BRANCH).to_bytes()
                [*events] = self.layer.transport_failed(TO_FAR, [lost], "unreachable", 0.0)
                return events[0] if events else None
            case Trigger.ABORT:
                self.layer.abort(self.transaction, 0.0)
                return None
            case Trigger.CANCELLED:
                self.layer.cancel(self.transaction, 0.0)
                self._answer(make_request("CANCEL", BRANCH), 200)
        return pass_time(self.layer, COMES_UP[trigger])

    def _answer(self, request: Request, status: int) -> Event | None:
        data = Response.answer(request, status, to_tag="f").to_bytes()
        return self.layer.receive(data, TO_FAR, 0.0)


class Server:
    """A server transaction and what can happen to it."""

    def __init__(self, machine: Machine, state: State) -> None:
        self.layer = make_layer("row")
        self.machine = machine
        self.method = "INVITE" if machine is Machine.INVITE_SERVER else "OPTIONS"
        self.request = make_request(self.method, BRANCH)
        received = self.layer.receive(self.request.to_bytes(), TO_NEAR, 0.0)
        assert isinstance(received, RequestReceived)
        self.transaction: ClientTransaction | ServerTransaction = received.transaction
        self._reach(state)
        self.layer.data_to_send()

    def _reach(self, state: State) -> None:
        invite = self.machine is Machine.INVITE_SERVER
        match state:
            case State.PROCEEDING if invite:
                self._answer(180)
            case State.PROCEEDING:
                pass_time(self.layer, COMES_UP[Trigger.LATE])
            case State.ACCEPTED:
                self._answer(200)
            case State.COMPLETED:
                self._answer(486 if invite else 200)
            case State.CONFIRMED:
                self._answer(486)
                self.happens(Trigger.ACK)
            case State.SILENT:
                self.happens(Trigger.ABORT)

    def happens(self, trigger: Trigger) -> Event | None:
        assert isinstance(self.transaction, ServerTransaction)
        match trigger:
            case Trigger.REQUEST | Trigger.ACK:
                method = "ACK" if trigger is Trigger.ACK else self.method
                return self.layer.receive(make_request(method, BRANCH).to_bytes(), TO_NEAR, 0.0)
            case Trigger.TU_PROVISIONAL:
                self._answer(183)
                return None
            case Trigger.TU_SUCCESS:
                self._answer(200)
                return None
            case Trigger.TU_FAILURE:
                self._answer(486)
                return None
            case Trigger.ERROR:
                lost = Response.answer(self.request, 200).to_bytes()
                [*events] = self.layer.transport_failed(TO_NEAR, [lost], "unreachable", 0.0)
                return events[0] if events else None
            case Trigger.ABORT:
                self.layer.abort(self.transaction, 0.0)
                return None
        return pass_time(self.layer, COMES_UP[trigger])

    def _answer(self, status: int) -> None:
        assert isinstance(self.transaction, ServerTransaction)
        self.layer.respond(self.transaction, Response.answer(self.request, status), 0.0)


def pass_time(layer: TransactionLayer, until: float) -> Event | None:
    """Let time pass, and keep only what happens in the last moment of it."""
    events: list[Event] = []
    last = 0.0
    while (due := layer.next_timeout()) is not None and due <= until:
        layer.data_to_send()
        events = layer.on_timeout(due)
        last = due
    assert last == until
    assert len(events) <= 1
    return events[0] if events else None


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r[0].name}-{r[1]}-{r[2]}".replace(" ", "_"))
def test_a_row(row: tuple[Machine, State, Trigger]) -> None:
    machine, state, trigger = row
    after, sent, told = ROWS[row]
    client = machine in (Machine.INVITE_CLIENT, Machine.CLIENT)
    end: Client | Server = (Client if client else Server)(machine, state)
    assert end.transaction.state is state
    event = end.happens(trigger)
    assert end.transaction.state is after
    assert [what(data) for _, data in end.layer.data_to_send()] == ([sent] if sent else [])
    assert (type(event).__name__ if event else "") == told
    assert getattr(event, "transaction", end.transaction) is end.transaction
    kept = {**end.layer.clients, **end.layer.servers}.values()
    assert (end.transaction in kept) == (after is not State.TERMINATED)
