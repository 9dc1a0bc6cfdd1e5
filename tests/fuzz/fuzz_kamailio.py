"""Dialplan rows as SQL text and as CSV: read, or refused with one documented error.

What is read and compiled translates a text, comes back out of a CSV file, and its explanation has
the same translation.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from trunkline.config.kamailio import DialplanRow, KamailioError, csv_text, read_csv, read_inserts
from trunkline.config.pcre import suspicions
from trunkline.elements.proxy.dialplan import Dialplan, DialplanError

SEEDS = [
    rb"""INSERT INTO `dialplan` VALUES
(4,400,10,1,'m=audio (\\d*)',0,'m=audio (\\d*)','\\1','SDP M Port Stripper'),
(5,400,1,1,'(?<x>[[:digit:]]+)\\h{1,2}[^a]',4,'(\\w+?)','a\\0',''),
(6,400,2,2,'[!a-c]?*\\*',0,'','x',''),(7,400,2,0,'abc',3,'','x','');
""",
    rb"""-- a dump
INSERT INTO `other` VALUES (1,'it''s; \' here');
/*!40101 SET NAMES utf8 */;
REPLACE INTO k.dialplan (id,dpid,pr,match_op,match_exp) VALUES (NULL,400,+1,0,"a""b");
""",
    rb"""dpid,pr,match_op,match_exp,repl_exp
400,1,1,"m=(.)",x
400,2,2,*a,
""",
]

_TEXT = "m=audio 4002 RTP/AVP 8"


def run(data: bytes) -> None:
    """Read ``data`` as either kind of file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows"
        file.write_bytes(data)
        rows: list[DialplanRow] = []
        with suppress(KamailioError):
            rows += read_inserts(file).rows
        with suppress(KamailioError):
            rows += read_csv(file)
        for row in rows:
            _use(row, file)


def _use(row: DialplanRow, file: Path) -> None:
    if "\0" not in "".join(map(str, row.values())):  # Python's csv does not take it
        file.write_text(csv_text([row]), encoding="utf-8", errors="surrogateescape", newline="")
        assert read_csv(file) == (row,)
    try:
        dialplan = Dialplan([row])
    except DialplanError:
        return
    if not dialplan.slow:
        found = dialplan.translate(row.dpid, _TEXT)
        assert dialplan.explain(row.dpid, _TEXT).translation == found
    if row.match_op == 1:
        suspicions(row.match_exp)
