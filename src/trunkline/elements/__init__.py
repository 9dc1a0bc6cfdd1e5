"""Network elements: policy and wiring around the protocol machines.

``signalling_point`` is the MTP of one node (associations, M2PA links, the MTP3 router) made to
follow a router configuration; ``ssp`` is an exchange on top of it; ``node`` is the process that
hosts them and answers on the control socket. ``proxy`` is the SIP proxy, with processes of its own.
"""
