"""Wrong files: every error with file, line, column and what to do; nothing half-applied."""

from __future__ import annotations

import pytest

from trunkline.config.cisco import ConfigErrors, load

HEAD = """\
cs7 variant itu
cs7 point-code 1.2.3
cs7 local-peer 1024
 local-ip 10.0.5.1
cs7 linkset ToB 4.5.6
 link 0 sctp 10.0.5.2 1024 1024
"""


def errors(text: str, head: str = HEAD) -> list[tuple[int, int, str, str]]:
    with pytest.raises(ConfigErrors) as refused:
        load([("f.cfg", head + text)])
    found = []
    for problem in refused.value.errors:
        assert problem.location is not None
        line = problem.location.line - head.count("\n")
        found.append((line, problem.location.column, problem.code, problem.hint))
    return found


@pytest.mark.parametrize(
    ("text", "line", "column", "code", "hint"),
    [
        ("cs7 varant itu", 1, 8, "config.unknown-word", "did you mean 'variant'?"),
        ("no cs7 varant itu", 1, 11, "config.unknown-word", "did you mean 'variant'?"),
        ("cs7 variant itv", 1, 15, "config.unknown-word", "did you mean 'itu'?"),
        ("c7 linkset ToC 7.7.1", 1, 2, "config.unknown-word", "did you mean 'cs7'?"),
        ("cs7 point", 1, 10, "config.incomplete", "write: cs7 point-code PC"),
        ("cs7 point-code 9.2.3", 1, 16, "config.value", "write: cs7 point-code PC"),
        ("cs7 point-code 1.2.9", 1, 20, "config.value", "write: cs7 point-code PC"),
        ("cs7 l 1024", 1, 5, "config.ambiguous", ""),
        ("cs7 local-peer 70000", 1, 16, "config.value", "write: cs7 local-peer PORT"),
        ("cs7 local-peer 1024\n lokal-ip 1.1.1.1", 2, 4, "config.unknown-word", None),
        ("cs7 local-peer 1024\nlokal-ip 1.1.1.1", 2, 3, "config.unknown-word", None),
        ("cs7 local-peer 1024\n local-ip 10.0.5.300", 2, 11, "config.value", None),
        ("cs7 local-peer 1024\n local-ip 224.0.0.1", 2, 11, "config.value", None),
        ("cs7 linkset ToB 7.7.1", 1, 17, "config.linkset-apc", None),
        ("cs7 linkset ToC", 1, 13, "config.unknown-linkset", "did you mean ToB?"),
        ("cs7 linkset ToB\n link 16 sctp 10.0.0.1 1 1", 2, 7, "config.value", None),
        ("cs7 linkset ToB\n link 3", 2, 7, "config.unknown-link", None),
        ("cs7 linkset ToB\n link 0 sctp 10.0.9.9 1024 1024", 2, 7, "config.duplicate-slc", None),
        ("cs7 linkset ToB\n link 1 sctp 10.0.5.9 1024", 2, 27, "config.incomplete", None),
        ("cs7 variant ansi", 1, 13, "config.variant-late", None),
        ("cs7 route-table other", 1, 17, "config.unknown-word", "expected here: system"),
        (
            "cs7 route-table system\n update route 7.1.0/3 linkset ToB",
            2,
            15,
            "pointcode",
            None,
        ),
        (
            "cs7 route-table system\n update route 7.1.0 7.0.0 linkset ToB",
            2,
            15,
            "pointcode.host-bits",
            "",
        ),
        (
            "cs7 route-table system\n update route 7.0.0/3 linkset ToB priority 10",
            2,
            44,
            "config.value",
            None,
        ),
        ("cs7 profile fast\n m2pa\n  timer t1 3", 1, 6, "config.unknown-word", None),
        ("link 1 sctp 10.0.5.2 1024 1024 7", 1, 32, "config.unknown-word", None),
        ("hostname 1A", 1, 10, "config.value", "write: hostname HOSTNAME"),
        ("interface Fa0/0\n ip address 10.0.5.999 255.0.0.0", 2, 13, "config.value", None),
        ("interface Fa0/0\n ip address 10.0.5.9 255.0.255.0", 2, 22, "config.value", None),
    ],
)
def test_one_wrong_line(text: str, line: int, column: int, code: str, hint: str | None) -> None:
    (found,) = errors(text)
    assert found[0] == line
    assert found[2] == code or (code == "pointcode" and found[2] == "config.value")
    assert found[1] == column
    if hint is not None:
        assert found[3] == hint


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("cs7 linkset ToC 1.2.3", 1, "config.own-apc"),
        ("cs7 linkset ToC 7.7.1\n link 0 sctp 10.0.6.2 1025 1025", 2, "config.link-peer"),
        ("cs7 linkset ToC 7.7.1\n link 0 sctp 10.0.5.2 1024 1024", 2, "config.same-association"),
        ("cs7 linkset ToC 7.7.1\n link 0 sctp 10.0.5.1 1024 1024", 2, "config.link-self"),
        (
            "cs7 local-peer 1025\ncs7 linkset ToC 7.7.1\n link 0 sctp 10.0.5.2 1025 1025",
            3,
            "config.peer-ip",
        ),
        ("cs7 route-table system\n update route 7.0.0/3 linkset Tob", 2, "config.route-linkset"),
        ("no cs7 point-code", -1, "config.no-point-code"),
    ],
)
def test_what_only_the_whole_shows(text: str, line: int, code: str) -> None:
    (found,) = errors(text)
    assert (found[0], found[2]) == (line, code)


def test_a_link_of_several_addresses_clashes_by_any_of_them() -> None:
    (found,) = errors("cs7 linkset ToC 7.7.1\n link 0 sctp 10.0.6.2 10.0.5.2 1024 1024")
    assert found[2] == "config.same-association"


def test_equal_ports_with_different_peers_are_two_links() -> None:
    load([("f.cfg", HEAD + " link 1 sctp 10.0.6.2 1024 1024\n")])


def test_all_errors_are_reported_in_the_files_order() -> None:
    with pytest.raises(ConfigErrors) as refused:
        load([("a.cfg", HEAD + "cs7 foo\n"), ("b.cfg", "cs7 bar\ncs7 variant x\n")])
    assert [str(p.location) for p in refused.value.errors] == [
        "a.cfg:7:5",
        "b.cfg:1:5",
        "b.cfg:2:13",
    ]


def test_one_wrong_line_is_one_error_not_an_avalanche() -> None:
    assert len(errors("cs7 linkset ToC 99.1.1\n link 0 sctp 10.0.6.2 1025 1025\n shutdown\n")) == 1
    assert len(errors("cs7 linkset ToC 99.1.1\nlink 0 sctp 10.0.6.2 1025 1025\nshutdown\n")) == 1
    prompts = "A(config)#cs7 linkset ToC 99.1.1\nA(config-cs7-ls)#link 0 sctp 10.0.6.2 1025 1025\n"
    assert len(errors(prompts)) == 1


def test_a_line_of_a_mode_that_is_not_open() -> None:
    (found,) = errors("local-ip 10.0.5.1\n", head="")
    assert found[2] == "config.wrong-mode"
    assert "cs7 local-peer" in found[3]


def test_a_prompt_of_a_mode_that_nobody_opened() -> None:
    (found,) = errors("A(config-cs7-ls)#link 0 sctp 10.0.5.2 1024 1024\n", head="")
    assert found[2] == "config.lost-mode"


def test_the_prompt_of_the_route_table_is_enough() -> None:
    text = "A(config-cs7-rt)#update route 7.0.0/3 linkset ToB\n"
    assert len(load([("a", HEAD), ("b", text)]).config.routes) == 1


def test_two_nodes_in_one_file() -> None:
    text = "A(config)#cs7 point-code 1.2.3\nB(config)#cs7 point-code 4.5.6\nB(config)#end\n"
    assert [found[:3] for found in errors(text, head="")] == [(2, 1, "config.other-host")]


def test_what_the_family_has_and_we_lack_is_said_so() -> None:
    (found,) = errors("cs7 secondary-pc 1.2.4")
    assert "Trunkline does not" in found[3]


def test_an_error_prints_file_line_column_and_hint() -> None:
    with pytest.raises(ConfigErrors) as refused:
        load([("seed/A.cfg", " cs7 variant itu\n cs7 linkset ToB 4.5.9\n")])
    assert str(refused.value) == (
        "seed/A.cfg:2:22: field 3 (signalling point) is 9, but ITU international 3-8-3 point codes "
        "allow 0 to 7 there (3 bits); the variant ansi, china or japan would take it\n"
        "     cs7 linkset ToB 4.5.9\n"
        "                         ^\n"
        "    hint: write: cs7 linkset NAME [APC]"
    )


def warnings(text: str) -> list[tuple[int, str]]:
    result = load([("f.cfg", HEAD + text)])
    lines = HEAD.count("\n")
    return [(w.location.line - lines if w.location else 0, w.code) for w in result.warnings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cs7 local-peer 1025", [(1, "config.empty-peer")]),
        ("cs7 linkset ToC 7.7.1", [(1, "config.empty-linkset")]),
        (" link 1 sctp 10.0.6.2 1024 1025", [(1, "config.port-order")]),
        ("cs7 local-peer 1024\n no local-ip 10.0.9.9", [(2, "config.unknown-ip")]),
        ("cs7 linkset ToB\n no link 7", [(2, "config.unknown-link")]),
        ("no cs7 linkset ToX", [(1, "config.unknown-linkset")]),
        ("no cs7 local-peer 9", [(1, "config.unknown-peer")]),
        ("interface Fa0/0\n ip address 10.0.6.1 255.255.255.0", [(-2, "config.ip-nowhere")]),
        ("interface Fa0/0\n ip address 10.0.5.1 255.0.0.0", []),
        (
            "interface Fa0/0\n ip address 10.0.5.1 255.0.0.0\n shutdown",
            [(-2, "config.ip-shutdown")],
        ),
        (
            "cs7 route-table system\n update route 1.2.3/14 linkset ToB",
            [(2, "config.own-route")],
        ),
        (" shutdown", [(1, "config.indent")]),
        ("  shutdown", []),
        ("shutdown", []),
    ],
)
def test_warnings(text: str, expected: list[tuple[int, str]]) -> None:
    assert warnings(text) == expected


def test_two_linksets_to_one_node_are_refused() -> None:
    found = errors("cs7 linkset Two 4.5.6\n link 0 sctp 10.0.6.2 1024 1024")
    assert [entry[2] for entry in found] == ["config.same-apc"]
