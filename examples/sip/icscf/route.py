"""What an I-CSCF does once it knows the S-CSCF: send on to its Server-Name.

The Server-Name is a SIP URI from the subscriber's data (User-Authorization-Answer, AVP 602); here
it is a setting. Whether it has a port decides how it is looked up (RFC 3263 section 4.2): without
one by SRV records, which spread the load over all S-CSCFs; with one, 5060 too, by the name's own
addresses alone.
"""

from trunkline.script import Request, on_request


@on_request("REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE")
def to_scscf(request: Request) -> None:
    """Leave the Request-URI alone and send it to the S-CSCF."""
    request.relay(via=request.app.setting("server_name"))
