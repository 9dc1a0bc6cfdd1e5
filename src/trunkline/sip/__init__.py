"""SIP (RFC 3261 and its updates): codecs and machines, nothing else.

`message`, `uri`, `headers` and `sdp` are the codec; `transaction`, `proxy`, `dialog`, `registrar`
and `digest` the machines; `locate` decides where a request goes. Sockets are `trunkline.net`'s,
policy `trunkline.elements`'.
"""
