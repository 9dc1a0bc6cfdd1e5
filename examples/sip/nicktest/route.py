"""Several headers of one name: what `$hdr`, `$hdrc` and a loop over them are in Python."""

from trunkline.script import Request, on_request


@on_request("INVITE")
def invite(request: Request) -> None:
    """Write every X-NickTest to the log, add one more, and send the call on."""
    log = request.app.log
    entries = request.headers["X-NickTest"]
    log(f"X-NickTest has {len(entries)} entries")
    for number, value in enumerate(entries):
        log(f"X-NickTest entry [{number}] has value {value}")
    if entries:
        log(f"the first is {entries[0]}, the last is {entries[-1]}")

    request.headers.insert("X-NickTest", "ENTRY OF OURS", after="X-NickTest")
    request.relay()
