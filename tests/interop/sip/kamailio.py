"""A Kamailio as a neighbour."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

import pytest
from tests.interop.sip.programs import Program, free_port, listened_on

__all__ = ["Kamailio"]

# What any proxy does first (RFC 3261 section 16.3): hop count, CANCEL, requests of a dialog.
_FRAME = """\
#!KAMAILIO
debug=1
log_stderror=yes
children=1
auto_aliases=no
tcp_children=1
dns=no
rev_dns=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
modparam("tm", "fr_timer", 5000)
modparam("tm", "fr_inv_timer", 30000)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not Here"); exit;
    }}
    t_check_trans();
    if (is_method("INVITE|SUBSCRIBE")) record_route();
{routes}
    if (!t_relay()) sl_reply_error();
}}
"""


class Kamailio(Program):
    """A stateful Kamailio; ``routes`` are the lines that say where new requests go."""

    def __init__(self, folder: Path, name: str, routes: str) -> None:
        if shutil.which("kamailio") is None:
            pytest.skip("kamailio is absent: install it")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.uri = f"sip:{self.address}"
        configuration = folder / f"{name}.cfg"
        configuration.write_text(_FRAME.format(port=self.port, routes=dedent(routes)))
        command = ["kamailio", "-x", "fm", "-DD", "-E", "-m", "32", "-M", "8"]
        command += ["-P", str(folder / f"{name}.pid"), "-Y", str(folder)]
        super().__init__(folder, name, [*command, "-f", str(configuration)])
        self.ready(lambda: listened_on(self.port) and listened_on(self.port, "tcp"))
