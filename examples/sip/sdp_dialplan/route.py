"""Port and addresses of a session description, taken out by the dialplans 400 to 403."""

from trunkline.script import Request, on_request


@on_request("INVITE")
def invite(request: Request) -> None:
    """Write what the dialplans make of the m= and the o= line to the log; send the call on."""
    sdp = request.sdp
    if sdp is not None:
        mline, oline = sdp.line("m=") or "", sdp.line("o=") or ""
        request.app.log(f"m-line: {mline}")
        for name, dpid, line in (
            ("m_port_b_leg", 400, mline),
            ("o_line_port_1", 401, oline),
            ("o_line_port_2", 402, oline),
            ("o_ip_b_leg", 403, oline),
        ):
            found = request.translate("sdp", dpid, line)
            request.app.log(f"Translated {name} is: {found.value if found else 'nothing'}")
    request.relay()
