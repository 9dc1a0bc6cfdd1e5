"""SIP (RFC 3261 and its updates): codecs and machines, nothing else.

`message`, `uri` and `headers` are the codec; `transaction`, `forking` and `dialog` the machines;
`locate` decides where a request goes. Sockets are `trunkline.net`'s, policy `trunkline.elements`'.
"""
