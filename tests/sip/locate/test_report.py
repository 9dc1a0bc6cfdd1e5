"""The record in words, and the page that explains them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.sip.locate.support import V4, Records, Zone, locate, naptr, scripted, srv

from trunkline.sip.locate import Rules
from trunkline.sip.locate.decision import Reason
from trunkline.sip.locate.location import TABLE
from trunkline.sip.locate.report import as_json, as_text

GUIDE = Path(__file__).resolve().parents[3] / "docs/sip-locate.md"

ZONE: Records = {
    "NAPTR x.example": [
        naptr(10, 50, "SIP+D2U", "_sip._udp.x.example"),
        naptr(20, 50, "SIP+D2T", "_sip._tcp.x.example"),
    ],
    "SRV _sip._udp.x.example": [srv(0, 40, "b.x.example"), srv(0, 60, "a.x.example", 5070)],
    "A a.x.example": ["192.0.2.11"],
    "A b.x.example": ["192.0.2.12"],
}


def test_the_whole_record_in_words() -> None:
    assert as_text(locate("sip:bob@x.example", ZONE, draw=scripted(80))) == (
        """\
target x.example: the host of the URI [RFC 3263 4]
transport UDP: the NAPTR record that the domain prefers most [RFC 3263 4.1]
  NAPTR x.example: 2 records, TTL 60 s
    * 10 50 "s" "SIP+D2U" "" _sip._udp.x.example: the most preferred that we can use
    - 20 50 "s" "SIP+D2T" "" _sip._tcp.x.example: a record with a lower order is used
servers 2 of _sip._udp.x.example: the SRV records of the transport [RFC 3263 4.2]
  SRV _sip._udp.x.example: 2 records, TTL 60 s
    * 0 40 5060 b.x.example: takes its share by priority and weight
    * 0 60 5070 a.x.example: takes its share by priority and weight
addresses: the A and AAAA records of each server [RFC 3263 4.2]
  A b.x.example: 192.0.2.12, TTL 60 s
  A a.x.example: 192.0.2.11, TTL 60 s
order: whom to try, one after the other
  1 UDP 192.0.2.11:5070: a.x.example, priority 0, weight 60, drew 80 of 0 to 100 among 2
  2 UDP 192.0.2.12:5060: b.x.example, priority 0, weight 40"""
    )


def test_what_is_missing_and_what_fails_in_words() -> None:
    zone = Zone({"NAPTR x.example": None, "AAAA x.example": ["2001:db8::1"]})
    text = as_text(locate("sip:x.example", zone, Rules(families=(6, 4), transports=V4.transports)))
    assert "NAPTR x.example: failed: 192.0.2.53:53: SERVFAIL" in text
    assert "SRV _sip._tcp.x.example: none (no such name), for 30 s" in text
    assert "A x.example: none (no data), for 30 s" in text
    assert "warning: no answer to NAPTR x.example: went on as if there were no such" in text
    assert "1 UDP [2001:db8::1]:5060: x.example" in text
    assert "nobody to send to: nowhere.example does not exist" in as_text(
        locate("sip:nowhere.example:5060", {})
    )


def test_the_record_as_json() -> None:
    value = as_json(locate("sip:x.example", ZONE, draw=scripted(80)))
    assert value["target"] == {
        "host": "x.example",
        "port": None,
        "transport": None,
        "sips": False,
        "numeric": False,
    }
    assert isinstance(value["steps"], list)
    assert value["steps"][1] == {
        "stage": "transport",
        "reason": "transport-naptr",
        "clause": "RFC 3263 4.1",
        "result": "UDP",
        "lookups": [
            {
                "name": "x.example",
                "type": "NAPTR",
                "outcome": "found",
                "ttl": 60.0,
                "aliases": [],
                "note": "",
                "cached": False,
                "records": [
                    {
                        "record": '10 50 "s" "SIP+D2U" "" _sip._udp.x.example',
                        "reason": "naptr-used",
                    },
                    {
                        "record": '20 50 "s" "SIP+D2T" "" _sip._tcp.x.example',
                        "reason": "naptr-later",
                    },
                ],
                "exchanges": [],
            }
        ],
    }
    assert isinstance(value["order"], list)
    assert value["order"][0] == {
        "transport": "UDP",
        "address": "192.0.2.11",
        "port": 5070,
        "domain": "x.example",
        "server": "a.x.example",
        "priority": 0,
        "weight": 60,
        "drawn": {"number": 80, "highest": 100, "among": 2},
        "penalty": 0.0,
    }
    assert (value["problem"], value["warnings"]) == (None, [])
    refused = as_json(locate("sip:x.example;transport=sctp", {}))
    assert isinstance(refused["problem"], dict)
    assert refused["problem"]["code"] == "locate.transport"


def test_every_code_is_on_the_page_in_its_own_words() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \[(.+)\] \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert rows == [(reason.code, reason.words, reason.clause) for reason in Reason]


def test_the_table_of_the_machine_is_on_the_page() -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    ours = [(phase.value, event.value, row.next.value) for (phase, event), row in TABLE.items()]
    assert [row for row in rows if row in ours] == ours
