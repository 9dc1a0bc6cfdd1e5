"""Sessions as a user sees them: every transcript below is typed and compared to the letter."""

from __future__ import annotations

import pytest

from trunkline.config.cisco import Action, Cs7Config, Exec, Outcome, Session, changes, load
from trunkline.ss7.pointcode import ITU

BASE = """\
hostname CountryA
cs7 variant itu
cs7 network-indicator international
cs7 point-code 1.2.3
cs7 local-peer 1024
 local-ip 10.0.5.1
cs7 linkset ToCountryB 4.5.6
 link 0 sctp 10.0.5.2 1024 1024
"""


def base() -> Cs7Config:
    return load([("base", BASE)]).config


def transcript(session: Session, *lines: str) -> str:
    """Type ``lines``; a line that ends with ``?`` asks for help, as the key does."""
    shown = []
    for line in lines:
        shown.append(f"{session.prompt}{line}")
        text = session.help(line[:-1]) if line.endswith("?") else session.execute(line).text
        if text:
            shown.append(text)
    shown.append(session.prompt)
    return "\n".join(shown)


def test_the_course_typed_into_an_empty_router() -> None:
    session = Session(Cs7Config(hostname="CountryA"))
    assert (
        transcript(
            session,
            "conf t",
            "cs7 variant itu ",
            "cs7 network-indicator international ",
            "cs7 point-code 1.2.3",
            "cs7 local-peer 1024",
            "local-ip 10.0.5.1",
            "cs7 linkset ToCountryB 4.5.6",
            "link 0 sctp 10.0.5.2 1024 1024",
            " cs7 route-table system",
            "update route 7.0.0/3 linkset ToCountryB",
            "no update route 7.7.1/14 linkset ToCountryB",
            "exit",
            "exit",
        )
        == """\
CountryA#conf t
Enter configuration commands, one per line.  End with CNTL/Z.
CountryA(config)#cs7 variant itu 
CountryA(config)#cs7 network-indicator international 
CountryA(config)#cs7 point-code 1.2.3
CountryA(config)#cs7 local-peer 1024
CountryA(config-cs7-lp)#local-ip 10.0.5.1
CountryA(config-cs7-lp)#cs7 linkset ToCountryB 4.5.6
CountryA(config-cs7-ls)#link 0 sctp 10.0.5.2 1024 1024
CountryA(config-cs7-ls-link)# cs7 route-table system
CountryA(config-cs7-rt)#update route 7.0.0/3 linkset ToCountryB
CountryA(config-cs7-rt)#no update route 7.7.1/14 linkset ToCountryB
% there is no route 7.7.1/14 linkset ToCountryB
CountryA(config-cs7-rt)#exit
CountryA(config)#exit
CountryA#"""  # noqa: W291
    )
    assert session.config.routes[0].prefix.format() == "7.0.0/3"


def test_help_lists_what_may_follow() -> None:
    session = Session(base())
    assert (
        transcript(session, "show ?", "show cs7 ?", "show cs7 route ?", "s?", "ping cs7 ?", "foo ?")
        == """\
CountryA#show ?
  cs7             Signalling System No. 7
  running-config  The configuration in force
  version         Version of this software
CountryA#show cs7 ?
  linkset      Linksets and the state of their links
  m2pa         Level 2 over SCTP (RFC 4165)
  point-codes  Own and adjacent point codes
  route        Routes and the state of their destinations
CountryA#show cs7 route ?
  detail   With management state, masks and counters
  explain  Which route wins for a point code, and why the others do not
  |        Output modifiers
  <cr>
CountryA#s?
show
CountryA#ping cs7 ?
  <0-7>.<0-255>.<0-7>  Point code of the destination
CountryA#foo ?
% Unrecognized command
CountryA#"""
    )


def test_help_in_configuration_modes() -> None:
    session = Session(base())
    assert (
        transcript(
            session,
            "conf t",
            "?",
            "no cs7 ?",
            "cs7 variant i?",
            "e?",
            "cs7 linkset ToCountryB",
            "link 0 sctp 10.0.5.2 ?",
            "l ?",
            "cs7 point-code ?",
            "do show run | ?",
        )
        == """\
CountryA#conf t
Enter configuration commands, one per line.  End with CNTL/Z.
CountryA(config)#?
  cs7        Signalling System No. 7
  do         Run a command of exec mode
  end        Leave configuration mode
  exit       Leave configuration mode
  hostname   Name this node
  interface  Configure an interface
  no         Negate a command or set its defaults
CountryA(config)#no cs7 ?
  linkset            Links to an adjacent node
  local-peer         SCTP endpoint of this node
  network-indicator  The network that this node's point code belongs to
  point-code         Point code of this node
  route-table        Routes to nodes that are not adjacent
  variant            Family of standards, and with it the structure of point codes
CountryA(config)#cs7 variant i?
itu  itu-national
CountryA(config)#e?
end  exit
CountryA(config)#cs7 linkset ToCountryB
CountryA(config-cs7-ls)#link 0 sctp 10.0.5.2 ?
  <1-65535>  Port of the local-peer here
  A.B.C.D    Address of the peer; several may follow
CountryA(config-cs7-ls)#l ?
  <0-15>  Signalling link code
CountryA(config-cs7-ls)#cs7 point-code ?
  <0-7>.<0-255>.<0-7>  Own point code
CountryA(config-cs7-ls)#do show run | ?
  begin    Begin with the first line that matches
  exclude  Leave out lines that match
  include  Only lines that match
CountryA(config-cs7-ls)#"""
    )


def test_errors_point_at_the_column() -> None:
    session = Session(base())
    assert (
        transcript(
            session,
            "sh",
            "e",
            "clok",
            "show cs7 rout detial",
            "ping cs7 9.1.1",
            "conf t",
            "cs7 varant itu",
            "  cs7 l",
            "show cs7 route",
            "do show cs7 linkset ToCountryB now",
        )
        == """\
CountryA#sh
% Incomplete command.

CountryA#e
% Ambiguous command:  "e"
CountryA#clok
          ^
% Invalid input detected at '^' marker.

CountryA#show cs7 rout detial
                          ^
% Invalid input detected at '^' marker.

CountryA#ping cs7 9.1.1
                  ^
% Invalid input detected at '^' marker.
% field 1 (zone) is 9, but ITU international 3-8-3 point codes allow 0 to 7 there (3 bits); \
the variant ansi, china or japan would take it

CountryA#conf t
Enter configuration commands, one per line.  End with CNTL/Z.
CountryA(config)#cs7 varant itu
                        ^
% Invalid input detected at '^' marker.

CountryA(config)#  cs7 l
% Ambiguous command:  "cs7 l"
CountryA(config)#show cs7 route
                 ^
% Invalid input detected at '^' marker.
% this is a command of exec mode: type 'do show cs7 route'

CountryA(config)#do show cs7 linkset ToCountryB now
                                                ^
% Invalid input detected at '^' marker.

CountryA(config)#"""
    )


def test_errors_come_with_a_code_and_a_sentence() -> None:
    for line, code, message in (
        ("show foo", "config.unknown-word", "invalid input at column 6"),
        ("show cs7", "config.incomplete", "the command is incomplete"),
        ("e", "config.ambiguous", "one of: enable, exit"),
        ("terminal length 999", "config.value", "999 is outside 0 to 512"),
    ):
        error = run(line).error
        assert error is not None
        assert (error.code, error.message) == (code, message)


def test_a_refused_command_changes_nothing() -> None:
    session = Session(base())
    assert (
        transcript(
            session,
            "conf t",
            "no cs7 local-peer 1024",
            "cs7 linkset ToCountryC 1.2.3",
            "cs7 variant ansi",
            "cs7 linkset ToCountryB",
            "link 0 sctp 10.0.9.9 1024 1024",
            "link 1 sctp 10.0.5.2 1024 1024",
            "cs7 route-table system",
            "update route 7.0.0/3 linkset ToCountyB",
            "update route 7.1.0/3 linkset ToCountryB",
        )
        == """\
CountryA#conf t
Enter configuration commands, one per line.  End with CNTL/Z.
CountryA(config)#no cs7 local-peer 1024
% link 0 of linkset ToCountryB starts at port 1024, which no local-peer has (local-peers: none)
% add 'cs7 local-peer 1024' with its local-ip, or correct the port: the local one comes first
CountryA(config)#cs7 linkset ToCountryC 1.2.3
% linkset ToCountryC leads to 1.2.3, which is this node's own point code
% name the point code of the node at the other end
CountryA(config)#cs7 variant ansi
% the variant cannot become ansi: point codes were already read as itu
% put 'cs7 variant' before the first point code
CountryA(config)#cs7 linkset ToCountryB
CountryA(config-cs7-ls)#link 0 sctp 10.0.9.9 1024 1024
% linkset ToCountryB has a link 0 already, with other addresses or ports
% give this link another SLC, or 'no link 0' first
CountryA(config-cs7-ls)#link 1 sctp 10.0.5.2 1024 1024
% link 1 of linkset ToCountryB and link 0 of linkset ToCountryB would be one association: both run \
from port 1024 to 10.0.5.2 port 1024
% give one of them a local-peer or a remote port of its own
CountryA(config-cs7-ls)#cs7 route-table system
CountryA(config-cs7-rt)#update route 7.0.0/3 linkset ToCountyB
% route 7.0.0/3 leads over linkset ToCountyB, which does not exist
% did you mean ToCountryB?
CountryA(config-cs7-rt)#update route 7.1.0/3 linkset ToCountryB
                                     ^
% Invalid input detected at '^' marker.
% 7.1.0 has bits set after the first 3; write 7.0.0/3 for the group it lies in

CountryA(config-cs7-rt)#"""
    )
    assert session.config == base()


def test_modes_up_and_down() -> None:
    session = Session(base(), privileged=False)
    assert (
        transcript(
            session,
            "conf t",
            "ena",
            "configure",
            "int fa 0/0",
            "ip address 10.0.5.1 255.255.255.0",
            "cs7 linkset ToCountryB",
            "link 0",
            "exit",
            "exit",
            "cs7 local-peer 1024",
            "end",
            "disable",
            "terminal length 0",
        )
        == """\
CountryA>conf t
         ^
% Invalid input detected at '^' marker.

CountryA>ena
CountryA#configure
Enter configuration commands, one per line.  End with CNTL/Z.
CountryA(config)#int fa 0/0
CountryA(config-if)#ip address 10.0.5.1 255.255.255.0
CountryA(config-if)#cs7 linkset ToCountryB
CountryA(config-cs7-ls)#link 0
CountryA(config-cs7-ls-link)#exit
CountryA(config-cs7-ls)#exit
CountryA(config)#cs7 local-peer 1024
CountryA(config-cs7-lp)#end
CountryA#disable
CountryA>terminal length 0
CountryA>"""
    )


def run(*lines: str) -> Outcome:
    session = Session(base())
    *before, last = lines
    for line in before:
        session.execute(line)
    return session.execute(last)


def test_shutdown_comes_out_as_a_change() -> None:
    at = ("conf t", "cs7 linkset ToCountryB")
    assert run(*at, "shutdown").changes == (changes.LinksetShutdown("ToCountryB", shutdown=True),)
    assert run(*at, "no shutdown").changes == ()
    assert run(*at, "link 0", "shut").changes == (
        changes.LinkShutdown("ToCountryB", 0, shutdown=True),
    )
    assert run(*at, "link 0", "no link 0").changes == (changes.LinkRemoved("ToCountryB", 0),)


@pytest.mark.parametrize(
    ("line", "action", "values"),
    [
        ("show cs7 linkset", Exec.SHOW_LINKSET, {}),
        ("sh c l ToCountryB", Exec.SHOW_LINKSET, {"name": ["ToCountryB"]}),
        ("sh cs7 ro", Exec.SHOW_ROUTE, {}),
        ("show cs7 route detail", Exec.SHOW_ROUTE_DETAIL, {}),
        ("show cs7 route explain 7.7.1", Exec.SHOW_ROUTE_EXPLAIN, {"pc": [ITU.parse("7.7.1")]}),
        ("show cs7 m2pa state", Exec.SHOW_M2PA_STATE, {}),
        ("show cs7 m2pa stati X", Exec.SHOW_M2PA_STATISTICS, {"name": ["X"]}),
        ("show cs7 point-codes", Exec.SHOW_POINT_CODES, {}),
        ("show run", Exec.SHOW_RUNNING_CONFIG, {}),
        ("write terminal", Exec.SHOW_RUNNING_CONFIG, {}),
        ("show version", Exec.SHOW_VERSION, {}),
        ("wr", Exec.WRITE, {}),
        ("write memory", Exec.WRITE, {}),
        ("copy run start", Exec.WRITE, {}),
        ("ping cs7 7-8-1", Exec.PING, {"pc": [ITU.parse("7.8.1")]}),
        (
            "ping cs7 7.8.1 count 5 timeout 200",
            Exec.PING,
            {"pc": [ITU.parse("7.8.1")], "count": [5], "timeout": [200]},
        ),
    ],
)
def test_actions_of_exec_mode(line: str, action: Exec, values: dict[str, list[int | str]]) -> None:
    for outcome in (run(line), run("conf t", "cs7 route-table system", f"do {line}")):
        assert outcome.action is not None
        assert outcome.action.id is action
        assert outcome.action.args.plain() == values
        assert outcome.text == ""


def filtered(line: str, text: str) -> str:
    action = run(line).action
    assert isinstance(action, Action)
    assert action.filter is not None
    return action.filter.apply(text)


def test_pipes() -> None:
    text = "one\ntwo\nthree\ntwo again"
    assert filtered("show run | include two", text) == "two\ntwo again"
    assert filtered("show run | i ^two$", text) == "two"
    assert filtered("show run | exclude two", text) == "one\nthree"
    assert filtered("show run | begin thr", text) == "three\ntwo again"
    assert filtered("show run | begin nothing", text) == ""
    assert filtered("show run | include two again", text) == "two again"
    assert filtered("show run | include (", "a\n(b") == "(b"


def test_pipes_follow_show_only() -> None:
    assert run("write | include x").text == (
        "               ^\n% Invalid input detected at '^' marker.\n"
    )
    assert run("show run |").text == "% Incomplete command.\n"
    assert run("show run | foo").text == (" " * 20 + "^\n% Invalid input detected at '^' marker.\n")


def test_completion() -> None:
    session = Session(base())
    assert [c.word for c in session.complete("sh")] == ["show"]
    assert [c.word for c in session.complete("show cs7 linkset ")] == ["ToCountryB"]
    assert [c.word for c in session.complete("show cs7 m2pa state ToC")] == ["ToCountryB"]
    assert [c.word for c in session.complete("ping cs7 4")] == ["4.5.6"]
    assert [c.word for c in session.complete("show run | ")] == ["begin", "exclude", "include"]
    assert session.complete("nonsense ") == []
    session.execute("conf t")
    assert [c.word for c in session.complete("do show cs7 r")] == ["route"]
    assert [c.word for c in session.complete("cs7 network-indicator na")] == ["national"]
    session.execute("cs7 route-table system")
    assert [c.word for c in session.complete("update route 7.0.0/3 linkset ")] == ["ToCountryB"]
    assert [c.word for c in session.complete("cs7 li")] == ["linkset"]


def test_leaving() -> None:
    assert run("exit").closed
    assert run("quit").closed
    assert not run("conf t", "exit").closed
    assert not run("conf t", "do exit").closed
    assert not run("").closed
    assert run("! a remark") == Outcome()


def test_two_sessions_share_one_configuration() -> None:
    config = base()
    one, two = Session(config), Session(config)
    for session in (one, two):
        session.execute("conf t")
    one.execute("cs7 linkset ToCountryB")
    one.execute("link 0")
    two.execute("no cs7 linkset ToCountryB")
    assert one.prompt == "CountryA(config)#"
    two.execute("hostname Other")
    assert one.prompt == "Other(config)#"


def test_a_swapped_link_is_warned_about() -> None:
    outcome = run("conf t", "cs7 linkset ToCountryB", "link 1 sctp 10.0.5.2 1025 1024")
    assert [w.code for w in outcome.warnings] == ["config.port-order"]
    assert outcome.changes == (
        changes.LinkAdded("ToCountryB", 1, ("10.0.5.2",), 1024, 1025, shutdown=False),
    )
