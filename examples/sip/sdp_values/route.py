"""Port and addresses of a session description, as attributes."""

from trunkline.script import Request, on_request


@on_request("INVITE")
def invite(request: Request) -> None:
    """Write where the caller wants his audio to the log, and send the call on."""
    log = request.app.log
    sdp = request.sdp
    if sdp is not None:
        log(f"offered by {sdp.origin.username}, at {sdp.origin.address}")
        log(f"session {sdp.origin.session_id}, version {sdp.origin.session_version}")
        for media in sdp.media:
            address = media.connection.address if media.connection else "nowhere"
            codecs = ", ".join(codec.name for codec in media.codecs)
            log(f"{media.kind} to {address} port {media.port}: {codecs}")
    request.relay()
